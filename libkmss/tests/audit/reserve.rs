//! A full disk, and the place that a segment keeps for it.
#![allow(unsafe_code)]

use std::fs;

use libkmss::audit::{AuditOptions, AuditSink, SegmentSink, Verdict};
use libkmss::error::ErrorKind;
use libkmss::suite::Suite;

use crate::double::{Example, Home};
use crate::process::{in_child, tagged, tags};
use crate::together::use_of;
use libkmss::key::{AuditMode, Storage};

const RESERVE: u32 = 256 << 10;

fn options(at_once: u32) -> AuditOptions {
    AuditOptions { emergency_bytes: RESERVE, at_once, ..AuditOptions::default() }
}

/// From now on no file of this process grows beyond `bytes`, which stands for a full disk.
fn limit_files(bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a structure of the system's that lives through both calls; the signal's default action would end the
    // child.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit), 0);
        limit.rlim_cur = bytes.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

/// Begins a segment and fills the disk behind it.
fn fill(home: &Home, at_once: u32) -> SegmentSink {
    let sink = home.sink_with(options(at_once));
    sink.record(&tagged("first").event()).unwrap();
    limit_files(20_000);
    sink
}

fn record_until_refused(sink: &SegmentSink) -> usize {
    let written = (0..).take_while(|n| sink.record(&tagged(&format!("n-{n}")).event()).is_ok()).count();
    for _ in 0..2 {
        let refused = sink.record(&tagged("never").event()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AuditUnavailable);
    }
    written
}

/// How many records the recovery records say were in the reserve.
fn said_to_be_reserved(home: &Home) -> u64 {
    let text = fs::read_to_string(&home.files()[0]).unwrap();
    let said = text
        .lines()
        .filter_map(|line| line.split_once(",\"reserved\":")?.1.split([',', '}']).next()?.parse::<u64>().ok());
    said.sum()
}

#[test]
fn a_full_disk_is_written_past_until_the_reserve_is_full_too_and_nothing_is_lost() {
    for at_once in [16, 0] {
        let home = Home::new(Suite::Nist);
        assert!(in_child(|| {
            let sink = fill(&home, at_once);
            let written = record_until_refused(&sink);
            // A process that closes nothing, and finds space again.
            limit_files(u64::MAX);
            (0..3).for_each(|n| sink.record(&tagged(&format!("after-{n}")).event()).unwrap());
            fs::write(home.root.path().join("written"), written.to_string()).unwrap();
            sink.close().is_ok()
        }));
        let written: usize = fs::read_to_string(home.root.path().join("written")).unwrap().parse().unwrap();
        let report = home.verify();
        assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
        // That something was refused may have found a place where the record of an operation did not.
        assert_eq!((report.segments[0].recoveries > 0, report.segments[0].lost), (true, 3), "{report:?}");
        let tags = tags(&home);
        assert_eq!(tags.len(), written + 4);
        assert!(!tags.contains("never") && tags.contains("after-2"));
        // Far more than what the file and the usual place have room for.
        assert!(said_to_be_reserved(&home) > 500 && written > 700, "{written}");
        assert!(home.waiting().is_empty());
    }
}

#[test]
fn what_a_killed_process_left_in_the_reserve_is_moved_by_the_next() {
    let home = Home::new(Suite::Nist);
    assert!(in_child(|| {
        let sink = fill(&home, 16);
        (0..300).for_each(|n| sink.record(&tagged(&format!("n-{n}")).event()).unwrap());
        std::mem::forget(sink);
        true
    }));
    assert!(fs::metadata(&home.files()[0]).unwrap().len() <= 20_000);
    let report = home.verify();
    assert_eq!((report.verdict, report.records), (Verdict::Whole, 302), "{report:?}");
    home.write(1);
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
    assert_eq!(tags(&home).len(), 301);
    assert!(home.waiting().is_empty());
}

#[test]
fn records_that_wait_for_the_disk_are_in_the_reserve_too() {
    let home = Home::new(Suite::Nist);
    assert!(in_child(|| {
        let sink = fill(&home, 16);
        let synced = use_of(AuditMode::Sync, Storage::Stored);
        for n in 0..200 {
            let tags = vec![format!("n-{n}")];
            sink.record(&Example { tags, subject: synced.subject.clone(), ..Example::default() }.event()).unwrap();
        }
        // A closing record needs the file.
        let refused = sink.close().is_err();
        std::mem::forget(sink);
        refused
    }));
    assert_eq!(tags(&home).len(), 201);
    home.write(1);
    assert_eq!(home.verify().verdict, Verdict::Whole);
    assert_eq!(tags(&home).len(), 201);
}

#[test]
fn without_a_reserve_a_full_disk_refuses_soon() {
    let home = Home::new(Suite::Nist);
    assert!(in_child(|| {
        let sink = home.sink();
        sink.record(&tagged("first").event()).unwrap();
        limit_files(20_000);
        record_until_refused(&sink) < 300
    }));
}
