//! Work that one thread does for all that wait for it: of the threads that need a file to be on the disk at one time, one asks
//! the system, and the others wait for its answer.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Rounds of such work on one thing. No lock is held while it is done, so that a fork does not wait for it; a forked child must
/// leave the value alone, because the thread that works may not exist there.
#[derive(Debug, Default)]
pub struct Rounds {
    /// Even while nobody works, odd while somebody does; a futex.
    turn: AtomicU32,
    /// How many asked so far.
    asked: AtomicU64,
    /// How many of them are served.
    served: AtomicU64,
    /// A round failed. What it did for others is unknown, so all that come later fail as well.
    failed: AtomicBool,
}

/// A place among those who asked.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

impl Rounds {
    /// Asks for a round that begins later than this call. What it is to cover must have been done before.
    pub fn ask(&self) -> Ticket {
        Ticket(self.asked.fetch_add(1, Ordering::AcqRel).wrapping_add(1))
    }

    /// Whether a round failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Returns when a round was done that began after the ticket was given out: by this thread, which calls `work`, or by another.
    ///
    /// # Errors
    /// What `work` says to the thread that did it; `Other` for whom it did it, and for all who ask later.
    pub fn wait(&self, ticket: Ticket, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        loop {
            let turn = self.turn.load(Ordering::Acquire);
            if self.is_served(ticket) {
                return Ok(());
            }
            if self.has_failed() {
                return Err(io::Error::other("the disk refused an earlier record of the segment"));
            }
            if !turn.is_multiple_of(2) {
                self.sleep(turn);
                continue;
            }
            let mine = turn.wrapping_add(1);
            if self.turn.compare_exchange(turn, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return self.work(mine, &mut work);
            }
        }
    }

    fn work(&self, mine: u32, work: &mut impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let asked = self.asked.load(Ordering::Acquire);
        let done = loop {
            match work() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                other => break other,
            }
        };
        match &done {
            Ok(()) => self.served.store(asked, Ordering::Release),
            Err(_) => self.failed.store(true, Ordering::Release),
        }
        self.turn.store(mine.wrapping_add(1), Ordering::Release);
        // SAFETY: the address is valid for this call; waking nobody is harmless.
        unsafe {
            libc::syscall(libc::SYS_futex, self.turn.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
        }
        done
    }

    fn is_served(&self, ticket: Ticket) -> bool {
        self.served.load(Ordering::Acquire) >= ticket.0
    }

    /// Until the turn is another, or for no reason.
    fn sleep(&self, turn: u32) {
        // SAFETY: the address is valid for this call; a spurious return makes the caller look again.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.turn.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                turn,
                std::ptr::null::<libc::timespec>(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn threads_that_wait_at_one_time_share_rounds_and_none_returns_before_its_own() {
        let (rounds, done, covered) = (Rounds::default(), AtomicU64::new(0), AtomicU64::new(0));
        let written = AtomicU64::new(0);
        std::thread::scope(|s| {
            for _ in 0..32 {
                s.spawn(|| {
                    for _ in 0..20 {
                        let number = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let ticket = rounds.ask();
                        rounds
                            .wait(ticket, || {
                                let upto = written.load(Ordering::SeqCst);
                                std::thread::sleep(Duration::from_millis(1));
                                covered.store(upto, Ordering::SeqCst);
                                done.fetch_add(1, Ordering::SeqCst);
                                Ok(())
                            })
                            .unwrap();
                        assert!(covered.load(Ordering::SeqCst) >= number, "released before it was covered");
                    }
                });
            }
        });
        let done = done.into_inner();
        assert!((1..=320).contains(&done), "{done} rounds for 640 waits");
    }

    #[test]
    fn a_round_that_fails_fails_everybody_it_was_for_and_whoever_comes_later() {
        let rounds = Rounds::default();
        let early = rounds.ask();
        rounds.wait(early, || Ok(())).unwrap();
        let (first, second) = (rounds.ask(), rounds.ask());
        let refused = rounds.wait(first, || Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(rounds.has_failed());
        // A second try might succeed without what the first one lost.
        assert!(rounds.wait(second, || Ok(())).is_err());
        assert!(rounds.wait(rounds.ask(), || Ok(())).is_err());
        rounds.wait(early, || Err(io::ErrorKind::Other.into())).unwrap();
    }

    #[test]
    fn an_interrupted_round_is_done_again() {
        let rounds = Rounds::default();
        let mut calls = 0;
        let interrupted = || {
            calls += 1;
            if calls < 3 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        };
        rounds.wait(rounds.ask(), interrupted).unwrap();
        assert_eq!(calls, 3);
    }
}
