//! Which key has an object of a device: in the whole home one object is one key's alone, whatever token or process asks.
//!
//! ```text
//! hsm/owner/<term>   who has what in one place of a device; the term is a MAC of the place
//! ```
//! Entries come and go in the same commit as the records of their keys. Those of a namespace that was made anew or removed are
//! left behind, and count for nothing: whoever looks for owners looks whether their records are there.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Catalog;
use super::path::{self, Paths, Term};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DeviceObject;
use crate::sealed;
use crate::store::{Batch, Condition, Op, Revision, StoreKey};
use crate::tenant::{Namespace, NamespaceId, ObjectId, push_hex};

/// A key that has an object of a device.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Owner {
    /// What tells the object from others in its place.
    label: Option<ByteBuf>,
    pub(super) namespace: NamespaceId,
    pub(super) incarnation: u32,
    pub(super) object: ObjectId,
}

/// The owners of what is in one place of a device.
struct Owners {
    path: StoreKey,
    seen: Option<Revision>,
    all: Vec<Owner>,
}

impl Catalog {
    /// Whether a key of this home has `object`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn has_owner(&self, object: &DeviceObject) -> Result<bool> {
        Ok(self.owner(object)?.is_some())
    }

    /// The key of this home that has `object`.
    ///
    /// # Errors
    /// As [`Self::has_owner`].
    pub fn owner(&self, object: &DeviceObject) -> Result<Option<(NamespaceId, ObjectId)>> {
        Ok(self.owners(object)?.of(object).map(|owner| (owner.namespace, owner.object)))
    }

    /// Whether an object of this home, of whatever namespace, has an identity that begins with `known`.
    ///
    /// # Errors
    /// Those of [`Self::namespaces`].
    pub fn has_kin(&self, known: &[u8]) -> Result<bool> {
        for namespace in self.namespaces()? {
            let mut path = Paths::of(&namespace).objects();
            push_hex(&mut path, known);
            if !self.store.scan(&path, None, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has `batch` give `objects` to the keys that are made with it.
    pub(super) fn give(
        &self,
        namespace: &Namespace,
        objects: &[(ObjectId, DeviceObject)],
        batch: &mut Batch,
    ) -> Result<()> {
        for (id, object) in objects {
            let mut owners = self.owners(object)?;
            if owners.of(object).is_some() {
                let why = "a key of this home stands on this object of the HSM already: each is one key's alone";
                return Err(Error::new(ErrorKind::AlreadyExists, why));
            }
            let label = object.label.clone().map(ByteBuf::from);
            let Namespace { id: of, incarnation, .. } = *namespace;
            owners.all.push(Owner { label, namespace: of, incarnation, object: *id });
            self.write_owners(owners, batch)?;
        }
        Ok(())
    }

    /// Has `batch` take `objects` from a key that is destroyed with it.
    pub(super) fn take(
        &self,
        (namespace, id): (&Namespace, ObjectId),
        objects: &[DeviceObject],
        batch: &mut Batch,
    ) -> Result<()> {
        for object in objects {
            let mut owners = self.owners(object)?;
            owners.all.retain(|owner| owner.namespace != namespace.id || owner.object != id);
            if owners.seen.is_some() {
                self.write_owners(owners, batch)?;
            }
        }
        Ok(())
    }

    /// Those of the objects in the place of `object` whose records are there.
    fn owners(&self, object: &DeviceObject) -> Result<Owners> {
        let path = path::owner(Term::of(self.home.index_term("device object", &object.place)?))?;
        let entry = self.store.get(&path)?;
        let mut all: Vec<Owner> = match &entry {
            Some(entry) => sealed::open_value(&self.home, &path, &entry.value)?,
            None => Vec::new(),
        };
        let mut alive = Vec::new();
        for owner in all.drain(..) {
            if self.lives(&owner)? {
                alive.push(owner);
            }
        }
        Ok(Owners { path, seen: entry.map(|entry| entry.version), all: alive })
    }

    fn lives(&self, owner: &Owner) -> Result<bool> {
        let paths = Paths::in_incarnation(owner.namespace, owner.incarnation);
        let read = self.store.get_many(&[paths.closed()?, paths.object(owner.object)?])?;
        Ok(matches!(read.as_slice(), [None, Some(_)]))
    }

    fn write_owners(&self, owners: Owners, batch: &mut Batch) -> Result<()> {
        let Owners { path, seen, all } = owners;
        batch.conditions.push(match seen {
            Some(version) => Condition::Version(path.clone(), version),
            None => Condition::Absent(path.clone()),
        });
        batch.ops.push(if all.is_empty() {
            Op::Delete(path)
        } else {
            let record = sealed::seal_value(&self.home, &*self.random, &path, &all)?;
            Op::Put(path, record)
        });
        Ok(())
    }
}

impl Owners {
    /// The one that may be the owner of `object`.
    fn of(&self, object: &DeviceObject) -> Option<&Owner> {
        self.all.iter().find(|owner| object.may_be(owner.label.as_ref().map(|label| label.as_slice())))
    }
}
