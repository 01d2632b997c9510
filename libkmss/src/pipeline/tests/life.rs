//! A key's life in the pipeline: moments that come by themselves, and the end.

use std::sync::atomic::Ordering;

use super::*;
use crate::key::{KeyState, RevocationReason, Transition};
use crate::operation::{ChangeLife, Copy, Destroy, DestroyLeft};

const DAY: u64 = 86_400_000;

fn change(house: &House, key: &Arc<Object>, transition: Transition) -> Result<Vec<Arc<Object>>> {
    let change = ChangeLife { key: ObjectRef::from(key), other: None, transition };
    house.pipeline.perform(&house.officer, change)
}

fn pass(house: &House, days: u64) {
    house.clock.wall.fetch_add(days * DAY, Ordering::SeqCst);
}

fn destroy(house: &House, key: &Arc<Object>) -> Result<()> {
    house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(key) })
}

#[test]
fn the_clock_alone_activates_and_deactivates() {
    let house = House::new();
    let key = house.key(|draft| draft.pre_active = true);
    let now = house.clock.now().0;
    let at = |days| Some(Some(Timestamp(now + days * DAY)));
    change(&house, &key, Transition::Schedule { activation: at(1), deactivation: at(2) }).unwrap();
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::KeyState);
    pass(&house, 1);
    house.sign(&house.user, &key).unwrap();
    pass(&house, 1);
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::KeyState);
    drop(house.decrypt(&key));
}

#[test]
fn only_the_security_officer_changes_a_life() {
    let (house, key) = House::with_key();
    let transition = Transition::Revoke { reason: RevocationReason::KeyCompromise, why: String::new() };
    let by_user = ChangeLife { key: ObjectRef::from(&key), other: None, transition: transition.clone() };
    assert_eq!(kind(house.pipeline.perform(&house.user, by_user)), ErrorKind::Denied);
    let changed = change(&house, &key, transition).unwrap();
    assert_eq!(changed[0].key().unwrap().state, KeyState::Compromised);
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::KeyState);
    drop(house.decrypt(&key));
}

#[test]
fn a_key_that_waits_for_its_destruction_does_nothing_and_is_destroyed_when_it_is_due() {
    let (house, key) = House::with_key();
    change(&house, &key, Transition::Delete { days: 7, why: "old".into() }).unwrap();
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::KeyState);
    let copy = Copy { source: ObjectRef::from(&key), draft: house.draft(Storage::Stored) };
    assert_eq!(kind(house.pipeline.perform(&house.user, copy)), ErrorKind::KeyState);
    assert_eq!(kind(destroy(&house, &key)), ErrorKind::KeyState);
    pass(&house, 6);
    assert_eq!(kind(destroy(&house, &key)), ErrorKind::KeyState);
    pass(&house, 1);
    destroy(&house, &key).unwrap();
    assert_eq!(kind(destroy(&house, &key)), ErrorKind::NotFound);
    let stones = house.pipeline.hall.catalog.tombstones(&house.user, None, 100).unwrap();
    assert_eq!((stones.len(), stones[0].deletion.why.as_str()), (1, "old"));
}

#[test]
fn the_name_of_a_destroyed_key_is_given_to_nobody_who_asks_for_it() {
    let (house, key) = House::with_key();
    change(&house, &key, Transition::Delete { days: 7, why: "old".into() }).unwrap();
    pass(&house, 7);
    destroy(&house, &key).unwrap();
    let import = |exact| {
        let mut draft = house.draft(Storage::Stored);
        draft.private = true;
        if exact {
            (draft.name, draft.exact) = ("web".to_owned(), true);
        } else {
            draft.label = b"web".to_vec();
        }
        house.pipeline.perform(&house.user, Import { components: secret(), draft })
    };
    assert_eq!(kind(import(true)), ErrorKind::AlreadyExists);
    // The label of a program is no name that somebody asks for.
    assert_eq!(import(false).unwrap().key().unwrap().name, "web-2");
    house.pipeline.hall.catalog.release_name(&house.user, "web").unwrap();
    assert_eq!(import(true).unwrap().key().unwrap().name, "web");
}

#[test]
fn a_destruction_that_is_called_off_leaves_the_key_as_it_was() {
    let (house, key) = House::with_key();
    change(&house, &key, Transition::Delete { days: 30, why: String::new() }).unwrap();
    change(&house, &key, Transition::Keep).unwrap();
    house.sign(&house.user, &key).unwrap();
}

#[test]
fn halves_of_different_keys_do_not_change_together() {
    let (house, key) = House::with_key();
    let other = house.key(|draft| draft.label = b"other".to_vec());
    let both = ChangeLife {
        key: ObjectRef::from(&key),
        other: Some(ObjectRef::from(&other)),
        transition: Transition::Suspend,
    };
    assert_eq!(kind(house.pipeline.perform(&house.officer, both)), ErrorKind::Arguments);
    house.sign(&house.user, &key).unwrap();
}

#[test]
fn what_a_device_did_not_give_up_is_remembered_until_it_does() {
    let (house, key) = House::with_key();
    change(&house, &key, Transition::Delete { days: 7, why: "old".into() }).unwrap();
    pass(&house, 7);
    house.engine.is_device.store(true, Ordering::SeqCst);
    house.engine.broken.store(true, Ordering::SeqCst);
    let catalog = &house.pipeline.hall.catalog;
    assert_eq!(kind(destroy(&house, &key)), ErrorKind::BackendUnavailable);
    assert_eq!(kind(destroy(&house, &key)), ErrorKind::NotFound);
    assert_eq!(catalog.tombstones(&house.user, None, 100).unwrap().len(), 1);
    let left = || catalog.left(&house.user, None, 100).unwrap();
    assert!(catalog.left(&house.public, None, 1).unwrap().is_empty(), "the key is private");
    let again = || house.pipeline.perform(&house.user, DestroyLeft { object: Arc::new(left().remove(0)) });
    assert_eq!(kind(again()), ErrorKind::BackendUnavailable);
    house.policy.deny(crate::key::Action::Destroy);
    house.engine.broken.store(false, Ordering::SeqCst);
    assert_eq!(kind(again()), ErrorKind::Denied);
    assert_eq!(left().len(), 1);
    house.policy.silent.store(true, Ordering::SeqCst);
    again().unwrap();
    assert!(left().is_empty());
}
