//! What records say, in words.

use libkmss::audit::{Record, RecordChange, RecordObject, decode_text};

/// The text that audit text stands for; what is no UTF-8 is shown as such.
#[must_use]
pub fn lossy(text: &str) -> String {
    String::from_utf8_lossy(&decode_text(text).0).into_owned()
}

/// The same of a field that may be missing.
#[must_use]
pub fn text(field: &Option<String>) -> String {
    field.as_deref().map(lossy).unwrap_or_default()
}

/// What a record calls an object: its name, the key it came from, or its label.
#[must_use]
pub fn name(object: &RecordObject) -> String {
    let names = [&object.name, &object.origin, &object.label].into_iter().map(text);
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}

/// A change in words.
#[must_use]
pub fn change(change: &RecordChange) -> String {
    format!("{}: {} -> {}", change.what, lossy(&change.old), lossy(&change.new))
}

/// The tags of a record.
pub(crate) fn tags_of(record: &Record) -> impl Iterator<Item = String> {
    record.tags.iter().map(|tag| lossy(tag))
}

/// A record as a sentence for people.
#[must_use]
pub fn sentence(record: &Record) -> String {
    let mut words: Vec<String> = Vec::new();
    match record.kind.as_str() {
        "event" => words.extend([text(&record.outcome), text(&record.action)]),
        "summary" => {
            let counts = record.uses.iter().map(|one| format!("{} × {}", one.count, lossy(&one.action)));
            words.push(format!("counted {}", counts.collect::<Vec<_>>().join(", ")));
        }
        "alarm" => words.push(format!("ALARM {} ({})", text(&record.rule), text(&record.severity))),
        other => words.push(format!("audit {other}")),
    }
    if let Some(object) = &record.object {
        let name = name(object);
        let name = if name.is_empty() { object.id.clone() } else { name };
        words.push(format!("{} {name}", object.class));
    }
    let mechanism = text(&record.mechanism);
    if !mechanism.is_empty() {
        words.push(format!("with {mechanism}"));
    }
    let principal = text(&record.principal);
    if !principal.is_empty() {
        words.push(format!("by {principal}"));
    }
    let namespace = text(&record.namespace);
    if !namespace.is_empty() {
        words.push(format!("in {}/{namespace}", text(&record.tenant)));
    }
    let reason = text(&record.reason);
    let mut line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if !reason.is_empty() {
        line.push_str(": ");
        line.push_str(&reason);
    }
    // Whatever a name holds must not end the line or speak to a terminal.
    line.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// How bad a record is, in the numbers of syslog (RFC 5424, table 2).
#[must_use]
pub fn severity(record: &Record) -> u8 {
    match (record.kind.as_str(), record.severity.as_deref(), record.outcome.as_deref()) {
        ("alarm", Some("critical"), _) => 2,
        ("alarm", Some("high"), _) | ("recovery", ..) => 3,
        ("alarm", Some("low"), _) => 5,
        ("alarm", ..) | (_, _, Some("denied" | "failed")) => 4,
        _ => 6,
    }
}
