//! Which time a report is about.

use libkmss::clock::Timestamp;
use serde::{Serialize, Serializer};

use crate::moment;
use crate::output::Failure;

/// Milliseconds of a day.
pub(super) const DAY: u64 = 86_400_000;
/// Days that a report is about where nothing else is said.
const DAYS: u64 = 30;

/// From when until when: the end does not belong to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    /// The first millisecond.
    pub since: Timestamp,
    /// The first millisecond after it.
    pub until: Timestamp,
}

impl Period {
    /// What the command line says; else the days before `now`.
    ///
    /// # Errors
    /// A text that is no time, or an end that is not after the beginning.
    pub(super) fn parse(since: Option<&str>, until: Option<&str>, now: Timestamp) -> Result<Self, Failure> {
        let until = until.map_or(Ok(now), moment::parse)?;
        let before = Timestamp(until.0.saturating_sub(DAYS * DAY));
        let since = since.map_or(Ok(before), moment::parse)?;
        if since < until { Ok(Self { since, until }) } else { Err("the period ends before it begins".into()) }
    }

    /// Whether `time` lies in it.
    pub(super) fn contains(&self, time: Timestamp) -> bool {
        (self.since..self.until).contains(&time)
    }

    /// Its length in days, rounded up.
    pub(super) const fn days(&self) -> u64 {
        self.until.0.saturating_sub(self.since.0).div_ceil(DAY)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = to.serialize_struct("Period", 2)?;
        fields.serialize_field("since", &moment::rfc3339(self.since))?;
        fields.serialize_field("until", &moment::rfc3339(self.until))?;
        fields.end()
    }
}

/// A moment as RFC 3339.
pub(super) fn rfc3339<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&moment::rfc3339(*time))
}

/// A moment as RFC 3339, or nothing.
pub(super) fn rfc3339_or_null<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, to),
        None => to.serialize_none(),
    }
}

/// The day of a moment, `YYYY-MM-DD` in UTC.
pub(super) fn day(time: Timestamp) -> String {
    moment::rfc3339(time).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_period_is_thirty_days_unless_somebody_says_otherwise() {
        let now = Timestamp(100 * DAY);
        let period = Period::parse(None, None, now).unwrap();
        assert_eq!((period.since, period.until, period.days()), (Timestamp(70 * DAY), now, 30));
        assert!(!period.contains(now) && period.contains(Timestamp(now.0 - 1)));
        let period = Period::parse(Some("1970-01-02"), Some("1970-01-03"), now).unwrap();
        assert_eq!((period.since, period.days()), (Timestamp(DAY), 1));
        assert!(Period::parse(Some("1970-01-03"), Some("1970-01-03"), now).is_err());
        assert_eq!(day(Timestamp(DAY)), "1970-01-02");
    }
}
