//! What attributes, states, dates and roles allow.

use super::*;
use crate::key::{Body, Date, KeySpec, KeyState};
use crate::operation::{Copy, Destroy, Encrypt, Export, GenerateSecret, Rename, Update, Wrap};

type Outcomes = Vec<(Action, Result<()>)>;

/// Uses a key in every way.
fn used(house: &House, caller: &Caller, key: &Arc<Object>) -> Outcomes {
    let key = || ObjectRef::from(key);
    let pipeline = &house.pipeline;
    vec![
        (Action::Sign, pipeline.begin(caller, Sign { key: key(), how: cmac() }).map(drop)),
        (Action::Verify, pipeline.begin(caller, crate::operation::Verify { key: key(), how: cmac() }).map(drop)),
        (Action::Encrypt, pipeline.begin(caller, Encrypt { key: key(), how: ctr() }).map(drop)),
        (Action::Decrypt, pipeline.begin(caller, Decrypt { key: key(), how: ctr() }).map(drop)),
        (Action::Wrap, pipeline.perform(caller, Wrap { wrapping: key(), key: key(), how: key_wrap() }).map(drop)),
        (Action::Export, pipeline.perform(caller, Export { key: key() }).map(drop)),
    ]
}

fn allowed(outcomes: Outcomes, refusal: ErrorKind) -> Vec<Action> {
    let mut allowed = Vec::new();
    for (action, outcome) in outcomes {
        match outcome {
            Ok(()) => allowed.push(action),
            Err(error) => assert_eq!(error.kind(), refusal, "{}", action.name()),
        }
    }
    allowed
}

fn changed(key: &Arc<Object>, change: impl FnOnce(&mut crate::key::Key)) -> Update {
    let mut object = Object::clone(key);
    let Body::Key(inner) = &mut object.body else { panic!() };
    change(inner);
    Update { current: ObjectRef::from(key), object }
}

#[test]
fn each_state_allows_what_its_table_says() {
    use Action as A;
    let everything = vec![A::Sign, A::Verify, A::Encrypt, A::Decrypt, A::Wrap, A::Export];
    let past = vec![A::Verify, A::Decrypt, A::Export];
    for (state, expected) in [
        (KeyState::PreActive, vec![]),
        (KeyState::Active, everything),
        (KeyState::Suspended, vec![]),
        (KeyState::Deactivated, past.clone()),
        (KeyState::Compromised, past),
    ] {
        let house = House::new();
        let key = house.key(|draft| draft.pre_active = state == KeyState::PreActive);
        if state != KeyState::PreActive {
            house.pipeline.perform(&house.officer, turned(&key, state)).unwrap();
        }
        assert_eq!(allowed(used(&house, &house.user, &key), ErrorKind::KeyState), expected, "{}", state.name());
        house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) }).unwrap();
    }
}

#[test]
fn a_key_without_usages_does_nothing_but_show_itself() {
    let house = House::new();
    let key = house.key(|draft| draft.usage = Usage::default());
    assert_eq!(allowed(used(&house, &house.user, &key), ErrorKind::KeyUsage), [Action::Export]);
}

#[test]
fn a_key_is_used_from_its_first_day_to_its_last() {
    for (start, end, usable) in [
        (Some(*b"20240229"), Some(*b"20240229"), true),
        (Some(*b"20240301"), None, false),
        (None, Some(*b"20240228"), false),
    ] {
        let house = House::new();
        let key = house.key(|draft| (draft.start, draft.end) = (start.map(Date), end.map(Date)));
        let result = house.sign(&house.user, &key).map(drop);
        assert_eq!(result.is_ok(), usable, "{start:?} {end:?}");
        assert!(result.is_ok() || kind(result) == ErrorKind::KeyState);
        house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) }).unwrap();
    }
}

#[test]
fn a_key_with_a_list_of_mechanisms_does_nothing_else_even_for_doors_without_numbers() {
    let house = House::new();
    let key = house.key(|draft| draft.allowed_mechanisms = vec![0x108A]);
    assert!(house.sign(&house.user, &key).is_ok());
    for number in [Some(0x108B), None] {
        let sign = Sign { key: ObjectRef::from(&key), how: Chosen { number, ..cmac() } };
        assert_eq!(kind(house.pipeline.begin(&house.user, sign).map(drop)), ErrorKind::MechanismUnsupported);
        assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::MechanismUnsupported));
    }
}

#[test]
fn the_security_officer_manages_private_keys_and_uses_none() {
    let (house, key) = House::with_key();
    assert_eq!(allowed(used(&house, &house.officer, &key), ErrorKind::Denied), []);
    house.disable(&key);
    let rename = Rename { key: ObjectRef::from(&key), name: "renamed".into() };
    house.pipeline.perform(&house.officer, rename).unwrap();
    let mut draft = house.draft(Storage::Stored);
    draft.private = true;
    let generate = GenerateSecret { spec: KeySpec::Secret { key_type: KeyType::Aes, len: 16 }, draft };
    assert_eq!(kind(house.pipeline.perform(&house.officer, generate)), ErrorKind::Denied);
    house.pipeline.perform(&house.officer, Destroy { object: ObjectRef::from(&key) }).unwrap();
}

#[test]
fn the_security_officer_gets_no_private_key_out_under_a_public_one() {
    let (house, key) = House::with_key();
    let public = house.key(|draft| draft.private = false);
    let wrap = Wrap { wrapping: ObjectRef::from(&public), key: ObjectRef::from(&key), how: key_wrap() };
    assert_eq!(kind(house.pipeline.perform(&house.officer, wrap)), ErrorKind::Denied);
    let mut draft = house.draft(Storage::Stored);
    draft.protection = key.key().unwrap().protection;
    let copy = Copy { source: ObjectRef::from(&key), draft };
    assert_eq!(kind(house.pipeline.perform(&house.officer, copy)), ErrorKind::AttributeReadOnly);
}

#[test]
fn whoever_is_not_logged_in_makes_nothing_private() {
    let house = House::new();
    let mut draft = house.draft(Storage::Ephemeral);
    draft.private = true;
    house.journal.clear();
    let import = Import { components: secret(), draft };
    assert_eq!(kind(house.pipeline.perform(&house.public, import)), ErrorKind::NotLoggedIn);
    assert_eq!(house.happened().last().unwrap(), "audit import denied");
}

#[test]
fn only_the_security_officer_changes_states_and_nobody_in_passing() {
    let (house, key) = House::with_key();
    let change = turned(&key, KeyState::Compromised);
    assert_eq!(kind(house.pipeline.perform(&house.user, change)), ErrorKind::Denied);
    assert_eq!(house.happened()[..2], ["policy change-state web", "reserve change-state"]);
    assert_eq!(house.last().outcome, Outcome::Denied(ErrorKind::Denied));
    let update = changed(&key, |k| k.state = KeyState::Suspended);
    assert_eq!(kind(house.pipeline.perform(&house.user, update)), ErrorKind::AttributeReadOnly);
}

#[test]
fn an_update_never_weakens_a_key_or_touches_its_material() {
    let house = House::new();
    let key = house.key(|draft| {
        draft.protection.sensitive = true;
        draft.protection.extractable = false;
        draft.protection.wrap_with_trusted = true;
        draft.allowed_mechanisms = vec![0x108A];
    });
    let changes: [fn(&mut crate::key::Key); 8] = [
        |k| k.protection.sensitive = false,
        |k| k.protection.extractable = true,
        |k| k.protection.wrap_with_trusted = false,
        |k| k.protection.always_sensitive = true,
        |k| k.protection.local = true,
        |k| k.protection.trusted = true,
        |k| k.allowed_mechanisms.clear(),
        |k| k.versions[0].locator = vec![1],
    ];
    for change in changes {
        let update = changed(&key, change);
        assert_eq!(kind(house.pipeline.perform(&house.user, update)), ErrorKind::AttributeReadOnly);
    }
    house.pipeline.perform(&house.user, changed(&key, |k| k.usage.sign = false)).unwrap();
}

#[test]
fn a_copy_is_as_protected_as_its_source_and_keeps_its_state() {
    let house = House::new();
    let key = house.key(|draft| {
        draft.protection.sensitive = true;
        draft.allowed_mechanisms = vec![1, 2];
    });
    house.disable(&key);
    let faithful = || {
        let mut draft = house.draft(Storage::Stored);
        (draft.private, draft.allowed_mechanisms) = (true, vec![2]);
        draft.protection = key.key().unwrap().protection;
        draft
    };
    let copy = |draft| house.pipeline.perform(&house.user, Copy { source: ObjectRef::from(&key), draft });
    let made = copy(faithful()).unwrap();
    assert_eq!(made.key().unwrap().state, KeyState::Deactivated);
    assert_eq!(made.key().unwrap().origin, "web");
    let changes: [fn(&mut Draft); 5] = [
        |d| d.private = false,
        |d| d.allowed_mechanisms.clear(),
        |d| d.allowed_mechanisms.push(3),
        |d| d.protection.sensitive = false,
        |d| d.protection.trusted = true,
    ];
    for change in changes {
        let mut draft = faithful();
        change(&mut draft);
        assert_eq!(kind(copy(draft)), ErrorKind::AttributeReadOnly);
    }
}

#[test]
fn a_user_makes_no_key_trusted() {
    let house = House::new();
    let mut draft = house.draft(Storage::Stored);
    draft.protection.trusted = true;
    let made = house.pipeline.perform(&house.user, Import { components: secret(), draft });
    assert_eq!(kind(made), ErrorKind::AttributeReadOnly);
}
