//! The one sentence every key operation follows: resolve, decide, reserve, check the state, permit, compute, record,
//! release.

mod checks;
mod tally;
mod unfinished;

use std::sync::Arc;
use std::time::Duration;

pub use unfinished::Unfinished;

use self::checks::{Verdict, refused, unconfirmed};
use crate::audit::{AuditEvent, AuditSink, Outcome};
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::key::{Action, Object};
use crate::mechanism::Mechanism;
use crate::operation::{Hall, ObjectRef, Operation, Request, Target};
use crate::permit::{NewObject, Permit, Subject};
use crate::policy::PolicyEngine;
use crate::quota::{QuotaLedger, Reservation};
use crate::store::Store;
use crate::tenant::ObjectId;

/// What the pipeline is made of. It knows only the seams.
pub struct Pipeline {
    /// Decides.
    pub policy: Arc<dyn PolicyEngine>,
    /// Keeps budgets.
    pub quota: Arc<dyn QuotaLedger>,
    /// Takes records.
    pub audit: Arc<dyn AuditSink>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Tells, by its generation, whether decisions are stale.
    pub store: Arc<dyn Store>,
    /// What operations work with.
    pub hall: Hall,
}

/// What an admission yields.
struct Admission {
    permit: Permit,
    reservation: Box<dyn Reservation>,
    maximum: Option<u64>,
}

/// A request with its objects resolved.
struct Resolved<'a> {
    request: &'a Request,
    subject: Subject,
    also: Option<(Action, Subject)>,
    more: Vec<(Action, Subject)>,
}

impl Resolved<'_> {
    /// Every subject with the action that is decided on it.
    fn each(&self) -> impl Iterator<Item = (Action, &Subject)> {
        let others = self.also.iter().chain(&self.more).map(|(action, subject)| (*action, subject));
        std::iter::once((self.request.action, &self.subject)).chain(others)
    }

    /// The permit for it.
    fn permit(&self, caller: &Caller, generation: u64, issued: Timestamp) -> Permit {
        let also = self.also.as_ref().map(|(_, subject)| subject.clone());
        let more = self.more.iter().map(|(_, subject)| subject.clone()).collect();
        Permit::issue(self.request.action, caller.clone(), self.subject.clone(), also, generation, issued)
            .with_more(more)
    }
}

impl Pipeline {
    /// Admits an operation and starts it.
    ///
    /// Every refusal is audited. Operations with effects have their intent recorded before anything changes.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], [`ErrorKind::QuotaExceeded`], [`ErrorKind::KeyState`], [`ErrorKind::KeyUsage`],
    /// [`ErrorKind::NotFound`], [`ErrorKind::AuditUnavailable`], and what the operation itself returns.
    pub fn begin<O: Operation>(self: &Arc<Self>, caller: &Caller, operation: O) -> Result<Unfinished<O::Running>> {
        let request = operation.request();
        let (admission, trace, running) = self.start(caller, operation, &request, false)?;
        Ok(Unfinished::new(Arc::clone(self), request, admission, trace, running))
    }

    /// Admits an operation that completes in its start, records it, and releases its result.
    ///
    /// # Errors
    /// As [`Self::begin`]. When the record of a change cannot be written the change stands, announced by its intent.
    pub fn perform<O: Operation>(&self, caller: &Caller, operation: O) -> Result<O::Running> {
        let request = operation.request();
        let (admission, mut trace, result) = self.start(caller, operation, &request, true)?;
        let made = O::made(&result);
        trace.made(&made);
        let counted = tally::ended(&trace).map_or(Ok(()), tally::Tally::end);
        let recorded = counted.and_then(|()| self.record(caller, &trace, Outcome::Success, ""));
        if recorded.is_ok() || request.has_effect() {
            admission.reservation.settle(trace.bytes);
        }
        recorded?;
        made.iter().for_each(|object| self.tally(caller, object));
        Ok(result)
    }

    /// Does something that no key operation is (login, PINs, namespaces) between an intent, where it changes something,
    /// and its record.
    ///
    /// # Errors
    /// Those of `f`, and [`ErrorKind::AuditUnavailable`].
    pub fn around<T>(&self, caller: Option<&Caller>, action: Action, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.around_tagged(caller, action, Vec::new(), f)
    }

    /// As [`Self::around`], with `tags` in the records.
    ///
    /// # Errors
    /// As [`Self::around`].
    pub fn around_tagged<T>(
        &self,
        caller: Option<&Caller>,
        action: Action,
        tags: Vec<String>,
        f: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let trace = Trace { tags, ..Trace::new(action, self.clock.monotonic()) };
        if action.has_effect() {
            self.record_for(caller, &trace, Outcome::Intent, "")?;
        }
        match f() {
            Ok(done) => {
                self.record_for(caller, &trace, Outcome::Success, "")?;
                Ok(done)
            }
            Err(error) => {
                let outcome = match error.kind().class() {
                    ErrorClass::Authority => Outcome::Denied(error.kind()),
                    _ => Outcome::Failed(error.kind()),
                };
                self.record_for(caller, &trace, outcome, error.message())?;
                Err(error)
            }
        }
    }

    fn start<O: Operation>(
        &self,
        caller: &Caller,
        operation: O,
        request: &Request,
        at_once: bool,
    ) -> Result<(Admission, Trace, O::Running)> {
        let mut trace = Trace::of(request, self.clock.monotonic());
        let admitted = self.admit(caller, request, &mut trace);
        // What ends as it begins leaves no moment for a confirmation.
        let admitted = admitted.and_then(|a| if at_once { unconfirmed(&a.permit).map(|()| a) } else { Ok(a) });
        let admission = match admitted {
            Ok(admission) => admission,
            Err(refusal) => {
                self.record(caller, &trace, refused(refusal.kind()), refusal.message())?;
                return Err(self.shown(caller, request, refusal));
            }
        };
        if request.has_effect() {
            self.record(caller, &trace, Outcome::Intent, "")?;
        }
        match operation.start(&self.hall, &admission.permit) {
            Ok(running) => Ok((admission, trace, running)),
            Err(error) => {
                self.record(caller, &trace, Outcome::Failed(error.kind()), error.message())?;
                Err(error)
            }
        }
    }

    /// Everything that can say no without computing. Fails closed; `trace` learns what is known by then.
    fn admit(&self, caller: &Caller, request: &Request, trace: &mut Trace) -> Result<Admission> {
        let generation = self.store.generation();
        let resolved = self.resolve(caller, request)?;
        trace.subject = resolved.subject.clone();
        trace.also = resolved.also.as_ref().map(|(_, subject)| subject.clone());
        trace.more = resolved.more.iter().map(|(_, subject)| subject.clone()).collect();
        let mut verdict = Verdict::default();
        let decided = self.decide(caller, &resolved, request.data_len, &mut verdict);
        (trace.rule, trace.tags) = (verdict.rule, verdict.tags);
        decided?;
        let reservation = self.quota.reserve(caller, request.action, &resolved.subject, request.data_len)?;
        let now = self.clock.now();
        self.check(caller, &resolved, now)?;
        Ok(Admission { permit: resolved.permit(caller, generation, now), reservation, maximum: verdict.maximum })
    }

    /// What the caller hears of a refusal: whoever may not list the namespace does not learn that an object exists.
    fn shown(&self, caller: &Caller, request: &Request, refusal: Error) -> Error {
        match request.stored() {
            Some(id) if refusal.kind() == ErrorKind::Denied && !self.may_list(caller) => not_found(id),
            _ => refusal,
        }
    }

    fn resolve<'a>(&self, caller: &Caller, request: &'a Request) -> Result<Resolved<'a>> {
        let subject = self.subject(caller, &request.target)?;
        let also = match (&request.also, &subject) {
            (Some((action, Target::Renamed(name))), Subject::Object(object)) => {
                let (id, storage, private) = (object.id, object.storage, object.private);
                Some((*action, Subject::New(NewObject { id, storage, private, name: name.clone() })))
            }
            (Some((action, target)), _) => Some((*action, self.subject(caller, target)?)),
            (None, _) => None,
        };
        let more = request.more.iter().map(|(action, target)| Ok((*action, self.subject(caller, target)?)));
        let more = more.collect::<Result<_>>()?;
        Ok(Resolved { request, subject, also, more })
    }

    fn subject(&self, caller: &Caller, target: &Target) -> Result<Subject> {
        match target {
            Target::Object(ObjectRef::Stored(id)) => match self.hall.catalog.get(caller, *id) {
                Err(e) if e.kind() == ErrorKind::NotFound => Err(not_found(*id)),
                found => found.map(Subject::Object),
            },
            Target::Object(ObjectRef::Ephemeral(object)) => Ok(Subject::Object(Arc::clone(object))),
            Target::New(new) => Ok(Subject::New(new.clone())),
            Target::Namespace => Ok(Subject::Namespace),
            Target::Renamed(_) => Err(Error::new(ErrorKind::Internal, "there is nothing to rename")),
        }
    }

    /// Writes one record, or counts where a session key's uses are counted.
    fn record(&self, caller: &Caller, trace: &Trace, outcome: Outcome, reason: &str) -> Result<()> {
        if let Some(tally) = tally::counted(trace, outcome) {
            return tally.count(caller, trace, outcome);
        }
        self.record_for(Some(caller), trace, outcome, reason)
    }

    fn record_for(&self, caller: Option<&Caller>, trace: &Trace, outcome: Outcome, reason: &str) -> Result<()> {
        self.record_one(caller, trace, trace.also.as_ref(), outcome, reason)?;
        // An operation on more objects than one record names has one record for each of them.
        trace.more.iter().try_for_each(|more| self.record_one(caller, trace, Some(more), outcome, reason))
    }

    fn record_one(
        &self,
        caller: Option<&Caller>,
        trace: &Trace,
        also: Option<&Subject>,
        outcome: Outcome,
        reason: &str,
    ) -> Result<()> {
        self.audit.record(&AuditEvent {
            time: self.clock.now(),
            caller,
            action: trace.action,
            subject: &trace.subject,
            also,
            mechanism: trace.mechanism,
            data_len: (trace.bytes > 0).then_some(trace.bytes),
            outcome,
            reason,
            rule: &trace.rule,
            tags: &trace.tags,
            duration: self.clock.monotonic().saturating_sub(trace.started),
        })
    }
}

/// What the records of one operation say.
struct Trace {
    action: Action,
    subject: Subject,
    also: Option<Subject>,
    more: Vec<Subject>,
    mechanism: Option<&'static str>,
    rule: String,
    tags: Vec<String>,
    started: Duration,
    bytes: u64,
}

impl Trace {
    fn new(action: Action, started: Duration) -> Self {
        let (subject, also, more, mechanism) = (Subject::Namespace, None, Vec::new(), None);
        Self { action, subject, also, more, mechanism, rule: String::new(), tags: Vec::new(), started, bytes: 0 }
    }

    fn of(request: &Request, started: Duration) -> Self {
        Self {
            mechanism: request.mechanism.as_ref().map(Mechanism::name),
            bytes: request.data_len.unwrap_or(0),
            ..Self::new(request.action, started)
        }
    }

    /// Puts objects as they came to exist in the place of what was asked for.
    fn made(&mut self, objects: &[Arc<Object>]) {
        for object in objects {
            for subject in std::iter::once(&mut self.subject).chain(&mut self.also).chain(&mut self.more) {
                if matches!(subject, Subject::New(new) if new.id == object.id) {
                    *subject = Subject::Object(Arc::clone(object));
                }
            }
        }
    }
}

fn not_found(id: ObjectId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no object `{id}`"))
}

#[cfg(test)]
mod tests;
