//! The Common Event Format, version 0 (ArcSight, "Implementing ArcSight Common Event Format", rev. 27).

use libkmss::audit::Followed;

use crate::batch::id;
use crate::text::{lossy, name, sentence, severity, text};

/// A record as a line of CEF.
#[must_use]
pub fn line(followed: &Followed) -> String {
    let record = &followed.entry.record;
    let signature = match record.kind.as_str() {
        "event" => text(&record.action),
        other => other.to_owned(),
    };
    // From syslog's 0 (worst) to 7, to 10 (worst) to 0.
    let severity = match severity(record) {
        0..=2 => 10,
        3 => 8,
        4 => 6,
        5 => 4,
        _ => 2,
    };
    let object = record.object.as_ref();
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let fields = [
        ("rt", record.time.0.to_string()),
        ("externalId", id(followed)),
        ("act", text(&record.action)),
        ("outcome", text(&record.outcome)),
        ("reason", text(&record.reason)),
        ("suser", text(&record.principal)),
        ("duser", text(&record.user)),
        ("dvchost", followed.writer.host.clone().unwrap_or_default()),
        ("dvcpid", number(followed.writer.pid.map(u64::from))),
        ("sproc", followed.writer.executable.clone().unwrap_or_default()),
        ("cnt", number(record.count)),
        ("in", number(record.data_len)),
        ("fname", object.map(name).unwrap_or_default()),
        ("fileId", object.map(|object| object.id.clone()).unwrap_or_default()),
        ("fileType", object.map(|object| object.class.clone()).unwrap_or_default()),
        ("cs1Label", "namespace".to_owned()),
        ("cs1", [text(&record.tenant), text(&record.namespace)].join("/")),
        ("cs2Label", "mechanism".to_owned()),
        ("cs2", text(&record.mechanism)),
        ("cs3Label", "rule".to_owned()),
        ("cs3", text(&record.rule)),
        ("cs4Label", "tags".to_owned()),
        ("cs4", record.tags.iter().map(|tag| lossy(tag)).collect::<Vec<_>>().join(" ")),
        ("cs5Label", "chain".to_owned()),
        ("cs5", record.h.to_string()),
        ("msg", sentence(record)),
    ];
    // A label without its text says nothing.
    let says = |at: usize| fields.get(at).is_some_and(|(_, text)| !text.is_empty() && text != "/");
    let extension: Vec<String> = fields
        .iter()
        .enumerate()
        .filter(|(at, (name, _))| says(if name.ends_with("Label") { at + 1 } else { *at }))
        .map(|(_, (name, text))| format!("{name}={}", value(text)))
        .collect();
    let title = header(&format!("{} {}", record.kind, signature));
    let signature = header(&signature);
    let version = env!("CARGO_PKG_VERSION");
    format!("CEF:0|KMSS|KMSS|{version}|{signature}|{title}|{severity}|{}", extension.join(" "))
}

fn header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ")
}

fn value(text: &str) -> String {
    text.replace('\\', "\\\\").replace('=', "\\=").replace('\r', "\\r").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_field_is_escaped() {
        assert_eq!(header("a|b\\c\nd"), "a\\|b\\\\c d");
        assert_eq!(value("a=b\\c\nd"), "a\\=b\\\\c\\nd");
    }
}
