//! Copying objects.

use std::sync::Arc;

use super::{Draft, Hall, ObjectRef, Operation, Request, Target, now};
use crate::caller::Login;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Body, Object, Storage};
use crate::permit::{Permit, Subject};

/// Copies an object into a new one, key material included.
#[derive(Debug)]
pub struct Copy {
    /// The object to copy.
    pub source: ObjectRef,
    /// The new object's attributes, complete: the source's with the caller's changes. Protection keeps the source's
    /// history; it may grow stricter, never looser.
    pub draft: Draft,
}

impl Operation for Copy {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Manage, Target::New(self.draft.subject()))),
            ..Request::new(Action::Manage, Target::Object(self.source.clone()))
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let Subject::Object(source) = permit.subject() else {
            return Err(Error::new(ErrorKind::Internal, "a copy needs an object"));
        };
        if !source.copyable {
            return Err(Error::new(ErrorKind::ActionProhibited, "the object may not be copied"));
        }
        let namespace = permit.caller().namespace.id;
        let Body::Key(key) = &source.body else {
            if source.private && !self.draft.private {
                return Err(Error::new(ErrorKind::AttributeReadOnly, "a copy of a private object is private"));
            }
            let object = self.draft.object(namespace, source.body.clone(), now(permit));
            return hall.keep(permit, object);
        };
        let (old, mut new) = (key.protection, self.draft.protection);
        let listed = &self.draft.allowed_mechanisms;
        let narrowed = key.allowed_mechanisms.is_empty()
            || (!listed.is_empty() && listed.iter().all(|number| key.allowed_mechanisms.contains(number)));
        if new.is_weaker_than(old) || !narrowed || (source.private && !self.draft.private) {
            return Err(Error::new(ErrorKind::AttributeReadOnly, "a copy cannot be less protected than its source"));
        }
        self.draft.check(hall, permit, key.class)?;
        if new.trusted && !old.trusted && permit.caller().login != Login::SecurityOfficer {
            return Err(Error::new(ErrorKind::AttributeReadOnly, "only the security officer calls a key trusted"));
        }
        new.local = old.local;
        new.always_sensitive = old.always_sensitive && new.sensitive;
        new.never_extractable = old.never_extractable && !new.extractable;
        let backend = self.draft.maker_beside(hall, permit)?;
        let material = backend.import(permit, &backend.export(permit)?)?;
        let mut copy = self.draft.key(namespace, backend.id(), key.class, new, material, now(permit));
        if let Body::Key(copied) = &mut copy.body {
            copied.key_type = key.key_type;
            copied.state = key.state;
            copied.lifecycle = key.lifecycle.of_copy_of(source.id);
            if source.storage == Storage::Stored {
                copied.lifecycle.material_of.get_or_insert(source.id);
            }
            copied.metadata = key.metadata.without_aliases();
            key.policy_name().clone_into(&mut copied.origin);
            copied.tags.clone_from(&key.tags);
            // It is the same key: its uses are recorded as those of its source.
            copied.audit = key.audit;
            copied.copy_of.clone_from(&key.copy_of);
            copied.copy_of.push(key.policy_name().to_owned());
        }
        hall.keep(permit, copy)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}
