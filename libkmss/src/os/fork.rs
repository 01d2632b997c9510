//! `fork` as a normal event: before it every [`Lock`](super::Lock) is taken in rank order, after it all are released.
//!
//! Then it waits until nobody is in a section of [`apart_from_forks`](super::apart_from_forks). So no lock is ever held by a thread
//! that does not exist in the child, and hooks see consistent values. Other code that runs
//! without a lock (a computation on a cached key) may be cut off in the child; [`epoch`] tells such leftovers apart.
//!
//! A fork waits for each lock as any thread does, and others give way to it meanwhile; and it does not hold the registry while it
//! waits, so whoever holds a lock may make and free others meanwhile.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use super::lock::{RawLock, Registered};
use super::section;

static EPOCH: AtomicU32 = AtomicU32::new(0);
/// Forks that wait for the locks.
static WAITING: AtomicU32 = AtomicU32::new(0);
static REGISTER: Once = Once::new();
static REGISTRY_LOCK: RawLock = RawLock::new();
static REGISTRY: Registry = Registry(UnsafeCell::new(Lists { live: Vec::new(), held: Vec::new() }));

struct Registry(UnsafeCell<Lists>);

struct Lists {
    /// All locks, in the order in which a fork takes them.
    live: Vec<Registered>,
    /// What the fork under way holds.
    held: Vec<Registered>,
}

// SAFETY: the lists are only touched while REGISTRY_LOCK is held.
unsafe impl Sync for Registry {}

/// How many forks lie between the first process and this one. Costs a load.
#[must_use]
#[inline]
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

/// Lets a fork that waits for the locks be faster, once and for a moment: a thread that takes one again and again would
/// keep it waiting. Bounded, because this thread may hold a lock that the fork waits for. Costs a load.
#[inline]
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
    with_registry(|lists| {
        let at = lists.live.partition_point(|e| e.rank <= entry.rank);
        lists.live.insert(at, entry);
    });
}

/// Removes a lock whose value is about to be freed: no hook runs on it from then on.
pub(super) fn unregister(raw: &RawLock) {
    with_registry(|lists| lists.live.retain(|e| !e.is(raw)));
}

fn with_registry<R>(f: impl FnOnce(&mut Lists) -> R) -> R {
    REGISTRY_LOCK.lock();
    // SAFETY: REGISTRY_LOCK is held, and `f` cannot reach this function again (callers pass short closures).
    let result = f(unsafe { &mut *REGISTRY.0.get() });
    REGISTRY_LOCK.unlock();
    result
}

extern "C" fn prepare() {
    WAITING.fetch_add(1, Ordering::Relaxed);
    while !take_all() {
        std::thread::yield_now();
    }
    WAITING.fetch_sub(1, Ordering::Relaxed);
    section::close();
    run_hooks(|h| h.before);
}

/// Takes all locks and the registry; false, with nothing held, where a lock made meanwhile is in use.
fn take_all() -> bool {
    // In rank order, as everybody does: a holder waits only for higher ranks, which are not held here yet.
    let mut held = with_registry(|lists| lists.live.clone());
    held.iter().for_each(|e| e.raw.lock());
    REGISTRY_LOCK.lock();
    // SAFETY: REGISTRY_LOCK is held, and stays so until `parent` or `child`.
    let lists = unsafe { &mut *REGISTRY.0.get() };
    for late in &lists.live {
        // A late one may rank below what is held, so it must not be waited for.
        if !held.iter().any(|e| e.is(&late.raw)) {
            if !late.raw.try_lock() {
                REGISTRY_LOCK.unlock();
                held.iter().for_each(|e| e.raw.unlock());
                return false;
            }
            held.push(late.clone());
        }
    }
    lists.held = held;
    true
}

/// Runs a hook on the value of each lock that still has one. Between `prepare` and `parent` or `child`.
fn run_hooks(which: impl Fn(&super::lock::HookNames) -> u8) {
    // SAFETY: `prepare` took REGISTRY_LOCK on this thread and only `parent` and `child` release it.
    for entry in unsafe { &(*REGISTRY.0.get()).live } {
        // A hook that panics must not unwind into the host's fork; its lock is released all the same.
        let _ = catch_unwind(AssertUnwindSafe(|| entry.run(&which)));
    }
}

/// Releases what `prepare` took.
fn release() {
    // SAFETY: as in `run_hooks`.
    let held = std::mem::take(unsafe { &mut (*REGISTRY.0.get()).held });
    held.iter().for_each(|e| e.raw.unlock());
    REGISTRY_LOCK.unlock();
}

extern "C" fn parent() {
    run_hooks(|h| h.parent);
    section::open();
    release();
}

extern "C" fn child() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
    // Other threads of the parent, which wait to fork, are not here.
    WAITING.store(0, Ordering::Relaxed);
    run_hooks(|h| h.child);
    section::reset();
    release();
}
