//! The one sentence every key operation follows: resolve, decide, reserve, check the state, permit, compute, record,
//! release.

mod unfinished;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub use unfinished::Unfinished;

use crate::audit::{AuditEvent, AuditSink, Outcome};
use crate::caller::{Caller, Login};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::key::{Action, Date, Key};
use crate::operation::{Hall, ObjectRef, Operation, Request, Target};
use crate::permit::{Permit, Subject};
use crate::policy::{Decision, Obligation, PolicyEngine, PolicyRequest};
use crate::quota::{QuotaLedger, Reservation};
use crate::store::Store;

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

/// What an admission yields beside the permit.
struct Admission {
    permit: Permit,
    reservation: Box<dyn Reservation>,
    rule: String,
    tags: Vec<String>,
    maximum: Option<u64>,
}

/// A request with its objects resolved.
struct Resolved<'a> {
    request: &'a Request,
    subject: Subject,
    also: Option<(Action, Subject)>,
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
        let (admission, trace, running) = self.start(caller, operation, &request)?;
        Ok(Unfinished::new(Arc::clone(self), request, admission, trace, running))
    }

    /// Admits an operation that completes in its start, records it, and releases its result.
    ///
    /// # Errors
    /// As [`Self::begin`]. When the record of a change cannot be written the change stands, announced by its intent.
    pub fn perform<O: Operation>(&self, caller: &Caller, operation: O) -> Result<O::Running> {
        let request = operation.request();
        let (admission, mut trace, result) = self.start(caller, operation, &request)?;
        (trace.rule, trace.tags) = (admission.rule, admission.tags);
        self.record(caller, &trace, Outcome::Success, "")?;
        admission.reservation.settle(trace.bytes);
        Ok(result)
    }

    /// Does something that no key operation is (login, PINs, namespaces) between an intent, where it changes something,
    /// and its record.
    ///
    /// # Errors
    /// Those of `f`, and [`ErrorKind::AuditUnavailable`].
    pub fn around<T>(&self, caller: Option<&Caller>, action: Action, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let trace = Trace {
            action,
            subject: Subject::Namespace,
            also: None,
            mechanism: None,
            rule: String::new(),
            tags: Vec::new(),
            started: self.clock.monotonic(),
            bytes: 0,
        };
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
    ) -> Result<(Admission, Trace, O::Running)> {
        let started = self.clock.monotonic();
        let generation = self.store.generation();
        let resolved = self.resolve(caller, request)?;
        let trace = Trace::new(&resolved, started);
        let admission = match self.admit(caller, &resolved, generation) {
            Ok(admission) => admission,
            Err(refusal) => {
                self.record(caller, &trace, Outcome::Denied(refusal.kind()), refusal.message())?;
                return Err(refusal);
            }
        };
        if request.action.has_effect() {
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

    fn resolve<'a>(&self, caller: &Caller, request: &'a Request) -> Result<Resolved<'a>> {
        let subject = self.subject(caller, &request.target)?;
        let also = match &request.also {
            Some((action, target)) => Some((*action, self.subject(caller, target)?)),
            None => None,
        };
        Ok(Resolved { request, subject, also })
    }

    fn subject(&self, caller: &Caller, target: &Target) -> Result<Subject> {
        Ok(match target {
            Target::Object(ObjectRef::Stored(id)) => Subject::Object(self.hall.catalog.get(caller, *id)?),
            Target::Object(ObjectRef::Ephemeral(object)) => Subject::Object(Arc::clone(object)),
            Target::New(new) => Subject::New(new.clone()),
            Target::Namespace => Subject::Namespace,
        })
    }

    /// The decision: everything that can say no without computing. Fails closed.
    fn admit(&self, caller: &Caller, resolved: &Resolved<'_>, generation: u64) -> Result<Admission> {
        let request = resolved.request;
        let now = self.clock.now();
        let first = Some((request.action, &resolved.subject));
        let second = resolved.also.as_ref().map(|(action, subject)| (*action, subject));
        let mut verdict = Verdict::default();
        for (action, subject) in first.into_iter().chain(second) {
            verdict.merge(self.policy.decide(&PolicyRequest {
                caller,
                action,
                subject,
                mechanism: request.mechanism.as_ref(),
                data_len: request.data_len,
                time: now,
            }))?;
        }
        verdict.check_length(request.data_len.unwrap_or(0))?;
        let reservation = self.quota.reserve(caller, request.action, &resolved.subject, request.data_len)?;
        check_role(caller, request.action, &resolved.subject)?;
        for (action, subject) in [(request.action, Some(&resolved.subject))]
            .into_iter()
            .chain(resolved.also.as_ref().map(|(action, subject)| (*action, Some(subject))))
        {
            if let Some(Subject::Object(object)) = subject
                && let Some(key) = object.key()
            {
                check_key(key, action, now)?;
            }
        }
        if let (Subject::Object(object), Some(number)) = (&resolved.subject, request.mechanism_number)
            && let Some(key) = object.key()
            && !key.allowed_mechanisms.is_empty()
            && !key.allowed_mechanisms.contains(&number)
        {
            return Err(Error::new(ErrorKind::MechanismUnsupported, "the key is restricted to other mechanisms"));
        }
        let also = resolved.also.as_ref().map(|(_, subject)| subject.clone());
        let subject = resolved.subject.clone();
        let permit = Permit::issue(request.action, caller.clone(), subject, also, generation, now);
        Ok(Admission { permit, reservation, rule: verdict.rule, tags: verdict.tags, maximum: verdict.maximum })
    }

    /// Writes one record.
    fn record(&self, caller: &Caller, trace: &Trace, outcome: Outcome, reason: &str) -> Result<()> {
        self.record_for(Some(caller), trace, outcome, reason)
    }

    fn record_for(&self, caller: Option<&Caller>, trace: &Trace, outcome: Outcome, reason: &str) -> Result<()> {
        self.audit.record(&AuditEvent {
            time: self.clock.now(),
            caller,
            action: trace.action,
            subject: &trace.subject,
            also: trace.also.as_ref(),
            mechanism: trace.mechanism.as_deref(),
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
    mechanism: Option<Cow<'static, str>>,
    rule: String,
    tags: Vec<String>,
    started: Duration,
    bytes: u64,
}

impl Trace {
    fn new(resolved: &Resolved<'_>, started: Duration) -> Self {
        Self {
            action: resolved.request.action,
            subject: resolved.subject.clone(),
            also: resolved.also.as_ref().map(|(_, subject)| subject.clone()),
            mechanism: resolved.request.mechanism.as_ref().map(crate::mechanism::Mechanism::name),
            rule: String::new(),
            tags: Vec::new(),
            started,
            bytes: resolved.request.data_len.unwrap_or(0),
        }
    }
}

/// Decisions on all subjects of a request, merged to the strictest.
#[derive(Default)]
struct Verdict {
    rule: String,
    tags: Vec<String>,
    maximum: Option<u64>,
}

impl Verdict {
    fn merge(&mut self, decision: Decision) -> Result<()> {
        match decision {
            Decision::Deny { reason, .. } => Err(Error::new(ErrorKind::Denied, reason)),
            Decision::Allow { rule, obligations } => {
                if self.rule.is_empty() {
                    self.rule = rule;
                }
                for obligation in obligations {
                    match obligation {
                        Obligation::AuditTag(tag) => self.tags.push(tag),
                        Obligation::MaximumData(limit) => {
                            self.maximum = Some(self.maximum.map_or(limit, |m| m.min(limit)));
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn check_length(&self, bytes: u64) -> Result<()> {
        check_length(self.maximum, bytes)
    }
}

fn check_length(maximum: Option<u64>, bytes: u64) -> Result<()> {
    match maximum {
        Some(limit) if bytes > limit => {
            Err(Error::new(ErrorKind::Denied, format!("the policy admits at most {limit} bytes of data")))
        }
        _ => Ok(()),
    }
}

/// The security officer manages and never uses private keys.
fn check_role(caller: &Caller, action: Action, subject: &Subject) -> Result<()> {
    let uses = matches!(
        action,
        Action::Sign | Action::Decrypt | Action::Export | Action::Wrap | Action::Unwrap | Action::Derive
    );
    let private = matches!(subject, Subject::Object(object) if object.private);
    if caller.login == Login::SecurityOfficer && private && (uses || action == Action::Encrypt) {
        return Err(Error::new(ErrorKind::Denied, "the security officer uses no private objects"));
    }
    Ok(())
}

/// Usage attributes, state and dates of a key.
fn check_key(key: &Key, action: Action, now: Timestamp) -> Result<()> {
    if !key.usage.allows(action) {
        return Err(Error::new(ErrorKind::KeyUsage, format!("the key's attributes do not allow {}", action.name())));
    }
    if !key.state.allows(action) {
        return Err(Error::new(ErrorKind::KeyState, format!("the key is {}", key.state.name())));
    }
    if key.start.is_none() && key.end.is_none() {
        return Ok(());
    }
    let today = Date::of(now);
    let used = !matches!(action, Action::Find | Action::Manage | Action::ChangeState | Action::Destroy);
    if used && key.start.is_some_and(|start| today < start) {
        return Err(Error::new(ErrorKind::KeyState, "the key's start date has not come yet"));
    }
    if used && key.end.is_some_and(|end| today > end) {
        return Err(Error::new(ErrorKind::KeyState, "the key's end date has passed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
