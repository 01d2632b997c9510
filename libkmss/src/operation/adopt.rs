//! Bringing keys that a device holds already under names, policies and audit, without touching them.

use std::sync::Arc;

use super::{Draft, Hall, Operation, Request, Target, now};
use crate::backend::Foreign;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, BackendId, Object};
use crate::permit::Permit;

/// What keys a device holds.
#[derive(Debug)]
pub struct Survey {
    /// The device.
    pub backend: BackendId,
}

impl Operation for Survey {
    type Running = Vec<Foreign>;

    fn request(&self) -> Request {
        Request::new(Action::Find, Target::Namespace)
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<Foreign>> {
        hall.backend(&self.backend)?.foreign(permit, None)
    }
}

/// Makes a record of a key that a device holds.
#[derive(Debug)]
pub struct Adopt {
    /// The device.
    pub backend: BackendId,
    /// Where in it the key is: the locator of a [`Survey`].
    pub locator: Vec<u8>,
    /// Attributes of the record. Usage and protection are those that the device says, whatever stands here.
    pub draft: Draft,
}

impl Operation for Adopt {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request::new(Action::Import, Target::New(self.draft.subject()))
    }

    fn start(mut self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let backend = hall.backend(&self.backend)?;
        let gone = || Error::new(ErrorKind::NotFound, "the HSM no longer holds the key");
        let found = backend.foreign(permit, Some(&self.locator))?;
        // Its other half may stand beside it; which record it becomes was said when it was listed.
        let foreign = found.into_iter().next().ok_or_else(gone)?;
        if let Some(refusal) = foreign.refusal {
            return Err(Error::new(ErrorKind::ActionProhibited, refusal));
        }
        let mut material = foreign.material;
        material.locator = self.locator;
        self.draft.usage = foreign.usage;
        self.draft.protection = foreign.protection;
        let namespace = permit.caller().namespace.id;
        let key = self.draft.key(namespace, backend.id(), foreign.class, foreign.protection, material, now(permit));
        hall.keep(permit, key)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}
