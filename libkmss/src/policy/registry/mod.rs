//! The policies of a home, in its store: what is in force in which scope, who may publish, and how far each policy has come.
//!
//! Every record is sealed under the home's domain key to its place. A change is one commit whose conditions are the records
//! it was decided on, so that of two processes one wins and the other hears of it; it moves the store's generation, so that
//! every process sees it from its next operation.

mod anchors;
mod content;
mod entry;
mod path;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;

pub use anchors::LOCAL;
pub use entry::{Entries, Entry, InForce, Place, PolicyRole, Site};

use self::entry::Shared;
use self::path::ENTRIES;
use super::bundle::{Bundle, Seen, TrustAnchor};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::os::{Lock, Rank};
use crate::random::Random;
use crate::sealed;
use crate::store::{self, Batch, Commit, Condition, Op, Revision, Store, StoreKey};
use crate::tenant::NamespaceId;

/// The policies of a home.
pub struct Registry {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    home: Arc<DomainKey>,
    cached: Lock<Option<Cached>>,
}

/// The set in memory.
struct Cached {
    /// Generation of the store at which the edition was last seen.
    generation: u64,
    set: Shared,
}

/// A change that is ready to be committed.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    /// Conditions and changes; others may be added.
    pub batch: Batch,
    /// What was in force before.
    pub before: Option<InForce>,
}

impl Registry {
    /// The policies in `store`. `home` seals their records.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, home: Arc<DomainKey>) -> Self {
        Self { store, random, home, cached: Lock::new(Rank::Cache, None) }
    }

    /// Every policy as it is now. Costs a load while the store's generation stands, and a read of one small record while no
    /// policy changed.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when a record was changed, moved or swapped, or the policies went back to an older state that
    /// this process has seen newer; those of the store. Whoever decides by policies must deny then.
    pub fn current(&self) -> Result<Arc<Entries>> {
        let generation = self.store.generation();
        let known = self.cached.lock().as_ref().map(|c| (c.generation, Arc::clone(&c.set)));
        if let Some((seen, set)) = &known
            && *seen == generation
        {
            return Ok(Arc::clone(set));
        }
        let set = self.read(known.map(|(_, set)| set))?;
        *self.cached.lock() = Some(Cached { generation, set: Arc::clone(&set) });
        Ok(set)
    }

    fn read(&self, known: Option<Shared>) -> Result<Shared> {
        // The edition first: a change in between is read again after the next look at the generation.
        let edition = self.edition()?;
        match known {
            Some(set) if set.edition == edition.0 => return Ok(set),
            Some(set) if set.edition > edition.0 => {
                return Err(Error::new(ErrorKind::Damaged, "the policies went back to an older state"));
            }
            _ => {}
        }
        if edition == Revision::default() {
            return Ok(Arc::new(Entries::new(0, Vec::new())));
        }
        let mut entries = Vec::new();
        for (path, entry) in self.store.scan_all(ENTRIES)? {
            entries.push(self.open_entry(&path, &entry)?);
        }
        Ok(Arc::new(Entries::new(edition.0, entries)))
    }

    /// The policy `name` at `site`, if there ever was one.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub fn find(&self, site: &Site, name: &str) -> Result<Option<Entry>> {
        Ok(self.stored(site, name)?.1.map(|(entry, _)| entry))
    }

    /// Prepares that `bundle` decides at `site`, or runs in the shadow, from the commit on. `None` where it does already.
    ///
    /// Its bytes are in the store when this returns; without the commit they are cleared away later.
    ///
    /// # Errors
    /// [`BundleError`](super::bundle::BundleError) as [`ErrorKind::Denied`] or [`ErrorKind::Arguments`]; those of the store.
    pub fn prepare_apply(
        &self,
        bytes: &[u8],
        site: &Site,
        role: PolicyRole,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<Prepared>> {
        let anchors = self.anchors_for(site)?;
        let trusted: Vec<TrustAnchor> = anchors.iter().map(|known| known.anchor.clone()).collect();
        let name = Bundle::parse(bytes)?.manifest().terms.name.clone();
        let (path, stored) = self.stored(site, &name)?;
        let seen = stored.as_ref().and_then(|(entry, _)| entry.seen);
        let verified = Bundle::open(bytes, &trusted, site.scope(), now, seen.as_ref())?;
        let bundle = &verified.bundle;
        let (mut entry, condition) = match stored {
            Some((entry, revision)) => (entry, Condition::Version(path.clone(), revision)),
            None => (fresh(site, &name), Condition::Absent(path.clone())),
        };
        let mut batch = Batch { conditions: vec![condition], ops: Vec::new(), invalidates: true };
        if entry.place != site.place() {
            // What a former incarnation left.
            for former in [entry.active.take(), entry.shadow.take()].into_iter().flatten() {
                self.discard(&former, &mut batch)?;
            }
            entry.place = site.place();
        }
        let digest = bundle.digest();
        let before = entry.slot(role).take();
        if let Some(before) = &before {
            if before.digest == digest {
                return Ok(None);
            }
            self.discard(before, &mut batch)?;
        }
        let anchor = anchors.iter().find(|known| known.anchor == verified.anchor).ok_or_else(conflict)?;
        let (record, revision) = anchor.record.clone();
        batch.conditions.push(Condition::Version(record, revision));
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let staged = self.stage(bytes, now)?;
        staged.take(&mut batch)?;
        *entry.slot(role) = Some(InForce {
            manifest: bundle.manifest().clone(),
            digest,
            anchor: verified.anchor.name.clone(),
            applied: now,
            applied_by: by.to_owned(),
            size,
            blob: staged.id,
        });
        if role == PolicyRole::Active {
            entry.seen = Some(Seen { sequence: bundle.manifest().terms.sequence, digest });
        }
        batch.ops.push(Op::Put(path.clone(), self.seal(&path, &entry)?));
        Ok(Some(Prepared { batch: self.changing(batch)?, before }))
    }

    /// Prepares that the policy `name` at `site` is no longer in force in `role`. How far it had come stays known.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of the store.
    pub fn prepare_remove(&self, site: &Site, name: &str, role: PolicyRole) -> Result<Prepared> {
        let absent = || {
            let name = name.escape_debug();
            Error::new(ErrorKind::NotFound, format!("there is no policy `{name}` for {}", site.scope()))
        };
        let (path, stored) = self.stored(site, name)?;
        let (mut entry, revision) = stored.ok_or_else(absent)?;
        if entry.place != site.place() {
            return Err(absent());
        }
        let before = entry.slot(role).take().ok_or_else(absent)?;
        let conditions = vec![Condition::Version(path.clone(), revision)];
        let mut batch = Batch { conditions, ops: Vec::new(), invalidates: true };
        self.discard(&before, &mut batch)?;
        batch.ops.push(Op::Put(path.clone(), self.seal(&path, &entry)?));
        Ok(Prepared { batch: self.changing(batch)?, before: Some(before) })
    }

    /// Takes out of the store what was in force in former incarnations of `namespace`: all but `alive`. It decided nothing any
    /// more; how far it had come stays known.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub fn retire(&self, namespace: NamespaceId, alive: Option<u32>) -> Result<()> {
        for (path, record) in self.store.scan_all(ENTRIES)? {
            let mut entry = self.open_entry(&path, &record)?;
            let gone = entry.place.is_some_and(|p| p.namespace == namespace && Some(p.incarnation) != alive);
            if !gone || (entry.active.is_none() && entry.shadow.is_none()) {
                continue;
            }
            let conditions = vec![Condition::Version(path.clone(), record.version)];
            let mut batch = Batch { conditions, ops: Vec::new(), invalidates: true };
            for former in [entry.active.take(), entry.shadow.take()].into_iter().flatten() {
                self.discard(&former, &mut batch)?;
            }
            batch.ops.push(Op::Put(path.clone(), self.seal(&path, &entry)?));
            // Whoever was faster applied something to the namespace as it is now.
            let _ = self.store.commit(&self.changing(batch)?)?;
        }
        Ok(())
    }

    /// Commits a prepared change that carries nothing of others.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody else was faster.
    pub fn commit(&self, batch: &Batch) -> Result<()> {
        match self.store.commit(batch)? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict => Err(conflict()),
        }
    }

    fn stored(&self, site: &Site, name: &str) -> Result<(StoreKey, Option<(Entry, Revision)>)> {
        let path = path::entry(&self.home, site.scope(), site.namespace(), name)?;
        let Some(record) = self.store.get(&path)? else { return Ok((path, None)) };
        let entry = self.open_entry(&path, &record)?;
        Ok((path, Some((entry, record.version))))
    }

    fn open_entry(&self, path: &StoreKey, record: &store::Entry) -> Result<Entry> {
        let entry: Entry = sealed::open_value(&self.home, path, &record.value)?;
        let namespace = entry.place.map(|place| place.namespace);
        if path::entry(&self.home, &entry.scope, namespace, &entry.name)? != *path {
            return Err(sealed::damaged(path));
        }
        Ok(entry)
    }

    /// The number that differs between different sets.
    fn edition(&self) -> Result<Revision> {
        Ok(self.store.get(&path::edition()?)?.map(|entry| entry.version).unwrap_or_default())
    }

    /// The batch with what tells other processes that policies changed.
    fn changing(&self, mut batch: Batch) -> Result<Batch> {
        batch.ops.push(Op::Put(path::edition()?, Vec::new()));
        batch.invalidates = true;
        Ok(batch)
    }

    /// That no policy and no anchor changed since `edition`.
    fn is_still(&self, edition: Revision) -> Result<Condition> {
        let path = path::edition()?;
        Ok(if edition == Revision::default() { Condition::Absent(path) } else { Condition::Version(path, edition) })
    }

    fn seal<T: Serialize>(&self, path: &StoreKey, value: &T) -> Result<Vec<u8>> {
        sealed::seal_value(&self.home, &*self.random, path, value)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry(..)")
    }
}

fn fresh(site: &Site, name: &str) -> Entry {
    let (name, scope) = (name.to_owned(), site.scope().clone());
    Entry { name, scope, place: site.place(), seen: None, active: None, shadow: None }
}

fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "somebody else changed the policies at the same time: look again and repeat")
}
