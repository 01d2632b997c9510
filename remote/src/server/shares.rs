//! What one peer has of the server, so that no peer has all of it; and the wrong PINs that came from each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::error::{Error, ErrorKind, Result};

/// Wrong PINs of one peer, within [`MEMORY`]: fewer than lock a credential.
const WRONG: usize = 3;
/// How long a wrong PIN counts.
const MEMORY: Duration = Duration::from_secs(3600);

/// What each peer tried.
pub(super) struct Attempts {
    clock: Arc<dyn Clock>,
    most: usize,
    peers: Mutex<HashMap<Arc<str>, Tried>>,
}

#[derive(Default)]
struct Tried {
    /// When wrong PINs came, on the monotonic clock; the oldest first.
    wrong: VecDeque<Duration>,
    /// PINs that are looked at.
    open: usize,
}

impl Attempts {
    /// Where `locks` wrong PINs lock a credential.
    pub(super) fn new(locks: u32, clock: Arc<dyn Clock>) -> Self {
        let below = usize::try_from(locks).unwrap_or(usize::MAX).saturating_sub(1);
        Self { clock, most: WRONG.min(below).max(1), peers: Mutex::default() }
    }

    /// Lets `peer` try a PIN.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] where too many were wrong; [`ErrorKind::Busy`] where as many are looked at as may be wrong still.
    pub(super) fn begin<'a>(&'a self, peer: &Arc<str>) -> Result<Attempt<'a>> {
        let now = self.clock.monotonic();
        let mut peers = self.locked();
        peers.retain(|_, tried| {
            while tried.wrong.front().is_some_and(|at| now.saturating_sub(*at) > MEMORY) {
                tried.wrong.pop_front();
            }
            tried.open > 0 || !tried.wrong.is_empty()
        });
        let tried = peers.entry(Arc::clone(peer)).or_default();
        if tried.wrong.len() >= self.most {
            let why = "too many wrong PINs came from this peer: try again in an hour, or on the server's host";
            return Err(Error::new(ErrorKind::Denied, why));
        }
        if tried.wrong.len() + tried.open >= self.most {
            return Err(Error::new(ErrorKind::Busy, "other PINs of this peer are looked at: try again"));
        }
        tried.open += 1;
        Ok(Attempt { of: self, peer: Arc::clone(peer) })
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Arc<str>, Tried>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A PIN that is looked at.
pub(super) struct Attempt<'a> {
    of: &'a Attempts,
    peer: Arc<str>,
}

impl Attempt<'_> {
    /// Notes whether the PIN was wrong, which `done` says.
    pub(super) fn end<T>(self, done: Result<T>) -> Result<T> {
        if matches!(&done, Err(e) if matches!(e.kind(), ErrorKind::PinIncorrect | ErrorKind::PinLocked)) {
            let now = self.of.clock.monotonic();
            self.of.locked().entry(Arc::clone(&self.peer)).or_default().wrong.push_back(now);
        }
        done
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(tried) = self.of.locked().get_mut(&self.peer) {
            tried.open = tried.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use libkmss::clock::SystemClock;

    use super::*;

    #[test]
    fn wrong_pins_of_one_peer_end_before_a_credential_locks_and_right_ones_count_for_nothing() {
        let tried = |locks| {
            let attempts = Attempts::new(locks, Arc::new(SystemClock::default()));
            let peer: Arc<str> = "a".into();
            let mut looked_at = 0;
            for _ in 0..20 {
                attempts.begin(&peer).map(|attempt| attempt.end(Ok(()))).unwrap().unwrap();
            }
            while let Ok(attempt) = attempts.begin(&peer) {
                looked_at += 1;
                let wrong: Result<()> = Err(Error::new(ErrorKind::PinIncorrect, "wrong"));
                assert!(attempt.end(wrong).is_err());
            }
            assert!(attempts.begin(&"b".into()).is_ok());
            assert_eq!(attempts.begin(&peer).err().unwrap().kind(), ErrorKind::Denied);
            looked_at
        };
        assert_eq!([10, 4, 3, 2, 1].map(tried), [3, 3, 2, 1, 1]);
    }

    #[test]
    fn several_at_once_are_no_way_around_it() {
        let attempts = Attempts::new(10, Arc::new(SystemClock::default()));
        let peer: Arc<str> = "a".into();
        let open: Vec<_> = (0..WRONG).map(|_| attempts.begin(&peer).unwrap()).collect();
        assert_eq!(attempts.begin(&peer).err().unwrap().kind(), ErrorKind::Busy);
        drop(open);
        assert!(attempts.begin(&peer).is_ok());
    }
}
