//! Keepers and readers among others: where archives may be, who goes on with what, what was done before.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use audit_archive::Verdict as Judged;
use libkmss::audit::keep::Keeper;
use libkmss::audit::seal::{SealSettings, Sealer};
use libkmss::audit::{AuditFollower, AuditSink as _, Cursor, Irregularity};
use libkmss::clock::SystemClock;
use libkmss::error::{ErrorKind, Result};
use libkmss::key::DomainKey;
use libkmss::secret::Secret;
use libkmss::store::{Batch, Change, Commit, Entry, Op, Revision, Store, StoreKey};
use libkmss::suite::Suite;

use crate::double::{Example, FileStore, Home, Numbers};
use crate::keeping::{NOW, alone, archive, ids, lineage, sealed, to, tree, whole};

/// A home with three segments that lie idle, as processes that worked at one time leave them.
fn idle() -> Home {
    let home = Home::new(Suite::Nist);
    let sinks = [(); 3].map(|()| home.sink());
    for sink in &sinks {
        sink.record(&Example::default().event()).unwrap();
    }
    sinks.iter().for_each(|sink| sink.close().unwrap());
    home.seal();
    assert_eq!(ids(&home).len(), 3);
    home
}

#[test]
fn no_archive_is_made_where_a_home_has_its_audit() {
    let (home, other) = (sealed(Suite::Nist), sealed(Suite::Nist));
    home.keep(|k| k.compress(NOW, 1, &mut |_| ())).unwrap();
    let link = home.root.path().join("link");
    std::os::unix::fs::symlink(home.dir(), &link).unwrap();
    // The first one with a lock that its keeper made.
    home.keep(|k| k.compress(NOW, 0, &mut |_| ())).unwrap();
    let (before, of_other) = (tree(&home.dir()), tree(&other.dir()));
    let within = [home.dir().join("log"), home.dir().join("new"), link.join("new"), home.dir().join("log/../new")];
    for path in [home.dir(), link.clone(), other.dir()].iter().chain(&within) {
        let refused = home.keep(|keeper| keeper.archive(&to(path, true), &mut |_| ())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Arguments, "{}: {refused}", path.display());
        assert_eq!((tree(&home.dir()), tree(&other.dir())), (before.clone(), of_other.clone()), "{}", path.display());
    }
    // That of a home where nothing was sealed yet.
    let young = Home::new(Suite::Nist);
    young.write(3);
    let before = tree(&young.dir());
    let refused = home.keep(|keeper| keeper.archive(&to(&young.dir(), true), &mut |_| ())).unwrap_err();
    assert_eq!((refused.kind(), tree(&young.dir())), (ErrorKind::Arguments, before));
    whole(&home, &[]);
}

#[test]
fn the_writer_of_removals_goes_on_with_no_segment_that_is_to_go() {
    for archived in [false, true] {
        let home = idle();
        let names = ids(&home);
        if archived {
            let folder = tempfile::tempdir().unwrap();
            let done = archive(&home, folder.path(), true);
            assert_eq!((done.removed, done.left.as_slice()), (3, &[][..]), "{done:?}");
        } else {
            let done = home.keep(|k| k.prune(NOW, usize::MAX, true, &mut |_| ())).unwrap();
            assert_eq!((done.segments.len(), done.left.as_slice()), (3, &[][..]), "{done:?}");
        }
        assert!(names.iter().all(|id| !ids(&home).contains(id)));
        home.seal();
        whole(&home, &[]);
    }
}

#[test]
fn what_proves_a_copy_is_seen_to_before_the_segment_goes() {
    let home = sealed(Suite::Nist);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    archive(&home, &path, false);
    home.write(300);
    home.seal();
    fs::remove_file(path.join(format!("{}.leaves.json", ids(&home)[0]))).unwrap();
    fs::write(path.join("log/tile/0/001"), "x").unwrap();
    assert_eq!(alone(&path, Some(&lineage(&home))).verdict, Judged::Tampered);
    let done = archive(&home, &path, true);
    assert_eq!((done.removed, done.left.len()), (4, 0), "{done:?}");
    let report = alone(&path, Some(&lineage(&home)));
    assert_eq!((report.verdict, report.records), (Judged::Whole, 908), "{report:#?}");
}

#[test]
fn a_reader_that_stopped_where_a_segment_was_closed_before_has_the_rest_after_it_is_compressed() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    let mut reader = AuditFollower::new(home.dir(), Cursor::default());
    assert_eq!(reader.read(100, usize::MAX).unwrap().records.len(), 7);
    let cursor = reader.cursor().clone();
    assert!(cursor.segments.values().all(|position| position.closed));
    home.write(4);
    home.seal();
    home.keep(|k| k.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
    assert_eq!((home.files().len(), home.packed().len()), (0, 1));
    for reader in [&mut reader, &mut AuditFollower::new(home.dir(), cursor)] {
        assert!(reader.lag().unwrap() > 0);
        let rest = reader.read(100, usize::MAX).unwrap();
        assert_eq!((rest.records.len(), rest.irregularities.len()), (6, 0));
        assert!(reader.read(100, usize::MAX).unwrap().records.is_empty());
    }
}

#[test]
fn a_compressed_segment_that_was_cut_keeps_no_reader_from_the_others() {
    let home = sealed(Suite::Nist);
    home.keep(|k| k.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
    let path = home.packed()[1].clone();
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    let mut reader = AuditFollower::new(home.dir(), Cursor::default());
    let found = reader.read(usize::MAX, usize::MAX).unwrap();
    assert_eq!(found.irregularities, [Irregularity::NoRecord(ids(&home)[1].clone())]);
    assert_eq!((found.records.len(), reader.lag().unwrap()), (404, 0));
    assert!(reader.read(9, usize::MAX).unwrap().irregularities.is_empty(), "it is said once");
    // Whoever brings it back has it read.
    fs::write(&path, good).unwrap();
    assert_eq!(
        AuditFollower::new(home.dir(), reader.cursor().clone()).read(999, usize::MAX).unwrap().records.len(),
        202
    );
}

/// A store whose fence is in the way of the first removals.
struct Fenced(FileStore, AtomicU32);

impl Store for Fenced {
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
        self.0.get_many(keys)
    }

    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        self.0.scan(prefix, after, limit)
    }

    fn commit(&self, batch: &Batch) -> Result<Commit> {
        let removal = |op: &Op| matches!(op, Op::Put(key, _) if key.as_str().starts_with("audit/seal/removed/"));
        if batch.ops.iter().any(removal) && self.1.fetch_add(1, Ordering::SeqCst) < 3 {
            return Ok(Commit::Conflict);
        }
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

#[test]
fn a_removal_that_meets_a_rotation_is_sealed_anew() {
    let home = sealed(Suite::Nist);
    let key = DomainKey::expand(home.suite, 1, &Secret::copy_of(&[7; 32])).unwrap();
    let sealer = Sealer::new(
        home.dir(),
        Arc::new(|_| Ok(())),
        home.suite,
        Arc::new(Fenced(home.store(), AtomicU32::new(0))),
        Arc::new(key),
        Arc::new(Numbers),
        Arc::new(SystemClock::default()),
        SealSettings::default(),
    );
    libkmss::audit::use_codec(crate::double::CODEC);
    let sink = home.sink();
    let keeper = Keeper { sealer: &sealer, sink: &sink, cursors: Path::new("none"), anchors: &[], principal: "" };
    let done = keeper.prune(NOW, usize::MAX, true, &mut |_| ()).unwrap();
    assert_eq!(done.segments.len(), 3);
    whole(&home, &[]);
}
