//! Events of the Open Cybersecurity Schema Framework, version 1.3.0: logins and logouts are of class 3002 (Authentication), alarms
//! of class 2004 (Detection Finding), everything else of class 6003 (API Activity).

use libkmss::audit::{Entry, Record, RecordObject, RecordUse, Writer};
use serde_json::{Map, Value, json};

use crate::batch::ALARM;
use crate::text::{change, lossy, name, text};

/// Version of OCSF.
const OCSF: &str = "1.3.0";

/// A record as events: one, or one for each kind of use that it counts.
pub fn events<'a>(entry: &'a Entry, writer: &'a Writer) -> impl Iterator<Item = Value> + 'a {
    uses(&entry.record).map(|one| event(entry, one, writer))
}

/// What a record counts, each kind of use; once nothing, where it counts none.
pub fn uses(record: &Record) -> impl Iterator<Item = Option<&RecordUse>> {
    let none = record.uses.is_empty().then_some(None);
    record.uses.iter().map(Some).chain(none)
}

fn number<T: ToString>(field: Option<T>) -> String {
    field.map(|number| number.to_string()).unwrap_or_default()
}

/// What was done: by a record itself, or by one kind of the uses that it counts.
#[derive(Clone, Debug)]
pub struct What {
    /// The action's word.
    pub action: String,
    /// The outcome's word.
    pub outcome: String,
    /// Name of the mechanism.
    pub mechanism: String,
    /// The deciding rule.
    pub rule: String,
    /// How often.
    pub count: u64,
    /// Bytes processed.
    pub data_len: Option<u64>,
}

impl What {
    /// Of `record`, or of `one` of what it counts.
    #[must_use]
    pub fn of(record: &Record, one: Option<&RecordUse>) -> Self {
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

/// Severities of OCSF.
const INFORMATIONAL: u8 = 1;
const LOW: u8 = 2;
const MEDIUM: u8 = 3;
const HIGH: u8 = 4;
const CRITICAL: u8 = 5;

/// An event of OCSF.
fn event(entry: &Entry, one: Option<&RecordUse>, writer: &Writer) -> Value {
    let record = &entry.record;
    let mut what = What::of(record, one);
    if let Some(count) = record.count {
        what.count = count;
    }
    let (class, category, (activity, name)) = match what.action.as_str() {
        "login" => (3002, 3, (1, "Logon")),
        "logout" => (3002, 3, (2, "Logoff")),
        _ if record.kind == ALARM => (2004, 2, (1, "Create")),
        other => (6003, 6, activity(other)),
    };
    let (status, status_name) = match what.outcome.as_str() {
        "success" => (1, "Success"),
        "denied" | "failed" => (2, "Failure"),
        _ => (99, "Other"),
    };
    let severity = match (record.kind.as_str(), what.outcome.as_str()) {
        ("alarm", _) => match record.severity.as_deref() {
            Some("critical") => CRITICAL,
            Some("high") => HIGH,
            Some("low") => LOW,
            _ => MEDIUM,
        },
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
    let authorization = match (record.policy.as_ref(), what.rule.is_empty() || record.kind == ALARM) {
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
    let metadata =
        [("version", OCSF.into()), ("product", product), ("uid", uid.clone().into()), ("tenant_uid", tenant.into())];
    event.insert("metadata".to_owned(), filled(metadata).into());
    if class == 3002 {
        event.insert("user".to_owned(), user.into());
    }
    if record.kind == ALARM {
        let finding =
            [("uid", uid.into()), ("title", text(&record.rule).into()), ("desc", text(&record.reason).into())];
        event.insert("finding_info".to_owned(), filled(finding).into());
        event.insert("evidences".to_owned(), record.evidence.iter().map(|id| json!({ "data": id })).collect());
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
