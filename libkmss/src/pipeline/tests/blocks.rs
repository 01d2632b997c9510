//! Whoever an operator blocks does nothing any more, whatever is under way.

use super::*;
use std::sync::atomic::Ordering;

fn block(house: &House, name: Option<&'static str>) {
    *house.quota.blocked.lock().unwrap() = name;
}

#[test]
fn a_block_refuses_before_any_policy_is_asked_and_its_name_is_on_record() {
    let (house, key) = House::with_key();
    block(&house, Some("17"));
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::Blocked);
    assert_eq!(house.happened(), ["audit sign denied", "policy find namespace"]);
    let last = house.last();
    assert_eq!((last.outcome, last.rule.as_str()), (Outcome::Denied(ErrorKind::Blocked), "block:17"));
    assert_eq!((last.reason.as_str(), last.name.as_str()), ("an operator said no", "web"));
    block(&house, None);
    signed(&mut house.sign(&house.user, &key).unwrap(), b"abc").unwrap();
}

#[test]
fn whoever_may_not_look_hears_of_no_block() {
    let (house, key) = House::with_key();
    block(&house, Some("17"));
    house.policy.deny(Action::Find);
    assert_eq!(kind(house.sign(&house.user, &key)), ErrorKind::NotFound);
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::Blocked));
}

#[test]
fn a_block_ends_what_is_under_way_before_its_next_output() {
    let (house, key) = House::with_key();
    let mut decrypting = house.decrypt(&key);
    decrypting.produce(&[0; 16], |_| Ok(())).unwrap();
    block(&house, Some("17"));
    // Blocks move the store.
    house.key_of_officer();
    assert_eq!(kind(decrypting.produce(&[0; 16], |_| Ok(()))), ErrorKind::Blocked);
    assert_eq!(house.last().rule, "block:17");
    assert_eq!(kind(decrypting.finish(&[], |_| Ok(()))), ErrorKind::OperationInactive);
}

#[test]
fn a_block_ends_what_gave_nothing_out_yet() {
    let (house, key) = House::with_key();
    let mut signing = house.sign(&house.user, &key).unwrap();
    block(&house, Some("17"));
    house.key_of_officer();
    assert_eq!(kind(signed(&mut signing, b"abc")), ErrorKind::Blocked);
    assert_eq!(house.quota.left.load(Ordering::SeqCst), 98);
}

#[test]
fn a_block_ends_what_follows_the_last_use() {
    let (house, key) = House::with_key();
    house.policy.silent.store(true, Ordering::SeqCst);
    let mut signing = house.sign(&house.user, &key).unwrap();
    signed(&mut signing, b"abc").unwrap();
    let last = signing.precedent();
    assert!(last.is_some());
    block(&house, Some("17"));
    house.key_of_officer();
    let next = Sign { key: ObjectRef::from(&key), how: cmac() };
    let begun = house.pipeline.begin_after(last, house.pipeline.moment(), &house.user, next);
    assert_eq!(kind(begun), ErrorKind::Blocked);
}
