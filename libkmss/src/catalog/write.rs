//! Changing and destroying objects. Each is one batch: the record, its index entries and its names together.

use std::sync::Arc;

use super::path::Paths;
use super::record::Domain;
use super::{Catalog, index, key_for, name, not_found, record};
use crate::caller::Caller;
use crate::domain::FIRST_VERSION;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Body, DeviceObject, DomainKey, DomainVersion, KeyClass, Object, material_context};
use crate::store::{Batch, Commit, Condition, Op, Revision};
use crate::tenant::ObjectId;

/// What was changed, and what was made, as they are stored now.
pub(crate) type Reshaped = (Vec<Arc<Object>>, Vec<Arc<Object>>);

/// How often a name is chosen anew when others take it at the same moment.
pub(super) const ATTEMPTS: usize = 100;
/// Numbers of versions that are looked at together.
const VERSIONS: u32 = 32;

impl Catalog {
    /// Stores a changed object in place of the one it was made from.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody changed it since it was read, [`ErrorKind::NotFound`] when it is gone,
    /// [`ErrorKind::Internal`] when identity, name, class or visibility differ.
    pub fn update(&self, caller: &Caller, object: &Object) -> Result<Arc<Object>> {
        self.update_with(caller, object, &Batch::default())
    }

    /// As [`Self::update`], with `with` in the same commit.
    pub(super) fn update_with(&self, caller: &Caller, object: &Object, with: &Batch) -> Result<Arc<Object>> {
        let paths = Paths::of(&caller.namespace);
        for _ in 0..attempts(with) {
            let old = self.current(caller, object)?;
            let mut new = same_again(&old, object)?;
            let mut batch = open_batch(&paths, with)?;
            batch.conditions.push(Condition::Version(paths.object(old.id)?, Revision(old.revision)));
            let key = key_of(caller, &new)?;
            batch.ops.push(self.write(key, &paths, &mut new)?);
            batch.ops.extend(index::changes(key.0, &paths, Some(&old), Some(&new))?);
            if let Some(revision) = self.apply(caller, &paths, (&batch, &[old.id]))? {
                return Ok(self.remember(&caller.namespace, new, revision));
            }
        }
        Err(conflict())
    }

    /// As [`Self::update`], of objects that are changed together or not at all.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn update_all(&self, caller: &Caller, objects: &[Object]) -> Result<Vec<Arc<Object>>> {
        let paths = Paths::of(&caller.namespace);
        let ids: Vec<ObjectId> = objects.iter().map(|object| object.id).collect();
        for _ in 0..ATTEMPTS {
            let mut batch = open_batch(&paths, &Batch::default())?;
            let mut written = Vec::with_capacity(objects.len());
            for object in objects {
                let old = self.current(caller, object)?;
                let mut new = same_again(&old, object)?;
                batch.conditions.push(Condition::Version(paths.object(old.id)?, Revision(old.revision)));
                let key = key_of(caller, &new)?;
                batch.ops.push(self.write(key, &paths, &mut new)?);
                batch.ops.extend(index::changes(key.0, &paths, Some(&old), Some(&new))?);
                written.push(new);
            }
            if let Some(revision) = self.apply(caller, &paths, (&batch, &ids))? {
                return Ok(written.into_iter().map(|o| self.remember(&caller.namespace, o, revision)).collect());
            }
        }
        Err(conflict())
    }

    /// Changes `changed` and stores `made` in one commit. Names may move between them: each key ends with the name that it has here.
    ///
    /// # Errors
    /// As [`Self::update`] and [`Self::create`]; [`ErrorKind::AlreadyExists`] where another key has one of the names.
    pub fn reshape(
        &self,
        caller: &Caller,
        changed: &[Object],
        made: &mut [Object],
        held: &[(ObjectId, DeviceObject)],
    ) -> Result<Reshaped> {
        self.reshape_with(caller, changed, made, held, &Batch::default())
    }

    /// As [`Self::reshape`], with `with` in the same commit.
    pub(super) fn reshape_with(
        &self,
        caller: &Caller,
        changed: &[Object],
        made: &mut [Object],
        held: &[(ObjectId, DeviceObject)],
        with: &Batch,
    ) -> Result<Reshaped> {
        let (paths, public) = (Paths::of(&caller.namespace), &caller.keyring.public);
        let ids: Vec<ObjectId> = changed.iter().map(|object| object.id).collect();
        for _ in 0..attempts(with) {
            let mut batch = open_batch(&paths, with)?;
            self.give(&caller.namespace, held, &mut batch)?;
            let (mut left, mut taken, mut written) = (Vec::new(), Vec::new(), Vec::with_capacity(changed.len()));
            for object in changed {
                let old = self.current(caller, object)?;
                let mut new = Object { edition: next_edition(&old)?, ..object.clone() };
                if (old.private, old.namespace) != (new.private, new.namespace)
                    || index::ObjectKind::of(&old) != index::ObjectKind::of(&new)
                {
                    return Err(Error::new(ErrorKind::Internal, "an update would change what never changes"));
                }
                batch.conditions.push(Condition::Version(paths.object(old.id)?, Revision(old.revision)));
                let key = key_of(caller, &new)?;
                batch.ops.push(self.write(key, &paths, &mut new)?);
                batch.ops.extend(index::changes(key.0, &paths, Some(&old), Some(&new))?);
                left.extend(guards_of(public, &paths, &old)?.into_iter().map(|guard| (guard, old.id)));
                taken.extend(guards_of(public, &paths, &new)?.into_iter().map(|guard| (guard, new.id)));
                written.push(new);
            }
            for object in made.iter_mut() {
                object.edition = 1;
                batch.conditions.push(Condition::Absent(paths.object(object.id)?));
                let key = key_of(caller, object)?;
                batch.ops.push(self.write(key, &paths, object)?);
                batch.ops.extend(index::changes(key.0, &paths, None, Some(&*object))?);
                taken.extend(guards_of(public, &paths, object)?.into_iter().map(|guard| (guard, object.id)));
            }
            for (guard, _) in left.iter().filter(|(guard, _)| !taken.iter().any(|(kept, _)| kept == guard)) {
                batch.ops.push(Op::Delete(guard.clone()));
            }
            // What stays whose it is, stays as it is.
            taken.retain(|taken| !left.contains(taken));
            for (guard, id) in taken {
                if !left.iter().any(|(given, _)| *given == guard) {
                    if self.store.get(&guard)?.is_some() {
                        return Err(Error::new(ErrorKind::AlreadyExists, name::TAKEN));
                    }
                    batch.conditions.push(Condition::Absent(guard.clone()));
                }
                let content = name::content(public, &guard, id)?;
                batch.ops.push(Op::Put(guard, content));
            }
            if let Some(revision) = self.apply(caller, &paths, (&batch, &ids))? {
                let keep = |object: Object| self.remember(&caller.namespace, object, revision);
                return Ok((written.into_iter().map(keep).collect(), made.iter().cloned().map(keep).collect()));
            }
        }
        Err(conflict())
    }

    /// The lowest number from `from` on, above those that versions of a key called `name` have or had: living ones, and those whose
    /// tombstones keep their names. Behind a gap of `VERSIONS` numbers nobody looks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn next_version(&self, caller: &Caller, name: &str, from: u32) -> Result<u32> {
        let (paths, public) = (Paths::of(&caller.namespace), &caller.keyring.public);
        let (mut free, mut begin) = (from, from);
        loop {
            let block = begin..begin.saturating_add(VERSIONS);
            let guards = block.clone().map(|n| name::guards(public, &paths, KeyClass::Secret, &format!("{name}@{n}")));
            let guards: Vec<_> = guards.collect::<Result<_>>()?;
            let found = self.store.get_many(&guards.concat())?;
            let taken = |guards: &[_]| guards.iter().any(Option::is_some);
            // A name has two places.
            let last = block.clone().zip(found.chunks(2)).rfind(|(_, guards)| taken(guards));
            let Some((last, _)) = last else { return Ok(free) };
            (free, begin) = (last.saturating_add(1), block.end);
        }
    }

    /// Renames a key; both halves of a pair go together.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when the name is taken, [`ErrorKind::NotFound`] when no key has the old one or the
    /// caller cannot see all of them, [`ErrorKind::Conflict`], [`ErrorKind::Arguments`] for an empty name.
    pub fn rename(&self, caller: &Caller, from: &str, to: &str) -> Result<Vec<Arc<Object>>> {
        if to.is_empty() {
            return Err(Error::new(ErrorKind::Arguments, "a key needs a name"));
        }
        let paths = Paths::of(&caller.namespace);
        for _ in 0..ATTEMPTS {
            let (batch, renamed) = self.renaming(caller, &paths, (from, to))?;
            let ids: Vec<ObjectId> = renamed.iter().map(|object| object.id).collect();
            if let Some(revision) = self.apply(caller, &paths, (&batch, &ids))? {
                return Ok(renamed.into_iter().map(|o| self.remember(&caller.namespace, o, revision)).collect());
            }
            if let (Some(first), [id, ..]) = (renamed.first(), ids.as_slice())
                && self.get(caller, *id)?.edition.checked_add(1) != Some(first.edition)
            {
                break;
            }
        }
        Err(conflict())
    }

    /// What renames every key called `from`, and the keys as they will be.
    fn renaming(&self, caller: &Caller, paths: &Paths, (from, to): (&str, &str)) -> Result<(Batch, Vec<Object>)> {
        let public = &caller.keyring.public;
        let mut batch = open_batch(paths, &Batch::default())?;
        let mut renamed: Vec<Object> = Vec::new();
        for old in self.named(caller, paths, from)? {
            let mut new = Object { edition: next_edition(&old)?, ..Object::clone(&old) };
            if let Some(key) = name::key_mut(&mut new) {
                key.name = to.to_owned();
                // What it was called beside its name is its name now: one guard is one thing.
                key.metadata.aliases.retain(|alias| alias != to);
            }
            batch.conditions.push(Condition::Version(paths.object(old.id)?, Revision(old.revision)));
            batch.ops.push(self.write(key_of(caller, &new)?, paths, &mut new)?);
            let had = guards_of(public, paths, &old)?;
            batch.ops.extend(had.iter().cloned().map(Op::Delete));
            for guard in guards_of(public, paths, &new)? {
                let gains = !had.contains(&guard);
                if gains && self.store.get(&guard)?.is_some() {
                    return Err(Error::new(ErrorKind::AlreadyExists, format!("the name `{to}` is taken")));
                }
                if gains {
                    batch.conditions.push(Condition::Absent(guard.clone()));
                }
                let content = name::content(public, &guard, new.id)?;
                batch.ops.push(Op::Put(guard, content));
            }
            renamed.push(new);
        }
        Ok((batch, renamed))
    }

    /// Destroys an object that no device holds, as [`Self::destroy_on`] does.
    ///
    /// # Errors
    /// As [`Self::destroy_on`].
    pub fn destroy(&self, caller: &Caller, object: &Object) -> Result<()> {
        self.destroy_on(caller, object, &[])
    }

    /// Destroys an object: its record, its index entries and its name. What it stands on in devices (`held`) is nobody's
    /// then.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody changed it since it was read, [`ErrorKind::NotFound`] when it is gone.
    pub fn destroy_on(&self, caller: &Caller, object: &Object, held: &[DeviceObject]) -> Result<()> {
        self.destroy_with(caller, object, held, &Batch::default())
    }

    /// As [`Self::destroy_on`], with `with` in the same commit.
    pub(super) fn destroy_with(
        &self,
        caller: &Caller,
        object: &Object,
        held: &[DeviceObject],
        with: &Batch,
    ) -> Result<()> {
        let paths = Paths::of(&caller.namespace);
        for _ in 0..attempts(with) {
            let old = self.current(caller, object)?;
            let record = paths.object(old.id)?;
            let mut batch = open_batch(&paths, with)?;
            batch.conditions.push(Condition::Version(record.clone(), Revision(old.revision)));
            batch.ops.push(Op::Delete(record));
            batch.ops.extend(index::changes(key_of(caller, &old)?.0, &paths, Some(&old), None)?);
            batch.ops.extend(guards_of(&caller.keyring.public, &paths, &old)?.into_iter().map(Op::Delete));
            self.take((&caller.namespace, old.id), held, &mut batch)?;
            if self.apply(caller, &paths, (&batch, &[old.id]))?.is_some() {
                self.objects.remove(&(caller.namespace.id, caller.namespace.incarnation, old.id));
                return Ok(());
            }
        }
        Err(conflict())
    }

    /// The stored object that `object` was made from. Sealed under another version meanwhile, it is still the same.
    pub(super) fn current(&self, caller: &Caller, object: &Object) -> Result<Arc<Object>> {
        let current = self.get(caller, object.id)?;
        if current.edition == object.edition { Ok(current) } else { Err(conflict()) }
    }

    /// Every key called `name`: one secret key, or the halves of a pair.
    fn named(&self, caller: &Caller, paths: &Paths, name: &str) -> Result<Vec<Arc<Object>>> {
        let public = &caller.keyring.public;
        // A secret key takes all the places there are.
        let guards = name::guards(public, paths, KeyClass::Secret, name)?;
        let mut ids: Vec<ObjectId> = Vec::new();
        for (guard, entry) in guards.iter().zip(self.store.get_many(&guards)?) {
            if let Some(entry) = entry {
                ids.push(name::read(public, guard, &entry.value)?);
            }
        }
        ids.dedup();
        if ids.is_empty() {
            return Err(not_found());
        }
        ids.into_iter().map(|id| self.get(caller, id)).collect()
    }

    /// Puts `object` under the newest version of its domain key, with its key material.
    pub(super) fn write(&self, (key, domain): (&DomainKey, Domain), paths: &Paths, object: &mut Object) -> Result<Op> {
        let version = key.newest()?;
        self.settle(key, &version, object)?;
        let path = paths.object(object.id)?;
        let content = (&*object, size_of(object));
        let record = record::seal((&version, domain), &*self.random, &path, object.edition, content)?;
        Ok(Op::Put(path, record))
    }

    /// Seals key material that lies under another version than `to` anew.
    fn settle(&self, key: &DomainKey, to: &DomainVersion, object: &mut Object) -> Result<()> {
        // What the first version sealed names none: until there is a second, there is nothing to do.
        if to.number() <= FIRST_VERSION {
            return Ok(());
        }
        let id = object.id;
        let Body::Key(held) = &mut object.body else { return Ok(()) };
        for version in held.versions.iter_mut().filter(|v| v.is_sealed()) {
            let context = material_context(id, version.number);
            if let Some(anew) = key.reseal_material(&*self.random, &context, &version.locator, to)? {
                version.locator = anew;
            }
        }
        Ok(())
    }

    /// Commits a change of the objects `ids`. `None` where one of them, or what they were sealed under, moved meanwhile:
    /// they are read anew then.
    pub(super) fn apply(
        &self,
        caller: &Caller,
        paths: &Paths,
        (batch, ids): (&Batch, &[ObjectId]),
    ) -> Result<Option<Revision>> {
        match self.store.commit(batch)? {
            Commit::Committed(revision) => Ok(Some(revision)),
            Commit::Conflict => {
                self.require_open(paths)?;
                for id in ids {
                    self.objects.remove(&(caller.namespace.id, caller.namespace.incarnation, *id));
                }
                Ok(None)
            }
        }
    }

    pub(super) fn require_open(&self, paths: &Paths) -> Result<()> {
        match self.store.get(&paths.closed()?)? {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::NotFound, "the namespace was made anew or removed")),
        }
    }
}

/// How often a change is tried. What `with` asks for does not come true by trying again: whoever asked begins anew.
pub(super) const fn attempts(with: &Batch) -> usize {
    if with.conditions.is_empty() { ATTEMPTS } else { 1 }
}

/// `with`, applied only while the namespace's incarnation is not over.
pub(super) fn open_batch(paths: &Paths, with: &Batch) -> Result<Batch> {
    let mut batch = Batch { invalidates: true, ..with.clone() };
    batch.conditions.push(Condition::Absent(paths.closed()?));
    Ok(batch)
}

pub(super) fn key_of<'a>(caller: &'a Caller, object: &Object) -> Result<(&'a DomainKey, Domain)> {
    key_for(&caller.keyring, object.private)
        .ok_or_else(|| Error::new(ErrorKind::NotLoggedIn, "private objects need an authenticated user"))
}

/// `object` as the next edition of `old`.
fn same_again(old: &Object, object: &Object) -> Result<Object> {
    let name = |o: &Object| o.key().map(|k| (k.name.clone(), k.metadata.aliases.clone(), k.class));
    let same = old.namespace == object.namespace && old.private == object.private && name(old) == name(object);
    if !same || index::ObjectKind::of(old) != index::ObjectKind::of(object) {
        return Err(Error::new(ErrorKind::Internal, "an update would change what never changes"));
    }
    Ok(Object { edition: next_edition(old)?, ..object.clone() })
}

pub(super) fn guards_of(public: &DomainKey, paths: &Paths, object: &Object) -> Result<Vec<crate::store::StoreKey>> {
    object.key().map_or_else(|| Ok(Vec::new()), |key| name::all_guards(public, paths, key))
}

pub(super) fn next_edition(old: &Object) -> Result<u64> {
    old.edition.checked_add(1).ok_or_else(|| Error::new(ErrorKind::Internal, "an edition ran out"))
}

pub(super) fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "the object was changed meanwhile: read it again")
}

/// A guess at the length of the encoded record, generous so that the encoder need not move what it wrote.
pub(super) fn size_of(object: &Object) -> usize {
    let body = match &object.body {
        Body::Key(key) => 1024 + key.versions.iter().map(|v| 1024 + v.locator.len() * 2).sum::<usize>(),
        Body::Certificate { value } => value.len(),
        Body::Data { value } => value.len(),
    };
    let attributes: usize = object.attributes.values().map(|v| v.len() + 16).sum();
    512 + object.label.len() + object.identifier.len() + attributes + body
}

/// Stores many objects with few commits, each of its own as [`Catalog::create`] would make it. For tests of size.
#[cfg(test)]
pub(super) fn store_many(catalog: &Catalog, caller: &Caller, objects: &[Object]) -> Result<()> {
    let paths = Paths::of(&caller.namespace);
    for chunk in objects.chunks(8) {
        let mut batch = open_batch(&paths, &Batch::default())?;
        for object in chunk {
            let mut object = Object { edition: 1, ..object.clone() };
            let key = key_of(caller, &object)?;
            batch.ops.push(catalog.write(key, &paths, &mut object)?);
            batch.ops.extend(index::changes(key.0, &paths, None, Some(&object))?);
        }
        let _ = catalog.store.commit(&batch)?;
    }
    Ok(())
}
