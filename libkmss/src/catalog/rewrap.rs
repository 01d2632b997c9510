//! Sealing records anew under the newest version of their domain key.
//!
//! A record that is sealed anew stays the same: its edition does not grow, its place does not change, and whoever has it
//! in memory may go on with that. Each write asks that the record is still what was read, so nobody's change is lost. What
//! is done already shows in the records themselves; so a walk that was killed is simply walked again.

use std::collections::BTreeMap;

use super::path::{NAMESPACES, Paths, object_of};
use super::record::{Domain, Header};
use super::{Catalog, key_for, open_object, write};
use crate::caller::Caller;
use crate::domain::{Rewrapped, named};
use crate::error::{ErrorKind, Result};
use crate::store::{Batch, Commit, Condition, Entry, Op, StoreKey};
use crate::tenant::Namespace;

/// Records read at once.
const PAGE: usize = 256;
/// Records written at once: there is a condition for each, and one more.
const MOST: usize = Batch::MAX_OPS - 1;
/// Bytes written at once; a record that is larger goes alone.
const MOST_BYTES: usize = Batch::MAX_BYTES / 2;

/// A record to be written.
struct Anew {
    condition: Condition,
    op: Op,
    bytes: usize,
}

impl Catalog {
    /// Seals the caller's objects anew that do not lie under the newest version of their domain key; those that the caller
    /// holds no key for are passed by. `progress` is told how many records have been looked at, and how many written.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::NotFound`] when the namespace was made anew.
    pub fn rewrap(&self, caller: &Caller, progress: &mut dyn FnMut(&Rewrapped)) -> Result<Rewrapped> {
        let paths = Paths::of(&caller.namespace);
        let mut done = Rewrapped::default();
        let mut after: Option<StoreKey> = None;
        loop {
            let page = self.store.scan(&paths.objects(), after.as_ref(), PAGE)?;
            let mut pending: Vec<Anew> = Vec::new();
            for (path, entry) in &page {
                done.seen += 1;
                match self.anew(caller, &paths, path, entry) {
                    Ok(None) => {}
                    Ok(Some(anew)) => {
                        let bytes: usize = pending.iter().map(|p| p.bytes).sum();
                        if pending.len() >= MOST || bytes + anew.bytes > MOST_BYTES {
                            self.flush(&paths, &mut pending, &mut done)?;
                        }
                        pending.push(anew);
                    }
                    Err(error) if error.kind() == ErrorKind::Damaged => {
                        done.damaged.push(object_of(path)?.to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
            self.flush(&paths, &mut pending, &mut done)?;
            progress(&done);
            if page.len() < PAGE {
                return Ok(done);
            }
            after = page.into_iter().last().map(|(path, _)| path);
        }
    }

    /// How many objects of `namespace` name each version of their domain key.
    ///
    /// # Errors
    /// Those of the store.
    pub fn named_versions(&self, namespace: &Namespace) -> Result<BTreeMap<u32, u64>> {
        self.count_versions(&Paths::of(namespace).objects())
    }

    /// How many records at `prefix` name each version of their domain key.
    ///
    /// # Errors
    /// Those of the store.
    pub fn count_versions(&self, prefix: &str) -> Result<BTreeMap<u32, u64>> {
        let (mut counts, mut after) = (BTreeMap::new(), None);
        loop {
            let page = self.store.scan(prefix, after.as_ref(), PAGE)?;
            for named in page.iter().filter_map(|(path, entry)| named(path, &entry.value)) {
                *counts.entry(named.version).or_default() += 1;
            }
            if page.len() < PAGE {
                return Ok(counts);
            }
            after = page.into_iter().last().map(|(path, _)| path);
        }
    }

    /// The markers that fence off version `number` for the objects of `namespace`.
    ///
    /// # Errors
    /// None in practice.
    pub fn markers(namespace: &Namespace, number: u32) -> Result<[StoreKey; 2]> {
        let paths = Paths::of(namespace);
        Ok([paths.retired("public", number)?, paths.retired("private", number)?])
    }

    /// Seals the records of namespaces anew that do not lie under the newest version of the home's domain key.
    ///
    /// # Errors
    /// Those of the store.
    pub fn rewrap_namespaces(&self) -> Result<Rewrapped> {
        let mut done = Rewrapped::default();
        for (path, entry) in self.store.scan_all(NAMESPACES)? {
            done.seen += 1;
            let (header, namespace) = match self.open_namespace(&path, &entry) {
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    done.damaged.push(path.as_str().to_owned());
                    continue;
                }
                other => other?,
            };
            if header.key_version == self.home.newest()?.number() {
                continue;
            }
            let record = self.seal_namespace(&path, header.edition, &namespace)?;
            let batch = Batch {
                conditions: vec![Condition::Version(path.clone(), entry.version)],
                ops: vec![Op::Put(path, record)],
                invalidates: false,
            };
            done.count(&self.store.commit(&batch)?);
        }
        Ok(done)
    }

    /// The record of one object under the newest version; `None` where it is already, or nobody here can open it.
    fn anew(&self, caller: &Caller, paths: &Paths, path: &StoreKey, entry: &Entry) -> Result<Option<Anew>> {
        let (header, _) = Header::parse(&entry.value)?;
        let Some((key, domain)) = key_for(&caller.keyring, header.domain == Domain::Private) else { return Ok(None) };
        if header.key_version == key.newest()?.number() {
            return Ok(None);
        }
        let mut object = open_object(caller, object_of(path)?, path, entry)?;
        let op = self.write((key, domain), paths, &mut object)?;
        let bytes = write::size_of(&object);
        Ok(Some(Anew { condition: Condition::Version(path.clone(), entry.version), op, bytes }))
    }

    fn flush(&self, paths: &Paths, pending: &mut Vec<Anew>, done: &mut Rewrapped) -> Result<()> {
        if pending.is_empty() {
            return Ok(());
        }
        let all = std::mem::take(pending);
        let count = all.len() as u64;
        match self.put(paths, all.iter())? {
            Commit::Committed(_) => done.anew += count,
            // One of them was changed: the others need not wait for it.
            Commit::Conflict if count > 1 => {
                for one in &all {
                    match self.put(paths, std::iter::once(one))? {
                        Commit::Committed(_) => done.anew += 1,
                        Commit::Conflict => done.met += 1,
                    }
                }
            }
            Commit::Conflict => done.met += 1,
        }
        Ok(())
    }

    fn put<'a>(&self, paths: &Paths, all: impl Iterator<Item = &'a Anew>) -> Result<Commit> {
        // Nothing that anybody keeps in memory is stale afterwards.
        let mut batch = Batch { invalidates: false, ..write::open_batch(paths)? };
        for one in all {
            batch.conditions.push(one.condition.clone());
            batch.ops.push(one.op.clone());
        }
        let done = self.store.commit(&batch)?;
        if done == Commit::Conflict {
            self.require_open(paths)?;
        }
        Ok(done)
    }
}
