//! Records as readers see them. docs/audit.md says what the fields mean; unknown ones are ignored, so that an older reader
//! can show a newer log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chain::{Head, Line, SegmentId};
use super::encode::kind;
use crate::clock::Timestamp;

/// One record, parsed. Text fields are audit text (see [`super::decode_text`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number in its segment.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// `event`; `summary` of a session key's uses; `alarm`; `heartbeat` of the agent; `removal` of a segment; or what
    /// happened to the segment itself: `genesis`, `resume`, `recovery`, `close`.
    pub kind: String,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What became of it: `intent`, `begun`, `success`, `denied`, `failed`, `abandoned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The kind of error of what was denied or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// How it had authenticated: `none`, `user`, `so`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// As which user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Network address it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Roles beyond those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles_cut: Option<u64>,
    /// The door's number of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<RecordObject>,
    /// The second object of wrap, unwrap and derive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also: Option<RecordObject>,
    /// Name of the mechanism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// Bytes processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_len: Option<u64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The deciding rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Tags that policies asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Duties that policies imposed, in the words of their language.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<String>,
    /// Duties beyond those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duties_cut: Option<u64>,
    /// The encryption context: names, with marks of the values (32 hex digits).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
    /// Names beyond those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_cut: Option<u64>,
    /// What a change was to make otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<RecordChange>,
    /// Changes beyond those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_cut: Option<u64>,
    /// Number that the records of one operation share, where it has several, within its writer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// Id that the caller of a server gave the request, in 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// What policies saw, beyond the other fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<RecordPolicy>,
    /// Microseconds since the operation began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// Time of the record before (summary).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What a session key was used for since then (summary).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<RecordUse>,
    /// Whether the session key is gone (summary).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
    /// Process that writes from here on (genesis and resume).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Operations refused because they could not be recorded (recovery).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// How bad it is (alarm).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// How often it happened (alarm).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Names of records that show it (alarm).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Destinations that are to hear of it (alarm).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// What is done against it (alarm).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
    /// How many the agent made before (heartbeat).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beat: Option<u64>,
    /// Seconds until the next (heartbeat).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_s: Option<u64>,
    /// Why a segment was removed (removal): `archived`, `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// SHA-256 of the file that remained elsewhere (removal).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What was removed (removal).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<RecordRemoval>,
    /// The chain's hash.
    pub h: Head,
}

/// An object as a record names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordObject {
    /// Its identity.
    pub id: String,
    /// `secret`, `private`, `public`, `certificate`, `data`, or `new` for what is only being made.
    pub class: String,
    /// Type of a key.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Name of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the key a session key came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Label of a certificate or data object, and of a key whose name is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Version of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// `session` for objects that live only in their process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Edition of the record in the store, before the change that this record tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edition: Option<u64>,
}

/// A segment that was removed, as the record of its removal tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRemoval {
    /// The segment.
    pub segment: SegmentId,
    /// Its number among all of the home.
    pub ordinal: u64,
    /// Its records.
    pub records: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Time of the first record.
    pub first: Timestamp,
    /// Time of the last.
    pub last: Timestamp,
    /// Hash of the first record.
    pub genesis: Head,
    /// Hash of the last.
    pub head: Head,
    /// Leaf of the first record, and of the last.
    pub leaves: (u64, u64),
    /// Root of the tree of its records alone (RFC 6962, 2.1).
    pub tree: Head,
}

/// What policies saw of a request, beyond what the record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPolicy {
    /// Names the policies that were in force, in 16 hex digits.
    pub set: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Bytes of data, as far as they were known then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_len: Option<u64>,
    /// The user had authenticated for this one operation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mfa: bool,
    /// The namespace forbids what is not approved for FIPS 140-3.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fips: bool,
    /// Each decision: on the object first, then on the second one.
    #[serde(default)]
    pub asked: Vec<RecordAsked>,
    /// Parts of it that did not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

/// One thing that was to be otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChange {
    /// What.
    pub what: String,
    /// As it was; empty where it was not there.
    pub old: String,
    /// As it was to be; empty where it was not to be there any more.
    pub new: String,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAsked {
    /// `also` where it was on the second object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What was to be done to the object.
    pub action: String,
    /// `allow` or `deny`.
    pub decision: String,
    /// Decisions like this one within the last second, this one included, where a policy looks at them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<u32>,
    /// The same within the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute: Option<u32>,
    /// Whether it was about a key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key: bool,
    /// Name under which a key that was about to exist was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// It was a session key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session: bool,
    /// The key's type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Age of its primary version in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Names of the keys that it is a copy of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_of: Vec<String>,
}

/// One kind of use in a summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordUse {
    /// What was done.
    pub action: String,
    /// What became of it: `success`, `begun`, `abandoned`.
    pub outcome: String,
    /// Name of the mechanism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// The deciding rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How often.
    pub count: u64,
    /// Bytes processed.
    pub data_len: u64,
}

/// A record with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The segment it stands in.
    pub segment: SegmentId,
    /// The line as it stands there, without its line feed.
    pub raw: String,
    /// The same, parsed.
    pub record: Record,
}

impl Entry {
    /// Parses a line; `None` for anything that is no record. Whether it is chained is for the verifier to say.
    #[must_use]
    pub(super) fn parse(segment: &SegmentId, line: &[u8]) -> Option<Self> {
        Line::split(line)?;
        let raw = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let record = serde_json::from_str(raw).ok()?;
        Some(Self { segment: segment.clone(), raw: raw.to_owned(), record })
    }
}

/// Which records to show. Everything that is set must hold; any setting leaves events only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The record's kind (`alarm`).
    pub kind: Option<String>,
    /// The action's word (`sign`); a summary that counts it matches, too.
    pub action: Option<String>,
    /// Name or id of the object or the second one, or name of a session key's origin.
    pub key: Option<String>,
    /// The principal.
    pub principal: Option<String>,
    /// The outcome's word (`denied`).
    pub outcome: Option<String>,
    /// `namespace` or `tenant/namespace`.
    pub namespace: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// Name of the mechanism; a summary that counts it matches, too.
    pub mechanism: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// The deciding rule, or that of an alarm; a summary that counts it matches, too.
    pub rule: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Leave out what is no event, no summary and no alarm.
    pub events_only: bool,
}

impl Filter {
    /// Whether the record is wanted.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        let counts = |wanted: &Option<String>, word: fn(&RecordUse) -> &String| {
            wanted.as_ref().is_some_and(|wanted| record.uses.iter().any(|one| word(one) == wanted))
        };
        let counts_some = |wanted: &Option<String>, word: fn(&RecordUse) -> &Option<String>| {
            wanted.is_some() && record.uses.iter().any(|one| word(one) == wanted)
        };
        (!self.events_only || [kind::EVENT, kind::SUMMARY, kind::ALARM].contains(&record.kind.as_str()))
            && self.kind.as_ref().is_none_or(|kind| record.kind == *kind)
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && (is(&self.action, &record.action) || counts(&self.action, |one| &one.action))
            && is(&self.principal, &record.principal)
            && (is(&self.outcome, &record.outcome) || counts(&self.outcome, |one| &one.outcome))
            && self
                .key
                .as_deref()
                .is_none_or(|key| [&record.object, &record.also].into_iter().flatten().any(|o| o.is(key)))
            && self.namespace.as_deref().is_none_or(|wanted| record.is_in(wanted))
            && is(&self.tenant, &record.tenant)
            && (is(&self.mechanism, &record.mechanism) || counts_some(&self.mechanism, |one| &one.mechanism))
            && (is(&self.rule, &record.rule) || counts_some(&self.rule, |one| &one.rule))
            && self.tag.as_ref().is_none_or(|wanted| record.tags.contains(wanted))
    }
}

impl RecordObject {
    fn is(&self, name: &str) -> bool {
        self.id == name || [&self.name, &self.origin, &self.label].into_iter().flatten().any(|n| n == name)
    }
}

impl Record {
    fn is_in(&self, wanted: &str) -> bool {
        match (&self.tenant, &self.namespace) {
            (Some(tenant), Some(name)) => {
                wanted == name || wanted.strip_prefix(tenant.as_str()).and_then(|r| r.strip_prefix('/')) == Some(name)
            }
            _ => false,
        }
    }
}
