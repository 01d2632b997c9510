//! How many operations are usual at an hour of the day: an exponentially weighted mean for each hour, over windows. What raises
//! an alarm counts as the most that is usual, so that who floods does not teach that floods are usual.

use libkmss::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// Hours of a day.
const HOURS: usize = 24;
/// Days after which what was counts for a third.
const DAYS: f64 = 7.0;

/// What is usual for one principal or key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// Number of the window that is counted.
    window: u64,
    /// Operations in it so far.
    count: u64,
    /// Of each hour of the day (UTC): operations in a window, and windows seen.
    hours: [(f64, u32); HOURS],
    newest: Timestamp,
}

impl Baseline {
    /// Counts `more` operations at `time`; gives how many there are in this window, and the most that is usual in one.
    pub(super) fn add(&mut self, time: Timestamp, more: u64, window_s: u32, factor: u32, least: u32) -> (u64, u64) {
        let length = u64::from(window_s.max(1)) * 1000;
        let window = time.0 / length;
        let limit = |this: &Self, window: u64| {
            let usual = this.usual(hour(window, length)) * f64::from(factor);
            f64_to_u64(usual.ceil()).max(u64::from(least))
        };
        if window > self.window {
            if self.newest.0 > 0 {
                let most = limit(self, self.window);
                self.learn(self.window, self.count.min(most), 1, length);
                self.learn_silence(self.window + 1, window, length);
            }
            self.window = window;
            self.count = 0;
        }
        self.count = self.count.saturating_add(more);
        self.newest = self.newest.max(time);
        (self.count, limit(self, window))
    }

    /// The usual count at an hour, or at those beside it; of an hour that was never seen, at any.
    fn usual(&self, hour: usize) -> f64 {
        let near =
            [hour + HOURS - 1, hour, hour + 1].map(|hour| self.hours.get(hour % HOURS).copied().unwrap_or_default());
        let known = near.iter().any(|(_, windows)| *windows > 0);
        let all = if known { &near[..] } else { &self.hours[..] };
        all.iter().map(|(mean, _)| *mean).fold(0.0, f64::max)
    }

    /// Learns that `times` windows from `window` on, all of one hour, had `count` each.
    fn learn(&mut self, window: u64, count: u64, times: u64, length: u64) {
        let Some((mean, seen)) = self.hours.get_mut(hour(window, length)) else { return };
        let in_an_hour = (3_600_000.0 / u64_to_f64(length)).max(1.0);
        // The first windows count in full.
        let weight = (1.0 / (DAYS * in_an_hour)).max(1.0 / (f64::from(*seen) + 1.0));
        let kept = (1.0 - weight).powf(u64_to_f64(times));
        *mean = *mean * kept + u64_to_f64(count) * (1.0 - kept);
        *seen = seen.saturating_add(u32::try_from(times).unwrap_or(u32::MAX));
    }

    /// Learns that nothing happened from window `from` up to `to`.
    fn learn_silence(&mut self, from: u64, to: u64, length: u64) {
        let in_an_hour = (3_600_000 / length).max(1);
        // Beyond some days of silence all that was known is nearly gone anyway.
        let mut at = from.max(to.saturating_sub(in_an_hour * 24 * 28));
        while at < to {
            let end = ((at / in_an_hour + 1) * in_an_hour).min(to);
            self.learn(at, 0, end - at, length);
            at = end;
        }
    }

    /// When it was last added to.
    pub(super) const fn newest(&self) -> Timestamp {
        self.newest
    }
}

fn hour(window: u64, length: u64) -> usize {
    usize::try_from(window.saturating_mul(length) / 3_600_000 % 24).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of operations, whose last digits do not matter")]
const fn u64_to_f64(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and means are not negative"
)]
const fn f64_to_u64(n: f64) -> u64 {
    n as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const DAY: u64 = 24 * 60 * MINUTE;

    fn add(baseline: &mut Baseline, at: u64, more: u64) -> (u64, u64) {
        baseline.add(Timestamp(at), more, 60, 5, 20)
    }

    #[test]
    fn what_is_usual_is_learned_for_each_hour_of_the_day() {
        let mut baseline = Baseline::default();
        for day in 1..8 {
            // A hundred a minute from ten to twelve, and nothing else.
            for minute in 600..720 {
                add(&mut baseline, day * DAY + minute * MINUTE, 100);
            }
        }
        let (_, by_day) = add(&mut baseline, 8 * DAY + 630 * MINUTE, 1);
        assert!((300..=500).contains(&by_day), "{by_day}");
        let (_, by_night) = add(&mut baseline, 8 * DAY + 1300 * MINUTE, 1);
        assert!(by_night < 60, "{by_night}");
    }

    #[test]
    fn who_floods_does_not_teach_that_floods_are_usual() {
        let mut baseline = Baseline::default();
        for minute in 0..600 {
            add(&mut baseline, DAY + minute * MINUTE, 10);
        }
        let (_, before) = add(&mut baseline, DAY + 600 * MINUTE, 10);
        for minute in 601..610 {
            let (count, limit) = add(&mut baseline, DAY + minute * MINUTE, 1_000_000);
            assert!(count > limit, "minute {minute}: {limit}");
        }
        assert!(before <= 60, "{before}");
    }

    #[test]
    fn without_a_past_the_least_counts() {
        let mut baseline = Baseline::default();
        assert_eq!(add(&mut baseline, DAY, 19), (19, 20));
        assert_eq!(add(&mut baseline, DAY + 1, 2), (21, 20));
    }
}
