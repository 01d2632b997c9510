//! What the agent adds to the audit of everybody's operations: that it lives, and what alarmed it.

use std::time::Duration;

use super::encode::{TAG_COUNT, push_count, push_field, push_list, push_name, push_word};
use super::record::RecordRemoval;
use crate::tenant::ObjectId;

/// A record that is about no operation.
#[derive(Clone, Copy, Debug)]
pub enum AuditNote<'a> {
    /// The agent lives.
    Heartbeat {
        /// How many the agent made before, since it was started.
        beat: u64,
        /// When the next one is due at the latest.
        every: Duration,
    },
    /// A rule was met.
    Alarm(&'a AuditAlarm<'a>),
}

/// An alarm, as its record tells it.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditAlarm<'a> {
    /// Name of the rule.
    pub rule: &'a str,
    /// How bad it is.
    pub severity: &'a str,
    /// Who did it; empty where nobody did.
    pub principal: &'a str,
    /// Where; empty where it is not about one namespace.
    pub tenant: &'a str,
    /// As `tenant`.
    pub namespace: &'a str,
    /// The object: its class, its identity (32 hex digits) and its name or label.
    pub object: Option<(&'a str, ObjectId, &'a str)>,
    /// How often it happened within the rule's window.
    pub count: u64,
    /// A sentence that says what happened.
    pub reason: &'a str,
    /// Names of records that show it.
    pub evidence: &'a [String],
    /// Destinations that are to hear of it.
    pub notify: &'a [String],
    /// What is done against it; empty for nothing.
    pub measure: &'a str,
}

/// A segment is about to be removed, and what is known of it stays here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRemoval {
    /// Why: `archived`, `expired`.
    pub why: &'static str,
    /// Who has it removed.
    pub principal: String,
    /// SHA-256 of the compressed file that remains elsewhere, in hex digits; empty where none does.
    pub file: String,
    /// What is removed.
    pub removed: RecordRemoval,
}

impl AuditRemoval {
    /// Its fields.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        push_word(out, "why", self.why);
        if !self.principal.is_empty() {
            push_field(out, "principal", self.principal.as_bytes());
        }
        if !self.file.is_empty() {
            push_field(out, "file", self.file.as_bytes());
        }
        push_name(out, "removed");
        // A few names and numbers, which always can be written.
        let _ = serde_json::to_writer(out, &self.removed);
    }
}

impl AuditNote<'_> {
    /// The word of its kind.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Heartbeat { .. } => super::encode::kind::HEARTBEAT,
            Self::Alarm(_) => super::encode::kind::ALARM,
        }
    }

    /// Its fields.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Heartbeat { beat, every } => {
                push_count(out, "beat", *beat);
                push_count(out, "every_s", every.as_secs());
            }
            Self::Alarm(alarm) => alarm.push(out),
        }
    }
}

impl AuditAlarm<'_> {
    fn push(&self, out: &mut Vec<u8>) {
        push_field(out, "rule", self.rule.as_bytes());
        push_word(out, "severity", self.severity);
        for (name, text) in [("principal", self.principal), ("tenant", self.tenant), ("namespace", self.namespace)] {
            if !text.is_empty() {
                push_field(out, name, text.as_bytes());
            }
        }
        if let Some((class, id, name)) = self.object {
            push_name(out, "object");
            out.extend_from_slice(b"{\"class\":\"");
            out.extend_from_slice(class.as_bytes());
            out.push(b'"');
            if !name.is_empty() {
                let field = if matches!(class, "certificate" | "data") { "label" } else { "name" };
                push_field(out, field, name.as_bytes());
            }
            super::encode::end_object(out, id);
        }
        push_count(out, "count", self.count);
        super::encode::push_reason(out, self.reason);
        push_list(out, ("evidence", "evidence_cut"), self.evidence, TAG_COUNT);
        push_list(out, ("notify", "notify_cut"), self.notify, TAG_COUNT);
        if !self.measure.is_empty() {
            push_field(out, "measure", self.measure.as_bytes());
        }
    }
}
