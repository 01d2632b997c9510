//! Making objects. Each is one batch: the record, its index entries and its names together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::path::Paths;
use super::write::{ATTEMPTS, attempts, conflict, guards_of, key_of, open_batch};
use super::{Catalog, index, name};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DeviceObject, Object, Storage};
use crate::store::{Batch, Commit, Condition, Op, Revision, StoreKey};
use crate::tenant::ObjectId;

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
    /// Whether the store is asked for its names before anything is tried.
    looks: bool,
    end: Option<Result<Vec<Arc<Object>>>>,
}

impl Catalog {
    /// Stores new objects that no device holds, all or none. Keys get names that are unique in the namespace (the wanted one, or
    /// with a number behind it; both halves of a pair get the same); names and editions are filled into `objects`, too.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for private objects without their key; [`ErrorKind::NotFound`] when the namespace was
    /// made anew; [`ErrorKind::Arguments`] for objects too large to store; [`ErrorKind::AlreadyExists`] where one of the
    /// identities is taken; those of the store.
    pub fn create(&self, caller: &Caller, objects: &mut [Object]) -> Result<Vec<Arc<Object>>> {
        self.create_with(caller, objects, &Batch::default())
    }

    /// As [`Self::create`], with `with` in the same commit.
    pub(super) fn create_with(
        &self,
        caller: &Caller,
        objects: &mut [Object],
        with: &Batch,
    ) -> Result<Vec<Arc<Object>>> {
        let paths = Paths::of(&caller.namespace);
        let wanted = wanted(objects);
        for _ in 0..attempts(with) {
            let names = (&*wanted, &[][..], &mut HashSet::new(), true);
            let batch = self.creation(caller, &paths, objects, (&[], with), names)?;
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

    /// As [`Self::create`], for newcomers that have nothing to do with each other and may stand in devices: each has an end of its
    /// own, and all are made durable at once. Others do not write in between: a thousand at most are for one call.
    ///
    /// The ends are those of [`Self::create`]; [`ErrorKind::AlreadyExists`] also where a key of this home has one of the objects of
    /// devices, or another one the very name that one is to have.
    pub(crate) fn create_each(&self, caller: &Caller, newcomers: &mut [Newcomers]) -> Vec<Result<Vec<Arc<Object>>>> {
        let paths = Paths::of(&caller.namespace);
        let names: Vec<_> = newcomers.iter().map(|newcomers| wanted(&newcomers.objects)).collect();
        let looks = look_first(&names);
        let coming = newcomers.iter_mut().zip(names).zip(looks);
        let coming = coming.map(|((newcomers, wanted), looks)| Coming { newcomers, wanted, looks, end: None });
        let mut coming: Vec<_> = coming.collect();
        for _ in 0..ATTEMPTS {
            let (mut taken, mut batches) = (HashSet::new(), Vec::new());
            for one in coming.iter_mut().filter(|one| one.end.is_none()) {
                let Newcomers { objects, held, exact } = &mut *one.newcomers;
                let names = (&*one.wanted, &**exact, &mut taken, std::mem::replace(&mut one.looks, true));
                match self.creation(caller, &paths, objects, (held, &Batch::default()), names) {
                    Ok(batch) => batches.push(batch),
                    Err(e) => one.end = Some(Err(e)),
                }
            }
            if batches.is_empty() {
                break;
            }
            let (mut commits, mut failure) = match self.store.commit_each(&batches) {
                Ok(commits) => (commits.into_iter(), None),
                Err(e) => (Vec::new().into_iter(), Some(e)),
            };
            for one in coming.iter_mut().filter(|one| one.end.is_none()) {
                let objects = &one.newcomers.objects;
                one.end = match commits.next() {
                    Some(Commit::Committed(revision)) => Some(Ok(self.created(caller, objects, revision))),
                    Some(Commit::Conflict) => self.require_room(&paths, objects).err().map(Err),
                    None => Some(Err(next_of(&mut failure))),
                };
            }
        }
        coming.into_iter().map(|one| one.end.unwrap_or_else(|| Err(crowded()))).collect()
    }

    /// What creates `objects`, which get free names as [`name::choose`] says, in the store only where it `looks` there; where they can be
    /// stored, `taken` learns of them.
    fn creation(
        &self,
        caller: &Caller,
        paths: &Paths,
        objects: &mut [Object],
        (held, with): (&[(ObjectId, DeviceObject)], &Batch),
        (wanted, exact, taken, looks): (&[String], &[ObjectId], &mut HashSet<StoreKey>, bool),
    ) -> Result<Batch> {
        let public = &caller.keyring.public;
        for object in objects.iter_mut() {
            if object.storage != Storage::Stored || object.namespace != caller.namespace.id {
                return Err(Error::new(ErrorKind::Internal, "an object was to be stored in a foreign place"));
            }
            object.edition = 1;
        }
        let store = looks.then_some(&*self.store);
        let chosen = name::choose(store, (public, paths), (wanted, exact, taken), objects)?;
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
        // Here, where it is in nobody's way.
        batch.admit()?;
        taken.extend(chosen);
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

/// Which newcomers ask the store first whether their names are taken. Of many, hardly any finds that they are, and the commit says so
/// as well. Those of which several want one name get it, or numbers behind it, in their order, so what is there is known first.
fn look_first(wanted: &[Vec<String>]) -> Vec<bool> {
    let mut wanting: HashMap<&str, usize> = HashMap::new();
    for names in wanted {
        for (at, name) in names.iter().enumerate() {
            if !names.iter().take(at).any(|other| other == name) {
                *wanting.entry(name).or_default() += 1;
            }
        }
    }
    let is_shared = |name: &String| wanting.get(name.as_str()).is_some_and(|count| *count > 1);
    wanted.iter().map(|names| wanted.len() == 1 || names.iter().any(is_shared)).collect()
}

/// What all of them are told: the first one with its cause.
fn next_of(failure: &mut Option<Error>) -> Error {
    let told = failure.take().unwrap_or_else(|| Error::new(ErrorKind::Internal, "a commit has no end"));
    *failure = Some(Error::new(told.kind(), told.message().to_owned()));
    told
}

fn crowded() -> Error {
    Error::new(ErrorKind::Busy, "others took every name that was tried")
}
