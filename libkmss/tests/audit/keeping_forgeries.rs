//! Archives of which files, lists of leaves and manifest were written anew together, so that they agree; and folders that are
//! made to hold up whoever reads them.

use std::fs;
use std::path::{Path, PathBuf};

use audit_archive::{Demands as Asked, Found as Bad, Report as Alone, Verdict as Judged};
use audit_proof::{Edge, TreeHash};
use libkmss::audit::seal::{Demands, SealFound};
use libkmss::audit::{AuditOptions, AuditSink as _};
use libkmss::suite::Suite;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::double::{Example, Home};
use crate::keeping::{alone, archive, ids, lineage, sealed, three};
use crate::keeping_attacks::{judged, named, records, repack, unpack};

/// A stretch of leaves: the first, its record, how many.
type Range = (u64, u64, u64);

/// An archive that somebody else has in his hands.
struct Forger {
    home: Home,
    folder: tempfile::TempDir,
    names: Vec<String>,
    manifest: String,
}

impl Forger {
    fn of(home: Home) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let done = archive(&home, folder.path(), false);
        let names = ids(&home).iter().map(ToString::to_string).collect();
        let this = Self { home, folder, names, manifest: done.manifest };
        judged(&this.alone(), &[]);
        this
    }

    fn new() -> Self {
        Self::of(sealed(Suite::Nist))
    }

    fn path(&self, segment: usize, end: &str) -> PathBuf {
        self.folder.path().join(format!("{}{end}", self.names[segment]))
    }

    fn lines(&self, segment: usize) -> Vec<String> {
        let text = unpack(&self.path(segment, ".jsonl.zst"));
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    fn alone(&self) -> Alone {
        alone(self.folder.path(), Some(&lineage(&self.home)))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Value>)) {
        let path = self.folder.path().join("manifest.json");
        let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(manifest["segments"].as_array_mut().unwrap());
        fs::write(&path, manifest.to_string()).unwrap();
    }

    /// The leaf of the first record.
    fn leaf(&self, segment: usize) -> u64 {
        let text = fs::read_to_string(self.path(segment, ".leaves.json")).unwrap();
        let leaves: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(leaves["ranges"].as_array().unwrap().len(), 1);
        leaves["ranges"][0][0].as_u64().unwrap()
    }

    /// Has the archive say that a segment is these lines, which are those leaves.
    fn forge(&self, segment: usize, lines: &[String], ranges: &[Range]) {
        let packed = self.path(segment, ".jsonl.zst");
        repack(&packed, &lines.concat());
        let path = self.path(segment, ".leaves.json");
        let mut leaves: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        leaves["ranges"] = json!(ranges);
        fs::write(&path, leaves.to_string()).unwrap();
        let hash_of = |line: &String| line[line.len() - 67..line.len() - 3].to_owned();
        let mut tree = Edge::new(TreeHash::Sha256);
        lines.iter().for_each(|line| tree.push(TreeHash::Sha256.leaf(line.trim_end().as_bytes())));
        self.change(|segments| {
            let entry = segments.iter_mut().find(|one| one["segment"] == self.names[segment]).unwrap();
            entry["records"] = json!(lines.len());
            entry["bytes"] = json!(lines.concat().len());
            entry["file_bytes"] = json!(fs::metadata(&packed).unwrap().len());
            entry["file_sha256"] = json!(digest(&packed));
            entry["leaves_sha256"] = json!(digest(&path));
            entry["genesis"] = json!(hash_of(&lines[0]));
            entry["head"] = json!(hash_of(lines.last().unwrap()));
            entry["tree"] = json!(tree.root().to_string());
        });
    }
}

fn digest(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn records_left_out_of_files_and_lists_alike_are_missing_by_their_numbers() {
    let forger = Forger::new();
    let (lines, first) = (forger.lines(1), forger.leaf(1));
    let count = lines.len() as u64;
    let without = |from: usize, to: usize| {
        let (a, b) = (from as u64, to as u64);
        let ranges = [(first, 0, a), (first + b, a, count - b)];
        let ranges: Vec<Range> = ranges.into_iter().filter(|(.., count)| *count > 0).collect();
        forger.forge(1, &[&lines[..from], &lines[to..]].concat(), &ranges);
        forger.alone()
    };
    let report = without(50, 51);
    judged(&report, &[Bad::RecordMissing]);
    assert_eq!(records(&report, Bad::RecordMissing), [(50, 50)]);
    let report = without(70, 90);
    assert_eq!(records(&report, Bad::RecordMissing), [(70, 89)]);
    // The beginning, and the end.
    let report = without(0, 3);
    assert_eq!(records(&report, Bad::RecordMissing), [(0, 2)]);
    judged(&without(150, lines.len()), &[Bad::EndMissing]);
    judged(&without(lines.len() - 1, lines.len()), &[Bad::EndMissing]);
    judged(&without(0, 0), &[]);
}

#[test]
fn records_of_another_segment_are_not_those_that_are_missing() {
    let forger = Forger::new();
    let (one, two) = (forger.lines(0), forger.lines(1));
    // Numbers and leaves go on, and the last record closes a segment.
    let lines = [&one[..100], &two[100..]].concat();
    let ranges = [(forger.leaf(0), 0, 100), (forger.leaf(1) + 100, 100, two.len() as u64 - 100)];
    forger.forge(0, &lines, &ranges);
    let report = forger.alone();
    assert_eq!(records(&report, Bad::RecordMissing), [(100, 100)], "{report:#?}");
    assert_eq!(report.verdict, Judged::Tampered);
    // All of another segment, under this one's name.
    forger.forge(0, &two, &[(forger.leaf(1), 0, two.len() as u64)]);
    let report = forger.alone();
    let found: Vec<Bad> = report.segments[0].findings.iter().map(|f| f.found).collect();
    assert!(found.contains(&Bad::RecordMissing), "{report:#?}");
}

#[test]
fn a_segment_that_is_left_out_is_not_replaced_by_one_that_is_listed_twice() {
    let forger = Forger::new();
    let twice = |change: &dyn Fn(&mut Vec<Value>)| {
        let path = forger.folder.path().join("manifest.json");
        let good = fs::read(&path).unwrap();
        forger.change(|segments| change(segments));
        let report = forger.alone();
        fs::write(&path, good).unwrap();
        assert_eq!((report.verdict, report.absent.len()), (Judged::Tampered, 0), "{report:#?}");
        report
    };
    let report = twice(&|segments| {
        segments[1] = segments[0].clone();
        segments[1]["ordinal"] = json!(2);
    });
    judged(&report, &[Bad::IndexDamaged, Bad::Genesis]);
    // The last one takes its number.
    let report = twice(&|segments| {
        segments.remove(1);
        segments[1]["ordinal"] = json!(2);
    });
    judged(&report, &[Bad::Genesis]);
    // Without lies about numbers it is merely absent.
    forger.change(|segments| drop(segments.remove(1)));
    let report = forger.alone();
    judged(&report, &[]);
    assert_eq!((report.absent.as_slice(), report.size), (&[2][..], 606));
}

#[test]
fn how_many_records_there_are_is_not_only_for_the_manifest_to_say() {
    let forger = Forger::new();
    let path = forger.folder.path().join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"size\": 606", "\"size\": 1")).unwrap();
    assert_eq!(forger.alone().size, 606);
}

#[test]
fn a_segment_cut_where_it_was_closed_before_is_seen_by_the_one_behind_it_or_the_hash_of_the_manifest() {
    for followed in [true, false] {
        let home = Home::new(Suite::Nist);
        home.write(10);
        // Another process goes on with it.
        home.write(7);
        assert_eq!(home.files().len(), 1);
        if followed {
            let sink = home.sink_with(AuditOptions { resume: false, ..AuditOptions::default() });
            sink.record(&Example::default().event()).unwrap();
            sink.close().unwrap();
        }
        home.seal();
        let forger = Forger::of(home);
        let lines = forger.lines(0);
        let closed = lines.iter().position(|line| line.starts_with("{\"kind\":\"close\"")).unwrap() + 1;
        assert!(closed < lines.len());
        forger.forge(0, &lines[..closed], &[(forger.leaf(0), 0, closed as u64)]);
        judged(&forger.alone(), if followed { &[Bad::EndMissing] } else { &[] });
        let keys = lineage(&forger.home);
        let asked = Asked { keys: Some(&keys), manifest: Some(forger.manifest.parse().unwrap()) };
        let report = audit_archive::check(forger.folder.path(), &asked, &mut |_| ()).unwrap();
        assert!(report.findings.iter().any(|f| f.found == Bad::ManifestReplaced), "{report:#?}");
        assert_eq!(report.verdict, Judged::Tampered);
    }
    assert!("00".parse::<audit_archive::ManifestHash>().is_err());
}

#[test]
fn links_pipes_and_endless_files_hold_nobody_up() {
    let forger = Forger::new();
    let packed = forger.path(0, ".jsonl.zst");
    let pipe = |path: &Path| {
        fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    pipe(&packed);
    judged(&forger.alone(), &[Bad::Damaged, Bad::RecordMissing]);
    // Larger than anybody could read, and the manifest says so.
    let len = 1_u64 << 42;
    fs::remove_file(&packed).unwrap();
    fs::File::create(&packed).unwrap().set_len(len).unwrap();
    forger.change(|segments| segments[0]["file_bytes"] = json!(len));
    judged(&forger.alone(), &[Bad::FileChanged, Bad::Damaged, Bad::RecordMissing]);
    let leaves = forger.path(1, ".leaves.json");
    fs::remove_file(&leaves).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &leaves).unwrap();
    fs::remove_file(&packed).unwrap();
    judged(&forger.alone(), &[Bad::FileMissing, Bad::IndexDamaged, Bad::RecordMissing]);
    let tile = forger.folder.path().join("log/tile/0/001");
    pipe(&tile);
    assert_eq!(forger.alone().verdict, Judged::Tampered);
    let manifest = forger.folder.path().join("manifest.json");
    pipe(&manifest);
    assert!(audit_archive::check(forger.folder.path(), &Asked::default(), &mut |_| ()).is_err());
}

#[test]
fn a_removal_does_not_excuse_a_segment_that_was_never_sealed() {
    let home = Home::new(Suite::Nist);
    three(&home);
    home.seal();
    let folder = tempfile::tempdir().unwrap();
    let log = home.dir().join("log");
    let kept = folder.path().join("log");
    let copy = |from: &Path, to: &Path| {
        assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copy(&log, &kept);
    let mut before = None;
    let of_seal = |key: &str| key.starts_with("audit/seal/") && !key.starts_with("audit/seal/removed/");
    home.store().tamper(|map| before = Some(map.clone()));
    three(&home);
    home.seal();
    let late = ids(&home)[3..].to_vec();
    assert_eq!(archive(&home, &folder.path().join("archive"), true).removed, 6);
    let set_back = |to: &dyn Fn(&str) -> bool| {
        fs::remove_dir_all(&log).unwrap();
        home.store().tamper(|map| {
            map.retain(|key, _| !of_seal(key));
            map.extend(before.clone().unwrap().into_iter().filter(|(key, _)| to(key)));
        });
    };
    // Whoever can open the home sets the seal back, and keeps what excuses segments that were sealed later.
    set_back(&of_seal);
    copy(&kept, &log);
    let report = home.check(&Demands::default());
    named(&report, &[], &[SealFound::RemovalFalse]);
    let segments: Vec<_> = report.seal.unwrap().findings.into_iter().map(|f| f.segment.unwrap()).collect();
    assert_eq!(segments, late);
    // Or as if nothing had ever been sealed.
    set_back(&|_| false);
    let report = home.check(&Demands::default());
    named(&report, &[], &[SealFound::RemovalFalse]);
    assert_eq!(report.seal.unwrap().findings.len(), 6);
}
