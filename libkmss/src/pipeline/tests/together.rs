//! Many operations that make keys, in steps that they take together.

use super::*;
use crate::key::KeySpec;
use crate::operation::{GeneratePair, GenerateSecret};
use crate::policy::Obligation;
use std::sync::atomic::Ordering;

fn aes(house: &House, name: &str) -> GenerateSecret {
    let draft = Draft { name: name.into(), ..house.draft(Storage::Stored) };
    GenerateSecret { spec: KeySpec::Secret { key_type: KeyType::Aes, len: 16 }, draft }
}

fn many(house: &House, count: usize) -> Vec<GenerateSecret> {
    (0..count).map(|number| aes(house, &format!("k{number}"))).collect()
}

fn kinds<T>(ends: &[Result<T>]) -> Vec<Option<ErrorKind>> {
    ends.iter().map(|end| end.as_ref().err().map(Error::kind)).collect()
}

/// How often each thing happened without a break.
fn runs(house: &House) -> Vec<String> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for line in house.happened() {
        let line = line.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        match runs.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => runs.push((line, 1)),
        }
    }
    runs.into_iter().map(|(line, count)| format!("{count} {}", line.trim_end())).collect()
}

#[test]
fn some_are_ended_before_the_next_ones_are_admitted() {
    let (house, _) = House::with_key();
    house.quota.left.store(1100, Ordering::SeqCst);
    let ends = house.pipeline.make_each(&house.user, many(&house, 1026));
    assert!(ends.iter().all(Result::is_ok));
    let order = house.happened();
    let at = |wanted: &str| {
        order.iter().enumerate().filter(|(_, line)| *line == wanted).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let (intents, ended) = (at("audit generate intent"), at("audit generate success"));
    assert_eq!((at("commit 1024").len(), at("commit 2").len(), intents.len(), ended.len()), (1, 1, 1026, 1026));
    assert!(intents[1023] < at("commit 1024")[0] && at("commit 1024")[0] < ended[0]);
    assert!(ended[1023] < at("policy generate k1024")[0] && intents[1025] < at("commit 2")[0]);
}

#[test]
fn none_is_made_whose_intent_is_not_recorded() {
    let (house, _) = House::with_key();
    house.audit.fail(|outcome| outcome == Outcome::Intent);
    let ends = house.pipeline.make_each(&house.user, many(&house, 2));
    assert_eq!(kinds(&ends), [Some(ErrorKind::AuditUnavailable); 2]);
    assert!(!house.happened().iter().any(|line| line.starts_with("backend") || line.starts_with("commit")));
    assert_eq!(house.quota.left.load(Ordering::SeqCst), 99, "what was reserved is given back");
}

#[test]
fn an_audit_that_does_not_say_what_became_of_an_intent_stops_its_operation() {
    let (house, _) = House::with_key();
    house.audit.silent_on.store(1, Ordering::SeqCst);
    let ends = house.pipeline.make_each(&house.user, many(&house, 3));
    assert_eq!(kinds(&ends), [None, None, Some(ErrorKind::AuditUnavailable)]);
    assert_eq!(house.happened().iter().filter(|line| *line == "backend generate").count(), 2);
}

#[test]
fn a_store_that_takes_none_of_them_fails_each_on_record() {
    let (house, _) = House::with_key();
    house.store.full.store(true, Ordering::SeqCst);
    let ends = house.pipeline.make_each(&house.user, many(&house, 3));
    assert_eq!(kinds(&ends), [Some(ErrorKind::Storage); 3]);
    let failed = Outcome::Failed(ErrorKind::Storage);
    assert!(
        house.audit.notes().iter().rev().take(3).all(|note| note.outcome == failed && note.reason == "no space left")
    );
    house.store.full.store(false, Ordering::SeqCst);
    assert!(house.pipeline.make_each(&house.user, many(&house, 3)).iter().all(Result::is_ok));
}

#[test]
fn a_record_of_the_end_that_fails_keeps_the_key_and_releases_nothing() {
    let (house, _) = House::with_key();
    house.audit.fail(|outcome| outcome == Outcome::Success);
    let ends = house.pipeline.make_each(&house.user, many(&house, 2));
    assert_eq!(kinds(&ends), [Some(ErrorKind::AuditUnavailable); 2]);
    assert_eq!(house.happened().iter().filter(|line| *line == "settle 0").count(), 2);
}

#[test]
fn of_several_that_want_one_very_name_one_gets_it() {
    let (house, _) = House::with_key();
    let exactly = |name: &str| {
        let mut wanted = aes(&house, name);
        wanted.draft.exact = true;
        wanted
    };
    let labelled = || {
        let mut wanted = exactly("");
        wanted.draft.label = b"web".to_vec();
        wanted
    };
    let all = vec![exactly("new"), exactly("new"), exactly("web"), labelled(), labelled(), aes(&house, "new")];
    let ends = house.pipeline.make_each(&house.user, all);
    let names: Vec<_> = ends.iter().map(|end| end.as_ref().map(|key| key.key().unwrap().name.clone()).ok()).collect();
    let named = |name: &str| Some(name.to_owned());
    // A label is no name that somebody asked for.
    assert_eq!(names, [named("new"), None, None, named("web-2"), named("web-3"), named("new-2")]);
    assert_eq!(kinds(&ends)[1..3], [Some(ErrorKind::AlreadyExists); 2]);
    let pair = || {
        let [private, public] = [(); 2].map(|()| Draft { label: b"web".to_vec(), exact: true, ..exactly("").draft });
        let spec = KeySpec::Ec(crate::mechanism::Curve::P256);
        GeneratePair { spec, private, public }
    };
    let (private, public) = house.pipeline.perform(&house.user, pair()).unwrap();
    assert_eq!([&private, &public].map(|half| half.key().unwrap().name.clone()), ["web-4"; 2]);
}

/// Lets the first of the operations take its time.
fn while_the_first_is_made(house: &House, meanwhile: impl FnOnce() + Send + 'static) {
    *house.engine.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
}

#[test]
fn a_block_that_comes_while_the_first_is_made_stops_the_others() {
    let (house, _) = House::with_key();
    let (quota, store) = (Arc::clone(&house.quota), Arc::clone(&house.store));
    while_the_first_is_made(&house, move || {
        *quota.blocked.lock().unwrap() = Some("17");
        // Blocks move the store.
        store.odd.store(true, Ordering::SeqCst);
    });
    let ends = house.pipeline.make_each(&house.user, many(&house, 3));
    assert_eq!(kinds(&ends), [None, Some(ErrorKind::Blocked), Some(ErrorKind::Blocked)]);
    let notes = house.audit.notes();
    let denied: Vec<_> = notes.iter().filter(|note| note.outcome == Outcome::Denied(ErrorKind::Blocked)).collect();
    assert_eq!((denied.len(), denied[0].rule.as_str(), denied[0].name.as_str()), (2, "block:17", "new k1"));
    assert!(denied.iter().all(|end| notes.iter().any(|n| n.outcome == Outcome::Intent && n.request == end.request)));
    assert_eq!(house.happened().iter().filter(|line| *line == "backend generate").count(), 1);
    assert_eq!(house.quota.left.load(Ordering::SeqCst), 98);
}

#[test]
fn a_policy_that_changes_while_the_first_is_made_has_the_last_word() {
    for (wall, ticks, again) in [(59_999, 999, false), (60_000, 0, true), (0, 60_000, true)] {
        let (house, _) = House::with_key();
        let (policy, clock) = (Arc::clone(&house.policy), Arc::clone(&house.clock));
        while_the_first_is_made(&house, move || {
            policy.deny(Action::Generate);
            clock.wall.fetch_add(wall, Ordering::SeqCst);
            clock.ticks.fetch_add(ticks, Ordering::SeqCst);
        });
        let ends = house.pipeline.make_each(&house.user, many(&house, 2));
        assert_eq!(kinds(&ends), [None, again.then_some(ErrorKind::Denied)], "{wall} {ticks}");
    }
}

#[test]
fn what_takes_its_time_is_kept_before_the_next_one_is_made() {
    let (house, _) = House::with_key();
    let clock = Arc::clone(&house.clock);
    while_the_first_is_made(&house, move || {
        clock.ticks.fetch_add(1000, Ordering::SeqCst);
    });
    assert!(house.pipeline.make_each(&house.user, many(&house, 4)).iter().all(Result::is_ok));
    let runs = runs(&house);
    let from = runs.iter().position(|run| run.contains("intent")).unwrap();
    let made = runs[from..].iter().filter(|run| !run.contains("policy") && !run.contains("settle"));
    let made: Vec<_> = made.map(String::as_str).collect();
    let order = ["4 audit generate intent", "1 backend generate", "1 commit", "1 audit generate success"];
    assert_eq!(made[..4], order, "{runs:?}");
    assert!(made.contains(&"1 commit") && runs.iter().filter(|run| run.contains("commit")).count() == 2, "{runs:?}");
}

#[test]
fn what_was_approved_is_not_approved_twice() {
    let (house, _) = House::with_key();
    house.policy.approves.store(true, Ordering::SeqCst);
    house.policy.oblige(&[Obligation::Quorum { approvals: 1, role: "custodian".into(), window: 60 }]);
    let store = Arc::clone(&house.store);
    while_the_first_is_made(&house, move || store.odd.store(true, Ordering::SeqCst));
    assert!(house.pipeline.make_each(&house.user, many(&house, 2)).iter().all(Result::is_ok));
    let happened = house.happened();
    let count = |wanted: &str| happened.iter().filter(|line| line.starts_with(wanted)).count();
    assert_eq!((count("approve"), count("policy generate")), (2, 3));
    assert_eq!(house.last().tags, ["approved-by:user:alice"]);
}

#[test]
fn a_rate_that_came_meanwhile_is_reserved_and_paid() {
    let (house, _) = House::with_key();
    let (policy, store) = (Arc::clone(&house.policy), Arc::clone(&house.store));
    while_the_first_is_made(&house, move || {
        policy.oblige(&[Obligation::RateLimit { count: 5, seconds: 60 }]);
        store.odd.store(true, Ordering::SeqCst);
    });
    assert!(house.pipeline.make_each(&house.user, many(&house, 2)).iter().all(Result::is_ok));
    let happened = house.happened();
    let count = |wanted: &str| happened.iter().filter(|line| line.starts_with(wanted)).count();
    assert_eq!((count("reserve"), count("settle"), count("return")), (3, 3, 0));
}
