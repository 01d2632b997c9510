//! Records of namespaces, and the end of an incarnation.

use super::path::{self, CLOSED, NAMESPACES, ORDINALS, Paths};
use super::record::{self, Domain};
use super::{Catalog, Header, Kept};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::Settings;
use crate::store::{Batch, Commit, Condition, Entry, Op, StoreKey};
use crate::tenant::{BackendId, Namespace, NamespaceId};

/// Keys read or removed at once while sweeping.
const PAGE: usize = Batch::MAX_OPS;

impl Catalog {
    /// All namespaces, in the order in which they were made.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when a record was changed, moved or swapped.
    pub fn namespaces(&self) -> Result<Vec<Namespace>> {
        let generation = self.store.generation();
        if let Some((seen, namespaces)) = &*self.namespaces.lock()
            && *seen == generation
        {
            return Ok(namespaces.clone());
        }
        let mut namespaces = Vec::new();
        for (path, entry) in self.store.scan_all(NAMESPACES)? {
            namespaces.push(self.open_namespace(&path, &entry)?.1);
        }
        namespaces.sort_by_key(|n| n.ordinal);
        *self.namespaces.lock() = Some((generation, namespaces.clone()));
        Ok(namespaces)
    }

    /// The settings of the caller's namespace as they are now, without a look where the store stood still since the last.
    ///
    /// # Errors
    /// As [`Catalog::namespaces`].
    pub fn settings_for(&self, caller: &Caller) -> Result<Settings> {
        let generation = self.store.generation();
        if caller.is_settled(generation) {
            return Ok(caller.namespace.settings);
        }
        let settings = self.settings(&caller.namespace)?;
        if settings == caller.namespace.settings {
            caller.settle(generation);
        }
        Ok(settings)
    }

    /// The settings of a namespace as they are now: another process may have changed them since it was read. A namespace
    /// that is gone keeps its last ones.
    ///
    /// # Errors
    /// As [`Catalog::namespaces`].
    pub fn settings(&self, namespace: &Namespace) -> Result<Settings> {
        let generation = self.store.generation();
        let known = self.settings.get(&namespace.id);
        if let Some(kept) = known
            && kept.generation == generation
        {
            return Ok(kept.settings);
        }
        let path = path::namespace(namespace.id)?;
        let Some(entry) = self.store.get(&path)? else { return Ok(namespace.settings) };
        let settings = match known {
            Some(kept) if kept.version == entry.version => kept.settings,
            _ => self.open_namespace(&path, &entry)?.1.settings,
        };
        self.settings.put(namespace.id, Kept { settings, version: entry.version, generation });
        Ok(settings)
    }

    /// The backend that makes the stored keys of a namespace now: another process may have changed it since it was read. A
    /// namespace that is gone keeps its last one.
    ///
    /// # Errors
    /// As [`Catalog::namespaces`].
    pub fn backend_of(&self, namespace: &Namespace) -> Result<BackendId> {
        let found = self.namespaces()?.into_iter().find(|now| now.id == namespace.id);
        Ok(found.map_or_else(|| namespace.backend.clone(), |now| now.backend))
    }

    /// A position that no namespace has or had.
    ///
    /// # Errors
    /// Those of the store.
    pub fn next_ordinal(&self) -> Result<u32> {
        let last = self.store.scan_all(ORDINALS)?.pop();
        let last = last.and_then(|(path, _)| u32::from_str_radix(path.as_str().strip_prefix(ORDINALS)?, 16).ok());
        last.map_or(Ok(0), |n| {
            n.checked_add(1).ok_or_else(|| Error::new(ErrorKind::Damaged, "the positions of namespaces ran out"))
        })
    }

    /// Stores a namespace: a new one where `expected` is `None`, else in place of `expected`; `with` is applied in the same
    /// commit. Its position never changes, its incarnation only through [`Catalog::renew`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the stored record is not `expected`, or id or position of a new one are taken.
    pub fn put_namespace(&self, expected: Option<&Namespace>, namespace: &Namespace, with: Batch) -> Result<()> {
        let path = path::namespace(namespace.id)?;
        let mut batch = Batch { invalidates: true, ..with };
        match expected {
            None => {
                let ordinal = path::ordinal(namespace.ordinal)?;
                let record = self.seal_namespace(&path, 1, namespace)?;
                batch.conditions.extend([Condition::Absent(path.clone()), Condition::Absent(ordinal.clone())]);
                batch.ops.extend([Op::Put(path, record), Op::Put(ordinal, Vec::new())]);
            }
            Some(old) => {
                let kept = |n: &Namespace| (n.id, n.ordinal, n.incarnation);
                if kept(old) != kept(namespace) {
                    return Err(Error::new(ErrorKind::Internal, "an update would change what never changes"));
                }
                let (condition, edition) = self.expect(&path, old)?;
                let record = self.seal_namespace(&path, edition, namespace)?;
                batch.conditions.push(condition);
                batch.ops.push(Op::Put(path, record));
            }
        }
        self.apply_namespace(&batch)
    }

    /// Makes `namespace` anew as `next`, its next incarnation, and applies `with` in the same commit: at once all objects
    /// are gone for every process, then their records are removed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the stored record is not `namespace`. Trouble while removing records is logged only:
    /// nothing can reach them any more, and the next call removes them.
    pub fn renew(&self, namespace: &Namespace, next: &Namespace, with: Batch) -> Result<()> {
        let kept = |n: &Namespace| (n.id, n.ordinal);
        if kept(namespace) != kept(next) || namespace.incarnation.checked_add(1) != Some(next.incarnation) {
            return Err(Error::new(ErrorKind::Internal, "a namespace would be made anew as another one"));
        }
        let path = path::namespace(namespace.id)?;
        let (condition, edition) = self.expect(&path, namespace)?;
        let record = self.seal_namespace(&path, edition, next)?;
        self.close(condition, Op::Put(path, record), namespace, with)?;
        self.sweep_logged(next);
        Ok(())
    }

    /// Removes a namespace with everything in it, and applies `with` in the same commit. Its position stays taken.
    ///
    /// # Errors
    /// As [`Catalog::renew`].
    pub fn remove_namespace(&self, namespace: &Namespace, with: Batch) -> Result<()> {
        let path = path::namespace(namespace.id)?;
        let (condition, _) = self.expect(&path, namespace)?;
        self.close(condition, Op::Delete(path), namespace, with)?;
        // Nothing of the current incarnation is kept either.
        self.sweep_logged(&Namespace { incarnation: 0, ..namespace.clone() });
        Ok(())
    }

    fn close(&self, condition: Condition, op: Op, namespace: &Namespace, with: Batch) -> Result<()> {
        let closed = Paths::of(namespace).closed()?;
        let mut batch = Batch { invalidates: true, ..with };
        batch.conditions.push(condition);
        batch.ops.extend([op, Op::Put(closed, Vec::new())]);
        self.apply_namespace(&batch)?;
        let of = namespace.id;
        self.objects.retain(|(namespace, _, _), _| *namespace != of);
        self.searches.retain(|search, _| search.namespace != of);
        Ok(())
    }

    fn sweep_logged(&self, namespace: &Namespace) {
        if let Err(error) = self.sweep(namespace) {
            tracing::warn!(namespace = %namespace.id, %error, "records of a former incarnation were left behind");
        }
    }

    /// Removes the records of all incarnations but the current one. The markers that they are over stay.
    fn sweep(&self, namespace: &Namespace) -> Result<()> {
        let everything = path::everything_of(namespace.id);
        let current = format!("{everything}{}/", namespace.incarnation);
        let mut after: Option<StoreKey> = None;
        loop {
            let page = self.store.scan(&everything, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let ops: Vec<Op> = page
                .into_iter()
                .filter(|(key, _)| !key.as_str().starts_with(&current) && !key.as_str().ends_with(CLOSED))
                .map(|(key, _)| Op::Delete(key))
                .collect();
            if !ops.is_empty() {
                let _ = self.store.commit(&Batch { ops, ..Batch::default() })?;
            } else if after.as_ref().is_some_and(|key| key.as_str().starts_with(&current)) {
                // Past everything that is in use; DEL's place in the order is behind all its keys.
                after = Some(StoreKey::new(format!("{current}~~"))?);
            }
        }
    }

    fn apply_namespace(&self, batch: &Batch) -> Result<()> {
        match self.store.commit(batch)? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict => Err(conflict()),
        }
    }

    /// The condition that `namespace` is what is stored, and the edition that follows.
    fn expect(&self, path: &StoreKey, namespace: &Namespace) -> Result<(Condition, u64)> {
        let entry = self.store.get(path)?.ok_or_else(conflict)?;
        let (header, stored) = self.open_namespace(path, &entry)?;
        if stored != *namespace {
            return Err(conflict());
        }
        Ok((Condition::Version(path.clone(), entry.version), header.edition.saturating_add(1)))
    }

    pub(super) fn open_namespace(&self, path: &StoreKey, entry: &Entry) -> Result<(Header, Namespace)> {
        let id = path.as_str().strip_prefix(NAMESPACES).unwrap_or_default();
        let damaged = || Error::new(ErrorKind::Damaged, format!("the record of namespace `{id}` cannot be trusted"));
        let (header, namespace) =
            record::open::<Namespace>(&self.home, path, &entry.value).map_err(|e| match e.kind() {
                ErrorKind::Damaged => damaged().with_source(e),
                _ => e,
            })?;
        if id.parse::<NamespaceId>().ok() != Some(namespace.id) || header.domain != Domain::Home {
            return Err(damaged());
        }
        Ok((header, namespace))
    }

    pub(super) fn seal_namespace(&self, path: &StoreKey, edition: u64, namespace: &Namespace) -> Result<Vec<u8>> {
        let size = 512 + namespace.name.len() + namespace.tenant.len();
        record::seal((&*self.home.newest()?, Domain::Home), &*self.random, path, edition, (namespace, size))
    }
}

fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "the namespace was changed meanwhile: read it again")
}
