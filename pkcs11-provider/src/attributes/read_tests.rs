//! What objects show of themselves.
#![allow(clippy::unwrap_used)]

use cryptoki_sys::*;
use libkmss::key::{KeyClass, Protection};
use libkmss::mechanism::{Curve, KeyType};

use super::*;
use crate::attributes::samples;
use crate::rv::Rv;

const OPEN: Protection = Protection {
    sensitive: false,
    extractable: true,
    always_sensitive: false,
    never_extractable: false,
    local: true,
    trusted: false,
    wrap_with_trusted: false,
    always_authenticate: false,
};

fn value(object: &Object, kind: CK_ATTRIBUTE_TYPE) -> Vec<u8> {
    match Attributes::of(object, Profile::default()).answer(kind) {
        Answer::Value(value) => value.to_vec(),
        _ => b"(none)".to_vec(),
    }
}

fn p256() -> PublicComponents {
    PublicComponents::Ec { curve: Curve::P256, point: vec![4; 65] }
}

#[test]
fn a_private_key_shows_its_public_half() {
    let key = samples::key(KeyClass::Private, KeyType::Ec, p256(), OPEN);
    assert_eq!(value(&key, CKA_EC_POINT), [[4, 65].as_slice(), &[4; 65]].concat());
    assert_eq!(value(&key, CKA_EC_PARAMS), curve::params(Curve::P256));
    assert_eq!(value(&key, CKA_PUBLIC_KEY_INFO).len(), 91);
    let rsa = PublicComponents::Rsa { modulus: vec![0xC1; 256], exponent: vec![3] };
    let key = samples::key(KeyClass::Private, KeyType::Rsa, rsa, OPEN);
    assert_eq!((value(&key, CKA_MODULUS), value(&key, CKA_PUBLIC_EXPONENT)), (vec![0xC1; 256], vec![3]));
}

#[test]
fn a_key_generated_here_names_the_mechanism_that_made_it() {
    let local = samples::key(KeyClass::Secret, KeyType::Aes, PublicComponents::None, OPEN);
    assert_eq!(value(&local, CKA_KEY_GEN_MECHANISM), CKM_AES_KEY_GEN.to_ne_bytes());
    let foreign = Protection { local: false, ..OPEN };
    let foreign = samples::key(KeyClass::Secret, KeyType::Aes, PublicComponents::None, foreign);
    assert_eq!(value(&foreign, CKA_KEY_GEN_MECHANISM), CK_UNAVAILABLE_INFORMATION.to_ne_bytes());
    assert_eq!(value(&foreign, CKA_VALUE_LEN), (32 as CK_ULONG).to_ne_bytes());
    assert_eq!(value(&foreign, CKA_UNIQUE_ID), b"ab".repeat(16));
    assert_eq!(value(&foreign, CKA_ALLOWED_MECHANISMS), (1 as CK_ULONG).to_ne_bytes());
}

#[test]
fn key_material_is_read_once_and_only_where_it_may_be() {
    let shown = |protection| {
        let key = samples::key(KeyClass::Secret, KeyType::Aes, PublicComponents::None, protection);
        let exported = OnceCell::new();
        let export = || Ok(Some(KeyComponents::Secret { key_type: KeyType::Aes, value: Secret::copy_of(b"secret") }));
        let first = Attributes::of(&key, Profile::default()).answer_with(CKA_VALUE, &exported, export).unwrap();
        let again = || Err(Rv(CKR_GENERAL_ERROR));
        assert_eq!(
            Attributes::of(&key, Profile::default()).answer_with(CKA_VALUE, &exported, again).ok(),
            Some(first.clone())
        );
        first
    };
    assert_eq!(shown(OPEN), Answer::bytes(b"secret"));
    assert_eq!(shown(Protection { sensitive: true, ..OPEN }), Answer::Sensitive);
    assert_eq!(shown(Protection { extractable: false, ..OPEN }), Answer::Sensitive);
}

#[test]
fn attributes_of_other_classes_do_not_exist() {
    let key = samples::key(KeyClass::Public, KeyType::Ec, p256(), OPEN);
    for kind in [CKA_VALUE, CKA_SENSITIVE, CKA_MODULUS, CKA_APPLICATION, CKA_SIGN, 0x7777] {
        assert_eq!(Attributes::of(&key, Profile::default()).answer(kind), Answer::Unknown, "{kind:#x}");
    }
}

#[test]
fn every_attribute_that_exists_has_an_answer() {
    let rsa = || PublicComponents::Rsa { modulus: vec![0xC1; 256], exponent: vec![3] };
    for object in [
        samples::key(KeyClass::Public, KeyType::Ec, p256(), OPEN),
        samples::key(KeyClass::Private, KeyType::Ec, p256(), OPEN),
        samples::key(KeyClass::Public, KeyType::Rsa, rsa(), OPEN),
        samples::key(KeyClass::Private, KeyType::Rsa, rsa(), OPEN),
        samples::key(KeyClass::Secret, KeyType::Aes, PublicComponents::None, OPEN),
        samples::object(Body::Data { value: vec![1].into() }),
        samples::object(Body::Certificate { value: b"damaged".to_vec() }),
    ] {
        let attributes = Attributes::of(&object, Profile::default());
        for kind in rules::all(attributes.class) {
            assert_ne!(attributes.answer(kind), Answer::Unknown, "{kind:#x} of {:?}", attributes.class);
        }
        assert!(size(&object) > 16);
    }
}
