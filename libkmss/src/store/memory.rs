//! The engine for tests and for what need not outlive the process.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Batch, Change, Commit, Condition, Entry, Fence, Op, Revision, Store, StoreKey};
use crate::error::{Error, ErrorKind, Result};
use crate::os::{Lock, Rank};

/// Commits that the change feed keeps.
const KEPT: usize = if cfg!(test) { 256 } else { 4096 };
/// Pause between two looks of [`Store::wait`].
const PAUSE: Duration = Duration::from_millis(1);

/// A store in the memory of this process. A forked child has a copy of its own.
#[derive(Debug)]
pub struct MemoryStore {
    state: Lock<State>,
    generation: AtomicU64,
    fence: Option<Fence>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<StoreKey, Entry>,
    newest: Revision,
    /// One element per commit that changed something.
    feed: VecDeque<(Revision, Vec<StoreKey>)>,
    /// Everything after this revision is in the feed.
    forgotten: Revision,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { state: Lock::new(Rank::Store, State::default()), generation: AtomicU64::new(0), fence: None }
    }
}

impl MemoryStore {
    /// The same store with a fence around what is written.
    #[must_use]
    pub fn with_fence(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }
}

impl State {
    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Absent(key) => !self.entries.contains_key(key),
            Condition::Version(key, version) => self.entries.get(key).is_some_and(|e| e.version == *version),
        }
    }

    fn apply(&mut self, ops: &[Op]) -> Revision {
        let version = Revision(self.newest.0 + 1);
        self.newest = version;
        let mut keys = Vec::with_capacity(ops.len());
        for op in ops {
            match op {
                Op::Put(key, value) => {
                    self.entries.insert(key.clone(), Entry { value: value.clone(), version });
                    keys.push(key.clone());
                }
                Op::Delete(key) => {
                    self.entries.remove(key);
                    keys.push(key.clone());
                }
            }
        }
        self.feed.push_back((version, keys));
        if self.feed.len() > KEPT
            && let Some((revision, _)) = self.feed.pop_front()
        {
            self.forgotten = revision;
        }
        version
    }
}

impl Store for MemoryStore {
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
        let state = self.state.lock();
        Ok(keys.iter().map(|key| state.entries.get(key).cloned()).collect())
    }

    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        let start = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let state = self.state.lock();
        let found = state.entries.range::<str, _>((start, Bound::Unbounded));
        let found = found.take_while(|(key, _)| key.as_str().starts_with(prefix)).take(limit);
        Ok(found.map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }

    fn commit(&self, batch: &Batch) -> Result<Commit> {
        batch.admit()?;
        let fences = batch.fences(self.fence);
        let mut state = self.state.lock();
        if !batch.conditions.iter().chain(&fences).all(|c| state.holds(c)) {
            return Ok(Commit::Conflict);
        }
        if batch.ops.is_empty() {
            return Ok(Commit::Committed(state.newest));
        }
        let revision = state.apply(&batch.ops);
        if batch.invalidates {
            // Still under the lock: whoever reads the new values afterwards reads the new number, too.
            self.generation.fetch_add(2, Ordering::SeqCst);
        }
        Ok(Commit::Committed(revision))
    }

    fn changes(&self, since: Revision, limit: usize) -> Result<Vec<Change>> {
        let state = self.state.lock();
        if since < state.forgotten {
            return Err(Error::new(ErrorKind::NotFound, "the change feed does not reach back that far"));
        }
        let mut changes = Vec::new();
        for (revision, keys) in state.feed.iter().skip_while(|(revision, _)| *revision <= since) {
            if !changes.is_empty() && changes.len() + keys.len() > limit {
                break;
            }
            changes.extend(keys.iter().map(|key| Change { revision: *revision, key: key.clone() }));
        }
        Ok(changes)
    }

    fn wait(&self, since: Revision, timeout: Duration) -> Result<Revision> {
        let mut slept = Duration::ZERO;
        loop {
            let newest = self.state.lock().newest;
            if newest > since || slept >= timeout {
                return Ok(newest);
            }
            let pause = PAUSE.min(timeout.saturating_sub(slept));
            std::thread::sleep(pause);
            slept += pause;
        }
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

impl std::borrow::Borrow<str> for StoreKey {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    super::super::contract::contract!(|| std::sync::Arc::new(super::MemoryStore::default()));
}
