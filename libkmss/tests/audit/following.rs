//! The log as it is handed on: from a cursor on, nothing left out, nothing twice, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use libkmss::audit::{
    AuditAlarm, AuditFollower, AuditNote, AuditOptions, AuditSink, AuditTail, Cursor, Filter, Followed, Irregularity,
    Stretch, Verdict, awaited_by,
};
use libkmss::os::FileMode;
use libkmss::suite::Suite;

use crate::double::{Example, Home};
use crate::process::{again, tagged, tags};

fn follower(home: &Home) -> AuditFollower {
    AuditFollower::new(home.dir(), Cursor::default())
}

fn names(stretch: &Stretch) -> Vec<String> {
    stretch.records.iter().map(name).collect()
}

fn name(followed: &Followed) -> String {
    format!("{}:{}", followed.entry.segment, followed.entry.record.seq)
}

/// Everything there is, in stretches of `most`.
fn all(follower: &mut AuditFollower, most: usize) -> Vec<Followed> {
    let mut found = Vec::new();
    loop {
        let stretch = follower.read(most, usize::MAX).unwrap();
        assert!(stretch.irregularities.is_empty(), "{:?}", stretch.irregularities);
        found.extend(stretch.records);
        if !stretch.more {
            return found;
        }
    }
}

/// Records `times` in turn in several segments, and gives the sinks.
fn record(home: &Home, sinks: usize, times: &[u64]) -> Vec<libkmss::audit::SegmentSink> {
    let sinks: Vec<_> = (0..sinks).map(|_| home.sink()).collect();
    for (n, time) in times.iter().enumerate() {
        sinks[n % sinks.len()].record(&Example { time: *time, ..Example::default() }.event()).unwrap();
    }
    sinks
}

#[test]
fn segments_come_side_by_side_by_time_and_each_in_its_own_order() {
    let home = Home::new(Suite::Nist);
    // From long after the genesis records on, which carry today's time; one clock goes back in the middle.
    let base = 9_000_000_000_000;
    let times: Vec<u64> = (0..600).map(|n| if n % 3 == 1 && n > 300 { base + n - 200 } else { base + n }).collect();
    let sinks = record(&home, 3, &times);
    for most in [1, 7, 5000] {
        let found = all(&mut follower(&home), most);
        assert_eq!(found.len(), 603, "with the genesis records");
        assert_eq!(found.iter().map(name).collect::<BTreeSet<_>>().len(), 603);
        let mut last = std::collections::BTreeMap::new();
        for followed in &found {
            let seq = followed.entry.record.seq;
            let before = last.insert(followed.entry.segment.clone(), seq);
            assert_eq!(before.map_or(0, |before| before + 1), seq);
            assert_eq!(followed.writer.pid, Some(std::process::id()));
        }
        let steady = found.iter().filter(|f| f.entry.record.time.0 >= base).map(|f| f.entry.record.time.0);
        let steady: Vec<u64> = steady.collect();
        assert!(steady[..200].is_sorted(), "as long as all clocks agree");
    }
    drop(sinks);
}

#[test]
fn a_cursor_goes_on_where_it_was_also_in_another_process() {
    let home = Home::new(Suite::Gm);
    let sinks = record(&home, 2, &[1, 2, 3, 4, 5, 6]);
    let path = home.root.path().join("it.cursor");
    let mode = FileMode::of_home(home.root.path()).unwrap();
    let mut seen = BTreeSet::new();
    for round in 0..20 {
        let cursor = Cursor::load(&path).unwrap().unwrap_or_default();
        let mut follower = AuditFollower::new(home.dir(), cursor);
        let stretch = follower.read(2, usize::MAX).unwrap();
        assert!(stretch.irregularities.is_empty());
        for name in names(&stretch) {
            assert!(seen.insert(name.clone()), "{name} twice");
        }
        // Who wrote it is known even where that stands before the cursor.
        assert!(stretch.records.iter().all(|f| f.writer.executable.is_some() && f.writer.host.is_some()));
        follower.cursor().store(&path, mode).unwrap();
        if round < 10 {
            sinks[round % 2].record(&Example { time: 10 + round as u64, ..Example::default() }.event()).unwrap();
        }
    }
    assert_eq!(seen.len(), 6 + 10 + 2);
    fs::write(&path, "{").unwrap();
    assert!(Cursor::load(&path).is_err(), "what is damaged is no beginning");
}

#[test]
fn what_waits_beside_a_segment_is_handed_on_before_it_is_moved() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    let mut follower = follower(&home);
    let mut found = 0;
    for n in 0..2_000 {
        sink.record(&tagged(&format!("t{n}")).event()).unwrap();
        if n % 50 == 0 {
            found += all(&mut follower, 1000).len();
            assert_eq!(found, n + 2, "every record that was made, and the genesis");
        }
    }
    sink.close().unwrap();
    found += all(&mut follower, 1000).len();
    assert_eq!(found, 2_000 + 2);
    assert!(all(&mut follower, 10).is_empty() && follower.lag().unwrap() == 0);
}

#[test]
fn a_writer_that_is_killed_again_and_again_is_followed_to_its_last_record() {
    let home = Home::new(Suite::Nist);
    let (mut seen, mut follower) = (BTreeSet::new(), follower(&home));
    for round in 1..=5 {
        let mut child =
            again("process::writes_until_it_is_killed", &home).stdout(Stdio::piped()).spawn().expect("the test binary");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for (n, _) in lines.map_while(Result::ok).enumerate() {
            if n % 20 == 0 {
                for followed in follower.read(500, usize::MAX).unwrap().records {
                    assert!(seen.insert(name(&followed)), "{} twice", name(&followed));
                }
            }
            if n == 100 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    loop {
        let stretch = follower.read(500, usize::MAX).unwrap();
        for followed in &stretch.records {
            assert!(seen.insert(name(followed)), "{} twice", name(followed));
        }
        if !stretch.more {
            break;
        }
    }
    let mut whole = AuditTail::new(home.dir(), Filter::default());
    let there = whole.last(usize::MAX).unwrap();
    let there: BTreeSet<String> = there.iter().map(|e| format!("{}:{}", e.segment, e.record.seq)).collect();
    assert_eq!(there.difference(&seen).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(!tags(&home).is_empty());
}

#[test]
fn what_is_no_longer_as_it_was_read_is_said_and_read_again() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(AuditOptions { at_once: u32::MAX, ..AuditOptions::default() });
    for n in 0..10 {
        sink.record(&tagged(&format!("t{n}")).event()).unwrap();
    }
    let lines = home.lines();
    let mut follower = follower(&home);
    assert_eq!(all(&mut follower, 100).len(), 11);
    // Rolled back.
    home.rewrite(&lines[..5]);
    let stretch = follower.read(100, usize::MAX).unwrap();
    assert!(matches!(stretch.irregularities[..], [Irregularity::Changed(_)]), "{stretch:?}");
    assert_eq!(stretch.records.len(), 5);
    // A record is left out.
    home.rewrite(&[&lines[..5], &lines[7..]].concat());
    let stretch = follower.read(100, usize::MAX).unwrap();
    assert!(matches!(stretch.irregularities[..], [Irregularity::OutOfOrder { due: 5, found: 7, .. }]), "{stretch:?}");
    // Something else stands there.
    home.rewrite(&[lines.clone(), vec![b"rubbish\n".to_vec()]].concat());
    let stretch = follower.read(100, usize::MAX).unwrap();
    assert!(stretch.irregularities.iter().any(|i| matches!(i, Irregularity::NoRecord(_))), "{stretch:?}");
    fs::remove_file(&home.files()[0]).unwrap();
    let stretch = follower.read(100, usize::MAX).unwrap();
    assert!(matches!(stretch.irregularities[..], [Irregularity::Vanished(_)]), "{stretch:?}");
    std::mem::forget(sink);
}

#[test]
fn old_segments_wait_for_whoever_has_not_read_them() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    let cursors = home.root.path().join("agent");
    fs::create_dir(&cursors).unwrap();
    let mode = FileMode::of_home(home.root.path()).unwrap();
    let (mut quick, mut slow) = (follower(&home), follower(&home));
    all(&mut quick, 100);
    assert_eq!(slow.read(3, usize::MAX).unwrap().records.len(), 3);
    quick.cursor().store(&cursors.join(Cursor::file_name("quick")), mode).unwrap();
    slow.cursor().store(&cursors.join(Cursor::file_name("slow")), mode).unwrap();
    let (id, position) = quick.cursor().segments.iter().next().unwrap();
    assert!(position.closed);
    assert_eq!(awaited_by(&cursors, id, position.offset).unwrap(), ["slow"]);
    assert_eq!(awaited_by(&cursors, id, position.offset + 1).unwrap(), ["quick", "slow"]);
    // Once it is closed and read, it may go without a word.
    let mut quick = AuditFollower::new(home.dir(), quick.cursor().clone());
    fs::remove_file(&home.files()[0]).unwrap();
    let stretch = quick.read(10, usize::MAX).unwrap();
    assert!(stretch.irregularities.is_empty() && quick.cursor().segments.is_empty());
}

#[test]
fn notes_are_records_of_the_chain() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    sink.record(&Example::default().event()).unwrap();
    sink.note(&AuditNote::Heartbeat { beat: 7, every: Duration::from_secs(60) }).unwrap();
    let (evidence, notify) = (["a:1".to_owned(), "a:2".to_owned()], ["pager".to_owned()]);
    let alarm = AuditAlarm {
        rule: "many-decrypts",
        severity: "high",
        principal: "service:\"odd\"\n",
        tenant: "default",
        namespace: "main",
        object: Some(("secret", libkmss::tenant::ObjectId([0xab; 16]), "k\\1")),
        count: 1234,
        reason: "1234 operations within 60 s",
        evidence: &evidence,
        notify: &notify,
        measure: "block principal until released",
    };
    sink.note(&AuditNote::Alarm(&alarm)).unwrap();
    sink.close().unwrap();
    assert_eq!(home.verify().verdict, Verdict::Whole);
    let found = AuditTail::new(home.dir(), Filter::default()).last(100).unwrap();
    let beat = &found.iter().find(|e| e.record.kind == "heartbeat").unwrap().record;
    assert_eq!((beat.beat, beat.every_s), (Some(7), Some(60)));
    let read = &found.iter().find(|e| e.record.kind == "alarm").unwrap().record;
    assert_eq!(
        (read.rule.as_deref(), read.severity.as_deref(), read.count),
        (Some("many-decrypts"), Some("high"), Some(1234))
    );
    assert_eq!((&read.evidence[..], &read.notify[..]), (&evidence[..], &notify[..]));
    assert_eq!(read.object.as_ref().unwrap().id, "ab".repeat(16));
    assert_eq!(read.principal.as_deref(), Some("service:\"odd\"\n"));
    let shown = AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(100).unwrap();
    assert_eq!(shown.iter().filter(|e| e.record.kind == "alarm").count(), 1);
    assert_eq!(shown.iter().filter(|e| e.record.kind == "heartbeat").count(), 0);
}
