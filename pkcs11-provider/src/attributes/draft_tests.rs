//! Defaults and limits of what templates may ask for.
#![allow(clippy::unwrap_used)]

use cryptoki_sys::*;
use libkmss::settings::VendorProfile;
use libkmss::tenant::ObjectId;

use super::*;
use crate::attributes::rules;

const USER: Giver = Giver { user: true, officer: false, profile: Profile::of(VendorProfile::Luna), separate: false };
const NOBODY: Giver = Giver { user: false, officer: false, profile: Profile::of(VendorProfile::Luna), separate: false };
const OFFICER: Giver = Giver { user: false, officer: true, profile: Profile::of(VendorProfile::Luna), separate: false };

fn made(storage: Storage, class: Class, template: &[(CK_ATTRIBUTE_TYPE, &[u8])], giver: Giver) -> Result<Draft> {
    let template = Template::of(template);
    rules::admit(&template, class, Occasion::Generate)?;
    let mut draft = Draft::new(ObjectId([1; 16]), storage);
    fill(&mut draft, class, &template, Occasion::Generate, giver)?;
    Ok(draft)
}

const RSA_PRIVATE: Class = Class::Private(KeyType::Rsa);
const AES: Class = Class::Secret(KeyType::Aes);

#[test]
fn usage_defaults_to_all_that_the_type_can_do() {
    let rsa = made(Storage::Stored, RSA_PRIVATE, &[], USER).unwrap().usage;
    assert!(rsa.sign && rsa.decrypt && rsa.unwrap && !rsa.derive && !rsa.verify);
    let ec = made(Storage::Stored, Class::Private(KeyType::Ec), &[(CKA_SIGN, &[0])], USER).unwrap().usage;
    assert!(ec.derive && !ec.sign && !ec.decrypt);
    let hmac = made(Storage::Ephemeral, Class::Secret(KeyType::GenericSecret), &[], USER).unwrap().usage;
    assert!(hmac.sign && hmac.verify && hmac.derive && !hmac.encrypt);
}

#[test]
fn token_and_private_keys_are_sensitive_and_session_secrets_are_not() {
    let sensitive = |storage, class| {
        let p = made(storage, class, &[], USER).unwrap().protection;
        (p.sensitive, p.extractable)
    };
    assert_eq!(sensitive(Storage::Stored, AES), (true, false));
    assert_eq!(sensitive(Storage::Stored, RSA_PRIVATE), (true, false));
    assert_eq!(sensitive(Storage::Ephemeral, RSA_PRIVATE), (true, false));
    assert_eq!(sensitive(Storage::Ephemeral, AES), (false, true));
}

#[test]
fn keys_are_private_unless_they_are_public_or_said_to_be() {
    let private = |storage, class, giver| made(storage, class, &[], giver).unwrap().private;
    assert!(private(Storage::Stored, AES, USER) && private(Storage::Ephemeral, RSA_PRIVATE, NOBODY));
    assert!(private(Storage::Ephemeral, AES, USER) && !private(Storage::Ephemeral, AES, NOBODY));
    assert!(!private(Storage::Stored, Class::Public(KeyType::Rsa), USER));
    assert!(!private(Storage::Stored, Class::Certificate, USER));
    assert!(!made(Storage::Stored, AES, &[(CKA_PRIVATE, &[0])], USER).unwrap().private);
}

#[test]
fn only_the_security_officer_makes_anything_trusted() {
    let trusted: &[(CK_ATTRIBUTE_TYPE, &[u8])] = &[(CKA_TRUSTED, &[1])];
    let refused = made(Storage::Stored, AES, trusted, USER).err();
    assert_eq!(refused, Some(Rv(CKR_ATTRIBUTE_READ_ONLY)));
    assert!(made(Storage::Stored, AES, trusted, OFFICER).unwrap().protection.trusted);
    assert!(made(Storage::Stored, AES, &[(CKA_TRUSTED, &[0])], USER).is_ok());
}

#[test]
fn a_class_needs_a_key_type_that_fits_it() {
    let with = |class: CK_OBJECT_CLASS, key_type: Option<CK_KEY_TYPE>| {
        let mut t = Template::of(&[(CKA_CLASS, &class.to_ne_bytes())]);
        if let Some(key_type) = key_type {
            t.add(CKA_KEY_TYPE, &key_type.to_ne_bytes()).unwrap();
        }
        super::class(&t, None, Profile::default())
    };
    assert_eq!(with(CKO_SECRET_KEY, Some(CKK_AES)), Ok(AES));
    assert_eq!(with(CKO_SECRET_KEY, None), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    assert_eq!(with(CKO_SECRET_KEY, Some(CKK_RSA)), Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
    assert_eq!(with(CKO_PRIVATE_KEY, Some(CKK_DES3)), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(with(CKO_CERTIFICATE, None), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    assert_eq!(with(CKO_HW_FEATURE, None), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    assert_eq!(super::class(&Template::default(), None, Profile::default()), Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
}

#[test]
fn dates_are_days_or_nothing() {
    let start = |value: &[u8]| made(Storage::Stored, AES, &[(CKA_START_DATE, value)], USER).map(|d| d.start);
    assert_eq!(start(b"20260101"), Ok(Some(Date(*b"20260101"))));
    assert_eq!(start(b""), Ok(None));
    for bad in [b"20260230".as_slice(), b"2026", b"2026-1-1"] {
        assert_eq!(start(bad), Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)));
    }
}

#[test]
fn a_copy_or_change_never_loosens_protection() {
    let mut draft = made(Storage::Stored, AES, &[], USER).unwrap();
    for (kind, value) in [(CKA_SENSITIVE, [0_u8]), (CKA_EXTRACTABLE, [1])] {
        let result = apply(&mut draft, AES, &Template::of(&[(kind, &value)]), Occasion::Set, USER);
        assert_eq!(result, Err(Rv(CKR_ATTRIBUTE_READ_ONLY)));
    }
    let public = apply(&mut draft, AES, &Template::of(&[(CKA_PRIVATE, &[0])]), Occasion::Copy, USER);
    assert_eq!(public, Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
}
