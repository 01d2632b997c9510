//! Records that wait beside their segment: read as one with it, whatever becomes of the writer, the disk, or the files.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use libkmss::audit::{AuditOptions, AuditSink, AuditTail, Filter, Found, Outcome, SegmentSink, Status, Verdict};
use libkmss::clock::{Clock, SystemClock};
use libkmss::key::Action;
use libkmss::suite::Suite;

use crate::double::{Example, Home, noise};
use crate::process::{in_child, on_a_full_disk, tagged, tags, write_until_nothing_fits};

/// All but what must not wait.
const ALL_WAIT: u32 = 0;
/// Where the bytes begin in a file that waits.
const BYTES: usize = 4096;

fn options() -> AuditOptions {
    AuditOptions { at_once: ALL_WAIT, ..AuditOptions::default() }
}

/// A record of now, so that no second passes between two.
fn at(now: u64, tag: &str) -> Example {
    Example { time: now, ..tagged(tag) }
}

fn now() -> u64 {
    SystemClock::default().now().0
}

fn record(sink: &SegmentSink, count: usize) {
    let now = now();
    (0..count).for_each(|n| sink.record(&at(now, &format!("waiting-{n}")).event()).unwrap());
}

/// A home whose only writer died with records `waiting-0` to `waiting-4` beside the segment.
fn left_behind() -> Home {
    let home = Home::new(Suite::Nist);
    assert!(in_child(|| {
        let sink = home.sink_with(options());
        record(&sink, 5);
        std::mem::forget(sink);
        true
    }));
    assert_eq!((lines(&home), home.waiting().len()), (1, 1));
    home
}

/// Lines in the only segment's file.
fn lines(home: &Home) -> usize {
    home.lines().len()
}

/// What waits, and behind which length of the file.
fn look(path: &Path) -> (u64, Vec<u8>) {
    let whole = fs::read(path).unwrap();
    let word = u64::from_ne_bytes(whole[..8].try_into().unwrap());
    let count = usize::try_from(word & 0x7ff_ffff).unwrap();
    (word >> 27, whole[BYTES..BYTES + count].to_vec())
}

fn set_word(path: &Path, base: u64, count: u64) {
    File::options().write(true).open(path).unwrap().write_all_at(&(base << 27 | count).to_ne_bytes(), 0).unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn found(home: &Home) -> Vec<Found> {
    home.verify().segments.iter().flat_map(|s| &s.findings).map(|f| f.found).collect()
}

fn events() -> Filter {
    Filter { events_only: true, ..Filter::default() }
}

#[test]
fn records_that_wait_are_verified_and_read_with_their_segment_and_go_there_in_the_end() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        let sink = home.sink_with(options());
        let mut following = AuditTail::new(home.dir(), events());
        record(&sink, 5);
        assert_eq!((lines(&home), home.waiting().len()), (1, 1));
        let report = home.verify();
        assert_eq!((report.verdict, report.records), (Verdict::Whole, 6), "{report:?}");
        assert!(report.other_files.is_empty());
        assert_eq!(home.verify_without_store().records, 6);
        assert_eq!(AuditTail::new(home.dir(), events()).last(3).unwrap().len(), 3);
        assert_eq!(following.poll().unwrap().len(), 5);
        record(&sink, 2);
        assert_eq!(following.poll().unwrap().len(), 2);
        let mut visited = 0;
        AuditTail::new(home.dir(), events()).visit(&mut |_| visited += 1).unwrap();
        assert_eq!(visited, 7);
        sink.close().unwrap();
        assert_eq!((lines(&home), home.waiting().len()), (9, 0));
        assert!(following.poll().unwrap().is_empty());
        assert_eq!(home.verify().verdict, Verdict::Whole);
    }
}

#[test]
fn the_first_records_of_a_second_do_not_wait_and_the_next_second_takes_the_others_along() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(AuditOptions { at_once: 3, ..AuditOptions::default() });
    let now = now();
    (0..3).for_each(|_| sink.record(&at(now, "early").event()).unwrap());
    assert_eq!((lines(&home), home.waiting().len()), (4, 0));
    (0..3).for_each(|_| sink.record(&at(now, "late").event()).unwrap());
    assert_eq!((lines(&home), home.waiting().len()), (4, 1));
    sink.record(&at(now + 2000, "next").event()).unwrap();
    assert_eq!(lines(&home), 8);
    assert_eq!(home.verify().verdict, Verdict::Whole);
}

#[test]
fn a_record_that_must_be_on_the_disk_takes_those_before_it_along() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(options());
    record(&sink, 5);
    sink.record(&Example { time: now(), ..Example::of(Action::Export, Outcome::Success) }.event()).unwrap();
    assert_eq!(lines(&home), 7);
    record(&sink, 1);
    let report = home.verify();
    assert_eq!((report.verdict, report.records), (Verdict::Whole, 8));
}

#[test]
fn many_records_go_through_a_place_that_holds_few_and_a_reader_sees_each_once() {
    const COUNT: usize = 20_000;
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(AuditOptions { anchor_every: 0, ..options() });
    record(&sink, 1);
    let mut tail = AuditTail::new(home.dir(), events());
    let mut seen = tail.last(10).unwrap().len();
    std::thread::scope(|s| {
        s.spawn(|| {
            let now = now();
            (1..COUNT).for_each(|n| sink.record(&at(now, &n.to_string()).event()).unwrap());
        });
        while seen < COUNT {
            let more = tail.poll().unwrap();
            for (n, entry) in more.iter().enumerate() {
                assert_eq!(entry.record.tags, [(seen + n).to_string()]);
            }
            seen += more.len();
            let report = home.verify();
            assert_eq!(report.verdict, Verdict::Whole, "{report:?}");
        }
    });
    // Each segment has its genesis: a fork in another test holds every lock for a moment, and the thread goes on in a second one.
    let report = home.verify();
    assert_eq!((seen, report.records), (COUNT, COUNT as u64 + report.segments.len() as u64));
}

#[test]
fn what_a_killed_writer_left_waiting_is_whole_and_the_next_one_takes_it_along() {
    let home = left_behind();
    let report = home.verify();
    assert_eq!((report.verdict, report.records, report.segments[0].status), (Verdict::Whole, 6, Status::Open));
    home.write(2);
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
    assert_eq!((report.segments[0].recoveries, report.segments[0].writers, report.records), (0, 2, 10));
    assert!(home.waiting().is_empty());
    assert_eq!(tags(&home).len(), 5);
}

#[test]
fn a_death_between_moving_records_and_saying_so_repeats_none_and_loses_none() {
    let home = left_behind();
    let (base, waiting) = look(&home.waiting()[0]);
    let (file, beside) = (home.files().remove(0), home.waiting().remove(0));
    let (segment, left) = (fs::read(&file).unwrap(), fs::read(&beside).unwrap());
    let store = fs::read(home.root.path().join("store")).unwrap();
    assert_eq!(base, segment.len() as u64);
    for moved in [0, 1, 50, waiting.len() / 2, waiting.len() - 1, waiting.len()] {
        fs::write(home.root.path().join("store"), &store).unwrap();
        fs::write(&file, [&segment, &waiting[..moved]].concat()).unwrap();
        fs::write(&beside, &left).unwrap();
        assert_eq!((home.verify().verdict, home.verify().records), (Verdict::Whole, 6), "{moved}");
        assert_eq!(tags(&home).len(), 5);
        home.write(1);
        let report = home.verify();
        assert_eq!((report.verdict, report.records), (Verdict::Whole, 9), "{moved} {report:?}");
        assert_eq!((report.segments.len(), report.segments[0].recoveries), (1, 0));
    }
}

#[test]
fn a_forked_child_leaves_alone_what_waits_for_its_parent() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(options());
    sink.record(&at(now(), "parent-0").event()).unwrap();
    for child in 0..3 {
        assert!(in_child(|| true));
        let tag = format!("child-{child}");
        assert!(in_child(|| sink.record(&at(now(), &tag).event()).is_ok()));
        assert!(in_child(|| sink.record(&at(now(), &tag).event()).is_ok() && sink.close().is_ok()));
        sink.record(&at(now(), &format!("parent-{}", child + 1)).event()).unwrap();
    }
    let report = home.verify();
    // Later children go on where earlier ones ended.
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 2), "{report:?}");
    assert_eq!(report.segments[0].records, 5);
    sink.close().unwrap();
    assert_eq!((home.verify().verdict, tags(&home).len()), (Verdict::Whole, 7));
}

#[test]
#[ignore = "started by the test of full disks"]
fn waits_until_nothing_fits_and_then_goes_on() {
    write_until_nothing_fits(options(), |sink| {
        // Neither what must be on the disk.
        assert!(sink.record(&Example::of(Action::Export, Outcome::Success).event()).is_err());
    });
}

#[test]
fn where_there_is_no_space_to_move_records_they_wait_until_nothing_more_fits() {
    let home = Home::new(Suite::Nist);
    let written = on_a_full_disk("waiting::waits_until_nothing_fits_and_then_goes_on", &home, 200);
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
    // Nothing was torn; five were refused.
    assert_eq!((report.segments[0].recoveries, report.segments[0].lost), (1, 5));
    let tags = tags(&home);
    assert_eq!(tags.len(), written + 3);
    assert!(!tags.contains("never") && tags.contains("after-2"));
    // More than the limit: the last of them waited.
    assert!(report.bytes > 200 * 512);
}

#[test]
fn where_no_file_can_be_made_each_record_goes_to_the_segment() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(AuditOptions { at_once: 1, ..AuditOptions::default() });
    let now = now();
    sink.record(&at(now, "first").event()).unwrap();
    fs::create_dir(home.files()[0].with_extension("pending")).unwrap();
    (0..5).for_each(|n| sink.record(&at(now, &n.to_string()).event()).unwrap());
    assert_eq!((lines(&home), tags(&home).len()), (7, 6));
    sink.close().unwrap();
    assert_eq!(found(&home), [Found::PendingDamaged]);
}

#[test]
fn a_file_deleted_while_records_wait_in_it_costs_none_of_them() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(options());
    let now = now();
    record(&sink, 5);
    fs::remove_file(&home.waiting()[0]).unwrap();
    sink.record(&at(now + 5000, "noticed").event()).unwrap();
    assert_eq!(lines(&home), 7);
    sink.record(&at(now + 5000, "beside again").event()).unwrap();
    assert_eq!((lines(&home), home.waiting().len()), (7, 1));
    assert_eq!((home.verify().verdict, home.verify().records), (Verdict::Whole, 8));
}

#[test]
fn a_file_cut_while_records_wait_in_it_is_noticed_and_the_loss_is_named() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(options());
    let now = now();
    record(&sink, 5);
    File::options().write(true).open(&home.waiting()[0]).unwrap().set_len(0).unwrap();
    sink.record(&at(now + 5000, "goes on").event()).unwrap();
    sink.close().unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Tampered, 2), "{report:?}");
    assert_eq!(found(&home), [Found::Truncated]);
    assert_eq!(tags(&home), BTreeSet::from(["goes on".to_owned()]));
}

#[test]
fn a_segment_cut_before_what_waits_is_named_and_what_waits_is_shown() {
    let home = Home::new(Suite::Nist);
    assert!(in_child(|| {
        let sink = home.sink_with(options());
        let now = now();
        record(&sink, 5);
        sink.record(&at(now + 2000, "moves").event()).unwrap();
        (0..3).for_each(|n| sink.record(&at(now + 2000, &format!("late-{n}")).event()).unwrap());
        std::mem::forget(sink);
        true
    }));
    let whole = home.lines();
    // The first of the second waits as well.
    assert_eq!((whole.len(), home.verify().verdict), (6, Verdict::Whole));
    for cut in [0, 100] {
        let mut lines = whole.clone();
        lines.truncate(3);
        let kept = lines[2].len() - cut;
        lines[2].truncate(kept);
        home.rewrite(&lines);
        let report = home.verify();
        assert_eq!(report.verdict, Verdict::Tampered);
        let removed = report.segments[0].findings.iter().find(|f| f.found == Found::Removed).unwrap();
        assert_eq!((removed.first, removed.last), (Some(3 - u64::from(cut > 0)), Some(5)), "{report:?}");
        assert!(tags(&home).contains("late-2") && tags(&home).contains("moves"));
    }
    home.write(1);
    assert_eq!((home.files().len(), home.waiting().len()), (2, 1), "it is left as it was found");
}

#[test]
fn what_others_added_to_a_segment_is_named_and_hides_nothing_that_waits() {
    for rubbish in [&b"rubbish\n"[..], b"half a line", &[0; 5000]] {
        let home = left_behind();
        append(&home.files()[0], rubbish);
        let report = home.verify();
        assert_eq!((report.verdict, report.records), (Verdict::Tampered, 6), "{report:?}");
        assert_eq!(found(&home), [Found::Inserted]);
        assert_eq!(tags(&home).len(), 5);
        // Nobody goes on there.
        home.write(1);
        assert_eq!((home.files().len(), home.waiting().len(), tags(&home).len()), (2, 1, 5));
    }
}

/// Another boot than this one.
fn of_another_boot(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes[64..].iter().position(|b| *b == b'\n').unwrap() + 64;
    bytes[end - 1] = if bytes[end - 1] == b'0' { b'1' } else { b'0' };
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_waited_when_the_system_went_down_counts_as_far_as_its_chain_goes() {
    // All of it, as after a clean shutdown.
    let home = left_behind();
    of_another_boot(&home.waiting()[0]);
    assert_eq!((home.verify().verdict, home.verify().records, tags(&home).len()), (Verdict::Whole, 6, 5));
    home.write(1);
    assert_eq!((home.verify().verdict, home.verify().records, home.files().len()), (Verdict::Whole, 9, 1));

    // Its pages are of several moments.
    let home = left_behind();
    of_another_boot(&home.waiting()[0]);
    let (_, waiting) = look(&home.waiting()[0]);
    let third = waiting.split_inclusive(|b| *b == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
    let file = File::options().write(true).open(&home.waiting()[0]).unwrap();
    file.write_all_at(&[0; 100], (BYTES + third + 10) as u64).unwrap();
    assert_eq!((home.verify().verdict, home.verify().records, tags(&home).len()), (Verdict::Whole, 3, 2));

    // The file lost records before it.
    let home = left_behind();
    of_another_boot(&home.waiting()[0]);
    set_word(&home.waiting()[0], home.files()[0].metadata().unwrap().len() + 4000, waiting.len() as u64);
    let (_, all) = look(&home.waiting()[0]);
    let file = File::options().write(true).open(&home.waiting()[0]).unwrap();
    let first = all.iter().position(|b| *b == b'\n').unwrap() + 1;
    file.write_all_at(&all[first..], BYTES as u64).unwrap();
    set_word(&home.waiting()[0], home.files()[0].metadata().unwrap().len() + 4000, (all.len() - first) as u64);
    assert_eq!((home.verify().verdict, home.verify().records), (Verdict::Whole, 1));
    home.write(1);
    assert_eq!((home.verify().verdict, home.files().len(), home.waiting().len()), (Verdict::Whole, 2, 1));

    // Older than the file: a name that came back.
    let home = left_behind();
    of_another_boot(&home.waiting()[0]);
    let old = fs::read(&home.waiting()[0]).unwrap();
    let beside = home.waiting().remove(0);
    home.write(3);
    fs::write(&beside, &old).unwrap();
    assert_eq!((home.verify().verdict, home.verify().records), (Verdict::Whole, 11));
    home.write(1);
    assert_eq!((home.verify().verdict, home.files().len(), home.waiting().len()), (Verdict::Whole, 1, 0));
}

#[test]
fn whatever_stands_beside_a_segment_is_named_and_never_followed() {
    type Attack = fn(&Path);
    let attacks: [(&str, Attack, Option<Found>); 11] = [
        ("more than there is room for", |p| set_word(p, 0, 0x7ff_ffff), Some(Found::PendingDamaged)),
        ("far behind the end", |p| set_word(p, 1 << 36, look(p).1.len() as u64), None),
        ("before its place", |p| set_word(p, 0, look(p).1.len() as u64), None),
        ("half a record", |p| set_word(p, look(p).0, 700), None),
        ("cut", |p| File::options().write(true).open(p).unwrap().set_len(5000).unwrap(), Some(Found::PendingDamaged)),
        ("longer", |p| append(p, b"x"), Some(Found::PendingDamaged)),
        ("another title", |p| title(p, b"kmss audit pending 3"), Some(Found::PendingDamaged)),
        ("another segment", |p| title(p, b"kmss audit pending 2 1760000000000-00"), Some(Found::PendingDamaged)),
        ("a link", |p| replace(p, |p| symlink("/dev/zero", p).unwrap()), Some(Found::PendingDamaged)),
        ("a directory", |p| replace(p, |p| fs::create_dir(p).unwrap()), Some(Found::PendingDamaged)),
        ("nothing", |p| set_word(p, 0, 0), None),
    ];
    for (name, attack, expected) in attacks {
        let home = left_behind();
        attack(&home.waiting()[0]);
        let report = home.verify();
        if let Some(expected) = expected {
            assert_eq!((found(&home), report.segments[0].status), (vec![expected], Status::Broken), "{name}");
            home.write(1);
            assert_eq!((home.files().len(), found(&home)), (2, vec![expected]), "{name}: it is left as it was found");
        } else {
            home.write(1);
            assert_eq!(
                home.files().len(),
                1 + usize::from(name.contains("place") || name.contains("behind")),
                "{name}"
            );
        }
        let _ = AuditTail::new(home.dir(), Filter::default()).last(100).unwrap();
    }
}

fn title(path: &Path, text: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(text, 64).unwrap();
}

fn replace(path: &Path, with: impl FnOnce(&Path)) {
    fs::remove_file(path).unwrap();
    with(path);
}

#[test]
fn what_waits_for_a_segment_that_is_gone_is_an_unknown_file() {
    let home = left_behind();
    fs::remove_file(&home.files()[0]).unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments[0].status), (Verdict::Tampered, Status::Missing));
    assert_eq!(report.other_files.len(), 1);
}

#[test]
fn any_bytes_beside_a_segment_get_a_verdict() {
    let home = left_behind();
    let path: PathBuf = home.waiting().remove(0);
    let whole = fs::read(&path).unwrap();
    let mut noise = noise(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=noise(3) {
            let at = match noise(3) {
                0 => noise(8),
                1 => 64 + noise(90),
                _ => BYTES + noise(2100),
            };
            bytes[at] ^= 1 << noise(8);
        }
        fs::write(&path, &bytes).unwrap();
        let report = home.verify();
        assert!(report.records <= 6 && report.bytes <= 100_000, "{report:?}");
        let _ = tags(&home);
    }
}
