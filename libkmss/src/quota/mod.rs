//! Blocks and quotas: what nobody may do, or only so often. What an operation takes is reserved before it, and settled or
//! returned after it.

mod block;
mod book;
mod carry;
mod held;
mod host;
mod in_force;
mod meter;
mod rule;
#[cfg(test)]
mod tests;

pub use block::{Block, BlockId, BlockTarget, Within};
pub use book::{Book, Usage};
pub use host::HostLedger;
pub use in_force::InForce;
pub use rule::{Each, Kind, Quota, QuotaLimits, QuotaScope};

use std::sync::Arc;

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{Action, Rotation};
use crate::permit::Subjects;
use crate::tenant::{NamespaceId, ObjectId};

/// One operation that wants room in the budgets.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// What.
    pub action: Action,
    /// On what.
    pub subjects: &'a Subjects,
    /// Bytes of data, where known.
    pub bytes: Option<u64>,
    /// The rates that policies ask for.
    pub limits: &'a [Limit],
    /// When.
    pub time: Timestamp,
    /// The keys among the subjects whose uses are counted, and this is one.
    pub counted: &'a [CountedKey<'a>],
    /// Whether it was reserved for before: then `limits` alone are asked for.
    pub again: bool,
}

/// A key whose uses are counted, because it is rotated after so many.
#[derive(Clone, Copy, Debug)]
pub struct CountedKey<'a> {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Under the identity of which object.
    pub id: ObjectId,
    /// Its name, for people.
    pub name: &'a str,
    /// After how many.
    pub rule: &'a Rotation,
}

/// A rate: so many operations of one principal with one key under one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which of the subjects it is for, in their order.
    pub place: usize,
    /// The rule that asks for it.
    pub rule: Arc<str>,
    /// Operations.
    pub count: u32,
    /// Length of the window in seconds.
    pub seconds: u32,
}

impl Limit {
    /// Whether both are the same rate, whichever subject they are for.
    fn is_like(&self, other: &Self) -> bool {
        (&self.rule, self.count, self.seconds) == (&other.rule, other.count, other.seconds)
    }
}

/// Why an operation is refused.
#[derive(Debug)]
pub struct Refusal {
    /// What stands in its way, for the audit: `block:ID` or `quota:NAME`; absent where it is the rate of a policy's rule.
    pub rule: Option<Arc<str>>,
    /// What the caller hears.
    pub error: Error,
    /// What the audit should hear beside it.
    pub notices: Vec<String>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { rule: None, error, notices: Vec::new() }
    }
}

/// Keeps budgets, and those out who are blocked.
pub trait QuotaLedger: Send + Sync {
    /// Whether nothing is blocked, throttled or budgeted that `caller` could do, as long as the store stays at
    /// `generation`: then neither is asked but for the rates of policies.
    fn is_silent(&self, caller: &Caller, generation: u64) -> bool {
        let (_, _) = (caller, generation);
        false
    }

    /// Refuses what is blocked.
    ///
    /// # Errors
    /// [`ErrorKind::Blocked`](crate::error::ErrorKind::Blocked); whatever keeps it from being found out.
    fn admit(&self, demand: &Demand<'_>) -> Result<(), Refusal>;

    /// Reserves one operation; `None` where nothing limits it.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`](crate::error::ErrorKind::QuotaExceeded); whatever keeps it from being found out.
    fn reserve(&self, demand: &Demand<'_>) -> Result<Option<Box<dyn Reservation>>, Refusal>;

    /// Gives back what this process holds ahead and did not use. It may go on, and takes anew then.
    fn close(&self) {}
}

/// The beginning of the tag that tells that four fifths of a quota are used; its name follows.
pub const NEAR: &str = "quota-near:";

/// A reservation. Dropped unsettled (the operation was abandoned), it returns what it holds.
#[must_use]
pub trait Reservation: Send {
    /// Takes room for `bytes` in all, as far as it was not taken yet: asked before what they come to is released.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`](crate::error::ErrorKind::QuotaExceeded); whatever keeps it from being found out.
    fn extend(&mut self, bytes: u64, now: Timestamp) -> Result<(), Refusal> {
        let (_, _) = (bytes, now);
        Ok(())
    }

    /// What the audit should hear, once.
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Books the operation with the bytes it really processed.
    fn settle(self: Box<Self>, bytes: u64);
}

/// `time` as people read it: RFC 3339 in UTC, to the second.
fn moment(time: Timestamp) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    let Ok(t) = time::OffsetDateTime::from_unix_timestamp(seconds) else { return time.0.to_string() };
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", t.hour(), t.minute(), t.second())
}
