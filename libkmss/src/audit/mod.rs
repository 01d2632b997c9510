//! The audit: one record in the kernel before any result leaves.
//!
//! [`SegmentSink`] writes hash-chained segments of JSON Lines; docs/audit.md has the schema and says what the chain shows.

mod buffer;
mod chain;
mod check;
mod cursor;
mod encode;
mod follow;
pub mod keep;
mod known;
mod lines;
mod listing;
mod note;
mod options;
mod origin;
mod packed;
mod pending;
mod places;
mod policy;
mod read;
mod record;
mod registry;
mod report;
pub mod seal;
mod segment;
mod sink;
mod summary;
mod text;
mod verify;

pub use chain::{Form, Head, MAX_LINE, SegmentId};
pub use cursor::{Cursor, Position, awaited_by, cursor_names, replace as replace_file};
pub use encode::VERSION;
pub use follow::{AuditFollower, Followed, Irregularity, Stretch, Writer};
pub use note::{AuditAlarm, AuditNote, AuditRemoval};
pub use options::AuditOptions;
pub use packed::{Codec, OpenSegment, Unpacked, use_codec};
pub use read::AuditTail;
pub use record::{
    Entry, Filter, Record, RecordAsked, RecordChange, RecordObject, RecordPolicy, RecordRemoval, RecordUse,
};
pub use report::{Finding, Found, Progress, Report, SegmentReport, Status, Verdict};
pub use sink::{Ownership, SegmentSink};
pub use summary::{AuditSummary, MAX_USES, SummaryKey, SummaryUse};
pub use text::decode as decode_text;
pub use verify::{Trail, verify, verify_trail, verify_trail_while};

use std::time::Duration;

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::key::{Action, Alteration};
use crate::mechanism::MarkedContext;
use crate::permit::Subject;
use crate::seen::Seen;

/// What became of an operation, or how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// About to change something.
    Intent,
    /// Gives out first results; the end is still to come.
    Begun,
    /// Done.
    Success,
    /// Refused by policy, quota, state or attributes.
    Denied(ErrorKind),
    /// Admitted, but failed.
    Failed(ErrorKind),
    /// Never finished.
    Abandoned,
}

/// One event, as the pipeline hands it over. Holds nothing secret.
#[derive(Clone, Debug)]
pub struct AuditEvent<'a> {
    /// When.
    pub time: Timestamp,
    /// Who; absent for events before anybody is known.
    pub caller: Option<&'a Caller>,
    /// What.
    pub action: Action,
    /// On what.
    pub subject: &'a Subject,
    /// The second key of wrap, unwrap and derive.
    pub also: Option<&'a Subject>,
    /// Name of the mechanism, where one is involved.
    pub mechanism: Option<&'a str>,
    /// Bytes of data processed, where any.
    pub data_len: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// A sentence why, for anything but success; empty otherwise. Never holds data of the user.
    pub reason: &'a str,
    /// The deciding policy rule; empty where there is none.
    pub rule: &'a str,
    /// Tags that policies ask for.
    pub tags: &'a [String],
    /// Duties that policies impose, in the words of their language.
    pub duties: &'a [String],
    /// The encryption context: names, each with a mark of its value.
    pub context: Option<&'a MarkedContext>,
    /// What is to be otherwise.
    pub changes: &'a [Alteration],
    /// Ties the records of one operation together, where it has several.
    pub request: Option<u64>,
    /// What policies saw of `subject` (place 0) and of `also` (any other); nothing where none is in force.
    pub policy: &'a [Seen],
    /// Time since the operation began.
    pub duration: Duration,
}

/// Takes events. When `record` returns `Ok`, the record is in the kernel and survives the death of the process.
pub trait AuditSink: Send + Sync {
    /// Whether [`Self::record`] would record such an event, which need not be put together where not. What is refused or fails
    /// always is recorded.
    fn wants(&self, action: Action, outcome: Outcome, tags: &[String]) -> bool;

    /// Records an event.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`]: the operation must be refused.
    fn record(&self, event: &AuditEvent<'_>) -> Result<()>;

    /// Records several events, each with an end of its own; those that are to be on the disk wait for it together.
    fn record_each(&self, events: &[AuditEvent<'_>]) -> Vec<Result<()>> {
        events.iter().map(|event| self.record(event)).collect()
    }

    /// Whether uses of session keys are to be counted and summarised. Where they are not, each is an event.
    fn summarizes(&self) -> bool;

    /// Records what was counted.
    ///
    /// # Errors
    /// As [`Self::record`].
    fn summarize(&self, summary: &AuditSummary<'_>) -> Result<()>;
}
