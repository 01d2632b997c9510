//! Quotas: what is reserved before an operation and settled or returned after it.

mod host;

pub use host::HostLedger;

use std::sync::Arc;

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::Action;
use crate::permit::Subjects;

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

/// Keeps budgets.
pub trait QuotaLedger: Send + Sync {
    /// Reserves one operation.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`](crate::error::ErrorKind::QuotaExceeded).
    fn reserve(&self, demand: &Demand<'_>) -> Result<Box<dyn Reservation>>;
}

/// A reservation. Dropped unsettled (the operation was abandoned), it returns what it holds.
#[must_use]
pub trait Reservation: Send {
    /// Books the operation with the bytes it really processed.
    fn settle(self: Box<Self>, bytes: u64);
}
