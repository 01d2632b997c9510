//! What the audit trail says, counted while it is read: nothing is kept of a record but what it adds to.

use libkmss::audit::{Record, RecordUse};
use libkmss::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::known::Known;
use super::period::{Period, day, rfc3339_or_null};
use super::rows::Rows;
use super::weak;
use super::words::{lossy, name, text, token};

/// What a record is about, as far as it is counted.
#[derive(Debug)]
pub(crate) struct Trail {
    period: Period,
    /// Tokens that the report is about; all where there are none.
    tokens: Vec<String>,
    /// Of the keys that exist: who made and last used them.
    pub known: Known,
    /// Records.
    pub records: Records,
    /// Operations by day.
    pub days: Rows<DayKey, Day>,
    /// Uses by key and principal.
    pub uses: Rows<UseKey, Use>,
    /// What was refused.
    pub denials: Rows<RefusalKey, Times>,
    /// What was admitted and failed.
    pub failures: Rows<RefusalKey, Times>,
    /// Logins.
    pub logins: Rows<LoginKey, Logins>,
    /// What was changed.
    pub changes: Changes,
    /// Weak mechanisms that were used.
    pub weak: Rows<WeakKey, Times>,
}

/// How many records there are.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Records {
    /// In the whole trail.
    pub trail: u64,
    /// Events and summaries of the period, of the tokens that the report is about.
    pub period: u64,
    /// Of these: events that name who asked, when, what was done, on what, and what became of it.
    pub complete: u64,
    /// The oldest of the trail.
    #[serde(with = "rfc3339_or_null")]
    pub first: Option<Timestamp>,
    /// The newest of the trail.
    #[serde(with = "rfc3339_or_null")]
    pub last: Option<Timestamp>,
    /// Times in the period that a writer found remains of a failed write.
    pub recoveries: u64,
    /// Operations of the period refused because their records could not be written.
    pub lost: u64,
    /// Processes that began to write in the period.
    pub writers: u64,
}

/// Which day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DayKey {
    /// `YYYY-MM-DD` in UTC.
    pub day: String,
}

impl DayKey {
    fn of(time: Timestamp) -> Self {
        Self { day: day(time) }
    }
}

/// What was done on a day.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Day {
    /// Uses of keys.
    pub uses: u64,
    /// Refusals.
    pub denied: u64,
    /// Failures.
    pub failed: u64,
}

/// A key and who used it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UseKey {
    /// `tenant/namespace`.
    pub token: String,
    /// The key's name; of session keys that of the key they came from, or nothing.
    pub key: String,
    /// Its identity; empty for session keys, which are counted together.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Its type.
    #[serde(rename = "type")]
    pub key_type: String,
    /// Whether it is about keys that live in their process only.
    pub session_keys: bool,
    /// Who.
    pub principal: String,
}

/// How a key was used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Use {
    /// How often in all.
    pub operations: u64,
    /// How often by what was done.
    pub actions: std::collections::BTreeMap<String, u64>,
    /// Bytes processed.
    pub data_len: u64,
    /// Begun and never finished.
    pub abandoned: u64,
    /// The last time.
    #[serde(with = "rfc3339_or_null")]
    pub last: Option<Timestamp>,
}

/// A kind of refusal or failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RefusalKey {
    /// The kind of error.
    pub error: String,
    /// What was to be done.
    pub action: String,
    /// Who asked.
    pub principal: String,
    /// `tenant/namespace`.
    pub token: String,
    /// The key.
    pub key: String,
    /// The policy's rule that decided.
    pub rule: String,
}

/// How often, and when last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// The last time.
    #[serde(with = "rfc3339_or_null")]
    pub last: Option<Timestamp>,
}

impl Times {
    fn add(&mut self, count: u64, time: Timestamp) {
        self.count = self.count.saturating_add(count);
        self.last = self.last.max(Some(time));
    }
}

/// Who logs in where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LoginKey {
    /// `tenant/namespace`.
    pub token: String,
    /// Who.
    pub principal: String,
}

/// Attempts to log in.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Logins {
    /// With the right PIN.
    pub succeeded: u64,
    /// With a wrong one, or as a user that does not exist.
    pub wrong_pin: u64,
    /// While the PIN was locked.
    pub locked: u64,
    /// Refused or failed otherwise.
    pub other: u64,
    /// The last time.
    #[serde(with = "rfc3339_or_null")]
    pub last: Option<Timestamp>,
}

/// A weak use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WeakKey {
    /// The mechanism.
    pub mechanism: String,
    /// The weakness, as `kmss token profile --forbid` calls it.
    pub weakness: String,
    /// The same in words.
    pub why: String,
    /// What was done.
    pub action: String,
    /// `tenant/namespace`.
    pub token: String,
    /// The key.
    pub key: String,
    /// Who.
    pub principal: String,
}

/// What records of changes beyond tokens name instead of one.
const EVERYWHERE: &str = "*";

/// What uses a key. Making, managing and destroying it is none.
const USES: [&str; 16] = [
    "sign",
    "verify",
    "encrypt",
    "decrypt",
    "wrap",
    "unwrap",
    "derive",
    "digest",
    "encapsulate",
    "decapsulate",
    "export",
    "random",
    "tokenize",
    "detokenize",
    "read-masked",
    "derive-child",
];

impl Trail {
    pub(crate) fn new(period: Period, tokens: Vec<String>, known: Known) -> Self {
        Self {
            period,
            tokens,
            known,
            records: Records::default(),
            days: Rows::default(),
            uses: Rows::default(),
            denials: Rows::default(),
            failures: Rows::default(),
            logins: Rows::default(),
            changes: Changes::default(),
            weak: Rows::default(),
        }
    }

    /// Takes a record in.
    pub(crate) fn add(&mut self, record: &Record) {
        let time = record.time;
        self.records.trail += 1;
        self.records.first = Some(self.records.first.map_or(time, |first| first.min(time)));
        self.records.last = self.records.last.max(Some(time));
        let due = self.period.contains(time);
        match record.kind.as_str() {
            "event" | "summary" => {}
            "genesis" | "resume" if due => return self.records.writers += 1,
            "recovery" if due => {
                self.records.recoveries += 1;
                self.records.lost = self.records.lost.saturating_add(record.lost.unwrap_or_default());
                return;
            }
            _ => return,
        }
        if !self.concerns(record) {
            return;
        }
        self.known.learn(record, due);
        if due {
            self.records.period += 1;
            self.count(record);
        }
    }

    /// Whether a record is about a token of the report, or about all (policies of the home or a tenant).
    fn concerns(&self, record: &Record) -> bool {
        let about = record.namespace.as_deref().map(lossy);
        self.tokens.is_empty() || about.is_some_and(|name| name == EVERYWHERE || self.tokens.contains(&name))
    }

    fn count(&mut self, record: &Record) {
        let (action, outcome) = (text(&record.action), text(&record.outcome));
        let named = record.principal.is_some() && !action.is_empty() && !outcome.is_empty();
        if (named && record.namespace.is_some()) || !record.uses.is_empty() || record.kind == "summary" {
            self.records.complete += 1;
        }
        for one in &record.uses {
            self.count_use(record, one);
        }
        if record.kind == "summary" {
            return;
        }
        match outcome.as_str() {
            "success" | "abandoned" => {
                let one = RecordUse {
                    action: action.clone(),
                    outcome: outcome.clone(),
                    mechanism: record.mechanism.clone(),
                    rule: None,
                    count: 1,
                    data_len: record.data_len.unwrap_or_default(),
                };
                self.count_use(record, &one);
            }
            "denied" => {
                self.denials.at(refusal(record), |times| times.add(1, record.time));
                self.days.at(DayKey::of(record.time), |day| day.denied += 1);
            }
            "failed" => {
                self.failures.at(refusal(record), |times| times.add(1, record.time));
                self.days.at(DayKey::of(record.time), |day| day.failed += 1);
            }
            _ => {}
        }
        if action == "login" {
            self.count_login(record, &outcome);
        }
        self.changes.add(record, &action, &outcome);
    }

    fn count_use(&mut self, record: &Record, one: &RecordUse) {
        let (action, mechanism) = (lossy(&one.action), text(&one.mechanism));
        let Some(object) = record.object.as_ref() else { return };
        if !USES.contains(&action.as_str()) {
            return;
        }
        let session = object.storage.is_some();
        let key = UseKey {
            token: token(record),
            key: name(object),
            id: if session { String::new() } else { object.id.clone() },
            class: object.class.clone(),
            key_type: text(&object.key_type),
            session_keys: session,
            principal: text(&record.principal),
        };
        match one.outcome.as_str() {
            "success" => {
                self.days.at(DayKey::of(record.time), |day| day.uses = day.uses.saturating_add(one.count));
                if let Some(weakness) = weak::of_use(&action, &mechanism) {
                    let (weakness, why) = (weakness.name().to_owned(), weak::words(weakness).to_owned());
                    let (token, name, principal) = (key.token.clone(), key.key.clone(), key.principal.clone());
                    let weak =
                        WeakKey { mechanism, weakness, why, action: action.clone(), token, key: name, principal };
                    self.weak.at(weak, |times| times.add(one.count, record.time));
                }
                self.uses.at(key, |row| {
                    row.operations = row.operations.saturating_add(one.count);
                    let count = row.actions.entry(action).or_default();
                    *count = count.saturating_add(one.count);
                    row.data_len = row.data_len.saturating_add(one.data_len);
                    row.last = row.last.max(Some(record.time));
                });
            }
            "abandoned" => self.uses.at(key, |row| {
                row.abandoned = row.abandoned.saturating_add(one.count);
                row.last = row.last.max(Some(record.time));
            }),
            // What began is counted when it ends.
            _ => {}
        }
    }

    fn count_login(&mut self, record: &Record, outcome: &str) {
        let key = LoginKey { token: token(record), principal: text(&record.principal) };
        let error = text(&record.error);
        self.logins.at(key, |row| {
            row.last = row.last.max(Some(record.time));
            match (outcome, error.as_str()) {
                ("success", _) => row.succeeded += 1,
                (_, "pin-incorrect") => row.wrong_pin += 1,
                (_, "pin-locked") => row.locked += 1,
                _ => row.other += 1,
            }
        });
    }
}

fn refusal(record: &Record) -> RefusalKey {
    RefusalKey {
        error: text(&record.error),
        action: text(&record.action),
        principal: text(&record.principal),
        token: token(record),
        key: record.object.as_ref().map(name).unwrap_or_default(),
        rule: text(&record.rule),
    }
}
