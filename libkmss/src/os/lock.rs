//! A mutex that `fork` cannot leave locked by a thread that no longer exists.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::fork;

/// The order in which nested locks are taken: only a higher rank while a lower one is held, never two of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A thread's first entry.
    Entrance,
    /// Module state of a door.
    Door,
    /// Login state and object tables of a door's tokens.
    DoorTable,
    /// A shard of a door's sessions.
    DoorShard,
    /// Caches of the core.
    Cache,
    /// What is known of a device.
    Device,
    /// Which vendors' modules are loaded.
    Module,
    /// The engine that runs guests.
    Guest,
    /// The audit segment.
    Audit,
    /// The store's connection.
    Store,
}

/// What happens to the value of a [`Lock`] around a fork, while it is held.
#[derive(Debug)]
pub struct Hooks<T> {
    /// Before the fork.
    pub before: fn(&mut T),
    /// After it, in the parent.
    pub parent: fn(&mut T),
    /// After it, in the child.
    pub child: fn(&mut T),
}

impl<T> Default for Hooks<T> {
    fn default() -> Self {
        Self { before: |_| (), parent: |_| (), child: |_| () }
    }
}

/// Mutual exclusion for short sections; see [`Rank`] for nesting. Not poisoned by panics.
pub struct Lock<T> {
    rank: Rank,
    // A fork may wait for a lock that is freed meanwhile, so this part outlives the value.
    raw: Arc<RawLock>,
    // INVARIANT: allocated by `with_hooks`, freed by `drop`. Not a `Box`, because the fork handlers keep the address.
    shared: NonNull<Shared<T>>,
}

#[repr(align(128))]
struct Shared<T> {
    hooks: Hooks<T>,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a guard (or by fork hooks while the lock is held), one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}
// SAFETY: as above; nothing is tied to the thread that made the lock.
unsafe impl<T: Send> Send for Lock<T> {}

impl<T: Send> Lock<T> {
    /// A lock around `value`.
    pub fn new(rank: Rank, value: T) -> Self {
        Self::with_hooks(rank, value, Hooks::default())
    }

    /// A lock whose value is prepared for forks by `hooks`.
    pub fn with_hooks(rank: Rank, value: T, hooks: Hooks<T>) -> Self {
        let shared: NonNull<Shared<T>> = Box::leak(Box::new(Shared { hooks, value: UnsafeCell::new(value) })).into();
        let raw = Arc::new(RawLock::new());
        let entry = Registered { rank, raw: Arc::clone(&raw), shared: shared.as_ptr().cast(), run: run_hook::<T> };
        fork::register(entry);
        Self { rank, raw, shared }
    }

    /// Waits for the lock.
    ///
    /// # Panics
    /// In debug builds, where this thread holds a lock of the same or a higher rank: a fork could wait for it for ever.
    pub fn lock(&self) -> Guard<'_, T> {
        nesting::enter(self.rank);
        fork::give_way();
        self.raw.lock();
        Guard { lock: self }
    }

    /// Takes the lock where nobody holds it.
    ///
    /// # Panics
    /// As [`Self::lock`].
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        fork::give_way();
        self.raw.try_lock().then(|| {
            nesting::enter(self.rank);
            Guard { lock: self }
        })
    }
}

impl<T> Lock<T> {
    const fn shared(&self) -> &Shared<T> {
        // SAFETY: by the invariant of the field.
        unsafe { self.shared.as_ref() }
    }
}

impl<T> Drop for Lock<T> {
    fn drop(&mut self) {
        fork::unregister(&self.raw);
        // SAFETY: by the invariant of the field; guards borrow the lock, so none is left.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}

impl<T> std::fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock(..)")
    }
}

/// Holds a [`Lock`].
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.shared().value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock and is borrowed mutably.
        unsafe { &mut *self.lock.shared().value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.unlock();
        nesting::leave(self.lock.rank);
    }
}

/// Checks the order of nested locks, in debug builds.
mod nesting {
    use super::Rank;

    #[cfg(debug_assertions)]
    thread_local! {
        static HELD: std::cell::RefCell<Vec<Rank>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    #[cfg(debug_assertions)]
    pub(super) fn enter(rank: Rank) {
        // While a thread ends its list may be gone; it holds nothing then.
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            let highest = held.iter().max().copied();
            assert!(highest.is_none_or(|highest| highest < rank), "a lock of rank {rank:?} is taken under {highest:?}");
            held.push(rank);
        });
    }

    #[cfg(debug_assertions)]
    pub(super) fn leave(rank: Rank) {
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            if let Some(at) = held.iter().rposition(|r| *r == rank) {
                held.remove(at);
            }
        });
    }

    #[cfg(not(debug_assertions))]
    pub(super) const fn enter(_: Rank) {}

    #[cfg(not(debug_assertions))]
    pub(super) const fn leave(_: Rank) {}
}

/// Which hook to run; see [`Hooks`].
#[derive(Clone, Copy)]
pub(super) struct HookNames {
    pub(super) before: u8,
    pub(super) parent: u8,
    pub(super) child: u8,
}

const HOOKS: HookNames = HookNames { before: 0, parent: 1, child: 2 };

/// A lock as the fork handlers know it.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) rank: Rank,
    pub(super) raw: Arc<RawLock>,
    shared: *const (),
    run: unsafe fn(*const (), u8),
}

impl Registered {
    /// Whether this is the lock of `raw`.
    pub(super) fn is(&self, raw: &RawLock) -> bool {
        std::ptr::eq(&raw const *self.raw, raw)
    }

    /// Runs one hook on the lock's value; the lock must be held by this thread and still be registered.
    pub(super) fn run(&self, which: impl Fn(&HookNames) -> u8) {
        // SAFETY: `shared` and `run` come from one `Lock<T>`, which unregisters itself before it frees the value, and the
        // fork handlers hold both the lock and the registry.
        unsafe { (self.run)(self.shared, which(&HOOKS)) };
    }
}

/// # Safety
/// `shared` is a live `Shared<T>` whose lock this thread holds.
unsafe fn run_hook<T>(shared: *const (), which: u8) {
    // SAFETY: by the contract above.
    let shared = unsafe { &*shared.cast::<Shared<T>>() };
    // SAFETY: the lock is held, so nobody else reaches the value.
    let value = unsafe { &mut *shared.value.get() };
    match which {
        0 => (shared.hooks.before)(value),
        1 => (shared.hooks.parent)(value),
        _ => (shared.hooks.child)(value),
    }
}

/// A futex mutex without a guard. 0 free, 1 held, 2 held with waiters. On cache lines of its own (they are fetched in pairs),
/// so that threads with different locks do not disturb each other.
#[repr(align(128))]
pub(super) struct RawLock(AtomicU32);

impl RawLock {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[inline]
    pub(super) fn lock(&self) {
        if self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        for _ in 0..100 {
            if self.0.load(Ordering::Relaxed) == 0
                && self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return;
            }
            std::hint::spin_loop();
        }
        while self.0.swap(2, Ordering::Acquire) != 0 {
            // SAFETY: the address is valid for the life of the lock; a spurious return only repeats the loop.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    2,
                    std::ptr::null::<libc::timespec>(),
                );
            }
        }
    }

    pub(super) fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    pub(super) fn unlock(&self) {
        if self.0.swap(0, Ordering::Release) == 2 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // SAFETY: as above; waking nobody is harmless.
        unsafe {
            libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::os::epoch;

    #[test]
    fn a_lock_admits_one_thread_at_a_time() {
        let lock = Lock::new(Rank::Cache, 0_u64);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..10_000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 40_000);
    }

    #[test]
    fn a_child_forked_while_another_thread_holds_and_makes_locks_gets_them_free_with_hooks_run() {
        let hooks = Hooks { before: |v: &mut u32| *v += 1, parent: |v| *v += 10, child: |v| *v += 100 };
        let lock = Lock::with_hooks(Rank::Cache, 0_u32, hooks);
        let before = epoch();
        let stop = AtomicU32::new(0);
        std::thread::scope(|s| {
            s.spawn(|| {
                while stop.load(Ordering::Relaxed) == 0 {
                    // A fork must not wait for this thread, which waits for the registry that a fork holds.
                    let held = lock.lock();
                    drop(Lock::new(Rank::Store, ()));
                    drop(held);
                    // The lock is not fair: on a busy machine this loop would let nobody else in.
                }
            });
            // Other tests of this process fork too, and each adds 1 and 10 here.
            let all_fine = (0..50).all(|_| {
                *lock.lock() = 0;
                // SAFETY: the child only takes our lock and leaves with _exit.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    let value = *lock.lock();
                    let fine = value >= 101 && (value - 101).is_multiple_of(11) && epoch() == before + 1;
                    // SAFETY: ends the child without running the parent's handlers.
                    unsafe { libc::_exit(i32::from(!fine)) };
                }
                let mut status = -1;
                // SAFETY: waits for the child just made.
                let ended = unsafe { libc::waitpid(pid, &raw mut status, 0) };
                let value = *lock.lock();
                ended == pid && status == 0 && value >= 11 && value.is_multiple_of(11)
            });
            // Stopped before anything is asserted: a scope waits for its threads.
            stop.store(1, Ordering::Relaxed);
            assert!(all_fine);
        });
    }
}
