//! The one sentence every key operation follows: resolve, decide, reserve, check the state, permit, compute, record,
//! release.

mod anew;
mod awaited;
mod checks;
mod keeper;
mod precedent;
mod tally;
mod together;
mod trace;
mod unfinished;

use std::ops::Range;
use std::sync::Arc;

pub use precedent::Precedent;
pub use unfinished::Unfinished;

use self::awaited::Awaited;
use self::checks::{Asked, Demanded, Prospects, Verdict, counted, refused, unconfirmed};
use self::trace::Trace;
use crate::audit::{AuditEvent, AuditSink, Outcome};
use crate::caller::Caller;
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::key::Action;
use crate::operation::{Hall, ObjectRef, Operation, Request, Target};
use crate::permit::{NewObject, Permit, Subject, Subjects};
use crate::policy::PolicyEngine;
use crate::quota::{Demand, Limit, QuotaLedger, Refusal, Reservation};
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
    /// What it took of the budgets; nothing where none is for it.
    reservation: Option<Box<dyn Reservation>>,
    /// When the next operation like it would be decided alike.
    holds: Option<Range<Timestamp>>,
    maximum: Option<u64>,
    /// The rates that hold it.
    limits: Vec<Limit>,
    /// The approvals that were spent on it.
    approved: Vec<Demanded>,
    /// Whether the decision has to wait for the length of the data.
    awaits_length: bool,
    /// Whether a policy asks the user to authenticate for this one operation.
    step_up: bool,
    /// Whether one may, once the length of the data is known.
    may_step_up: bool,
    /// The approvals of its very data that it needs at its end.
    awaited: Option<Box<Awaited>>,
}

/// At any time.
const ALWAYS: Range<Timestamp> = Timestamp(0)..Timestamp(u64::MAX);

impl Admission {
    /// One on which no policy has a say.
    const fn silent(permit: Permit, reservation: Option<Box<dyn Reservation>>) -> Self {
        Self {
            permit,
            reservation,
            holds: Some(ALWAYS),
            maximum: None,
            limits: Vec::new(),
            approved: Vec::new(),
            awaits_length: false,
            step_up: false,
            may_step_up: false,
            awaited: None,
        }
    }
}

/// A request with its objects resolved.
#[derive(Clone, Copy)]
struct Resolved<'a> {
    request: &'a Request,
    subjects: &'a Subjects,
}

impl<'a> Resolved<'a> {
    /// Every subject with the action that is decided on it.
    fn each(self) -> impl Iterator<Item = (Action, &'a Subject)> {
        let others = self.request.also.iter().chain(&self.request.more).map(|(action, _)| *action);
        std::iter::once(self.request.action).chain(others).zip(self.subjects.each())
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
        self.begin_at(self.moment(), caller, operation)
    }

    /// As [`Self::begin`], for a caller who has just looked at the clocks.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_at<O: Operation>(
        self: &Arc<Self>,
        moment: Moment,
        caller: &Caller,
        operation: O,
    ) -> Result<Unfinished<O::Running>> {
        let request = operation.request();
        let mut trace = Trace::of(&request, moment);
        let admission = self.admitted(caller, &request, false, &mut trace)?;
        let running = self.start(caller, operation, &request, &admission, &mut trace)?;
        Ok(Unfinished::new(self, request, admission, trace, running))
    }

    /// The time at which an operation begins.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.clock.begun()
    }

    /// Admits an operation that completes in its start, records it, and releases its result.
    ///
    /// # Errors
    /// As [`Self::begin`]. When the record of a change cannot be written the change stands, announced by its intent.
    pub fn perform<O: Operation>(&self, caller: &Caller, operation: O) -> Result<O::Running> {
        self.perform_at(self.moment(), caller, operation)
    }

    /// As [`Self::perform`], for a caller who has just looked at the clocks.
    ///
    /// # Errors
    /// As [`Self::perform`].
    pub fn perform_at<O: Operation>(&self, moment: Moment, caller: &Caller, operation: O) -> Result<O::Running> {
        let request = operation.request();
        let mut trace = Trace::of(&request, moment);
        let admission = self.admitted(caller, &request, true, &mut trace)?;
        match self.start(caller, operation, &request, &admission, &mut trace) {
            Ok(result) => self.conclude::<O>(caller, &request, admission, &mut trace, result),
            Err(error) => {
                if is_tried(request.action, error.kind()) {
                    settle(admission.reservation, trace.bytes);
                }
                Err(error)
            }
        }
    }

    /// Records what was done, and releases its result.
    fn conclude<O: Operation>(
        &self,
        caller: &Caller,
        request: &Request,
        admission: Admission,
        trace: &mut Trace,
        result: O::Running,
    ) -> Result<O::Running> {
        let moment = trace.started;
        let subjects = admission.permit.into_subjects().made(O::made(&result));
        trace.changes.extend(O::altered(&result));
        let recorded = match tally::ended(trace, &subjects) {
            Some(tally) => tally.end(caller, trace),
            None => self.record(caller, trace, &subjects, Outcome::Success, ""),
        };
        if recorded.is_ok() || request.has_effect() {
            settle(admission.reservation, trace.bytes);
        }
        recorded?;
        O::made(&result).for_each(|object| self.tally(caller, moment, object));
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
        let mut trace = Trace { tags, ..Trace::new(action, self.moment()) };
        if action.has_effect() {
            trace.number();
            self.record_for(caller, &trace, &Subjects::NAMESPACE, Outcome::Intent, "")?;
        }
        match f() {
            Ok(done) => {
                self.record_for(caller, &trace, &Subjects::NAMESPACE, Outcome::Success, "")?;
                Ok(done)
            }
            Err(error) => {
                let outcome = match error.kind().class() {
                    ErrorClass::Authority => Outcome::Denied(error.kind()),
                    _ => Outcome::Failed(error.kind()),
                };
                self.record_for(caller, &trace, &Subjects::NAMESPACE, outcome, error.message())?;
                Err(error)
            }
        }
    }

    /// Records that `caller` is refused something that no key operation is, before anything of it began; gives the refusal back.
    ///
    /// # Errors
    /// `refusal`, and [`ErrorKind::AuditUnavailable`].
    pub fn refuse<T>(&self, caller: &Caller, action: Action, tags: Vec<String>, refusal: Error) -> Result<T> {
        let trace = Trace { tags, ..Trace::new(action, self.moment()) };
        let outcome = refused(refusal.kind());
        self.record_for(Some(caller), &trace, &Subjects::NAMESPACE, outcome, refusal.message())?;
        Err(refusal)
    }

    /// Carries out what was admitted, after its intent is recorded where it changes something.
    ///
    /// Operations, admissions and traces are large: what is passed on is their place.
    #[expect(clippy::inline_always, reason = "most operations have one caller of this, and are moved into their start")]
    #[inline(always)]
    fn start<O: Operation>(
        &self,
        caller: &Caller,
        operation: O,
        request: &Request,
        admission: &Admission,
        trace: &mut Trace,
    ) -> Result<O::Running> {
        if request.has_effect() {
            trace.changes = operation.alterations(admission.permit.subject());
            self.record(caller, trace, admission.permit.subjects(), Outcome::Intent, "")?;
        }
        let started = operation.start(&self.hall, &admission.permit);
        if let Err(error) = &started {
            self.failed(caller, admission, trace, error)?;
        }
        started
    }

    /// Records that what was admitted failed.
    #[cold]
    fn failed(&self, caller: &Caller, admission: &Admission, trace: &mut Trace, error: &Error) -> Result<()> {
        self.record(caller, trace, admission.permit.subjects(), Outcome::Failed(error.kind()), error.message())
    }

    /// Admits a request, or records its refusal.
    fn admitted(&self, caller: &Caller, request: &Request, at_once: bool, trace: &mut Trace) -> Result<Admission> {
        if !request.context.pairs().is_empty() {
            trace.context = Some(self.policy.marks(caller, &request.context));
        }
        let mut subjects = Subjects::NAMESPACE;
        self.admit(caller, request, at_once, trace, &mut subjects).or_else(|refusal| {
            self.record(caller, trace, &subjects, refused(refusal.kind()), refusal.message())?;
            Err(self.shown(caller, request, refusal))
        })
    }

    /// Everything that can say no without computing. Fails closed; `trace` and `subjects` learn what is known by then. What
    /// ends as it begins (`at_once`) leaves no moment for a confirmation.
    fn admit(
        &self,
        caller: &Caller,
        request: &Request,
        at_once: bool,
        trace: &mut Trace,
        subjects: &mut Subjects,
    ) -> Result<Admission> {
        let generation = self.store.generation();
        *subjects = self.resolve(caller, request)?;
        let resolved = Resolved { request, subjects };
        let moment = trace.started;
        let asked = Asked { data_len: request.data_len, confirmed: false, again: false };
        let free = self.quota.is_silent(caller, generation);
        if !free {
            self.unblocked(caller, resolved, moment).map_err(|refusal| trace.told(refusal))?;
        }
        if self.policy.is_silent(caller, generation) {
            let reservation = self.reserve(free, caller, resolved, asked, moment, &[]);
            let reservation = trace.reserved(reservation)?;
            self.check(caller, resolved, moment.wall)?;
            if at_once && subjects.ask_confirmation(request.action) {
                return Err(unconfirmed());
            }
            let subjects = std::mem::replace(subjects, Subjects::NAMESPACE);
            let permit = Permit::issue(request.action, caller.clone(), subjects, generation, moment.wall);
            return Ok(Admission::silent(permit, reservation));
        }
        let mut verdict = Verdict::default();
        let mut decided = self.decide(caller, resolved, asked, moment, &mut verdict);
        let mut prospects = Prospects::default();
        let awaits_length = !at_once && asked.data_len.is_none() && self.policy.asks_length(caller);
        if awaits_length {
            let denied = decided.as_ref().is_err_and(|refusal| refusal.kind() == ErrorKind::Denied);
            prospects = self.prospects(caller, resolved, asked, moment, denied);
            if denied && prospects.allowed {
                // What is said of an unknown length is not the last word, where some length would do.
                (verdict, decided) = (Verdict::default(), Ok(()));
            }
        }
        trace.rule = verdict.rule.take();
        trace.tags.append(&mut verdict.tags);
        (trace.seen, trace.duties) = (std::mem::take(&mut verdict.seen), std::mem::take(&mut verdict.duties));
        decided?;
        let reservation = self.reserve(free, caller, resolved, asked, moment, &verdict.limits);
        let reservation = trace.reserved(reservation)?;
        self.check(caller, resolved, moment.wall)?;
        if at_once && (verdict.step_up || subjects.ask_confirmation(request.action)) {
            return Err(unconfirmed());
        }
        prospects.of_data.extend(verdict.of_data(request.action));
        let awaited = Awaited::of(std::mem::take(&mut prospects.of_data));
        if at_once && awaited.is_some() {
            return Err(unknown_data());
        }
        let holds = if verdict.is_plain() && !awaits_length { self.policy.holds(caller) } else { None };
        // Last: what is used up here is not given back.
        self.approve(caller, resolved, (asked, moment), &verdict.quorums, None, &mut trace.tags)?;
        let subjects = std::mem::replace(subjects, Subjects::NAMESPACE);
        let permit = Permit::issue(request.action, caller.clone(), subjects, generation, moment.wall);
        let Verdict { maximum, limits, step_up, quorums: approved, .. } = verdict;
        let may_step_up = step_up || prospects.step_up;
        Ok(Admission {
            permit,
            reservation,
            holds,
            maximum,
            limits,
            approved,
            awaits_length,
            step_up,
            may_step_up,
            awaited,
        })
    }

    /// Refuses what an operator has blocked.
    fn unblocked(&self, caller: &Caller, resolved: Resolved<'_>, moment: Moment) -> Result<(), Refusal> {
        let (action, subjects) = (resolved.request.action, resolved.subjects);
        self.quota.admit(&Demand {
            caller,
            action,
            subjects,
            bytes: None,
            limits: &[],
            counted: &[],
            time: moment.wall,
            again: false,
        })
    }

    /// Reserves one operation in the budgets that concern it (none where it is `free`) and in those of `limits`.
    fn reserve(
        &self,
        free: bool,
        caller: &Caller,
        resolved: Resolved<'_>,
        asked: Asked,
        moment: Moment,
        limits: &[Limit],
    ) -> Result<Option<Box<dyn Reservation>>, Refusal> {
        let counted = if asked.again { Vec::new() } else { counted(caller, resolved.each()) };
        if free && limits.is_empty() && counted.is_empty() {
            return Ok(None);
        }
        let (action, subjects) = (resolved.request.action, resolved.subjects);
        self.quota.reserve(&Demand {
            caller,
            action,
            subjects,
            bytes: asked.data_len,
            limits,
            counted: &counted,
            time: moment.wall,
            again: asked.again,
        })
    }

    /// What the caller hears of a refusal: whoever may not list the namespace does not learn that an object exists.
    fn shown(&self, caller: &Caller, request: &Request, refusal: Error) -> Error {
        match request.stored() {
            Some(id) if matches!(refusal.kind(), ErrorKind::Denied | ErrorKind::Blocked) && !self.may_list(caller) => {
                not_found(id)
            }
            _ => refusal,
        }
    }

    fn resolve(&self, caller: &Caller, request: &Request) -> Result<Subjects> {
        if self.hall.backends.len() > 1 {
            self.follow_for(caller, request)?;
        }
        let subject = self.subject(caller, &request.target)?;
        let also = match (&request.also, &subject) {
            (Some((_, Target::Renamed(name))), Subject::Object(object)) => {
                let (id, storage, private) = (object.id, object.storage, object.private);
                let (is_key, name, origin) = (object.key().is_some(), name.clone(), String::new());
                let (usage, protection) = object.key().map(|key| (key.usage, key.protection)).unwrap_or_default();
                Some(Subject::New(Arc::new(NewObject {
                    id,
                    storage,
                    private,
                    name,
                    is_key,
                    origin,
                    usage,
                    protection,
                    wishes: None,
                })))
            }
            (Some((_, target)), _) => Some(self.subject(caller, target)?),
            (None, _) => None,
        };
        let more = request.more.iter().map(|(_, target)| self.subject(caller, target)).collect::<Result<_>>()?;
        Ok(Subjects { subject, also, more }.with_origin())
    }

    fn subject(&self, caller: &Caller, target: &Target) -> Result<Subject> {
        match target {
            Target::Object(ObjectRef::Stored(id)) => match self.hall.catalog.get(caller, *id) {
                Err(e) if e.kind() == ErrorKind::NotFound => Err(not_found(*id)),
                found => found.map(Subject::Object),
            },
            Target::Object(ObjectRef::Ephemeral(object)) => Ok(Subject::Object(Arc::clone(object))),
            Target::New(new) => Ok(Subject::New(Arc::clone(new))),
            Target::Namespace => Ok(Subject::Namespace),
            Target::Renamed(_) => Err(Error::new(ErrorKind::Internal, "there is nothing to rename")),
        }
    }

    /// Writes one record, or counts where a session key's uses are counted.
    fn record(
        &self,
        caller: &Caller,
        trace: &mut Trace,
        subjects: &Subjects,
        outcome: Outcome,
        reason: &str,
    ) -> Result<()> {
        if let Some(tally) = tally::counted(trace, subjects, outcome) {
            return tally.count(caller, trace, outcome);
        }
        if matches!(outcome, Outcome::Intent | Outcome::Begun) {
            trace.number();
        }
        self.record_for(Some(caller), trace, subjects, outcome, reason)
    }

    fn record_for(
        &self,
        caller: Option<&Caller>,
        trace: &Trace,
        subjects: &Subjects,
        outcome: Outcome,
        reason: &str,
    ) -> Result<()> {
        if !self.audit.wants(trace.action, outcome, &trace.tags) {
            return Ok(());
        }
        self.events(caller, trace, subjects, outcome, reason).try_for_each(|event| self.audit.record(&event))
    }

    /// What is recorded of an operation: an operation on more objects than one record names has one record for each of them.
    fn events<'a>(
        &'a self,
        caller: Option<&'a Caller>,
        trace: &'a Trace,
        subjects: &'a Subjects,
        outcome: Outcome,
        reason: &'a str,
    ) -> impl Iterator<Item = AuditEvent<'a>> {
        let Subjects { subject, also, more } = subjects;
        let named = 1 + usize::from(also.is_some());
        let first = (also.as_ref(), trace.seen_of(0..named));
        let others = more.iter().zip(named..).map(|(more, place)| (Some(more), trace.seen_of(place..place + 1)));
        std::iter::once(first).chain(others).map(move |(also, policy)| AuditEvent {
            time: self.clock.now(),
            caller,
            action: trace.action,
            subject,
            also,
            mechanism: trace.mechanism,
            data_len: (trace.bytes > 0).then_some(trace.bytes),
            outcome,
            reason,
            rule: trace.rule.as_deref().unwrap_or_default(),
            tags: &trace.tags,
            duties: &trace.duties,
            context: trace.context.as_ref(),
            changes: &trace.changes,
            request: trace.request,
            policy,
            duration: self.clock.monotonic().saturating_sub(trace.started.monotonic),
        })
    }
}

/// Whether budgets count what failed: a key was asked, and said that what it was given is wrong.
fn is_tried(action: Action, why: ErrorKind) -> bool {
    action.is_attempt() && (why.class() == ErrorClass::Request || why == ErrorKind::NotFound)
}

/// Books what was reserved.
fn settle(reservation: Option<Box<dyn Reservation>>, bytes: u64) {
    if let Some(reservation) = reservation {
        reservation.settle(bytes);
    }
}

fn unknown_data() -> Error {
    Error::new(ErrorKind::Denied, "the policy wants this very data approved, which is not known here")
}

fn not_found(id: ObjectId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no object `{id}`"))
}

#[cfg(test)]
mod tests;
