//! A bell for one thread: it sleeps until somebody rings, no longer than it is told.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SILENT: u32 = 0;
const RUNG: u32 = 1;
/// Its thread sleeps.
const AWAITED: u32 = 2;

/// Wakes the thread that waits for it. What was rung before the wait counts, once.
#[derive(Debug, Default)]
pub struct Bell(AtomicU32);

impl Bell {
    /// One that nobody rang.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(SILENT))
    }

    /// Wakes whoever waits, or who waits next.
    pub fn ring(&self) {
        if self.0.swap(RUNG, Ordering::AcqRel) == AWAITED {
            // SAFETY: the address is valid while `self` is; waking nobody is harmless.
            unsafe {
                libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
            }
        }
    }

    /// Waits until it rings, `most` at longest; whether it rang. Only one thread waits at a time. A signal may end the wait
    /// early.
    pub fn wait(&self, most: Duration) -> bool {
        if self.0.compare_exchange(SILENT, AWAITED, Ordering::Acquire, Ordering::Acquire).is_ok() {
            let time = libc::timespec {
                tv_sec: most.as_secs().try_into().unwrap_or(libc::time_t::MAX),
                tv_nsec: most.subsec_nanos().into(),
            };
            // SAFETY: the address is valid while `self` is; the time is a valid one.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    AWAITED,
                    &raw const time,
                );
            }
        }
        self.0.swap(SILENT, Ordering::Acquire) == RUNG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_counts_once_and_silence_ends() {
        let bell = Bell::new();
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::from_secs(60)));
        assert!(!bell.wait(Duration::from_millis(5)));
    }

    #[test]
    fn two_threads_wake_each_other_every_time() {
        let (there, back) = (Bell::new(), Bell::new());
        let heard = |bell: &Bell| (0..600).any(|_| bell.wait(Duration::from_millis(100)));
        std::thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..2_000 {
                    assert!(heard(&there));
                    back.ring();
                }
            });
            for _ in 0..2_000 {
                there.ring();
                assert!(heard(&back));
            }
        });
    }
}
