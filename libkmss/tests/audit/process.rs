//! Writers that fork, are killed, or run out of space.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use libkmss::audit::{AuditOptions, AuditSink, AuditTail, Filter, SegmentSink, Status, Verdict};
use libkmss::error::ErrorKind;
use libkmss::suite::Suite;

use crate::double::{Example, Home, sink};

pub(crate) const HOME: &str = "KMSS_TEST_AUDIT_HOME";

/// This test binary, to run one of its ignored tests in a process of its own.
pub(crate) fn again(test: &str, home: &Home) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]).env(HOME, home.root.path());
    command
}

/// Runs an ignored test, which calls [`write_until_nothing_fits`], with a soft limit of so many blocks on the size of files,
/// which stands for a full disk; gives how many records were written before it was reached.
pub(crate) fn on_a_full_disk(test: &str, home: &Home, blocks: u32) -> usize {
    let inner = again(test, home);
    let limited = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
    let mut outer = Command::new("sh");
    outer.args(["-c", &limited]).arg(inner.get_program()).args(inner.get_args()).env(HOME, home.root.path());
    let output = outer.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().find_map(|line| line.strip_prefix("written ")).unwrap().parse().unwrap()
}

/// Writes until nothing fits, is refused twice (`also` tries more each time), and goes on when there is space again.
pub(crate) fn write_until_nothing_fits(options: AuditOptions, also: impl Fn(&SegmentSink)) {
    let Some(home) = std::env::var_os(HOME) else { return };
    let sink = sink(Path::new(&home), Suite::Nist, options);
    let mut written = 0;
    while sink.record(&tagged(&format!("before-{written}")).event()).is_ok() {
        written += 1;
        assert!(written < 100_000, "the limit does not hold");
    }
    for _ in 0..2 {
        let refused = sink.record(&tagged("never").event()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AuditUnavailable);
        also(&sink);
    }
    let pid = std::process::id().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status().unwrap();
    assert!(lifted.success());
    for n in 0..3 {
        sink.record(&tagged(&format!("after-{n}")).event()).unwrap();
    }
    println!("\nwritten {written}");
}

pub(crate) fn tagged(tag: &str) -> Example {
    Example { tags: vec![tag.to_owned()], ..Example::default() }
}

pub(crate) fn tags(home: &Home) -> BTreeSet<String> {
    let events =
        AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(usize::MAX).unwrap();
    events.into_iter().flat_map(|e| e.record.tags).collect()
}

#[test]
#[ignore = "started by the test of kill -9"]
fn writes_until_it_is_killed() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let sink = sink(Path::new(&home), Suite::Nist, AuditOptions { anchor_every: 50, ..AuditOptions::default() });
    std::thread::scope(|s| {
        for thread in 0..3 {
            let sink = &sink;
            s.spawn(move || {
                for n in 0_u64.. {
                    let tag = format!("{thread}-{n}");
                    sink.record(&tagged(&tag).event()).unwrap();
                    // One write, so that lines of threads do not mix.
                    std::io::stdout().write_all(format!("\nacknowledged {tag}\n").as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_writer_killed_at_any_moment_leaves_every_acknowledged_record() {
    let home = Home::new(Suite::Nist);
    let mut acknowledged = BTreeSet::new();
    for round in 1..=6 {
        let mut child =
            again("process::writes_until_it_is_killed", &home).stdout(Stdio::piped()).spawn().expect("the test binary");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for (n, line) in lines.map_while(Result::ok).enumerate() {
            acknowledged.extend(line.strip_prefix("acknowledged ").map(|tag| tag.to_owned()));
            if n == 200 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let report = home.verify();
        assert_eq!(report.verdict, Verdict::Whole, "{report:?}");
        // Each process continued what the killed one had left.
        // Its threads may have had a segment each.
        let writers: u64 = report.segments.iter().map(|s| s.writers).sum();
        // What was killed between making a segment and its first record left an empty one that nobody continues.
        let written = report.segments.iter().filter(|s| s.status != Status::Empty).count();
        assert!(written <= 4 && (round as u64..=4 * round as u64).contains(&writers), "{report:?}");
        // One that was just begun may have no record yet.
        let left = |s: Status| matches!(s, Status::Open | Status::TornTail | Status::Empty);
        assert!(report.segments.iter().all(|s| left(s.status)), "{report:?}");
    }
    assert!(acknowledged.len() > 300);
    assert_eq!(acknowledged.difference(&tags(&home)).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn what_a_killed_writer_left_torn_is_hashed_by_the_next_one_and_may_not_change() {
    let torn: [&[u8]; 5] = [b"{\"kind\":\"ev", b"\0\0\0\0", b"x torn\n{\"kind", b"\xff\n\n", &[b'y'; 200_000]];
    for torn in torn {
        let home = Home::new(Suite::Nist);
        let killed = home.sink();
        (0..3).for_each(|_| killed.record(&Example::default().event()).unwrap());
        std::mem::forget(killed);
        let file = &home.files()[0];
        let mut bytes = fs::read(file).unwrap();
        let at = bytes.len();
        bytes.extend_from_slice(torn);
        // The forgotten sink still holds the lock of the file; its copy is free, as after a kill.
        fs::remove_file(file).unwrap();
        fs::write(file, &bytes).unwrap();
        home.write(2);
        let report = home.verify();
        assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
        assert_eq!((report.segments[0].recoveries, report.segments[0].status), (1, Status::Closed));
        let mut changed = fs::read(file).unwrap();
        changed[at] ^= 1;
        fs::write(file, &changed).unwrap();
        assert_eq!(home.verify().verdict, Verdict::Tampered);
        changed.drain(at..at + torn.len());
        fs::write(file, &changed).unwrap();
        assert_eq!(home.verify().verdict, Verdict::Tampered);
    }
}

#[test]
fn a_torn_tail_is_told_from_an_attack() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    (0..3).for_each(|_| sink.record(&Example::default().event()).unwrap());
    OpenOptions::new().append(true).open(&home.files()[0]).unwrap().write_all(b"{\"kind\":\"event\",").unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments[0].status), (Verdict::Whole, Status::TornTail));
}

#[test]
#[ignore = "started by the test of full disks"]
fn writes_until_nothing_fits_and_then_goes_on() {
    write_until_nothing_fits(AuditOptions::default(), |_| ());
}

#[test]
fn a_full_disk_refuses_and_the_chain_goes_on_when_there_is_space_again() {
    let home = Home::new(Suite::Nist);
    // The last write is cut short, later ones fail.
    let written = on_a_full_disk("process::writes_until_nothing_fits_and_then_goes_on", &home, 100);
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
    // One record was cut short, two more refused.
    assert_eq!((report.segments[0].recoveries, report.segments[0].lost), (1, 3));
    let tags = tags(&home);
    assert_eq!(tags.len(), written + 3);
    assert!(!tags.contains("never") && tags.contains("after-2"));
}

/// Runs `f` in a forked child; true when it returned true.
pub(crate) fn in_child(f: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `f`, which allocates (glibc allows that after fork), and leaves with _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(false);
        // SAFETY: ends the child without running the parent's handlers.
        unsafe { libc::_exit(i32::from(!fine)) };
    }
    let mut status = -1;
    // SAFETY: waits for the child just made.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status == 0
}

#[test]
fn a_forked_child_begins_a_segment_of_its_own_and_the_parent_goes_on() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    sink.record(&tagged("parent-0").event()).unwrap();
    assert!(in_child(|| true), "a child that records nothing leaves nothing");
    assert_eq!(home.files().len(), 1);
    assert!(in_child(|| sink.record(&tagged("child").event()).is_ok() && sink.close().is_ok()));
    sink.record(&tagged("parent-1").event()).unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 2), "{report:?}");
    let statuses: Vec<_> = report.segments.iter().map(|s| s.status).collect();
    assert_eq!(statuses, [Status::Open, Status::Closed]);
    assert_eq!(tags(&home).len(), 3);
    sink.close().unwrap();
    assert_eq!(home.verify().segments[0].status, Status::Closed);
}

#[test]
fn forks_while_other_threads_record_lose_nothing() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    let done = std::sync::atomic::AtomicBool::new(false);
    let count = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    sink.record(&Example::default().event()).unwrap();
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        for _ in 0..20 {
            assert!(in_child(|| (0..5).all(|_| sink.record(&Example::default().event()).is_ok())));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let report = home.verify();
    assert_eq!(report.verdict, Verdict::Whole, "{report:?}");
    // Children that came later continued what earlier ones had left open.
    let headers: u64 = report.segments.iter().map(|s| s.writers).sum();
    // A thread that meets the other, or a fork, goes on in a segment of its own; there are four at most.
    assert!((21..=24).contains(&headers), "{headers}");
    assert_eq!(report.records, headers + 20 * 5 + count.into_inner());
}

#[test]
fn a_segment_in_use_is_not_continued_by_another_process() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    sink.record(&Example::default().event()).unwrap();
    home.write(1);
    sink.record(&Example::default().event()).unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 2), "{report:?}");
}
