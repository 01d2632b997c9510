//! Time. Nothing else in the project reads a clock.

use std::time::Duration;

use crate::os::{exact_monotonic, exact_wall, rough_clocks, rough_wall};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment as people write it, to the second: `2026-01-31T12:00:00Z`.
    #[must_use]
    pub fn utc(self) -> String {
        let seconds = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        let t = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
        let (hour, minute, second) = (t.hour(), t.minute(), t.second());
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A source of time.
pub trait Clock: Send + Sync {
    /// Wall-clock time, for records and validity periods.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes backwards, for durations and deadlines.
    fn monotonic(&self) -> Duration;

    /// Both, some milliseconds late at most: for whether something is old, at a fraction of the cost.
    fn rough(&self) -> Moment;

    /// Both, the wall clock some milliseconds late at most: when something began that is not recorded yet.
    fn begun(&self) -> Moment {
        Moment { wall: self.now(), monotonic: self.monotonic() }
    }
}

/// Both clocks, looked at together: one look serves a whole step of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall-clock time.
    pub wall: Timestamp,
    /// Monotonic time.
    pub monotonic: Duration,
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    /// The monotonic clock at the start.
    start: Duration,
    /// The rough monotonic clock at the start.
    rough_start: Option<Duration>,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            start: exact_monotonic().unwrap_or_default(),
            rough_start: rough_clocks().map(|(_, monotonic)| monotonic),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        milliseconds(exact_wall().unwrap_or_default())
    }

    fn monotonic(&self) -> Duration {
        exact_monotonic().unwrap_or_default().saturating_sub(self.start)
    }

    fn rough(&self) -> Moment {
        let (Some(start), Some((wall, monotonic))) = (self.rough_start, rough_clocks()) else {
            return Moment { wall: self.now(), monotonic: self.monotonic() };
        };
        Moment { wall: milliseconds(wall), monotonic: monotonic.saturating_sub(start) }
    }

    fn begun(&self) -> Moment {
        Moment { wall: rough_wall().map_or_else(|| self.now(), milliseconds), monotonic: self.monotonic() }
    }
}

fn milliseconds(since: Duration) -> Timestamp {
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
