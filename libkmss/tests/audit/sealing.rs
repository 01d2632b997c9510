//! The log sealed: in steps, by several, with a store that fails and files that are gone.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_proof::{Checkpoint, Lineage, Note, RecordProof};
use libkmss::audit::seal::{Demands, RecordName, SealFound, SealOptions, SealSettings, Span};
use libkmss::audit::{AuditSink, Verdict};
use libkmss::clock::{SystemClock, Timestamp};
use libkmss::error::ErrorKind;
use libkmss::suite::Suite;

use crate::double::{Example, Fast, Home, noise};

const BOTH: [Suite; 2] = [Suite::Nist, Suite::Gm];

#[track_caller]
fn whole(home: &Home) -> libkmss::audit::seal::SealReport {
    let report = home.check(&Demands::default());
    assert_eq!(report.verdict, Verdict::Whole, "{report:#?}");
    report.seal.unwrap()
}

#[test]
fn what_is_written_is_sealed_in_steps_and_stays_whole() {
    for suite in BOTH {
        let home = Home::new(suite);
        let mut below = noise(7);
        let mut size = 0;
        for round in 0..12 {
            let sinks = [home.sink(), home.sink(), home.sink()];
            for _ in 0..below(400) {
                sinks[below(3)].record(&Example::default().event()).unwrap();
            }
            // What is still open is sealed as far as it is in its file.
            if round % 3 == 0 {
                size += home.seal().records;
                assert_eq!(home.check(&Demands::default()).verdict, Verdict::Whole);
            }
            drop(sinks);
            if round % 2 == 0 {
                size += home.seal().records;
                assert_eq!(whole(&home).unsealed, 0);
            }
        }
        size += home.seal().records;
        let seal = whole(&home);
        assert_eq!((seal.size, seal.checked, seal.unsealed), (size, size, 0));
        assert_eq!(home.seal().records, 0);
    }
}

#[test]
fn a_tree_of_many_tiles_is_that_of_all_lines() {
    let home = Home::new(Suite::Nist);
    home.write(3000);
    let sealed = home.seal();
    let hash = audit_proof::TreeHash::Sha256;
    let mut edge = audit_proof::Edge::new(hash);
    home.lines().iter().for_each(|line| edge.push(hash.leaf(line.strip_suffix(b"\n").unwrap())));
    let checkpoint = Checkpoint::parse(Note::parse(&sealed.checkpoint).unwrap().text()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (3002, edge.root()));
    // C2SP tlog-tiles: eleven full tiles and one of 186, below one of 11.
    for (path, len) in [("tile/0/010", 8192), ("tile/0/011.p/186", 186 * 32), ("tile/1/000.p/11", 11 * 32)] {
        assert_eq!(fs::metadata(home.dir().join("log").join(path)).unwrap().len(), len, "{path}");
    }
    assert_eq!(fs::read_to_string(home.dir().join("log/checkpoint")).unwrap(), sealed.checkpoint);
}

#[test]
fn every_record_has_a_proof_that_stands_alone() {
    for suite in BOTH {
        let home = Home::new(suite);
        home.write(600);
        home.seal();
        home.write(30);
        home.sealer().seal(&SealOptions { new_epoch: true, ..SealOptions::default() }).unwrap();
        let public = home.sealer().lineage().unwrap().unwrap().to_string();
        let lineage = Lineage::parse(&public).unwrap();
        let segment = home.files()[0].file_stem().unwrap().to_str().unwrap().to_owned();
        let lines = home.lines_of(0);
        for seq in [0, 1, 255, 256, 300, 601, lines.len() - 1] {
            let name: RecordName = format!("{segment}:{seq}").parse().unwrap();
            let proof = home.sealer().prove(&name, false).unwrap().to_string();
            let shown = RecordProof::parse(&proof).unwrap().verify(None, &lineage).unwrap();
            assert_eq!([shown.record.as_slice(), b"\n"].concat(), lines[seq]);
            assert!(proof.len() < 3000, "{}", proof.len());
            let detached = home.sealer().prove(&name, true).unwrap();
            assert!(detached.record.is_none() && detached.verify(Some(&shown.record), &lineage).is_ok());
        }
        let beyond: RecordName = format!("{segment}:{}", lines.len()).parse().unwrap();
        assert_eq!(home.sealer().prove(&beyond, false).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn a_record_that_was_changed_gets_no_proof() {
    let home = Home::new(Suite::Nist);
    home.write(20);
    home.seal();
    let mut lines = home.lines();
    let text = String::from_utf8(lines[7].clone()).unwrap().replace("www-data", "nobodyyy");
    lines[7] = text.into_bytes();
    home.rewrite(&lines);
    let segment = home.files()[0].file_stem().unwrap().to_str().unwrap().to_owned();
    let name: RecordName = format!("{segment}:7").parse().unwrap();
    assert_eq!(home.sealer().prove(&name, false).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn one_tree_is_the_beginning_of_the_next() {
    let home = Home::new(Suite::Nist);
    let mut known: Vec<Checkpoint> = Vec::new();
    for count in [3, 200, 77, 1] {
        home.write(count);
        let sealed = home.seal();
        let now = Checkpoint::parse(Note::parse(&sealed.checkpoint).unwrap().text()).unwrap();
        for old in &known {
            let (note, path) = home.sealer().growth(old.size).unwrap();
            assert_eq!(note.to_string(), sealed.checkpoint);
            let hash = audit_proof::TreeHash::Sha256;
            let (old, new) = ((old.size, &old.root), (now.size, &now.root));
            audit_proof::path::check_consistency(hash, old, new, &path).unwrap();
        }
        known.push(now);
    }
    assert_eq!(home.sealer().growth(1 << 40).unwrap_err().kind(), ErrorKind::Arguments);
}

#[test]
fn keys_hand_over_and_the_old_one_is_gone() {
    for suite in BOTH {
        let home = Home::new(suite);
        for _ in 0..4 {
            home.write(10);
            home.sealer().seal(&SealOptions { new_epoch: true, ..SealOptions::default() }).unwrap();
        }
        let lineage = home.sealer().lineage().unwrap().unwrap();
        assert_eq!(lineage.certificates().map(|c| c.epoch).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(home.store().keys("audit/seal/secret").len(), 1);
        assert_eq!(whole(&home).epoch, 5);
        // A key that is old enough hands over by itself.
        let settings = SealSettings { epoch: Duration::from_millis(1), ..SealSettings::default() };
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(home.sealer_with(settings).seal(&SealOptions::default()).unwrap().epoch, 6);
    }
}

#[test]
fn a_log_has_the_name_that_was_asked_for() {
    let home = Home::new(Suite::Nist);
    home.write(1);
    let settings = SealSettings { origin: "example.com/audit".to_owned(), ..SealSettings::default() };
    let sealed = home.sealer_with(settings).seal(&SealOptions::default()).unwrap();
    assert!(sealed.checkpoint.starts_with("example.com/audit\n3\n"), "{}", sealed.checkpoint);
    assert_eq!(whole(&home).origin, "example.com/audit");
}

#[test]
fn a_sealer_that_cannot_reach_the_store_loses_nothing() {
    let home = Home::new(Suite::Nist);
    home.write(300);
    home.seal();
    home.write(300);
    home.store().fail(true);
    assert!(home.sealer().seal(&SealOptions::default()).is_err());
    home.store().fail(false);
    // What it wrote is beyond the tree, and nobody minds.
    assert_eq!(whole(&home).size, 302);
    // Begun and ended twice.
    assert_eq!(home.seal().size, 604);
    whole(&home);
}

#[test]
fn tiles_at_the_end_are_made_anew_from_the_records() {
    for suite in BOTH {
        let home = Home::new(suite);
        home.write(700);
        home.seal();
        let log = home.dir().join("log/tile");
        fs::remove_dir_all(&log).unwrap();
        home.write(40);
        assert_eq!(home.seal().size, 744);
        // The full ones are still gone, and said to be.
        let report = home.check(&Demands::default());
        assert_eq!(report.verdict, Verdict::Tampered);
        assert!(home.sealer().seal(&SealOptions { repair: true, ..SealOptions::default() }).is_ok());
        whole(&home);
    }
}

#[test]
fn one_seals_and_the_other_says_that_it_is_busy() {
    let home = Home::new(Suite::Nist);
    home.write(3);
    home.seal();
    let lock = fs::File::open(home.dir().join("log/lock")).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    assert!(home.sealer().seal(&SealOptions::default()).unwrap().busy);
    let patient = SealOptions { patience: Duration::from_millis(200), ..SealOptions::default() };
    assert!(home.sealer().seal(&patient).unwrap().busy);
    assert!(began.elapsed() >= Duration::from_millis(200));
    lock.unlock().unwrap();
    assert!(!home.sealer().seal(&patient).unwrap().busy);
}

#[test]
fn at_most_so_many_records_are_sealed_as_was_asked() {
    let home = Home::new(Suite::Nist);
    home.write(500);
    let some = home.sealer().seal(&SealOptions { limit: 300, ..SealOptions::default() }).unwrap();
    assert_eq!((some.records, some.size, some.more), (300, 300, true));
    assert_eq!(whole(&home).unsealed, 202);
    assert_eq!(home.seal().records, 202);
}

#[test]
fn a_checkpoint_comes_at_least_every_ten_thousand_records() {
    let home = Home::new(Suite::Nist);
    home.write(25_000);
    let sealed = home.seal();
    assert_eq!((sealed.records, sealed.size), (25_002, 25_002));
    assert_eq!(whole(&home).checked, 25_002);
}

#[test]
fn a_heartbeat_signs_the_same_tree_again() {
    let home = Home::new(Suite::Nist);
    home.write(3);
    let first = home.seal();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(home.seal().checkpoint, first.checkpoint);
    let beat = home.sealer().seal(&SealOptions { heartbeat: true, ..SealOptions::default() }).unwrap();
    let (old, new) =
        [first.checkpoint, beat.checkpoint].map(|c| Checkpoint::parse(Note::parse(&c).unwrap().text()).unwrap()).into();
    assert_eq!((old.size, old.root), (new.size, new.root));
    assert!(new.time() > old.time());
    whole(&home);
}

#[test]
fn remains_of_failed_writes_are_sealed_with_the_record_that_tells_of_them() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    let mut bytes = fs::read(&home.files()[0]).unwrap();
    bytes.extend_from_slice(b"{\"kind\":\"event\",\"torn");
    fs::write(&home.files()[0], &bytes).unwrap();
    // Nobody told the store of a closing: as if it had been killed.
    home.store().tamper(|map| {
        for (_, value) in map.values_mut() {
            let text = String::from_utf8(value.clone()).unwrap_or_default().replace("\"closed\"", "\"open\"");
            if !text.is_empty() {
                *value = text.into_bytes();
            }
        }
        let idle: Vec<String> = map.keys().filter(|k| k.starts_with("audit/idle/")).cloned().collect();
        for key in idle {
            let value = map.remove(&key).unwrap();
            map.insert(key.replace("idle", "open"), value);
        }
    });
    home.seal();
    home.write(5);
    home.seal();
    assert_eq!(home.files().len(), 1);
    assert_eq!(whole(&home).unsealed, 0);
    assert_eq!(home.verify().segments[0].recoveries, 1);
}

#[test]
fn a_process_that_opens_its_audit_seals_for_others_after_a_while_and_not_before() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    let opened = |minutes: u64| {
        let clock = Fast(minutes * 60_000, SystemClock::default());
        let sealer = Arc::new(home.sealer_at(Arc::new(clock), SealSettings::default()));
        let sink = home.sink().with_sealer(sealer);
        (0..3).for_each(|_| sink.record(&Example::default().event()).unwrap());
        home.sealer().checkpoint().unwrap()
    };
    assert_eq!(opened(4), None);
    let first = opened(6).unwrap();
    assert_eq!(opened(9).unwrap(), first);
    assert_ne!(opened(20).unwrap(), first);
    // Somebody else is at it: nobody waits.
    let lock = fs::File::open(home.dir().join("log/lock")).unwrap();
    lock.lock().unwrap();
    let before = home.sealer().checkpoint().unwrap();
    assert_eq!(opened(60), before);
}

#[test]
fn a_part_is_whole_although_another_is_not() {
    for suite in BOTH {
        let home = Home::new(suite);
        home.write(700);
        home.seal();
        let segment = home.files()[0].file_stem().unwrap().to_str().unwrap().to_owned();
        let check = |first: u64, last: u64| {
            let name = |seq: u64| Some(format!("{segment}:{seq}").parse().unwrap());
            let only = Some(Span { first: name(first), last: name(last), ..Span::default() });
            home.check(&Demands { only, ..Demands::default() })
        };
        let good = check(250, 260);
        assert_eq!((good.verdict, good.seal.unwrap().checked), (Verdict::Whole, 11));
        let mut lines = home.lines();
        let text = String::from_utf8(lines[300].clone()).unwrap().replace("www-data", "nobodyyy");
        lines[300] = text.into_bytes();
        home.rewrite(&lines);
        for (first, last, verdict) in [
            (0, 299, Verdict::Whole),
            (301, 701, Verdict::Whole),
            (300, 300, Verdict::Tampered),
            (0, 701, Verdict::Tampered),
        ] {
            let report = check(first, last);
            assert_eq!(report.verdict, verdict, "{first} to {last}: {report:#?}");
            let found: Vec<_> = report.seal.unwrap().findings.iter().map(|f| (f.found, f.first)).collect();
            let expected = if verdict == Verdict::Whole { vec![] } else { vec![(SealFound::RecordChanged, Some(300))] };
            assert_eq!(found, expected);
        }
        // Without its tile nothing can be said of a part; of all, everything.
        home.rewrite(&lines);
        fs::remove_file(home.dir().join("log/tile/0/001")).unwrap();
        assert_eq!(check(400, 410).verdict, Verdict::Tampered);
        assert_eq!(check(0, 200).verdict, Verdict::Whole);
    }
}

#[test]
fn what_nobody_waits_for_is_ended_and_is_not_called_whole() {
    let home = Home::new(Suite::Nist);
    home.write(700);
    home.seal();
    assert_eq!(home.check(&Demands::default()).verdict, Verdict::Whole);
    let demands = Demands::default();
    demands.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let report = home.check(&demands);
    assert_eq!((report.verdict, report.records), (Verdict::Unverified, 0), "{report:#?}");
    assert!(report.errors.iter().any(|error| error.contains("given up")), "{report:#?}");
}

#[test]
fn a_part_may_be_named_by_times() {
    let home = Home::new(Suite::Nist);
    home.write(20);
    home.seal();
    let only = |since: u64, until: u64| {
        let span = Span { since: Some(Timestamp(since)), until: Some(Timestamp(until)), ..Span::default() };
        let report = home.check(&Demands { only: Some(span), ..Demands::default() });
        assert_eq!(report.verdict, Verdict::Whole);
        (report.segments.len(), report.seal.unwrap().checked)
    };
    assert_eq!(only(0, u64::MAX), (1, 22));
    assert_eq!(only(0, 1), (0, 0));
    assert_eq!(only(u64::MAX - 1, u64::MAX), (0, 0));
}

#[test]
fn tiles_that_grew_full_are_kept_once() {
    let home = Home::new(Suite::Nist);
    for count in [10, 100, 140, 10] {
        home.write(count);
        home.seal();
    }
    let level = home.dir().join("log/tile/0");
    let mut names: Vec<_> = fs::read_dir(&level).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["000", "001.p"]);
    whole(&home);
}
