//! Encapsulation: decided on the key, and on the key that it makes.

use super::*;
use crate::key::{KeyClass, KeySpec, PublicComponents};
use crate::mechanism::{MlKemSet, PqcMechanism, PqcSet};
use crate::operation::{Decapsulate, Encapsulate, Expected, GeneratePair};

const GENERIC: Expected = Expected { key_type: KeyType::GenericSecret, len: None };

fn ml_kem() -> Chosen {
    Mechanism::Pqc(PqcMechanism::MlKem).into()
}

/// A house with an ML-KEM pair in it and an empty journal: private and public half.
fn with_pair() -> (House, Arc<Object>, Arc<Object>) {
    let house = House::new();
    let draft = |class| Draft {
        label: b"kem".to_vec(),
        usage: Usage::all_for(KeyType::MlKem, class),
        ..house.draft(Storage::Stored)
    };
    let (mut private, public) = (draft(KeyClass::Private), draft(KeyClass::Public));
    private.private = true;
    let pair = GeneratePair { spec: KeySpec::Pqc(PqcSet::MlKem(MlKemSet::MlKem512)), private, public };
    let (private, public) = house.pipeline.perform(&house.user, pair).unwrap();
    house.journal.clear();
    (house, private, public)
}

fn encapsulate(house: &House, key: &Arc<Object>) -> Result<(Arc<Object>, Vec<u8>)> {
    let draft = house.draft(Storage::Ephemeral);
    let operation = Encapsulate { key: ObjectRef::from(key), how: ml_kem(), expected: GENERIC, draft };
    house.pipeline.perform(&house.user, operation)
}

fn decapsulate(house: &House, key: &Arc<Object>, ciphertext: &[u8]) -> Result<Arc<Object>> {
    let draft = house.draft(Storage::Ephemeral);
    let ciphertext = ciphertext.to_vec();
    let operation = Decapsulate { key: ObjectRef::from(key), how: ml_kem(), ciphertext, expected: GENERIC, draft };
    house.pipeline.perform(&house.user, operation)
}

#[test]
fn both_keys_are_decided_and_the_new_one_has_no_past() {
    let (house, private, public) = with_pair();
    let (mine, ciphertext) = encapsulate(&house, &public).unwrap();
    let happened = house.happened();
    assert_eq!(happened[..2], ["policy encapsulate kem", "policy generate "]);
    assert!(happened.iter().any(|line| line == "audit encapsulate success"));
    let yours = decapsulate(&house, &private, &ciphertext).unwrap();
    assert_eq!(house.happened()[..2], ["policy decapsulate kem", "policy generate "]);
    assert_eq!(house.last().mechanism.as_deref(), Some("ML_KEM"));
    for new in [mine, yours] {
        let key = new.key().unwrap();
        assert_eq!((key.class, key.policy_name()), (KeyClass::Secret, "kem"));
        assert_eq!(key.primary().unwrap().public, PublicComponents::None);
        let history = key.protection;
        assert!(!history.local && !history.always_sensitive && !history.never_extractable);
    }
}

#[test]
fn what_is_denied_for_either_key_does_not_happen() {
    for (action, denied) in [(Action::Encapsulate, true), (Action::Generate, true), (Action::Derive, false)] {
        let (house, _, public) = with_pair();
        house.policy.deny(action);
        let refused = encapsulate(&house, &public).err().map(|e| e.kind());
        assert_eq!(refused, denied.then_some(ErrorKind::Denied), "{}", action.name());
        assert_eq!(house.happened().contains(&"backend encapsulate".to_owned()), !denied);
    }
}

#[test]
fn a_deactivated_pair_recovers_secrets_and_makes_none() {
    let (house, private, public) = with_pair();
    let (_, ciphertext) = encapsulate(&house, &public).unwrap();
    let change = turned(&private, crate::key::KeyState::Deactivated);
    // A pair changes whole or not at all.
    assert_eq!(kind(house.pipeline.perform(&house.officer, change)), ErrorKind::Arguments);
    let both = turned(&private, crate::key::KeyState::Deactivated);
    let both = crate::operation::ChangeLife { other: Some(ObjectRef::from(&public)), ..both };
    house.pipeline.perform(&house.officer, both).unwrap();
    assert_eq!(kind(encapsulate(&house, &public)), ErrorKind::KeyState);
    assert!(decapsulate(&house, &private, &ciphertext).is_ok());
}
