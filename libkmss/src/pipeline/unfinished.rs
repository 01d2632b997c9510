//! Operations under way: the second half of the sentence.

use std::sync::Arc;

use super::{Admission, Pipeline, Trace, check_length};
use crate::audit::Outcome;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::Request;
use crate::permit::Permit;
use crate::quota::Reservation;

/// A decision older than this is made anew before output leaves, in milliseconds.
const DECISION_LIFE: u64 = 60_000;

/// An admitted operation that has not ended. Its result leaves only through [`Unfinished::finish`], after the record is
/// in the kernel; dropped before that, it is recorded as abandoned.
pub struct Unfinished<R> {
    pipeline: Arc<Pipeline>,
    request: Request,
    permit: Permit,
    trace: Trace,
    maximum: Option<u64>,
    reservation: Option<Box<dyn Reservation>>,
    running: R,
    epoch: u32,
    begun: bool,
    ended: bool,
}

impl<R> Unfinished<R> {
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        request: Request,
        admission: Admission,
        mut trace: Trace,
        running: R,
    ) -> Self {
        trace.rule = admission.rule;
        trace.tags = admission.tags;
        Self {
            pipeline,
            request,
            permit: admission.permit,
            trace,
            maximum: admission.maximum,
            reservation: Some(admission.reservation),
            running,
            epoch: crate::os::epoch(),
            begun: false,
            ended: false,
        }
    }

    /// The operation, for questions about lengths.
    pub const fn running(&self) -> &R {
        &self.running
    }

    /// Takes `bytes` of input in; nothing leaves.
    ///
    /// # Errors
    /// Those of `f`, which end the operation, except [`ErrorKind::BufferTooSmall`].
    pub fn update<T>(&mut self, bytes: usize, f: impl FnOnce(&mut R) -> Result<T>) -> Result<T> {
        self.alive()?;
        let taken = self.count(bytes).and_then(|()| f(&mut self.running));
        self.settle_error(taken)
    }

    /// Takes `bytes` of input in and lets output leave before the end. The decision is made anew where it is stale; the
    /// first time, a `begun` record is written before.
    ///
    /// # Errors
    /// As [`Self::update`], and refusals of the new decision.
    pub fn produce<T>(&mut self, bytes: usize, f: impl FnOnce(&mut R) -> Result<T>) -> Result<T> {
        self.alive()?;
        let produced = self.count(bytes).and_then(|()| self.decide_again()).and_then(|()| {
            if !self.begun {
                self.pipeline.record(self.permit.caller(), &self.trace, Outcome::Begun, "")?;
                self.begun = true;
            }
            f(&mut self.running)
        });
        self.settle_error(produced)
    }

    /// Takes the last `bytes` of input in, computes, records, and only then releases what `f` returns. What `f` wrote
    /// elsewhere (a caller's buffer) must be wiped by the caller when this fails.
    ///
    /// [`ErrorKind::BufferTooSmall`] from `f` leaves the operation alive; anything else ends it.
    ///
    /// # Errors
    /// Those of `f`, refusals of a new decision, and [`ErrorKind::AuditUnavailable`].
    pub fn finish<T>(&mut self, bytes: usize, f: impl FnOnce(&mut R) -> Result<T>) -> Result<T> {
        self.alive()?;
        let before = self.trace.bytes;
        let computed = self.count(bytes).and_then(|()| self.decide_again()).and_then(|()| f(&mut self.running));
        if matches!(&computed, Err(e) if e.kind() == ErrorKind::BufferTooSmall) {
            self.trace.bytes = before;
            return computed;
        }
        let result = self.settle_error(computed)?;
        self.end(Outcome::Success, "")?;
        Ok(result)
    }

    /// Ends the operation without a result, as its caller wishes.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`].
    pub fn cancel(mut self) -> Result<()> {
        self.end(Outcome::Abandoned, "cancelled by the caller")
    }

    fn alive(&self) -> Result<()> {
        if self.ended || self.epoch != crate::os::epoch() {
            return Err(Error::new(ErrorKind::OperationInactive, "the operation has ended"));
        }
        Ok(())
    }

    /// Counts input; what the policy bounds is refused before it is processed.
    fn count(&mut self, bytes: usize) -> Result<()> {
        self.trace.bytes = self.trace.bytes.saturating_add(bytes as u64);
        check_length(self.maximum, self.trace.bytes)
    }

    /// Decides again where the store's generation moved or the decision is old.
    fn decide_again(&mut self) -> Result<()> {
        let generation = self.pipeline.store.generation();
        let settled = generation.is_multiple_of(2) && generation == self.permit.generation();
        let age = self.pipeline.clock.now().0.saturating_sub(self.permit.issued().0);
        if self.request.action.has_effect() || (settled && age < DECISION_LIFE) {
            return Ok(());
        }
        let resolved = self.pipeline.resolve(self.permit.caller(), &self.request)?;
        let admission = self.pipeline.admit(self.permit.caller(), &resolved, generation)?;
        self.maximum = admission.maximum;
        self.permit = admission.permit;
        Ok(())
    }

    /// Ends the operation where `result` is an error.
    fn settle_error<T>(&mut self, result: Result<T>) -> Result<T> {
        match &result {
            Err(error) if error.kind() != ErrorKind::BufferTooSmall => {
                let refused = matches!(
                    error.kind(),
                    ErrorKind::Denied | ErrorKind::KeyState | ErrorKind::QuotaExceeded | ErrorKind::NotFound
                );
                let outcome = if refused { Outcome::Denied(error.kind()) } else { Outcome::Failed(error.kind()) };
                self.end(outcome, error.message())?;
            }
            _ => {}
        }
        result
    }

    fn end(&mut self, outcome: Outcome, reason: &str) -> Result<()> {
        self.ended = true;
        if let Some(reservation) = self.reservation.take()
            && outcome == Outcome::Success
        {
            reservation.settle(self.trace.bytes);
        }
        self.pipeline.record(self.permit.caller(), &self.trace, outcome, reason)
    }
}

impl<R> Drop for Unfinished<R> {
    fn drop(&mut self) {
        // In a forked child the operation is still the parent's to finish.
        if !self.ended && self.epoch == crate::os::epoch() {
            // Nobody is left to be told of a failure, and nothing was released.
            let _ = self.end(Outcome::Abandoned, "dropped unfinished");
        }
    }
}
