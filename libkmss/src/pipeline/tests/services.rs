//! Keys of services, and rules on what may be made, in the pipeline: at every door, before anything is computed.

use super::*;
use crate::key::{Description, KeyClass, KeySpec, Rotation, Transition};
use crate::operation::{ChangeLife, Copy, Destroy, Export, GeneratePair, GenerateSecret, Grant, Rotate, Turn, Wrap};
use crate::rules::{KeyRule, RuleScope};

fn called(house: &House, name: &str) -> Caller {
    house.user.with(|parts| parts.principal = Arc::new(Principal::new(name, Vec::new())))
}

/// A key that belongs to the service `order`.
fn key_of_order(house: &House) -> Arc<Object> {
    let key = house.key(|draft| draft.copyable = true);
    let said = Description { service: Some("order".into()), ..Description::default() };
    let change = ChangeLife { key: ObjectRef::from(&key), other: None, transition: Transition::Describe(said) };
    house.pipeline.perform(&house.officer, change).unwrap().remove(0)
}

fn rule(house: &House, service: Option<&str>, change: impl FnOnce(&mut KeyRule)) {
    let scope =
        RuleScope { tenant: None, namespace: Some(house.user.namespace.id), service: service.map(str::to_owned) };
    let mut rule = KeyRule {
        scope,
        types: Vec::new(),
        preferred: None,
        rotation_days: 0,
        apart: false,
        owner: String::new(),
        by: "so".into(),
        set: Timestamp(1),
    };
    change(&mut rule);
    let book = &house.pipeline.hall.rules;
    let before = book.rule(&rule.scope).unwrap();
    book.set(rule, before.as_ref()).unwrap();
}

fn grant(house: &House, by: &Caller, key: &Arc<Object>, granted: bool) -> Result<Arc<Object>> {
    let operation = Grant { halves: vec![Arc::clone(key)], service: "service:billing".into(), granted };
    Ok(house.pipeline.perform(by, operation)?.remove(0))
}

fn generate(house: &House, by: &Caller, spec: KeySpec) -> Result<Arc<Object>> {
    let mut draft = house.draft(Storage::Stored);
    draft.usage = Usage::all_for(spec.key_type(), KeyClass::Secret);
    house.pipeline.perform(by, GenerateSecret { spec, draft })
}

const fn aes(len: usize) -> KeySpec {
    KeySpec::Secret { key_type: KeyType::Aes, len }
}

#[test]
fn a_key_of_a_service_is_used_by_no_other_until_it_is_granted() {
    let house = House::new();
    let key = key_of_order(&house);
    let (order, billing) = (called(&house, "service:order"), called(&house, "service:billing"));
    house.sign(&order, &key).unwrap();
    for stranger in [&billing, &house.user, &called(&house, "service:order2")] {
        let refused = house.sign(stranger, &key).err().unwrap();
        assert_eq!((refused.kind(), refused.rule()), (ErrorKind::Denied, Some("service:order")), "{refused}");
    }
    assert!(house.sign(&billing, &key).err().unwrap().message().contains("kmss key grant web --service billing"));
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::Denied));
    let key = grant(&house, &house.officer, &key, true).unwrap();
    house.sign(&billing, &key).unwrap();
    let key = grant(&house, &house.officer, &key, false).unwrap();
    assert_eq!(kind(house.sign(&billing, &key)), ErrorKind::Denied);
}

#[test]
fn a_grant_is_taken_away_from_whoever_used_the_key_a_moment_ago() {
    let house = House::new();
    let billing = called(&house, "service:billing");
    let key = grant(&house, &house.officer, &key_of_order(&house), true).unwrap();
    house.policy.silent.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut signing = house.sign(&billing, &key).unwrap();
    signed(&mut signing, b"abc").unwrap();
    let precedent = signing.precedent();
    assert!(precedent.is_some());
    let key = grant(&house, &house.officer, &key, false).unwrap();
    let next = Sign { key: ObjectRef::from(&key), how: cmac() };
    let after = house.pipeline.begin_after(precedent, house.pipeline.moment(), &billing, next);
    assert_eq!(kind(after), ErrorKind::Denied);
}

#[test]
fn there_is_no_way_around_a_service() {
    let house = House::new();
    let key = grant(&house, &house.officer, &key_of_order(&house), true).unwrap();
    let (order, billing) = (called(&house, "service:order"), called(&house, "service:billing"));
    let copy = |by: &Caller| {
        let mut draft = house.draft(Storage::Ephemeral);
        (draft.private, draft.usage, draft.protection) =
            (true, key.key().unwrap().usage, key.key().unwrap().protection);
        house.pipeline.perform(by, Copy { source: ObjectRef::from(&key), draft })
    };
    // Who was granted the use neither copies nor exports nor destroys.
    assert_eq!(kind(copy(&billing)), ErrorKind::Denied);
    let export = |by: &Caller| house.pipeline.perform(by, Export { key: ObjectRef::from(&key) });
    assert_eq!(kind(export(&billing)), ErrorKind::Denied);
    assert_eq!(kind(export(&house.user)), ErrorKind::Denied);
    let other = house.key(|_| ());
    let wrap = Wrap { wrapping: ObjectRef::from(&other), key: ObjectRef::from(&key), how: key_wrap() };
    assert_eq!(kind(house.pipeline.perform(&billing, wrap)), ErrorKind::Denied);
    assert_eq!(kind(house.pipeline.perform(&billing, Destroy { object: ObjectRef::from(&key) })), ErrorKind::Denied);
    let rotate = |by: &Caller| {
        let ids = vec![house.draft(Storage::Stored).id];
        house.pipeline.perform(by, Rotate { halves: vec![Arc::clone(&key)], ids, turn: Turn::Now })
    };
    assert_eq!(kind(rotate(&billing)), ErrorKind::Denied);
    // A copy is the service's as well, also one that somebody else may make.
    let copied = copy(&house.user).unwrap();
    assert_eq!(kind(house.sign(&house.user, &copied)), ErrorKind::Denied);
    house.sign(&order, &copied).unwrap();
    // Whoever looks after keys rotates it, and uses neither version.
    let rotated = rotate(&house.user).unwrap();
    assert_eq!(rotated.made[0].key().unwrap().metadata.service, "order");
    assert_eq!(kind(house.sign(&house.user, &rotated.made[0])), ErrorKind::Denied);
    house.sign(&billing, &rotated.made[0]).unwrap();
}

#[test]
fn all_versions_belong_to_the_service_and_are_granted_together() {
    let house = House::new();
    let key = house.key(|_| ());
    let ids = vec![house.draft(Storage::Stored).id];
    let rotated = house.pipeline.perform(&house.user, Rotate { halves: vec![key], ids, turn: Turn::Now }).unwrap();
    let said = Description { service: Some("order".into()), ..Description::default() };
    let describe = |key: &Arc<Object>| {
        let transition = Transition::Describe(said.clone());
        let change = ChangeLife { key: ObjectRef::from(key), other: None, transition };
        house.pipeline.perform(&house.officer, change).unwrap().remove(0)
    };
    // `Kms::change_life` says it of each version.
    let (old, new) = (&describe(&rotated.former[0]), describe(&rotated.made[0]));
    let billing = called(&house, "service:billing");
    let decrypt = || house.pipeline.begin(&billing, Decrypt { key: ObjectRef::from(old), how: ctr() }).map(drop);
    assert_eq!(kind(decrypt()), ErrorKind::Denied);
    let new = grant(&house, &house.officer, &new, true).unwrap();
    decrypt().unwrap();
    grant(&house, &house.officer, &new, false).unwrap();
    assert_eq!(kind(decrypt()), ErrorKind::Denied);
}

#[test]
fn the_officer_and_the_owner_of_a_service_grant_its_keys_and_nobody_else() {
    let house = House::new();
    let key = key_of_order(&house);
    let (anna, order) = (called(&house, "user:anna"), called(&house, "service:order"));
    for other in [&anna, &order, &house.user] {
        assert_eq!(kind(grant(&house, other, &key, true)), ErrorKind::NotLoggedIn);
    }
    rule(&house, Some("order"), |rule| rule.owner = "user:anna".into());
    let key = grant(&house, &anna, &key, true).unwrap();
    assert_eq!(key.key().unwrap().metadata.grants, ["billing"]);
    assert_eq!(kind(grant(&house, &order, &key, false)), ErrorKind::NotLoggedIn);
    // An owner may be a service itself, and uses no key of the other one for that.
    let portal = called(&house, "service:portal");
    rule(&house, Some("order"), |rule| rule.owner = "service:portal".into());
    let key = grant(&house, &portal, &key, false).unwrap();
    assert_eq!(kind(house.sign(&portal, &key)), ErrorKind::Denied);
    // Of what belongs to no service nothing is granted.
    assert_eq!(kind(grant(&house, &house.officer, &house.key(|_| ()), true)), ErrorKind::Arguments);
}

#[test]
fn what_a_rule_does_not_allow_is_refused_before_it_is_made() {
    let house = House::new();
    rule(&house, None, |rule| rule.types = vec!["aes:256".parse().unwrap(), "ec:384".parse().unwrap()]);
    house.journal.clear();
    let refused = generate(&house, &house.user, aes(16)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(refused.message().contains("aes:256, ec:384") && refused.message().contains("not aes:128"), "{refused}");
    assert!(!house.happened().iter().any(|line| line.starts_with("generate") || line == "record intent"));
    generate(&house, &house.user, aes(32)).unwrap();
    let pair = |curve| {
        let (private, public) = (house.draft(Storage::Stored), house.draft(Storage::Stored));
        house.pipeline.perform(&house.user, GeneratePair { spec: KeySpec::Ec(curve), private, public })
    };
    assert_eq!(kind(pair(crate::mechanism::Curve::P256)), ErrorKind::Denied);
    // What is brought in is looked at once it is known.
    let import = || {
        let draft = house.draft(Storage::Stored);
        let value = Secret::copy_of(&[3; 16]);
        let components = KeyComponents::Secret { key_type: KeyType::Aes, value };
        house.pipeline.perform(&house.user, Import { components, draft })
    };
    assert_eq!(kind(import()), ErrorKind::Denied);
    // A session key is nobody's to keep.
    let draft = house.draft(Storage::Ephemeral);
    house.pipeline.perform(&house.user, GenerateSecret { spec: aes(16), draft }).unwrap();
}

#[test]
fn a_rule_of_a_service_holds_beside_that_of_its_namespace() {
    let house = House::new();
    let order = called(&house, "service:order");
    rule(&house, None, |rule| rule.types = vec!["aes".parse().unwrap()]);
    rule(&house, Some("order"), |rule| rule.types = vec!["aes:256".parse().unwrap(), "rsa".parse().unwrap()]);
    generate(&house, &house.user, aes(16)).unwrap();
    assert_eq!(kind(generate(&house, &order, aes(16))), ErrorKind::Denied);
    generate(&house, &order, aes(32)).unwrap();
    let sm4 = KeySpec::Secret { key_type: KeyType::Sm4, len: 16 };
    assert_eq!(kind(generate(&house, &house.user, sm4)), ErrorKind::Denied);
}

#[test]
fn new_keys_belong_to_the_service_that_makes_them_where_services_keep_apart() {
    let house = House::new();
    let order = called(&house, "service:order");
    assert_eq!(generate(&house, &order, aes(32)).unwrap().key().unwrap().metadata.service, "");
    rule(&house, None, |rule| rule.apart = true);
    let key = generate(&house, &order, aes(32)).unwrap();
    assert_eq!(key.key().unwrap().metadata.service, "order");
    assert_eq!(kind(house.sign(&called(&house, "service:billing"), &key)), ErrorKind::Denied);
    assert_eq!(generate(&house, &house.user, aes(32)).unwrap().key().unwrap().metadata.service, "");
}

#[test]
fn new_keys_rotate_as_often_as_a_rule_says_and_none_more_seldom() {
    let house = House::new();
    rule(&house, None, |rule| rule.rotation_days = 90);
    rule(&house, Some("order"), |rule| rule.rotation_days = 30);
    let key = generate(&house, &house.user, aes(32)).unwrap();
    assert_eq!(key.key().unwrap().lifecycle.rotation, Some(Rotation::every(90)));
    let of_order = generate(&house, &called(&house, "service:order"), aes(32)).unwrap();
    assert_eq!(of_order.key().unwrap().lifecycle.rotation, Some(Rotation::every(30)));
    let change = |wanted| {
        let change = ChangeLife { key: ObjectRef::from(&key), other: None, transition: Transition::Rotate(wanted) };
        house.pipeline.perform(&house.officer, change)
    };
    let uses = Rotation { uses: Some(5), ..Rotation::default() };
    for slower in [None, Some(Rotation::every(91)), Some(uses)] {
        assert_eq!(kind(change(slower)), ErrorKind::Denied);
    }
    change(Some(Rotation { uses: Some(5), ..Rotation::every(90) })).unwrap();
}

#[test]
fn a_rule_that_cannot_be_read_lets_no_key_be_made() {
    let house = House::new();
    rule(&house, None, |rule| rule.rotation_days = 90);
    let (path, entry) = house.store.scan("rule/key/", None, 1).unwrap().remove(0);
    let mut value = entry.value;
    *value.last_mut().unwrap() ^= 1;
    let edition = crate::store::StoreKey::new("rule/edition").unwrap();
    let ops = vec![crate::store::Op::Put(path, value), crate::store::Op::Put(edition, Vec::new())];
    let _ = house.store.commit(&Batch { conditions: Vec::new(), ops, invalidates: true }).unwrap();
    assert_eq!(kind(generate(&house, &house.user, aes(32))), ErrorKind::Damaged);
}
