//! The store: ordered byte keys, one-shot conditional batches, a change feed.
//!
//! One synchronous seam for every engine. Values are opaque here; what is secret was sealed before it came.

#[cfg(test)]
mod contract;
mod memory;
mod sqlite;

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

pub use memory::MemoryStore;
pub use sqlite::SqliteStore;

/// A key of the store: 1 to 512 bytes of `[a-z0-9/_.~-]`. Order is byte order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey(String);

impl StoreKey {
    /// Longest key in bytes.
    pub const MAX_LEN: usize = 512;

    /// Parses a key.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`]: keys are made by this crate, never taken from users.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/_.~-".contains(&b);
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(allowed) {
            return Err(Error::new(ErrorKind::Internal, "a store key has forbidden characters or a bad length"));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number of a commit. Grows; gaps are possible. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A stored value with the revision of the commit that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Revision of its last write.
    pub version: Revision,
}

/// What must hold for a batch to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key does not exist.
    Absent(StoreKey),
    /// The key exists and was last written at this revision.
    Version(StoreKey, Revision),
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a value.
    Put(StoreKey, Vec<u8>),
    /// Removes a key; nothing happens where it does not exist.
    Delete(StoreKey),
}

/// The key that must be absent for this value to be written at this key, where there is one: a store with such a fence
/// refuses the batch as if that were one of its conditions.
pub type Fence = fn(&StoreKey, &[u8]) -> Option<StoreKey>;

/// Conditions and changes that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Applied in order.
    pub ops: Vec<Op>,
    /// Whether cached keys, namespaces, policies or principals may be stale afterwards: moves [`Store::generation`].
    pub invalidates: bool,
}

impl Batch {
    /// Most conditions and most changes of one batch: the rotation of a pair with aliases and tags takes about forty.
    pub const MAX_OPS: usize = 64;
    /// Most bytes of values in one batch.
    pub const MAX_BYTES: usize = 256 << 10;

    /// Refuses what not every engine can apply at once.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for too many bytes (a user's object is too large), [`ErrorKind::Internal`] for too many
    /// changes.
    pub(crate) fn admit(&self) -> Result<()> {
        if self.conditions.len() > Self::MAX_OPS || self.ops.len() > Self::MAX_OPS {
            return Err(Error::new(ErrorKind::Internal, "a batch has too many changes"));
        }
        let bytes = self.ops.iter().map(|op| if let Op::Put(_, value) = op { value.len() } else { 0 }).sum::<usize>();
        if bytes > Self::MAX_BYTES {
            return Err(Error::new(ErrorKind::Arguments, "the object is too large to be stored (256 KiB at most)"));
        }
        Ok(())
    }

    /// What `fence` asks for the values of this batch.
    fn fences(&self, fence: Option<Fence>) -> Vec<Condition> {
        let mut keys: Vec<StoreKey> = Vec::new();
        for op in &self.ops {
            if let (Op::Put(key, value), Some(fence)) = (op, fence)
                && let Some(key) = fence(key, value)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        keys.into_iter().map(Condition::Absent).collect()
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// Applied and durable.
    Committed(Revision),
    /// A condition did not hold; nothing was changed.
    Conflict,
}

/// One entry of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Revision of the commit.
    pub revision: Revision,
    /// The key that was written or removed.
    pub key: StoreKey,
}

/// A storage engine.
///
/// An acknowledged commit survives `kill -9` and power loss. Reads see every commit of any process that was acknowledged
/// before they began. Errors: [`ErrorKind::Busy`] at the deadline, [`ErrorKind::ReadOnly`], [`ErrorKind::Storage`] (no
/// space, device error; the batch was not applied), [`ErrorKind::Damaged`], [`ErrorKind::TooNew`].
pub trait Store: Send + Sync {
    /// The values of `keys`, in their order.
    ///
    /// # Errors
    /// See the trait.
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>>;

    /// Up to `limit` entries whose keys start with `prefix`, in order, after (not including) `after`.
    ///
    /// # Errors
    /// See the trait.
    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>>;

    /// Every entry whose key starts with `prefix`, in order: for what is known to be few.
    ///
    /// # Errors
    /// See the trait.
    fn scan_all(&self, prefix: &str) -> Result<Vec<(StoreKey, Entry)>> {
        const PAGE: usize = 256;
        let mut all: Vec<(StoreKey, Entry)> = Vec::new();
        loop {
            let page = self.scan(prefix, all.last().map(|(key, _)| key), PAGE)?;
            let complete = page.len() < PAGE;
            all.extend(page);
            if complete {
                return Ok(all);
            }
        }
    }

    /// Applies a batch if its conditions hold.
    ///
    /// # Errors
    /// See the trait.
    fn commit(&self, batch: &Batch) -> Result<Commit>;

    /// Applies several batches in their order, each if its own conditions hold then, and each as a commit of its own; what comes
    /// of them is made durable together. Where this fails it is not said which of them were applied; one that is too large for any
    /// engine fails all.
    ///
    /// # Errors
    /// See the trait.
    fn commit_each(&self, batches: &[Batch]) -> Result<Vec<Commit>> {
        batches.iter().map(|batch| self.commit(batch)).collect()
    }

    /// Up to `limit` changes after `since`, oldest first, and always whole commits (so possibly a few more than `limit`):
    /// asking again after the last revision returned leaves no gap.
    ///
    /// # Errors
    /// See the trait; [`ErrorKind::NotFound`] when `since` is older than what the engine keeps.
    fn changes(&self, since: Revision, limit: usize) -> Result<Vec<Change>>;

    /// Waits until something was committed after `since`, or `timeout` passed; returns the newest revision.
    ///
    /// # Errors
    /// See the trait.
    fn wait(&self, since: Revision, timeout: Duration) -> Result<Revision>;

    /// A number that moves with every invalidating commit of any process on this host. Costs about a nanosecond; odd
    /// values (a commit is under way) never compare equal to a later call.
    fn generation(&self) -> u64;

    /// What the engine finds wrong with its own files, one sentence each; reads all of them, so it may take long.
    ///
    /// # Errors
    /// See the trait.
    fn check(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Overwrites what removed and former values left in the engine's own files beside the one it reads from (a log), as far
    /// as it can; `false` where somebody reads them just now, so that it is to be asked again.
    ///
    /// # Errors
    /// See the trait.
    fn scrub(&self) -> Result<bool> {
        Ok(true)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// See the trait.
    fn get(&self, key: &StoreKey) -> Result<Option<Entry>> {
        Ok(self.get_many(std::slice::from_ref(key))?.pop().flatten())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn store_keys_have_one_alphabet() {
        assert!(StoreKey::new("ns/0a/obj/7f_.~-").is_ok());
        for bad in ["", "A", "ä", "a b", &"a".repeat(513)] {
            assert_eq!(StoreKey::new(bad).unwrap_err().kind(), ErrorKind::Internal);
        }
    }
}
