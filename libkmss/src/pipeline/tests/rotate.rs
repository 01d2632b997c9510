//! Rotation in the pipeline: decided as generating and managing, once, and dodging nothing.

use super::*;
use crate::key::{Action, KeySpec, KeyState, Retirement, RevocationReason, Role, Transition};
use crate::operation::{Activate, ChangeLife, Encrypt, GeneratePair, Rotate, Rotated, SetAlias, Turn, Update};

fn fresh(house: &House) -> ObjectId {
    house.draft(Storage::Stored).id
}

fn rotate(house: &House, halves: &[Arc<Object>], turn: Turn) -> Result<Rotated> {
    let ids = halves.iter().map(|_| fresh(house)).collect();
    house.pipeline.perform(&house.user, Rotate { halves: halves.to_vec(), ids, turn })
}

fn change(house: &House, halves: &[Arc<Object>], transition: Transition) -> Vec<Arc<Object>> {
    let (key, other) = (ObjectRef::from(&halves[0]), halves.get(1).map(ObjectRef::from));
    house.pipeline.perform(&house.officer, ChangeLife { key, other, transition }).unwrap()
}

fn revoke(reason: RevocationReason) -> Transition {
    Transition::Revoke { reason, why: String::new() }
}

fn pair(house: &House) -> Vec<Arc<Object>> {
    let draft = |private, class| {
        let mut draft = house.draft(Storage::Stored);
        (draft.private, draft.label) = (private, b"web".to_vec());
        draft.usage = Usage::all_for(KeyType::Ec, class);
        draft
    };
    let spec = KeySpec::Ec(crate::mechanism::Curve::P256);
    let (private, public) = (draft(true, crate::key::KeyClass::Private), draft(false, crate::key::KeyClass::Public));
    let (private, public) = house.pipeline.perform(&house.user, GeneratePair { spec, private, public }).unwrap();
    vec![private, public]
}

#[test]
fn the_new_version_has_the_name_and_the_former_one_still_decrypts() {
    let (house, key) = House::with_key();
    house.journal.clear();
    let rotated = rotate(&house, &[Arc::clone(&key)], Turn::Now).unwrap();
    assert!(house.happened()[..2].iter().any(|line| line.starts_with("policy generate")), "{:?}", house.happened());
    let (new, old) = (&rotated.made[0], &rotated.former[0]);
    assert_eq!((new.key().unwrap().name.as_str(), new.key().unwrap().version_number()), ("web", 2));
    assert_eq!((old.id, old.key().unwrap().name.as_str()), (key.id, "web@1"));
    assert_eq!(old.key().unwrap().lifecycle.retirement, Some(Retirement::Rotated));
    assert_eq!((old.label.as_slice(), old.identifier == key.identifier), (b"web@1".as_slice(), true));
    drop(house.decrypt(old));
    assert_eq!(kind(house.sign(&house.user, old)), ErrorKind::KeyState);
    house.sign(&house.user, new).unwrap();
    // To policies and budgets both are the same key.
    assert_eq!((old.key().unwrap().policy_name(), old.key().unwrap().counted_name()), ("web", "web"));
}

#[test]
fn a_rotation_that_was_seen_by_another_is_refused() {
    let (house, key) = House::with_key();
    rotate(&house, &[Arc::clone(&key)], Turn::Now).unwrap();
    assert_eq!(kind(rotate(&house, &[key], Turn::Now)), ErrorKind::Conflict);
}

#[test]
fn both_halves_of_a_pair_go_together() {
    let house = House::new();
    let halves = pair(&house);
    assert_eq!(kind(rotate(&house, &halves[..1], Turn::Now)), ErrorKind::Arguments);
    let rotated = rotate(&house, &halves, Turn::Now).unwrap();
    assert!(rotated.made.iter().all(|half| half.key().unwrap().name == "web"));
    assert_eq!(rotated.made[0].identifier, rotated.made[1].identifier);
    assert_ne!(rotated.made[0].identifier, halves[0].identifier);
    assert!(rotated.former.iter().all(|half| half.key().unwrap().name == "web@1"));
}

#[test]
fn a_version_made_ahead_waits_and_then_takes_the_name() {
    let (house, key) = House::with_key();
    let rotated = rotate(&house, &[Arc::clone(&key)], Turn::Later(None)).unwrap();
    let (new, old) = (rotated.made, rotated.former);
    let ahead = new[0].key().unwrap();
    assert_eq!(
        (ahead.name.as_str(), ahead.state, ahead.lifecycle.role),
        ("web@2", KeyState::PreActive, Some(Role::Pending))
    );
    assert_eq!(kind(house.sign(&house.user, &new[0])), ErrorKind::KeyState);
    house.sign(&house.user, &old[0]).unwrap();
    assert_eq!(kind(rotate(&house, &old, Turn::Now)), ErrorKind::KeyState);
    let activate = || Activate { halves: old.clone(), pending: new.clone(), certificates: Vec::new() };
    let rotated = house.pipeline.perform(&house.user, activate()).unwrap();
    assert_eq!(rotated.made[0].key().unwrap().name, "web");
    assert_eq!(rotated.former[0].key().unwrap().name, "web@1");
    house.sign(&house.user, &rotated.made[0]).unwrap();
    assert_eq!(kind(house.pipeline.perform(&house.user, activate())), ErrorKind::Conflict);
}

#[test]
fn a_policy_against_generating_or_managing_the_key_is_one_against_rotating_it() {
    for action in [Action::Generate, Action::Manage] {
        let (house, key) = House::with_key();
        house.policy.deny(action);
        assert_eq!(kind(rotate(&house, &[Arc::clone(&key)], Turn::Now)), ErrorKind::Denied);
        let use_it = Encrypt { key: ObjectRef::from(&key), how: ctr() };
        house.pipeline.begin(&house.user, use_it).map(drop).unwrap();
    }
}

#[test]
fn a_compromised_key_is_rotated_and_stays_compromised() {
    let (house, key) = House::with_key();
    let change = turned(&key, KeyState::Compromised);
    let halves = house.pipeline.perform(&house.officer, change).unwrap();
    let rotated = rotate(&house, &halves, Turn::Now).unwrap();
    assert_eq!(rotated.former[0].key().unwrap().state, KeyState::Compromised);
    assert_eq!(rotated.made[0].key().unwrap().state, KeyState::Active);
}

#[test]
fn what_the_officer_said_of_a_key_is_not_undone_by_rotating_it() {
    for said in [
        Transition::Suspend,
        Transition::Disable,
        Transition::Archive,
        revoke(RevocationReason::PrivilegeWithdrawn),
        revoke(RevocationReason::CertificateHold),
    ] {
        let (house, key) = House::with_key();
        let rotated = rotate(&house, &[key], Turn::Later(None)).unwrap();
        let halves = change(&house, &rotated.former, said.clone());
        let activate = Activate { halves: halves.clone(), pending: rotated.made.clone(), certificates: Vec::new() };
        assert_eq!(kind(house.pipeline.perform(&house.user, activate)), ErrorKind::KeyState, "{said}");
        house.pipeline.hall.catalog.destroy(&house.user, &rotated.made[0]).unwrap();
        house.journal.clear();
        assert_eq!(kind(rotate(&house, &halves, Turn::Now)), ErrorKind::KeyState, "{said}");
        assert!(!house.happened().iter().any(|line| line == "backend generate"), "{said}");
    }
}

#[test]
fn a_key_that_another_one_is_to_replace_is_rotated() {
    for reason in [RevocationReason::Superseded, RevocationReason::KeyCompromise] {
        let (house, key) = House::with_key();
        let halves = change(&house, &[key], revoke(reason));
        let rotated = rotate(&house, &halves, Turn::Now).unwrap();
        assert_eq!(rotated.former[0].key().unwrap().state, reason.state());
        house.sign(&house.user, &rotated.made[0]).unwrap();
    }
}

#[test]
fn the_end_that_the_officer_set_is_the_end_of_every_version() {
    let moment = |house: &House| Timestamp(house.clock.now().0 + 86_400_000);
    let schedule = |at| Transition::Schedule { activation: None, deactivation: Some(Some(at)) };
    for ahead in [false, true] {
        let (house, key) = House::with_key();
        let end = moment(&house);
        let new = if ahead {
            let rotated = rotate(&house, &[key], Turn::Later(None)).unwrap();
            // Said after the version was made.
            let halves = change(&house, &rotated.former, schedule(end));
            let activate = Activate { halves, pending: rotated.made, certificates: Vec::new() };
            house.pipeline.perform(&house.user, activate).unwrap().made
        } else {
            let halves = change(&house, &[key], schedule(end));
            rotate(&house, &halves, Turn::Now).unwrap().made
        };
        assert_eq!(new[0].key().unwrap().lifecycle.deactivation, Some(end));
        house.clock.wall.store(end.0, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(kind(house.sign(&house.user, &new[0])), ErrorKind::KeyState);
        assert_eq!(kind(rotate(&house, &new, Turn::Now)), ErrorKind::KeyState);
    }
}

#[test]
fn an_alias_is_a_name_that_policies_decide_on() {
    let house = House::new();
    let (one, two) = (house.key(|_| ()), house.key(|draft| draft.label = b"pay".to_vec()));
    let set = |to: &[&Arc<Object>], from: &[&Arc<Object>]| {
        let halves = |keys: &[&Arc<Object>]| keys.iter().map(|key| Arc::clone(key)).collect();
        let alias = SetAlias { alias: "cur".to_owned(), to: halves(to), from: halves(from) };
        house.pipeline.perform(&house.user, alias)
    };
    *house.policy.dreads.lock().unwrap() = Some("cur");
    assert_eq!(kind(set(&[&one], &[])), ErrorKind::Denied);
    *house.policy.dreads.lock().unwrap() = None;
    let one = set(&[&one], &[]).unwrap().remove(0);
    *house.policy.dreads.lock().unwrap() = Some("cur");
    assert_eq!(kind(set(&[&two], &[&one])), ErrorKind::Denied);
    assert_eq!(kind(set(&[], &[&one])), ErrorKind::Denied);
    // Who may do nothing with the one key takes nothing of it.
    *house.policy.dreads.lock().unwrap() = Some("web");
    assert_eq!(kind(set(&[&two], &[&one])), ErrorKind::Denied);
    *house.policy.dreads.lock().unwrap() = None;
    set(&[&two], &[&one]).unwrap();
}

fn generates(house: &House) -> bool {
    house.happened().iter().any(|line| line.starts_with("backend generate"))
}

#[test]
fn what_would_be_refused_is_refused_before_anything_is_made() {
    let house = House::new();
    let key = house.key(|_| ());
    let mut trusted = Object::clone(&key);
    let crate::key::Body::Key(body) = &mut trusted.body else { panic!() };
    body.protection.trusted = true;
    let update = Update { current: ObjectRef::from(&key), object: trusted };
    let key = house.pipeline.perform(&house.officer, update).unwrap();
    house.journal.clear();
    assert_eq!(kind(rotate(&house, &[key], Turn::Now)), ErrorKind::AttributeReadOnly);
    assert!(!generates(&house));
}

#[test]
fn material_that_came_to_nothing_is_destroyed_and_what_is_told_of_stays() {
    let (house, key) = House::with_key();
    house.journal.clear();
    house.store.full.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(kind(rotate(&house, &[Arc::clone(&key)], Turn::Now)), ErrorKind::Storage);
    let happened = house.happened();
    let at = |what: &str| happened.iter().position(|line| line == what);
    assert!(at("backend generate").is_some() && at("backend generate") < at("backend destroy"), "{happened:?}");
    house.store.full.store(false, std::sync::atomic::Ordering::SeqCst);
    rotate(&house, &[key], Turn::Now).unwrap();
    assert!(!house.happened().contains(&"backend destroy".to_owned()));
}

#[test]
fn versions_that_another_key_of_the_name_left_behind_stay_what_they_are() {
    let (house, key) = House::with_key();
    let first = rotate(&house, &[key], Turn::Now).unwrap();
    house.pipeline.hall.catalog.destroy(&house.user, &first.made[0]).unwrap();
    let another = house.key(|_| ());
    let rotated = rotate(&house, &[another], Turn::Now).unwrap();
    let name = |key: &Arc<Object>| key.key().unwrap().name.clone();
    assert_eq!((name(&rotated.former[0]), rotated.made[0].key().unwrap().version_number()), ("web@2".to_owned(), 3));
    let left = house.pipeline.hall.catalog.get(&house.user, first.former[0].id).unwrap();
    assert_eq!(name(&left), "web@1");
    // Made ahead as well.
    let ahead = rotate(&house, &rotated.made, Turn::Later(None)).unwrap();
    assert_eq!((name(&ahead.made[0]), name(&ahead.former[0])), ("web@4".to_owned(), "web".to_owned()));
}

#[test]
fn what_was_said_of_the_key_since_a_version_was_made_holds_for_it() {
    use crate::key::AuditMode;
    let (house, key) = House::with_key();
    let rotated = rotate(&house, &[key], Turn::Later(None)).unwrap();
    let tagged = change(&house, &rotated.former, Transition::Tag(vec!["restricted".into()]));
    let key = change(&house, &tagged, Transition::Audit(AuditMode::Sync)).remove(0);
    let mut wanted = Object::clone(&key);
    (wanted.copyable, wanted.destroyable) = (false, false);
    let crate::key::Body::Key(body) = &mut wanted.body else { panic!() };
    (body.usage.decrypt, body.protection.extractable) = (false, false);
    let key = house.pipeline.perform(&house.user, Update { current: ObjectRef::from(&key), object: wanted }).unwrap();
    let activate = Activate { halves: vec![key], pending: rotated.made, certificates: Vec::new() };
    let new = house.pipeline.perform(&house.user, activate).unwrap().made.remove(0);
    let key = new.key().unwrap();
    assert_eq!((key.tags.as_slice(), key.audit), (["restricted".to_owned()].as_slice(), AuditMode::Sync));
    assert!(!key.usage.decrypt && key.usage.encrypt && !key.protection.extractable);
    assert!(!new.copyable && !new.destroyable && new.modifiable);
}

#[test]
fn a_pending_version_that_can_take_no_name_waits_for_nothing() {
    let (house, key) = House::with_key();
    let ahead = rotate(&house, &[key], Turn::Later(None)).unwrap();
    change(&house, &ahead.made, Transition::Suspend);
    let rotated = rotate(&house, &ahead.former, Turn::Now).unwrap();
    assert_eq!(rotated.made[0].key().unwrap().version_number(), 3);
    let house = House::new();
    let ahead = rotate(&house, &pair(&house), Turn::Later(None)).unwrap();
    // One half is no version.
    house.pipeline.hall.catalog.destroy(&house.user, &ahead.made[0]).unwrap();
    let rotated = rotate(&house, &ahead.former, Turn::Now).unwrap();
    assert_eq!(rotated.made[0].key().unwrap().version_number(), 3);
}
