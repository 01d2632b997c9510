//! One connection to the database file: how it is opened, which schema it must find, and its statements.

use std::cell::Cell;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, FileControl, MAIN_DB, OpenFlags, OptionalExtension, params};

use super::failure::explain;
use crate::error::{Error, ErrorKind, Result};
use crate::os::{FileMode, ProcessMark, create_file};
use crate::store::{Change, Condition, Entry, Op, Revision, StoreKey};

/// `KMSS` in the header of the file (PRAGMA application_id).
const APPLICATION: i64 = 0x4B4D_5353;
/// Version of the schema that is made (PRAGMA user_version).
const SCHEMA_VERSION: i64 = 2;
/// The version before, which is used as it is: every statement means the same in both.
const TREE_VERSION: i64 = 1;
/// The schema, one statement per table. Revisions count commits: `changes.seq` is the revision times 64 plus the
/// position in its batch, the newest row is the newest revision, and the newest is never pruned.
///
/// The rows of `kv` stand in the order in which they came, and only their keys in that of the keys (docs/adr/0067): most keys
/// stand where a MAC puts them, and a tree that holds the values as well is written nearly whole for every few new ones.
const SCHEMA: [(&str, Option<&str>); 3] = [
    ("changes", Some(CHANGES)),
    ("kv", Some("CREATE TABLE kv (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL)")),
    ("sqlite_autoindex_kv_1", None),
];
/// The schema of [`TREE_VERSION`]: one tree of keys and values.
const TREE: [(&str, Option<&str>); 2] = [
    ("changes", Some(CHANGES)),
    ("kv", Some("CREATE TABLE kv (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID")),
];
const CHANGES: &str = "CREATE TABLE changes (seq INTEGER PRIMARY KEY, key TEXT NOT NULL)";
/// See [`SCHEMA`].
const POSITION_BITS: u32 = 6;
/// Commits that the change feed keeps, at least.
const KEPT: i64 = if cfg!(test) { 256 } else { 4096 };
/// A log of more bytes than that is not left to who opens the store next.
const LONG_LOG: u64 = 512 << 10;
/// Pages of the log from which on a commit brings it into the database: SQLite's own number, and the one for many batches at once.
/// Of those, nearly every page is another one, and a log of 4 MiB would be full every hundred keys. The next commit of few brings in
/// what is longer.
const LOG_PAGES: (u32, u32) = (1000, 16_384);
/// Bytes of the log that stay a file when it begins anew. Those of many batches are written over: to cut them off, and to find room
/// on the disk for them again, took a seventh of the time.
const LOG_BYTES: (u32, u32) = (8 << 20, 128 << 20);
/// So many batches in one commit are many.
const MANY: usize = 16;
/// The feed is pruned in commits whose revision is a multiple of this.
const PRUNE_EVERY: i64 = 64;

/// Where the database is and whose it is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) database: PathBuf,
    /// The file that carries the process's mark; missing in a read-only home that never had one.
    pub(super) mark: Option<PathBuf>,
    pub(super) mode: FileMode,
}

/// An open connection. Not to be carried across a fork.
pub(super) struct Open {
    // INVARIANT: declared before the mark, so that it is closed first.
    connection: Connection,
    mark: Option<ProcessMark>,
    /// Pages that the log may have before a commit brings it into the database.
    log_pages: Cell<u32>,
    /// Device and inode of the file.
    pub(super) identity: (u64, u64),
    pub(super) read_only: bool,
}

impl Open {
    /// Opens the database. Where there is no `known` file, it is made if need be; else it must be that one.
    pub(super) fn at(place: &Place, known: Option<(u64, u64)>) -> Result<Self> {
        let made = if known.is_none() { create_file(&place.database, place.mode, b"") } else { Ok(()) };
        let identity = match (identity(&place.database), known) {
            (Ok(found), known) if known.is_none_or(|known| known == found) => found,
            (_, Some(_)) => return Err(Error::new(ErrorKind::HomeUnsafe, super::REPLACED)),
            (found, None) => {
                let e = Error::new(ErrorKind::HomeUnsafe, "the store is missing and cannot be made");
                return Err(match made.and(found.map(drop)) {
                    Err(cause) => e.with_source(cause),
                    Ok(()) => e,
                });
            }
        };
        refuse_planted(&place.database)?;
        // Without write access there is nothing to lose, so no mark; but then nothing may be written either.
        let mark = match &place.mark {
            Some(path) if !is_write_protected(path) => Some(ProcessMark::take(path)?),
            _ => None,
        };
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let access = if mark.is_some() { OpenFlags::SQLITE_OPEN_READ_WRITE } else { read_only };
        let connection = match connect(&place.database, access) {
            Err(e) if matches!(e.kind(), ErrorKind::HomeUnsafe | ErrorKind::ReadOnly) => {
                connect(&place.database, read_only).map_err(|_| e)?
            }
            other => other?,
        };
        let read_only = connection.is_readonly(MAIN_DB).map_err(explain)?;
        Ok(Self { connection, mark, log_pages: Cell::new(LOG_PAGES.0), identity, read_only })
    }

    /// Starts a transaction that reads one state of the store.
    pub(super) fn begin_read(&self) -> Result<Transaction<'_>> {
        self.begin("BEGIN DEFERRED")
    }

    /// Starts a transaction that holds the write lock.
    pub(super) fn begin_write(&self) -> Result<Transaction<'_>> {
        self.begin("BEGIN IMMEDIATE")
    }

    /// Lets the log grow as far as is worth its while for a commit of so many batches.
    pub(super) fn let_log_grow(&self, batches: usize) -> Result<()> {
        let (pages, bytes) = if batches < MANY { (LOG_PAGES.0, LOG_BYTES.0) } else { (LOG_PAGES.1, LOG_BYTES.1) };
        if self.log_pages.get() != pages {
            pragma::<u32>(&self.connection, &format!("PRAGMA wal_autocheckpoint = {pages}"))?;
            pragma::<i64>(&self.connection, &format!("PRAGMA journal_size_limit = {bytes}"))?;
            self.log_pages.set(pages);
        }
        Ok(())
    }

    fn begin(&self, sql: &str) -> Result<Transaction<'_>> {
        self.run(sql)?;
        Ok(Transaction { open: self, done: false })
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql).and_then(|mut s| s.execute([])).map(drop).map_err(explain)
    }

    /// Whether the file at the path is no longer the one that is open.
    pub(super) fn has_moved(&self) -> Result<bool> {
        let mut moved = 0;
        self.connection.file_control(None::<&str>, FileControl::HasMoved(&mut moved)).map_err(explain)?;
        Ok(moved != 0)
    }

    pub(super) fn get(&self, key: &StoreKey) -> Result<Option<Entry>> {
        let mut select =
            self.connection.prepare_cached("SELECT value, version FROM kv WHERE key = ?1").map_err(explain)?;
        let read = |row: &rusqlite::Row<'_>| Ok(Entry { value: row.get(0)?, version: revision(row.get(1)?) });
        select.query_row([key.as_str()], read).optional().map_err(explain)
    }

    pub(super) fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        const FROM: &str = "SELECT key, value, version FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
        const AFTER: &str = "SELECT key, value, version FROM kv WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3";
        // DEL comes after every character that a key may have.
        let end = format!("{prefix}\x7f");
        let (sql, start) = match after {
            Some(after) if after.as_str() >= prefix => (AFTER, after.as_str()),
            _ => (FROM, prefix),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut select = self.connection.prepare_cached(sql).map_err(explain)?;
        let mut rows = select.query(params![start, end, limit]).map_err(explain)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(explain)? {
            let key = stored_key(row.get(0).map_err(explain)?)?;
            let version = revision(row.get(2).map_err(explain)?);
            found.push((key, Entry { value: row.get(1).map_err(explain)?, version }));
        }
        Ok(found)
    }

    /// What many changes are made with; inside a write transaction.
    pub(super) fn writing(&self) -> Result<Writing<'_>> {
        const PUT: &str = "INSERT INTO kv (key, value, version) VALUES (?1, ?2, ?3) \
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version";
        let prepared = |sql| self.connection.prepare_cached(sql).map_err(explain);
        Ok(Writing {
            open: self,
            version: prepared("SELECT version FROM kv WHERE key = ?1")?,
            put: prepared(PUT)?,
            feed: prepared("INSERT INTO changes (seq, key) VALUES (?1, ?2)")?,
        })
    }

    /// Closes it, with the log brought into the database and cut off where that is worth its while: who opens the store next, and
    /// alone, reads the whole log first. While other processes have the store, nobody will be alone, and they would wait.
    pub(super) fn leave(self, database: &Path) {
        let log = std::fs::symlink_metadata(database.with_extension("db-wal"));
        let is_last = self.mark.as_ref().is_some_and(ProcessMark::is_only);
        if is_last && !self.read_only && log.is_ok_and(|log| log.len() > LONG_LOG) {
            // Where others are in the way, or there is no space, the log stays as it is, and nothing is lost.
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }

    /// What SQLite finds wrong with the file and its indexes.
    pub(super) fn integrity(&self) -> Result<Vec<String>> {
        let mut check = self.connection.prepare("PRAGMA integrity_check(100)").map_err(explain)?;
        let rows = check.query_map([], |row| row.get::<_, String>(0)).map_err(explain)?;
        let mut found = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(explain)?;
        found.retain(|sentence| sentence != "ok");
        Ok(found)
    }

    /// Brings the whole log into the database and empties it; `false` where somebody reads it.
    pub(super) fn truncate_log(&self) -> Result<bool> {
        let busy: i64 = pragma(&self.connection, "PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(busy == 0)
    }

    /// The newest revision.
    pub(super) fn newest(&self) -> Result<Revision> {
        Ok(self.end_of_feed("SELECT seq FROM changes ORDER BY seq DESC LIMIT 1")?.unwrap_or_default())
    }

    fn end_of_feed(&self, sql: &str) -> Result<Option<Revision>> {
        let mut select = self.connection.prepare_cached(sql).map_err(explain)?;
        let seq = select.query_row([], |row| row.get::<_, i64>(0)).optional().map_err(explain)?;
        Ok(seq.map(|seq| revision(seq >> POSITION_BITS)))
    }

    /// Whole commits after `since`, about `limit` changes; inside a read transaction.
    pub(super) fn changes(&self, since: Revision, limit: usize) -> Result<Vec<Change>> {
        let oldest = self.end_of_feed("SELECT seq FROM changes ORDER BY seq LIMIT 1")?.unwrap_or_default();
        if since.0 < oldest.0.saturating_sub(1) {
            return Err(Error::new(ErrorKind::NotFound, "the change feed does not reach back that far"));
        }
        let Some(first) = i64::try_from(since.0).ok().and_then(|s| s.checked_add(1)?.checked_mul(1 << POSITION_BITS))
        else {
            return Ok(Vec::new());
        };
        const FEED: &str = "SELECT seq, key FROM changes WHERE seq >= ?1 ORDER BY seq";
        let mut select = self.connection.prepare_cached(FEED).map_err(explain)?;
        let mut rows = select.query([first]).map_err(explain)?;
        let (mut changes, mut whole): (Vec<Change>, usize) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(explain)? {
            let revision = revision(row.get::<_, i64>(0).map_err(explain)? >> POSITION_BITS);
            if changes.last().is_some_and(|last| last.revision != revision) {
                whole = changes.len();
            }
            if changes.len() >= limit.max(1) {
                // In the middle of a commit: drop its beginning, unless it is all there is.
                if whole > 0 {
                    changes.truncate(whole);
                    break;
                }
            }
            changes.push(Change { revision, key: stored_key(row.get(1).map_err(explain)?)? });
        }
        Ok(changes)
    }
}

/// The statements of a write transaction, looked up once for all of its changes.
pub(super) struct Writing<'a> {
    open: &'a Open,
    version: CachedStatement<'a>,
    put: CachedStatement<'a>,
    feed: CachedStatement<'a>,
}

impl Writing<'_> {
    pub(super) fn holds(&mut self, condition: &Condition) -> Result<bool> {
        let (key, wanted) = match condition {
            Condition::Absent(key) => (key, None),
            Condition::Version(key, version) => (key, Some(*version)),
        };
        let found = self.version.query_row([key.as_str()], |row| row.get(0)).optional().map_err(explain)?;
        Ok(found.map(revision) == wanted)
    }

    /// Writes `ops` as revision `number`.
    pub(super) fn apply(&mut self, number: Revision, ops: &[Op]) -> Result<()> {
        let number = i64::try_from(number.0).unwrap_or(i64::MAX >> POSITION_BITS);
        let connection = &self.open.connection;
        for (seq, op) in (number << POSITION_BITS..).zip(ops) {
            let key = match op {
                Op::Put(key, value) => {
                    self.put.execute(params![key.as_str(), value, number]).map_err(explain)?;
                    key
                }
                Op::Delete(key) => {
                    let mut delete = connection.prepare_cached("DELETE FROM kv WHERE key = ?1").map_err(explain)?;
                    delete.execute([key.as_str()]).map_err(explain)?;
                    key
                }
            };
            self.feed.execute(params![seq, key.as_str()]).map_err(explain)?;
        }
        if number % PRUNE_EVERY == 0 {
            let mut prune = connection.prepare_cached("DELETE FROM changes WHERE seq < ?1").map_err(explain)?;
            prune.execute([(number - KEPT) << POSITION_BITS]).map_err(explain)?;
        }
        Ok(())
    }
}

/// A transaction; rolled back unless it was committed.
pub(super) struct Transaction<'a> {
    open: &'a Open,
    done: bool,
}

impl Transaction<'_> {
    /// Makes it durable.
    pub(super) fn commit(mut self) -> Result<()> {
        self.open.run("COMMIT")?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.done && !self.open.connection.is_autocommit() {
            // Where even this fails, the caller closes the connection, which rolls back as well.
            let _ = self.open.run("ROLLBACK");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|m| (m.dev(), m.ino()))
}

/// Refuses links in the places of SQLite's own files. It follows them for these, and gives what they lead to the owner of
/// the database; who may only write to the home must not choose files for a process with more rights.
fn refuse_planted(database: &Path) -> Result<()> {
    for suffix in ["-wal", "-journal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        if std::fs::symlink_metadata(&path).is_ok_and(|m| !m.is_file() || m.nlink() > 1) {
            let what = format!("`{}` is a link or no ordinary file: remove it", path.display());
            return Err(Error::new(ErrorKind::HomeUnsafe, what));
        }
    }
    Ok(())
}

fn is_write_protected(path: &Path) -> bool {
    // Opening for writing changes nothing, and this is no file of SQLite, whose locks closing it could drop.
    let opened = std::fs::OpenOptions::new().write(true).open(path);
    opened.is_err_and(|e| matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem))
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let connection = Connection::open_with_flags(path, access | flags).map_err(explain)?;
    // No handler: whoever finds the store busy waits outside the lock, where a fork need not wait as well.
    connection.busy_timeout(std::time::Duration::ZERO).map_err(explain)?;
    connection.set_prepared_statement_cache_capacity(32);
    for (option, on) in [
        // Closing happens before every fork, and must not cost a checkpoint, nor delete the log under others.
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
        // Else SQLite, built with STAT4, plans every scan anew for its bounds, which takes four times as long as the scan.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        // The file is not trusted to hold anything but two tables.
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(option, on).map_err(explain)?;
    }
    let settings = format!(
        "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON; \
         PRAGMA cache_size = -65536; PRAGMA journal_size_limit = {};",
        LOG_BYTES.0
    );
    connection.execute_batch(&settings).map_err(explain)?;
    require_schema(&connection)?;
    Ok(connection)
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> Result<T> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(explain)
}

/// Makes sure that the file is ours, of a version we know, in WAL mode; an empty one becomes so.
fn require_schema(connection: &Connection) -> Result<()> {
    let header = || -> Result<(i64, i64)> {
        Ok((pragma(connection, "PRAGMA application_id")?, pragma(connection, "PRAGMA user_version")?))
    };
    if header()? == (0, 0) && tables(connection)?.is_empty() {
        set_wal(connection)?;
        create_schema(connection, &header)?;
    }
    let expected = match header()? {
        (APPLICATION, SCHEMA_VERSION) => SCHEMA.as_slice(),
        (APPLICATION, TREE_VERSION) => TREE.as_slice(),
        (APPLICATION, version) if version > SCHEMA_VERSION => {
            let what = format!(
                "the store has schema {version}, this kmss knows up to {SCHEMA_VERSION}: install the newer kmss that wrote it"
            );
            return Err(Error::new(ErrorKind::TooNew, what));
        }
        _ => {
            return Err(Error::new(
                ErrorKind::Damaged,
                "the store file was not made by kmss, or its header is damaged",
            ));
        }
    };
    let found = tables(connection)?;
    if !found.iter().map(|(name, sql)| (name.as_str(), sql.as_deref())).eq(expected.iter().copied()) {
        return Err(Error::new(
            ErrorKind::Damaged,
            "the store holds other tables than kmss makes: restore it from a backup",
        ));
    }
    set_wal(connection)
}

fn set_wal(connection: &Connection) -> Result<()> {
    let mode: String = pragma(connection, "PRAGMA journal_mode")?;
    if mode == "wal" || connection.is_readonly(MAIN_DB).map_err(explain)? {
        return Ok(());
    }
    match pragma::<String>(connection, "PRAGMA journal_mode = WAL")?.as_str() {
        "wal" => Ok(()),
        _ => Err(Error::new(
            ErrorKind::HomeUnsafe,
            "the home's file system cannot hold the store's log and shared memory",
        )),
    }
}

fn create_schema(connection: &Connection, header: &dyn Fn() -> Result<(i64, i64)>) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(explain)?;
    let made = header().and_then(|found| {
        if found == (0, 0) {
            for sql in SCHEMA.iter().filter_map(|(_, sql)| *sql) {
                connection.execute_batch(sql).map_err(explain)?;
            }
            let stamp = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA_VERSION};");
            connection.execute_batch(&stamp).map_err(explain)?;
        }
        connection.execute_batch("COMMIT").map_err(explain)
    });
    if made.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    made
}

/// Name and text of everything in the schema. What SQLite makes itself has no text.
fn tables(connection: &Connection) -> Result<Vec<(String, Option<String>)>> {
    let sql = "SELECT name, sql FROM sqlite_schema ORDER BY name";
    let mut select = connection.prepare(sql).map_err(explain)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(explain)?;
    rows.collect::<rusqlite::Result<_>>().map_err(explain)
}

fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or(0))
}

fn stored_key(text: String) -> Result<StoreKey> {
    StoreKey::new(text).map_err(|e| Error::new(ErrorKind::Damaged, "the store holds an impossible key").with_source(e))
}

#[cfg(test)]
impl Open {
    /// Makes the database full at `pages` pages.
    pub(super) fn limit_pages(&self, pages: u32) -> Result<()> {
        self.connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).map_err(explain)
    }
}
