//! Object handles of one token.
//!
//! A stored object gets one handle for the life of the process (until logout where it is private); the object itself is
//! read anew through the hall at each use, so that a destroyed one is gone everywhere at once. A session object is held
//! here and ends with the session that owns it. Handles are never used twice in a process.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::*;
use libkmss::error::ErrorKind;
use libkmss::key::{Object, Storage};
use libkmss::os::{Lock, Rank};
use libkmss::tenant::ObjectId;

use crate::module::session::SessionView;
use crate::rv::{Result, Rv};

/// A map by numbers that this module counts out itself, or by identifiers drawn at random.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Spreads consecutive numbers; not for anything that somebody else chooses.
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks::<8>().0 {
            self.write_u64(u64::from_le_bytes(*word));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    // The length of an identifier tells nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Handles of a token's objects.
pub(crate) struct ObjectTable(Lock<Table>);

// Two maps of handles, so that looking at session objects does not walk thousands of stored ones.
#[derive(Default)]
struct Table {
    stored: NumberMap<CK_OBJECT_HANDLE, Stored>,
    handles: NumberMap<ObjectId, CK_OBJECT_HANDLE>,
    session: NumberMap<CK_OBJECT_HANDLE, Owned>,
}

struct Stored {
    id: ObjectId,
    private: bool,
}

struct Owned {
    object: Arc<Object>,
    owner: CK_SESSION_HANDLE,
}

impl ObjectTable {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self(Lock::new(Rank::DoorTable, Table::default()))
    }

    /// The handle of `object`; a session object becomes the property of the session `owner`, once.
    pub(crate) fn handle_of(&self, object: &Arc<Object>, owner: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
        let mut table = self.0.lock();
        match object.storage {
            Storage::Stored => table.stored_handle(object.id, object.private),
            Storage::Ephemeral => {
                let handle = fresh();
                table.session.insert(handle, Owned { object: Arc::clone(object), owner });
                handle
            }
        }
    }

    /// The handle of a stored object that was found, without reading it.
    pub(crate) fn handle_of_stored(&self, id: ObjectId, private: bool) -> CK_OBJECT_HANDLE {
        self.0.lock().stored_handle(id, private)
    }

    /// The object behind `handle`, as it is now. `CKR_OBJECT_HANDLE_INVALID` where there is none that the caller sees.
    pub(crate) fn resolve(&self, handle: CK_OBJECT_HANDLE, view: &SessionView) -> Result<Arc<Object>> {
        let invalid = Rv(CKR_OBJECT_HANDLE_INVALID);
        let found = {
            let table = self.0.lock();
            match table.stored.get(&handle) {
                Some(stored) => Ok(stored.id),
                None => Err(table.session.get(&handle).map(|owned| Arc::clone(&owned.object))),
            }
        };
        let id = match found {
            Ok(id) => id,
            Err(Some(object)) if !object.private || view.is_user() => return Ok(object),
            Err(_) => return Err(invalid),
        };
        match view.kms.object(&view.caller, id) {
            Ok(object) => Ok(object),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.remove(handle);
                Err(invalid)
            }
            Err(error) if error.kind() == ErrorKind::NotLoggedIn => Err(invalid),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Self::resolve`] for a key. `CKR_KEY_HANDLE_INVALID` where there is none, or the object is not a key.
    pub(crate) fn resolve_key(&self, handle: CK_OBJECT_HANDLE, view: &SessionView) -> Result<Arc<Object>> {
        match self.resolve(handle, view) {
            Ok(object) if object.key().is_some() => Ok(object),
            Ok(_) | Err(Rv(CKR_OBJECT_HANDLE_INVALID)) => Err(Rv(CKR_KEY_HANDLE_INVALID)),
            Err(other) => Err(other),
        }
    }

    /// All session objects that the caller of `view` sees, in no order.
    pub(crate) fn session_objects(&self, view: &SessionView) -> Vec<(CK_OBJECT_HANDLE, Arc<Object>)> {
        let table = self.0.lock();
        let visible = table.session.iter().filter(|(_, owned)| !owned.object.private || view.is_user());
        visible.map(|(handle, owned)| (*handle, Arc::clone(&owned.object))).collect()
    }

    /// Puts a changed session object in place of the one behind `handle`.
    pub(crate) fn replace_session_object(&self, handle: CK_OBJECT_HANDLE, changed: Arc<Object>) -> Result<()> {
        let previous = match self.0.lock().session.get_mut(&handle) {
            Some(owned) => std::mem::replace(&mut owned.object, changed),
            None => return Err(Rv(CKR_OBJECT_HANDLE_INVALID)),
        };
        drop(previous);
        Ok(())
    }

    /// Forgets a handle.
    pub(crate) fn remove(&self, handle: CK_OBJECT_HANDLE) {
        let removed = {
            let mut table = self.0.lock();
            if let Some(Stored { id, .. }) = table.stored.remove(&handle) {
                table.handles.remove(&id);
            }
            table.session.remove(&handle)
        };
        drop(removed);
    }

    /// Takes out the objects that end with `session`, for the caller to drop without the lock.
    #[must_use]
    pub(crate) fn end_session(&self, session: CK_SESSION_HANDLE) -> Vec<Arc<Object>> {
        take_out(&mut self.0.lock().session, |owned| owned.owner == session)
    }

    /// Forgets everything, for C_Finalize; session objects are the caller's to drop without the lock.
    #[must_use]
    pub(crate) fn clear(&self) -> Vec<Arc<Object>> {
        let Table { session, .. } = std::mem::take(&mut *self.0.lock());
        session.into_values().map(|owned| owned.object).collect()
    }

    /// Forgets everything private, for logout; session objects are the caller's to drop without the lock.
    #[must_use]
    pub(crate) fn forget_private(&self) -> Vec<Arc<Object>> {
        let mut table = self.0.lock();
        let Table { stored, handles, session } = &mut *table;
        stored.retain(|_, entry| {
            if entry.private {
                handles.remove(&entry.id);
            }
            !entry.private
        });
        take_out(session, |owned| owned.object.private)
    }
}

fn take_out(objects: &mut NumberMap<CK_OBJECT_HANDLE, Owned>, gone: impl Fn(&Owned) -> bool) -> Vec<Arc<Object>> {
    objects.extract_if(|_, owned| gone(owned)).map(|(_, owned)| owned.object).collect()
}

impl Table {
    fn stored_handle(&mut self, id: ObjectId, private: bool) -> CK_OBJECT_HANDLE {
        let handle = *self.handles.entry(id).or_insert_with(fresh);
        self.stored.insert(handle, Stored { id, private });
        handle
    }
}

fn fresh() -> CK_OBJECT_HANDLE {
    NEXT.fetch_add(1, Ordering::Relaxed)
}
