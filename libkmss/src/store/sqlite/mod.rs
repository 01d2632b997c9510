//! SQLite as a store: one file in the home, shared by any number of processes on this host.
//!
//! One connection per process, under a lock that a fork waits for: before a fork it is closed, and both sides open it
//! again when they need it (a connection carried into a child loses commits). Whoever finds the database busy waits
//! outside that lock, in equal steps of 100 µs, so that neither writers starve each other nor a fork waits for another
//! process.
//!
//! Outcomes are always known here, so no `txn/` keys: COMMIT either succeeded, or left the write-ahead log without a
//! valid commit frame. The one exception is a device that fails to flush: such a batch is reported as
//! [`ErrorKind::Storage`] and invisible to all, but may appear if every process dies before the next commit overwrites it.

mod connection;
mod failure;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::connection::{Open, Place};
use super::{Batch, Change, Commit, Condition, Entry, Fence, Revision, Store, StoreKey};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::os::{FileMode, GenerationPage, Hooks, Lock, Rank, require_local};

/// How long a call waits for other processes unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two attempts. Constant: growing pauses starve those who wait longest.
const PAUSE: Duration = Duration::from_micros(100);
/// Pause between two looks of [`Store::wait`].
const WATCH_PAUSE: Duration = Duration::from_millis(2);

const REPLACED: &str = "the store file was moved or replaced while in use: restart every process that uses this home";

/// The store in the file `store.db` of a home.
pub struct SqliteStore {
    place: Place,
    clock: Arc<dyn Clock>,
    patience: Duration,
    fence: Option<Fence>,
    /// Missing only in a read-only home that never had one.
    page: Option<GenerationPage>,
    unstable: AtomicU64,
    connection: Lock<Link>,
}

/// The connection, if there is one now.
#[derive(Default)]
struct Link {
    open: Option<Open>,
    /// Device and inode of the file this store was opened with.
    identity: Option<(u64, u64)>,
}

impl SqliteStore {
    /// Opens the store of the directory `home`, making its files where they are missing. They take `mode`.
    ///
    /// A home that cannot be written to is opened for reading, provided that its files are complete.
    ///
    /// # Errors
    /// [`ErrorKind::HomeUnsafe`] for network file systems, a second copy of this library in the process, and files that
    /// cannot be opened; [`ErrorKind::TooNew`]; [`ErrorKind::Damaged`]; [`ErrorKind::Busy`].
    pub fn open(home: &Path, mode: FileMode, clock: Arc<dyn Clock>) -> Result<Self> {
        // SQLite is told to refuse links, so the path to the home must be free of them.
        let home = home.canonicalize().map_err(|e| {
            Error::new(ErrorKind::HomeUnsafe, "the home is missing or cannot be entered").with_source(e)
        })?;
        require_local(&home)?;
        let mark = home.join("store.generation");
        let page = match GenerationPage::open(&mark, mode) {
            Ok(page) => Some(page),
            Err(e) if e.kind() == ErrorKind::ReadOnly => None,
            Err(e) => return Err(e),
        };
        refuse_emptied(&home.join("store.db"), page.as_ref())?;
        let hooks = Hooks { before: |slot: &mut Link| slot.open = None, ..Hooks::default() };
        let store = Self {
            place: Place { database: home.join("store.db"), mark: page.is_some().then_some(mark), mode },
            clock,
            patience: PATIENCE,
            fence: None,
            page,
            unstable: AtomicU64::new(1),
            connection: Lock::with_hooks(Rank::Store, Link::default(), hooks),
        };
        store.with(|_| Ok(()))?;
        Ok(store)
    }

    /// The same store with another limit to waiting for other processes.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same store with a fence around what is written.
    #[must_use]
    pub fn with_fence(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }

    /// Runs `f` on the connection, again and again while other processes are in the way. `f` must change nothing unless it
    /// succeeds.
    fn with<R>(&self, f: impl Fn(&Open) -> Result<R>) -> Result<R> {
        let start = self.clock.monotonic();
        loop {
            match self.attempt(&f) {
                Err(e)
                    if e.kind() == ErrorKind::Busy && self.clock.monotonic().saturating_sub(start) < self.patience =>
                {
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    fn attempt<R>(&self, f: &impl Fn(&Open) -> Result<R>) -> Result<R> {
        let mut guard = self.connection.lock();
        let slot = &mut *guard;
        let open = match &mut slot.open {
            Some(open) => open,
            none => {
                // Read before the store is: others go on committing.
                let acknowledged = self.page.as_ref().map_or(0, GenerationPage::acknowledged);
                let open = Open::at(&self.place, slot.identity)?;
                require_all(acknowledged, open.newest()?)?;
                slot.identity = Some(open.identity);
                none.insert(open)
            }
        };
        let result = f(open);
        if let Err(e) = &result
            && matches!(e.kind(), ErrorKind::Storage | ErrorKind::Damaged | ErrorKind::Internal | ErrorKind::HomeUnsafe)
        {
            // Nothing of a transaction that could not even be rolled back stays behind.
            slot.open = None;
        }
        result
    }

    /// Applies batches, each with its fences, in one transaction.
    fn apply(&self, open: &Open, batches: &[(&Batch, Vec<Condition>)]) -> Result<Vec<Commit>> {
        let (true, Some(page)) = (!open.read_only, &self.page) else {
            return Err(Error::new(ErrorKind::ReadOnly, "the home is read-only"));
        };
        open.let_log_grow(batches.len())?;
        let transaction = open.begin_write()?;
        if open.has_moved()? {
            return Err(Error::new(ErrorKind::HomeUnsafe, REPLACED));
        }
        page.repair();
        let found = open.newest()?;
        let (mut newest, mut invalidation) = (found, None);
        // Dropped before the invalidation: a rollback comes before the page is even.
        let transaction = transaction;
        let mut writing = open.writing()?;
        let mut commits = Vec::with_capacity(batches.len());
        for (batch, fences) in batches {
            let mut conditions = batch.conditions.iter().chain(fences);
            if !conditions.try_fold(true, |all, condition| Ok::<_, Error>(all && writing.holds(condition)?))? {
                commits.push(Commit::Conflict);
                continue;
            }
            if !batch.ops.is_empty() {
                // Odd before others can see the change, even again only after it was committed or rolled back.
                if batch.invalidates && invalidation.is_none() {
                    invalidation = Some(page.invalidate()?);
                }
                newest = Revision(newest.0 + 1);
                writing.apply(newest, &batch.ops)?;
            }
            commits.push(Commit::Committed(newest));
        }
        drop(writing);
        if newest != found {
            transaction.commit()?;
            page.acknowledge(newest.0);
        }
        Ok(commits)
    }
}

/// Refuses an empty or missing database in a home that has had one: SQLite would delete the log beside it, which may be all
/// that is left, and everything would seem never to have been. The traces are looked at first, because another process
/// may be making the database just now.
fn refuse_emptied(database: &Path, page: Option<&GenerationPage>) -> Result<()> {
    let holds_something = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|m| m.len() > 0);
    let used = holds_something(&database.with_extension("db-wal")) || page.is_some_and(|page| page.read() != 0);
    if used && !holds_something(database) {
        let what = "the store was emptied or removed: stop all processes that use the home and restore it from a backup \
                    (to begin anew, remove the whole home)";
        return Err(Error::new(ErrorKind::Damaged, what));
    }
    Ok(())
}

/// Refuses a store that ends before a commit that was acknowledged. SQLite takes a log whose middle is damaged for one that
/// ends there, and an older copy of the file for the file.
fn require_all(acknowledged: u64, newest: Revision) -> Result<()> {
    if newest.0 >= acknowledged {
        return Ok(());
    }
    let lost = acknowledged - newest.0;
    let what = format!(
        "the store lacks its last {lost} commits: it is damaged, or an older copy was put in its place; stop all processes \
         that use the home and restore the whole home from a backup (to go on with what is there, delete \
         `store.generation`; `kmss audit verify` tells what is missing)"
    );
    Err(Error::new(ErrorKind::Damaged, what))
}

impl Store for SqliteStore {
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
        self.with(|open| match keys {
            [key] => Ok(vec![open.get(key)?]),
            keys => {
                let _one_state = open.begin_read()?;
                keys.iter().map(|key| open.get(key)).collect()
            }
        })
    }

    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        self.with(|open| open.scan(prefix, after, limit))
    }

    fn commit(&self, batch: &Batch) -> Result<Commit> {
        let commits = self.commit_each(std::slice::from_ref(batch))?;
        commits.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Internal, "a commit has no end"))
    }

    fn commit_each(&self, batches: &[Batch]) -> Result<Vec<Commit>> {
        batches.iter().try_for_each(Batch::admit)?;
        let fenced: Vec<_> = batches.iter().map(|batch| (batch, batch.fences(self.fence))).collect();
        self.with(|open| self.apply(open, &fenced))
    }

    fn changes(&self, since: Revision, limit: usize) -> Result<Vec<Change>> {
        self.with(|open| {
            let _one_state = open.begin_read()?;
            open.changes(since, limit)
        })
    }

    fn wait(&self, since: Revision, timeout: Duration) -> Result<Revision> {
        let start = self.clock.monotonic();
        loop {
            let newest = self.with(Open::newest)?;
            let left = timeout.saturating_sub(self.clock.monotonic().saturating_sub(start));
            if newest > since || left.is_zero() {
                return Ok(newest);
            }
            std::thread::sleep(WATCH_PAUSE.min(left));
        }
    }

    fn check(&self) -> Result<Vec<String>> {
        self.with(Open::integrity)
    }

    fn scrub(&self) -> Result<bool> {
        self.with(Open::truncate_log)
    }

    fn generation(&self) -> u64 {
        match &self.page {
            Some(page) => page.read(),
            None => self.unstable.fetch_add(2, Ordering::Relaxed),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Under the lock, as every use of SQLite is, so that no fork cuts through the closing.
        if let Some(open) = self.connection.lock().open.take() {
            open.leave(&self.place.database);
        }
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("place", &self.place).finish_non_exhaustive()
    }
}
