//! Handles: numbers in the form of pointers. They are looked up, never dereferenced, so that a stale, doubled or invented
//! handle is an error and not undefined behaviour.

use std::collections::BTreeMap;
use std::sync::Arc;

use libkmss::os::{Lock, Rank};
use once_cell::race::OnceBox;

use crate::failure::Failure;
use crate::status::kmss_status;

/// All live handles of one type.
pub(crate) struct Registry<T: Send + Sync> {
    table: OnceBox<Lock<Table<T>>>,
}

struct Table<T> {
    next: usize,
    live: BTreeMap<usize, Arc<T>>,
}

impl<T: Send + Sync> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self { table: OnceBox::new() }
    }

    fn table(&self) -> &Lock<Table<T>> {
        self.table.get_or_init(|| Box::new(Lock::new(Rank::Door, Table { next: 1, live: BTreeMap::new() })))
    }

    /// A new handle for `value`.
    pub(crate) fn insert<H>(&self, value: T) -> *mut H {
        let mut table = self.table().lock();
        // Steps of 16 make the numbers look like aligned pointers to debuggers and sanitizers.
        let number = table.next.wrapping_mul(16);
        table.next = table.next.wrapping_add(1);
        table.live.insert(number, Arc::new(value));
        std::ptr::without_provenance_mut(number)
    }

    /// What a handle stands for.
    pub(crate) fn find<H>(&self, handle: *const H) -> Result<Arc<T>, Failure> {
        self.table()
            .lock()
            .live
            .get(&handle.addr())
            .cloned()
            .ok_or_else(|| Failure::new(kmss_status::KMSS_INVALID_HANDLE, "the handle was freed or never made"))
    }

    /// Frees a handle; what it stood for lives until its last call returns.
    pub(crate) fn remove<H>(&self, handle: *const H) -> Option<Arc<T>> {
        // Programs free what may be NULL after every call.
        if handle.is_null() {
            return None;
        }
        self.table().lock().live.remove(&handle.addr())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_freed_handle_is_an_error_and_never_comes_back() {
        let registry = Registry::new();
        let first: *mut u8 = registry.insert(1_u32);
        let Ok(found) = registry.find(first) else { panic!("lost") };
        assert_eq!(*found, 1);
        assert!(registry.remove(first).is_some());
        assert!(registry.remove(first).is_none());
        let second: *mut u8 = registry.insert(2_u32);
        assert_ne!(first, second);
        let Err(failure) = registry.find(first) else { panic!("found") };
        assert_eq!(failure.status, kmss_status::KMSS_INVALID_HANDLE);
        assert!(registry.find(std::ptr::null::<u8>()).is_err());
    }
}
