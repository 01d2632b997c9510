//! Changing attributes, names and states.

use std::sync::Arc;

use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::caller::Login;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Body, KeyState, Object, Storage};
use crate::permit::{Permit, Subject};

/// Replaces an object's attributes. The caller read it, changed it, and gives it back whole.
#[derive(Debug)]
pub struct Update {
    /// The object as it is to be; its `revision` must still be the newest.
    pub object: Object,
}

impl Operation for Update {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        let target = match self.object.storage {
            Storage::Stored => ObjectRef::Stored(self.object.id),
            Storage::Ephemeral => ObjectRef::Ephemeral(Arc::new(self.object.clone())),
        };
        Request::new(Action::Manage, Target::Object(target))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let current = object(permit)?;
        if !current.modifiable {
            return Err(Error::new(ErrorKind::ActionProhibited, "the object may not be modified"));
        }
        match self.object.storage {
            Storage::Stored => hall.catalog.update(permit.caller(), &self.object),
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
        Request::new(Action::Manage, Target::Object(self.key.clone()))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Arc<Object>>> {
        let key = object(permit)?.key().ok_or_else(|| Error::new(ErrorKind::Arguments, "only keys have a name"))?;
        hall.catalog.rename(permit.caller(), &key.name, &self.name)
    }
}

/// Moves a key to another state. For the security officer only.
#[derive(Debug)]
pub struct ChangeState {
    /// The key.
    pub key: ObjectRef,
    /// The new state.
    pub state: KeyState,
}

impl Operation for ChangeState {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request::new(Action::ChangeState, Target::Object(self.key.clone()))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        if permit.caller().login != Login::SecurityOfficer {
            return Err(Error::new(ErrorKind::Denied, "only the security officer changes key states"));
        }
        let mut changed = Object::clone(object(permit)?);
        let Body::Key(key) = &mut changed.body else {
            return Err(Error::new(ErrorKind::Arguments, "only keys have a state"));
        };
        key.state = self.state;
        hall.catalog.update(permit.caller(), &changed)
    }
}

fn object(permit: &Permit) -> Result<&Arc<Object>> {
    match permit.subject() {
        Subject::Object(object) => Ok(object),
        _ => Err(Error::new(ErrorKind::Internal, "the permit names no object")),
    }
}
