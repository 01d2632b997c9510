//! The log kept for years: compressed, archived, removed, and read as if nothing had been.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit_archive::{Demands as Asked, Report as Alone, Verdict as Judged};
use audit_proof::{Lineage, RecordProof};
use libkmss::audit::keep::{ArchiveOptions, Archived, Stays};
use libkmss::audit::seal::{Demands, RecordName, SealOptions};
use libkmss::audit::{
    AuditFollower, AuditOptions, AuditSink, AuditTail, Cursor, Filter, Report, SegmentId, Status, Verdict,
};
use libkmss::clock::Timestamp;
use libkmss::error::ErrorKind;
use libkmss::os::FileMode;
use libkmss::suite::Suite;

use crate::double::{Example, Home};

pub(crate) const NOW: Duration = Duration::ZERO;

/// Writes three closed segments of some hundred records, of which nobody goes on with the first two.
pub(crate) fn three(home: &Home) {
    for count in [300, 200, 100] {
        let sink = home.sink_with(AuditOptions { resume: false, ..AuditOptions::default() });
        (0..count).for_each(|_| sink.record(&Example::default().event()).unwrap());
        sink.close().unwrap();
    }
}

pub(crate) fn sealed(suite: Suite) -> Home {
    let home = Home::new(suite);
    three(&home);
    home.seal();
    home
}

pub(crate) fn ids(home: &Home) -> Vec<SegmentId> {
    let all = fs::read_dir(home.dir()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = all.filter_map(|name| SegmentId::of_file(&name).map(|(id, _)| id)).collect();
    found.sort();
    found.dedup();
    found
}

#[track_caller]
pub(crate) fn whole(home: &Home, archives: &[PathBuf]) -> Report {
    let report = home.check(&Demands { archives: archives.to_vec(), ..Demands::default() });
    assert_eq!(report.verdict, Verdict::Whole, "{report:#?}");
    report
}

pub(crate) fn to(path: &Path, delete: bool) -> ArchiveOptions {
    ArchiveOptions { to: path.to_owned(), before: None, delete }
}

pub(crate) fn archive(home: &Home, path: &Path, delete: bool) -> Archived {
    home.keep(|keeper| keeper.archive(&to(path, delete), &mut |_| ())).unwrap()
}

pub(crate) fn lineage(home: &Home) -> Lineage {
    home.sealer().lineage().unwrap().unwrap()
}

/// Verified without the home.
pub(crate) fn alone(path: &Path, keys: Option<&Lineage>) -> Alone {
    audit_archive::check(path, &Asked { keys, manifest: None }, &mut |_| ()).unwrap()
}

fn raws(home: &Home) -> Vec<String> {
    let filter = Filter::default();
    AuditTail::new(home.dir(), filter).last(usize::MAX).unwrap().into_iter().map(|entry| entry.raw).collect()
}

#[test]
fn a_compressed_segment_is_read_as_the_plain_one_was() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = sealed(suite);
        let (before, size) = (raws(&home), AuditTail::new(home.dir(), Filter::default()).size().unwrap());
        let mut half = AuditFollower::new(home.dir(), Cursor::default());
        half.read(400, usize::MAX).unwrap();
        let cursor = half.cursor().clone();
        let done = home.keep(|keeper| keeper.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
        assert_eq!((done.segments, done.left.len(), home.files().len(), home.packed().len()), (3, 0, 0, 3));
        assert!(done.bytes == size && done.file_bytes * 3 < done.bytes, "{done:?}");
        assert_eq!(raws(&home), before);
        assert_eq!(AuditTail::new(home.dir(), Filter::default()).size().unwrap(), size);
        let mut seen = 0;
        AuditTail::new(home.dir(), Filter::default()).visit(&mut |_| seen += 1).unwrap();
        assert_eq!(seen, before.len());
        assert_eq!(AuditTail::new(home.dir(), Filter::default()).poll().unwrap().len(), before.len());
        // Whoever had read a part goes on there, and has all at the end.
        let mut half = AuditFollower::new(home.dir(), cursor);
        assert!(half.lag().unwrap() > 0);
        let rest = half.read(usize::MAX, usize::MAX).unwrap();
        assert!(
            rest.irregularities.is_empty() && rest.records.len() == before.len() - 400,
            "{:?}",
            rest.irregularities
        );
        assert_eq!((half.lag().unwrap(), half.read(9, usize::MAX).unwrap().records.len()), (0, 0));
        let report = whole(&home, &[]);
        assert!(report.segments.iter().all(|s| s.status == Status::Closed) && report.other_files.is_empty());
        assert_eq!(report.seal.unwrap().checked, before.len() as u64);
        let name: RecordName = format!("{}:150", ids(&home)[0]).parse().unwrap();
        home.sealer().prove(&name, false).unwrap();
        // Life goes on in another segment, and a second time there is nothing to do.
        home.write(10);
        assert_eq!((home.seal().records, home.files().len()), (12, 1));
        let again = home.keep(|keeper| keeper.compress(Duration::from_secs(3600), usize::MAX, &mut |_| ())).unwrap();
        assert_eq!((again.segments, again.already), (0, 3));
        assert_eq!(again.left[0].stays, Stays::Young);
        assert_eq!(whole(&home, &[]).segments.len(), 4);
    }
}

#[test]
fn what_is_open_or_not_sealed_is_left_alone() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    sink.record(&Example::default().event()).unwrap();
    home.seal();
    let stays = |home: &Home| {
        let done = home.keep(|keeper| keeper.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
        assert_eq!((done.segments, home.packed().len()), (0, 0));
        done.left[0].stays.clone()
    };
    assert_eq!(stays(&home), Stays::Open);
    sink.close().unwrap();
    assert_eq!(stays(&home), Stays::Unsealed);
    home.seal();
    let done = home.keep(|keeper| keeper.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
    assert_eq!(done.segments, 1);
    // The sink goes on, and not in what is compressed.
    sink.record(&Example::default().event()).unwrap();
    sink.close().unwrap();
    assert_eq!((home.files().len(), home.packed().len()), (1, 1));
    home.seal();
    whole(&home, &[]);
}

#[test]
fn what_was_changed_is_neither_compressed_nor_archived_nor_removed() {
    let home = sealed(Suite::Nist);
    let path = home.files()[1].clone();
    let text = fs::read_to_string(&path).unwrap().replacen("www-data", "nobodyyy", 1);
    fs::write(&path, &text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let compressed = home.keep(|keeper| keeper.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
    assert_eq!((compressed.segments, compressed.left.len(), &compressed.left[0].stays), (2, 1, &Stays::Contradicts));
    let archived = archive(&home, &folder.path().join("a"), true);
    assert_eq!((archived.copied, archived.removed, archived.left.len()), (2, 2, 1));
    assert_eq!(archived.left[0].stays, Stays::Contradicts);
    let pruned = home.keep(|keeper| keeper.prune(NOW, usize::MAX, true, &mut |_| ())).unwrap();
    assert!(pruned.left.iter().any(|left| left.stays == Stays::Contradicts));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(home.check(&Demands::default()).verdict, Verdict::Tampered);
}

/// All files below a folder, with their content.
pub(crate) fn tree(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn an_archive_is_verified_alone_and_a_second_run_changes_nothing() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = sealed(suite);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let done = archive(&home, &path, false);
        assert_eq!((done.copied, done.already, done.removed, done.left.len()), (3, 0, 0, 0));
        assert_eq!(done.records, 606);
        for known in [None, Some(lineage(&home))] {
            let report = alone(&path, known.as_ref());
            assert_eq!(report.verdict, Judged::Whole, "{report:#?}");
            assert_eq!((report.records, report.size, report.absent.len()), (606, 606, 0));
            assert_eq!(report.key_given, known.is_some());
        }
        let before = tree(&path);
        let again = archive(&home, &path, false);
        assert_eq!((again.copied, again.already, again.manifest), (0, 3, done.manifest));
        assert_eq!(tree(&path), before);
        // A log goes on, with another key: the archive does, too.
        home.write(500);
        home.sealer().seal(&SealOptions { new_epoch: true, ..SealOptions::default() }).unwrap();
        assert_eq!((archive(&home, &path, false).copied, home.files().len()), (1, 4));
        let report = alone(&path, Some(&lineage(&home)));
        assert_eq!((report.verdict, report.records), (Judged::Whole, 1108), "{report:#?}");
        // Who knew the root key before, needs no other.
        let root = Lineage::new(lineage(&home).root().clone()).unwrap();
        assert_eq!(alone(&path, Some(&root)).verdict, Judged::Whole);
    }
}

#[test]
fn a_log_whose_segments_are_elsewhere_goes_on_and_is_proven_where_they_are_given() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = sealed(suite);
        let (names, all) = (ids(&home), raws(&home));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        // Some of it had been compressed before.
        home.keep(|keeper| keeper.compress(NOW, 1, &mut |_| ())).unwrap();
        let done = archive(&home, &path, true);
        assert_eq!((done.copied, done.removed, done.left.len()), (3, 3, 0), "{done:?}");
        assert!(names.iter().all(|id| !ids(&home).contains(id)));
        let report = whole(&home, &[]);
        let archived = report.segments.iter().filter(|s| s.status == Status::Archived);
        assert_eq!(archived.map(|s| s.removed.as_ref().unwrap().records).sum::<u64>(), 606);
        assert_eq!(report.seal.unwrap().removed, 606);
        // The records of the removals are in the trail, and sealed.
        assert_eq!(home.seal().records, 5);
        let removals: Vec<_> = AuditTail::new(home.dir(), Filter::default()).last(99).unwrap();
        let removals: Vec<_> = removals.iter().filter_map(|e| e.record.removed.as_ref()).collect();
        assert_eq!(removals.iter().map(|r| r.segment.clone()).collect::<Vec<_>>(), names);
        let archives = [path.clone()];
        let report = whole(&home, &archives);
        assert!(report.segments.iter().all(|s| s.removed.is_none()));
        assert_eq!(report.segments.iter().filter(|s| s.archive.is_some()).count(), 3);
        assert_eq!(report.seal.as_ref().map(|s| (s.removed, s.checked)), Some((0, 611)));
        let mut read = AuditTail::new(home.dir(), Filter::default()).with_archives(archives.to_vec());
        assert_eq!(read.last(usize::MAX).unwrap().len(), all.len() + 5);
        // Proofs.
        let name: RecordName = format!("{}:77", names[0]).parse().unwrap();
        let refused = home.sealer().prove(&name, false).unwrap_err();
        assert!(refused.kind() == ErrorKind::NotFound && refused.to_string().contains("--archive"), "{refused}");
        let proof = home.sealer().prove_from(&name, false, &archives).unwrap().to_string();
        RecordProof::parse(&proof).unwrap().verify(None, &lineage(&home)).unwrap();
        // The log goes on, and its files are made anew where somebody removed them.
        home.write(700);
        home.seal();
        let newest = home.dir().join("log/tile/0/005.p");
        fs::remove_dir_all(newest).unwrap();
        home.write(1);
        home.seal();
        assert_eq!(home.sealer().seal(&SealOptions { repair: true, ..SealOptions::default() }).unwrap().repaired, 0);
        let report = whole(&home, &[]);
        assert_eq!(report.seal.unwrap().removed, 606);
        assert_eq!(archive(&home, &path, true).removed, 1);
        assert_eq!(alone(&path, None).verdict, Judged::Whole);
        whole(&home, &archives);
    }
}

#[test]
fn old_segments_go_when_anchors_and_readers_have_them_and_a_record_says_so() {
    let home = sealed(Suite::Nist);
    let names = ids(&home);
    let cursors = home.root.path().join("cursors");
    fs::create_dir(&cursors).unwrap();
    let mut reader = AuditFollower::new(home.dir(), Cursor::default());
    reader.read(400, usize::MAX).unwrap();
    let place = cursors.join(Cursor::file_name("far"));
    let mode = FileMode::of_home(home.root.path()).unwrap();
    reader.cursor().store(&place, mode).unwrap();
    let anchors = ["safe".to_owned()];
    let prune = |for_good| home.keep_with(&anchors, |k| k.prune(NOW, usize::MAX, for_good, &mut |_| ())).unwrap();
    let stays = |id: &SegmentId| {
        let done = prune(true);
        assert!(done.segments.iter().all(|one| one.segment != *id));
        done.left.into_iter().find(|left| left.segment == *id).map(|left| left.stays)
    };
    assert_eq!(stays(&names[0]), Some(Stays::Unanchored { anchor: "safe".to_owned() }));
    let told = libkmss::audit::seal::Anchored { size: 302, time: Timestamp(1) };
    home.sealer().keep_anchored("safe", told, None).unwrap();
    assert_eq!(stays(&names[1]), Some(Stays::Unanchored { anchor: "safe".to_owned() }));
    // The first is gone by now; of the others not all was delivered.
    assert!(!ids(&home).contains(&names[0]) && ids(&home).contains(&names[1]));
    let told = libkmss::audit::seal::Anchored { size: 606, time: Timestamp(1) };
    home.sealer().keep_anchored("safe", told, None).unwrap();
    assert_eq!(stays(&names[2]), Some(Stays::Awaited { by: vec!["far".to_owned()] }));
    let old = Duration::from_secs(86_400);
    assert!(home.keep(|k| k.prune(old, usize::MAX, true, &mut |_| ())).unwrap().segments.is_empty());
    fs::remove_file(&place).unwrap();
    let dry = prune(false);
    assert!(!dry.removed && dry.segments.iter().any(|one| one.segment == names[2]) && ids(&home).contains(&names[2]));
    prune(true);
    assert!(names.iter().all(|id| !ids(&home).contains(id)));
    let report = whole(&home, &[]);
    let expired: Vec<_> = report.segments.iter().filter(|s| s.status == Status::Expired).collect();
    assert_eq!(expired.len(), 3);
    assert!(expired.iter().all(|s| s.removed.as_ref().unwrap().principal == "user:keeper"));
    // What says so may be removed in its turn.
    home.seal();
    home.sealer().keep_anchored("safe", libkmss::audit::seal::Anchored { size: 1 << 20, ..told }, None).unwrap();
    home.write(3);
    home.seal();
    let more = prune(true);
    assert!(!more.segments.is_empty(), "{more:?}");
    home.seal();
    whole(&home, &[]);
    assert!(home.sealer().prove(&format!("{}:5", names[0]).parse().unwrap(), false).is_err());
}

#[test]
fn an_archive_of_another_log_or_a_folder_with_other_files_is_not_written_to() {
    let (one, other) = (sealed(Suite::Nist), sealed(Suite::Nist));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    archive(&one, &path, false);
    let refused = other.keep(|keeper| keeper.archive(&to(&path, true), &mut |_| ())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Arguments, "{refused}");
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("holiday.jpg"), "x").unwrap();
    let refused = other.keep(|keeper| keeper.archive(&to(&full, true), &mut |_| ())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Arguments, "{refused}");
    assert_eq!((ids(&other).len(), tree(&full).len()), (3, 1));
    let unsealed = Home::new(Suite::Nist);
    three(&unsealed);
    let refused = unsealed.keep(|keeper| keeper.archive(&to(&folder.path().join("new"), true), &mut |_| ()));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
}
