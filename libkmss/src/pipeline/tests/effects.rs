//! Changes: an intent before, a record after.

use super::*;
use crate::key::{Alteration, Body, KeyClass, KeySpec, KeyState, Storage};
use crate::mechanism::{Curve, Kbkdf, KbkdfInput, KbkdfMode, KdfMechanism, NumberFormat};
use crate::operation::{Derive, Destroy, Expected, GeneratePair, GenerateSecret, Rename, Unwrap, Update, Wrap};
use std::sync::atomic::Ordering;

fn aes(house: &House, storage: Storage) -> GenerateSecret {
    let mut draft = house.draft(storage);
    draft.label = b"web".to_vec();
    GenerateSecret { spec: KeySpec::Secret { key_type: KeyType::Aes, len: 16 }, draft }
}

#[test]
fn a_change_is_announced_before_and_recorded_after() {
    let (house, _) = House::with_key();
    house.pipeline.perform(&house.user, aes(&house, Storage::Stored)).unwrap();
    let order = [
        "policy generate web",
        "reserve generate",
        "audit generate intent",
        "backend generate",
        "commit",
        "audit generate success",
        "settle 0",
    ];
    assert_eq!(house.happened(), order);
    let notes = house.audit.notes();
    // The name was taken: only the second record can know the one it got.
    assert_eq!((notes[notes.len() - 2].name.as_str(), house.last().name.as_str()), ("new web", "web-2"));
    assert_eq!(notes[notes.len() - 2].rule, "rule-yes");
}

#[test]
fn nothing_changes_when_the_intent_cannot_be_recorded() {
    let (house, key) = House::with_key();
    house.audit.fail(|outcome| outcome == Outcome::Intent);
    let made = house.pipeline.perform(&house.user, aes(&house, Storage::Stored));
    assert_eq!(kind(made), ErrorKind::AuditUnavailable);
    assert_eq!(house.happened()[2..], ["audit generate intent", "return"]);
    let destroyed = house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) });
    assert_eq!(kind(destroyed), ErrorKind::AuditUnavailable);
    assert_eq!(house.happened()[2..], ["audit destroy intent", "return"]);
    assert!(house.sign(&house.user, &key).is_ok());
}

#[test]
fn a_change_that_failed_is_recorded_as_failed() {
    let (house, key) = House::with_key();
    house.store.full.store(true, Ordering::SeqCst);
    let destroyed = house.pipeline.perform(&house.user, Destroy { object: ObjectRef::from(&key) });
    assert_eq!(kind(destroyed), ErrorKind::Storage);
    assert_eq!(house.happened()[2..], ["audit destroy intent", "commit", "audit destroy failed", "return"]);
}

#[test]
fn a_change_whose_record_cannot_be_written_is_not_released_but_announced_and_paid_for() {
    let (house, _) = House::with_key();
    house.audit.fail(|outcome| outcome == Outcome::Success);
    let made = house.pipeline.perform(&house.user, aes(&house, Storage::Stored));
    assert_eq!(kind(made), ErrorKind::AuditUnavailable);
    assert_eq!(house.last().outcome, Outcome::Intent);
    assert_eq!(house.happened().last().unwrap(), "settle 0");
}

#[test]
fn unwrapping_into_the_store_is_announced_and_into_a_session_is_not() {
    let (house, key) = House::with_key();
    let wrap = Wrap { wrapping: ObjectRef::from(&key), key: ObjectRef::from(&key), how: key_wrap() };
    let wrapped = house.pipeline.perform(&house.user, wrap).unwrap();
    let expected = Expected { key_type: KeyType::Aes, len: None };
    let unwrap = |storage| Unwrap {
        unwrapping: ObjectRef::from(&key),
        how: key_wrap(),
        wrapped: wrapped.clone().into(),
        expected,
        draft: house.draft(storage),
    };
    house.journal.clear();
    let stored = house.pipeline.perform(&house.user, unwrap(Storage::Stored)).unwrap();
    let happened = house.happened();
    assert_eq!(happened[3..6], ["audit unwrap intent", "backend unwrap", "commit"]);
    assert_eq!(house.last().also.as_deref(), Some(stored.key().unwrap().name.as_str()));
    house.pipeline.perform(&house.user, unwrap(Storage::Ephemeral)).unwrap();
    assert!(!house.happened().contains(&"audit unwrap intent".to_owned()));
    house.audit.fail(|outcome| outcome == Outcome::Intent);
    assert_eq!(kind(house.pipeline.perform(&house.user, unwrap(Storage::Stored))), ErrorKind::AuditUnavailable);
    assert!(!house.happened().contains(&"backend unwrap".to_owned()));
}

#[test]
fn a_session_key_unwrapped_by_a_session_key_remembers_the_stored_key_both_came_from() {
    let (house, key) = House::with_key();
    let mut draft = house.draft(Storage::Ephemeral);
    (draft.private, draft.usage, draft.protection) = (true, key.key().unwrap().usage, key.key().unwrap().protection);
    let copy = crate::operation::Copy { source: ObjectRef::from(&key), draft };
    let copy = house.pipeline.perform(&house.user, copy).unwrap();
    assert_eq!((copy.key().unwrap().name.as_str(), copy.key().unwrap().origin.as_str()), ("", "web"));
    let wrap = Wrap { wrapping: ObjectRef::from(&copy), key: ObjectRef::from(&key), how: key_wrap() };
    let wrapped = house.pipeline.perform(&house.user, wrap).unwrap();
    let unwrapped = house.pipeline.perform(
        &house.user,
        Unwrap {
            unwrapping: ObjectRef::from(&copy),
            how: key_wrap(),
            wrapped: wrapped.into(),
            expected: Expected { key_type: KeyType::Aes, len: None },
            draft: house.draft(Storage::Ephemeral),
        },
    );
    assert_eq!(unwrapped.unwrap().key().unwrap().origin, "web");
}

#[test]
fn renaming_is_decided_under_both_names() {
    let (house, key) = House::with_key();
    house.pipeline.perform(&house.user, Rename { key: ObjectRef::from(&key), name: "vault".into() }).unwrap();
    assert_eq!(house.happened()[..2], ["policy manage web", "policy manage vault"]);
    assert_eq!(house.last().also.as_deref(), Some("new vault"));
}

#[test]
fn both_halves_of_a_pair_are_decided_and_named_in_the_record() {
    let house = House::new();
    house.journal.clear();
    let (mut private, mut public) = (house.draft(Storage::Stored), house.draft(Storage::Stored));
    (private.private, private.label, public.label) = (true, b"tls".to_vec(), b"other".to_vec());
    let pair = GeneratePair { spec: KeySpec::Ec(Curve::P256), private, public };
    let (private, public) = house.pipeline.perform(&house.user, pair).unwrap();
    assert_eq!(house.happened()[..3], ["policy generate tls", "policy generate tls", "reserve generate"]);
    assert_eq!((house.last().name, house.last().also), ("tls".into(), Some("tls".into())));
    assert_eq!((private.key().unwrap().class, public.key().unwrap().class), (KeyClass::Private, KeyClass::Public));
}

#[test]
fn what_is_no_key_operation_is_announced_and_recorded_too() {
    let house = House::new();
    house.journal.clear();
    let around = |action, result: Result<()>| house.pipeline.around(Some(&house.user), action, || result);
    around(Action::SetPin, Ok(())).unwrap();
    around(Action::Login, Ok(())).unwrap();
    let wrong = around(Action::Login, Err(Error::new(ErrorKind::PinIncorrect, "the PIN is wrong")));
    assert_eq!(kind(wrong), ErrorKind::PinIncorrect);
    let order = ["audit set-pin intent", "audit set-pin success", "audit login success", "audit login denied"];
    assert_eq!(house.happened(), order);
    house.audit.fail(|outcome| outcome == Outcome::Intent);
    let mut done = false;
    let set = house.pipeline.around(Some(&house.user), Action::SetPin, || {
        done = true;
        Ok(())
    });
    assert_eq!((kind(set), done), (ErrorKind::AuditUnavailable, false));
}

/// Two keys, one stored and one of the session, from `key` and `other`.
fn two_keys(house: &House, key: &Arc<Object>, other: &Arc<Object>) -> Derive {
    let prf = MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 };
    let counter = KbkdfInput::Counter(NumberFormat { little_endian: false, len: 4 });
    let input = vec![counter, KbkdfInput::Key(0)];
    let how = Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf { mode: KbkdfMode::Counter, prf, input })).into();
    let wanted = |storage| (Expected { key_type: KeyType::Aes, len: Some(16) }, house.draft(storage));
    let keys = vec![wanted(Storage::Ephemeral), wanted(Storage::Stored)];
    Derive { base: ObjectRef::from(key), others: vec![ObjectRef::from(other)], how, keys }
}

#[test]
fn every_object_of_a_derivation_is_decided_and_recorded() {
    let (house, key) = House::with_key();
    let other = house.key(|draft| draft.label = b"salt".to_vec());
    let made = house.pipeline.perform(&house.user, two_keys(&house, &key, &other)).unwrap();
    let happened = house.happened();
    assert!(happened[0] == "policy derive web" && happened.contains(&"policy derive salt".to_owned()), "{happened:?}");
    assert_eq!(happened.iter().filter(|line| line.starts_with("policy generate")).count(), 2);
    assert_eq!(happened.iter().filter(|line| *line == "audit derive intent").count(), 3);
    let notes = house.audit.notes();
    let also: Vec<_> = notes[notes.len() - 3..].iter().map(|note| note.also.clone().unwrap()).collect();
    assert_eq!(also[1..], ["salt".to_owned(), made.keys[1].key().unwrap().name.clone()]);
    assert!(notes[notes.len() - 3..].iter().all(|note| note.outcome == Outcome::Success && note.name == "web"));
    assert_eq!((made.keys[0].storage, made.keys[1].storage), (Storage::Ephemeral, Storage::Stored));
    assert!(made.keys.iter().all(|key| key.key().unwrap().origin == "web"));
}

#[test]
fn a_second_key_that_may_not_derive_or_not_by_this_mechanism_stops_the_derivation() {
    let (house, key) = House::with_key();
    let idle = house.key(|draft| draft.usage.derive = false);
    assert_eq!(kind(house.pipeline.perform(&house.user, two_keys(&house, &key, &idle))), ErrorKind::KeyUsage);
    let listed = house.key(|draft| draft.allowed_mechanisms = vec![1]);
    let refused = house.pipeline.perform(&house.user, two_keys(&house, &key, &listed));
    assert_eq!(kind(refused), ErrorKind::MechanismUnsupported);
    house.disable(&idle);
    assert!(!house.happened().iter().any(|line| line.starts_with("backend")));
}

#[test]
fn the_records_of_a_change_share_a_number_and_say_what_was_and_what_is_to_be() {
    let (house, key) = House::with_key();
    let mut object = (*key).clone();
    object.label = b"other".to_vec();
    if let Body::Key(key) = &mut object.body {
        key.usage.sign = false;
    }
    house.pipeline.perform(&house.user, Update { current: ObjectRef::from(&key), object }).unwrap();
    let notes = house.audit.notes();
    let [.., intent, done] = &notes[..] else { panic!("{}", notes.len()) };
    assert_eq!((intent.outcome, done.outcome), (Outcome::Intent, Outcome::Success));
    assert!(intent.request.is_some() && intent.request == done.request);
    let said: Vec<_> = intent.changes.iter().map(|c| (c.what, c.old.as_str(), c.new.as_str())).collect();
    let usage =
        ("usage", "encrypt decrypt sign verify wrap unwrap derive", "encrypt decrypt verify wrap unwrap derive");
    assert_eq!(said, [("label", "web", "other"), usage]);
    assert_eq!(done.changes, intent.changes);
    let state = turned(&key, KeyState::Suspended);
    house.pipeline.perform(&house.officer, state).unwrap();
    let change = Alteration { what: "state", old: "enabled".to_owned(), new: "suspended".to_owned() };
    assert_eq!(house.last().changes, [change]);
    assert_ne!(house.last().request, done.request);
}
