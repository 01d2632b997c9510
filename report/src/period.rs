//! Which time a report is about.

use libkmss::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
pub const DAY: u64 = 86_400_000;
/// Days that a report is about where nothing else is said.
const DAYS: u64 = 30;

/// From when until when: the end does not belong to it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Period {
    /// The first millisecond.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// The first millisecond after it.
    #[serde(with = "rfc3339")]
    pub until: Timestamp,
}

impl Period {
    /// What is said; else the days before `now`. `None` where it ends before it begins.
    #[must_use]
    pub fn of(since: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let until = until.unwrap_or(now);
        let since = since.unwrap_or(Timestamp(until.0.saturating_sub(DAYS * DAY)));
        (since < until).then_some(Self { since, until })
    }

    /// Whether `time` lies in it.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        (self.since..self.until).contains(&time)
    }

    /// Its length in days, rounded up.
    #[must_use]
    pub const fn days(&self) -> u64 {
        self.until.0.saturating_sub(self.since.0).div_ceil(DAY)
    }
}

/// A moment as RFC 3339.
pub(crate) mod rfc3339 {
    use libkmss::clock::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::period::written(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        crate::period::read(&text).ok_or_else(|| D::Error::custom("this is no time"))
    }
}

/// A moment as RFC 3339, or nothing.
pub(crate) mod rfc3339_or_null {
    use libkmss::clock::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => crate::period::rfc3339::serialize(time, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| crate::period::read(&text).ok_or_else(|| D::Error::custom("this is no time"))).transpose()
    }
}

/// RFC 3339 in UTC, with milliseconds; what lies beyond all years as its number.
fn written(time: Timestamp) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(&format).ok())
        .unwrap_or_else(|| time.0.to_string())
}

fn read(text: &str) -> Option<Timestamp> {
    if let Ok(beyond) = text.parse() {
        return Some(Timestamp(beyond));
    }
    let moment = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
}

/// The day of a moment, `YYYY-MM-DD` in UTC.
#[must_use]
pub fn day(time: Timestamp) -> String {
    written(time).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_period_is_thirty_days_unless_somebody_says_otherwise() {
        let now = Timestamp(100 * DAY);
        let period = Period::of(None, None, now).unwrap();
        assert_eq!((period.since, period.until, period.days()), (Timestamp(70 * DAY), now, 30));
        assert!(!period.contains(now) && period.contains(Timestamp(now.0 - 1)));
        let period = Period::of(Some(Timestamp(DAY)), Some(Timestamp(2 * DAY)), now).unwrap();
        assert_eq!((period.since, period.days()), (Timestamp(DAY), 1));
        assert!(Period::of(Some(Timestamp(2 * DAY)), Some(Timestamp(2 * DAY)), now).is_none());
        assert_eq!(day(Timestamp(DAY)), "1970-01-02");
    }

    #[test]
    fn a_moment_is_read_as_it_was_written() {
        for time in [0, 1, DAY + 7, 1_795_323_487_534, u64::MAX] {
            assert_eq!(read(&written(Timestamp(time))), Some(Timestamp(time)), "{time}");
        }
        assert_eq!(read("yesterday"), None);
    }
}
