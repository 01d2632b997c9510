//! Points in time, as people write them and other programs read them.

use libkmss::clock::Timestamp;
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

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000)
        .ok()
        .and_then(|t| t.format(&format).ok())
        .unwrap_or_else(|| time.0.to_string())
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
        for bad in ["tomorrow", "2026-13-01", "1969-12-31", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
