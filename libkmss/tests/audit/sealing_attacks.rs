//! A sealed log attacked in every way of the table in docs/audit.md: what the chain alone says, what the store adds, what the
//! seal adds, and what a checkpoint that was kept elsewhere adds.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use libkmss::audit::seal::{Demands, SealFound, SealOptions};
use libkmss::audit::{AuditSink, Found, Report, Verdict};
use libkmss::suite::Suite;

use crate::double::{Example, Home};

/// A log with two epochs: 700 records sealed by the first key, 60 by the second, all in two closed segments.
struct Scene {
    home: Home,
    /// What an auditor kept: the checkpoints over 400 records, 702 and all.
    anchor: String,
    /// The home when 702 records were sealed.
    before: tempfile::TempDir,
}

impl Scene {
    fn new(suite: Suite) -> Self {
        let home = Home::new(suite);
        home.write(700);
        let mut anchor = home.sealer().seal(&SealOptions { limit: 400, ..SealOptions::default() }).unwrap().checkpoint;
        anchor.push_str(&home.seal().checkpoint);
        let before = tempfile::tempdir().unwrap();
        copy(home.root.path(), before.path());
        home.sealer().seal(&SealOptions { new_epoch: true, ..SealOptions::default() }).unwrap();
        second_segment(&home);
        anchor.push_str(&home.seal().checkpoint);
        let this = Self { home, anchor, before };
        for demands in [Demands::default(), this.auditor()] {
            let report = this.home.check(&demands);
            assert_eq!(report.verdict, Verdict::Whole, "{report:#?}");
        }
        this
    }

    fn auditor(&self) -> Demands {
        Demands { anchors: vec![("far".to_owned(), self.anchor.clone())], ..Demands::default() }
    }

    /// What is found: by the chain alone, by chain and store, by the seal, and by the seal with the anchor.
    fn look(&self) -> Seen {
        let alone = self.home.verify_without_store();
        let plain = self.home.check(&Demands::default());
        let anchored = self.home.check(&self.auditor());
        let seen = Seen {
            chain: of_log(&alone),
            store: of_log(&plain),
            seal: of_seal(&plain),
            anchor: of_seal(&anchored),
            anchored,
        };
        let anything = !seen.store.is_empty() || !seen.anchor.is_empty();
        assert_eq!(seen.anchored.verdict == Verdict::Tampered, anything, "{:#?}", seen.anchored);
        seen
    }

    fn edit_lines(&self, file: usize, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut lines = self.home.lines_of(file);
        edit(&mut lines);
        fs::write(&self.home.files()[file], lines.concat()).unwrap();
    }

    /// Lets the store say of a segment what its file says now, as whoever can write the store can.
    fn register_as_it_is(&self, file: usize) {
        let (lines, path) = (self.home.lines_of(file), self.home.files()[file].clone());
        let segment = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).unwrap();
        let last = text(lines.last().unwrap());
        self.home.store().tamper(|map| {
            let (_, value) = map.get_mut(&format!("audit/segment/{segment}")).unwrap();
            let mut known = text(value);
            known["seq"] = last["seq"].clone();
            known["head"] = last["h"].clone();
            known["genesis"] = text(&lines[0])["h"].clone();
            known["len"] = fs::metadata(&path).unwrap().len().into();
            *value = serde_json::to_vec(&known).unwrap();
        });
    }
}

/// Findings by level.
#[derive(Debug)]
struct Seen {
    chain: BTreeSet<String>,
    store: BTreeSet<String>,
    seal: BTreeSet<String>,
    anchor: BTreeSet<String>,
    anchored: Report,
}

impl Seen {
    #[track_caller]
    fn are(&self, chain: &[Found], store: &[Found], seal: &[SealFound], anchor: &[SealFound]) {
        assert_eq!(self.chain, names(chain), "chain: {:#?}", self.anchored);
        assert_eq!(self.store, names(store), "store: {:#?}", self.anchored);
        assert_eq!(self.seal, names(seal), "seal: {:#?}", self.anchored);
        assert_eq!(self.anchor, names(anchor), "anchor: {:#?}", self.anchored);
    }

    /// Records of the first segment that the seal names.
    fn records(&self, found: SealFound) -> Vec<(u64, u64)> {
        let seal = self.anchored.seal.as_ref().unwrap();
        let of = seal.findings.iter().filter(|f| f.found == found);
        of.map(|f| (f.first.unwrap(), f.last.unwrap())).collect()
    }
}

fn names<T: serde::Serialize>(found: &[T]) -> BTreeSet<String> {
    found.iter().map(|f| serde_json::to_value(f).unwrap().as_str().unwrap().to_owned()).collect()
}

fn of_log(report: &Report) -> BTreeSet<String> {
    let all = report.segments.iter().flat_map(|s| &s.findings).chain(&report.findings);
    all.flat_map(|f| names(&[f.found])).collect()
}

fn of_seal(report: &Report) -> BTreeSet<String> {
    report.seal.iter().flat_map(|s| &s.findings).flat_map(|f| names(&[f.found])).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A second segment, because the first is not to be continued.
fn second_segment(home: &Home) {
    let options = libkmss::audit::AuditOptions { resume: false, ..Default::default() };
    let sink = home.sink_with(options);
    (0..58).for_each(|_| sink.record(&Example::default().event()).unwrap());
    sink.close().unwrap();
}

fn edit(line: &mut Vec<u8>) {
    let text = String::from_utf8(line.clone()).unwrap().replace("www-data", "nobodyyy");
    assert_ne!(text.as_bytes(), line.as_slice());
    *line = text.into_bytes();
}

/// Gives the lines from `from` on new hashes.
fn rehash(suite: Suite, lines: &mut [Vec<u8>], from: usize) {
    crate::attacks::rehash(suite, lines, from);
}

fn each(attack: impl Fn(&Scene, Suite) -> Seen, judge: impl Fn(&Seen)) {
    for suite in [Suite::Nist, Suite::Gm] {
        let scene = Scene::new(suite);
        let seen = attack(&scene, suite);
        judge(&seen);
    }
}

use Found::{Duplicated, Edited, Inserted, Missing, Removed, Reordered, Rewritten, Truncated};
use SealFound::{
    AnchorForeign, CheckpointForged, Forked, KeyReplaced, RecordChanged, RecordMissing, RecordsUnknown, RootWrong,
    SealMissing, SealRolledBack, StateDamaged, TileChanged, TileMissing,
};

#[test]
fn an_edited_record_is_named_by_all() {
    let attack = |scene: &Scene, _| {
        scene.edit_lines(0, |l| edit(&mut l[300]));
        scene.look()
    };
    each(attack, |seen| {
        seen.are(&[Edited], &[Edited], &[RecordChanged], &[RecordChanged]);
        assert_eq!(seen.records(RecordChanged), [(300, 300)]);
    });
}

#[test]
fn a_history_with_new_hashes_is_named_by_the_store() {
    let attack = |scene: &Scene, suite| {
        scene.edit_lines(0, |l| {
            edit(&mut l[300]);
            rehash(suite, l, 300);
        });
        scene.look()
    };
    each(attack, |seen| {
        seen.are(&[Rewritten], &[Rewritten], &[RecordChanged], &[RecordChanged]);
        assert_eq!(seen.records(RecordChanged), [(300, 701)]);
    });
}

#[test]
fn a_history_with_new_hashes_that_the_store_was_told_of_is_named_by_the_seal() {
    // The last segment, which no genesis record tells of.
    let attack = |scene: &Scene, suite| {
        scene.edit_lines(1, |l| {
            edit(&mut l[30]);
            rehash(suite, l, 30);
        });
        scene.register_as_it_is(1);
        scene.look()
    };
    each(attack, |seen| {
        seen.are(&[], &[], &[RecordChanged], &[RecordChanged]);
        assert_eq!(seen.records(RecordChanged), [(30, 59)]);
    });
}

#[test]
fn removed_reordered_duplicated_and_inserted_records_are_named() {
    each(
        |scene, _| {
            scene.edit_lines(0, |l| drop(l.drain(300..305)));
            scene.look()
        },
        |seen| {
            seen.are(&[Removed], &[Removed], &[RecordMissing], &[RecordMissing]);
            assert_eq!(seen.records(RecordMissing), [(300, 304)]);
        },
    );
    each(
        |scene, _| {
            scene.edit_lines(0, |l| l.swap(300, 301));
            scene.look()
        },
        |seen| seen.are(&[Reordered], &[Reordered], &[], &[]),
    );
    each(
        |scene, _| {
            scene.edit_lines(0, |l| l.insert(301, l[300].clone()));
            scene.look()
        },
        |seen| seen.are(&[Duplicated], &[Duplicated], &[], &[]),
    );
    each(
        |scene, _| {
            scene.edit_lines(0, |l| l.insert(301, b"{\"kind\":\"event\"}\n".to_vec()));
            scene.look()
        },
        |seen| seen.are(&[Inserted], &[Inserted], &[], &[]),
    );
}

#[test]
fn a_cut_end_is_named_by_the_store_and_without_it_by_the_seal() {
    each(
        |scene, _| {
            scene.edit_lines(1, |l| l.truncate(40));
            scene.look()
        },
        |seen| seen.are(&[], &[Truncated], &[RecordMissing], &[RecordMissing]),
    );
    each(
        |scene, _| {
            scene.edit_lines(1, |l| l.truncate(40));
            scene.register_as_it_is(1);
            scene.look()
        },
        |seen| {
            seen.are(&[], &[], &[RecordMissing], &[RecordMissing]);
            assert_eq!(seen.records(RecordMissing), [(40, 59)]);
        },
    );
}

#[test]
fn a_segment_that_was_dropped_is_named_by_the_store_and_without_it_by_the_seal() {
    each(
        |scene, _| {
            fs::remove_file(&scene.home.files()[0]).unwrap();
            scene.look()
        },
        |seen| seen.are(&[Missing], &[Missing], &[RecordMissing], &[RecordMissing]),
    );
    each(
        |scene, _| {
            let last = scene.home.files().pop().unwrap();
            let (segment, first) = (stem(&last), stem(&scene.home.files()[0]));
            fs::remove_file(last).unwrap();
            scene.home.store().tamper(|map| {
                map.retain(|key, _| !key.contains(&segment) || key.starts_with("audit/seal"));
                let latest = serde_json::json!({"v": 1, "ordinal": 1, "segment": first});
                map.get_mut("audit/latest").unwrap().1 = serde_json::to_vec(&latest).unwrap();
            });
            scene.look()
        },
        |seen| {
            seen.are(&[], &[], &[RecordMissing], &[RecordMissing]);
            assert_eq!(seen.records(RecordMissing), [(0, 59)]);
        },
    );
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_store_that_was_set_back_is_named_by_the_log_and_by_the_seal() {
    each(
        |scene, _| {
            fs::copy(scene.before.path().join("store"), scene.home.root.path().join("store")).unwrap();
            scene.look()
        },
        // The newest checkpoint is by a key that this store has not heard of.
        |seen| seen.are(&[], &[Found::Unregistered], &[CheckpointForged], &[CheckpointForged, AnchorForeign]),
    );
}

#[test]
fn a_store_that_was_set_back_within_an_epoch_knows_fewer_records_than_its_key_signed() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        home.write(20);
        home.seal();
        let store = home.root.path().join("store");
        let before = fs::read(&store).unwrap();
        second_segment(&home);
        let kept = home.seal().checkpoint;
        fs::write(&store, before).unwrap();
        assert_eq!(of_seal(&home.check(&Demands::default())), names(&[SealRolledBack]));
        // Without the file of the log the anchor tells.
        fs::remove_file(home.dir().join("log/checkpoint")).unwrap();
        assert_eq!(of_seal(&home.check(&Demands::default())), names::<SealFound>(&[]));
        let demands = Demands { anchors: vec![("far".to_owned(), kept)], ..Demands::default() };
        assert_eq!(of_seal(&home.check(&demands)), names(&[SealRolledBack]));
    }
}

#[test]
fn store_and_files_that_were_set_back_together_are_named_by_the_anchor_alone() {
    each(
        |scene, _| {
            fs::remove_dir_all(scene.home.dir()).unwrap();
            copy(scene.before.path(), scene.home.root.path());
            scene.look()
        },
        |seen| {
            // The newest checkpoint is signed by a key that this home has not heard of yet.
            seen.are(&[], &[], &[], &[AnchorForeign]);
        },
    );
}

#[test]
fn a_fork_by_somebody_with_the_key_of_the_epoch_is_named_by_the_anchor_alone() {
    each(
        |scene, _| {
            // Set back to 702 records, and other records sealed by the same key.
            fs::remove_dir_all(scene.home.dir()).unwrap();
            copy(scene.before.path(), scene.home.root.path());
            let mut anchor = scene.anchor.clone();
            scene.home.write(9);
            anchor.push_str(&scene.home.seal().checkpoint);
            fs::remove_dir_all(scene.home.dir()).unwrap();
            copy(scene.before.path(), scene.home.root.path());
            scene.home.write(20);
            scene.home.seal();
            let demands = Demands { anchors: vec![("far".to_owned(), first_and_last(&anchor))], ..Demands::default() };
            let plain = scene.home.check(&Demands::default());
            let anchored = scene.home.check(&demands);
            Seen {
                chain: of_log(&scene.home.verify_without_store()),
                store: of_log(&plain),
                seal: of_seal(&plain),
                anchor: of_seal(&anchored),
                anchored,
            }
        },
        |seen| {
            seen.are(&[], &[], &[], &[Forked]);
            let finding = &seen.anchored.seal.as_ref().unwrap().findings[0];
            assert_eq!(finding.first, Some(400), "{finding:?}");
            assert!(finding.note.as_ref().unwrap().contains("far"), "{finding:?}");
        },
    );
}

/// Without the checkpoints between them.
fn first_and_last(notes: &str) -> String {
    let all: Vec<&str> = audit_proof::note::split_notes(notes).collect();
    [*all.first().unwrap(), *all.last().unwrap()].concat()
}

#[test]
fn a_new_log_in_place_of_the_old_is_named_by_the_anchor_and_by_the_root_key() {
    each(
        |scene, _| {
            let key = scene.home.sealer().lineage().unwrap().unwrap().root().clone();
            fs::remove_dir_all(scene.home.dir().join("log")).unwrap();
            scene.home.store().tamper(|map| map.retain(|key, _| !key.starts_with("audit/seal")));
            scene.home.seal();
            let report = scene.home.check(&Demands { key: Some(key), ..Demands::default() });
            assert_eq!(of_seal(&report), names(&[KeyReplaced]));
            scene.look()
        },
        |seen| seen.are(&[], &[], &[], &[AnchorForeign]),
    );
}

#[test]
fn a_seal_that_was_removed_is_missed() {
    each(
        |scene, _| {
            scene.home.store().tamper(|map| map.retain(|key, _| !key.starts_with("audit/seal")));
            scene.look()
        },
        |seen| seen.are(&[], &[], &[SealMissing], &[SealMissing]),
    );
    each(
        |scene, _| {
            scene.home.store().tamper(|map| map.retain(|key, _| !key.starts_with("audit/seal")));
            fs::remove_dir_all(scene.home.dir().join("log")).unwrap();
            scene.look()
        },
        |seen| seen.are(&[], &[], &[], &[SealMissing]),
    );
}

#[test]
fn values_of_the_seal_that_were_changed_or_moved_are_named() {
    for part in ["state", "secret", "root", "epoch/", "range/"] {
        for other in [false, true] {
            let scene = Scene::new(Suite::Nist);
            let key = scene.home.store().keys("audit/seal/").into_iter().find(|k| k.contains(part)).unwrap();
            scene.home.store().tamper(|map| {
                let stranger = map.iter().find(|(k, _)| k.contains("audit/seal/segment")).unwrap().1.1.clone();
                let value = &mut map.get_mut(&key).unwrap().1;
                if other { *value = stranger } else { *value.last_mut().unwrap() ^= 1 }
            });
            if part == "secret" {
                // Nobody verifies by it; nobody signs with it either.
                assert!(scene.home.sealer().seal(&SealOptions::default()).is_err());
            } else {
                scene.look().are(&[], &[], &[StateDamaged], &[StateDamaged]);
            }
        }
    }
}

#[test]
fn a_forged_checkpoint_is_named_and_an_old_one_is_held_against_the_anchor() {
    each(
        |scene, suite| {
            // By the key of another log, under this one's name.
            let other = Home::new(suite);
            other.write(3);
            let forged = other.seal().checkpoint;
            let ours = scene.home.sealer().lineage().unwrap().unwrap().origin().to_owned();
            let theirs = other.sealer().lineage().unwrap().unwrap().origin().to_owned();
            fs::write(scene.home.dir().join("log/checkpoint"), forged.replace(&theirs, &ours)).unwrap();
            scene.look()
        },
        |seen| seen.are(&[], &[], &[CheckpointForged], &[CheckpointForged]),
    );
    each(
        |scene, _| {
            // The file is for others to read: that it is old is no lie.
            let old = audit_proof::note::split_notes(&scene.anchor).next().unwrap().to_owned();
            fs::write(scene.home.dir().join("log/checkpoint"), &old).unwrap();
            assert_eq!(scene.look().anchor, names::<SealFound>(&[]));
            // The whole seal of an earlier moment, replayed: the records behind it are merely not sealed.
            let before = fs::read(scene.before.path().join("store")).unwrap();
            let before: std::collections::BTreeMap<String, (u64, Vec<u8>)> = serde_json::from_slice(&before).unwrap();
            scene.home.store().tamper(|map| {
                map.retain(|key, _| !key.starts_with("audit/seal"));
                map.extend(
                    before.iter().filter(|(k, _)| k.starts_with("audit/seal")).map(|(k, v)| (k.clone(), v.clone())),
                );
            });
            scene.look()
        },
        |seen| {
            seen.are(&[], &[], &[], &[AnchorForeign]);
            assert_eq!(seen.anchored.seal.as_ref().unwrap().unsealed, 60);
        },
    );
}

#[test]
fn changed_and_erased_tiles_are_told_from_changed_records() {
    let flip = |scene: &Scene, tile: &str, at: usize| {
        let path = scene.home.dir().join("log/tile").join(tile);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    each(
        |scene, _| {
            flip(scene, "0/001", 40);
            scene.look()
        },
        |seen| {
            seen.are(&[], &[], &[TileChanged], &[TileChanged]);
            assert_eq!(seen.records(TileChanged), [(256, 511)]);
        },
    );
    each(
        |scene, _| {
            fs::remove_file(scene.home.dir().join("log/tile/0/001")).unwrap();
            scene.look()
        },
        |seen| seen.are(&[], &[], &[TileMissing], &[TileMissing]),
    );
    each(
        |scene, _| {
            // The record and what is above its tile: the signed root tells.
            scene.edit_lines(0, |l| edit(&mut l[300]));
            flip(scene, "1/000.p/2", 40);
            scene.look()
        },
        |seen| {
            seen.are(&[Edited], &[Edited], &[RecordChanged], &[RecordChanged]);
            assert_eq!(seen.records(RecordChanged), [(300, 300)]);
        },
    );
    each(
        |scene, suite| {
            // The record and its own hash: the tile above tells which tile, and nothing tells which record.
            scene.edit_lines(1, |l| {
                edit(&mut l[30]);
                rehash(suite, l, 30);
            });
            scene.register_as_it_is(1);
            scene.edit_lines(0, |l| edit(&mut l[300]));
            fs::remove_file(scene.home.dir().join("log/tile/0/001")).unwrap();
            scene.look()
        },
        |seen| {
            seen.are(&[Edited], &[Edited], &[RootWrong, RecordsUnknown, Forked], &[RootWrong, RecordsUnknown, Forked])
        },
    );
}

#[test]
fn what_contradicts_chain_or_store_is_never_sealed() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        home.write(20);
        let mut lines = home.lines();
        edit(&mut lines[7]);
        home.rewrite(&lines);
        let sealed = home.sealer().seal(&SealOptions::default()).unwrap();
        assert_eq!((sealed.size, sealed.contradictions.len()), (7, 1));
        assert_eq!(sealed.contradictions[0].finding.first, Some(7));
        // A new history for what is sealed already, or for what the store knows.
        let home = Home::new(suite);
        home.write(20);
        let mut lines = home.lines();
        edit(&mut lines[7]);
        rehash(suite, &mut lines, 7);
        home.rewrite(&lines);
        let sealed = home.sealer().seal(&SealOptions::default()).unwrap();
        assert_eq!(sealed.contradictions[0].finding.found, Rewritten);
        assert_eq!(sealed.size, 21);
        // Shorter than what is sealed.
        let home = Home::new(suite);
        home.write(20);
        home.seal();
        let lines = home.lines();
        home.rewrite(&lines[..10]);
        let sealed = home.sealer().seal(&SealOptions::default()).unwrap();
        assert_eq!((sealed.size, sealed.contradictions[0].finding.found), (22, Truncated));
    }
}
