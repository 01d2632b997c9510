//! Points in time, as people write them and other programs read them.

pub(crate) use agent::format::rfc3339;
use libkmss::clock::{Clock as _, SystemClock, Timestamp};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::Failure;

/// A day (UTC) or a moment.
///
/// # Errors
/// A sentence that says how to write it.
pub(crate) fn parse(text: &str) -> Result<Timestamp, Failure> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let moment = OffsetDateTime::parse(&whole, &Rfc3339)
        .map_err(|_| format!("`{}` is no time: write YYYY-MM-DD, or YYYY-MM-DDThh:mm:ssZ", text.escape_debug()))?;
    let ms = moment.unix_timestamp_nanos() / 1_000_000;
    Ok(Timestamp(u64::try_from(ms).map_err(|_| "times before 1970 are not offered")?))
}

/// A day, a moment, or how long ago: `90s`, `15m`, `6h`, `2d`.
///
/// # Errors
/// A sentence that says how to write it.
pub(crate) fn parse_past(text: &str) -> Result<Timestamp, Failure> {
    let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    let unit = text.chars().last().and_then(|last| units.iter().find(|(letter, _)| *letter == last));
    let number = text.get(..text.len().saturating_sub(1)).and_then(|digits| digits.parse::<u64>().ok());
    match (number, unit) {
        (Some(number), Some((_, ms))) => {
            Ok(Timestamp(SystemClock::default().now().0.saturating_sub(number.saturating_mul(*ms))))
        }
        _ => parse(text),
    }
}

/// `100d`, in milliseconds.
///
/// # Errors
/// A sentence that says how to write it.
pub(crate) fn duration(text: &str) -> Result<u64, Failure> {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let found = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let amount = found.and_then(|(number, seconds)| number.parse::<u64>().ok()?.checked_mul(seconds * 1000));
    amount.ok_or_else(|| format!("`{text}` is no length of time: write 100d, 12h, 5m or 30s").into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn days_and_moments_are_read_and_nonsense_is_not() {
        assert_eq!(parse("1970-01-02").unwrap(), Timestamp(86_400_000));
        assert_eq!(parse("1970-01-01T01:00:00+01:00").unwrap(), Timestamp(0));
        assert_eq!(rfc3339(parse("2026-11-22T09:48:38.5Z").unwrap()), "2026-11-22T09:48:38.500Z");
        assert_eq!((duration("2d").unwrap(), duration("15m").unwrap()), (172_800_000, 900_000));
        assert!(duration("15").is_err() && duration("d").is_err() && duration("99999999999999999d").is_err());
        for bad in ["tomorrow", "2026-13-01", "1969-12-31", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
