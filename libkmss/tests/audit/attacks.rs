//! A log attacked in every way of the table in docs/audit.md; the verdict names each.

use std::fs;

use libkmss::audit::{AuditOptions, AuditSink, Found, Report, Status, Verdict};
use libkmss::clock::{Clock, SystemClock};
use libkmss::suite::Suite;

use crate::double::{Example, Home, noise};

type Lines = Vec<Vec<u8>>;

/// Findings of the only segment: what, first and last record.
fn findings(report: &Report) -> Vec<(Found, Option<u64>, Option<u64>)> {
    report.segments.iter().flat_map(|s| &s.findings).map(|f| (f.found, f.first, f.last)).collect()
}

fn one(found: Found, first: u64, last: u64) -> Vec<(Found, Option<u64>, Option<u64>)> {
    vec![(found, Some(first), Some(last))]
}

/// Attacks a closed log of genesis (0), events 1 to 20 and closing record 21, in both suites.
fn attacked(attack: impl Fn(&mut Lines)) -> Report {
    let mut reports: Vec<_> = [Suite::Nist, Suite::Gm]
        .into_iter()
        .map(|suite| {
            let home = Home::new(suite);
            home.write(20);
            assert_eq!(home.verify().verdict, Verdict::Whole);
            let mut lines = home.lines();
            attack(&mut lines);
            home.rewrite(&lines);
            home.verify()
        })
        .collect();
    assert_eq!(findings(&reports[0]), findings(&reports[1]));
    assert_eq!(reports[0].verdict, Verdict::Tampered);
    assert_eq!(reports[0].segments[0].status, Status::Broken);
    reports.remove(0)
}

fn edit(line: &mut Vec<u8>) {
    let text = String::from_utf8(line.clone()).unwrap().replace("www-data", "nobodyyy");
    assert_ne!(text.as_bytes(), line.as_slice());
    *line = text.into_bytes();
}

/// Gives the lines from `from` on new hashes, as an attacker who knows the format can.
pub(crate) fn rehash(suite: Suite, lines: &mut [Vec<u8>], from: usize) {
    for at in from..lines.len() {
        let hash_at = lines[at].len() - 2 - 1 - 64;
        let previous: Vec<u8> = (0..32)
            .map(|n| {
                let digits = &lines[at - 1][lines[at - 1].len() - 67 + 2 * n..][..2];
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            })
            .collect();
        let body = lines[at][..hash_at - 6].to_vec();
        let hash: String = suite.hash(&[&body, &previous]).iter().map(|b| format!("{b:02x}")).collect();
        lines[at].splice(hash_at..hash_at + 64, hash.into_bytes());
    }
}

#[test]
fn an_edited_record_is_named() {
    for at in [1, 7, 20] {
        assert_eq!(findings(&attacked(|l| edit(&mut l[at]))), one(Found::Edited, at as u64, at as u64), "{at}");
    }
    let two = attacked(|l| l[7..9].iter_mut().for_each(edit));
    let mut found = findings(&two);
    found.sort_by_key(|f| f.1);
    assert_eq!(found, [one(Found::Edited, 7, 7), one(Found::Edited, 8, 8)].concat());
}

#[test]
fn an_edited_first_or_last_record_is_named() {
    let genesis = attacked(|l| {
        let text = String::from_utf8(l[0].clone()).unwrap().replace("\"pid\":", "\"pid\":1");
        l[0] = text.into_bytes();
    });
    assert_eq!(findings(&genesis), one(Found::Edited, 0, 0));
    let close = attacked(|l| {
        let text = String::from_utf8(l[21].clone()).unwrap().replace("\"time\":1", "\"time\":2");
        l[21] = text.into_bytes();
    });
    assert_eq!(findings(&close), one(Found::Edited, 21, 21));
}

#[test]
fn an_edited_record_with_a_new_hash_is_named_at_its_successor() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        home.write(20);
        let mut lines = home.lines();
        edit(&mut lines[7]);
        let mut start = lines[..8].to_vec();
        rehash(suite, &mut start, 7);
        lines.splice(..8, start);
        home.rewrite(&lines);
        assert_eq!(findings(&home.verify()), one(Found::Edited, 8, 8));
    }
}

#[test]
fn a_history_rewritten_up_to_its_end_is_not_the_one_the_store_knows() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        home.write(20);
        let mut lines = home.lines();
        edit(&mut lines[7]);
        rehash(suite, &mut lines, 7);
        home.rewrite(&lines);
        assert_eq!(findings(&home.verify()), one(Found::Rewritten, 21, 21));
        // The chain alone cannot tell.
        assert_eq!(home.verify_without_store().verdict, Verdict::Whole);
    }
}

#[test]
fn removed_records_are_named() {
    assert_eq!(findings(&attacked(|l| drop(l.remove(5)))), one(Found::Removed, 5, 5));
    assert_eq!(findings(&attacked(|l| drop(l.drain(5..12)))), one(Found::Removed, 5, 11));
    assert_eq!(findings(&attacked(|l| drop(l.remove(20)))), one(Found::Removed, 20, 20));
    assert!(findings(&attacked(|l| drop(l.remove(0)))).contains(&(Found::Removed, Some(0), Some(0))));
    let both = attacked(|l| {
        l.remove(15);
        l.remove(5);
    });
    assert_eq!(findings(&both), [one(Found::Removed, 5, 5), one(Found::Removed, 15, 15)].concat());
}

#[test]
fn reordered_records_are_named() {
    assert_eq!(findings(&attacked(|l| l.swap(5, 6))), one(Found::Reordered, 6, 6));
    assert_eq!(findings(&attacked(|l| l.swap(20, 21))), one(Found::Reordered, 21, 21));
    let moved = attacked(|l| {
        let record = l.remove(5);
        l.insert(14, record);
    });
    assert_eq!(findings(&moved), one(Found::Reordered, 5, 5));
    let back = attacked(|l| {
        let record = l.remove(14);
        l.insert(5, record);
    });
    assert_eq!(findings(&back), one(Found::Reordered, 14, 14));
}

#[test]
fn duplicated_records_are_named() {
    assert_eq!(findings(&attacked(|l| l.insert(6, l[5].clone()))), one(Found::Duplicated, 5, 5));
    assert_eq!(findings(&attacked(|l| l.insert(15, l[5].clone()))), one(Found::Duplicated, 5, 5));
    assert_eq!(findings(&attacked(|l| l.push(l[5].clone()))), one(Found::Duplicated, 5, 5));
    let block = attacked(|l| {
        let copy = l[3..6].to_vec();
        l.splice(10..10, copy);
    });
    let expected: Vec<_> = (3..6).flat_map(|n| one(Found::Duplicated, n, n)).collect();
    assert_eq!(findings(&block), expected);
}

#[test]
fn inserted_lines_are_named() {
    let junk: [&[u8]; 5] = [b"\n", b"junk\n", b"{\"kind\":\"event\",\"seq\":6}\n", &[0xff; 100_000], b"\0\0\0\n"];
    for junk in junk {
        let mut line = junk.to_vec();
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        let report = attacked(|l| l.insert(6, line.clone()));
        assert!(findings(&report).iter().all(|(found, ..)| *found == Found::Inserted), "{report:?}");
        assert_eq!(report.segments[0].findings[0].line, Some(7));
    }
    let forged = attacked(|l| {
        let mut copy = l[6].clone();
        edit(&mut copy);
        l.insert(6, copy);
    });
    assert!(findings(&forged).iter().all(|(_, first, _)| *first == Some(6)), "{forged:?}");
}

#[test]
fn a_truncated_segment_is_missed() {
    assert_eq!(findings(&attacked(|l| l.truncate(10))), one(Found::Truncated, 10, 21));
    assert_eq!(findings(&attacked(|l| l.truncate(21))), one(Found::Truncated, 21, 21));
    assert_eq!(findings(&attacked(|l| l.clear())), one(Found::Truncated, 0, 21));
    assert_eq!(findings(&attacked(|l| l[21].truncate(80))), one(Found::Truncated, 21, 21));
}

#[test]
fn a_closed_segment_cut_in_the_middle_of_a_record_is_missed_even_without_the_store_once_another_follows() {
    let home = Home::new(Suite::Nist);
    let first = home.sink();
    first.record(&Example::default().event()).unwrap();
    first.record(&Example::default().event()).unwrap();
    let second = home.sink();
    first.close().unwrap();
    drop(first);
    second.record(&Example::default().event()).unwrap();
    // The second's genesis binds the first's head: it was closed and registered before.
    let bytes = fs::read(&home.files()[0]).unwrap();
    drop(second);
    assert_eq!(home.verify().verdict, Verdict::Whole);
    fs::write(&home.files()[0], &bytes[..bytes.len() - 200]).unwrap();
    assert_eq!(home.verify().verdict, Verdict::Tampered);
}

#[test]
fn records_added_behind_the_registered_end_are_named() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        home.write(20);
        let mut lines = home.lines();
        lines.push(String::from_utf8(lines[20].clone()).unwrap().replace("\"seq\":20", "\"seq\":22").into_bytes());
        rehash(suite, &mut lines, 22);
        home.rewrite(&lines);
        assert_eq!(findings(&home.verify()), one(Found::Extended, 22, 22));
    }
    let tail = attacked(|l| l.push(b"{\"kind\":\"event\",".to_vec()));
    assert_eq!(findings(&tail), [(Found::Extended, None, None)]);
}

#[test]
fn a_log_rolled_back_to_an_earlier_copy_is_missed() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    let old = fs::read(&home.files()[0]).unwrap();
    home.write(5);
    fs::write(&home.files()[0], old).unwrap();
    assert_eq!(findings(&home.verify()), one(Found::Truncated, 7, 13));
}

#[test]
fn a_store_rolled_back_to_an_earlier_copy_is_missed() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    let old = fs::read(home.root.path().join("store")).unwrap();
    home.write(5);
    fs::write(home.root.path().join("store"), old).unwrap();
    assert_eq!(findings(&home.verify()), one(Found::Extended, 7, 13));
}

#[test]
fn a_deleted_segment_is_missed() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    fs::remove_file(&home.files()[0]).unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments[0].status), (Verdict::Tampered, Status::Missing));
    fs::remove_dir(home.dir()).unwrap();
    assert_eq!(home.verify().segments[0].status, Status::Missing);
}

/// Three segments of processes that run at one time.
fn three_segments(home: &Home) {
    let sinks: Vec<_> = (0..3).map(|_| home.sink()).collect();
    sinks.iter().for_each(|sink| sink.record(&Example::default().event()).unwrap());
}

#[test]
fn a_segment_deleted_together_with_its_registration_is_missed() {
    let home = Home::new(Suite::Nist);
    three_segments(&home);
    assert_eq!(home.verify().verdict, Verdict::Whole);
    let key = home.store().keys("audit/segment/")[1].clone();
    home.store().tamper(|map| drop(map.remove(&key)));
    fs::remove_file(&home.files()[1]).unwrap();
    let report = home.verify();
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(report.findings[0].found, Found::RegistrationRemoved);
    // The next segment names it.
    assert!(report.segments.iter().any(|s| s.status == Status::Missing), "{report:?}");
}

#[test]
fn a_registration_that_is_gone_or_damaged_is_missed() {
    let home = Home::new(Suite::Nist);
    three_segments(&home);
    let key = home.store().keys("audit/segment/")[1].clone();
    home.store().tamper(|map| drop(map.insert(key.clone(), (99, b"{\"v\":1".to_vec()))));
    assert!(home.verify().findings.iter().any(|f| f.found == Found::RegistrationDamaged));
    home.store().tamper(|map| drop(map.remove(&key)));
    let report = home.verify();
    assert!(report.findings.iter().any(|f| f.found == Found::RegistrationRemoved));
    assert!(report.segments.iter().any(|s| s.status == Status::Unregistered), "{report:?}");
    home.store().tamper(|map| drop(map.remove("audit/latest")));
    assert!(home.verify().findings.iter().any(|f| f.found == Found::StoreRolledBack));
}

#[test]
fn a_segment_of_another_home_or_under_another_name_is_named() {
    let (home, other) = (Home::new(Suite::Nist), Home::new(Suite::Nist));
    home.write(5);
    other.write(5);
    let foreign = other.files()[0].clone();
    fs::copy(&foreign, home.dir().join(foreign.file_name().unwrap())).unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments[1].status), (Verdict::Tampered, Status::Unregistered));
    fs::copy(&foreign, &home.files()[0]).unwrap();
    assert!(!home.verify().segments[0].findings.is_empty());
}

#[test]
fn what_is_no_regular_file_or_no_segment_is_said_and_not_followed() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    fs::write(home.dir().join("notes.txt"), "x").unwrap();
    assert_eq!((home.verify().verdict, home.verify().other_files), (Verdict::Whole, vec!["notes.txt".to_owned()]));
    let link = home.dir().join("1760000000000-0000000000000000.jsonl");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let report = home.verify();
    assert_eq!(report.verdict, Verdict::Unverified);
    assert!(report.segments.iter().any(|s| s.status == Status::Unreadable));
}

#[test]
fn a_link_in_the_place_of_the_directory_is_not_followed_by_a_writer() {
    let home = Home::new(Suite::Nist);
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), home.dir()).unwrap();
    assert!(home.sink().record(&Example::default().event()).is_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    // Neither when it takes the place of a directory with segments to be continued.
    fs::remove_file(home.dir()).unwrap();
    home.write(2);
    fs::rename(home.dir(), elsewhere.path().join("audit")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("audit"), home.dir()).unwrap();
    let before = fs::read(&home.files()[0]).unwrap();
    assert!(home.sink().record(&Example::default().event()).is_err());
    assert_eq!(fs::read(&home.files()[0]).unwrap(), before);
}

#[test]
fn an_open_segment_cut_behind_what_the_store_last_heard_is_missed_and_before_the_end_is_not() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(AuditOptions { anchor_every: 10, at_once: u32::MAX, ..AuditOptions::default() });
    (0..25).for_each(|_| sink.record(&Example::default().event()).unwrap());
    assert_eq!(home.verify().verdict, Verdict::Whole);
    let mut lines = home.lines();
    // The honest limit: nothing outside the file knows of the last records.
    lines.truncate(21);
    home.rewrite(&lines);
    assert_eq!((home.verify().verdict, home.verify().records), (Verdict::Whole, 21));
    lines.truncate(15);
    home.rewrite(&lines);
    assert_eq!(findings(&home.verify()), one(Found::Truncated, 15, 20));
}

#[test]
fn a_rewritten_segment_of_a_killed_writer_is_not_continued_so_that_the_store_keeps_the_proof() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        let killed = home.sink_with(AuditOptions { anchor_every: 10, at_once: u32::MAX, ..AuditOptions::default() });
        (0..25).for_each(|_| killed.record(&Example::default().event()).unwrap());
        std::mem::forget(killed);
        let mut lines = home.lines();
        edit(&mut lines[7]);
        rehash(suite, &mut lines, 7);
        // The forgotten sink still holds the lock of the file; its copy is free, as after a kill.
        let file = home.files().remove(0);
        fs::remove_file(&file).unwrap();
        fs::write(&file, lines.concat()).unwrap();
        assert_eq!(findings(&home.verify()), one(Found::Rewritten, 20, 20));
        home.write(2);
        assert_eq!(findings(&home.verify()), one(Found::Rewritten, 20, 20));
        assert_eq!(home.files().len(), 2);
    }
}

#[test]
fn damaged_registrations_are_named_and_keep_nobody_from_recording() {
    let home = Home::new(Suite::Nist);
    home.write(2);
    let keys = home.store().keys("audit/segment/");
    home.store().tamper(|map| map.get_mut(&keys[0]).unwrap().1 = b"{}".to_vec());
    home.write(2);
    assert_eq!(home.files().len(), 2);
    let report = home.verify();
    assert!(report.findings.iter().any(|f| f.found == Found::RegistrationDamaged));
    assert_eq!(report.verdict, Verdict::Tampered);
}

#[test]
fn a_writer_whose_file_is_deleted_goes_on_in_another_and_the_deletion_is_named() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    let now = SystemClock::default().now().0;
    sink.record(&Example { time: now, ..Example::default() }.event()).unwrap();
    fs::remove_file(&home.files()[0]).unwrap();
    sink.record(&Example { time: now + 5000, ..Example::default() }.event()).unwrap();
    sink.close().unwrap();
    let statuses: Vec<_> = home.verify().segments.iter().map(|s| s.status).collect();
    assert_eq!(statuses, [Status::Missing, Status::Closed]);
}

#[test]
fn a_shorter_copy_put_in_the_place_of_a_segment_in_use_is_named() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    let now = SystemClock::default().now().0;
    (0..5).for_each(|_| sink.record(&Example { time: now, ..Example::default() }.event()).unwrap());
    let copy = home.root.path().join("copy");
    fs::write(&copy, home.lines()[..4].concat()).unwrap();
    fs::rename(&copy, &home.files()[0]).unwrap();
    sink.record(&Example { time: now + 5000, ..Example::default() }.event()).unwrap();
    sink.close().unwrap();
    assert_eq!(findings(&home.verify()), one(Found::Truncated, 4, 5));
}

#[test]
fn files_full_of_forged_records_are_judged_in_bounded_time_and_memory() {
    let home = Home::new(Suite::Nist);
    home.write(1);
    let line = |seq: u64| format!("{{\"kind\":\"event\",\"seq\":{seq},\"time\":1,\"h\":\"{}\"}}\n", "0".repeat(64));
    let mut far: Vec<u8> = home.lines().concat();
    far.extend(line(u64::MAX - 1).bytes());
    far.extend((0..50_000).flat_map(|n| line(10 + 3 * n).into_bytes()));
    fs::write(&home.files()[0], &far).unwrap();
    let report = home.verify();
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(report.segments[0].findings.len(), 100);
    assert!(report.segments[0].more_findings > 49_000);
}

#[test]
fn any_bytes_get_a_verdict() {
    let home = Home::new(Suite::Nist);
    home.write(30);
    let whole = fs::read(&home.files()[0]).unwrap();
    let mut noise = noise(88_172_645_463_325_252);
    for round in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..=noise(4) {
            let (at, len) = (noise(bytes.len()), noise(300));
            let end = (at + len).min(bytes.len());
            match noise(5) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.insert(at, noise(256) as u8),
                2 => bytes[at] ^= 1 << noise(8),
                3 => {
                    let copy = bytes[at..end].to_vec();
                    let to = noise(bytes.len());
                    bytes.splice(to..to, copy);
                }
                _ => bytes[at..end].reverse(),
            }
        }
        fs::write(&home.files()[0], &bytes).unwrap();
        let expected = if bytes == whole { Verdict::Whole } else { Verdict::Tampered };
        assert_eq!(home.verify().verdict, expected, "round {round}");
    }
    let deep = [
        b"{\"kind\":\"genesis\",\"x\":".to_vec(),
        vec![b'['; 30_000],
        b",\"seq\":0,\"time\":1,\"h\":\"".to_vec(),
        vec![b'0'; 64],
        b"\"}\n".to_vec(),
    ];
    fs::write(&home.files()[0], deep.concat().repeat(50)).unwrap();
    assert_eq!(home.verify().verdict, Verdict::Tampered);
    fs::write(&home.files()[0], vec![0; 20 << 20]).unwrap();
    assert_eq!(home.verify().verdict, Verdict::Tampered);
}
