//! Keyed contexts between two operations: keying anew, or allocating, would cost a short message more than the message.

use std::sync::{Arc, Mutex};

use super::keys::SecretKey;
use crate::error::{Error, ErrorKind, Result};

/// A place for one context that waits for its next use.
pub(super) struct Spare<T>(Mutex<Option<T>>);

impl<T> Spare<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The context, where there is one and no other thread looks for it now: nobody ever waits here.
    pub(super) fn take(&self) -> Option<T> {
        self.0.try_lock().ok()?.take()
    }

    fn put(&self, item: T) {
        if let Ok(mut place) = self.0.try_lock() {
            *place = Some(item);
        }
    }
}

/// A context in use, which goes back to its key afterwards.
pub(super) struct Lent<T> {
    // INVARIANT: `None` only while it is dropped.
    item: Option<T>,
    key: Arc<SecretKey>,
    home: fn(&SecretKey) -> &Spare<T>,
}

impl<T> Lent<T> {
    pub(super) const fn new(item: T, key: Arc<SecretKey>, home: fn(&SecretKey) -> &Spare<T>) -> Self {
        Self { item: Some(item), key, home }
    }

    /// The context. An error is a bug.
    pub(super) fn get(&mut self) -> Result<&mut T> {
        self.item.as_mut().ok_or_else(|| Error::new(ErrorKind::Internal, "an operation lost its context"))
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            (self.home)(&self.key).put(item);
        }
    }
}
