//! Changes that callers ask for.
#![allow(clippy::unwrap_used)]

use cryptoki_sys::*;
use libkmss::key::{KeyClass, Protection, PublicComponents, Storage};
use libkmss::mechanism::KeyType;
use libkmss::settings::VendorProfile;
use libkmss::tenant::ObjectId;

use super::*;
use crate::attributes::samples;
use crate::mechanisms::Profile;

const USER: Giver = Giver { user: true, officer: false, profile: Profile::of(VendorProfile::Luna), separate: false };

fn aes() -> Object {
    let protection = Protection { extractable: true, always_sensitive: false, ..Protection::default() };
    samples::key(KeyClass::Secret, KeyType::Aes, PublicComponents::None, protection)
}

fn set(template: &[(CK_ATTRIBUTE_TYPE, &[u8])]) -> Result<Object> {
    changed(&aes(), &Template::of(template), USER)
}

#[test]
fn identifiers_and_labels_may_be_changed_and_the_rest_stays() {
    let object = set(&[(CKA_ID, b"java"), (CKA_LABEL, b"renamed"), (CKA_SIGN, &[0])]).unwrap();
    assert_eq!((object.identifier.as_slice(), object.label.as_slice()), (b"java".as_slice(), b"renamed".as_slice()));
    assert!(!object.key().unwrap().usage.sign);
    assert_eq!((object.revision, object.edition, object.key().unwrap().name.as_str()), (7, 1, "label"));
}

#[test]
fn protection_grows_and_never_shrinks() {
    let object = set(&[(CKA_SENSITIVE, &[1]), (CKA_EXTRACTABLE, &[0]), (CKA_WRAP_WITH_TRUSTED, &[1])]).unwrap();
    let protection = object.key().unwrap().protection;
    assert!(protection.sensitive && !protection.extractable && protection.wrap_with_trusted);
    assert!(!protection.always_sensitive && !protection.never_extractable);
    for template in [(CKA_SENSITIVE, [0_u8]), (CKA_EXTRACTABLE, [1]), (CKA_WRAP_WITH_TRUSTED, [0])] {
        let result = changed(&object, &Template::of(&[(template.0, &template.1)]), USER);
        assert_eq!(result.err(), Some(Rv(CKR_ATTRIBUTE_READ_ONLY)));
    }
}

#[test]
fn what_an_object_is_cannot_be_changed() {
    for kind in [CKA_TOKEN, CKA_PRIVATE, CKA_LOCAL, CKA_ALWAYS_SENSITIVE] {
        assert_eq!(set(&[(kind, &[1])]).err(), Some(Rv(CKR_ATTRIBUTE_READ_ONLY)), "{kind:#x}");
    }
    assert_eq!(set(&[(CKA_VALUE, b"other")]).err(), Some(Rv(CKR_ATTRIBUTE_READ_ONLY)));
}

#[test]
fn dates_must_stay_in_order() {
    let late = set(&[(CKA_START_DATE, b"20270101"), (CKA_END_DATE, b"20260101")]);
    assert_eq!(late.err(), Some(Rv(CKR_TEMPLATE_INCONSISTENT)));
}

#[test]
fn a_copy_takes_everything_that_its_template_does_not_say() {
    let source = aes();
    let template = Template::of(&[(CKA_TOKEN, &[0]), (CKA_LABEL, b"copy"), (CKA_SENSITIVE, &[1])]);
    assert_eq!(copied_storage(&source, &template), Ok(Storage::Ephemeral));
    assert_eq!(copied_storage(&source, &Template::default()), Ok(Storage::Stored));
    let mut copy = Draft::new(ObjectId([9; 16]), Storage::Ephemeral);
    copied(&mut copy, &source, &template, USER).unwrap();
    assert_eq!((copy.label.as_slice(), copy.identifier.as_slice()), (b"copy".as_slice(), b"id".as_slice()));
    assert!(copy.usage.sign && copy.protection.sensitive && copy.protection.extractable);
    assert_eq!(copy.allowed_mechanisms, [1]);
}

#[test]
fn a_copy_demands_at_least_what_its_source_demands() {
    let mut source = aes();
    source.private = true;
    source.attributes.insert(CKA_WRAP_TEMPLATE, serde_bytes::ByteBuf::from(b"demands".as_slice()));
    if let Body::Key(key) = &mut source.body {
        key.class = KeyClass::Private;
        key.key_type = KeyType::Ec;
        key.protection.always_authenticate = true;
        key.allowed_mechanisms = vec![1, 2];
    }
    let copy = |kind, value: &[u8]| {
        let mut copy = Draft::new(ObjectId([9; 16]), Storage::Ephemeral);
        copied(&mut copy, &source, &Template::of(&[(kind, value)]), USER).map(|()| copy)
    };
    let refused = Some(Rv(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(copy(CKA_ALWAYS_AUTHENTICATE, &[0]).err(), refused);
    assert_eq!(copy(CKA_ALLOWED_MECHANISMS, &[]).err(), refused, "an empty list allows all");
    assert_eq!(copy(CKA_ALLOWED_MECHANISMS, &[1, 3].map(CK_ULONG::to_ne_bytes).concat()).err(), refused);
    assert_eq!(copy(CKA_ALLOWED_MECHANISMS, &CK_ULONG::to_ne_bytes(2)).unwrap().allowed_mechanisms, [2]);
    if let Body::Key(key) = &mut source.body {
        (key.class, key.key_type, key.protection.always_authenticate) = (KeyClass::Secret, KeyType::Aes, false);
    }
    let mut copy = Draft::new(ObjectId([9; 16]), Storage::Ephemeral);
    let none = copied(&mut copy, &source, &Template::of(&[(CKA_WRAP_TEMPLATE, b"")]), USER);
    assert_eq!(none.err(), refused, "a wrapping key's demands stay");
}
