//! Decisions that are made once more, about what was decided on before.

use std::time::Duration;

use super::checks::{Asked, Demanded, Verdict, unconfirmed};
use super::{Pipeline, Resolved, Trace};
use crate::caller::Caller;
use crate::clock::Moment;
use crate::error::Result;
use crate::operation::Request;
use crate::permit::Permit;
use crate::quota::{Limit, Reservation};

/// A decision older than this is made anew before output leaves, and before anything is made, in milliseconds.
const DECISION_LIFE: u64 = 60_000;

/// What an operation has by its earlier decisions, and keeps.
pub(super) struct Granted<'a> {
    /// The rates that were reserved.
    pub(super) limits: &'a mut Vec<Limit>,
    /// What was reserved later than at its admission.
    pub(super) later: &'a mut Vec<Box<dyn Reservation>>,
    /// The approvals that were spent on it and need not be spent again.
    pub(super) approved: &'a [Demanded],
}

/// What was decided now.
pub(super) struct Anew {
    pub(super) permit: Permit,
    pub(super) verdict: Verdict,
    /// The approvals of its very data that it needs at its end.
    pub(super) of_data: Vec<Demanded>,
    /// Monotonic time of the decision.
    pub(super) decided: Duration,
}

impl Pipeline {
    /// Decides on `request` again. What was reserved stays; what the new decision asks for beside it is reserved and approved now.
    ///
    /// # Errors
    /// As those of an admission, of which `trace` learns; nothing is recorded.
    pub(super) fn decide_anew(
        &self,
        caller: &Caller,
        request: &Request,
        asked: Asked,
        granted: Granted<'_>,
        trace: &mut Trace,
    ) -> Result<Anew> {
        let generation = self.store.generation();
        let moment = self.moment();
        let subjects = self.resolve(caller, request)?;
        let resolved = Resolved { request, subjects: &subjects };
        if !self.quota.is_silent(caller, generation) {
            self.unblocked(caller, resolved, moment).map_err(|refusal| trace.told(refusal))?;
        }
        let mut verdict = Verdict::default();
        let decided = self.decide(caller, resolved, asked, moment, &mut verdict);
        trace.rule = verdict.rule.take();
        trace.retag(request.part_of, std::mem::take(&mut verdict.tags), !granted.approved.is_empty());
        (trace.seen, trace.duties) = (std::mem::take(&mut verdict.seen), std::mem::take(&mut verdict.duties));
        decided?;
        self.check(caller, resolved, moment.wall)?;
        if !asked.confirmed && (verdict.step_up || subjects.ask_confirmation(request.action)) {
            return Err(unconfirmed());
        }
        let new = verdict.limits.extract_if(.., |limit| !granted.limits.contains(limit)).collect::<Vec<_>>();
        if !new.is_empty() {
            // Budgets were asked when it began.
            let reservation = self.reserve(true, caller, resolved, asked, moment, &new);
            granted.later.extend(trace.reserved(reservation)?);
            granted.limits.extend(new);
        }
        let of_data = verdict.of_data(request.action);
        let mut quorums = std::mem::take(&mut verdict.quorums);
        quorums.retain(|quorum| !granted.approved.contains(quorum));
        self.approve(caller, resolved, (asked, moment), &quorums, None, &mut trace.tags)?;
        let permit = Permit::issue(request.action, caller.clone(), subjects, generation, moment.wall);
        Ok(Anew { permit, verdict, of_data, decided: moment.monotonic })
    }
}

/// Whether nothing that decisions rest on changed since `permit`.
pub(super) const fn is_settled(permit: &Permit, generation: u64) -> bool {
    generation.is_multiple_of(2) && generation == permit.generation()
}

/// Whether a decision, made at the monotonic time `decided`, is old by either clock: one may be set, the other may stand still while
/// the machine sleeps.
pub(super) fn is_old(permit: &Permit, decided: Duration, now: Moment) -> bool {
    let slept = now.wall.0.abs_diff(permit.issued().0);
    let waited = now.monotonic.saturating_sub(decided);
    slept >= DECISION_LIFE || waited.as_millis() >= u128::from(DECISION_LIFE)
}
