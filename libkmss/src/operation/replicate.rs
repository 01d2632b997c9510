//! Bringing a key to the devices that are to have it and do not.

use std::sync::Arc;

use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::backend::Replication;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Body, Object};
use crate::permit::{Permit, Subject};

/// Says in which devices of its backend a key is, and brings it to the others.
#[derive(Debug)]
pub struct Replicate {
    /// The key.
    pub key: ObjectRef,
    /// Whether it is brought to those that lack it; otherwise they are only told.
    pub make: bool,
}

impl Operation for Replicate {
    /// `None` of what is in one place by its nature.
    type Running = Option<Replication>;

    fn request(&self) -> Request {
        // Nothing changes that anybody decides on: the material gets into a device that is to have it.
        if self.make {
            Request::new(Action::Manage, Target::Object(self.key.clone()))
        } else {
            Request::new(Action::Find, Target::Namespace)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Option<Replication>> {
        let object = match (permit.subject(), &self.key) {
            (Subject::Object(object), _) => Arc::clone(object),
            (_, ObjectRef::Stored(id)) => hall.catalog.get(permit.caller(), *id)?,
            (_, ObjectRef::Ephemeral(_)) => return Ok(None),
        };
        let Some(key) = object.key() else { return Ok(None) };
        let version = key.primary()?;
        let (backend, before) = (hall.backend(&version.backend)?, &version.locator);
        let told = backend.replicate(permit, &object, self.make)?;
        if !self.make {
            return Ok(told);
        }
        let told = told.ok_or_else(|| Error::new(ErrorKind::Arguments, "the key is in one place by its nature"))?;
        if told.made.is_empty()
            && let Some((hsm, why)) = told.lacking.first()
        {
            return Err(Error::new(
                ErrorKind::BackendUnavailable,
                format!("the HSM `{hsm}` lacks the key still: {why}"),
            ));
        }
        let mut changed = Object::clone(&object);
        if let Body::Key(key) = &mut changed.body {
            for version in key.versions.iter_mut().filter(|version| version.locator == *before) {
                version.locator.clone_from(&told.locator);
            }
        }
        let had = backend.device_objects(before)?;
        let mut held = backend.device_objects(&told.locator)?;
        held.retain(|held| !had.contains(held));
        match hall.catalog.update_on(permit.caller(), &changed, &held) {
            Ok(_) => Ok(Some(told)),
            Err(e) => {
                // What nobody wrote down is nobody's: it goes.
                if let Err(left) = backend.forsake(permit, &told.locator, before) {
                    return Err(Error::new(e.kind(), format!("{}; {}", e.sentence(), left.sentence())));
                }
                Err(e)
            }
        }
    }
}
