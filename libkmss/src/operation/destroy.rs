//! Destroying objects.

use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Storage};
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
        if object.storage == Storage::Stored {
            let held: Vec<_> =
                hall.held_by(std::slice::from_ref(&**object))?.into_iter().map(|(_, held)| held).collect();
            hall.catalog.destroy_on(permit.caller(), object, &held)?;
        }
        if object.key().is_some() {
            hall.backend_of(permit)?.destroy(permit)?;
        }
        Ok(())
    }
}
