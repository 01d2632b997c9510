//! What is told of an operation while it goes its way.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::key::{Action, Alteration};
use crate::mechanism::{MarkedContext, Mechanism};
use crate::operation::Request;
use crate::quota::{NEAR, Refusal, Reservation};
use crate::seen::Seen;

/// How the tags begin that name approvers.
pub(super) const APPROVED_BY: &str = "approved-by:";

/// What the records of one operation say, beside what it is about.
pub(super) struct Trace {
    pub(super) action: Action,
    pub(super) mechanism: Option<&'static str>,
    pub(super) rule: Option<Arc<str>>,
    pub(super) tags: Vec<String>,
    /// What the policies ask for, in the words of their language.
    pub(super) duties: Vec<String>,
    /// The encryption context, its values marked.
    pub(super) context: Option<MarkedContext>,
    /// What is to be otherwise.
    pub(super) changes: Vec<Alteration>,
    /// Ties several records together.
    pub(super) request: Option<u64>,
    /// What the policies saw of each subject; nothing where none is in force.
    pub(super) seen: Vec<Seen>,
    pub(super) started: Moment,
    pub(super) bytes: u64,
    /// The rough monotonic clock, where somebody has just looked at it.
    pub(super) looked: Option<Duration>,
}

impl Trace {
    pub(super) const fn new(action: Action, started: Moment) -> Self {
        Self {
            action,
            mechanism: None,
            rule: None,
            tags: Vec::new(),
            duties: Vec::new(),
            context: None,
            changes: Vec::new(),
            request: None,
            seen: Vec::new(),
            started,
            bytes: 0,
            looked: None,
        }
    }

    pub(super) fn of(request: &Request, started: Moment) -> Self {
        Self {
            mechanism: request.mechanism.as_ref().map(Mechanism::name),
            bytes: request.data_len.unwrap_or(0),
            tags: request.part_of.map(str::to_owned).into_iter().collect(),
            ..Self::new(request.action, started)
        }
    }

    /// Gives it a number, because it will have several records.
    pub(super) fn number(&mut self) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.request.get_or_insert_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
    }

    /// What was reserved, with what the audit should hear of it.
    pub(super) fn reserved(
        &mut self,
        reserved: Result<Option<Box<dyn Reservation>>, Refusal>,
    ) -> Result<Option<Box<dyn Reservation>>> {
        let mut reserved = reserved.map_err(|refusal| self.told(refusal))?;
        if let Some(reservation) = &mut reserved {
            self.tags.extend(reservation.notices());
        }
        Ok(reserved)
    }

    /// The tags of a new decision, beside what the operation is a part of, what the audit has to hear of budgets, and who approved
    /// what stays approved.
    pub(super) fn retag(&mut self, part_of: Option<&str>, tags: Vec<String>, stays_approved: bool) {
        self.tags.retain(|tag| tag.starts_with(NEAR) || (stays_approved && tag.starts_with(APPROVED_BY)));
        self.tags.splice(0..0, part_of.map(str::to_owned));
        self.tags.extend(tags);
    }

    /// Hears what refused the operation, and passes the error on.
    pub(super) fn told(&mut self, refusal: Refusal) -> Error {
        self.tags.extend(refusal.notices);
        match refusal.rule {
            Some(rule) => {
                let error = refusal.error.with_rule(&*rule);
                self.rule = Some(rule);
                error
            }
            None => refusal.error,
        }
    }

    /// What the policies saw of the subjects at these places.
    pub(super) fn seen_of(&self, places: Range<usize>) -> &[Seen] {
        let at = |place| self.seen.partition_point(|seen| seen.place < place);
        self.seen.get(at(places.start)..at(places.end)).unwrap_or_default()
    }
}
