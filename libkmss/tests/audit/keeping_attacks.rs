//! Compressed, archived and removed segments attacked: each attack is named, and none is taken for what a keeper does.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use audit_archive::{Found as Bad, Packed, Report as Alone, Verdict as Judged};
use libkmss::audit::seal::{Demands, SealFound};
use libkmss::audit::{Found, Report, Status, Verdict};
use libkmss::suite::Suite;

use crate::double::Home;
use crate::keeping::{NOW, alone, archive, ids, lineage, sealed, tree, whole};

/// A home whose three segments are in an archive and nowhere else, and the removals sealed.
struct Scene {
    home: Home,
    _folder: tempfile::TempDir,
    archive: PathBuf,
    names: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let home = sealed(Suite::Nist);
        let names = ids(&home).iter().map(ToString::to_string).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        assert_eq!(archive(&home, &path, true).removed, 3);
        home.seal();
        whole(&home, std::slice::from_ref(&path));
        Self { home, _folder: folder, archive: path, names }
    }

    fn packed(&self, number: usize) -> PathBuf {
        self.archive.join(format!("{}.jsonl.zst", self.names[number]))
    }

    fn alone(&self) -> Alone {
        alone(&self.archive, Some(&lineage(&self.home)))
    }

    /// What the home says with the archive, and without it.
    fn with_and_without(&self) -> (Report, Report) {
        let archives = vec![self.archive.clone()];
        (self.home.check(&Demands { archives, ..Demands::default() }), self.home.check(&Demands::default()))
    }
}

pub(crate) fn unpack(path: &Path) -> String {
    let mut text = String::new();
    Packed::open(fs::File::open(path).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn repack(path: &Path, text: &str) {
    let mut out = Vec::new();
    audit_archive::pack(&mut text.as_bytes(), &mut out).unwrap();
    fs::write(path, out).unwrap();
}

fn names<T: serde::Serialize>(found: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    found.into_iter().map(|f| serde_json::to_value(f).unwrap().as_str().unwrap().to_owned()).collect()
}

#[track_caller]
pub(crate) fn named(report: &Report, log: &[Found], seal: &[SealFound]) {
    let of_log = report.segments.iter().flat_map(|s| &s.findings).chain(&report.findings).map(|f| f.found);
    assert_eq!(names(of_log), names(log), "{report:#?}");
    let of_seal = report.seal.iter().flat_map(|s| &s.findings).map(|f| f.found);
    assert_eq!(names(of_seal), names(seal), "{report:#?}");
    assert_eq!(report.verdict == Verdict::Tampered, !(log.is_empty() && seal.is_empty()));
}

#[track_caller]
pub(crate) fn judged(report: &Alone, found: &[Bad]) {
    let all = report.segments.iter().flat_map(|s| &s.findings).chain(&report.findings).map(|f| f.found);
    assert_eq!(names(all), names(found), "{report:#?}");
    assert_eq!(report.verdict == Judged::Tampered, !found.is_empty());
}

/// The records that a verifier of an archive names.
pub(crate) fn records(report: &Alone, found: Bad) -> Vec<(u64, u64)> {
    let of = report.segments.iter().flat_map(|s| &s.findings).filter(|f| f.found == found);
    of.map(|f| (f.first.unwrap(), f.last.unwrap())).collect()
}

#[test]
fn a_segment_that_somebody_merely_deletes_is_missing_though_others_were_removed() {
    for compressed in [false, true] {
        let scene = Scene::new();
        if compressed {
            scene.home.keep(|k| k.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
        }
        let last = if compressed { scene.home.packed() } else { scene.home.files() };
        fs::remove_file(&last[0]).unwrap();
        named(&scene.with_and_without().1, &[Found::Missing], &[SealFound::RecordMissing]);
    }
}

#[test]
fn a_removal_that_was_not_recorded_by_the_home_does_not_excuse_a_missing_segment() {
    for forged in [true, false] {
        let home = sealed(Suite::Nist);
        crate::keeping::three(&home);
        home.seal();
        let victim = ids(&home)[4].clone();
        let folder = tempfile::tempdir().unwrap();
        let kept = ids(&home)[0].clone();
        let before = libkmss::clock::Timestamp(ids(&home)[1].millis());
        let options =
            libkmss::audit::keep::ArchiveOptions { to: folder.path().join("a"), before: Some(before), delete: true };
        let done = home.keep(|keeper| keeper.archive(&options, &mut |_| ())).unwrap();
        assert_eq!(done.removed, 1, "{done:?}");
        home.seal();
        fs::remove_file(home.dir().join(victim.file_name())).unwrap();
        // Who can write the store and not open the home, copies what is there, or invents something.
        home.store().tamper(|map| {
            let (revision, value) = map[&format!("audit/seal/removed/{kept}")].clone();
            let value = if forged { b"{}".to_vec() } else { value };
            map.insert(format!("audit/seal/removed/{victim}"), (revision, value));
        });
        named(&home.check(&Demands::default()), &[Found::Missing], &[SealFound::RecordMissing]);
    }
}

#[test]
fn a_removal_whose_record_is_gone_before_it_was_sealed_is_named() {
    let home = sealed(Suite::Nist);
    let folder = tempfile::tempdir().unwrap();
    archive(&home, &folder.path().join("archive"), true);
    let lines = home.lines();
    // The genesis record stays; the store still knows the end.
    home.rewrite(&lines[..1]);
    named(&home.check(&Demands::default()), &[Found::Truncated], &[SealFound::RemovalUnrecorded]);
    fs::remove_file(&home.files()[0]).unwrap();
    named(&home.check(&Demands::default()), &[Found::Missing], &[SealFound::RemovalUnrecorded]);
}

#[test]
fn hashes_of_removed_records_that_were_changed_or_erased_break_the_root() {
    let scene = Scene::new();
    let tile = scene.home.dir().join("log/tile/0/000");
    let good = fs::read(&tile).unwrap();
    let mut bad = good.clone();
    bad[77 * 32] ^= 1;
    fs::write(&tile, &bad).unwrap();
    let report = scene.with_and_without().1;
    assert_eq!(report.verdict, Verdict::Tampered);
    let found = names(report.seal.iter().flat_map(|s| &s.findings).map(|f| f.found));
    assert!(found.contains("root-wrong") && found.contains("records-unknown"), "{report:#?}");
    fs::remove_file(&tile).unwrap();
    let report = scene.with_and_without().1;
    let found = names(report.seal.iter().flat_map(|s| &s.findings).map(|f| f.found));
    assert!(found.contains("root-wrong"), "{report:#?}");
    // With the archive the records are there, and the tile is made anew from nothing but them.
    named(&scene.with_and_without().0, &[], &[SealFound::TileMissing]);
    fs::write(&tile, good).unwrap();
    whole(&scene.home, &[]);
}

#[test]
fn an_altered_record_of_an_archive_is_named_by_its_number() {
    let scene = Scene::new();
    let text = unpack(&scene.packed(1));
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let edited = lines[70].replacen("www-data", "nobodyyy", 1);
    let changed = [&lines[..70].concat(), &edited, &lines[71..].concat()].map(String::as_str).concat();
    repack(&scene.packed(1), &changed);
    let alone = scene.alone();
    judged(&alone, &[Bad::FileChanged, Bad::RecordChanged]);
    assert_eq!(records(&alone, Bad::RecordChanged), [(70, 70)]);
    let (with, without) = scene.with_and_without();
    named(&with, &[Found::Edited], &[SealFound::RecordChanged]);
    named(&without, &[], &[]);
    // Records taken out, repeated, added.
    let parts = |parts: &[&[&str]]| parts.concat().concat();
    repack(&scene.packed(1), &parts(&[&lines[..70], &lines[75..]]));
    let alone = scene.alone();
    judged(&alone, &[Bad::FileChanged, Bad::RecordMissing]);
    assert_eq!(records(&alone, Bad::RecordMissing), [(70, 74)]);
    named(&scene.with_and_without().0, &[Found::Removed], &[SealFound::RecordMissing]);
    repack(&scene.packed(1), &parts(&[&lines[..70], &lines[69..]]));
    judged(&scene.alone(), &[Bad::FileChanged, Bad::Inserted]);
    named(&scene.with_and_without().0, &[Found::Duplicated], &[]);
    repack(&scene.packed(1), &parts(&[&lines[..150]]));
    let alone = scene.alone();
    assert_eq!(records(&alone, Bad::RecordMissing), [(150, 201)]);
    named(&scene.with_and_without().0, &[Found::Truncated], &[SealFound::RecordMissing]);
}

#[test]
fn files_of_an_archive_that_are_swapped_cut_or_gone_are_named() {
    let scene = Scene::new();
    let (one, two) = (fs::read(scene.packed(0)).unwrap(), fs::read(scene.packed(1)).unwrap());
    fs::write(scene.packed(0), &two).unwrap();
    fs::write(scene.packed(1), &one).unwrap();
    let alone = scene.alone();
    assert_eq!(alone.verdict, Judged::Tampered);
    assert!(alone.segments[..2].iter().all(|s| s.records == 0 && !s.findings.is_empty()), "{alone:#?}");
    assert_eq!(scene.with_and_without().0.verdict, Verdict::Tampered);
    fs::write(scene.packed(0), &one).unwrap();
    for len in [0, 8, two.len() / 2, two.len() - 1] {
        fs::write(scene.packed(1), &two[..len]).unwrap();
        let alone = scene.alone();
        judged(&alone, &[Bad::FileChanged, Bad::Damaged, Bad::RecordMissing]);
        assert_eq!(records(&alone, Bad::RecordMissing), [(0, 201)]);
        let (with, without) = scene.with_and_without();
        named(&with, &[Found::PackedDamaged, Found::Truncated], &[SealFound::RecordMissing]);
        named(&without, &[], &[]);
    }
    fs::remove_file(scene.packed(1)).unwrap();
    let alone = scene.alone();
    judged(&alone, &[Bad::FileMissing, Bad::RecordMissing]);
    // The home does not claim to know more of it than hashes.
    let with = scene.with_and_without().0;
    named(&with, &[], &[]);
    assert_eq!(with.segments.iter().filter(|s| s.status == Status::Archived).count(), 1);
}

#[test]
fn what_an_archive_says_of_itself_is_not_believed() {
    let scene = Scene::new();
    let leaves = scene.archive.join(format!("{}.leaves.json", scene.names[1]));
    let good = fs::read_to_string(&leaves).unwrap();
    let shifted = good.replace("\"ranges\":[[302,", "\"ranges\":[[301,");
    assert_ne!(shifted, good);
    fs::write(&leaves, shifted).unwrap();
    let alone = scene.alone();
    judged(&alone, &[Bad::FileChanged, Bad::RecordChanged]);
    assert_eq!(records(&alone, Bad::RecordChanged), [(0, 201)]);
    fs::write(&leaves, good.replace("time ", "time 1")).unwrap();
    judged(&scene.alone(), &[Bad::FileChanged, Bad::CheckpointForged]);
    fs::write(&leaves, "{").unwrap();
    judged(&scene.alone(), &[Bad::FileChanged, Bad::IndexDamaged]);
    fs::write(&leaves, &good).unwrap();
    let tile = scene.archive.join("log/tile/0/001");
    let hashes = fs::read(&tile).unwrap();
    let mut bad = hashes.clone();
    bad[5] ^= 1;
    fs::write(&tile, bad).unwrap();
    judged(&scene.alone(), &[Bad::TileChanged]);
    fs::remove_file(&tile).unwrap();
    judged(&scene.alone(), &[Bad::TileMissing]);
    fs::write(&tile, hashes).unwrap();
    // A segment that is left out of manifest and folder, as if it had never been.
    let manifest = scene.archive.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let mut known: serde_json::Value = serde_json::from_str(&text).unwrap();
    known["segments"].as_array_mut().unwrap().remove(1);
    fs::write(&manifest, known.to_string()).unwrap();
    let alone = scene.alone();
    assert_eq!((alone.absent.as_slice(), alone.unlisted.len(), alone.size), (&[2][..], 1, 606));
    assert!(alone.records < alone.size && alone.to_string().contains("numbers 2 to 2"));
    fs::write(&manifest, text.replace(&scene.names[1], "../../../../../../etc/passwdxy")).unwrap();
    assert_eq!(scene.alone().verdict, Judged::Tampered);
    fs::write(&manifest, &text).unwrap();
    // All of it by somebody else.
    let other = Scene::new();
    let report = crate::keeping::alone(&other.archive, Some(&lineage(&scene.home)));
    assert_eq!(report.verdict, Judged::Tampered);
    assert!(report.findings.iter().any(|f| f.found == Bad::KeyReplaced));
    assert_eq!(report.records, 0);
    judged(&scene.alone(), &[]);
}

#[test]
fn a_compressed_segment_of_the_home_that_is_changed_cut_or_replaced_is_named() {
    let home = sealed(Suite::Nist);
    home.keep(|k| k.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
    let path = home.packed()[1].clone();
    let (good, text) = (fs::read(&path).unwrap(), unpack(&path));
    fs::write(&path, &good[..good.len() - 3]).unwrap();
    let report = home.check(&Demands::default());
    named(&report, &[Found::PackedDamaged, Found::Truncated], &[SealFound::RecordMissing]);
    repack(&path, &text.replacen("www-data", "nobodyyy", 1));
    named(&home.check(&Demands::default()), &[Found::Edited], &[SealFound::RecordChanged]);
    fs::write(&path, &good).unwrap();
    whole(&home, &[]);
    // Another in its place, plain, which is read first.
    let plain = path.with_extension("");
    fs::write(&plain, text.replacen("www-data", "nobodyyy", 1)).unwrap();
    named(&home.check(&Demands::default()), &[Found::Edited], &[SealFound::RecordChanged]);
    fs::remove_file(&plain).unwrap();
    // A link, and something that nobody writes beside it.
    let pending = path.with_extension("").with_extension("pending");
    fs::write(&pending, "x").unwrap();
    named(&home.check(&Demands::default()), &[Found::PendingDamaged], &[]);
    fs::remove_file(&pending).unwrap();
    whole(&home, &[]);
}

#[test]
fn a_bomb_is_refused_at_once() {
    let scene = Scene::new();
    // 128 MiB in a few kilobytes, in sound frames.
    let mut bomb = Vec::new();
    audit_archive::pack(&mut std::io::repeat(b'\n').take(1 << 27), &mut bomb).unwrap();
    assert!(bomb.len() < 1 << 20);
    fs::write(scene.packed(0), &bomb).unwrap();
    let alone = scene.alone();
    judged(&alone, &[Bad::FileChanged, Bad::Damaged, Bad::RecordMissing]);
    let (with, _) = scene.with_and_without();
    named(&with, &[Found::PackedDamaged, Found::Truncated], &[SealFound::RecordMissing]);
    assert!(with.bytes < 1 << 20, "{}", with.bytes);
    assert!(!tree(&scene.archive).is_empty());
}
