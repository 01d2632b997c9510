//! Copies of the records of a keeper: another KMSS that has the keys.
//!
//! How far it was followed is a record of its own (a bookmark), one for what everybody may see and one for what is private.
//! Every copy is written under the condition that the bookmark is where its writer found it, and moves it: of two processes
//! that follow at once one begins again, and nothing goes back to what an older answer said.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::path::Paths;
use super::record::{self, Domain};
use super::{Catalog, key_for};
use crate::caller::Caller;
use crate::domain::Rewrapped;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Body, DomainKey, DomainVersion, Key, KeyVersion, Lifecycle, Metadata, Object, Storage};
use crate::store::{Batch, Commit, Condition, Op, Revision, StoreKey};
use crate::tenant::{BackendId, ObjectId};

/// How far a keeper was followed, and since which revision of the store that is said.
#[derive(Clone, Debug)]
pub struct Bookmark {
    keeper: BackendId,
    private: bool,
    /// What the keeper said last, in its own words; empty where nothing was taken over yet.
    pub cursor: Vec<u8>,
    version: Option<Revision>,
    edition: u64,
}

#[derive(Serialize, Deserialize)]
struct Written {
    keeper: BackendId,
    #[serde(with = "serde_bytes")]
    cursor: Vec<u8>,
}

/// What became of a record that was taken over.
#[derive(Clone, Debug)]
pub enum Taken {
    /// It was known as it is.
    Known,
    /// It is new.
    Made(Arc<Object>),
    /// It was otherwise.
    Changed(Arc<Object>),
}

impl Catalog {
    /// How far `keeper` was followed in the caller's namespace.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for private records of a caller without their key; [`ErrorKind::Damaged`].
    pub fn bookmark(&self, caller: &Caller, keeper: &BackendId, private: bool) -> Result<Bookmark> {
        let path = Paths::of(&caller.namespace).mirror(place(private))?;
        let unread = Bookmark { keeper: keeper.clone(), private, cursor: Vec::new(), version: None, edition: 0 };
        let Some(entry) = self.store.get(&path)? else { return Ok(unread) };
        let (key, _) = domain_key(caller, private)?;
        let (header, written) = record::open::<Written>(key, &path, &entry.value)?;
        // Of another keeper nothing is known here.
        let cursor = if written.keeper == *keeper { written.cursor } else { Vec::new() };
        Ok(Bookmark { cursor, version: Some(entry.version), edition: header.edition, ..unread })
    }

    /// Whether records of the caller's namespace were ever taken over from a keeper.
    ///
    /// # Errors
    /// Those of the store.
    pub fn is_mirrored(&self, caller: &Caller) -> Result<bool> {
        let paths = Paths::of(&caller.namespace);
        let bookmarks = [paths.mirror(place(false))?, paths.mirror(place(true))?];
        Ok(self.store.get_many(&bookmarks)?.iter().any(Option::is_some))
    }

    /// Takes over `object` as its keeper has it; `None` where it was known. Name, tags and the mode of the audit are ours once
    /// it is here, but that a name which is free follows the keeper's.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the bookmark was moved by somebody else: begin again from there.
    pub fn take_over(&self, caller: &Caller, bookmark: &mut Bookmark, object: Object) -> Result<Taken> {
        let current = match self.get(caller, object.id) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            found => Some(found?),
        };
        let Some(current) = current else {
            let object = without_aliases(object);
            let with = self.moved(caller, bookmark)?;
            let mut made = self.create_with(caller, &mut [object], &with)?;
            self.advance(caller, bookmark)?;
            return made.pop().map(Taken::Made).ok_or_else(|| Error::new(ErrorKind::Internal, "nothing was made"));
        };
        let wanted = object.key().map(|key| key.name.clone()).unwrap_or_default();
        // Which version has a name is the keeper's to say; what is called otherwise for once is called so again.
        let versioned = object.key().is_some_and(|key| key.lifecycle.role.is_some() || key.lifecycle.version != 0);
        let next = followed(&current, object)?;
        let name = current.key().map(|key| key.name.as_str()).unwrap_or_default();
        if !wanted.is_empty() && wanted != name && (versioned || !is_numbered(name, &wanted)) {
            // A half by itself, for the other one may not be seen: with what it is to its name, in one commit.
            let mut named = next.clone();
            if let Some(key) = super::name::key_mut(&mut named) {
                key.metadata.aliases.retain(|alias| *alias != wanted);
                key.name = wanted;
            }
            let with = self.moved(caller, bookmark)?;
            match self.reshape_with(caller, &[named], &mut [], &[], &with) {
                Ok((mut changed, _)) => {
                    self.advance(caller, bookmark)?;
                    return Ok(changed.pop().map_or(Taken::Known, Taken::Changed));
                }
                // It is taken here.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        if encoded(&next)? == encoded(&current)? {
            return Ok(Taken::Known);
        }
        let with = self.moved(caller, bookmark)?;
        let changed = self.update_with(caller, &next, &with)?;
        self.advance(caller, bookmark)?;
        Ok(Taken::Changed(changed))
    }

    /// Forgets the copy of `id`, which its keeper has no more; returns it where there was one that the caller may see.
    ///
    /// # Errors
    /// As [`Self::take_over`].
    pub fn forget(&self, caller: &Caller, bookmark: &mut Bookmark, id: ObjectId) -> Result<Option<Arc<Object>>> {
        let object = match self.get(caller, id) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let theirs = object.key().is_none_or(|key| key.primary().is_ok_and(|v| v.backend == bookmark.keeper));
        if !theirs || object.private != bookmark.private {
            return Ok(None);
        }
        let with = self.moved(caller, bookmark)?;
        self.destroy_with(caller, &object, &[], &with)?;
        self.advance(caller, bookmark)?;
        Ok(Some(object))
    }

    /// Puts the bookmark where the keeper was followed to.
    ///
    /// # Errors
    /// As [`Self::take_over`].
    pub fn put_bookmark(&self, caller: &Caller, bookmark: &mut Bookmark, cursor: Vec<u8>) -> Result<()> {
        bookmark.cursor = cursor;
        let mut batch = self.moved(caller, bookmark)?;
        batch.conditions.push(Condition::Absent(Paths::of(&caller.namespace).closed()?));
        match self.store.commit(&batch)? {
            Commit::Committed(_) => self.advance(caller, bookmark),
            Commit::Conflict => Err(Error::new(ErrorKind::Conflict, "another process follows the same records")),
        }
    }

    /// What moves the bookmark, where nobody else moved it.
    fn moved(&self, caller: &Caller, bookmark: &Bookmark) -> Result<Batch> {
        let path = Paths::of(&caller.namespace).mirror(place(bookmark.private))?;
        let condition = match bookmark.version {
            Some(version) => Condition::Version(path.clone(), version),
            None => Condition::Absent(path.clone()),
        };
        let written = Written { keeper: bookmark.keeper.clone(), cursor: bookmark.cursor.clone() };
        let edition = bookmark.edition.saturating_add(1);
        let (key, domain) = domain_key(caller, bookmark.private)?;
        let record = self.seal_bookmark((&*key.newest()?, domain), &path, edition, &written)?;
        Ok(Batch { conditions: vec![condition], ops: vec![Op::Put(path, record)], invalidates: false })
    }

    /// Seals a bookmark anew that does not lie under the newest version of its domain key; it stays where it is. One that the
    /// caller holds no key for is passed by.
    pub(super) fn rewrap_bookmark(&self, caller: &Caller, private: bool, done: &mut Rewrapped) -> Result<()> {
        let Some((key, domain)) = key_for(&caller.keyring, private) else { return Ok(()) };
        let path = Paths::of(&caller.namespace).mirror(place(private))?;
        let Some(entry) = self.store.get(&path)? else { return Ok(()) };
        done.seen += 1;
        let (header, written) = match record::open::<Written>(key, &path, &entry.value) {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                done.damaged.push(path.as_str().to_owned());
                return Ok(());
            }
            opened => opened?,
        };
        let newest = key.newest()?;
        if header.key_version == newest.number() {
            return Ok(());
        }
        let record = self.seal_bookmark((&*newest, domain), &path, header.edition, &written)?;
        let conditions = vec![Condition::Version(path.clone(), entry.version)];
        done.count(&self.store.commit(&Batch { conditions, ops: vec![Op::Put(path, record)], invalidates: false })?);
        Ok(())
    }

    fn seal_bookmark(
        &self,
        key: (&DomainVersion, Domain),
        path: &StoreKey,
        edition: u64,
        written: &Written,
    ) -> Result<Vec<u8>> {
        record::seal(key, &*self.random, path, edition, (written, 128 + written.cursor.len()))
    }

    /// Takes note of where the bookmark is after it was moved.
    fn advance(&self, caller: &Caller, bookmark: &mut Bookmark) -> Result<()> {
        let moved = self.bookmark(caller, &bookmark.keeper, bookmark.private)?;
        if moved.edition != bookmark.edition.saturating_add(1) {
            return Err(Error::new(ErrorKind::Conflict, "another process follows the same records"));
        }
        *bookmark = moved;
        Ok(())
    }
}

const fn place(private: bool) -> &'static str {
    if private { "private" } else { "public" }
}

fn domain_key(caller: &Caller, private: bool) -> Result<(&DomainKey, Domain)> {
    key_for(&caller.keyring, private)
        .ok_or_else(|| Error::new(ErrorKind::NotLoggedIn, "private objects need an authenticated user"))
}

/// `current` as its keeper has it now.
fn followed(current: &Object, object: Object) -> Result<Object> {
    let same = object.private == current.private
        && object.key().map(|k| (k.class, k.key_type)) == current.key().map(|k| (k.class, k.key_type));
    if !same {
        return Err(Error::new(ErrorKind::Damaged, format!("object `{}` is another one on its server", current.id)));
    }
    let body = match (object.body, &current.body) {
        (Body::Key(new), Body::Key(old)) => Body::Key(Box::new(Key {
            name: old.name.clone(),
            origin: old.origin.clone(),
            copy_of: old.copy_of.clone(),
            tags: old.tags.clone(),
            // Aliases are names, which are ours; so are the tags.
            metadata: Metadata {
                aliases: old.metadata.aliases.clone(),
                tags_found: old.metadata.tags_found,
                ..new.metadata.clone()
            },
            audit: old.audit,
            lifecycle: Lifecycle {
                // Older servers do not say it.
                material_of: new.lifecycle.material_of.or(old.lifecycle.material_of),
                ..new.lifecycle.clone()
            },
            ..Key { versions: new.versions.into_iter().map(|version| dated(version, old)).collect(), ..*new }
        })),
        (body, _) => body,
    };
    Ok(Object {
        body,
        created: current.created,
        edition: current.edition,
        storage: Storage::Stored,
        revision: current.revision,
        uses: current.uses.clone(),
        ..object
    })
}

fn without_aliases(mut object: Object) -> Object {
    if let Body::Key(key) = &mut object.body {
        key.metadata.aliases.clear();
    }
    object
}

/// A version that is known, with the time at which it came to be known.
fn dated(version: KeyVersion, old: &Key) -> KeyVersion {
    let known = old.versions.iter().find(|known| known.number == version.number);
    KeyVersion { created: known.map_or(version.created, |known| known.created), ..version }
}

fn encoded(object: &Object) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    let mut out = zeroize::Zeroizing::new(Vec::with_capacity(super::write::size_of(object)));
    ciborium::into_writer(object, &mut *out)
        .map_err(|e| Error::new(ErrorKind::Internal, "a record cannot be encoded").with_source(e.to_string()))?;
    Ok(out)
}

/// Whether `name` is `wanted` with a number behind it: what it got where that was taken.
fn is_numbered(name: &str, wanted: &str) -> bool {
    let number = name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
