//! Bringing a key to the devices that are to have it and do not.

use std::sync::Arc;

use super::relocate::clear_remains;
use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::backend::{Backend, Replicating, Replication};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Alteration, Body, DeviceObject, Key, KeyClass, KeyVersion, Object};
use crate::permit::{Permit, Subject};
use crate::tenant::ObjectId;

/// Says in which devices of its backend a key is, and brings it to the others.
#[derive(Debug)]
pub struct Replicate {
    /// The key.
    pub key: ObjectRef,
    /// Whether it is brought to those that lack it, and closed where all have it; otherwise they are only told.
    pub make: bool,
    /// Locators of what earlier attempts left in the devices: objects that [`is_left_by`](super::is_left_by) tells the key of.
    /// They are destroyed once the key was brought, or is everywhere.
    pub remains: Vec<Vec<u8>>,
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

    fn altered(told: &Self::Running) -> Vec<Alteration> {
        let Some(told) = told else { return Vec::new() };
        let places = [told.present.as_slice(), &told.made].concat();
        Alteration::between("replicas", told.present.join(" "), places.join(" ")).into_iter().collect()
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Option<Replication>> {
        let object = match (permit.subject(), &self.key) {
            (Subject::Object(object), _) => Arc::clone(object),
            (_, ObjectRef::Stored(id)) => hall.catalog.get(permit.caller(), *id)?,
            (_, ObjectRef::Ephemeral(_)) => return Ok(None),
        };
        let Some(key) = object.key() else { return Ok(None) };
        let backend = hall.backend(&key.primary()?.backend)?;
        if !self.make {
            return backend.replicate(permit, &object, Replicating::Look);
        }
        let beside = private_half(hall, permit, &object);
        let told = backend.replicate(permit, &object, Replicating::Bring(beside.as_deref()))?;
        let mut told = told.ok_or_else(|| Error::new(ErrorKind::Arguments, "the key is in one place by its nature"))?;
        if told.made.is_empty()
            && let Some((hsm, why)) = told.lacking.first()
        {
            // What is left there may be the only other replica, of a record that is older than it: it stays.
            return Err(Error::new(
                ErrorKind::BackendUnavailable,
                format!("the HSM `{hsm}` lacks the key still: {why}"),
            ));
        }
        let written = written_down(hall, permit, (backend, &object), &told)?;
        // Only now, when the record names every replica: it is not taken back.
        if let Some(closed) = backend.replicate(permit, &written, Replicating::Close)? {
            told.open = closed.open;
        }
        clear_remains(hall, permit, backend, &self.remains, vec![written])?;
        Ok(Some(told))
    }
}

/// Has the record name what was made, or takes it back.
fn written_down(
    hall: &Hall,
    permit: &Permit,
    (backend, object): (&Arc<dyn Backend>, &Arc<Object>),
    told: &Replication,
) -> Result<Arc<Object>> {
    let before = version_of(object)?.locator.clone();
    let mut changed = Object::clone(object);
    if let Body::Key(key) = &mut changed.body {
        for version in key.versions.iter_mut().filter(|version| version.locator == before) {
            version.locator.clone_from(&told.locator);
        }
    }
    if told.locator == before {
        return Ok(Arc::clone(object));
    }
    let of_it = |locator| -> Result<Vec<(ObjectId, DeviceObject)>> {
        Ok(backend.device_objects(locator)?.into_iter().map(|place| (object.id, place)).collect())
    };
    let (had, has) = (of_it(&before)?, of_it(&told.locator)?);
    let beyond = |some: &[(ObjectId, DeviceObject)], others: &[(ObjectId, DeviceObject)]| -> Vec<_> {
        some.iter().filter(|place| !others.contains(place)).cloned().collect()
    };
    // What a device had lost is nobody's if that finds it again.
    let (gained, lost) = (beyond(&has, &had), beyond(&had, &has));
    let written = hall.catalog.rehome(permit.caller(), &[changed], (&gained, &lost)).map_err(|e| {
        // The commit may have come about although it was said to have failed, and what the record names stays.
        let now = match hall.catalog.get(permit.caller(), object.id) {
            Ok(now) => {
                version_of(&now).ok().filter(|version| version.backend == *backend.id()).map(|v| v.locator.clone())
            }
            Err(gone) if gone.kind() == ErrorKind::NotFound => None,
            // Not known: what is nobody's is cleared by the next one.
            Err(_) => return e,
        };
        match backend.forsake(permit, &told.locator, &now.unwrap_or(before)) {
            Ok(()) => e,
            Err(left) => Error::new(e.kind(), format!("{}; {}", e.sentence(), left.sentence())),
        }
    })?;
    written.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Internal, "nothing was written"))
}

fn version_of(object: &Object) -> Result<&KeyVersion> {
    object.key().ok_or_else(|| Error::new(ErrorKind::Internal, "the object is no key"))?.primary()
}

/// Where the private half is of a public key, where that is in the same backend.
fn private_half(hall: &Hall, permit: &Permit, object: &Object) -> Option<Vec<u8>> {
    let public = object.key().filter(|key| key.class == KeyClass::Public)?;
    let private = hall.catalog.find_by_name(permit.caller(), &public.name, KeyClass::Private).ok()?;
    let of = |key: &Key| key.primary().ok().map(|version| (version.backend.clone(), version.public.clone()));
    let key = private.key().filter(|key| of(key) == of(public))?;
    Some(key.primary().ok()?.locator.clone())
}
