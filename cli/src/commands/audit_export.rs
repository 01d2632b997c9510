//! `kmss audit export`: the trail for spreadsheets and for security information systems.
//!
//! OCSF is the Open Cybersecurity Schema Framework, version 1.3.0: logins and logouts are of class 3002 (Authentication),
//! everything else is of class 6003 (API Activity).

use std::collections::HashMap;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::audit::{AuditTail, Entry, Filter, Record, RecordChange, RecordObject, RecordUse, SegmentId, decode_text};
use libkmss::clock::Timestamp;
use libkmss::kms::Kms;
use serde_json::{Map, Value, json};

use crate::args::{ExportArgs, ExportFormat};
use crate::context::Context;
use crate::moment;
use crate::output::{Failure, Unread};

/// The columns of CSV.
const COLUMNS: [&str; 37] = [
    "time",
    "segment",
    "seq",
    "kind",
    "action",
    "outcome",
    "error",
    "count",
    "principal",
    "login",
    "user",
    "source",
    "roles",
    "session",
    "tenant",
    "namespace",
    "object_class",
    "object_type",
    "object_name",
    "object_id",
    "object_version",
    "also_name",
    "also_id",
    "mechanism",
    "data_len",
    "rule",
    "reason",
    "tags",
    "duties",
    "changes",
    "request",
    "duration_us",
    "host",
    "pid",
    "uid",
    "executable",
    "h",
];

/// Version of OCSF.
const OCSF: &str = "1.3.0";

/// Runs `kmss audit export`.
///
/// # Errors
/// The audit cannot be read, or the output not be written.
pub(super) fn run(context: &Context, args: &ExportArgs) -> Result<ExitCode, Failure> {
    let time = |text: &Option<String>, or| text.as_deref().map_or(Ok(Timestamp(or)), moment::parse);
    let (since, until) = (time(&args.since, 0)?, time(&args.until, u64::MAX)?);
    let wanted = Filter {
        action: args.action.clone(),
        key: args.key.clone(),
        principal: args.principal.clone(),
        outcome: args.outcome.clone(),
        events_only: !args.all,
        ..Filter::default()
    };
    let mut sink = Sink::new(args.format)?;
    // Who wrote a segment is in records that the filter leaves out.
    let tail = AuditTail::new(Kms::audit_directory(&context.config), Filter::default());
    let bar = match std::io::stderr().is_terminal() && !std::io::stdout().is_terminal() {
        true => ProgressBar::new(tail.size()?)
            .with_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")?),
        false => ProgressBar::hidden(),
    };
    let (mut writers, mut failed) = (HashMap::<SegmentId, Writer>::new(), None);
    tail.visit(&mut |entry| {
        bar.inc(entry.raw.len() as u64 + 1);
        let writer = writers.entry(entry.segment.clone()).or_default();
        writer.learn(&entry.record);
        let due = (since..until).contains(&entry.record.time) && wanted.matches(&entry.record);
        if due && failed.is_none() {
            failed = sink.put(entry, writer).err();
        }
    })?;
    bar.finish_and_clear();
    match failed {
        Some(failure) => Err(failure),
        None => sink.end().map(|()| ExitCode::SUCCESS),
    }
}

/// The process that writes a segment, as its last genesis or resume record says.
#[derive(Default)]
struct Writer {
    host: Option<String>,
    pid: Option<u32>,
    uid: Option<u32>,
    executable: Option<String>,
}

impl Writer {
    fn learn(&mut self, record: &Record) {
        if record.exe.is_some() {
            *self = Self {
                host: record.host.as_deref().map(lossy),
                pid: record.pid,
                uid: record.uid.filter(|uid| *uid != u32::MAX),
                executable: record.exe.as_deref().map(lossy),
            };
        }
    }
}

type Output = BufWriter<std::io::StdoutLock<'static>>;

/// Where the records go.
enum Sink {
    Csv(Box<csv::Writer<Output>>),
    Ocsf(Output),
}

impl Sink {
    fn new(format: ExportFormat) -> Result<Self, Failure> {
        let out = BufWriter::new(std::io::stdout().lock());
        Ok(match format {
            ExportFormat::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(COLUMNS).map_err(unwritten)?;
                Self::Csv(Box::new(writer))
            }
            ExportFormat::Ocsf => Self::Ocsf(out),
        })
    }

    fn put(&mut self, entry: &Entry, writer: &Writer) -> Result<(), Failure> {
        // What a summary counts is a row of its own for each kind of use.
        let uses = entry.record.uses.iter().map(Some);
        let none = entry.record.uses.is_empty().then_some(None);
        for one in uses.chain(none) {
            match self {
                Self::Csv(out) => {
                    out.write_record(row(entry, one, writer).map(|text| harmless(&text))).map_err(unwritten)?;
                }
                Self::Ocsf(out) => {
                    let mut line = serde_json::to_vec(&event(entry, one, writer))?;
                    line.push(b'\n');
                    out.write_all(&line).map_err(|e| unwritten(e.into()))?;
                }
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        match self {
            Self::Csv(mut out) => out.flush(),
            Self::Ocsf(mut out) => out.flush(),
        }
        .map_err(|e| unwritten(e.into()))
    }
}

fn unwritten(error: csv::Error) -> Failure {
    match error.kind() {
        csv::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Unread.into(),
        _ => format!("cannot write to standard output: {error}").into(),
    }
}

/// The text that audit text stands for; what is no UTF-8 is shown as such.
fn lossy(text: &str) -> String {
    String::from_utf8_lossy(&decode_text(text).0).into_owned()
}

fn text(field: &Option<String>) -> String {
    field.as_deref().map(lossy).unwrap_or_default()
}

fn number<T: ToString>(field: Option<T>) -> String {
    field.map(|number| number.to_string()).unwrap_or_default()
}

/// A spreadsheet would take a text that begins like this for a formula, and run it.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// What a record calls an object: its name, the key it came from, or its label.
fn name(object: &RecordObject) -> String {
    [&object.name, &object.origin, &object.label]
        .into_iter()
        .map(text)
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}

/// What was done: by a record itself, or by one kind of the uses that it counts.
struct What {
    action: String,
    outcome: String,
    mechanism: String,
    rule: String,
    count: u64,
    data_len: Option<u64>,
}

impl What {
    fn of(record: &Record, one: Option<&RecordUse>) -> Self {
        match one {
            Some(one) => Self {
                action: lossy(&one.action),
                outcome: lossy(&one.outcome),
                mechanism: text(&one.mechanism),
                rule: text(&one.rule),
                count: one.count,
                data_len: Some(one.data_len),
            },
            None => Self {
                action: text(&record.action),
                outcome: text(&record.outcome),
                mechanism: text(&record.mechanism),
                rule: text(&record.rule),
                count: 1,
                data_len: record.data_len,
            },
        }
    }
}

/// The columns of one row.
fn row(entry: &Entry, one: Option<&RecordUse>, writer: &Writer) -> [String; COLUMNS.len()] {
    let record = &entry.record;
    let what = What::of(record, one);
    let object = record.object.as_ref();
    let also = record.also.as_ref();
    [
        moment::rfc3339(record.time),
        entry.segment.to_string(),
        record.seq.to_string(),
        record.kind.clone(),
        what.action,
        what.outcome,
        text(&record.error),
        what.count.to_string(),
        text(&record.principal),
        text(&record.login),
        text(&record.user),
        text(&record.source),
        joined(&record.roles),
        number(record.session),
        text(&record.tenant),
        text(&record.namespace),
        object.map(|object| object.class.clone()).unwrap_or_default(),
        object.map(|object| text(&object.key_type)).unwrap_or_default(),
        object.map(name).unwrap_or_default(),
        object.map(|object| object.id.clone()).unwrap_or_default(),
        number(object.and_then(|object| object.version)),
        also.map(name).unwrap_or_default(),
        also.map(|also| also.id.clone()).unwrap_or_default(),
        what.mechanism,
        number(what.data_len),
        what.rule,
        text(&record.reason),
        joined(&record.tags),
        record.duties.iter().map(|duty| lossy(duty)).collect::<Vec<_>>().join("; "),
        record.changes.iter().map(change).collect::<Vec<_>>().join("; "),
        number(record.request),
        number(record.duration_us),
        writer.host.clone().unwrap_or_default(),
        number(writer.pid),
        number(writer.uid),
        writer.executable.clone().unwrap_or_default(),
        record.h.to_string(),
    ]
}

/// A change in words.
fn change(change: &RecordChange) -> String {
    format!("{}: {} -> {}", change.what, lossy(&change.old), lossy(&change.new))
}

fn joined(texts: &[String]) -> String {
    texts.iter().map(|text| lossy(text)).collect::<Vec<_>>().join(" ")
}

/// Severities of OCSF.
const INFORMATIONAL: u8 = 1;
const MEDIUM: u8 = 3;
const HIGH: u8 = 4;

/// An event of OCSF.
fn event(entry: &Entry, one: Option<&RecordUse>, writer: &Writer) -> Value {
    let record = &entry.record;
    let what = What::of(record, one);
    let (class, category, (activity, name)) = match what.action.as_str() {
        "login" => (3002, 3, (1, "Logon")),
        "logout" => (3002, 3, (2, "Logoff")),
        other => (6003, 6, activity(other)),
    };
    let (status, status_name) = match what.outcome.as_str() {
        "success" => (1, "Success"),
        "denied" | "failed" => (2, "Failure"),
        _ => (99, "Other"),
    };
    let severity = match (record.kind.as_str(), what.outcome.as_str()) {
        ("recovery", _) => HIGH,
        (_, "denied") => MEDIUM,
        _ => INFORMATIONAL,
    };
    let operation = if what.action.is_empty() { format!("audit {}", record.kind) } else { what.action };
    let user = filled([("name", text(&record.principal).into()), ("groups", groups(record))]);
    let mut unmapped = filled([
        ("kind", record.kind.clone().into()),
        ("outcome", what.outcome.into()),
        ("login", text(&record.login).into()),
        ("login_user", text(&record.user).into()),
        ("mechanism", what.mechanism.into()),
        ("tags", record.tags.iter().map(|tag| lossy(tag)).collect::<Vec<_>>().into()),
        ("duties", record.duties.iter().map(|duty| lossy(duty)).collect::<Vec<_>>().into()),
        ("changes", record.changes.iter().map(change).collect::<Vec<_>>().into()),
        ("request", number(record.request).into()),
        ("chain", record.h.to_string().into()),
    ]);
    unmapped.extend(what.data_len.map(|len| ("data_len".to_owned(), len.into())));
    let authorization = match (record.policy.as_ref(), what.rule.is_empty()) {
        (None, true) => Value::Null,
        _ => {
            let decision = if record.outcome.as_deref() == Some("denied") { "Denied" } else { "Allowed" };
            json!([filled([("decision", decision.into()), ("policy", filled([("name", what.rule.into())]).into())])])
        }
    };
    let session = record.session.map(|number| json!({ "uid": number.to_string() }));
    let process = filled([
        ("pid", writer.pid.into()),
        ("user", filled([("uid", number(writer.uid).into())]).into()),
        ("file", filled([("path", writer.executable.clone().into())]).into()),
    ]);
    let actor = filled([
        ("user", user.clone().into()),
        ("session", session.unwrap_or_default()),
        ("process", process.into()),
        ("authorizations", authorization),
    ]);
    let objects = [&record.object, &record.also].into_iter().flatten();
    let mut event = filled([
        ("class_uid", class.into()),
        ("category_uid", category.into()),
        ("activity_id", activity.into()),
        ("activity_name", name.into()),
        ("type_uid", (class * 100 + activity).into()),
        ("severity_id", severity.into()),
        ("time", record.time.0.into()),
        ("count", what.count.into()),
        ("status_id", status.into()),
        ("status", status_name.into()),
        ("status_code", text(&record.error).into()),
        ("status_detail", text(&record.reason).into()),
        ("duration", record.duration_us.map(|us| us / 1000).into()),
        ("api", json!({ "operation": operation, "service": { "name": "kmss" } })),
        ("actor", actor.into()),
        ("resources", objects.map(|object| resource(record, object)).collect()),
        (
            "src_endpoint",
            filled([("hostname", writer.host.clone().into()), ("ip", text(&record.source).into())]).into(),
        ),
        ("unmapped", unmapped.into()),
    ]);
    let product = json!({ "name": "KMSS", "vendor_name": "KMSS", "version": env!("CARGO_PKG_VERSION") });
    let uid = format!("{}:{}", entry.segment, record.seq);
    let tenant = text(&record.tenant);
    let metadata = [("version", OCSF.into()), ("product", product), ("uid", uid.into()), ("tenant_uid", tenant.into())];
    event.insert("metadata".to_owned(), filled(metadata).into());
    if class == 3002 {
        event.insert("user".to_owned(), user.into());
    }
    event.into()
}

/// What OCSF calls an action: its number and name.
fn activity(action: &str) -> (u32, &'static str) {
    match action {
        "generate" | "import" | "initialize" => (1, "Create"),
        "find" | "export" => (2, "Read"),
        "manage" | "change-state" | "set-pin" => (3, "Update"),
        "destroy" => (4, "Delete"),
        _ => (99, "Other"),
    }
}

fn groups(record: &Record) -> Value {
    record.roles.iter().map(|role| json!({ "name": lossy(role) })).collect()
}

fn resource(record: &Record, object: &RecordObject) -> Value {
    filled([
        ("uid", object.id.clone().into()),
        ("name", name(object).into()),
        ("type", object.class.clone().into()),
        ("namespace", text(&record.namespace).into()),
        ("version", number(object.version).into()),
        ("labels", object.key_type.as_ref().map(|key_type| vec![lossy(key_type)]).into()),
    ])
    .into()
}

/// The fields that say something.
fn filled<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    fields.into_iter().filter(|(_, value)| says(value)).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(harmless(bad), format!("'{bad}"));
        }
        assert_eq!(harmless("key=1"), "key=1");
    }
}
