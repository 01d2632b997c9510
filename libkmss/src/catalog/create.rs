//! Making objects. Each is one batch: the record, its index entries and its names together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::path::Paths;
use super::write::{ATTEMPTS, attempts, conflict, guards_of, key_of, open_batch};
use super::{Catalog, index, name};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DeviceObject, Object, Storage};
use crate::store::{Batch, Commit, Condition, Op, Revision, StoreKey};
use crate::tenant::ObjectId;

/// How many of several that come together are made durable at once: others write in between.
const TOGETHER: usize = 64;

/// New objects that come to exist together or not at all, and what they stand on in devices.
#[derive(Debug)]
pub(crate) struct Newcomers {
    /// The objects: one, or the halves of a pair.
    pub(crate) objects: Vec<Object>,
    /// The objects of devices, each with the one of `objects` that it is for.
    pub(crate) held: Vec<(ObjectId, DeviceObject)>,
    /// Those that get the name that they want or are not made.
    pub(crate) exact: Vec<ObjectId>,
}

/// Newcomers on their way.
struct Coming<'a> {
    newcomers: &'a mut Newcomers,
    wanted: Vec<String>,
    end: Option<Result<Vec<Arc<Object>>>>,
}

impl Catalog {
    /// Stores new objects, all or none; as [`Self::create_on`] where no device holds them.
    ///
    /// # Errors
    /// As [`Self::create_on`].
    pub fn create(&self, caller: &Caller, objects: &mut [Object]) -> Result<Vec<Arc<Object>>> {
        self.create_on(caller, objects, &[])
    }

    /// Stores new objects, all or none. Keys get names that are unique in the namespace (the wanted one, or with a number
    /// behind it; both halves of a pair get the same); names and editions are filled into `objects`, too.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for private objects without their key; [`ErrorKind::NotFound`] when the namespace was
    /// made anew; [`ErrorKind::Arguments`] for objects too large to store; [`ErrorKind::AlreadyExists`] where one of the
    /// identities is taken, or a key of this home has one of the objects of devices that these stand on (`held`); those of
    /// the store.
    pub fn create_on(
        &self,
        caller: &Caller,
        objects: &mut [Object],
        held: &[(ObjectId, DeviceObject)],
    ) -> Result<Vec<Arc<Object>>> {
        self.create_called(caller, objects, held, &[])
    }

    /// As [`Self::create_on`]; those of `exact` get the name that they want or are not made.
    ///
    /// # Errors
    /// As [`Self::create_on`]; [`ErrorKind::AlreadyExists`] also where such a name is taken.
    pub fn create_called(
        &self,
        caller: &Caller,
        objects: &mut [Object],
        held: &[(ObjectId, DeviceObject)],
        exact: &[ObjectId],
    ) -> Result<Vec<Arc<Object>>> {
        self.create_with(caller, objects, (held, exact), &Batch::default())
    }

    /// As [`Self::create_called`], with `with` in the same commit.
    pub(super) fn create_with(
        &self,
        caller: &Caller,
        objects: &mut [Object],
        (held, exact): (&[(ObjectId, DeviceObject)], &[ObjectId]),
        with: &Batch,
    ) -> Result<Vec<Arc<Object>>> {
        let paths = Paths::of(&caller.namespace);
        let wanted = wanted(objects);
        for _ in 0..attempts(with) {
            let taken = &mut BTreeSet::new();
            let batch = self.creation(caller, &paths, (&wanted, exact), (objects, held), with, taken)?;
            match self.store.commit(&batch)? {
                Commit::Committed(revision) => return Ok(self.created(caller, objects, revision)),
                Commit::Conflict => self.require_room(&paths, objects)?,
            }
        }
        if !with.conditions.is_empty() {
            return Err(conflict());
        }
        Err(crowded())
    }

    /// As [`Self::create_on`], for many newcomers that have nothing to do with each other: each has an end of its own, and many
    /// are made durable at once.
    pub(crate) fn create_each(&self, caller: &Caller, newcomers: &mut [Newcomers]) -> Vec<Result<Vec<Arc<Object>>>> {
        newcomers.chunks_mut(TOGETHER).flat_map(|some| self.create_some(caller, some)).collect()
    }

    fn create_some(&self, caller: &Caller, newcomers: &mut [Newcomers]) -> Vec<Result<Vec<Arc<Object>>>> {
        let paths = Paths::of(&caller.namespace);
        let coming = newcomers.iter_mut();
        let mut coming: Vec<_> =
            coming.map(|newcomers| Coming { wanted: wanted(&newcomers.objects), newcomers, end: None }).collect();
        for _ in 0..ATTEMPTS {
            let (mut taken, mut batches) = (BTreeSet::new(), Vec::new());
            for one in coming.iter_mut().filter(|one| one.end.is_none()) {
                let Newcomers { objects, held, exact } = &mut *one.newcomers;
                let wanted = (one.wanted.as_slice(), exact.as_slice());
                match self.creation(caller, &paths, wanted, (objects, held), &Batch::default(), &mut taken) {
                    Ok(batch) => batches.push(batch),
                    Err(e) => one.end = Some(Err(e)),
                }
            }
            if batches.is_empty() {
                break;
            }
            let committed = self.store.commit_each(&batches);
            let mut commits = committed.as_deref().unwrap_or_default().iter();
            for one in coming.iter_mut().filter(|one| one.end.is_none()) {
                let objects = &one.newcomers.objects;
                one.end = match (&committed, commits.next()) {
                    (_, Some(Commit::Committed(revision))) => Some(Ok(self.created(caller, objects, *revision))),
                    (_, Some(Commit::Conflict)) => self.require_room(&paths, objects).err().map(Err),
                    (Err(e), None) => Some(Err(Error::new(e.kind(), e.message().to_owned()))),
                    (Ok(_), None) => Some(Err(Error::new(ErrorKind::Internal, "a commit has no end"))),
                };
            }
        }
        coming.into_iter().map(|one| one.end.unwrap_or_else(|| Err(crowded()))).collect()
    }

    /// What creates `objects`, which get free names near those in `wanted` (or those very ones), beside those that others in the same transaction take.
    fn creation(
        &self,
        caller: &Caller,
        paths: &Paths,
        (wanted, exact): (&[String], &[ObjectId]),
        (objects, held): (&mut [Object], &[(ObjectId, DeviceObject)]),
        with: &Batch,
        taken: &mut BTreeSet<StoreKey>,
    ) -> Result<Batch> {
        let public = &caller.keyring.public;
        for object in objects.iter_mut() {
            if object.storage != Storage::Stored || object.namespace != caller.namespace.id {
                return Err(Error::new(ErrorKind::Internal, "an object was to be stored in a foreign place"));
            }
            object.edition = 1;
        }
        name::choose(&*self.store, (public, paths), (wanted, exact, taken), objects)?;
        let mut batch = open_batch(paths, with)?;
        self.give(&caller.namespace, held, &mut batch)?;
        for object in objects.iter_mut() {
            let guards = guards_of(public, paths, object)?;
            batch.conditions.push(Condition::Absent(paths.object(object.id)?));
            batch.conditions.extend(guards.iter().cloned().map(Condition::Absent));
            let key = key_of(caller, object)?;
            batch.ops.push(self.write(key, paths, object)?);
            batch.ops.extend(index::changes(key.0, paths, None, Some(&*object))?);
            for guard in guards {
                let content = name::content(public, &guard, object.id)?;
                batch.ops.push(Op::Put(guard, content));
            }
        }
        Ok(batch)
    }

    fn created(&self, caller: &Caller, objects: &[Object], revision: Revision) -> Vec<Arc<Object>> {
        objects.iter().map(|object| self.remember(&caller.namespace, object.clone(), revision)).collect()
    }

    /// Refuses what trying again under other names does not help.
    fn require_room(&self, paths: &Paths, objects: &[Object]) -> Result<()> {
        self.require_open(paths)?;
        let paths: Vec<_> = objects.iter().map(|object| paths.object(object.id)).collect::<Result<_>>()?;
        if self.store.get_many(&paths)?.iter().all(Option::is_none) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::AlreadyExists, "an object of this identity exists"))
    }
}

/// The names that new objects are to have; empty ones where they are no keys.
fn wanted(objects: &[Object]) -> Vec<String> {
    objects.iter().map(|object| object.key().map_or_else(String::new, |key| key.name.clone())).collect()
}

fn crowded() -> Error {
    Error::new(ErrorKind::Busy, "others took every name that was tried")
}
