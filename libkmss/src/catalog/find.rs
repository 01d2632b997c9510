//! Finding objects by label, identifier and kind, through the index.

use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::Arc;

use super::index::{self, Facet, ObjectKind};
use super::path::{Paths, Term, object_of};
use super::record::{Domain, Header};
use super::{Catalog, damaged};
use crate::caller::Caller;
use crate::error::{ErrorKind, Result};
use crate::key::DomainKey;
use crate::store::StoreKey;
use crate::tenant::{NamespaceId, ObjectId};

/// Longest result that is kept in memory.
const CACHED_RESULT: usize = 1024;
/// Longest label and identifier of a search that is kept in memory, together, in bytes.
const CACHED_TERMS: usize = 512;
/// Entries read at once.
const PAGE: usize = 256;
/// Beyond this many objects of one identifier it is worth looking whether the label has fewer.
const MANY: usize = 64;

/// What an object must have; all that is given must match. Labels and identifiers match as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Query {
    /// Its label.
    pub label: Option<Vec<u8>>,
    /// Its identifier.
    pub identifier: Option<Vec<u8>>,
    /// Its kind.
    pub kind: Option<ObjectKind>,
    /// For keys: what else it must have, all of it.
    pub facets: Vec<(Facet, Vec<u8>)>,
}

/// An object that a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// Which.
    pub id: ObjectId,
    /// Whether it is private.
    pub private: bool,
}

#[cfg(test)]
impl PartialEq<ObjectId> for Match {
    fn eq(&self, id: &ObjectId) -> bool {
        self.id == *id
    }
}

/// A search as the cache knows it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Search {
    /// Of all that follows; labels and identifiers are chosen by others, so a secret goes into it.
    hash: u64,
    pub(super) namespace: NamespaceId,
    incarnation: u32,
    /// Whether private objects were looked for, too.
    pub(super) private: bool,
    query: Query,
    after: Option<ObjectId>,
    limit: usize,
}

impl Hash for Search {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A result and the generation of the store it was found in.
#[derive(Clone)]
pub(super) struct Found {
    generation: u64,
    objects: Arc<[Match]>,
}

impl Catalog {
    /// Up to `limit` objects that match `query`, by id, after (not including) `after`. Private ones are among them when
    /// the caller holds their key.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when an index entry was tampered with.
    pub fn find(&self, caller: &Caller, query: &Query, after: Option<ObjectId>, limit: usize) -> Result<Vec<Match>> {
        let generation = self.store.generation();
        let (namespace, incarnation) = (caller.namespace.id, caller.namespace.incarnation);
        let private = caller.keyring.private.is_some();
        let hash = self.secret.hash_one((namespace, incarnation, private, query, after, limit));
        let search = Search { hash, namespace, incarnation, private, query: query.clone(), after, limit };
        if let Some(found) = self.searches.get(&search)
            && found.generation == generation
        {
            return Ok(found.objects.to_vec());
        }
        let objects = self.search(caller, query, after, limit)?;
        let length = |term: &Option<Vec<u8>>| term.as_ref().map_or(0, Vec::len);
        let facets: usize = query.facets.iter().map(|(_, value)| value.len()).sum();
        if objects.len() <= CACHED_RESULT && length(&query.label) + length(&query.identifier) + facets <= CACHED_TERMS {
            self.searches.put(search, Found { generation, objects: objects.as_slice().into() });
        }
        Ok(objects)
    }

    /// How many objects of the namespace the caller may see.
    ///
    /// # Errors
    /// Those of the store.
    pub fn count(&self, caller: &Caller) -> Result<usize> {
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.walk(&Paths::of(&caller.namespace), caller.keyring.private.is_some(), after, PAGE)?;
            count += page.len();
            after = page.last().map(|found| found.id);
            if page.len() < PAGE {
                return Ok(count);
            }
        }
    }

    fn search(&self, caller: &Caller, query: &Query, after: Option<ObjectId>, limit: usize) -> Result<Vec<Match>> {
        let paths = Paths::of(&caller.namespace);
        let private = caller.keyring.private.as_deref();
        if *query == Query::default() {
            return self.walk(&paths, private.is_some(), after, limit);
        }
        let by_value = query.label.is_some() || query.identifier.is_some();
        let mut found = Vec::new();
        for (key, private) in [(Some(&*caller.keyring.public), false), (private, true)] {
            let Some(key) = key else { continue };
            // Secret keys are private as a rule, and certificates are not: one of the two has nothing then.
            if let (true, Some(kind)) = (by_value, query.kind)
                && !self.has_any(caller, (key, private), &paths, kind)?
            {
                continue;
            }
            found.extend(self.search_under((key, private), &paths, query, after, limit)?);
        }
        found.sort_unstable();
        found.dedup_by_key(|found| found.id);
        found.truncate(limit);
        Ok(found)
    }

    /// Whether there is anything of this kind under one domain key; asked of the store once for each of its generations.
    fn has_any(
        &self,
        caller: &Caller,
        (key, private): (&DomainKey, bool),
        paths: &Paths,
        kind: ObjectKind,
    ) -> Result<bool> {
        let generation = self.store.generation();
        let of = (caller.namespace.id, caller.namespace.incarnation, private, kind);
        if let Some((at, any)) = self.kinds.get(&of)
            && at == generation
        {
            return Ok(any);
        }
        let any = !self.store.scan(&paths.entries(index::kind(key, kind)?), None, 1)?.is_empty();
        self.kinds.put(of, (generation, any));
        Ok(any)
    }

    /// All objects, whatever they are: the records themselves in order, none of them opened.
    fn walk(&self, paths: &Paths, private: bool, after: Option<ObjectId>, limit: usize) -> Result<Vec<Match>> {
        let mut after = after.map(|id| paths.object(id)).transpose()?;
        let mut found = Vec::new();
        while found.len() < limit {
            let page = self.store.scan(&paths.objects(), after.as_ref(), PAGE.min(limit.max(16)))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (path, entry) in &page {
                let id = object_of(path)?;
                let (header, _) = Header::parse(&entry.value).map_err(|e| match e.kind() {
                    ErrorKind::Damaged => damaged(id, "its header is damaged").with_source(e),
                    _ => e,
                })?;
                let is_private = header.domain == Domain::Private;
                if private || !is_private {
                    found.push(Match { id, private: is_private });
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Searches the index entries made with one domain key, which is the private one or the public.
    fn search_under(
        &self,
        (key, private): (&DomainKey, bool),
        paths: &Paths,
        query: &Query,
        after: Option<ObjectId>,
        limit: usize,
    ) -> Result<Vec<Match>> {
        let (through, and) = self.plan(key, paths, query)?;
        let prefix = paths.entries(through);
        let mut after = after.map(|id| paths.entry(through, id)).transpose()?;
        let mut found = Vec::new();
        while found.len() < limit {
            let page = self.store.scan(&prefix, after.as_ref(), PAGE)?;
            let mut candidates = Vec::with_capacity(page.len());
            for (path, entry) in &page {
                let (id, kind) = index::read(key, path, &entry.value)?;
                if query.kind.is_none_or(|wanted| wanted == kind) {
                    candidates.push(id);
                }
            }
            for term in &and {
                candidates = self.those_under(key, paths, *term, candidates)?;
            }
            found.extend(candidates.into_iter().map(|id| Match { id, private }));
            if page.len() < PAGE {
                break;
            }
            after = page.into_iter().last().map(|(path, _)| path);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The term to go through, and others to look at for each object; entries themselves tell the kind.
    fn plan(&self, key: &DomainKey, paths: &Paths, query: &Query) -> Result<(Term, Vec<Term>)> {
        let mut terms = Vec::new();
        for one in &query.facets {
            terms.push(index::facet(key, one)?);
        }
        if let Some(identifier) = &query.identifier {
            terms.push(index::identifier(key, identifier)?);
        }
        if let Some(label) = &query.label {
            terms.push(index::label(key, label)?);
        }
        if terms.is_empty() {
            // Without a kind there is nothing to look for, which `search` has handled.
            terms.push(index::kind(key, query.kind.unwrap_or(ObjectKind::Data))?);
        }
        let mut best = 0;
        if terms.len() > 1 {
            for (place, term) in terms.iter().enumerate() {
                if self.store.scan(&paths.entries(*term), None, MANY)?.len() < MANY {
                    best = place;
                    break;
                }
            }
        }
        let through = terms.swap_remove(best);
        Ok((through, terms))
    }

    /// Those of `candidates` that have an entry under `term`, too.
    fn those_under(
        &self,
        key: &DomainKey,
        paths: &Paths,
        term: Term,
        mut candidates: Vec<ObjectId>,
    ) -> Result<Vec<ObjectId>> {
        let entries: Vec<StoreKey> = candidates.iter().map(|id| paths.entry(term, *id)).collect::<Result<_>>()?;
        let read = self.store.get_many(&entries)?;
        let mut genuine = Vec::with_capacity(entries.len());
        for (path, entry) in entries.iter().zip(read) {
            genuine.push(entry.map(|e| index::read(key, path, &e.value)).transpose()?.is_some());
        }
        let mut genuine = genuine.into_iter();
        candidates.retain(|_| genuine.next().unwrap_or(false));
        Ok(candidates)
    }
}
