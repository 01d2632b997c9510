//! Operations under way: the second half of the sentence.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::anew::{Anew, Granted, is_old, is_settled};
use super::awaited::Awaited;
use super::checks::{Asked, check_length, refused, unconfirmed};
use super::{Admission, Pipeline, Precedent, Resolved, Trace, is_tried, settle};
use crate::audit::Outcome;
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::operation::Request;
use crate::permit::{Confirmation, Permit};
use crate::quota::{Limit, Reservation};

/// An admitted operation that has not ended. Its result leaves only through [`Unfinished::finish`], after the record is
/// in the kernel; dropped before that, it is recorded as abandoned.
pub struct Unfinished<R> {
    standing: Box<Standing>,
    running: R,
}

/// Where an operation stands: all but the computation itself.
pub(super) struct Standing {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) request: Request,
    pub(super) permit: Permit,
    pub(super) trace: Trace,
    /// When the next operation like it would be decided alike.
    holds: Option<Range<Timestamp>>,
    maximum: Option<u64>,
    step_up: bool,
    /// Whether a step-up may be asked for once the length of the data is known.
    may_step_up: bool,
    /// The rates that were reserved.
    limits: Vec<Limit>,
    awaits_length: bool,
    /// The approvals of its very data that it needs at its end.
    awaited: Option<Box<Awaited>>,
    /// Whether it goes on from data that came in elsewhere.
    resumed: bool,
    pub(super) reservation: Option<Box<dyn Reservation>>,
    /// What later decisions reserved.
    later: Vec<Box<dyn Reservation>>,
    /// Monotonic time of the decision.
    decided: Duration,
    pub(super) epoch: u32,
    begun: bool,
    confirmed: bool,
    ended: bool,
    /// Whether its result left.
    succeeded: bool,
}

impl<R> Unfinished<R> {
    pub(super) fn new(
        pipeline: &Arc<Pipeline>,
        request: Request,
        admission: Admission,
        mut trace: Trace,
        running: R,
    ) -> Self {
        // What is fed is what counts.
        trace.bytes = 0;
        let standing = Box::new(Standing {
            decided: trace.started.monotonic,
            pipeline: Arc::clone(pipeline),
            request,
            permit: admission.permit,
            trace,
            holds: admission.holds,
            maximum: admission.maximum,
            step_up: admission.step_up,
            may_step_up: admission.may_step_up,
            limits: admission.limits,
            awaits_length: admission.awaits_length,
            awaited: admission.awaited,
            resumed: false,
            later: Vec::new(),
            reservation: admission.reservation,
            epoch: crate::os::epoch(),
            begun: false,
            confirmed: false,
            ended: false,
            succeeded: false,
        });
        Self { standing, running }
    }

    /// One that is admitted as an earlier one was.
    pub(super) const fn follow(standing: Box<Standing>, running: R) -> Self {
        Self { standing, running }
    }

    /// What the next operation like this one may follow, where this one has ended with a result and would be decided
    /// alike.
    pub fn precedent(self) -> Option<Precedent> {
        drop(self.running);
        Precedent::of(self.standing)
    }

    /// The operation, for questions about lengths.
    pub const fn running(&self) -> &R {
        &self.running
    }

    /// Whether it computes nothing before its user confirms it.
    #[must_use]
    pub fn awaits_confirmation(&self) -> bool {
        self.standing.awaits_confirmation()
    }

    /// Whether a confirmation is of use to it: it awaits one, or may come to.
    #[must_use]
    pub fn takes_confirmation(&self) -> bool {
        self.awaits_confirmation() || (!self.standing.confirmed && self.standing.may_step_up)
    }

    /// Confirms this operation.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] where somebody else authenticated.
    pub fn confirm(&mut self, confirmation: Confirmation) -> Result<()> {
        let standing = &mut *self.standing;
        standing.confirmed |= confirmation.is_from(standing.permit.caller());
        drop(confirmation);
        if self.awaits_confirmation() { Err(unconfirmed()) } else { Ok(()) }
    }

    /// Takes `data` in; nothing leaves.
    ///
    /// # Errors
    /// Those of `f`, which end the operation, except [`ErrorKind::BufferTooSmall`].
    pub fn update<T>(&mut self, data: &[u8], f: impl FnOnce(&mut R) -> Result<T>) -> Result<T> {
        let result = self.step(data.len(), |_| Ok(()), f)?;
        if let Some(awaited) = &mut self.standing.awaited {
            awaited.take_in(data);
        }
        Ok(result)
    }

    /// Lets `f` put in the place of what runs something that took its data in elsewhere.
    ///
    /// # Errors
    /// As [`Self::update`]; [`ErrorKind::Denied`] where a policy wants this very data approved.
    pub fn resume<T>(&mut self, f: impl FnOnce(&mut R) -> Result<T>) -> Result<T> {
        self.standing.resumed = true;
        let ready = |this: &mut Standing| this.awaited.as_ref().map_or(Ok(()), |_| Err(this.unseen()));
        self.step(0, ready, f)
    }

    /// Takes `data` in and lets output leave before the end. The decision is made anew where it is stale; the first time, a
    /// `begun` record is written before.
    ///
    /// # Errors
    /// As [`Self::update`], and refusals of the new decision; [`ErrorKind::Denied`] where a policy wants the whole data
    /// approved, which is known at the end alone.
    pub fn produce<T>(&mut self, data: &[u8], f: impl FnOnce(&mut R) -> Result<T>) -> Result<T> {
        let ready = |this: &mut Standing| {
            this.decide_again(data.len())?;
            if this.awaited.is_some() {
                let why =
                    "the policy wants this very data approved, which is known at the end alone: give it in one part";
                return Err(Error::new(ErrorKind::Denied, why));
            }
            this.take_bytes()?;
            if !this.begun {
                this.record(Outcome::Begun, "")?;
                this.begun = true;
            }
            Ok(())
        };
        self.step(data.len(), ready, f)
    }

    /// Takes the last of the `data` in, computes, records, and only then releases what `f` returns. What `f` wrote
    /// elsewhere (a caller's buffer) must be wiped by the caller when this fails.
    ///
    /// [`ErrorKind::BufferTooSmall`] from `f` leaves the operation alive; anything else ends it.
    ///
    /// # Errors
    /// Those of `f`, refusals of a new decision, and [`ErrorKind::AuditUnavailable`].
    pub fn finish<T>(&mut self, data: &[u8], f: impl FnOnce(&mut R) -> Result<T>) -> Result<T> {
        let ready = |this: &mut Standing| {
            this.decide_again(data.len())?;
            this.take_bytes()?;
            if this.awaited.is_some() { this.spend(Some(data)) } else { Ok(()) }
        };
        let result = self.step(data.len(), ready, f)?;
        self.standing.end(Outcome::Success, "")?;
        Ok(result)
    }

    /// Releases a result that [`Self::finish`] computed from `bytes` of input and that did not fit
    /// ([`ErrorKind::BufferTooSmall`]): the caller kept it.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn release(&mut self, bytes: usize) -> Result<()> {
        let ready = |this: &mut Standing| {
            this.decide_again(bytes)?;
            this.take_bytes()?;
            if this.awaited.is_some() { this.spend(None) } else { Ok(()) }
        };
        self.step(bytes, ready, |_| Ok(()))?;
        self.standing.end(Outcome::Success, "")
    }

    /// Ends the operation without a result, as its caller wishes.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`].
    pub fn cancel(mut self) -> Result<()> {
        self.standing.end(Outcome::Abandoned, "cancelled by the caller")
    }

    /// Counts `bytes`, lets `ready` refuse, and runs `f`. An error ends the operation, unless the output did not fit:
    /// then the same input comes again and counts once.
    fn step<T>(
        &mut self,
        bytes: usize,
        ready: impl FnOnce(&mut Standing) -> Result<()>,
        f: impl FnOnce(&mut R) -> Result<T>,
    ) -> Result<T> {
        let standing = &mut *self.standing;
        standing.alive()?;
        let before = standing.trace.bytes;
        standing.trace.bytes = before.saturating_add(bytes as u64);
        if let Err(refusal) = standing.check_confirmed().and_then(|()| ready(standing)) {
            standing.end(refused(refusal.kind()), refusal.message())?;
            return Err(refusal);
        }
        let result = f(&mut self.running);
        match &result {
            Err(error) if error.kind() == ErrorKind::BufferTooSmall => standing.trace.bytes = before,
            Err(error) => standing.end(Outcome::Failed(error.kind()), error.message())?,
            Ok(_) => {}
        }
        result
    }
}

impl Standing {
    fn awaits_confirmation(&self) -> bool {
        !self.confirmed && (self.step_up || self.permit.asks_confirmation())
    }

    fn check_confirmed(&self) -> Result<()> {
        if self.awaits_confirmation() {
            return Err(unconfirmed());
        }
        check_length(self.maximum, self.trace.bytes)
    }

    fn alive(&self) -> Result<()> {
        if self.ended || self.epoch != crate::os::epoch() {
            return Err(Error::new(ErrorKind::OperationInactive, "the operation has ended"));
        }
        Ok(())
    }

    /// Decides again where the store's generation moved, the decision is old, or it had to wait for the data's length. What
    /// was reserved stays; what the new decision asks for beside it is reserved and approved now. The last `bytes` were not
    /// taken in yet.
    fn decide_again(&mut self, bytes: usize) -> Result<()> {
        if self.request.has_effect() {
            return Ok(());
        }
        let generation = self.pipeline.store.generation();
        let rough = self.pipeline.clock.rough();
        self.trace.looked = Some(rough.monotonic);
        if !self.awaits_length && self.is_settled(generation) && !self.is_old(rough) {
            return Ok(());
        }
        let asked = Asked { data_len: Some(self.trace.bytes), confirmed: self.confirmed, again: true };
        let granted = Granted { limits: &mut self.limits, later: &mut self.later, approved: &[] };
        let (caller, pipeline) = (self.permit.caller(), &self.pipeline);
        let anew = pipeline.decide_anew(caller, &self.request, asked, granted, &mut self.trace)?;
        let Anew { permit, verdict, of_data, decided } = anew;
        if self.awaited.is_some() || !of_data.is_empty() {
            let untouched = self.trace.bytes == bytes as u64 && !self.resumed;
            self.awaited = Awaited::renewed(self.awaited.take(), of_data, untouched);
        }
        (self.maximum, self.step_up, self.holds) = (verdict.maximum, verdict.step_up, None);
        (self.permit, self.decided) = (permit, decided);
        Ok(())
    }

    /// Takes room in the budgets for the bytes that came so far.
    #[inline]
    fn take_bytes(&mut self) -> Result<()> {
        if self.reservation.is_some() { self.extend() } else { Ok(()) }
    }

    #[cold]
    fn extend(&mut self) -> Result<()> {
        let Some(reservation) = &mut self.reservation else { return Ok(()) };
        let extended = reservation.extend(self.trace.bytes, self.pipeline.clock.now());
        self.trace.tags.extend(reservation.notices());
        extended.map_err(|refusal| self.trace.told(refusal))
    }

    /// Whether the next operation may follow it: it ended with a result, and an operation like it would be decided alike.
    pub(super) fn is_precedent(&self) -> bool {
        let (request, trace) = (&self.request, &self.trace);
        let plain = request.also.is_none()
            && request.more.is_empty()
            && request.context.pairs().is_empty()
            && request.data_len.is_none()
            && !request.recovery;
        plain
            && self.succeeded
            && self.holds.is_some()
            && self.awaited.is_none()
            && trace.tags.is_empty()
            && !self.awaits_confirmation()
            && !self.confirmed
    }

    /// Stands at its beginning again, as an operation of its own.
    pub(super) fn begin_again(&mut self, moment: Moment, mut reservation: Option<Box<dyn Reservation>>) {
        (self.trace.started, self.trace.bytes, self.trace.looked) = (moment, 0, None);
        self.trace.seen.iter_mut().for_each(|seen| seen.renew(moment.wall));
        self.trace.request = None;
        if let Some(reservation) = &mut reservation {
            self.trace.tags.extend(reservation.notices());
        }
        self.reservation = reservation;
        (self.begun, self.ended, self.succeeded, self.resumed) = (false, false, false, false);
    }

    /// Spends the approvals of the data that ends with `last`, once; without `last` they must be spent already.
    #[cold]
    fn spend(&mut self, last: Option<&[u8]>) -> Result<()> {
        let Some(mut awaited) = self.awaited.take() else { return Ok(()) };
        let approvers = match last {
            Some(last) => match awaited.digest(last) {
                Some(digest) => self.spend_for(&mut awaited, digest),
                None => Err(self.unseen()),
            },
            None => awaited.spent(None).ok_or_else(|| self.unseen()),
        }?;
        let tags = &mut self.trace.tags;
        let new: Vec<String> = approvers.into_iter().filter(|approver| !tags.contains(approver)).collect();
        tags.extend(new);
        self.awaited = Some(awaited);
        Ok(())
    }

    fn spend_for(&self, awaited: &mut Awaited, digest: [u8; 32]) -> Result<Vec<String>> {
        if let Some(approvers) = awaited.spent(Some(digest)) {
            return Ok(approvers);
        }
        let resolved = Resolved { request: &self.request, subjects: self.permit.subjects() };
        let moment = self.pipeline.moment();
        let asked = Asked { data_len: Some(self.trace.bytes), confirmed: self.confirmed, again: true };
        let (caller, mut approvers) = (self.permit.caller(), Vec::new());
        let data = Some(digest);
        self.pipeline.approve(caller, resolved, (asked, moment), &awaited.quorums, data, &mut approvers)?;
        awaited.spend(digest, approvers.clone());
        Ok(approvers)
    }

    /// The refusal where approvals of data are wanted that was not seen from its beginning.
    fn unseen(&self) -> Error {
        let why = format!(
            "the policy wants the very data of this {} approved, and did not when its data began to come in: begin it anew",
            self.request.action.name()
        );
        Error::new(ErrorKind::Denied, why)
    }

    pub(super) const fn is_settled(&self, generation: u64) -> bool {
        is_settled(&self.permit, generation)
    }

    /// Whether what was decided is what would be decided now.
    pub(super) fn holds_at(&self, now: Moment) -> bool {
        self.holds.as_ref().is_some_and(|when| when.contains(&now.wall)) && !self.is_old(now)
    }

    fn is_old(&self, now: Moment) -> bool {
        is_old(&self.permit, self.decided, now)
    }

    fn record(&mut self, outcome: Outcome, reason: &str) -> Result<()> {
        self.pipeline.record(self.permit.caller(), &mut self.trace, self.permit.subjects(), outcome, reason)
    }

    /// Records the end. The quota is booked for results that leave now, or left before, and for attempts that failed.
    pub(super) fn end(&mut self, outcome: Outcome, reason: &str) -> Result<()> {
        self.ended = true;
        let recorded = self.record(outcome, reason);
        self.succeeded = outcome == Outcome::Success && recorded.is_ok();
        let (reserved, later) = (self.reservation.take(), std::mem::take(&mut self.later));
        let tried = matches!(outcome, Outcome::Failed(why) if is_tried(self.request.action, why));
        if self.begun || self.succeeded || tried {
            settle(reserved, self.trace.bytes);
            later.into_iter().for_each(|reservation| reservation.settle(self.trace.bytes));
        }
        recorded
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        // In a forked child the operation is still the parent's to finish.
        if !self.ended && self.epoch == crate::os::epoch() {
            // Nobody is left to be told of a failure, and nothing was released.
            let _ = self.end(Outcome::Abandoned, "dropped unfinished");
        }
    }
}
