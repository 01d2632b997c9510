//! The life of objects, stored and of a session.

use super::*;
use libkmss::catalog::{Match, Query};
use libkmss::key::{Body, KeyComponents};
use libkmss::mechanism::{CipherMode, Curve, Hash, Hkdf, HkdfSalt, KdfMechanism};
use libkmss::operation::{
    Copy, Derive, Destroy, Expected, Export, Find, GeneratePair, Import, ImportDocument, Rename, Unwrap, Update, Wrap,
};
use std::collections::BTreeSet;

fn key_wrap() -> Chosen {
    Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrap { iv: [0xA6; 8] }).into()
}

fn hkdf() -> Chosen {
    let info = b"test".to_vec();
    let how = KdfMechanism::Hkdf(Hkdf { hash: Hash::Sha256, extract: true, expand: true, salt: HkdfSalt::Zeros, info });
    Mechanism::Kdf(how).into()
}

fn value(flat: &Flat, caller: &Caller, key: &Arc<Object>) -> Vec<u8> {
    match flat.kms.perform(caller, Export { key: ObjectRef::from(key) }).unwrap() {
        KeyComponents::Secret { value, .. } => value.expose().to_vec(),
        other => panic!("{:?}", other.key_type()),
    }
}

#[test]
fn a_key_is_made_used_wrapped_unwrapped_copied_and_destroyed_in_the_store_and_in_a_session() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        for storage in [Storage::Stored, Storage::Ephemeral] {
            let key = flat.aes(&user, storage, "made");
            let protection = key.key().unwrap().protection;
            assert!(protection.local && !protection.always_sensitive && !protection.never_extractable);
            assert_eq!(key.storage, storage);
            let mac = sign(&flat.kms, &user, &key, b"data").unwrap();

            let wrap = Wrap { wrapping: ObjectRef::from(&key), key: ObjectRef::from(&key), how: key_wrap() };
            let wrapped = flat.kms.perform(&user, wrap).unwrap();
            let unwrap = Unwrap {
                unwrapping: ObjectRef::from(&key),
                how: key_wrap(),
                wrapped: wrapped.into(),
                expected: Expected { key_type: KeyType::Aes, len: None },
                draft: flat.draft(storage, "unwrapped"),
            };
            let unwrapped = flat.kms.perform(&user, unwrap).unwrap();
            assert!(!unwrapped.key().unwrap().protection.local);
            assert_eq!(sign(&flat.kms, &user, &unwrapped, b"data").unwrap(), mac);

            let copy = Copy { source: ObjectRef::from(&key), draft: flat.draft(storage, "copied") };
            let copy = flat.kms.perform(&user, copy).unwrap();
            assert!(copy.key().unwrap().protection.local && copy.id != key.id);
            assert_eq!(sign(&flat.kms, &user, &copy, b"data").unwrap(), mac);

            let components = KeyComponents::Secret { key_type: KeyType::Aes, value: pin(&value(&flat, &user, &key)) };
            let import = Import { components, draft: flat.draft(storage, "imported") };
            let imported = flat.kms.perform(&user, import).unwrap();
            assert!(!imported.key().unwrap().protection.local);
            assert_eq!(sign(&flat.kms, &user, &imported, b"data").unwrap(), mac);

            flat.kms.perform(&user, Destroy { object: ObjectRef::from(&key) }).unwrap();
            if storage == Storage::Stored {
                assert_eq!(kind(sign(&flat.kms, &user, &key, b"data")), ErrorKind::NotFound);
                assert_eq!(kind(flat.kms.object(&user, key.id)), ErrorKind::NotFound);
            }
            assert_eq!(sign(&flat.kms, &user, &copy, b"data").unwrap(), mac);
        }
    }
}

#[test]
fn a_derived_key_takes_its_history_from_its_base() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let mut draft = flat.draft(Storage::Stored, "base");
        draft.usage = Usage::all_for(KeyType::GenericSecret, KeyClass::Secret);
        (draft.protection.sensitive, draft.protection.extractable) = (true, false);
        let spec = KeySpec::Secret { key_type: KeyType::GenericSecret, len: 32 };
        let base = flat.kms.perform(&user, GenerateSecret { spec, draft }).unwrap();
        for (storage, sensitive) in [(Storage::Stored, true), (Storage::Ephemeral, false)] {
            let mut draft = flat.draft(storage, "derived");
            (draft.protection.sensitive, draft.protection.extractable) = (sensitive, !sensitive);
            let expected = Expected { key_type: KeyType::Aes, len: Some(32) };
            let derive = Derive::one(ObjectRef::from(&base), hkdf(), expected, draft);
            let derived = flat.kms.perform(&user, derive).unwrap().keys.remove(0);
            let key = derived.key().unwrap();
            assert!(!key.protection.local);
            assert_eq!((key.protection.always_sensitive, key.protection.never_extractable), (sensitive, sensitive));
            assert_eq!(key.origin, "base");
            assert!(sign(&flat.kms, &user, &derived, b"data").is_ok());
        }
    }
}

#[test]
fn names_are_unique_and_the_halves_of_a_pair_share_one() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let pair = || {
            let (mut private, mut public) = (flat.draft(Storage::Stored, "tls"), flat.draft(Storage::Stored, "tls"));
            (private.usage, public.usage) =
                (Usage::all_for(KeyType::Ec, KeyClass::Private), Usage::all_for(KeyType::Ec, KeyClass::Public));
            public.private = false;
            flat.kms.perform(&user, GeneratePair { spec: KeySpec::Ec(Curve::P256), private, public }).unwrap()
        };
        let (private, public) = pair();
        assert_eq!((name(&private), name(&public)), ("tls", "tls"));
        let (second, half) = pair();
        assert_eq!((name(&second), name(&half)), ("tls-2", "tls-2"));
        assert_eq!(name(&flat.aes(&user, Storage::Stored, "tls")), "tls-3");
        assert_eq!(name(&flat.aes(&user, Storage::Ephemeral, "tls")), "");
        assert!(name(&flat.aes(&user, Storage::Stored, "")).starts_with("key-"));
        let found = flat.kms.key(&user, "tls-2", KeyClass::Private).unwrap().unwrap();
        assert_eq!(found.id, second.id);

        let rename = |key: &Arc<Object>, name: &str| Rename { key: ObjectRef::from(key), name: name.to_owned() };
        assert_eq!(kind(flat.kms.perform(&user, rename(&private, "tls-2"))), ErrorKind::AlreadyExists);
        let renamed = flat.kms.perform(&user, rename(&private, "web")).unwrap();
        assert!(renamed.iter().all(|half| name(half) == "web") && renamed.len() == 2);
        assert!(flat.kms.key(&user, "tls", KeyClass::Private).unwrap().is_none());
        assert_eq!(flat.kms.key(&user, "web", KeyClass::Public).unwrap().unwrap().id, public.id);
    }
}

#[test]
fn no_update_loosens_a_key_wherever_it_lives() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    for storage in [Storage::Stored, Storage::Ephemeral] {
        let key = flat.aes(&user, storage, "k");
        let mut object = Object::clone(&key);
        let Body::Key(changed) = &mut object.body else { panic!() };
        changed.protection.always_sensitive = !changed.protection.always_sensitive;
        changed.protection.local = false;
        let update = Update { current: ObjectRef::from(&key), object };
        assert_eq!(kind(flat.kms.perform(&user, update)), ErrorKind::AttributeReadOnly, "{storage:?}");
    }
}

#[test]
fn an_update_changes_labels_and_never_names_and_needs_the_newest_record() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "old");
    let relabelled = Object { label: b"new".to_vec(), ..Object::clone(&key) };
    let updated =
        flat.kms.perform(&user, Update { current: ObjectRef::from(&key), object: relabelled.clone() }).unwrap();
    assert_eq!((updated.label.as_slice(), name(&updated)), (b"new".as_slice(), "old"));
    assert_eq!(
        kind(flat.kms.perform(&user, Update { current: ObjectRef::from(&key), object: relabelled })),
        ErrorKind::Conflict
    );
    let query = Query { label: Some(b"new".to_vec()), ..Query::default() };
    let find = || Find { query: &query, after: None, limit: 9 };
    let found = flat.kms.perform(&user, find()).unwrap();
    assert_eq!(found, [Match { id: key.id, private: true }]);
    assert!(flat.kms.perform(&flat.public(), find()).unwrap().is_empty());

    let fixed = Object { modifiable: false, ..Object::clone(&updated) };
    let fixed = flat.kms.perform(&user, Update { current: ObjectRef::from(&updated), object: fixed }).unwrap();
    let again = Object { modifiable: true, ..Object::clone(&fixed) };
    assert_eq!(
        kind(flat.kms.perform(&user, Update { current: ObjectRef::from(&fixed), object: again })),
        ErrorKind::ActionProhibited
    );
}

#[test]
fn what_may_not_be_copied_destroyed_or_read_is_not() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let mut draft = flat.draft(Storage::Stored, "fixed");
    (draft.copyable, draft.destroyable, draft.protection.sensitive) = (false, false, true);
    draft.protection.extractable = false;
    let spec = KeySpec::Secret { key_type: KeyType::Aes, len: 16 };
    let key = flat.kms.perform(&user, GenerateSecret { spec, draft }).unwrap();
    assert!(key.key().unwrap().protection.always_sensitive && key.key().unwrap().protection.never_extractable);
    let key = || ObjectRef::from(&key);
    let copy = Copy { source: key(), draft: flat.draft(Storage::Stored, "copy") };
    assert_eq!(kind(flat.kms.perform(&user, copy)), ErrorKind::ActionProhibited);
    assert_eq!(kind(flat.kms.perform(&user, Destroy { object: key() })), ErrorKind::ActionProhibited);
    assert_eq!(kind(flat.kms.perform(&user, Export { key: key() })), ErrorKind::AttributeSensitive);
    let wrapping = flat.aes(&user, Storage::Stored, "wrapping");
    let wrap = Wrap { wrapping: ObjectRef::from(&wrapping), key: key(), how: key_wrap() };
    assert_eq!(kind(flat.kms.perform(&user, wrap)), ErrorKind::KeyUnextractable);
}

#[test]
fn documents_are_kept_beside_keys_and_private_ones_are_seen_by_the_user_alone() {
    for suite in SUITES {
        let flat = Flat::new(suite);
        let user = flat.user();
        let mut made = BTreeSet::new();
        for private in [true, false] {
            let mut draft = flat.draft(Storage::Stored, "note");
            draft.private = private;
            let body = Body::Data { value: b"content".to_vec().into() };
            let document = flat.kms.perform(&user, ImportDocument { body, draft }).unwrap();
            assert_eq!(flat.kms.object(&flat.public(), document.id).is_ok(), !private);
            made.insert(document.id);
        }
        let query = Query { label: Some(b"note".to_vec()), ..Query::default() };
        let found = flat.kms.perform(&user, Find { query: &query, after: None, limit: 9 }).unwrap();
        assert_eq!(found.into_iter().map(|f| f.id).collect::<BTreeSet<_>>(), made);
        let found = flat.kms.perform(&flat.public(), Find { query: &query, after: None, limit: 9 }).unwrap();
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn the_log_is_emptied_by_the_next_look_whoever_destroyed_something() {
    let flat = Flat::new(Suite::Nist);
    let user = flat.user();
    let key = flat.aes(&user, Storage::Stored, "k");
    flat.kms.perform(&user, libkmss::operation::Destroy { object: ObjectRef::from(&key) }).unwrap();
    let log = || std::fs::metadata(flat.config.home.join("store.db-wal")).map_or(0, |log| log.len());
    assert!(log() > 0);
    assert!(flat.kms.destroy_due(&user, true).unwrap().is_empty());
    assert!(log() > 0, "a dry run changes nothing");
    assert!(flat.kms.destroy_due(&user, false).unwrap().is_empty());
    assert_eq!(log(), 0);
}
