//! What a sink writes.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use libkmss::audit::seal::Demands;
use libkmss::audit::{
    AuditEvent, AuditOptions, AuditSink, AuditSummary, AuditTail, Filter, Outcome, SegmentSink, Status, SummaryKey,
    Verdict, decode_text,
};
use libkmss::caller::{Caller, CallerParts, Login, Principal};
use libkmss::clock::{SystemClock, Timestamp};
use libkmss::error::ErrorKind;
use libkmss::key::{Action, Alteration, AuditMode, Body, Key, KeyClass, KeyState, Object, Protection, Storage, Usage};
use libkmss::mechanism::{EncryptionContext, KeyType, MarkedContext};
use libkmss::permit::{NewObject, Subject};
use libkmss::suite::Suite;
use libkmss::tenant::ObjectId;

use crate::double::{Example, FileStore, Home, Numbers, caller, labelled, noise};

#[test]
fn a_log_just_written_is_whole_in_both_suites() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = Home::new(suite);
        home.write(5);
        let report = home.verify();
        assert_eq!(report.verdict, Verdict::Whole, "{report:?}");
        assert_eq!(report.segments[0].status, Status::Closed);
        // Genesis, five events, close.
        assert_eq!((report.records, report.segments.len()), (7, 1));
        assert_eq!(home.verify_without_store().verdict, Verdict::Whole);
    }
}

#[test]
fn a_log_of_one_suite_does_not_pass_for_one_of_the_other() {
    let home = Home::new(Suite::Nist);
    home.write(5);
    let other = Home { suite: Suite::Gm, ..home };
    assert_eq!(other.verify().verdict, Verdict::Tampered);
}

#[test]
fn a_log_that_was_never_written_is_whole() {
    assert_eq!(Home::new(Suite::Nist).verify().verdict, Verdict::Whole);
}

#[test]
fn threads_write_whole_chains_and_at_most_four_of_them() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| (0..500).for_each(|_| sink.record(&Example::default().event()).unwrap()));
        }
    });
    let report = home.verify();
    // Each has a genesis record; how many there are depends on which threads met.
    let segments = report.segments.len() as u64;
    assert_eq!((report.verdict, report.records), (Verdict::Whole, 2000 + segments));
    assert!((1..=4).contains(&segments));
    assert_eq!(report.segments[0].status, Status::Open);
}

#[test]
fn processes_one_after_the_other_continue_one_segment() {
    let home = Home::new(Suite::Nist);
    (0..20).for_each(|_| home.write(3));
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
    assert_eq!((report.segments[0].writers, report.records), (20, 20 * 5));
}

#[test]
fn processes_at_one_time_have_a_segment_each() {
    let home = Home::new(Suite::Nist);
    let sinks: Vec<_> = (0..5).map(|_| home.sink()).collect();
    for _ in 0..3 {
        sinks.iter().for_each(|sink| sink.record(&Example::default().event()).unwrap());
    }
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 5), "{report:?}");
    let ordinals: BTreeSet<_> = report.segments.iter().map(|s| s.ordinal.unwrap()).collect();
    assert_eq!(ordinals, (1..=5).collect());
}

#[test]
fn a_full_segment_gives_way_to_the_next() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink_with(AuditOptions { segment_bytes: 4000, ..AuditOptions::default() });
    (0..100).for_each(|_| sink.record(&Example::default().event()).unwrap());
    drop(sink);
    let report = home.verify();
    assert_eq!(report.verdict, Verdict::Whole, "{report:?}");
    assert!(report.segments.len() > 5 && report.segments.iter().all(|s| s.status == Status::Closed));
    let events = AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(1000).unwrap();
    assert_eq!(events.len(), 100);
}

#[test]
fn digests_draws_and_lookups_are_recorded_only_when_asked_for_or_refused() {
    let home = Home::new(Suite::Nist);
    let quiet = [Action::Digest, Action::Random, Action::Find];
    let sink = home.sink();
    for action in quiet {
        sink.record(&Example::of(action, Outcome::Success).event()).unwrap();
    }
    assert!(!home.dir().exists());
    for action in quiet {
        sink.record(&Example::of(action, Outcome::Denied(ErrorKind::Denied)).event()).unwrap();
    }
    let all = AuditOptions { digest: true, random: true, find: true, ..AuditOptions::default() };
    let chatty = home.sink_with(all);
    for action in quiet {
        chatty.record(&Example::of(action, Outcome::Success).event()).unwrap();
    }
    let events = AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(100).unwrap();
    assert_eq!(events.len(), 6);
}

#[test]
fn a_record_says_everything_about_its_event_and_labels_survive_as_they_are() {
    let home = Home::new(Suite::Nist);
    let label = b"line\nfeed \x1b[31m \"quoted\" \\x41 \xff\xfe \xe2\x80\xae";
    let example = Example {
        subject: labelled(label),
        outcome: Outcome::Denied(ErrorKind::KeyState),
        reason: "the key is disabled".to_owned(),
        rule: "policy/7".to_owned(),
        tags: vec!["pci".to_owned(), "night\n".to_owned()],
        ..Example::default()
    };
    home.sink().record(&example.event()).unwrap();
    let found = AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(1).unwrap();
    let record = &found[0].record;
    let text = |field: &Option<String>| field.clone().unwrap();
    assert_eq!(decode_text(&text(&record.object.as_ref().unwrap().label)), (label.to_vec(), 0));
    assert_eq!((text(&record.action), text(&record.outcome)), ("sign".to_owned(), "denied".to_owned()));
    assert_eq!((text(&record.error), text(&record.reason)), ("key-state".to_owned(), "the key is disabled".to_owned()));
    assert_eq!((text(&record.principal), text(&record.login)), ("user:www-data".to_owned(), "user".to_owned()));
    assert_eq!((text(&record.tenant), text(&record.namespace)), ("default".to_owned(), "web".to_owned()));
    assert_eq!((record.session, record.data_len, record.duration_us), (Some(7), Some(32), Some(42)));
    assert_eq!((text(&record.rule), text(&record.mechanism)), ("policy/7".to_owned(), "ECDSA_SHA256".to_owned()));
    assert_eq!(record.tags, ["pci", "night\n"]);
    assert_eq!(record.object.as_ref().unwrap().id, "ab".repeat(16));
}

#[test]
fn a_record_names_the_key_its_version_and_what_is_made_of_it() {
    let home = Home::new(Suite::Nist);
    let Subject::Object(object) = labelled(b"not the name") else { panic!("an object") };
    let mut object = Object::clone(&object);
    object.body = Body::Key(Box::new(a_key("tls", "root")));
    let made = NewObject {
        id: ObjectId([0xcd; 16]),
        storage: Storage::Ephemeral,
        private: true,
        name: String::new(),
        is_key: true,
        origin: String::new(),
        usage: Usage::default(),
        protection: Protection::default(),
        wishes: None,
    };
    let also = Subject::New(Arc::new(made));
    let example = Example { subject: Subject::Object(Arc::new(object)), action: Action::Derive, ..Example::default() };
    home.sink().record(&AuditEvent { also: Some(&also), ..example.event() }).unwrap();
    let found =
        AuditTail::new(home.dir(), Filter { key: Some("tls".to_owned()), ..Filter::default() }).last(9).unwrap();
    let (key, new) = (found[0].record.object.clone().unwrap(), found[0].record.also.clone().unwrap());
    let text = |s: &str| Some(s.to_owned());
    assert_eq!((key.name, key.origin, key.label, key.storage), (text("tls"), text("root"), text("not the name"), None));
    assert_eq!((key.class.as_str(), key.key_type, key.version), ("private", text("EC"), Some(3)));
    assert_eq!((new.id, new.class.as_str(), new.storage), ("cd".repeat(16), "new", text("session")));
}

/// A context with these names, and one mark for all values.
fn marked(names: Vec<String>, mark: [u8; 16]) -> MarkedContext {
    let pairs = names.into_iter().map(|name| (name, String::new())).collect();
    MarkedContext::new(&EncryptionContext::new(pairs).unwrap(), |_, _| mark)
}

#[test]
fn fields_without_bound_still_make_a_record_that_can_be_verified() {
    let home = Home::new(Suite::Nist);
    let long = "\u{7}".repeat(100_000);
    let mut example = Example {
        subject: labelled(long.as_bytes()),
        outcome: Outcome::Failed(ErrorKind::Internal),
        reason: long.clone(),
        rule: long.clone(),
        tags: vec![long.clone(); 100],
        ..Example::default()
    };
    let principal = Arc::new(libkmss::caller::Principal::new(long.clone(), Vec::new()));
    example.caller = example.caller.with(|parts| parts.principal = principal);
    let sink = home.sink();
    sink.record(&example.event()).unwrap();
    let duties = vec![long.clone(); 100];
    let names = (0..EncryptionContext::MOST).map(|n| format!("{n}{}", "\u{7}".repeat(100)));
    let context = marked(names.collect(), [7; 16]);
    let change = Alteration { what: "label", old: long.clone(), new: long.clone() };
    let changes = vec![change; 100];
    sink.record(&AuditEvent {
        duties: &duties,
        context: Some(&context),
        changes: &changes,
        also: Some(&example.subject),
        ..example.event()
    })
    .unwrap();
    sink.close().unwrap();
    assert_eq!(home.verify().verdict, Verdict::Whole);
    let found = AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(2).unwrap();
    assert_eq!(decode_text(found[0].record.reason.as_ref().unwrap()).1, 100_000 - 512);
    let (full, cut) = (&found[1].record, |kept: usize| Some(100 - kept as u64).filter(|_| kept < 100));
    assert_eq!(full.duties_cut, cut(full.duties.len()));
    assert!(full.context_cut.is_some() && full.changes_cut == cut(full.changes.len()));
}

#[test]
fn a_record_says_who_asked_under_which_duties_and_what_a_change_changes() {
    let home = Home::new(Suite::Nist);
    let mut example = Example::default();
    let roles = vec!["custodian".to_owned(), "auditor".to_owned()];
    let principal = Principal { source: "10.1.2.3".to_owned(), ..Principal::new("service:order", roles) };
    example.caller = example.caller.with(|parts| parts.principal = Arc::new(principal));
    let duties = ["at most 5 per 60 s".to_owned(), "require mfa".to_owned()];
    let context = marked(vec!["purpose".to_owned()], [0xab; 16]);
    let changes = [Alteration { what: "usage", old: "sign".to_owned(), new: String::new() }];
    let event =
        AuditEvent { duties: &duties, context: Some(&context), changes: &changes, request: Some(7), ..example.event() };
    home.sink().record(&event).unwrap();
    let found = AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(1).unwrap();
    let record = &found[0].record;
    assert_eq!((record.source.as_deref(), record.roles.join(" ")), (Some("10.1.2.3"), "custodian auditor".to_owned()));
    assert_eq!((record.duties.as_slice(), record.request), (&duties[..], Some(7)));
    assert_eq!(record.context["purpose"], "ab".repeat(16));
    let change = &record.changes[0];
    assert_eq!((change.what.as_str(), change.old.as_str(), change.new.as_str()), ("usage", "sign", ""));
    assert_eq!((record.roles_cut, record.duties_cut, record.context_cut, record.changes_cut), (None, None, None, None));
}

#[test]
fn an_operation_is_refused_while_the_store_does_not_take_the_registration() {
    let home = Home::new(Suite::Nist);
    let sink = home.sink();
    home.store().fail(true);
    for _ in 0..3 {
        let refused = sink.record(&Example::default().event()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AuditUnavailable);
    }
    home.store().fail(false);
    sink.record(&Example::default().event()).unwrap();
    let report = home.verify();
    assert_eq!((report.verdict, report.segments.len()), (Verdict::Whole, 1), "{report:?}");
    assert_eq!((report.segments[0].recoveries, report.segments[0].lost), (1, 3));
}

#[test]
fn a_file_that_is_made_gets_its_ownership_before_anything_is_written() {
    let home = Home::new(Suite::Nist);
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let sink = SegmentSink::new(
        home.dir(),
        Arc::new(move |file: &fs::File| {
            assert!(file.metadata().unwrap().is_dir() || file.metadata().unwrap().len() == 0);
            seen.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }),
        home.suite,
        Arc::new(FileStore::new(home.root.path())),
        Arc::new(Numbers),
        Arc::new(SystemClock::default()),
        AuditOptions::default(),
    );
    sink.record(&Example::default().event()).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn a_log_verified_and_read_while_it_is_written_is_whole() {
    let home = Home::new(Suite::Nist);
    let writers = AtomicUsize::new(2);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                for _ in 0..40 {
                    let sink = home.sink_with(AuditOptions { anchor_every: 20, ..AuditOptions::default() });
                    (0..50).for_each(|_| sink.record(&Example::default().event()).unwrap());
                }
                writers.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while writers.load(Ordering::Relaxed) > 0 {
            let report = home.verify();
            assert_eq!(report.verdict, Verdict::Whole, "{report:#?}");
            AuditTail::new(home.dir(), Filter::default()).last(10).unwrap();
        }
    });
    let mut calls = 0;
    let report = libkmss::audit::verify(&home.dir(), None, home.suite, &mut |p| {
        assert!(p.bytes <= p.bytes_total && p.segments <= p.segments_total);
        calls += 1;
    });
    assert!(report.verdict == Verdict::Whole && calls > 0);
}

/// `CARGO_PROFILE_TEST_OPT_LEVEL=3 cargo test -p libkmss --test audit -- --ignored --nocapture throughput`
#[test]
#[ignore = "a measurement"]
fn throughput() {
    for suite in [Suite::Nist, Suite::Gm] {
        let home = match fs::create_dir_all("/dev/shm").is_ok() {
            true => Home::within("/dev/shm", suite),
            false => Home::new(suite),
        };
        let sink = home.sink_with(AuditOptions { segment_bytes: 1 << 40, ..AuditOptions::default() });
        let example = Example::default();
        let event = example.event();
        let count = 1_000_000_u32;
        let (start, idle) = (on_cpu(), std::time::Instant::now());
        for _ in 0..count {
            sink.record(&event).unwrap();
        }
        let (written, wall) = (on_cpu() - start, idle.elapsed());
        sink.close().unwrap();
        let start = on_cpu();
        let report = home.verify();
        let verified = on_cpu() - start;
        assert_eq!(report.verdict, Verdict::Whole);
        let start = on_cpu();
        assert!(home.seal().records > u64::from(count));
        let sealed = on_cpu() - start;
        let start = on_cpu();
        let whole = home.check(&Demands::default());
        let with_seal = on_cpu() - start;
        assert_eq!(whole.verdict, Verdict::Whole);
        println!(
            "{}: per core {:.0} records/s sealed, {:.0} verified with their seal",
            suite.name(),
            f64::from(count) / sealed,
            f64::from(count) / with_seal,
        );
        println!(
            "{}: per core {:.0} records/s written ({:.0} by the clock on the wall), {:.0} verified; {} bytes each",
            suite.name(),
            f64::from(count) / written,
            f64::from(count) / wall.as_secs_f64(),
            f64::from(count) / verified,
            report.bytes / u64::from(count),
        );
    }
}

/// Seconds this thread was on a core (proc(5), schedstat), which says more than the wall clock on a busy machine.
fn on_cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_ascii_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
fn what_a_record_says_does_not_depend_on_the_one_before_it() {
    let (home, other) = (Home::new(Suite::Nist), Home::new(Suite::Nist));
    let (sink, apart) = (home.sink(), other.sink());
    let key = |id: u8, name: &str, origin: &str, storage| {
        let Subject::Object(object) = labelled(b"") else { unreachable!() };
        let body = Body::Key(Box::new(a_key(name, origin)));
        Subject::Object(Arc::new(Object { id: ObjectId([id; 16]), body, storage, ..(*object).clone() }))
    };
    let [a, b] = ["user:a", "user:b"].map(caller);
    let callers = [Caller::from(CallerParts { session: 8, ..(*a).clone() }), a, b];
    let stored = [key(1, "web", "", Storage::Stored), key(2, "mail", "", Storage::Stored), labelled(b"document")];
    let (mut next, mut made) = (noise(42), 3_u8);
    let (mut of, mut example) = (0, Example::default());
    let Subject::Object(gone) = key(9, "", "", Storage::Ephemeral) else { unreachable!() };
    let (gone, login) = (SummaryKey::of(&gone, gone.key().unwrap()), Login::None);
    let namespace = &example.caller.clone().namespace;
    let (time, principal) = (Timestamp(2), "user:a");
    let summary =
        AuditSummary { time, since: time, principal, login: &login, namespace, key: &gone, uses: &[], ended: true };
    for _ in 0..2_000 {
        // Mostly as before, but for one thing.
        match next(16) {
            0 => example.caller = callers[next(3)].clone(),
            1 => example.subject = stored[next(3)].clone(),
            2 => example.action = [Action::Sign, Action::Verify, Action::Unwrap, Action::Wrap, Action::Manage][next(5)],
            3 => example.rule = ["", "r1", "r2"][next(3)].to_owned(),
            4 => example.reason = ["", "because"][next(2)].to_owned(),
            5 => example.tags = [vec![], vec!["tag".to_owned()]][next(2)].clone(),
            6 => {
                let failed = Outcome::Failed(ErrorKind::Internal);
                example.outcome = [Outcome::Success, Outcome::Success, failed, Outcome::Begun][next(4)];
            }
            7 => of = next(5),
            _ => {}
        }
        let also = match of {
            0 => None,
            1 => Some(stored[next(3)].clone()),
            2 => Some(stored[1].clone()),
            other => {
                made = made.wrapping_add(1).max(3);
                let origin = if other == 3 { "web" } else { ["web", ""][next(2)] };
                Some(key(made, "", origin, Storage::Ephemeral))
            }
        };
        let (data_len, mechanism) =
            ([None, Some(next(99) as u64)][next(2)], [None, Some("AES_GCM")][usize::from(of > 1)]);
        let event = AuditEvent { also: also.as_ref(), data_len, mechanism, ..example.event() };
        sink.record(&event).unwrap();
        apart.record(&event).unwrap();
        if next(4) == 0 {
            // Records of other kinds have beginnings of their own.
            sink.summarize(&summary).unwrap();
        }
        apart.record(&Example::of(Action::Login, Outcome::Denied(ErrorKind::PinIncorrect)).event()).unwrap();
    }
    let read = |home: &Home| {
        let all = AuditTail::new(home.dir(), Filter { events_only: true, ..Filter::default() }).last(10_000).unwrap();
        let said = all.iter().filter(|e| e.record.kind == "event" && e.record.action.as_deref() != Some("login"));
        said.map(|e| e.raw.split(",\"seq\":").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (said, expected) = (read(&home), read(&other));
    assert_eq!(said.len(), 2_000);
    for (said, expected) in said.iter().zip(&expected) {
        assert_eq!(said, expected);
    }
    assert_eq!(home.verify().verdict, Verdict::Whole);
}

pub(crate) fn a_key(name: &str, origin: &str) -> Key {
    Key {
        name: name.to_owned(),
        origin: origin.to_owned(),
        class: KeyClass::Private,
        key_type: KeyType::Ec,
        usage: Usage::default(),
        protection: Protection::default(),
        state: KeyState::Active,
        allowed_mechanisms: Vec::new(),
        copy_of: Vec::new(),
        tags: Vec::new(),
        audit: AuditMode::Normal,
        left: Vec::new(),
        lifecycle: libkmss::key::Lifecycle::default(),
        metadata: libkmss::key::Metadata::default(),
        start: None,
        end: None,
        primary: 3,
        versions: Vec::new(),
    }
}
