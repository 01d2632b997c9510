//! Time. Nothing else in the project reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::os::rough_clocks;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// A source of time.
pub trait Clock: Send + Sync {
    /// Wall-clock time, for records and validity periods.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes backwards, for durations and deadlines.
    fn monotonic(&self) -> Duration;

    /// Both, some milliseconds late at most: for whether something is old, at a fraction of the cost.
    fn rough(&self) -> Moment;
}

/// Both clocks, looked at together: one look serves a whole step of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall-clock time.
    pub wall: Timestamp,
    /// Monotonic time.
    pub monotonic: Duration,
}

impl Moment {
    /// Now.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic() }
    }
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    /// The rough monotonic clock at the start.
    rough_start: Option<Duration>,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now(), rough_start: rough_clocks().map(|(_, monotonic)| monotonic) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn rough(&self) -> Moment {
        let (Some(start), Some((wall, monotonic))) = (self.rough_start, rough_clocks()) else {
            return Moment::of(self);
        };
        let wall = Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Moment { wall, monotonic: monotonic.saturating_sub(start) }
    }
}
