//! Keys that the device had before.

use cryptoki::mechanism::Mechanism as Theirs;
use cryptoki::object::Attribute;
use libkmss::key::Storage;
use libkmss::mechanism::{Hash, KeyType};
use libkmss::operation::{Adopt, Survey};

use super::keys::ecdsa;
use super::*;

const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

fn pair(session: &Session, id: &[u8], label: &str) {
    let same = [Attribute::Token(true), Attribute::Id(id.to_vec()), Attribute::Label(label.into())];
    let public = [&same[..], &[Attribute::EcParams(P256.to_vec()), Attribute::Verify(true)]].concat();
    let private = [&same[..], &[Attribute::Sign(true), Attribute::Private(true), Attribute::Sensitive(true)]].concat();
    session.generate_key_pair(&Theirs::EccKeyPairGen, &public, &private).unwrap();
}

#[test]
fn keys_of_the_device_are_adopted_as_they_are() {
    let vault = Vault::new();
    let backend = || BackendId("vault".into());
    {
        let session = vault.look();
        pair(&session, &[1], "one");
        pair(&session, &[2], "two");
        pair(&session, &[2], "three");
    }
    let found = vault.kms.perform(&vault.caller, Survey { backend: backend() }).unwrap();
    assert_eq!(found.len(), 6);
    for foreign in &found {
        assert_eq!(foreign.refusal, None);
        let mut draft = vault.kms.draft(Storage::Stored).unwrap();
        draft.private = foreign.class == KeyClass::Private;
        draft.name = String::from_utf8(foreign.label.clone()).unwrap();
        // What the door says of them does not count.
        draft.protection.extractable = true;
        draft.usage = Usage::all_for(KeyType::Ec, foreign.class);
        let locator = foreign.material.locator.clone();
        let key = vault.kms.perform(&vault.caller, Adopt { backend: backend(), locator, draft }).unwrap();
        let protection = key.key().unwrap().protection;
        assert!(!protection.extractable && !key.key().unwrap().usage.derive);
    }
    for name in ["one", "two", "three"] {
        let key = |class| vault.kms.key(&vault.caller, name, class).unwrap().unwrap();
        let signature = vault.sign(&key(KeyClass::Private), &ecdsa(Some(Hash::Sha256)), &[b"text"]).unwrap();
        vault.verify(&key(KeyClass::Public), &ecdsa(Some(Hash::Sha256)), b"text", &signature).unwrap();
    }
    assert_eq!(vault.look().find_objects(&[Attribute::Token(true)]).unwrap().len(), 6, "the device is as it was");
}

#[test]
fn what_cannot_be_told_from_others_or_has_no_name_is_refused() {
    let vault = Vault::new();
    {
        let session = vault.look();
        pair(&session, &[1], "same");
        pair(&session, &[1], "same");
        let nameless = [Attribute::Token(true), Attribute::ValueLen(32.into())];
        session.generate_key(&Theirs::AesKeyGen, &nameless).unwrap();
    }
    let found = vault.kms.perform(&vault.caller, Survey { backend: BackendId("vault".into()) }).unwrap();
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|foreign| foreign.refusal.is_some()), "{found:?}");
    let draft = vault.kms.draft(Storage::Stored).unwrap();
    let locator = found[0].material.locator.clone();
    let adopt = Adopt { backend: BackendId("vault".into()), locator, draft };
    assert_eq!(kind(vault.kms.perform(&vault.caller, adopt)), ErrorKind::Damaged);
}
