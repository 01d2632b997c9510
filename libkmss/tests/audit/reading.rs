//! The log as people read it.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use libkmss::audit::{AuditSink, AuditTail, Entry, Filter, Outcome};
use libkmss::error::ErrorKind;
use libkmss::key::Action;
use libkmss::suite::Suite;

use crate::double::{Example, Home, caller, labelled};

fn events() -> Filter {
    Filter { events_only: true, ..Filter::default() }
}

fn times(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|e| e.record.time.0).collect()
}

/// Two segments with 500 records each, whose times alternate.
fn two_segments(home: &Home) {
    let sinks = [home.sink(), home.sink()];
    for time in 0..1000_u64 {
        let example = Example { time: 1_000_000 + time, ..Example::default() };
        sinks[usize::try_from(time % 2).unwrap()].record(&example.event()).unwrap();
    }
}

#[test]
fn the_newest_records_of_all_segments_come_in_the_order_of_their_times() {
    let home = Home::new(Suite::Nist);
    two_segments(&home);
    for count in [0, 1, 2, 7, 999, 1000, 5000] {
        let found = AuditTail::new(home.dir(), events()).last(count).unwrap();
        let first = 1_001_000 - u64::try_from(count.min(1000)).unwrap();
        assert_eq!(times(&found), (first..1_001_000).collect::<Vec<_>>());
    }
    // With the two genesis and closing records, whose times are today's.
    assert_eq!(AuditTail::new(home.dir(), Filter::default()).last(5000).unwrap().len(), 1004);
}

#[test]
fn following_shows_each_new_record_once() {
    let home = Home::new(Suite::Nist);
    let mut tail = AuditTail::new(home.dir(), events());
    assert!(tail.last(10).unwrap().is_empty() && tail.poll().unwrap().is_empty());
    let sink = home.sink();
    for time in 0..3 {
        sink.record(&Example { time, ..Example::default() }.event()).unwrap();
    }
    assert_eq!(times(&tail.poll().unwrap()), [0, 1, 2]);
    assert!(tail.poll().unwrap().is_empty());
    let other = home.sink();
    other.record(&Example { time: 4, ..Example::default() }.event()).unwrap();
    sink.record(&Example { time: 3, ..Example::default() }.event()).unwrap();
    assert_eq!(times(&tail.poll().unwrap()), [3, 4]);
    assert_eq!(times(&tail.last(2).unwrap()), [3, 4]);
    assert!(tail.poll().unwrap().is_empty());
    sink.record(&Example { time: 5, ..Example::default() }.event()).unwrap();
    let next = tail.follow(Duration::from_millis(1)).next().unwrap().unwrap();
    assert_eq!(next.record.time.0, 5);
    assert_eq!(serde_json::from_str::<libkmss::audit::Record>(&next.raw).unwrap(), next.record);
}

#[test]
fn an_unfinished_line_is_shown_when_it_is_finished_and_rubbish_never() {
    let home = Home::new(Suite::Nist);
    home.write(3);
    let lines = home.lines();
    let mut tail = AuditTail::new(home.dir(), events());
    assert_eq!(tail.last(10).unwrap().len(), 3);
    let mut file = OpenOptions::new().append(true).open(&home.files()[0]).unwrap();
    let (start, end) = lines[2].split_at(50);
    file.write_all(start).unwrap();
    assert!(tail.poll().unwrap().is_empty());
    assert_eq!(AuditTail::new(home.dir(), events()).last(10).unwrap().len(), 3);
    file.write_all(end).unwrap();
    assert_eq!(tail.poll().unwrap().len(), 1);
    file.write_all(&[b'x'; 300_000]).unwrap();
    file.write_all(b"\n\xff\n\n").unwrap();
    file.write_all(&lines[2]).unwrap();
    assert_eq!(tail.poll().unwrap().len(), 1);
    assert_eq!(AuditTail::new(home.dir(), events()).last(100).unwrap().len(), 5);
    assert_eq!(AuditTail::new(home.dir(), events()).poll().unwrap().len(), 5);
}

#[test]
fn filters_leave_what_was_asked_for() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    sink.record(&Example::default().event()).unwrap();
    sink.record(&Example::of(Action::Decrypt, Outcome::Denied(ErrorKind::Denied)).event()).unwrap();
    sink.record(&Example { caller: caller("user:root"), ..Example::default() }.event()).unwrap();
    sink.record(&Example { subject: labelled(b"other"), ..Example::default() }.event()).unwrap();
    let count = |filter: Filter| AuditTail::new(home.dir(), filter).last(100).unwrap().len();
    let set = |text: &str| Some(text.to_owned());
    assert_eq!(count(Filter::default()), 5);
    assert_eq!(count(Filter { action: set("decrypt"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { outcome: set("denied"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { principal: set("user:www-data"), ..Filter::default() }), 3);
    assert_eq!(count(Filter { key: set("other"), ..Filter::default() }), 1);
    assert_eq!(count(Filter { key: set(&"ab".repeat(16)), ..Filter::default() }), 4);
    assert_eq!(count(Filter { namespace: set("web"), ..Filter::default() }), 4);
    assert_eq!(count(Filter { namespace: set("default/web"), ..Filter::default() }), 4);
    assert_eq!(count(Filter { namespace: set("other/web"), ..Filter::default() }), 0);
    let both = Filter { action: set("sign"), principal: set("user:root"), ..Filter::default() };
    assert_eq!(count(both), 1);
}
