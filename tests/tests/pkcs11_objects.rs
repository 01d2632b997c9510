//! Objects: what templates leave out, what they may ask for, how objects are found, copied, renamed and lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::PIN;
use kmss_tests::openssl::Judge;
use kmss_tests::p11::{Attr, Mech, Session, curve, flag, raw, refused, refused_any, text, token, ulong};

fn ec_pair(session: &Session, more: &[Attr]) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = [&[raw(CKA_EC_PARAMS, curve::P256)], more].concat();
    session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, more).expect("an EC pair is made")
}

fn data(session: &Session, label: &str, more: &[Attr]) -> CK_OBJECT_HANDLE {
    let template = [&[ulong(CKA_CLASS, CKO_DATA), text(CKA_LABEL, label), raw(CKA_VALUE, label)], more].concat();
    session.create(&template).expect("a data object is made")
}

#[test]
fn what_a_template_leaves_out_has_safe_and_useful_defaults() {
    if built::only_kmss("defaults as the issue wants them") {
        return;
    }
    let session = token("defaults").user();
    let (public, private) = ec_pair(&session, &[flag(CKA_TOKEN, true)]);
    for (kind, value) in [
        (CKA_TOKEN, true),
        (CKA_PRIVATE, true),
        (CKA_SENSITIVE, true),
        (CKA_EXTRACTABLE, false),
        (CKA_ALWAYS_SENSITIVE, true),
        (CKA_NEVER_EXTRACTABLE, true),
        (CKA_LOCAL, true),
        (CKA_SIGN, true),
        (CKA_DERIVE, true),
        (CKA_MODIFIABLE, true),
        (CKA_COPYABLE, true),
        (CKA_DESTROYABLE, true),
        (CKA_ALWAYS_AUTHENTICATE, false),
        (CKA_WRAP_WITH_TRUSTED, false),
    ] {
        assert_eq!(session.get_flag(private, kind), Ok(value), "private key, 0x{kind:x}");
    }
    for (kind, value) in [(CKA_VERIFY, true), (CKA_PRIVATE, false), (CKA_LOCAL, true)] {
        assert_eq!(session.get_flag(public, kind), Ok(value), "public key, 0x{kind:x}");
    }
    let secret = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, true)]).unwrap();
    for kind in [CKA_SENSITIVE, CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_PRIVATE] {
        assert_eq!(session.get_flag(secret, kind), Ok(true), "token secret key, 0x{kind:x}");
    }
    assert_eq!(session.get_flag(secret, CKA_EXTRACTABLE), Ok(false));
    let passing = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16)]).unwrap();
    assert_eq!(session.get_flag(passing, CKA_TOKEN), Ok(false), "objects are session objects unless told otherwise");
    assert_eq!(session.get_flag(passing, CKA_ENCRYPT), Ok(true));
    assert_eq!(session.get(passing, CKA_LABEL).unwrap(), b"");
    assert_eq!(session.get(passing, CKA_ID).unwrap(), b"");
}

#[test]
fn a_private_key_shows_its_public_half_and_nothing_more() {
    let session = token("halves").user();
    let public = [ulong(CKA_MODULUS_BITS, 2048), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1])];
    let (public, private) = session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[]).unwrap();
    assert_eq!(session.get(private, CKA_MODULUS).unwrap(), session.get(public, CKA_MODULUS).unwrap());
    assert_eq!(session.get(private, CKA_PUBLIC_EXPONENT).unwrap(), [1, 0, 1]);
    assert_eq!(session.get_ulong(public, CKA_MODULUS_BITS).unwrap(), 2048);
    for kind in [CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT] {
        refused(session.get(private, kind), CKR_ATTRIBUTE_SENSITIVE);
    }
    let (_, private) = ec_pair(&session, &[]);
    refused(session.get(private, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    assert_eq!(session.get(private, CKA_EC_PARAMS).unwrap(), curve::P256);
}

#[test]
fn objects_are_found_by_id_label_class_and_any_attribute() {
    let session = token("find").user();
    let named = |label: &str, id: &[u8]| [text(CKA_LABEL, label), raw(CKA_ID, id), flag(CKA_TOKEN, true)];
    let (a_public, a_private) = ec_pair(&session, &named("a", &[1]));
    let (_, b_private) = ec_pair(&session, &named("b", &[2]));
    let secret = [&[ulong(CKA_VALUE_LEN, 16)][..], &named("a", &[1])].concat();
    let secret = session.generate(CKM_AES_KEY_GEN, &secret).unwrap();
    let found = |template: &[Attr]| {
        let mut found = session.find(template).unwrap();
        found.sort_unstable();
        found
    };
    let mut one = vec![a_public, a_private, secret];
    one.sort_unstable();
    assert_eq!(found(&[raw(CKA_ID, [1])]), one);
    assert_eq!(found(&[text(CKA_LABEL, "a")]), one);
    assert_eq!(found(&[text(CKA_LABEL, "a"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]), [a_private]);
    assert_eq!(found(&[ulong(CKA_CLASS, CKO_PRIVATE_KEY), raw(CKA_ID, [2])]), [b_private]);
    assert_eq!(found(&[ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)]), [secret]);
    assert_eq!(found(&[flag(CKA_SIGN, true), raw(CKA_ID, [2]), flag(CKA_TOKEN, true)]), [b_private]);
    assert!(found(&[raw(CKA_ID, [1]), text(CKA_LABEL, "b")]).is_empty());
    assert!(found(&[text(CKA_LABEL, "A")]).is_empty(), "labels are compared byte by byte");
    assert!(found(&[text(CKA_LABEL, "")]).is_empty(), "no object has an empty label");
    assert!(found(&[raw(CKA_MODULUS, [1])]).is_empty(), "no object here has a modulus");
    assert_eq!(found(&[]).len(), 5, "an empty template matches everything");
    // A key's value is no search term: it would answer guesses.
    assert!(found(&[raw(CKA_VALUE, [0; 16])]).is_empty());
}

#[test]
fn a_find_delivers_in_portions_and_is_one_at_a_time() {
    let session = token("portions").user();
    for n in 0..40 {
        data(&session, &format!("item-{n}"), &[flag(CKA_TOKEN, true), text(CKA_APPLICATION, "portions")]);
    }
    let all = session.find(&[text(CKA_APPLICATION, "portions")]).unwrap();
    assert_eq!(all.len(), 40);
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), 40, "no object is delivered twice");
    let label = session.find(&[text(CKA_LABEL, "item-7")]).unwrap();
    assert_eq!(session.get(label[0], CKA_VALUE).unwrap(), b"item-7");
    assert_eq!(session.find(&[text(CKA_LABEL, "item-7")]).unwrap(), label, "a handle stays an object's handle");
}

#[test]
fn a_copy_is_an_object_of_its_own() {
    let session = token("copy").user();
    let key = session
        .generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), text(CKA_LABEL, "first"), flag(CKA_TOKEN, true)])
        .unwrap();
    let copy = session.copy(key, &[text(CKA_LABEL, "second"), flag(CKA_TOKEN, true)]).unwrap();
    assert_ne!(copy, key);
    assert_eq!(session.get(copy, CKA_LABEL).unwrap(), b"second");
    assert_eq!(session.get(key, CKA_LABEL).unwrap(), b"first");
    let mechanism = Mech::bytes(CKM_AES_CBC_PAD, &[0; 16]);
    let sealed = session.encrypt(mechanism.clone(), key, b"same key").unwrap();
    assert_eq!(session.decrypt(mechanism.clone(), copy, &sealed).unwrap(), b"same key");
    session.destroy(key).unwrap();
    assert_eq!(session.decrypt(mechanism.clone(), copy, &sealed).unwrap(), b"same key", "the copy outlives its source");
    refused_any(session.encrypt_init(mechanism, key), &[CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID]);
    let passing = session.copy(copy, &[flag(CKA_TOKEN, false)]).unwrap();
    assert_eq!(session.get_flag(passing, CKA_TOKEN), Ok(false));
    refused(session.copy(0x7fff_fff0, &[]), CKR_OBJECT_HANDLE_INVALID);
    let fixed = data(&session, "fixed", &[flag(CKA_COPYABLE, false)]);
    refused(session.copy(fixed, &[]), CKR_ACTION_PROHIBITED);
}

#[test]
fn an_id_can_be_changed_after_generation_as_java_does() {
    let session = token("rename").user();
    let (_, private) = ec_pair(&session, &[raw(CKA_ID, [1]), text(CKA_LABEL, "old"), flag(CKA_TOKEN, true)]);
    session.set(private, &[raw(CKA_ID, b"new id"), text(CKA_LABEL, "new")]).unwrap();
    assert_eq!(session.find(&[raw(CKA_ID, b"new id")]).unwrap(), [private]);
    assert_eq!(session.find(&[text(CKA_LABEL, "new"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap(), [private]);
    assert!(session.find(&[raw(CKA_ID, [1]), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap().is_empty());
    session.sign(CKM_ECDSA, private, &[1; 32]).expect("a renamed key still signs");
    session.set(private, &[text(CKA_LABEL, "")]).expect("a label may become empty");
}

#[test]
fn several_objects_may_share_a_label_and_an_id() {
    let session = token("shared").user();
    let shared = [raw(CKA_ID, [7]), text(CKA_LABEL, "shared"), flag(CKA_TOKEN, true)];
    let (_, one) = ec_pair(&session, &shared);
    let (_, two) = ec_pair(&session, &shared);
    assert_ne!(one, two);
    assert_eq!(session.find(&[text(CKA_LABEL, "shared")]).unwrap().len(), 4);
    session.destroy(one).unwrap();
    assert_eq!(session.find(&[text(CKA_LABEL, "shared"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap(), [two]);
}

#[test]
fn session_objects_go_with_the_session_that_made_them() {
    let token = token("vanish");
    let (one, two) = (token.user(), token.public());
    let passing = data(&one, "passing", &[flag(CKA_TOKEN, false)]);
    let lasting = data(&one, "lasting", &[flag(CKA_TOKEN, true)]);
    assert_eq!(two.find(&[text(CKA_LABEL, "passing")]).unwrap(), [passing], "sessions of a process share objects");
    one.close().unwrap();
    assert!(two.find(&[text(CKA_LABEL, "passing")]).unwrap().is_empty());
    refused(two.get(passing, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(two.find(&[text(CKA_LABEL, "lasting")]).unwrap(), [lasting]);
}

#[test]
fn private_session_objects_go_with_the_login() {
    let token = token("logout");
    let session = token.user();
    let private = data(&session, "private", &[flag(CKA_TOKEN, false), flag(CKA_PRIVATE, true)]);
    session.logout().unwrap();
    session.login(CKU_USER, PIN).unwrap();
    refused(session.get(private, CKA_VALUE), CKR_OBJECT_HANDLE_INVALID);
    assert!(session.find(&[text(CKA_LABEL, "private")]).unwrap().is_empty());
}

#[test]
fn what_is_fixed_cannot_be_changed_or_destroyed() {
    let session = token("fixed").user();
    let fixed = data(&session, "fixed", &[flag(CKA_MODIFIABLE, false)]);
    refused_any(session.set(fixed, &[text(CKA_LABEL, "x")]), &[CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY]);
    let lasting = data(&session, "lasting", &[flag(CKA_DESTROYABLE, false)]);
    refused(session.destroy(lasting), CKR_ACTION_PROHIBITED);
    let key = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16)]).unwrap();
    refused_any(session.set(key, &[flag(CKA_TRUSTED, true)]), &[CKR_ATTRIBUTE_READ_ONLY, CKR_USER_NOT_LOGGED_IN]);
    refused_any(session.set(key, &[raw(CKA_VALUE, [0; 16])]), &[CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_SENSITIVE]);
}

#[test]
fn a_key_may_be_bound_to_mechanisms() {
    if built::only_kmss("check of this") {
        return;
    }
    let session = token("allowed").user();
    let only = Attr { kind: CKA_ALLOWED_MECHANISMS, value: CKM_AES_GCM.to_ne_bytes().to_vec() };
    let key = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), only]).unwrap();
    session.encrypt(Mech::gcm(&[0; 12], b"", 128), key, b"x").unwrap();
    refused_any(session.encrypt_init(CKM_AES_ECB, key), &[CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED]);
}

#[test]
fn certificates_are_kept_and_found() {
    let session = token("certificates").user();
    let judge = Judge::new();
    judge.succeed("ecparam -name prime256v1 -genkey -noout -out key.pem");
    judge.file("cnf", b"[req]\ndistinguished_name=dn\n[dn]\n");
    judge.succeed("req -new -x509 -key key.pem -subj /CN=kept -days 9 -outform DER -out cert.der -config cnf");
    let certificate = judge.read("cert.der");
    let subject = b"0\x0f1\r0\x0b\x06\x03U\x04\x03\x0c\x04kept";
    let template = [
        ulong(CKA_CLASS, CKO_CERTIFICATE),
        ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
        flag(CKA_TOKEN, true),
        text(CKA_LABEL, "kept"),
        raw(CKA_ID, [9]),
        raw(CKA_SUBJECT, subject),
        raw(CKA_VALUE, &certificate),
    ];
    let object = session.create(&template).unwrap();
    assert_eq!(session.get(object, CKA_VALUE).unwrap(), certificate);
    assert_eq!(session.find(&[ulong(CKA_CLASS, CKO_CERTIFICATE), raw(CKA_ID, [9])]).unwrap(), [object]);
    assert_eq!(session.find(&[raw(CKA_SUBJECT, subject)]).unwrap(), [object]);
    session.logout().unwrap();
    assert_eq!(session.find(&[text(CKA_LABEL, "kept")]).unwrap(), [object], "a certificate is public");
}

#[test]
fn every_object_has_an_identity_that_nobody_sets() {
    if built::only_kmss("CKA_UNIQUE_ID") {
        return;
    }
    let session = token("identity").user();
    let (one, two) = (data(&session, "same", &[]), data(&session, "same", &[flag(CKA_TOKEN, true)]));
    let (first, second) = (session.get(one, CKA_UNIQUE_ID).unwrap(), session.get(two, CKA_UNIQUE_ID).unwrap());
    assert!(!first.is_empty());
    assert_ne!(first, second);
    assert_eq!(session.find(&[raw(CKA_UNIQUE_ID, &second)]).unwrap(), [two]);
    let wanted = [ulong(CKA_CLASS, CKO_DATA), raw(CKA_UNIQUE_ID, b"mine")];
    refused_any(
        session.create(&wanted),
        &[CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT],
    );
    refused_any(session.set(one, &[raw(CKA_UNIQUE_ID, b"mine")]), &[CKR_ATTRIBUTE_READ_ONLY]);
}
