//! Many operations that make objects: each goes the whole way by itself, but what they make is kept together.

use std::sync::Arc;

use super::{Admission, Pipeline, Trace};
use crate::audit::Outcome;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Object;
use crate::operation::{Hall, Making, Operation, Request};
use crate::permit::Permit;

/// The first step of such an operation, as an operation.
struct Preparing<O>(O);

impl<O: Making> Operation for Preparing<O> {
    type Running = Vec<Object>;

    fn request(&self) -> Request {
        self.0.request()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Object>> {
        self.0.prepare(hall, permit)
    }
}

/// One that was admitted.
struct Admitted<O> {
    operation: O,
    request: Request,
    admission: Admission,
    trace: Trace,
}

/// One that made what it was to make.
struct Prepared {
    request: Request,
    admission: Admission,
    trace: Trace,
    objects: Vec<Object>,
}

impl Pipeline {
    /// Does operations as [`Self::perform`] does each, but in steps that all of them take together, so that they wait together for
    /// the disk: all are admitted, their intents recorded, what they make is kept, and recorded.
    ///
    /// A process that dies in between leaves intents without ends, as one that dies in a single operation does.
    pub fn make_each<O: Making>(&self, caller: &Caller, operations: Vec<O>) -> Vec<Result<O::Running>> {
        let admitted = operations.into_iter().map(|operation| self.admit_one(caller, operation)).collect();
        let mut prepared: Vec<_> = self.announced(caller, admitted);
        let made = prepared.iter_mut().flatten();
        let made = made.map(|Prepared { admission, objects, .. }| (&admission.permit, std::mem::take(objects)));
        let mut kept = self.hall.keep_each(caller, made.collect()).into_iter();
        let missing = || Err(Error::new(ErrorKind::Internal, "less was kept than was made"));
        let end = |one: Result<Prepared>| self.end::<O>(caller, one?, kept.next().unwrap_or_else(missing));
        prepared.into_iter().map(end).collect()
    }

    fn admit_one<O: Making>(&self, caller: &Caller, operation: O) -> Result<Admitted<O>> {
        let request = operation.request();
        let (admission, mut trace) = self.admitted(self.moment(), caller, &request, true)?;
        if request.has_effect() {
            trace.changes = operation.alterations(admission.permit.subject());
            trace.number();
        }
        Ok(Admitted { operation, request, admission, trace })
    }

    /// Records the intents of those that were admitted, and has each make what it is to make where its own was recorded.
    fn announced<O: Making>(&self, caller: &Caller, admitted: Vec<Result<Admitted<O>>>) -> Vec<Result<Prepared>> {
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
        let prepare = |one: Result<Admitted<O>>| {
            let Admitted { operation, request, admission, trace } = one?;
            recorded.by_ref().take(counts.next().unwrap_or_default()).collect::<Result<()>>()?;
            let (admission, trace, objects) = self.started(caller, Preparing(operation), (admission, trace))?;
            Ok(Prepared { request, admission, trace, objects })
        };
        admitted.into_iter().map(prepare).collect()
    }

    fn end<O: Making>(
        &self,
        caller: &Caller,
        prepared: Prepared,
        kept: Result<Vec<Arc<Object>>>,
    ) -> Result<O::Running> {
        let Prepared { request, admission, mut trace, .. } = prepared;
        match kept.and_then(O::running) {
            Ok(result) => self.conclude::<O>(caller, &request, (admission, trace), result),
            Err(error) => {
                let failed = Outcome::Failed(error.kind());
                self.record(caller, &mut trace, admission.permit.subjects(), failed, error.message())?;
                Err(error)
            }
        }
    }
}
