//! Who is refused, what the audit says of it, and what the caller learns.

use super::*;
use crate::operation::{DrawRandom, Find, Wrap};
use std::sync::atomic::Ordering;

#[test]
fn a_policy_that_denies_lets_nothing_happen_and_the_record_names_rule_and_reason() {
    let (house, key) = House::with_key();
    house.policy.deny(Action::Sign);
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::Denied);
    assert_eq!(house.happened(), ["policy sign web", "audit sign denied", "policy find namespace"]);
    let record = house.last();
    assert_eq!(record.outcome, Outcome::Denied(ErrorKind::Denied));
    assert_eq!((record.rule.as_str(), record.reason.as_str()), ("rule-no", "the rule says no"));
    assert_eq!((record.name.as_str(), record.mechanism.as_deref()), ("web", Some("AES_CMAC")));
}

#[test]
fn an_empty_budget_lets_nothing_compute() {
    let (house, key) = House::with_key();
    house.quota.left.store(0, Ordering::SeqCst);
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::QuotaExceeded);
    assert_eq!(house.happened(), ["policy sign web", "reserve sign", "audit sign denied"]);
    assert_eq!(house.last().rule, "rule-yes");
}

#[test]
fn a_state_that_refuses_returns_the_reservation() {
    let (house, key) = House::with_key();
    house.disable(&key);
    house.journal.clear();
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::KeyState);
    assert_eq!(house.happened(), ["policy sign web", "reserve sign", "return", "audit sign denied"]);
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::KeyState));
    assert_eq!(house.last().reason, "the key is disabled");
}

#[test]
fn what_is_not_there_is_recorded_as_refused() {
    let (house, key) = House::with_key();
    assert_eq!(kind(house.sign(&house.public, &key)), ErrorKind::NotFound);
    assert_eq!(house.happened(), ["audit sign denied"]);
    let record = house.last();
    assert_eq!(record.outcome, Outcome::Denied(ErrorKind::NotFound));
    assert!(record.reason.contains(&key.id.to_string()), "{}", record.reason);
}

#[test]
fn whoever_may_not_list_the_namespace_cannot_tell_denied_from_missing() {
    let (house, key) = House::with_key();
    house.policy.deny(Action::Sign);
    house.policy.deny(Action::Find);
    let denied = house.sign(&house.user, &key).err().unwrap();
    let missing = house.sign(&house.public, &key).err().unwrap();
    assert_eq!((denied.kind(), denied.to_string()), (missing.kind(), missing.to_string()));
    // The trail knows better.
    assert_eq!(house.audit.notes().iter().rev().nth(1).unwrap().outcome, Outcome::Denied(ErrorKind::Denied));
    let query = Default::default();
    let list = Find { query: &query, after: None, limit: 1 };
    assert_eq!(kind(house.pipeline.perform(&house.user, list)), ErrorKind::Denied);
}

#[test]
fn a_refusal_that_cannot_be_recorded_is_a_refusal_all_the_same() {
    let (house, key) = House::with_key();
    house.policy.deny(Action::Sign);
    house.audit.fail(|_| true);
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::AuditUnavailable);
    assert!(!house.happened().iter().any(|line| line.starts_with("backend")));
}

#[test]
fn wrapping_is_decided_on_both_keys() {
    let (house, key) = House::with_key();
    let other = house.key(|draft| draft.label = b"other".to_vec());
    let wrap = || Wrap { wrapping: ObjectRef::from(&key), key: ObjectRef::from(&other), how: key_wrap() };
    house.pipeline.perform(&house.user, wrap()).unwrap();
    assert_eq!(house.happened()[..2], ["policy wrap web", "policy export other"]);
    assert_eq!((house.last().name, house.last().also), ("web".into(), Some("other".into())));
    house.policy.deny(Action::Export);
    assert_eq!(kind(house.pipeline.perform(&house.user, wrap())), ErrorKind::Denied);
    assert!(!house.happened().contains(&"backend wrap".to_owned()));
    assert_eq!(house.last().action, Action::Wrap);
}

#[test]
fn a_key_whose_record_is_damaged_is_a_failure_and_not_a_refusal() {
    let (house, key) = House::with_key();
    let id = key.id.to_string();
    for (path, mut entry) in house.store.scan("", None, 100).unwrap() {
        if path.as_str().ends_with(&id) {
            *entry.value.last_mut().unwrap() ^= 1;
            let op = crate::store::Op::Put(path, entry.value);
            let _ = house.store.commit(&Batch { ops: vec![op], invalidates: true, ..Batch::default() }).unwrap();
        }
    }
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::Damaged);
    assert_eq!(house.last().outcome, Outcome::Failed(ErrorKind::Damaged));
}

#[test]
fn an_engine_that_does_not_answer_is_recorded_as_a_failure_and_costs_no_quota() {
    let (house, key) = House::with_key();
    house.engine.broken.store(true, Ordering::SeqCst);
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::BackendUnavailable);
    assert_eq!(house.happened(), ["policy sign web", "reserve sign", "backend sign", "audit sign failed", "return"]);
}

#[test]
fn random_bytes_follow_the_same_sentence() {
    let house = House::new();
    house.journal.clear();
    let mut out = [0; 8];
    house.pipeline.perform(&house.public, DrawRandom { out: &mut out }).unwrap();
    let order = ["policy random namespace", "reserve random", "backend random", "audit random success", "settle 8"];
    assert_eq!(house.happened(), order);
    assert_eq!(house.last().bytes, Some(8));
    house.audit.fail(|outcome| outcome == Outcome::Success);
    let drawn = house.pipeline.perform(&house.public, DrawRandom { out: &mut out });
    assert_eq!(kind(drawn), ErrorKind::AuditUnavailable);
    assert_eq!(house.happened().last().unwrap(), "return");
}
