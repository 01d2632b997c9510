//! Destroying objects.

use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, KeyState, Storage};
use crate::permit::{Permit, Subject};

/// Destroys an object with all its key material.
#[derive(Debug)]
pub struct Destroy {
    /// The object.
    pub object: ObjectRef,
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
                    hall.catalog.bury(permit.caller(), object, &held, permit.issued())?;
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
