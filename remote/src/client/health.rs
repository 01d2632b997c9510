//! How one address is doing: a circuit breaker with half-open probes, and what balancing goes by.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Troubles in a row until an address is left alone.
const PATIENCE: u32 = 3;
/// How long it is left alone at first, and at most.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

/// What a call that came to nothing says of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Nothing: another call said it of the same connection.
    Known,
    /// One more trouble.
    Once,
    /// It is silent: it is left alone at once.
    Silence,
}

/// What is remembered of an address. All numbers are hints: races cost a call more or less.
#[derive(Debug, Default)]
pub(super) struct Health {
    troubles: AtomicU32,
    /// Monotonic time in microseconds of the first trouble in a row.
    since: AtomicU64,
    /// Monotonic time in microseconds of the last one.
    last: AtomicU64,
    /// Monotonic time in microseconds from which one call may try again.
    retry_at: AtomicU64,
    /// Calls under way.
    busy: AtomicU32,
    /// Moving average of how long calls take, in microseconds.
    latency: AtomicU64,
}

impl Health {
    /// Whether a call may go there. While it is left alone one call at a time may find out whether it is back.
    pub(super) fn admits(&self, now: Duration) -> bool {
        if self.is_well() {
            return true;
        }
        let (now, at) = (micros(now), self.retry_at.load(Ordering::Relaxed));
        let next = now.saturating_add(micros(self.pause()));
        now >= at && self.retry_at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether nothing is held against it: it is not left alone.
    pub(super) fn is_well(&self) -> bool {
        self.troubles.load(Ordering::Relaxed) < PATIENCE
    }

    /// How long it has been in trouble without a break; nothing where it is not.
    pub(super) fn in_trouble(&self, now: Duration) -> Option<Duration> {
        let troubled = self.troubles.load(Ordering::Relaxed) != 0;
        troubled.then(|| now.saturating_sub(Duration::from_micros(self.since.load(Ordering::Relaxed))))
    }

    /// A call begins.
    pub(super) fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// A call ended of which nothing is to be said.
    pub(super) fn given_up(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// A call was answered; whether that ended a trouble that was told of.
    pub(super) fn answered(&self, took: Duration) -> bool {
        self.busy.fetch_sub(1, Ordering::Relaxed);
        let (old, took) = (self.latency.load(Ordering::Relaxed), micros(took).max(1));
        let new = if old == 0 { took } else { (old * 7 + took) / 8 };
        self.latency.store(new, Ordering::Relaxed);
        self.troubles.swap(0, Ordering::Relaxed) >= PATIENCE
    }

    /// A call that began at `began` came to nothing; whether the address is to be left alone from now on. What was under way
    /// when that was last said of it says nothing new.
    pub(super) fn troubled(&self, began: Duration, now: Duration, severity: Severity) -> bool {
        self.busy.fetch_sub(1, Ordering::Relaxed);
        let more = match severity {
            Severity::Known => return false,
            _ if !self.is_well() && micros(began) < self.last.load(Ordering::Relaxed) => return false,
            Severity::Once => 1,
            Severity::Silence => PATIENCE,
        };
        self.last.store(micros(now), Ordering::Relaxed);
        let before = self.troubles.fetch_add(more, Ordering::Relaxed);
        let after = before.saturating_add(more);
        if before == 0 {
            self.since.store(micros(now), Ordering::Relaxed);
        }
        if after >= PATIENCE {
            self.retry_at.store(micros(now.saturating_add(self.pause())), Ordering::Relaxed);
        }
        before < PATIENCE && after >= PATIENCE
    }

    /// What a call costs there, for a choice between two.
    pub(super) fn load(&self) -> u64 {
        let latency = self.latency.load(Ordering::Relaxed).max(1);
        latency.saturating_mul(u64::from(self.busy.load(Ordering::Relaxed)) + 1)
    }

    /// A forked child has no calls under way.
    pub(super) fn settle_in_child(&self) {
        self.busy.store(0, Ordering::Relaxed);
    }

    fn pause(&self) -> Duration {
        let over = self.troubles.load(Ordering::Relaxed).saturating_sub(PATIENCE).min(6);
        FIRST.saturating_mul(1 << over).min(MOST)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn an_address_in_trouble_is_left_alone_but_for_one_probe_at_a_time() {
        let health = Health::default();
        for n in 0..3 {
            assert!(health.admits(ms(n)));
            health.begin();
            assert_eq!(health.troubled(ms(n), ms(n), Severity::Once), n == 2);
        }
        assert!(!health.admits(ms(50)), "the circuit is open");
        assert_eq!(health.in_trouble(ms(50)), Some(ms(50)));
        assert!(health.admits(ms(200)), "half open");
        assert!(!health.admits(ms(200)), "one probe at a time");
        health.begin();
        assert!(health.answered(ms(1)), "it closes again");
        assert!(health.admits(ms(201)) && health.in_trouble(ms(201)).is_none());
    }

    #[test]
    fn an_address_that_does_not_answer_in_time_is_left_alone_at_once() {
        let health = Health::default();
        health.begin();
        assert!(health.troubled(ms(1), ms(1), Severity::Silence));
        assert!(!health.admits(ms(2)));
    }

    #[test]
    fn calls_that_were_under_way_together_are_one_trouble() {
        let health = Health::default();
        (0..64).for_each(|_| health.begin());
        let counted = (0..64).filter(|_| health.troubled(ms(1), ms(2), Severity::Once)).count();
        assert_eq!((counted, health.load()), (1, 1), "it is left alone once, and nothing is under way");
        assert!(health.admits(ms(150)), "and no longer than after one trouble");
        health.begin();
        assert!(!health.troubled(ms(150), ms(151), Severity::Once), "a probe that fails is another");
        assert!(!health.admits(ms(260)), "which makes the pause longer");
        let known = Health::default();
        known.begin();
        assert!(!known.troubled(ms(1), ms(2), Severity::Known) && known.in_trouble(ms(3)).is_none());
    }

    #[test]
    fn load_grows_with_latency_and_with_calls_under_way() {
        let (near, far) = (Health::default(), Health::default());
        for (health, took) in [(&near, ms(1)), (&far, ms(9))] {
            health.begin();
            health.answered(took);
        }
        assert!(near.load() < far.load());
        (0..20).for_each(|_| near.begin());
        assert!(near.load() > far.load());
    }
}
