//! Destroying objects.

use std::sync::Arc;

use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Body, KeyState, Object, Storage};
use crate::permit::{Permit, Subject};

/// Destroys an object with all its key material.
#[derive(Debug)]
pub struct Destroy {
    /// The object.
    pub object: ObjectRef,
}

/// Destroys what a device still has of a key that was destroyed: it did not answer then. Decided as destroying the key is.
#[derive(Debug)]
pub struct DestroyLeft {
    /// The key, as [`Catalog::left`](crate::catalog::Catalog::left) tells of it.
    pub object: Arc<Object>,
}

impl Operation for DestroyLeft {
    type Running = ();

    fn request(&self) -> Request {
        // The store has it no more.
        Request::new(Action::Destroy, Target::Object(ObjectRef::Ephemeral(Arc::clone(&self.object))))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<()> {
        let held = hall.held_by(std::slice::from_ref(&*self.object))?;
        let held: Vec<_> = held.into_iter().map(|(_, held)| held).collect();
        hall.destroy_material(permit, &self.object)?;
        hall.catalog.forget_left(permit.caller(), self.object.id, &held)
    }
}

/// A key with what devices have of it, and nothing that could be opened.
fn in_devices(hall: &Hall, object: &Object) -> Result<Object> {
    let mut object = object.clone();
    let Body::Key(key) = &mut object.body else { return Ok(object) };
    for version in &mut key.versions {
        if hall.backend(&version.backend)?.device_objects(&version.locator)?.is_empty() {
            version.locator.clear();
        }
    }
    let mut left = Vec::with_capacity(key.left.len());
    for one in std::mem::take(&mut key.left) {
        if !hall.backend(&one.backend)?.device_objects(&one.locator)?.is_empty() {
            left.push(one);
        }
    }
    key.left = left;
    Ok(object)
}

impl Operation for Destroy {
    type Running = ();

    fn request(&self) -> Request {
        Request::new(Action::Destroy, Target::Object(self.object.clone()))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<()> {
        let Subject::Object(object) = permit.subject() else {
            return Err(Error::new(ErrorKind::Internal, "there is nothing to destroy"));
        };
        if !object.destroyable {
            return Err(Error::new(ErrorKind::ActionProhibited, "the object may not be destroyed"));
        }
        if let Some(keeper) = hall.keeper_of(permit.caller(), object)? {
            // There first: what is destroyed here alone would be shown again.
            keeper.remove(permit, object)?;
            return match hall.catalog.destroy(permit.caller(), object) {
                // Somebody was faster to learn of it.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => Ok(()),
                destroyed => destroyed,
            };
        }
        if object.storage == Storage::Stored {
            let held: Vec<_> =
                hall.held_by(std::slice::from_ref(&**object))?.into_iter().map(|(_, held)| held).collect();
            match object.key().filter(|key| key.state == KeyState::PendingDeletion) {
                // Nothing tells of what would be left in a device that is not there now.
                Some(key) => {
                    for version in &key.versions {
                        hall.backend(&version.backend)?.ready()?;
                    }
                    let left = if held.is_empty() { None } else { Some(in_devices(hall, object)?) };
                    hall.catalog.bury_leaving(permit.caller(), object, (&held, left.as_ref()), permit.issued())?;
                    if left.is_some() {
                        hall.destroy_material(permit, object)?;
                        return hall.catalog.forget_left(permit.caller(), object.id, &held);
                    }
                }
                None => hall.catalog.destroy_on(permit.caller(), object, &held)?,
            }
        }
        match (object.key(), object.storage) {
            (None, _) => Ok(()),
            (Some(_), Storage::Stored) => hall.destroy_material(permit, object),
            (Some(_), Storage::Ephemeral) => hall.backend_of(permit)?.destroy(permit),
        }
    }
}
