//! Bringing keys that a device holds already under names, policies and audit, without touching them.

use std::sync::Arc;

use super::relocate::left_by;
use super::{Draft, Hall, Operation, Request, Target, now};
use crate::backend::Foreign;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, BackendId, DeviceObject, Object};
use crate::permit::Permit;
use crate::tenant::{NamespaceId, ObjectId};

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
        let backend = hall.backend(&self.backend)?;
        let mut found = backend.foreign(permit, None)?;
        for foreign in &mut found {
            let owners = owners(hall, &backend.device_objects(&foreign.material.locator)?)?;
            let here = permit.caller().namespace.id;
            foreign.owner = owners.iter().find(|(namespace, _)| *namespace == here).map(|(_, key)| *key);
            if !owners.is_empty() {
                foreign.refusal.get_or_insert_with(|| "a key of this home stands on it already".to_owned());
            } else if is_of_a_key(hall, foreign)? {
                // Whatever else is the matter with it: this says what becomes of it.
                foreign.refusal = Some(OF_A_KEY.to_owned());
            }
        }
        Ok(found)
    }
}

/// Makes a record of a key that a device holds.
#[derive(Debug)]
pub struct Adopt {
    /// The device.
    pub backend: BackendId,
    /// Where in it the key is: the locator of a [`Survey`].
    pub locator: Vec<u8>,
    /// Attributes of the record. Usage and protection are what the device says, and what is decided on.
    pub draft: Draft,
}

impl Operation for Adopt {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request::new(Action::Import, Target::New(self.draft.subject()))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let backend = hall.backend(&self.backend)?;
        let gone = || Error::new(ErrorKind::NotFound, "the HSM no longer holds the key");
        let found = backend.foreign(permit, Some(&self.locator))?;
        // Which of several with one CKA_ID it is was said when it was listed.
        let foreign = found.into_iter().next().ok_or_else(gone)?;
        // What made it may be under way, and may take it back. What has a record is told of below: it is called as keys are
        // that are made there.
        if owners(hall, &backend.device_objects(&self.locator)?)?.is_empty() && is_of_a_key(hall, &foreign)? {
            return Err(Error::new(ErrorKind::ActionProhibited, OF_A_KEY));
        }
        if let Some(refusal) = &foreign.refusal {
            return Err(Error::new(ErrorKind::ActionProhibited, refusal.clone()));
        }
        let mut material = foreign.material;
        material.locator = self.locator;
        if self.draft.usage != foreign.usage || self.draft.protection != foreign.protection {
            let why = "the HSM says something else of the key's uses and protection: look at it again, and adopt that";
            return Err(Error::new(ErrorKind::TemplateInconsistent, why));
        }
        self.draft.check(hall, permit, foreign.class)?;
        let namespace = permit.caller().namespace.id;
        let key = self.draft.key(namespace, backend.id(), foreign.class, foreign.protection, material, now(permit));
        hall.keep(permit, key)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}

/// Why nobody adopts what was made for a key that does not name it.
const OF_A_KEY: &str = "it was made for a key of this home that does not name it, by a move or as a replica: `kmss key move` that \
                        key here again, or `kmss hsm clone` the group that it is in, and what was left is destroyed";

/// The keys of this home that stand on `objects`.
fn owners(hall: &Hall, objects: &[DeviceObject]) -> Result<Vec<(NamespaceId, ObjectId)>> {
    let owners = objects.iter().map(|object| hall.catalog.owner(object)).collect::<Result<Vec<_>>>()?;
    Ok(owners.into_iter().flatten().collect())
}

fn is_of_a_key(hall: &Hall, foreign: &Foreign) -> Result<bool> {
    left_by(&foreign.identifier).map_or(Ok(false), |known| hall.catalog.has_kin(known))
}
