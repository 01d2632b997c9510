//! Many operations that make objects: each goes the whole way by itself, but what they make is kept together.

use std::sync::Arc;
use std::time::Duration;

use super::anew::{Anew, Granted, is_old, is_settled};
use super::checks::{Asked, refused};
use super::{Admission, Pipeline, Trace, unknown_data};
use crate::audit::Outcome;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Object;
use crate::operation::{Making, Request};
use crate::quota::Reservation;

/// After so long what was made is kept, however little it is.
const PIECE: Duration = Duration::from_secs(1);

/// One that was admitted.
struct Admitted<O> {
    operation: O,
    request: Request,
    admission: Admission,
    trace: Trace,
    /// What a later decision reserved.
    later: Vec<Box<dyn Reservation>>,
}

/// One that made what it was to make.
struct Prepared {
    request: Request,
    admission: Admission,
    trace: Trace,
    later: Vec<Box<dyn Reservation>>,
    objects: Vec<Object>,
}

impl Pipeline {
    /// How many are announced together, and kept together at most: others write in between.
    pub const TOGETHER: usize = 1024;

    /// Does operations as [`Self::perform`] does each, but in steps that some of them take together, so that they wait together for
    /// the disk: they are admitted, their intents recorded, what they make is kept, and recorded, before the next ones are admitted.
    ///
    /// A process that dies in between leaves intents without ends, as one that dies in a single operation does: of the last
    /// [`Self::TOGETHER`] at most. What those made in the last second may have been kept all the same.
    pub fn make_each<O: Making>(&self, caller: &Caller, operations: Vec<O>) -> Vec<Result<O::Running>> {
        let mut ends = Vec::with_capacity(operations.len());
        let mut operations = operations.into_iter();
        while operations.len() > 0 {
            let some = operations.by_ref().take(Self::TOGETHER);
            let admitted = some.map(|operation| self.admit_one(caller, operation)).collect();
            let mut announced = self.announced(caller, admitted).into_iter();
            while announced.len() > 0 {
                let prepared = self.prepared(caller, &mut announced);
                self.keep::<O>(caller, prepared, &mut ends);
            }
        }
        ends
    }

    fn admit_one<O: Making>(&self, caller: &Caller, operation: O) -> Result<Admitted<O>> {
        let request = operation.request();
        let mut trace = Trace::of(&request, self.moment());
        let admission = self.admitted(caller, &request, true, &mut trace)?;
        if request.has_effect() {
            trace.changes = operation.alterations(admission.permit.subject());
            trace.number();
        }
        Ok(Admitted { operation, request, admission, trace, later: Vec::new() })
    }

    /// Records the intents of those that were admitted: those whose own was recorded go on.
    fn announced<O: Making>(&self, caller: &Caller, admitted: Vec<Result<Admitted<O>>>) -> Vec<Result<Admitted<O>>> {
        let (mut events, mut counts) = (Vec::new(), Vec::with_capacity(admitted.len()));
        for Admitted { request, admission, trace, .. } in admitted.iter().flatten() {
            let before = events.len();
            if request.has_effect() && self.audit.wants(trace.action, Outcome::Intent, &trace.tags) {
                events.extend(self.events(Some(caller), trace, admission.permit.subjects(), Outcome::Intent, ""));
            }
            counts.push(events.len() - before);
        }
        let mut recorded = self.audit.record_each(&events).into_iter();
        drop(events);
        let mut counts = counts.into_iter();
        let announced = |one: Result<Admitted<O>>| {
            let admitted = one?;
            all_of(&mut recorded, counts.next().unwrap_or_default()).map(|()| admitted)
        };
        admitted.into_iter().map(announced).collect()
    }

    /// Has those that were announced make what they are to make, until it is time to keep it.
    fn prepared<O: Making>(
        &self,
        caller: &Caller,
        announced: &mut impl Iterator<Item = Result<Admitted<O>>>,
    ) -> Vec<Result<Prepared>> {
        let (begun, mut prepared) = (self.clock.monotonic(), Vec::new());
        for one in announced {
            prepared.push(one.and_then(|admitted| self.prepare(caller, admitted)));
            if self.clock.monotonic().saturating_sub(begun) >= PIECE {
                break;
            }
        }
        prepared
    }

    fn prepare<O: Making>(&self, caller: &Caller, mut admitted: Admitted<O>) -> Result<Prepared> {
        if let Err(refusal) = self.still_admitted(caller, &mut admitted) {
            let Admitted { admission, mut trace, .. } = admitted;
            let subjects = admission.permit.subjects();
            self.record(caller, &mut trace, subjects, refused(refusal.kind()), refusal.message())?;
            return Err(refusal);
        }
        let Admitted { operation, request, admission, mut trace, later } = admitted;
        let objects = operation.prepare(&self.hall, &admission.permit);
        if let Err(error) = &objects {
            self.failed(caller, &admission, &mut trace, error)?;
        }
        let objects = objects?;
        Ok(Prepared { request, admission, trace, later, objects })
    }

    /// Decides again where the others took so long that something changed, or that the decision is old.
    fn still_admitted<O: Making>(&self, caller: &Caller, admitted: &mut Admitted<O>) -> Result<()> {
        let Admitted { request, admission, trace, later, .. } = admitted;
        let settled = is_settled(&admission.permit, self.store.generation());
        if settled && !is_old(&admission.permit, trace.started.monotonic, self.clock.rough()) {
            return Ok(());
        }
        let asked = Asked { data_len: request.data_len, confirmed: false, again: true };
        let granted = Granted { limits: &mut admission.limits, later, approved: &admission.approved };
        let Anew { permit, of_data, .. } = self.decide_anew(caller, request, asked, granted, trace)?;
        if !of_data.is_empty() {
            return Err(unknown_data());
        }
        admission.permit = permit;
        Ok(())
    }

    /// Keeps what was made, and ends each operation with what came of it.
    fn keep<O: Making>(
        &self,
        caller: &Caller,
        mut prepared: Vec<Result<Prepared>>,
        ends: &mut Vec<Result<O::Running>>,
    ) {
        let made = prepared.iter_mut().flatten();
        let made = made.map(|Prepared { admission, objects, .. }| (&admission.permit, std::mem::take(objects)));
        let mut kept = self.hall.keep_each(caller, made.collect()).into_iter();
        let missing = || Err(Error::new(ErrorKind::Internal, "less was kept than was made"));
        let end = |one: Result<Prepared>| self.end::<O>(caller, one?, kept.next().unwrap_or_else(missing));
        ends.extend(prepared.into_iter().map(end));
    }

    fn end<O: Making>(
        &self,
        caller: &Caller,
        prepared: Prepared,
        kept: Result<Vec<Arc<Object>>>,
    ) -> Result<O::Running> {
        let Prepared { request, admission, mut trace, later, .. } = prepared;
        match kept.and_then(O::running) {
            Ok(result) => {
                let bytes = trace.bytes;
                let ended = self.conclude::<O>(caller, &request, admission, &mut trace, result);
                if ended.is_ok() || request.has_effect() {
                    later.into_iter().for_each(|reservation| reservation.settle(bytes));
                }
                ended
            }
            Err(error) => {
                let failed = Outcome::Failed(error.kind());
                self.record(caller, &mut trace, admission.permit.subjects(), failed, error.message())?;
                Err(error)
            }
        }
    }
}

/// What became of the next `count` records, of which none may be missing: takes exactly those.
fn all_of(recorded: &mut impl Iterator<Item = Result<()>>, count: usize) -> Result<()> {
    let all: Vec<_> = recorded.take(count).collect();
    if all.len() < count {
        return Err(Error::new(
            ErrorKind::AuditUnavailable,
            "the audit does not say of every record what became of it",
        ));
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_operation_is_told_of_all_its_records_and_of_none_of_another() {
        let no = || Err(Error::new(ErrorKind::AuditUnavailable, "no"));
        let mut recorded = vec![no(), Ok(()), Ok(()), Ok(()), Ok(()), no(), Ok(())].into_iter();
        assert!(all_of(&mut recorded, 2).is_err());
        assert!(all_of(&mut recorded, 0).is_ok());
        assert!(all_of(&mut recorded, 3).is_ok());
        assert!(all_of(&mut recorded, 1).is_err());
        assert!(all_of(&mut recorded, 2).is_err(), "one is missing");
        assert!(all_of(&mut recorded, 0).is_ok());
    }
}
