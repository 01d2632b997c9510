//! Tombstones: what is known of keys that were destroyed when they were due.
//!
//! ```text
//! tomb/<namespace>/<incarnation>/<object>   what there was; sealed under the domain key of the home
//! tomb/left/<namespace>/<incarnation>/<object>   where devices still have it, until they said that they do not
//! ```
//! A tombstone keeps the guards of the key's name, so that nothing else is called so until somebody releases it. It outlives its
//! namespace.

use serde::{Deserialize, Serialize};

use super::path::Paths;
use super::write::{ATTEMPTS, conflict, key_of, open_batch};
use super::{Catalog, index, name, not_found};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Deletion, DeviceObject, KeyClass, Object};
use crate::mechanism::KeyType;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Op, Revision, StoreKey};
use crate::tenant::{Namespace, ObjectId};

/// What is known of a key that was destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Its identity.
    pub object: ObjectId,
    /// The name that it had.
    pub name: String,
    /// Which part it was.
    pub class: KeyClass,
    /// Its type.
    pub key_type: KeyType,
    /// When it was made.
    pub created: Timestamp,
    /// Who asked for its destruction, when, why, and when it was due.
    pub deletion: Deletion,
    /// When it was destroyed.
    pub destroyed: Timestamp,
    /// Who did that.
    pub by: String,
    /// Whether its name may be used again.
    pub released: bool,
}

impl Catalog {
    /// Destroys a key whose time has come, as [`Self::destroy_on`] does, and puts a tombstone in its place.
    ///
    /// # Errors
    /// As [`Self::destroy_on`]; [`ErrorKind::KeyState`] where the key is not to be destroyed.
    pub fn bury(&self, caller: &Caller, object: &Object, held: &[DeviceObject], now: Timestamp) -> Result<()> {
        self.bury_leaving(caller, object, (held, None), now)
    }

    /// As [`Self::bury`], with `left` noted: what devices have of the key, whose it stays until they have it no more.
    ///
    /// # Errors
    /// As [`Self::bury`].
    pub fn bury_leaving(
        &self,
        caller: &Caller,
        object: &Object,
        (held, left): (&[DeviceObject], Option<&Object>),
        now: Timestamp,
    ) -> Result<()> {
        let paths = Paths::of(&caller.namespace);
        for _ in 0..ATTEMPTS {
            let old = self.current(caller, object)?;
            let stone = tombstone(&old, caller, now)?;
            let (record, place) = (paths.object(old.id)?, place(&caller.namespace, old.id)?);
            let mut batch = open_batch(&paths, &Batch::default())?;
            batch.conditions.push(Condition::Version(record.clone(), Revision(old.revision)));
            batch.ops.push(Op::Delete(record));
            batch.ops.extend(index::changes(key_of(caller, &old)?.0, &paths, Some(&old), None)?);
            let sealed = sealed::seal_value(&self.home, &*self.random, &place, &stone)?;
            batch.ops.push(Op::Put(place, sealed));
            let aliases = old.key().map(|key| key.metadata.aliases.as_slice()).unwrap_or_default();
            for alias in aliases.iter().filter(|alias| **alias != stone.name) {
                let guards = name::guards(&caller.keyring.public, &paths, stone.class, alias)?;
                batch.ops.extend(guards.into_iter().map(Op::Delete));
            }
            match left {
                None => self.take((&caller.namespace, old.id), held, &mut batch)?,
                Some(left) => {
                    let place = left_place(&caller.namespace, old.id)?;
                    let sealed = sealed::seal_value(&self.home, &*self.random, &place, left)?;
                    batch.ops.push(Op::Put(place, sealed));
                }
            }
            if self.apply(caller, &paths, (&batch, &[old.id]))?.is_some() {
                self.objects.remove(&(caller.namespace.id, caller.namespace.incarnation, old.id));
                return Ok(());
            }
        }
        Err(conflict())
    }

    /// What devices may still have of keys that were destroyed: at most `limit` that the caller may see, in the order of their
    /// identities, behind `after`.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Damaged`].
    pub fn left(&self, caller: &Caller, after: Option<ObjectId>, limit: usize) -> Result<Vec<Object>> {
        let mut after = after.map(|id| left_place(&caller.namespace, id)).transpose()?;
        let mut all: Vec<Object> = Vec::new();
        loop {
            let page = self.store.scan(&left_places(&caller.namespace), after.as_ref(), limit)?;
            let is_last = page.len() < limit;
            for (path, entry) in page {
                let object: Object = sealed::open_value(&self.home, &path, &entry.value)?;
                after = Some(path);
                if !object.private || caller.keyring.private.is_some() {
                    all.push(object);
                }
            }
            if is_last || all.len() >= limit {
                all.truncate(limit);
                return Ok(all);
            }
        }
    }

    /// Takes note that no device has anything of a destroyed key (`held`) any more.
    ///
    /// # Errors
    /// Those of the store.
    pub fn forget_left(&self, caller: &Caller, id: ObjectId, held: &[DeviceObject]) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::default();
            batch.ops.push(Op::Delete(left_place(&caller.namespace, id)?));
            self.take((&caller.namespace, id), held, &mut batch)?;
            if let Commit::Committed(_) = self.store.commit(&batch)? {
                return Ok(());
            }
        }
        Err(conflict())
    }

    /// At most `limit` tombstones of the caller's namespace, in the order of their identities, behind that of `after`.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Damaged`].
    pub fn tombstones(&self, caller: &Caller, after: Option<ObjectId>, limit: usize) -> Result<Vec<Tombstone>> {
        let after = after.map(|id| place(&caller.namespace, id)).transpose()?;
        let found = self.store.scan(&places(&caller.namespace), after.as_ref(), limit)?;
        found.iter().map(|(path, entry)| sealed::open_value(&self.home, path, &entry.value)).collect()
    }

    /// The tombstone that keeps `name`, where one does.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Damaged`].
    pub fn tombstone_of(&self, caller: &Caller, name: &str) -> Result<Option<Tombstone>> {
        let (public, paths) = (&caller.keyring.public, Paths::of(&caller.namespace));
        for guard in name::guards(public, &paths, KeyClass::Secret, name)? {
            let Some(entry) = self.store.get(&guard)? else { continue };
            let id = name::read(public, &guard, &entry.value)?;
            if let Some((stone, _)) = self.stone(&caller.namespace, id)? {
                return Ok(Some(stone));
            }
        }
        Ok(None)
    }

    /// Refuses a name that no key of `class` can get now.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where another key has it, or a destroyed one keeps it; [`ErrorKind::Damaged`]; those of the
    /// store.
    pub fn require_free(&self, caller: &Caller, name: &str, class: KeyClass) -> Result<()> {
        let (public, paths) = (&caller.keyring.public, Paths::of(&caller.namespace));
        for guard in name::guards(public, &paths, class, name)? {
            let Some(entry) = self.store.get(&guard)? else { continue };
            let id = name::read(public, &guard, &entry.value)?;
            let why = match self.stone(&caller.namespace, id)? {
                Some((stone, _)) => format!(
                    "a key named `{name}` was destroyed on {}, and nothing else is called so: choose another name, or release \
                     this one (`kmss key release-name {name}`)",
                    stone.destroyed.utc()
                ),
                None => format!("a key named `{name}` exists already"),
            };
            return Err(Error::new(ErrorKind::AlreadyExists, why));
        }
        Ok(())
    }

    /// Lets the name of destroyed keys be used again; the tombstones stay. How many kept it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where none does; [`ErrorKind::Conflict`]; those of the store.
    pub fn release_name(&self, caller: &Caller, name: &str) -> Result<usize> {
        let (public, paths) = (&caller.keyring.public, Paths::of(&caller.namespace));
        let mut batch = open_batch(&paths, &Batch::default())?;
        let mut freed: Vec<ObjectId> = Vec::new();
        for guard in name::guards(public, &paths, KeyClass::Secret, name)? {
            let Some(entry) = self.store.get(&guard)? else { continue };
            let id = name::read(public, &guard, &entry.value)?;
            let Some((stone, version)) = self.stone(&caller.namespace, id)? else { continue };
            batch.conditions.push(Condition::Version(guard.clone(), entry.version));
            batch.ops.push(Op::Delete(guard));
            if !freed.contains(&id) {
                let place = place(&caller.namespace, id)?;
                let stone = Tombstone { released: true, ..stone };
                let sealed = sealed::seal_value(&self.home, &*self.random, &place, &stone)?;
                batch.conditions.push(Condition::Version(place.clone(), version));
                batch.ops.push(Op::Put(place, sealed));
                freed.push(id);
            }
        }
        if freed.is_empty() {
            return Err(not_found());
        }
        match self.store.commit(&batch)? {
            Commit::Committed(_) => Ok(freed.len()),
            Commit::Conflict => Err(conflict()),
        }
    }

    fn stone(&self, namespace: &Namespace, id: ObjectId) -> Result<Option<(Tombstone, Revision)>> {
        let place = place(namespace, id)?;
        let entry = self.store.get(&place)?;
        entry.map(|entry| Ok((sealed::open_value(&self.home, &place, &entry.value)?, entry.version))).transpose()
    }
}

fn tombstone(object: &Object, caller: &Caller, now: Timestamp) -> Result<Tombstone> {
    let doomed = object.key().and_then(|key| Some((key, key.lifecycle.deletion.clone()?)));
    let (key, deletion) = doomed.ok_or_else(|| Error::new(ErrorKind::KeyState, "the key is not to be destroyed"))?;
    Ok(Tombstone {
        object: object.id,
        name: key.name.clone(),
        class: key.class,
        key_type: key.key_type,
        created: object.created,
        deletion,
        destroyed: now,
        by: caller.principal.name.clone(),
        released: false,
    })
}

/// Where the tombstones of a namespace are.
pub(super) fn places(namespace: &Namespace) -> String {
    format!("tomb/{}/{}/", namespace.id, namespace.incarnation)
}

fn left_places(namespace: &Namespace) -> String {
    format!("tomb/left/{}/{}/", namespace.id, namespace.incarnation)
}

fn left_place(namespace: &Namespace, id: ObjectId) -> Result<StoreKey> {
    StoreKey::new(format!("{}{id}", left_places(namespace)))
}

fn place(namespace: &Namespace, id: ObjectId) -> Result<StoreKey> {
    StoreKey::new(format!("{}{id}", places(namespace)))
}
