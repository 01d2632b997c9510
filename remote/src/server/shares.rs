//! What one peer has of the server, so that no peer has all of it; and the wrong PINs that came from each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libkmss::clock::Clock;
use libkmss::error::{Error, ErrorKind, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::config::ServerConfig;

/// Long readings of one peer at a time: half of the threads for them.
const READINGS: usize = super::bridge::LONG / 2;

/// What is shared among peers.
pub(super) struct Shares {
    pub(super) connections: Arc<Pool>,
    /// Calls that are not over in microseconds, and streams.
    pub(super) calls: Arc<Pool>,
    /// What reads everything there is.
    pub(super) readings: Arc<Pool>,
    /// Bytes that streams hold until their end, and answers until they were fetched.
    pub(super) bytes: Arc<Pool>,
}

impl Shares {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let number = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
        Self {
            connections: Pool::new(number(config.max_peer_connections), usize::MAX),
            calls: Pool::new(number(config.max_peer_calls), usize::MAX),
            readings: Pool::new(READINGS, usize::MAX),
            bytes: Pool::new(number(config.max_peer_held_bytes), number(config.max_held_bytes)),
        }
    }
}

/// So much of something, of which each peer has at most a part.
pub(super) struct Pool {
    of_peer: usize,
    of_all: usize,
    taken: Mutex<Taken>,
    /// Told when something was given back.
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    all: usize,
    peers: HashMap<Arc<str>, usize>,
}

impl Pool {
    fn new(of_peer: usize, of_all: usize) -> Arc<Self> {
        Arc::new(Self { of_peer, of_all, taken: Mutex::default(), freed: Notify::new() })
    }

    /// `amount` of it for `peer`, until the share is dropped; `None` where that is more than there is.
    pub(super) fn take(self: &Arc<Self>, peer: &Arc<str>, amount: usize) -> Option<Share> {
        let mut share = Share { of: Arc::clone(self), peer: Arc::clone(peer), amount: 0 };
        share.grow(amount).then_some(share)
    }

    /// As [`Self::take`], as soon as there is so much, or, where that can never be, when there is all that `peer` may have.
    pub(super) async fn take_when_free(self: &Arc<Self>, peer: &Arc<str>, amount: usize) -> Share {
        let amount = amount.min(self.of_peer).min(self.of_all);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // What is given back from now on is heard of.
            freed.as_mut().enable();
            if let Some(share) = self.take(peer, amount) {
                return share;
            }
            freed.await;
        }
    }

    /// `amount` of it for `peer`, though there may be less: it is there already.
    pub(super) fn note(self: &Arc<Self>, peer: &Arc<str>, amount: usize) -> Share {
        let mut taken = self.locked();
        taken.all = taken.all.saturating_add(amount);
        let of = taken.peers.entry(Arc::clone(peer)).or_default();
        *of = of.saturating_add(amount);
        drop(taken);
        Share { of: Arc::clone(self), peer: Arc::clone(peer), amount }
    }

    /// What `peer` has of it, and whether that is all that it may have.
    pub(super) fn of(&self, peer: &Arc<str>) -> (usize, bool) {
        let has = self.locked().peers.get(peer).copied().unwrap_or_default();
        (has, has >= self.of_peer)
    }

    fn locked(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a peer has of a pool.
pub(super) struct Share {
    of: Arc<Pool>,
    peer: Arc<str>,
    amount: usize,
}

impl Share {
    /// Takes `more`; `false`, and nothing is taken, where that is more than there is.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let mut taken = self.of.locked();
        let peer = taken.peers.get(&self.peer).copied().unwrap_or_default().saturating_add(more);
        let all = taken.all.saturating_add(more);
        if peer > self.of.of_peer || all > self.of.of_all {
            return false;
        }
        taken.all = all;
        taken.peers.insert(Arc::clone(&self.peer), peer);
        self.amount += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.locked();
        taken.all = taken.all.saturating_sub(self.amount);
        if let Some(peer) = taken.peers.get_mut(&self.peer) {
            *peer = peer.saturating_sub(self.amount);
            if *peer == 0 {
                taken.peers.remove(&self.peer);
            }
        }
        drop(taken);
        // Where nothing is given back, who waits would be woken by its own try, again and again.
        if self.amount > 0 {
            self.of.freed.notify_waiters();
        }
    }
}

/// What a call has of the server until the last byte of its answer was taken, or nobody takes it any more.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<Share>>>);

impl Kept {
    pub(super) fn keep(&self, share: Share) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(share);
    }
}

/// Wrong PINs of one peer, within [`MEMORY`]: fewer than lock a credential.
const WRONG: usize = 3;
/// How long a wrong PIN counts.
const MEMORY: Duration = Duration::from_secs(3600);

/// What each peer tried.
pub(super) struct Attempts {
    clock: Arc<dyn Clock>,
    most: usize,
    peers: Mutex<HashMap<Arc<str>, Tried>>,
    /// Of each peer that has calls with PINs under way: they are looked at one after the other.
    turns: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
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
        Self { clock, most: WRONG.min(below).max(1), peers: Mutex::default(), turns: Mutex::default() }
    }

    /// Waits until no other call of `peer` tries PINs, at most until `deadline` on the monotonic clock: which of several PINs
    /// are wrong is known one after the other, and right ones that come at once are no attempt too many.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where its turn did not come in time.
    pub(super) async fn turn(&self, peer: &Arc<str>, deadline: Duration) -> Result<OwnedSemaphorePermit> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever waits or has their turn holds theirs.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(Arc::clone(peer)).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let left = deadline.saturating_sub(self.clock.monotonic());
        match tokio::time::timeout(left, turn.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Error::new(ErrorKind::Busy, "other PINs of this peer are looked at: try again")),
        }
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
    use std::pin::pin;
    use std::task::{Context, Waker};

    use libkmss::clock::SystemClock;

    use super::*;

    #[test]
    fn a_peer_has_its_part_of_a_pool_and_gives_it_back() {
        let (pool, a, b): (_, Arc<str>, Arc<str>) = (Pool::new(6, 10), "a".into(), "b".into());
        let mut first = pool.take(&a, 4).unwrap();
        assert!(pool.take(&a, 3).is_none());
        assert!(first.grow(2) && !first.grow(1));
        // There is less left than its part.
        assert!(pool.take(&b, 5).is_none());
        let other = pool.take(&b, 4).unwrap();
        drop(first);
        assert!(pool.take(&a, 6).is_some());
        drop(other);
        // What is there already is noted, and leaves nothing to take.
        let noted = pool.note(&a, 7);
        assert!(pool.of(&a) == (7, true) && pool.take(&a, 0).is_none() && pool.take(&b, 3).is_some());
        drop(noted);
        assert_eq!(pool.of(&a), (0, false));
        assert!(pool.locked().peers.is_empty() && pool.locked().all == 0);
    }

    #[test]
    fn who_waits_for_a_share_is_woken_by_what_is_given_back_and_not_by_its_own_try() {
        let (pool, peer): (_, Arc<str>) = (Pool::new(6, 10), "a".into());
        let mut nobody = Context::from_waker(Waker::noop());
        let all = pool.take(&peer, 6).unwrap();
        let mut waiting = pin!(pool.take_when_free(&peer, 2));
        assert!(waiting.as_mut().poll(&mut nobody).is_pending());
        assert!(waiting.as_mut().poll(&mut nobody).is_pending());
        drop(all);
        assert!(waiting.as_mut().poll(&mut nobody).is_ready());
    }

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
