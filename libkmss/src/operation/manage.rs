//! Changing attributes and names.

use std::sync::Arc;

use super::draft::check_name;
use super::{Hall, ObjectRef, Operation, Request, Target, separated};
use crate::caller::{Caller, Login};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, Key, Object, Storage, alterations};
use crate::permit::{Permit, Subject};

/// Replaces an object's attributes. The caller read it, changed it, and gives it back whole.
#[derive(Debug)]
pub struct Update {
    /// The object as it is.
    pub current: ObjectRef,
    /// The object as it is to be; a stored one's `revision` must still be the newest.
    pub object: Object,
}

impl Operation for Update {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request::new(Action::Manage, Target::Object(self.current.clone()))
    }

    fn alterations(&self, subject: &Subject) -> Vec<Alteration> {
        existing(subject).map(|current| alterations(current, &self.object)).unwrap_or_default()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let current = object(permit)?;
        if !current.modifiable {
            return Err(Error::new(ErrorKind::ActionProhibited, "the object may not be modified"));
        }
        if (current.id, current.storage) != (self.object.id, self.object.storage) {
            return Err(Error::new(ErrorKind::Internal, "an update would replace another object"));
        }
        if let (Some(old), Some(new)) = (current.key(), self.object.key()) {
            check_change(permit.caller(), old, new)?;
            let settings = hall.catalog.settings_for(permit.caller())?;
            // A key from before the setting stays as it is, and may give either up.
            if old.usage != new.usage {
                separated(settings, new.usage.wrap, new.usage.decrypt)?;
            }
        }
        match self.object.storage {
            Storage::Stored => update(hall, permit, current, &self.object),
            Storage::Ephemeral => Ok(Arc::new(self.object)),
        }
    }
}

/// Gives a key another name; both halves of a pair go together.
#[derive(Debug)]
pub struct Rename {
    /// The key.
    pub key: ObjectRef,
    /// The new name.
    pub name: String,
}

impl Operation for Rename {
    type Running = Vec<Arc<Object>>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Manage, Target::Renamed(self.name.clone()))),
            ..Request::new(Action::Manage, Target::Object(self.key.clone()))
        }
    }

    fn alterations(&self, subject: &Subject) -> Vec<Alteration> {
        altered(subject, "name", |key| key.name.clone(), self.name.clone())
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Arc<Object>>> {
        let key = object(permit)?.key().ok_or_else(|| Error::new(ErrorKind::Arguments, "only keys have a name"))?;
        check_name(&self.name)?;
        if key.lifecycle.role.is_some() || key.newest_number() > 1 {
            let why = "the key has versions, which share its name: it keeps that";
            return Err(Error::new(ErrorKind::ActionProhibited, why));
        }
        if let Some(keeper) = hall.keeper_of(permit.caller(), object(permit)?)? {
            keeper.rename(permit, object(permit)?, &self.name)?;
        }
        hall.catalog.rename(permit.caller(), &key.name, &self.name)
    }
}

/// Stores `new` in the place of `current`, where a keeper has the record there first.
fn update(hall: &Hall, permit: &Permit, current: &Object, new: &Object) -> Result<Arc<Object>> {
    let caller = permit.caller();
    let Some(keeper) = hall.keeper_of(caller, current)? else { return hall.catalog.update(caller, new) };
    keeper.update(permit, current, new)?;
    match hall.catalog.update(caller, new) {
        // Somebody was faster to learn of it.
        Err(e) if e.kind() == ErrorKind::Conflict => hall.catalog.get(caller, new.id),
        updated => updated,
    }
}

/// An update changes what its owner may choose: never the state (see [`ChangeLife`](super::ChangeLife)), the material or its history, and
/// protection only to the stricter side.
fn check_change(caller: &Caller, old: &Key, new: &Key) -> Result<()> {
    let fixed = |k: &Key| (k.state, k.key_type, k.class, k.primary, k.versions.len());
    let material = |k: &Key| {
        k.versions.iter().map(|v| (v.number, v.backend.clone(), v.locator.clone(), v.held.clone())).collect::<Vec<_>>()
    };
    if fixed(old) != fixed(new)
        || (&old.name, &old.origin) != (&new.name, &new.origin)
        || material(old) != material(new)
        || old.allowed_mechanisms != new.allowed_mechanisms
        || (&old.tags, &old.copy_of, &old.left, old.audit) != (&new.tags, &new.copy_of, &new.left, new.audit)
        || (&old.lifecycle, &old.metadata) != (&new.lifecycle, &new.metadata)
    {
        return Err(Error::new(
            ErrorKind::AttributeReadOnly,
            "the key's state, material and mechanisms stay as they are",
        ));
    }
    let (before, after) = (old.protection, new.protection);
    let rewritten = after.local != before.local
        || (after.always_sensitive && !before.always_sensitive)
        || (after.never_extractable && !before.never_extractable)
        || (after.trusted && !before.trusted && caller.login != Login::SecurityOfficer);
    if rewritten || after.is_weaker_than(before) {
        return Err(Error::new(ErrorKind::AttributeReadOnly, "a key's protection grows stricter only"));
    }
    Ok(())
}

fn existing(subject: &Subject) -> Option<&Object> {
    match subject {
        Subject::Object(object) => Some(object),
        _ => None,
    }
}

/// One thing that is to be otherwise in a key.
fn altered(subject: &Subject, what: &'static str, old: impl Fn(&Key) -> String, new: String) -> Vec<Alteration> {
    let old = existing(subject).and_then(Object::key).map(old);
    old.and_then(|old| Alteration::between(what, old, new)).into_iter().collect()
}

fn object(permit: &Permit) -> Result<&Arc<Object>> {
    match permit.subject() {
        Subject::Object(object) => Ok(object),
        _ => Err(Error::new(ErrorKind::Internal, "the permit names no object")),
    }
}
