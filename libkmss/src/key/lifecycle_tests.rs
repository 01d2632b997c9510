//! Tests of a key's life.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::key::{AuditMode, KeyClass, Protection, Usage};
use crate::mechanism::KeyType;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn after(days: u64) -> Timestamp {
    Timestamp(NOW.0 + days * DAY)
}

fn key(state: KeyState) -> Key {
    Key {
        name: "web".into(),
        origin: String::new(),
        class: KeyClass::Secret,
        key_type: KeyType::Aes,
        usage: Usage::default(),
        protection: Protection::default(),
        state,
        allowed_mechanisms: Vec::new(),
        copy_of: Vec::new(),
        tags: Vec::new(),
        audit: AuditMode::Normal,
        left: Vec::new(),
        lifecycle: Lifecycle::default(),
        metadata: crate::key::Metadata::default(),
        start: None,
        end: None,
        primary: 1,
        versions: Vec::new(),
    }
}

fn kind(result: Result<()>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn delete(days: u16) -> Transition {
    Transition::Delete { days, why: "not needed".into() }
}

fn revoke(reason: RevocationReason) -> Transition {
    Transition::Revoke { reason, why: "said so".into() }
}

#[test]
fn moments_change_the_state_without_anybody_writing_it() {
    let mut key = key(KeyState::PreActive);
    let moments = Transition::Schedule { activation: Some(Some(after(1))), deactivation: Some(Some(after(3))) };
    key.transit(&moments, "officer", NOW).unwrap();
    assert_eq!(key.state_at(NOW), KeyState::PreActive);
    assert_eq!(key.state_at(after(1)), KeyState::Active);
    assert_eq!(key.state_at(after(3)), KeyState::Deactivated);
    assert_eq!(key.state, KeyState::PreActive);
    assert_eq!(kind(key.check_state(Action::Sign, NOW)), ErrorKind::KeyState);
    key.check_state(Action::Sign, after(2)).unwrap();
    assert_eq!(kind(key.check_state(Action::Sign, after(3))), ErrorKind::KeyState);
    key.check_state(Action::Verify, after(3)).unwrap();
    // Its time is over: to enable it is to say so first.
    assert_eq!(kind(key.transit(&Transition::Enable, "officer", after(4))), ErrorKind::KeyState);
}

#[test]
fn moments_are_set_where_they_still_mean_something() {
    let wrong = Transition::Schedule { activation: Some(Some(after(3))), deactivation: Some(Some(after(3))) };
    assert_eq!(kind(key(KeyState::PreActive).transit(&wrong, "officer", NOW)), ErrorKind::Arguments);
    let activate = Transition::Schedule { activation: Some(Some(after(3))), deactivation: None };
    assert_eq!(kind(key(KeyState::Active).transit(&activate, "officer", NOW)), ErrorKind::KeyState);
    let deactivate = Transition::Schedule { activation: None, deactivation: Some(Some(after(3))) };
    assert_eq!(kind(key(KeyState::Compromised).transit(&deactivate, "officer", NOW)), ErrorKind::KeyState);
    let mut key = key(KeyState::Active);
    key.transit(&deactivate, "officer", NOW).unwrap();
    key.transit(&Transition::Schedule { activation: None, deactivation: Some(None) }, "officer", NOW).unwrap();
    assert!(key.lifecycle.is_plain());
}

#[test]
fn days_of_pkcs11_are_states_and_the_last_one_ends_every_use() {
    let mut key = key(KeyState::Active);
    (key.start, key.end) = (Some(Date::of(after(1))), Some(Date::of(after(3))));
    assert_eq!(key.state_at(NOW), KeyState::PreActive);
    assert_eq!(key.state_word(after(1)), "enabled");
    assert_eq!(key.state_word(after(4)), "expired");
    assert_eq!(kind(key.check_state(Action::Decrypt, after(4))), ErrorKind::KeyState);
    key.check_state(Action::Destroy, after(4)).unwrap();
}

#[test]
fn a_compromised_key_processes_the_old_and_never_comes_back() {
    for reason in [RevocationReason::KeyCompromise, RevocationReason::CaCompromise, RevocationReason::AaCompromise] {
        let mut key = key(KeyState::Active);
        key.transit(&revoke(reason), "officer", NOW).unwrap();
        assert_eq!(key.state, KeyState::Compromised);
        assert_eq!(kind(key.check_state(Action::Sign, NOW)), ErrorKind::KeyState);
        key.check_state(Action::Decrypt, NOW).unwrap();
        assert_eq!(kind(key.transit(&Transition::Enable, "officer", NOW)), ErrorKind::KeyState);
        assert_eq!(kind(key.transit(&Transition::Disable, "officer", NOW)), ErrorKind::KeyState);
        assert_eq!(key.lifecycle.revocation.as_ref().unwrap().by, "officer");
    }
}

#[test]
fn other_reasons_disable_for_good_or_suspend_for_the_time_being() {
    let mut key = key(KeyState::Active);
    key.transit(&revoke(RevocationReason::CertificateHold), "officer", NOW).unwrap();
    assert_eq!(key.state, KeyState::Suspended);
    key.transit(&Transition::Enable, "officer", NOW).unwrap();
    assert!(key.lifecycle.is_plain());
    key.transit(&revoke(RevocationReason::Superseded), "officer", NOW).unwrap();
    assert_eq!(key.state_word(NOW), "revoked");
    assert_eq!(kind(key.transit(&Transition::Enable, "officer", NOW)), ErrorKind::KeyState);
    // It may still turn out that it was in other hands.
    key.transit(&revoke(RevocationReason::KeyCompromise), "officer", NOW).unwrap();
    assert_eq!(key.state, KeyState::Compromised);
}

#[test]
fn a_disabled_key_comes_back_and_an_archived_one_does_not() {
    let mut key = key(KeyState::Active);
    key.transit(&Transition::Disable, "officer", NOW).unwrap();
    key.transit(&Transition::Disable, "officer", NOW).unwrap();
    key.transit(&Transition::Enable, "officer", NOW).unwrap();
    key.transit(&Transition::Archive, "officer", NOW).unwrap();
    assert_eq!(key.state_word(NOW), "archived");
    assert_eq!(kind(key.transit(&Transition::Enable, "officer", NOW)), ErrorKind::KeyState);
}

#[test]
fn a_key_waits_for_its_destruction_doing_nothing_and_returns_to_what_it_was() {
    for days in [0, 6, 31] {
        assert_eq!(kind(key(KeyState::Active).transit(&delete(days), "officer", NOW)), ErrorKind::Arguments);
    }
    for before in [KeyState::PreActive, KeyState::Active, KeyState::Suspended, KeyState::Deactivated] {
        let mut key = key(before);
        key.transit(&delete(7), "officer", NOW).unwrap();
        for action in [Action::Sign, Action::Verify, Action::Decrypt, Action::Export, Action::Manage, Action::Destroy] {
            assert_eq!(kind(key.check_state(action, NOW)), ErrorKind::KeyState, "{}", action.name());
        }
        key.check_state(Action::Destroy, after(7)).unwrap();
        for other in [Transition::Enable, Transition::Disable, Transition::Archive, delete(30)] {
            assert_eq!(kind(key.transit(&other, "officer", NOW)), ErrorKind::KeyState);
        }
        key.transit(&Transition::Keep, "officer", NOW).unwrap();
        assert_eq!((key.state, key.lifecycle.is_plain()), (before, true));
        assert_eq!(kind(key.transit(&Transition::Keep, "officer", NOW)), ErrorKind::KeyState);
    }
}

#[test]
fn what_is_said_of_a_change_is_one_line_of_some_length() {
    for why in ["a\nb".to_owned(), "x".repeat(LONGEST_WHY + 1)] {
        let wrong = Transition::Delete { days: 7, why };
        assert_eq!(kind(key(KeyState::Active).transit(&wrong, "officer", NOW)), ErrorKind::Arguments);
    }
}

#[test]
fn nobody_enters_a_state_by_another_way_than_its_own() {
    for state in [KeyState::PendingDeletion, KeyState::Destroyed] {
        assert_eq!(kind(key(KeyState::Active).enter(state, NOW)), ErrorKind::KeyState);
    }
    assert_eq!(kind(key(KeyState::Active).enter(KeyState::PreActive, NOW)), ErrorKind::KeyState);
}

#[test]
fn records_from_before_there_was_a_lifecycle_open_and_look_the_same() {
    let plain = key(KeyState::Active);
    let mut bytes = Vec::new();
    ciborium::into_writer(&plain, &mut bytes).unwrap();
    let value: ciborium::Value = ciborium::from_reader(bytes.as_slice()).unwrap();
    let fields = value.into_map().unwrap();
    assert!(!fields.iter().any(|(name, _)| name.as_text() == Some("lifecycle")));
    let read: Key = ciborium::from_reader(bytes.as_slice()).unwrap();
    assert!(read.lifecycle.is_plain());
    let mut doomed = plain;
    doomed.transit(&delete(30), "officer", NOW).unwrap();
    let mut bytes = Vec::new();
    ciborium::into_writer(&doomed, &mut bytes).unwrap();
    let read: Key = ciborium::from_reader(bytes.as_slice()).unwrap();
    assert_eq!(read.lifecycle, doomed.lifecycle);
}

#[test]
fn a_version_knows_its_number_and_the_name_that_all_share() {
    let mut key = key(KeyState::Active);
    assert_eq!((key.version_number(), key.base_name(), key.policy_name()), (1, "web", "web"));
    (key.name, key.lifecycle.version, key.lifecycle.role) = ("web@3".into(), 3, Some(Role::Former));
    assert_eq!((key.version_number(), key.base_name(), key.policy_name()), (3, "web", "web"));
    assert_eq!(key.counted_name(), "web");
    // A name that only looks so is a name.
    key.lifecycle.role = None;
    assert_eq!(key.base_name(), "web@3");
}

#[test]
fn a_key_is_rotated_so_many_days_after_it_took_its_name() {
    let mut key = key(KeyState::Active);
    assert_eq!(key.rotates_at(NOW), None);
    key.transit(&Transition::Rotate(Some(Rotation::every(90))), "officer", NOW).unwrap();
    assert_eq!(key.rotates_at(NOW), Some(after(90)));
    key.lifecycle.since = Some(after(1));
    assert_eq!(key.rotates_at(NOW), Some(after(91)));
    assert_eq!(kind(key.transit(&Transition::Rotate(Some(Rotation::every(0))), "officer", NOW)), ErrorKind::Arguments);
    let copy = key.lifecycle.of_copy();
    assert!(copy.is_plain());
    assert!(key.lifecycle.of_copy_of(ObjectId([1; 16])).is_plain());
    key.lifecycle.role = Some(Role::Former);
    assert_eq!(kind(key.transit(&Transition::Rotate(None), "officer", NOW)), ErrorKind::Arguments);
}

#[test]
fn a_former_version_that_was_on_hold_protects_nothing_new() {
    let mut key = key(KeyState::Suspended);
    key.lifecycle.role = Some(Role::Former);
    key.transit(&Transition::Enable, "officer", NOW).unwrap();
    assert_eq!((key.state, key.state_word(NOW)), (KeyState::Deactivated, "rotated"));
    assert_eq!(kind(key.transit(&Transition::Enable, "officer", NOW)), ErrorKind::KeyState);
}

#[test]
fn uses_are_counted_for_a_key_with_a_number_of_them_and_for_its_copies_with_it() {
    let (mut key, id, copy_id) = (key(KeyState::Active), ObjectId([1; 16]), ObjectId([2; 16]));
    assert_eq!(key.counted(id), None);
    let rule = Rotation { uses: Some(1000), strict: true, ..Rotation::every(30) };
    key.transit(&Transition::Rotate(Some(rule.clone())), "officer", NOW).unwrap();
    assert_eq!(key.counted(id), Some((id, &rule)));
    assert_eq!(rule.to_string(), "every 30 days or after 1000 uses, refused beyond");
    assert_eq!((rule.due_at(1000), Rotation { strict: false, ..rule.clone() }.due_at(1000)), (900, 1000));
    let mut copy = key.clone();
    copy.lifecycle = key.lifecycle.of_copy_of(id);
    assert_eq!(copy.counted(copy_id), Some((id, &rule)));
    // Nor is a copy of a copy a way around it.
    copy.lifecycle = copy.lifecycle.of_copy_of(copy_id);
    assert_eq!(copy.counted(ObjectId([3; 16])), Some((id, &rule)));
    key.class = KeyClass::Public;
    assert_eq!(key.counted(id), None);
}

#[test]
fn a_rule_says_when_and_bounds_only_what_is_counted() {
    let mut key = key(KeyState::Active);
    for bad in [
        Rotation::default(),
        Rotation { uses: Some(0), ..Rotation::default() },
        Rotation { bytes: Some(0), ..Rotation::every(1) },
        Rotation { strict: true, ..Rotation::every(1) },
        Rotation::every(36_501),
    ] {
        assert_eq!(kind(key.transit(&Transition::Rotate(Some(bad)), "officer", NOW)), ErrorKind::Arguments);
    }
    let bytes = Rotation { bytes: Some(1 << 36), ..Rotation::default() };
    key.transit(&Transition::Rotate(Some(bytes)), "officer", NOW).unwrap();
    // No day is due.
    assert_eq!(key.rotates_at(NOW), None);
}
