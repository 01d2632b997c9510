//! Quotas: what is reserved before an operation and settled or returned after it.

mod unmetered;

pub use unmetered::Unmetered;

use crate::caller::Caller;
use crate::error::Result;
use crate::key::Action;
use crate::permit::Subject;

/// Keeps budgets.
pub trait QuotaLedger: Send + Sync {
    /// Reserves one operation of `action` on `subject`, with `bytes` of data where known.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`](crate::error::ErrorKind::QuotaExceeded).
    fn reserve(
        &self,
        caller: &Caller,
        action: Action,
        subject: &Subject,
        bytes: Option<u64>,
    ) -> Result<Box<dyn Reservation>>;
}

/// A reservation. Dropped unsettled (the operation was abandoned), it returns what it holds.
#[must_use]
pub trait Reservation: Send {
    /// Books the operation with the bytes it really processed.
    fn settle(self: Box<Self>, bytes: u64);
}
