#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::clock::SystemClock;
use crate::store::contract::{contract, key, put, write};

/// A store in a directory of its own that goes when the test ends.
pub(super) fn scratch() -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    (dir, store)
}

pub(super) fn open(home: &Path) -> Result<SqliteStore> {
    SqliteStore::open(home, FileMode::of_home(home)?, Arc::new(SystemClock::default()))
}

mod contract_of_sqlite {
    use super::*;

    /// A store that takes its directory with it.
    struct Scratch(SqliteStore, #[allow(dead_code)] tempfile::TempDir);

    impl Store for Scratch {
        fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
            self.0.get_many(keys)
        }
        fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
            self.0.scan(prefix, after, limit)
        }
        fn commit(&self, batch: &Batch) -> Result<Commit> {
            self.0.commit(batch)
        }
        fn changes(&self, since: Revision, limit: usize) -> Result<Vec<Change>> {
            self.0.changes(since, limit)
        }
        fn wait(&self, since: Revision, timeout: Duration) -> Result<Revision> {
            self.0.wait(since, timeout)
        }
        fn generation(&self) -> u64 {
            self.0.generation()
        }
    }

    contract!(|| {
        let (dir, store) = scratch();
        Arc::new(Scratch(store, dir))
    });

    /// The schema before this one is used as it is.
    mod of_one_tree {
        use super::*;

        contract!(|| {
            let dir = tempfile::tempdir().unwrap();
            one_tree(dir.path());
            Arc::new(Scratch(open(dir.path()).unwrap(), dir))
        });
    }
}

/// Makes a store of schema 1.
fn one_tree(home: &Path) {
    let raw = rusqlite::Connection::open(home.join("store.db")).unwrap();
    raw.execute_batch(
        "CREATE TABLE changes (seq INTEGER PRIMARY KEY, key TEXT NOT NULL); \
         CREATE TABLE kv (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID; \
         PRAGMA application_id = 0x4B4D5353; PRAGMA user_version = 1",
    )
    .unwrap();
}

#[test]
fn a_schema_is_held_against_its_own_version() {
    let dir = tempfile::tempdir().unwrap();
    one_tree(dir.path());
    let raw = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    raw.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(raw);
    assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let (dir, store) = scratch();
    let revision = write(&store, vec![put("a", b"1")]);
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.get(&key("a")).unwrap().unwrap().version, revision);
    assert!(write(&store, vec![put("a", b"2")]) > revision);
}

#[test]
fn two_handles_of_one_process_share_the_store_and_the_generation() {
    let (dir, store) = scratch();
    let other = open(dir.path()).unwrap();
    let before = other.generation();
    let batch = Batch { ops: vec![put("a", b"1")], invalidates: true, ..Batch::default() };
    assert!(matches!(store.commit(&batch).unwrap(), Commit::Committed(_)));
    assert_ne!(other.generation(), before);
    assert_eq!(other.get(&key("a")).unwrap().unwrap().value, b"1");
}

#[test]
fn every_file_takes_the_mode_of_the_home() {
    for (home, file) in [(0o700, 0o600), (0o2770, 0o660)] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(home)).unwrap();
        let store = open(dir.path()).unwrap();
        write(&store, vec![put("a", b"1")]);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o7777, file, "{:?}", entry.file_name());
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["store.db", "store.db-shm", "store.db-wal", "store.generation"]);
    }
}

#[test]
fn a_store_of_a_newer_schema_is_refused_and_stays_as_it_is() {
    let (dir, store) = scratch();
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    raw.execute_batch("PRAGMA user_version = 7").unwrap();
    drop(raw);
    let e = open(dir.path()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::TooNew);
    assert!(e.message().contains("install the newer kmss"));
}

#[test]
fn other_databases_and_garbage_are_refused_as_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    std::fs::write(&path, [b'x'; 8192]).unwrap();
    assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Damaged);
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_store_with_a_foreign_trigger_is_refused() {
    let (dir, store) = scratch();
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    raw.execute_batch("CREATE TRIGGER t AFTER INSERT ON kv BEGIN DELETE FROM kv; END").unwrap();
    drop(raw);
    assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_cut_or_overwritten_database_gives_errors_and_no_panic() {
    let (dir, store) = scratch();
    for i in 0..200 {
        write(&store, vec![put(&format!("k/{i}"), &[7; 700])]);
    }
    drop(store);
    let path = dir.path().join("store.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let good = std::fs::read(&path).unwrap();
    for start in (100..good.len()).step_by(1777) {
        let mut bad = good.clone();
        let end = (start + 600).min(bad.len());
        bad[start..end].fill(0xA5);
        std::fs::write(&path, &bad).unwrap();
        let _ = std::fs::remove_file(dir.path().join("store.db-wal"));
        let _ = std::fs::remove_file(dir.path().join("store.db-shm"));
        let Ok(store) = open(dir.path()) else { continue };
        let _ = store.scan("", None, 1000);
        let _ = store.changes(Revision(0), 1000);
        let _ = store.commit(&Batch { ops: vec![put("k/5", b"new")], ..Batch::default() });
    }
}

#[test]
fn a_busy_store_is_waited_for_and_given_up_at_the_deadline() {
    let (dir, store) = scratch();
    let store = store.with_patience(Duration::from_millis(50));
    let raw = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batch = Batch { ops: vec![put("a", b"1")], ..Batch::default() };
    assert_eq!(store.commit(&batch).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(store.get(&key("a")).unwrap(), None);
    raw.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(store.commit(&batch).unwrap(), Commit::Committed(_)));
}

#[test]
fn a_replaced_database_is_noticed_before_a_commit_gets_lost_in_the_old_one() {
    let (dir, store) = scratch();
    write(&store, vec![put("a", b"1")]);
    std::fs::rename(dir.path().join("store.db"), dir.path().join("old.db")).unwrap();
    let batch = Batch { ops: vec![put("a", b"2")], ..Batch::default() };
    for _ in 0..2 {
        assert_eq!(store.commit(&batch).unwrap_err().kind(), ErrorKind::HomeUnsafe);
    }
    // Nothing was put in its place, either.
    assert!(!dir.path().join("store.db").exists());
}

#[test]
fn a_full_disk_is_told_as_such_and_nothing_was_applied() {
    let (_dir, store) = scratch();
    write(&store, vec![put("a", b"1")]);
    let mut last = Ok(Vec::new());
    for i in 0..100 {
        let batch = Batch { ops: vec![put(&format!("k/{i}"), &[0; 4000])], ..Batch::default() };
        // The limit belongs to the connection, which any test that forks makes the store open anew.
        last = store.with(|open| open.limit_pages(8).and_then(|()| store.apply(open, &[(&batch, Vec::new())])));
        if last.is_err() {
            assert_eq!(store.get(&key(&format!("k/{i}"))).unwrap(), None);
            break;
        }
    }
    assert_eq!(last.unwrap_err().kind(), ErrorKind::Storage);
}

#[test]
fn the_write_ahead_log_stays_bounded() {
    let (dir, store) = scratch();
    for i in 0..1200_u32 {
        write(&store, vec![put(&format!("k/{}", i % 7), &[1; 3000])]);
    }
    let wal = std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len();
    assert!(wal < 9 << 20, "the log has {wal} bytes");
}

#[test]
fn the_log_of_many_batches_is_cut_off_when_few_come_again() {
    let (dir, store) = scratch();
    let log = || std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len();
    for round in 0..16_u32 {
        let batch = |i| Batch { ops: vec![put(&format!("k/{round:02}/{i:02}"), &[1; 20_000])], ..Batch::default() };
        let batches: Vec<_> = (0..64_u32).map(batch).collect();
        assert!(store.commit_each(&batches).unwrap().iter().all(|one| matches!(one, Commit::Committed(_))));
    }
    assert!(log() > 20 << 20, "the log has {} bytes", log());
    for _ in 0..4 {
        write(&store, vec![put("k", b"1")]);
    }
    assert!(log() < 9 << 20, "the log has {} bytes", log());
    assert_eq!(store.scan("k/", None, 2000).unwrap().len(), 1024);
}

#[test]
fn who_closes_the_store_leaves_no_long_log_to_the_next() {
    let (dir, store) = scratch();
    let other = open(dir.path()).unwrap();
    for i in 0..200_u32 {
        write(&store, vec![put(&format!("k/{i:03}"), &[1; 9000])]);
    }
    let log = || std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len();
    assert!(log() > 1 << 20, "the log has {} bytes", log());
    drop(store);
    assert_eq!(log(), 0);
    assert_eq!(other.scan("k/", None, 500).unwrap().len(), 200);
    write(&other, vec![put("k/more", b"1")]);
    let short = log();
    drop(other);
    assert_eq!(log(), short);
    assert_eq!(open(dir.path()).unwrap().scan("k/", None, 500).unwrap().len(), 201);
}

#[test]
fn what_a_killed_writer_left_of_the_generation_is_repaired_by_any_next_commit() {
    let (dir, store) = scratch();
    let before = store.generation();
    let mode = FileMode::of_home(dir.path()).unwrap();
    let dead = GenerationPage::open(&dir.path().join("store.generation"), mode).unwrap();
    std::mem::forget(dead.invalidate().unwrap());
    assert_ne!(store.generation(), store.generation());
    write(&store, vec![put("counter", b"1")]);
    assert_eq!(store.generation(), store.generation());
    assert_ne!(store.generation(), before);
}

#[test]
fn a_revocation_that_others_would_not_see_is_refused() {
    let (dir, store) = scratch();
    std::fs::remove_file(dir.path().join("store.generation")).unwrap();
    let batch = Batch { ops: vec![put("key", b"revoked")], invalidates: true, ..Batch::default() };
    for _ in 0..2 {
        assert_eq!(store.commit(&batch).unwrap_err().kind(), ErrorKind::HomeUnsafe);
        assert_eq!(store.get(&key("key")).map(|_| ()).unwrap_err().kind(), ErrorKind::HomeUnsafe);
    }
}

#[test]
fn a_link_planted_in_the_place_of_the_log_is_refused_and_not_followed() {
    for name in ["store.db-wal", "store.db-journal", "store.db-shm"] {
        let (dir, store) = scratch();
        drop(store);
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(elsewhere.path(), b"not yours").unwrap();
        let _ = std::fs::remove_file(dir.path().join(name));
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(name)).unwrap();
        assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::HomeUnsafe, "{name}");
        assert_eq!(std::fs::read(elsewhere.path()).unwrap(), b"not yours");
    }
}

#[test]
fn an_emptied_or_deleted_database_is_damage_and_its_log_is_kept() {
    for delete in [false, true] {
        let (dir, store) = scratch();
        write(&store, vec![put("a", b"1")]);
        drop(store);
        let (database, log) = (dir.path().join("store.db"), dir.path().join("store.db-wal"));
        let kept = std::fs::read(&log).unwrap();
        assert!(!kept.is_empty());
        if delete {
            std::fs::remove_file(&database).unwrap()
        } else {
            std::fs::write(&database, b"").unwrap()
        }
        assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(std::fs::read(&log).unwrap(), kept);
    }
    // Also without a log, once something was revoked.
    let (dir, store) = scratch();
    let batch = Batch { ops: vec![put("a", b"1")], invalidates: true, ..Batch::default() };
    assert!(matches!(store.commit(&batch).unwrap(), Commit::Committed(_)));
    drop(store);
    std::fs::write(dir.path().join("store.db"), b"").unwrap();
    std::fs::remove_file(dir.path().join("store.db-wal")).unwrap();
    assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn commits_that_a_damaged_log_or_an_older_copy_lacks_are_missed() {
    let (dir, store) = scratch();
    let file = |name: &str| dir.path().join(name);
    write(&store, vec![put("a", b"1")]);
    let before: Vec<_> = ["store.db", "store.db-wal"].map(|name| (name, std::fs::read(file(name)).unwrap())).into();
    for n in 0..20_u8 {
        write(&store, vec![put("b", &[n; 100])]);
    }
    drop(store);
    let whole = std::fs::read(file("store.db-wal")).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(file("store.db-wal"), &damaged).unwrap();
    let lacking = open(dir.path()).map(drop).unwrap_err();
    assert_eq!(lacking.kind(), ErrorKind::Damaged);
    assert!(lacking.to_string().contains("lacks its last"), "{lacking}");
    for (name, content) in &before {
        std::fs::write(file(name), content).unwrap();
    }
    assert_eq!(open(dir.path()).map(drop).unwrap_err().kind(), ErrorKind::Damaged);
    // Whoever wants the older copy says so.
    std::fs::remove_file(file("store.generation")).unwrap();
    assert_eq!(open(dir.path()).unwrap().get(&key("b")).unwrap(), None);
}
