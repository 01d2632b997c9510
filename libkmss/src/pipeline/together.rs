//! Many operations that make objects: each goes the whole way by itself, but what they make is kept together.

use std::sync::Arc;

use super::{Admission, Pipeline, Trace};
use crate::audit::Outcome;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Alteration, Object};
use crate::operation::{Hall, Making, Operation, Request};
use crate::permit::{Permit, Subject};

/// The first step of such an operation, as an operation.
struct Preparing<O>(O);

impl<O: Making> Operation for Preparing<O> {
    type Running = Vec<Object>;

    fn request(&self) -> Request {
        self.0.request()
    }

    fn alterations(&self, subject: &Subject) -> Vec<Alteration> {
        self.0.alterations(subject)
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Object>> {
        self.0.prepare(hall, permit)
    }
}

/// One that was admitted, and what it made.
struct Prepared {
    request: Request,
    admission: Admission,
    trace: Trace,
    objects: Vec<Object>,
}

impl Pipeline {
    /// Admits operations, each as [`Self::perform`] does, keeps what they made together, and records and releases each.
    ///
    /// A process that dies in between leaves intents without ends, as one that dies in a single operation does.
    pub fn make_each<O: Making>(&self, caller: &Caller, operations: Vec<O>) -> Vec<Result<O::Running>> {
        let mut prepared: Vec<_> = operations.into_iter().map(|operation| self.prepare(caller, operation)).collect();
        let made = prepared.iter_mut().flatten();
        let made = made.map(|Prepared { admission, objects, .. }| (&admission.permit, std::mem::take(objects)));
        let mut kept = self.hall.keep_each(caller, made.collect()).into_iter();
        let missing = || Err(Error::new(ErrorKind::Internal, "less was kept than was made"));
        let end = |one: Result<Prepared>| self.end::<O>(caller, one?, kept.next().unwrap_or_else(missing));
        prepared.into_iter().map(end).collect()
    }

    fn prepare<O: Making>(&self, caller: &Caller, operation: O) -> Result<Prepared> {
        let request = operation.request();
        let (admission, trace, objects) = self.start(self.moment(), caller, Preparing(operation), &request, true)?;
        Ok(Prepared { request, admission, trace, objects })
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
