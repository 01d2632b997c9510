//! The sealed catalogue: namespaces and their stored objects, over any store.
//!
//! Everything is sealed before it reaches the store and proven when it comes back. Records are cached while the store's
//! generation stands; when it moved, a record that did not change keeps its place (and its parsed key), which costs a
//! look at the store. Session objects never come here.

mod cache;
mod carry;
mod changes;
mod check;
mod create;
mod find;
mod index;
mod mirror;
mod name;
mod namespace;
mod owner;
mod path;
mod record;
mod rehome;
mod rewrap;
#[cfg(test)]
mod tests;
mod tomb;
mod write;

use std::hash::RandomState;
use std::sync::Arc;

pub use changes::Changes;
pub use check::{CatalogReport, Complaint};
pub(crate) use create::Newcomers;
pub use find::{Match, Query};
pub use index::{Facet, ObjectKind};
pub use mirror::{Bookmark, Taken};
pub use tomb::Tombstone;

use self::cache::{Cache, IdState};
use self::find::{Found, Search};
use self::path::Paths;
use self::record::{Domain, Header};
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{DomainKey, Key, KeyClass, Keyring, Object, Storage};
use crate::os::{Lock, Rank};
use crate::random::Random;
use crate::settings::Settings;
use crate::store::{Entry, Revision, Store};
use crate::tenant::{Namespace, NamespaceId, ObjectId};

/// Objects kept in one generation of the cache.
const CACHED_OBJECTS: usize = 8192;
/// Records larger than this, in bytes, are read whenever they are needed.
const CACHED_SIZE: usize = 64 << 10;
/// Results of searches kept in one generation of the cache.
const CACHED_SEARCHES: usize = 8192;
/// Kinds of objects, each of a namespace and a domain key, of which it is known whether there are any.
const CACHED_KINDS: usize = 1024;
/// Namespaces whose settings are kept in one generation of the cache.
const CACHED_SETTINGS: usize = 1024;
/// A generation number that no store ever returns twice: such an entry is checked at its next use.
const UNCHECKED: u64 = u64::MAX;

/// The catalogue of a home.
pub struct Catalog {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    home: Arc<DomainKey>,
    objects: Cache<(NamespaceId, u32, ObjectId), Cached, IdState>,
    searches: Cache<Search, Found, IdState>,
    /// Whether there is anything of a kind under the private key or the public one, at a generation of the store.
    kinds: Cache<(NamespaceId, u32, bool, ObjectKind), (u64, bool), IdState>,
    /// Goes into the hashes of searches.
    secret: RandomState,
    namespaces: Lock<Option<(u64, Vec<Namespace>)>>,
    settings: Cache<NamespaceId, Kept, IdState>,
}

/// Settings in memory.
#[derive(Clone, Copy)]
struct Kept {
    settings: Settings,
    version: Revision,
    /// Generation of the store at which the version was last seen.
    generation: u64,
}

/// A record in memory.
#[derive(Clone)]
struct Cached {
    object: Arc<Object>,
    version: Revision,
    /// Generation of the store at which the version was last seen.
    generation: u64,
}

impl Catalog {
    /// The catalogue in `store`. `home` seals the records of namespaces.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, home: Arc<DomainKey>) -> Self {
        Self {
            store,
            random,
            home,
            objects: Cache::new(CACHED_OBJECTS),
            searches: Cache::new(CACHED_SEARCHES),
            kinds: Cache::new(CACHED_KINDS),
            secret: RandomState::new(),
            namespaces: Lock::new(Rank::Cache, None),
            settings: Cache::new(CACHED_SETTINGS),
        }
    }

    /// The object `id` of the caller's namespace.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], also for private objects that the caller holds no key for; [`ErrorKind::Damaged`] naming
    /// the object when its record was changed, moved, swapped, or replaced by an older one that this process remembers.
    pub fn get(&self, caller: &Caller, id: ObjectId) -> Result<Arc<Object>> {
        let generation = self.store.generation();
        let slot = (caller.namespace.id, caller.namespace.incarnation, id);
        let cached = self.objects.get(&slot);
        if let Some(cached) = &cached
            && cached.generation == generation
        {
            return visible(&caller.keyring, &cached.object);
        }
        let paths = Paths::of(&caller.namespace);
        let path = paths.object(id)?;
        let mut read = self.store.get_many(&[path.clone(), paths.closed()?])?.into_iter();
        let (Some(Some(entry)), Some(None)) = (read.next(), read.next()) else {
            self.objects.remove(&slot);
            return Err(not_found());
        };
        let object = match &cached {
            Some(cached) if cached.version == entry.version => Arc::clone(&cached.object),
            _ => {
                let object = Arc::new(open_object(caller, id, &path, &entry)?);
                if cached.is_some_and(|c| c.version > entry.version || c.object.edition > object.edition) {
                    return Err(damaged(id, "it went back to an older state"));
                }
                object
            }
        };
        if entry.value.len() <= CACHED_SIZE {
            let cached = Cached { object: Arc::clone(&object), version: entry.version, generation };
            self.objects.put(slot, cached);
        }
        visible(&caller.keyring, &object)
    }

    /// The key with this name or alias, of this class.
    ///
    /// # Errors
    /// As [`Catalog::get`].
    pub fn find_by_name(&self, caller: &Caller, name: &str, class: KeyClass) -> Result<Arc<Object>> {
        let paths = Paths::of(&caller.namespace);
        let place = name::Place::of(class).first().copied().unwrap_or(name::Place::Main);
        let guard = name::guard(&caller.keyring.public, &paths, place, name)?;
        let entry = self.store.get(&guard)?.ok_or_else(not_found)?;
        let id = name::read(&caller.keyring.public, &guard, &entry.value)?;
        let object = self.get(caller, id)?;
        match object.key() {
            Some(key) if is_called(key, name) && key.class == class => Ok(object),
            // A secret key takes the places of both halves, so this is no damage.
            Some(key) if is_called(key, name) => Err(not_found()),
            _ => Err(damaged(id, "another name leads to it")),
        }
    }

    /// Forgets what private objects of a namespace left in memory, after logout.
    pub fn forget_private(&self, namespace: NamespaceId) {
        self.objects.retain(|(of, _, _), cached| *of != namespace || !cached.object.private);
        self.searches.retain(|search, _| search.namespace != namespace || !search.private);
    }

    /// Keeps what was just written. Another process may have been faster to write it again, so it is checked once.
    fn remember(&self, namespace: &Namespace, object: Object, revision: Revision) -> Arc<Object> {
        let object = Arc::new(Object { revision: revision.0, storage: Storage::Stored, ..object });
        let slot = (namespace.id, namespace.incarnation, object.id);
        if write::size_of(&object) <= CACHED_SIZE {
            let cached = Cached { object: Arc::clone(&object), version: revision, generation: UNCHECKED };
            self.objects.put(slot, cached);
        } else {
            self.objects.remove(&slot);
        }
        object
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalog(..)")
    }
}

fn is_called(key: &Key, name: &str) -> bool {
    key.name == name || key.metadata.aliases.iter().any(|alias| alias == name)
}

fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "no such object")
}

fn damaged(id: ObjectId, what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("the record of object `{id}` cannot be trusted: {what}"))
}

/// The domain key for public or private objects.
fn key_for(keyring: &Keyring, private: bool) -> Option<(&DomainKey, Domain)> {
    if private {
        keyring.private.as_deref().map(|key| (key, Domain::Private))
    } else {
        Some((&keyring.public, Domain::Public))
    }
}

fn visible(keyring: &Keyring, object: &Arc<Object>) -> Result<Arc<Object>> {
    key_for(keyring, object.private).map(|_| Arc::clone(object)).ok_or_else(not_found)
}

fn open_object(caller: &Caller, id: ObjectId, path: &crate::store::StoreKey, entry: &Entry) -> Result<Object> {
    let explain = |e: Error| match e.kind() {
        ErrorKind::Damaged => damaged(id, "it was changed, moved, or sealed under another key").with_source(e),
        _ => e,
    };
    let (header, _) = Header::parse(&entry.value).map_err(explain)?;
    let private = match header.domain {
        Domain::Public => false,
        Domain::Private => true,
        Domain::Home => return Err(damaged(id, "it is no object")),
    };
    let (key, _) = key_for(&caller.keyring, private).ok_or_else(not_found)?;
    let (header, mut object) = record::open::<Object>(key, path, &entry.value).map_err(explain)?;
    let as_written = object.id == id
        && object.namespace == caller.namespace.id
        && object.private == private
        && object.edition == header.edition
        && object.key().is_none_or(|key| key.primary().is_ok());
    if !as_written {
        return Err(damaged(id, "header and content contradict each other"));
    }
    object.revision = entry.version.0;
    Ok(object)
}
