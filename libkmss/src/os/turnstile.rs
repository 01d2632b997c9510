//! So many at a time: a counting semaphore that waits no longer than it is told, and that a forked child sets anew.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::time::exact_monotonic;

/// Lets a number of threads pass at a time.
#[derive(Debug)]
pub struct Turnstile {
    free: AtomicU32,
    waiting: AtomicU32,
}

impl Turnstile {
    /// One that `places` threads can have passed at a time.
    #[must_use]
    pub const fn new(places: u32) -> Self {
        Self { free: AtomicU32::new(places), waiting: AtomicU32::new(0) }
    }

    /// Waits for a place, `most` at longest; whether there is one. Whoever passed calls [`Self::leave`].
    pub fn enter(&self, most: Duration) -> bool {
        if self.try_enter() {
            return true;
        }
        let end = exact_monotonic().unwrap_or_default().saturating_add(most);
        loop {
            let left = end.saturating_sub(exact_monotonic().unwrap_or_default());
            if left.is_zero() {
                return false;
            }
            self.waiting.fetch_add(1, Ordering::SeqCst);
            if self.free.load(Ordering::SeqCst) == 0 {
                self.wait(left);
            }
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            if self.try_enter() {
                return true;
            }
        }
    }

    fn try_enter(&self) -> bool {
        self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| free.checked_sub(1)).is_ok()
    }

    fn wait(&self, most: Duration) {
        let time = libc::timespec {
            tv_sec: most.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: most.subsec_nanos().into(),
        };
        // SAFETY: the address is valid while `self` is; the time is a valid one; a spurious return only repeats the loop.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.free.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                0,
                &raw const time,
            );
        }
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.free.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) != 0 {
            // SAFETY: as above; waking nobody is harmless.
            unsafe {
                libc::syscall(libc::SYS_futex, self.free.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
            }
        }
    }

    /// As at the beginning: in a forked child, where nobody who passed is left.
    pub fn reset(&self, places: u32) {
        self.waiting.store(0, Ordering::SeqCst);
        self.free.store(places, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_places_are_inside_at_a_time_and_everybody_gets_in() {
        let turnstile = Turnstile::new(2);
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    for _ in 0..200 {
                        assert!(turnstile.enter(Duration::from_secs(60)));
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        turnstile.leave();
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn a_wait_ends_and_a_child_starts_with_every_place() {
        let turnstile = Turnstile::new(1);
        assert!(turnstile.enter(Duration::ZERO));
        assert!(!turnstile.enter(Duration::from_millis(5)));
        turnstile.reset(1);
        assert!(turnstile.enter(Duration::ZERO));
    }
}
