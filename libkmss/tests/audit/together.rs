//! Writers that wait for the disk wait together.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libkmss::audit::{AuditEvent, AuditOptions, AuditSink, Verdict};
use libkmss::clock::{Clock, SystemClock};
use libkmss::key::{AuditMode, Body, Object, Storage};
use libkmss::permit::Subject;
use libkmss::suite::Suite;

use crate::double::{Example, Home, labelled};
use crate::writing::a_key;

/// A use of a key with this mode.
pub(crate) fn use_of(mode: AuditMode, storage: Storage) -> Example {
    let Subject::Object(object) = labelled(b"") else { unreachable!() };
    let body = Body::Key(Box::new(libkmss::key::Key { audit: mode, ..a_key("web", "") }));
    let subject = Subject::Object(Arc::new(Object { body, storage, ..(*object).clone() }));
    // Of now, so that no second passes between two.
    Example { subject, time: SystemClock::default().now().0, ..Example::default() }
}

#[test]
fn a_use_of_a_sync_key_is_in_the_file_with_all_before_it_when_its_record_is_made() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(AuditOptions { at_once: 0, ..AuditOptions::default() });
    let record = |example: &Example| sink.record(&example.event()).unwrap();
    let [normal, synced] = [AuditMode::Normal, AuditMode::Sync].map(|mode| use_of(mode, Storage::Stored));
    (0..5).for_each(|_| record(&normal));
    // Its genesis alone.
    assert_eq!(home.lines().len(), 1);
    record(&synced);
    assert_eq!(home.lines().len(), 7);
    record(&normal);
    assert_eq!(home.lines().len(), 7);
    // A copy that lives in the session is the same key.
    record(&use_of(AuditMode::Sync, Storage::Ephemeral));
    assert_eq!(home.lines().len(), 9);
    // As the second key of an operation, too.
    record(&normal);
    sink.record(&AuditEvent { also: Some(&synced.subject), ..normal.event() }).unwrap();
    assert_eq!(home.lines().len(), 11);
    sink.close().unwrap();
    assert_eq!(home.verify().verdict, Verdict::Whole);
}

#[test]
fn writers_that_wait_for_the_disk_meet_in_one_segment_and_lose_nothing() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    let synced = use_of(AuditMode::Sync, Storage::Stored);
    std::thread::scope(|s| {
        for _ in 0..16 {
            s.spawn(|| (0..20).for_each(|_| sink.record(&synced.event()).unwrap()));
        }
    });
    sink.close().unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
    // Genesis, events, close.
    assert_eq!(report.records, 16 * 20 + 2);
}

/// Where `TMPDIR` is on a disk: `CARGO_PROFILE_TEST_OPT_LEVEL=3 cargo test -p libkmss --test audit -- --ignored --nocapture
/// throughput_of_writers_that_wait`
#[test]
#[ignore = "a measurement"]
fn throughput_of_writers_that_wait() {
    const WRITERS: u32 = 64;
    let home = Home::new(Suite::Nist);
    let seconds = Duration::from_secs(4);
    let alone = || {
        let path = home.root.path().join("alone");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < seconds {
            file.write_all(&[b'x'; 416]).unwrap();
            file.sync_data().unwrap();
            count += 1;
        }
        fs::remove_file(path).unwrap();
        f64::from(count) / start.elapsed().as_secs_f64()
    };
    let together = || {
        let sink = home.sink_with(AuditOptions { anchor_every: 0, ..AuditOptions::default() });
        let synced = use_of(AuditMode::Sync, Storage::Stored);
        let (done, count, start) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
        std::thread::scope(|s| {
            for _ in 0..WRITERS {
                s.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        sink.record(&synced.event()).unwrap();
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(seconds);
            done.store(true, Ordering::Relaxed);
        });
        #[expect(clippy::cast_precision_loss, reason = "far fewer")]
        let count = count.into_inner() as f64;
        count / start.elapsed().as_secs_f64()
    };
    let figures = [alone(), together(), alone(), together(), alone()];
    assert_eq!(home.verify().verdict, Verdict::Whole);
    let lone = (figures[0] + figures[2] + figures[4]) / 3.0;
    let shared = f64::midpoint(figures[1], figures[3]);
    println!(
        "{WRITERS} writers: {shared:.0} records/s on the disk; a lone fdatasync loop: {lone:.0}/s; {:.1} x",
        shared / lone
    );
    assert!(shared >= 8.0 * lone, "{figures:?}");
}
