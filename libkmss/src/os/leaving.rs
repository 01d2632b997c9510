//! The end of a process whose threads go on: libraries linked in here take their state down in destructors, and what a
//! thread begins with them afterwards may abort the process (docs/adr/0023-the-end-of-the-process.md).

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use once_cell::race::OnceBox;

use super::lock::{Lock, Rank};

/// The handlers of `exit` run.
static LEAVING: AtomicBool = AtomicBool::new(false);
/// The destructors run.
static LEFT: AtomicBool = AtomicBool::new(false);
static ENTRANCE: OnceBox<Entrance> = OnceBox::new();

thread_local! {
    static PREPARED: Cell<bool> = const { Cell::new(false) };
}

struct Entrance {
    prepare: fn(),
    /// Held while a thread is prepared: the end of the process waits for that.
    preparing: Lock<Registered>,
}

/// Whether the end of the process will be heard of.
struct Registered(bool);

/// Whether this thread may work still. The first time it is prepared by `prepare`, which is the same for all; a thread
/// that comes for the first time while the process ends is refused, and so is everybody once destructors run.
#[inline]
#[must_use]
pub fn may_enter(prepare: fn()) -> bool {
    !LEFT.load(Ordering::Relaxed) && (PREPARED.get() || enter(prepare))
}

/// Whether the process ends: what others' libraries stand on may be taken down already.
#[must_use]
pub fn is_leaving() -> bool {
    LEAVING.load(Ordering::Relaxed) || LEFT.load(Ordering::Relaxed)
}

#[cold]
fn enter(prepare: fn()) -> bool {
    let entrance = ENTRANCE
        .get_or_init(|| Box::new(Entrance { prepare, preparing: Lock::new(Rank::Entrance, Registered(false)) }));
    let mut registered = entrance.preparing.lock();
    if LEAVING.load(Ordering::Relaxed) {
        return false;
    }
    if !registered.0 {
        // SAFETY: the handler is an `extern "C"` function without captures that stays mapped (the shared object is linked
        // with -z nodelete). A failure (no memory) leaves the process as one without a handler.
        registered.0 = unsafe { libc::atexit(leave) } == 0;
    }
    (entrance.prepare)();
    drop(registered);
    PREPARED.set(true);
    true
}

/// Lets nobody in any more who was not here before, but for the thread that ends the process: what it calls from handlers
/// that run after this one works.
extern "C" fn leave() {
    let Some(entrance) = ENTRANCE.get() else { return };
    if !LEFT.load(Ordering::Relaxed) && !PREPARED.get() {
        let _ = enter(entrance.prepare);
    }
    // Bounded: a program may call `exit` in a signal handler, in the midst of anything.
    for _ in 0..100 {
        if let Some(_preparing) = entrance.preparing.try_lock() {
            LEAVING.store(true, Ordering::Relaxed);
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    LEAVING.store(true, Ordering::Relaxed);
}

/// Runs among the destructors of this shared object. It is the host's other libraries that may still call.
extern "C" fn left() {
    LEFT.store(true, Ordering::Relaxed);
}

// SAFETY: the section holds addresses of functions without arguments, and only these. `left` touches one static.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_THE_END: extern "C" fn() = left;
