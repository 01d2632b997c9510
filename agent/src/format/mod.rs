//! Records as others read them.

pub mod cef;
pub mod ocsf;

use libkmss::audit::Followed;
use libkmss::clock::Timestamp;
use libkmss::config::RecordFormat;
use time::OffsetDateTime;

use crate::batch::id;

/// A record in a format: one text, or several where it counts uses of several kinds.
#[must_use]
pub fn render(format: RecordFormat, followed: &Followed) -> Vec<String> {
    match format {
        RecordFormat::Json => vec![json(followed)],
        RecordFormat::Ocsf => ocsf::events(&followed.entry, &followed.writer).map(|event| event.to_string()).collect(),
        RecordFormat::Cef => vec![cef::line(followed)],
    }
}

/// The record as it stands in the audit, its name before its first field.
fn json(followed: &Followed) -> String {
    format!("{{\"id\":\"{}\",{}", id(followed), followed.entry.raw.get(1..).unwrap_or_default())
}

/// RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(&format).ok())
        .unwrap_or_else(|| time.0.to_string())
}
