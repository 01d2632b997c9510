//! Calls into code of others that takes locks which `fork` would leave locked, by many threads at once: a fork waits until
//! nobody is within one.
//!
//! aws-lc asks two locks of its own for each random number, signatures and new keys included, whether the process was forked. In
//! a child that was forked while another thread held one for reading, the first random number would wait for ever to write.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::pool::{PLACES, home};
use super::time::exact_monotonic;

/// How many threads are within a section, counted apart so that they do not disturb each other.
static INSIDE: [Place; PLACES] = [const { Place(AtomicU32::new(0)) }; PLACES];
/// How many threads are within a call that may take any time, counted apart likewise.
static BESIDE: [Place; PLACES] = [const { Place(AtomicU32::new(0)) }; PLACES];
/// How long a fork waits for these.
const PATIENCE: Duration = Duration::from_millis(100);
/// Whether a fork is under way.
static CLOSED: AtomicBool = AtomicBool::new(false);
/// How long who waits sleeps at a time.
const NAP: Duration = Duration::from_micros(20);

/// Alone in its cache line.
#[repr(align(64))]
struct Place(AtomicU32);

/// A section; it ends when this is dropped.
struct Inside(&'static AtomicU32);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(debug_assertions)]
thread_local! {
    /// Whether this thread is in a section.
    static HERE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// In debug builds: a section within a section could wait for a fork that waits for it.
#[inline]
fn note(entered: bool) {
    #[cfg(debug_assertions)]
    let _ = HERE.try_with(|here| assert!(here.replace(entered) != entered, "a section within a section"));
    #[cfg(not(debug_assertions))]
    let _ = entered;
}

/// Runs `f`, during which no fork happens. It takes no [`Lock`](super::Lock) and enters no section again: a fork under way
/// may hold the one, and waits for the other.
pub fn apart_from_forks<R>(f: impl FnOnce() -> R) -> R {
    note(true);
    let inside = enter();
    let result = f();
    drop(inside);
    note(false);
    result
}

/// Lets a fork that waits be, in the midst of a long section.
pub fn let_forks_be() {
    if CLOSED.load(Ordering::Relaxed) {
        if let Some(place) = INSIDE.get(home()) {
            drop(Inside(&place.0));
        }
        std::mem::forget(enter());
    }
}

/// Runs `f`, a call into somebody else's module, which no fork begins beside, if that ends within a moment: a fork waits for it
/// no longer than that. May be nested, and locks of ours may be taken within; only a fork under way waits longer then.
pub fn beside_forks<R>(f: impl FnOnce() -> R) -> R {
    let _inside = enter_of(&BESIDE);
    f()
}

fn enter() -> Inside {
    enter_of(&INSIDE)
}

fn enter_of(places: &'static [Place; PLACES]) -> Inside {
    let [first, ..] = places;
    let place = &places.get(home()).unwrap_or(first).0;
    loop {
        // Either the fork sees this thread, or this thread sees the fork: both count first and look then.
        place.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(place);
        if !CLOSED.load(Ordering::SeqCst) {
            return inside;
        }
        drop(inside);
        while CLOSED.load(Ordering::Relaxed) {
            std::thread::sleep(NAP);
        }
    }
}

/// Keeps threads from entering and waits until all are out. The fork holds every lock by now, so that who is inside is not
/// kept by one.
pub(super) fn close() {
    CLOSED.store(true, Ordering::SeqCst);
    for place in &INSIDE {
        while place.0.load(Ordering::SeqCst) != 0 {
            std::thread::sleep(NAP);
        }
    }
    let until = exact_monotonic().unwrap_or_default() + PATIENCE;
    for place in &BESIDE {
        while place.0.load(Ordering::SeqCst) != 0 && exact_monotonic().is_some_and(|now| now < until) {
            std::thread::sleep(NAP);
        }
    }
}

/// Lets threads enter again.
pub(super) fn open() {
    CLOSED.store(false, Ordering::Release);
}

/// Forgets, in a child, who looked in while it was forked.
pub(super) fn reset() {
    INSIDE.iter().chain(&BESIDE).for_each(|place| place.0.store(0, Ordering::Relaxed));
    open();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_fork_waits_for_sections_and_long_ones_let_it_be() {
        // The first lock of a process has it care for forks.
        let _lock = crate::os::Lock::new(crate::os::Rank::Cache, ());
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        apart_from_forks(|| (0..n * 100).for_each(|_| let_forks_be()));
                    }
                })
            })
            .collect();
        for _ in 0..30 {
            // SAFETY: the child calls nothing but what ends it.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let fine = !CLOSED.load(Ordering::SeqCst) && INSIDE.iter().all(|p| p.0.load(Ordering::SeqCst) == 0);
                apart_from_forks(let_forks_be);
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(!fine)) };
            }
            let mut status = -1;
            // SAFETY: the status is ours.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
