//! Precedents: an operation that ended, whose admission holds for the next one like it.
//!
//! Programs use one key again and again. Where nobody had a say but the key's attributes, and policies that look at nothing
//! which is different each time, the next use by the same caller is decided as the last one was, as long as the store stands
//! and the decision is young: the rule that operations in many parts go by as well. Quotas are asked and the audit told each time.

use std::sync::{Arc, Weak};

use super::Pipeline;
use super::checks::counted;
use super::unfinished::{Standing, Unfinished};
use crate::audit::Outcome;
use crate::caller::Caller;
use crate::clock::Moment;
use crate::error::Result;
use crate::key::{AuditMode, Object, Storage};
use crate::operation::{ObjectRef, Operation, Target, Use};
use crate::permit::Subject;
use crate::quota::Demand;

/// An operation that ended, for the next one like it. Keeps its caller, who may have logged out meanwhile; never its
/// object.
pub struct Precedent {
    // Without its object, which is to go when it is destroyed.
    standing: Box<Standing>,
    /// `None` where it was about no object.
    object: Option<Weak<Object>>,
    /// Whether uses like it are counted or not recorded at all, so that nobody looks at how long each takes.
    counted: bool,
}

impl Precedent {
    pub(super) fn of(mut standing: Box<Standing>) -> Option<Self> {
        if !standing.is_precedent() {
            return None;
        }
        let recorded = |standing: &Standing| {
            standing.pipeline.audit.wants(standing.request.action, Outcome::Success, &standing.trace.tags)
        };
        let (object, counted) = match standing.permit.put_subject(Subject::Namespace) {
            Subject::Object(object) => {
                // A key with dates may be in force today and not tomorrow.
                let key = object
                    .key()
                    .filter(|key| key.start.is_none() && key.end.is_none() && !key.lifecycle.has_moments())?;
                // What is known of a key that another KMSS keeps is looked at each time.
                let kept = standing.pipeline.hall.backends.len() > 1
                    && standing.pipeline.hall.keeper(standing.permit.caller()).is_ok_and(|keeper| keeper.is_some());
                if kept {
                    return None;
                }
                let counted = object.storage == Storage::Ephemeral && key.audit == AuditMode::Normal;
                (Some(Arc::downgrade(&object)), counted)
            }
            Subject::Namespace => (None, !recorded(&standing)),
            Subject::New(_) => return None,
        };
        standing.request.target = Target::Namespace;
        Some(Self { standing, object, counted })
    }

    /// Whether it was `caller` who asked.
    #[must_use]
    pub fn is_of(&self, caller: &Caller) -> bool {
        self.standing.permit.caller().is(caller)
    }

    /// The stored object it was about, where that is what `caller` would find now.
    pub(crate) fn object(&self, pipeline: &Pipeline, caller: &Caller) -> Option<Arc<Object>> {
        let stands = std::ptr::eq(pipeline, &*self.standing.pipeline)
            && self.standing.epoch == crate::os::epoch()
            && self.is_of(caller)
            && self.standing.is_settled(pipeline.store.generation());
        // A session object may have changed while the store stood.
        let object = self.object.as_ref().filter(|_| stands)?;
        object.upgrade().filter(|object| object.storage == Storage::Stored)
    }

    /// The beginning of an operation like it; `None` where it is another one, or was decided too long ago.
    fn followed_by(self, wanted: &Use<'_>, caller: &Caller, moment: Moment) -> Option<Box<Standing>> {
        let Self { mut standing, object, .. } = self;
        let Standing { pipeline, request, permit, epoch, .. } = &*standing;
        let alike = request.action == wanted.action
            && request.mechanism_number == wanted.mechanism_number
            && request.mechanism.as_ref().is_some_and(|mechanism| mechanism.is_like(wanted.mechanism));
        if !alike || *epoch != crate::os::epoch() || !permit.caller().is(caller) {
            return None;
        }
        if !standing.is_settled(pipeline.store.generation()) || !standing.holds_at(moment) {
            return None;
        }
        let (key, object) = match (wanted.key, object) {
            (None, None) => return Some(standing),
            (Some(key), Some(object)) => (key, object),
            _ => return None,
        };
        let now = match key {
            ObjectRef::Ephemeral(now) => std::ptr::eq(object.as_ptr(), Arc::as_ptr(now)).then(|| Arc::clone(now))?,
            // The store stands where it stood when it was found. What is in no cache any more is looked up by a new decision.
            ObjectRef::Stored(id) => object.upgrade().filter(|now| now.id == *id && now.storage == Storage::Stored)?,
        };
        standing.request.target = Target::Object(key.clone());
        standing.permit.put_subject(Subject::Object(now));
        Some(standing)
    }
}

impl Pipeline {
    /// The time at which an operation begins that may follow `precedent`.
    #[must_use]
    pub fn moment_after(&self, precedent: Option<&Precedent>) -> Moment {
        match precedent {
            Some(precedent) if precedent.counted => self.clock.rough(),
            _ => self.moment(),
        }
    }

    /// As [`Pipeline::begin_at`], perhaps as `precedent` was begun.
    ///
    /// # Errors
    /// As [`Pipeline::begin`].
    pub fn begin_after<O: Operation>(
        self: &Arc<Self>,
        precedent: Option<Precedent>,
        moment: Moment,
        caller: &Caller,
        operation: O,
    ) -> Result<Unfinished<O::Running>> {
        // An operation of its own has its duration recorded.
        let anew = if precedent.is_some() { None } else { Some(moment) };
        let standing = match (precedent, operation.as_use()) {
            (Some(precedent), Some(wanted)) if Arc::ptr_eq(self, &precedent.standing.pipeline) => {
                precedent.followed_by(&wanted, caller, moment)
            }
            _ => None,
        };
        let anew = || anew.unwrap_or_else(|| self.moment());
        let Some(mut standing) = standing else { return self.begin_at(anew(), caller, operation) };
        // What was not blocked is not, while the store stands.
        let (action, subjects) = (standing.request.action, standing.permit.subjects());
        let counted = counted(caller, std::iter::once((action, &subjects.subject)));
        let reserved = if counted.is_empty() && self.quota.is_silent(caller, standing.permit.generation()) {
            Ok(None)
        } else {
            self.quota.reserve(&Demand {
                caller,
                action,
                subjects,
                bytes: None,
                limits: &[],
                counted: &counted,
                time: moment.wall,
                again: false,
            })
        };
        match reserved {
            Ok(reservation) => standing.begin_again(moment, reservation),
            // Refused as a new operation would be, which records it.
            Err(_) => return self.begin_at(anew(), caller, operation),
        }
        match operation.start(&self.hall, &standing.permit) {
            Ok(running) => Ok(Unfinished::follow(standing, running)),
            Err(error) => {
                standing.end(Outcome::Failed(error.kind()), error.message())?;
                Err(error)
            }
        }
    }
}
