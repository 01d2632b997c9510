//! `fork` as a normal event: before it every [`Lock`](super::Lock) is taken, after it all are released.
//!
//! So no lock is ever held by a thread that does not exist in the child, and hooks see consistent values. Code that runs
//! without a lock (a computation on a cached key) may be cut off in the child; [`epoch`] tells such leftovers apart.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use super::lock::{RawLock, Registered};

static EPOCH: AtomicU32 = AtomicU32::new(0);
/// Forks that wait for the locks.
static WAITING: AtomicU32 = AtomicU32::new(0);
static REGISTER: Once = Once::new();
static REGISTRY_LOCK: RawLock = RawLock::new();
static REGISTRY: Registry = Registry(std::cell::UnsafeCell::new(Vec::new()));

struct Registry(std::cell::UnsafeCell<Vec<Registered>>);

// SAFETY: the vector is only touched while REGISTRY_LOCK is held.
unsafe impl Sync for Registry {}

/// How many forks lie between the first process and this one. Costs a load.
#[must_use]
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

/// Lets a fork that waits for the locks be faster, once and for a moment: a thread that takes one again and again would
/// keep it waiting for hundreds of milliseconds. Bounded, because this thread may hold a lock that the fork waits for.
pub(super) fn give_way() {
    if WAITING.load(Ordering::Relaxed) != 0 {
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
}

/// Adds a lock to those that are taken around a fork.
pub(super) fn register(entry: Registered) {
    REGISTER.call_once(|| {
        // SAFETY: the handlers are `extern "C"` functions without captures that stay mapped (the shared object is linked
        // with -z nodelete). A failure (no memory) leaves the process as one without handlers.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    });
    with_registry(|entries| {
        let at = entries.partition_point(|e| e.rank <= entry.rank);
        entries.insert(at, entry);
    });
}

/// Removes a lock that is about to be freed.
pub(super) fn unregister(raw: *const RawLock) {
    with_registry(|entries| entries.retain(|e| !std::ptr::eq(e.raw, raw)));
}

fn with_registry<R>(f: impl FnOnce(&mut Vec<Registered>) -> R) -> R {
    REGISTRY_LOCK.lock();
    // SAFETY: REGISTRY_LOCK is held, and `f` cannot reach this function again (callers pass short closures).
    let result = f(unsafe { &mut *REGISTRY.0.get() });
    REGISTRY_LOCK.unlock();
    result
}

/// Runs `f` on the entries although the lock is already held (between `prepare` and `parent` or `child`).
fn for_each(f: impl Fn(&Registered)) {
    // SAFETY: `prepare` took REGISTRY_LOCK on this thread and only `parent` and `child` release it.
    for entry in unsafe { &*REGISTRY.0.get() } {
        // A hook that panics must not unwind into the host's fork; its lock is released all the same.
        let _ = catch_unwind(AssertUnwindSafe(|| f(entry)));
    }
}

extern "C" fn prepare() {
    let mut round = 0_u32;
    WAITING.fetch_add(1, Ordering::Relaxed);
    loop {
        REGISTRY_LOCK.lock();
        if take_all() {
            break;
        }
        REGISTRY_LOCK.unlock();
        round = round.saturating_add(1);
        pause(round);
    }
    WAITING.fetch_sub(1, Ordering::Relaxed);
    for_each(|e| e.run(|h| h.before));
}

/// Takes all locks, or none. Never waits for one: its holder may itself be waiting to make or free a lock.
fn take_all() -> bool {
    // SAFETY: `prepare` holds REGISTRY_LOCK.
    let entries = unsafe { &*REGISTRY.0.get() };
    // SAFETY: registered entries live until `unregister`, which waits for REGISTRY_LOCK.
    let Some(held) = entries.iter().position(|e| !unsafe { (*e.raw).try_lock() }) else {
        return true;
    };
    for entry in entries.iter().take(held) {
        // SAFETY: as above; this thread took the lock just now.
        unsafe { (*entry.raw).unlock() };
    }
    false
}

/// Lets the holder of a lock go on.
fn pause(round: u32) {
    if round < 10 {
        std::thread::yield_now();
    } else {
        std::thread::sleep(std::time::Duration::from_micros(50));
    }
}

extern "C" fn parent() {
    for_each(|e| e.run(|h| h.parent));
    // SAFETY: as in `prepare`, which took these locks on this thread.
    for_each(|e| unsafe { (*e.raw).unlock() });
    REGISTRY_LOCK.unlock();
}

extern "C" fn child() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
    // Other threads of the parent, which wait to fork, are not here.
    WAITING.store(0, Ordering::Relaxed);
    for_each(|e| e.run(|h| h.child));
    // SAFETY: as in `prepare`; the thread that forked is the one that lives on here.
    for_each(|e| unsafe { (*e.raw).unlock() });
    REGISTRY_LOCK.unlock();
}
