//! Records of keys whose material is in another place now: all halves of a key, and who has which object of a device, at once.

use std::sync::Arc;

use super::Catalog;
use super::index::ObjectKind;
use super::path::Paths;
use super::write::{ATTEMPTS, conflict, key_of, next_edition, open_batch};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DeviceObject, Object};
use crate::store::{Batch, Condition, Revision};
use crate::tenant::ObjectId;

/// Objects of devices that come to a key, or go from it.
type Held = [(ObjectId, DeviceObject)];

impl Catalog {
    /// Stores `objects` in place of those that they were made from, all or none: what differs is where their material is.
    /// They have the objects of devices in `gained` from then on, and those in `lost` no more.
    ///
    /// # Errors
    /// As [`Self::update`]; [`ErrorKind::AlreadyExists`] where another key has one of what is gained.
    pub fn rehome(
        &self,
        caller: &Caller,
        objects: &[Object],
        (gained, lost): (&Held, &Held),
    ) -> Result<Vec<Arc<Object>>> {
        let paths = Paths::of(&caller.namespace);
        let ids: Vec<ObjectId> = objects.iter().map(|object| object.id).collect();
        for _ in 0..ATTEMPTS {
            let mut batch = open_batch(&paths, &Batch::default())?;
            let mut written = Vec::with_capacity(objects.len());
            for object in objects {
                let old = self.current(caller, object)?;
                if !is_same(&old, object) {
                    return Err(Error::new(ErrorKind::Internal, "a move would change what never changes"));
                }
                let mut new = Object { edition: next_edition(&old)?, ..object.clone() };
                batch.conditions.push(Condition::Version(paths.object(old.id)?, Revision(old.revision)));
                batch.ops.push(self.write(key_of(caller, &new)?, &paths, &mut new)?);
                written.push(new);
            }
            self.give(&caller.namespace, gained, &mut batch)?;
            for (id, object) in lost {
                self.take((&caller.namespace, *id), std::slice::from_ref(object), &mut batch)?;
            }
            if let Some(revision) = self.apply(caller, &paths, (&batch, &ids))? {
                return Ok(written.into_iter().map(|o| self.remember(&caller.namespace, o, revision)).collect());
            }
        }
        Err(conflict())
    }
}

/// Whether both are the same object but for where its material is, so that every index and name stays as it is.
fn is_same(old: &Object, new: &Object) -> bool {
    let known = |object: &Object| object.key().map(|key| (key.name.clone(), key.class, key.key_type, key.state));
    (old.id, old.namespace, old.private, ObjectKind::of(old))
        == (new.id, new.namespace, new.private, ObjectKind::of(new))
        && (&old.label, &old.identifier) == (&new.label, &new.identifier)
        && known(old) == known(new)
}
