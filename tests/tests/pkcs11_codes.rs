//! The codes that clients depend on, each as they see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{PIN, SO_PIN};
use kmss_tests::p11::{
    Attr, Mech, Module, Rv, Session, Whole, curve, flag, module, raw, refused, refused_any, text, token, ulong,
};

fn aes(session: &Session, more: &[Attr]) -> CK_OBJECT_HANDLE {
    let template = [&[ulong(CKA_VALUE_LEN, 32), flag(CKA_TOKEN, false)], more].concat();
    session.generate(CKM_AES_KEY_GEN, &template).expect("an AES key is made")
}

fn rsa(session: &Session) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = [ulong(CKA_MODULUS_BITS, 2048), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1]), flag(CKA_TOKEN, false)];
    session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[flag(CKA_TOKEN, false)]).expect("an RSA pair is made")
}

fn ec(session: &Session, parameters: &[u8]) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = [raw(CKA_EC_PARAMS, parameters), flag(CKA_TOKEN, false)];
    session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &[flag(CKA_TOKEN, false)]).expect("an EC pair is made")
}

/// A size query, then a buffer one byte short, then one that fits, then a call too many.
#[track_caller]
fn four_calls(session: &Session, what: Whole, data: &[u8], expected: usize) {
    let (rv, size) = session.into_buffer(what, data, None);
    assert_eq!(rv, Rv(CKR_OK), "a size query succeeds");
    assert!(size >= expected, "the size query promises {size}, the result has {expected} bytes");
    let (rv, told) = session.into_buffer(what, data, Some(expected - 1));
    assert_eq!(rv, Rv(CKR_BUFFER_TOO_SMALL), "a short buffer is refused");
    assert!(told >= expected, "a refusal tells the size: {told}");
    let (rv, length) = session.into_buffer(what, data, Some(size.max(told)));
    assert_eq!((rv, length), (Rv(CKR_OK), expected), "the operation is still alive");
    let (rv, _) = session.into_buffer(what, data, Some(size));
    assert_eq!(rv, Rv(CKR_OPERATION_NOT_INITIALIZED), "the operation has ended");
}

#[test]
fn a_short_buffer_leaves_the_operation_alive() {
    let session = token("short-buffer").user();
    let (_, private) = rsa(&session);
    session.sign_init(CKM_SHA256_RSA_PKCS, private).unwrap();
    four_calls(&session, Whole::Sign, b"message", 256);
    let (_, private) = ec(&session, curve::P256);
    session.sign_init(CKM_ECDSA, private).unwrap();
    four_calls(&session, Whole::Sign, &[7; 32], 64);
    let key = aes(&session, &[]);
    let gcm = Mech::gcm(&[1; 12], b"", 128);
    session.encrypt_init(gcm.clone(), key).unwrap();
    four_calls(&session, Whole::Encrypt, b"message", 7 + 16);
    let sealed = session.encrypt(gcm.clone(), key, b"message").unwrap();
    session.decrypt_init(gcm, key).unwrap();
    four_calls(&session, Whole::Decrypt, &sealed, 7);
    let cbc = Mech::bytes(CKM_AES_CBC_PAD, &[2; 16]);
    session.encrypt_init(cbc, key).unwrap();
    four_calls(&session, Whole::Encrypt, &[0; 20], 32);
    session.digest_init(CKM_SHA256).unwrap();
    four_calls(&session, Whole::Digest, b"message", 32);
}

#[test]
fn a_bad_signature_is_told_apart_from_a_short_one() {
    let session = token("bad-signature").user();
    let (rsa_public, rsa_private) = rsa(&session);
    let (ec_public, ec_private) = ec(&session, curve::P256);
    let mac_key = session.generate(CKM_GENERIC_SECRET_KEY_GEN, &[ulong(CKA_VALUE_LEN, 32)]).unwrap();
    let pss = Mech::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32);
    for (mechanism, public, private) in [
        (Mech::new(CKM_SHA256_RSA_PKCS), rsa_public, rsa_private),
        (pss, rsa_public, rsa_private),
        (Mech::new(CKM_ECDSA_SHA256), ec_public, ec_private),
        (Mech::new(CKM_SHA256_HMAC), mac_key, mac_key),
    ] {
        let mut signature = session.sign(mechanism.clone(), private, b"message").unwrap();
        session.verify(mechanism.clone(), public, b"message", &signature).unwrap();
        refused(session.verify(mechanism.clone(), public, b"massage", &signature), CKR_SIGNATURE_INVALID);
        signature[20] ^= 1;
        refused(session.verify(mechanism.clone(), public, b"message", &signature), CKR_SIGNATURE_INVALID);
        signature.pop();
        refused(session.verify(mechanism.clone(), public, b"message", &signature), CKR_SIGNATURE_LEN_RANGE);
        // The refusal has ended the operation, so that the next one can begin.
        signature.push(0);
        refused(session.verify(mechanism, public, b"message", &signature), CKR_SIGNATURE_INVALID);
    }
}

#[test]
fn an_ecdsa_signature_without_leading_zeros_is_believed() {
    if kmss_tests::built::only_kmss("patience with short halves") {
        return;
    }
    let session = token("short-halves").user();
    let (public, private) = ec(&session, curve::P521);
    // A quarter of P-521's signatures has no more than 65 bytes in either half.
    let halves = (0..200).find_map(|_| {
        let signature = session.sign(CKM_ECDSA_SHA512, private, b"message").unwrap();
        let (r, s) = signature.split_at(66);
        (r[0] == 0 && s[0] == 0).then(|| (r[1..].to_vec(), s[1..].to_vec()))
    });
    let (r, mut s) = halves.expect("two hundred signatures hold a short one");
    session.verify(CKM_ECDSA_SHA512, public, b"message", &[&r[..], &s].concat()).unwrap();
    refused(session.verify(CKM_ECDSA_SHA512, public, b"massage", &[&r[..], &s].concat()), CKR_SIGNATURE_INVALID);
    refused(session.verify(CKM_ECDSA_SHA512, public, b"message", &[&r[..], &s[1..]].concat()), CKR_SIGNATURE_LEN_RANGE);
    refused(session.verify(CKM_ECDSA_SHA512, public, b"message", &[0; 134]), CKR_SIGNATURE_LEN_RANGE);
    s[20] ^= 1;
    refused(session.verify(CKM_ECDSA_SHA512, public, b"message", &[&r[..], &s].concat()), CKR_SIGNATURE_INVALID);
    refused(session.verify(CKM_ECDSA_SHA512, public, b"message", b""), CKR_SIGNATURE_LEN_RANGE);
    refused(session.verify(CKM_ECDSA_SHA512, public, b"message", &[0, 0]), CKR_SIGNATURE_INVALID);
}

#[test]
fn tampered_gcm_releases_nothing() {
    let session = token("gcm-tamper").user();
    let key = aes(&session, &[]);
    let gcm = Mech::gcm(&[1; 12], b"context", 128);
    let mut sealed = session.encrypt(gcm.clone(), key, b"a secret message").unwrap();
    assert_eq!(session.decrypt(gcm.clone(), key, &sealed).unwrap(), b"a secret message");
    refused(session.decrypt(Mech::gcm(&[1; 12], b"other", 128), key, &sealed), CKR_ENCRYPTED_DATA_INVALID);
    sealed[3] ^= 1;
    refused(session.decrypt(gcm.clone(), key, &sealed), CKR_ENCRYPTED_DATA_INVALID);
    refused_any(
        session.decrypt(gcm.clone(), key, &sealed[..8]),
        &[CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID],
    );
    // In parts no byte may come out before the tag has been checked.
    session.decrypt_init(gcm, key).unwrap();
    for part in [&sealed[..16], &sealed[16..]] {
        assert_eq!(session.decrypt_update(part).unwrap(), b"", "plaintext came out before its tag was checked");
    }
    refused(session.decrypt_final(), CKR_ENCRYPTED_DATA_INVALID);
}

#[test]
fn partial_blocks_are_refused_by_length() {
    let session = token("partial-blocks").user();
    let key = aes(&session, &[]);
    for mechanism in [Mech::new(CKM_AES_ECB), Mech::bytes(CKM_AES_CBC, &[0; 16])] {
        refused(session.encrypt(mechanism.clone(), key, &[0; 15]), CKR_DATA_LEN_RANGE);
        refused(session.decrypt(mechanism.clone(), key, &[0; 17]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    }
    let cbc_pad = Mech::bytes(CKM_AES_CBC_PAD, &[0; 16]);
    refused(session.decrypt(cbc_pad.clone(), key, &[0; 15]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    refused_any(session.decrypt(cbc_pad, key, &[0; 16]), &[CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE]);
    let (_, private) = ec(&session, curve::P256);
    let (_, rsa_private) = rsa(&session);
    refused(session.sign(CKM_RSA_PKCS, rsa_private, &[0; 250]), CKR_DATA_LEN_RANGE);
    refused(session.decrypt(CKM_RSA_PKCS, rsa_private, &[0; 255]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    session.sign(CKM_ECDSA, private, &[0; 20]).expect("ECDSA signs a short digest");
}

#[test]
fn a_bad_wrapped_blob_is_refused() {
    let session = token("bad-blob").user();
    let wrapping = aes(&session, &[flag(CKA_WRAP, true), flag(CKA_UNWRAP, true)]);
    let key = aes(&session, &[flag(CKA_EXTRACTABLE, true)]);
    let template = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_TOKEN, false),
        flag(CKA_ENCRYPT, true),
    ];
    for mechanism in [CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_KWP] {
        if built::stand_in() && mechanism == CKM_AES_KEY_WRAP_KWP {
            continue;
        }
        let mut blob = session.wrap(mechanism, wrapping, key).unwrap();
        session.unwrap(mechanism, wrapping, &blob, &template).expect("the blob comes back");
        blob[9] ^= 1;
        refused(session.unwrap(mechanism, wrapping, &blob, &template), CKR_WRAPPED_KEY_INVALID);
        refused_any(
            session.unwrap(mechanism, wrapping, &blob[..blob.len() - 3], &template),
            &[CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID],
        );
    }
}

#[test]
fn mixed_attributes_fill_what_they_can() {
    let session = token("mixed-attributes").user();
    let key = aes(&session, &[text(CKA_LABEL, "mixed"), flag(CKA_SENSITIVE, true), flag(CKA_EXTRACTABLE, false)]);
    let (mut label, mut value, mut modulus, mut short) = ([0_u8; 16], [0_u8; 64], [0_u8; 16], [0_u8; 2]);
    let place = |kind, buffer: &mut [u8]| CK_ATTRIBUTE {
        type_: kind,
        pValue: buffer.as_mut_ptr().cast(),
        ulValueLen: buffer.len() as CK_ULONG,
    };
    let mut list = [place(CKA_VALUE, &mut value), place(CKA_LABEL, &mut label), place(CKA_MODULUS, &mut modulus)];
    let rv = session.get_raw(key, &mut list);
    assert!([CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID].contains(&rv.0), "{rv:?}");
    assert_eq!(list[0].ulValueLen, CK_UNAVAILABLE_INFORMATION, "the value stays inside");
    assert_eq!(list[1].ulValueLen, 5, "the label is there all the same");
    assert_eq!(list[2].ulValueLen, CK_UNAVAILABLE_INFORMATION, "an AES key has no modulus");
    assert_eq!(&label[..5], b"mixed");
    assert_eq!(value, [0; 64], "not a byte of a sensitive value is written");
    let mut list = [place(CKA_LABEL, &mut short), place(CKA_VALUE_LEN, &mut label[..8])];
    assert_eq!(session.get_raw(key, &mut list), Rv(CKR_BUFFER_TOO_SMALL));
    assert_eq!(list[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_eq!(list[1].ulValueLen, 8);
    refused(session.get(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    refused(session.get(key, CKA_MODULUS), CKR_ATTRIBUTE_TYPE_INVALID);
}

#[test]
fn sensitive_and_extractable_only_tighten() {
    let session = token("one-way").user();
    let key = aes(&session, &[flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)]);
    assert_eq!(session.get(key, CKA_VALUE).unwrap().len(), 32);
    session.set(key, &[flag(CKA_SENSITIVE, true)]).unwrap();
    refused(session.get(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
    refused(session.set(key, &[flag(CKA_SENSITIVE, false)]), CKR_ATTRIBUTE_READ_ONLY);
    session.set(key, &[flag(CKA_EXTRACTABLE, false)]).unwrap();
    refused(session.set(key, &[flag(CKA_EXTRACTABLE, true)]), CKR_ATTRIBUTE_READ_ONLY);
    for (kind, value) in [(CKA_CLASS, CKO_DATA), (CKA_KEY_TYPE, CKK_RSA)] {
        refused_any(session.set(key, &[ulong(kind, value)]), &[CKR_ATTRIBUTE_READ_ONLY]);
    }
    refused_any(session.set(key, &[flag(CKA_LOCAL, false)]), &[CKR_ATTRIBUTE_READ_ONLY]);
    refused_any(
        session.copy(key, &[flag(CKA_EXTRACTABLE, true)]),
        &[CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT],
    );
    refused_any(
        session.copy(key, &[flag(CKA_SENSITIVE, false)]),
        &[CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT],
    );
}

#[test]
fn private_objects_ask_for_a_login() {
    let token = token("login-first");
    let public = token.public();
    let private_data = [ulong(CKA_CLASS, CKO_DATA), flag(CKA_PRIVATE, true), text(CKA_LABEL, "p"), raw(CKA_VALUE, [1])];
    refused(public.create(&private_data), CKR_USER_NOT_LOGGED_IN);
    refused(
        public.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_PRIVATE, true)]),
        CKR_USER_NOT_LOGGED_IN,
    );
    let user = token.user();
    let object = user.create(&private_data).unwrap();
    assert_eq!(public.find(&[text(CKA_LABEL, "p")]).unwrap().len(), 1, "a login holds for all sessions");
    user.logout().unwrap();
    assert!(public.find(&[text(CKA_LABEL, "p")]).unwrap().is_empty());
    refused_any(public.get(object, CKA_LABEL), &[CKR_OBJECT_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN]);
}

#[test]
fn a_read_only_session_makes_no_token_objects() {
    let token = token("read-only");
    let user = token.user();
    let session = token.read_only();
    let data =
        |lasting| [ulong(CKA_CLASS, CKO_DATA), flag(CKA_TOKEN, lasting), text(CKA_LABEL, "d"), raw(CKA_VALUE, [1])];
    refused(session.create(&data(true)), CKR_SESSION_READ_ONLY);
    session.create(&data(false)).expect("a session object is no token object");
    refused(
        session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, true)]),
        CKR_SESSION_READ_ONLY,
    );
    let object = user.create(&data(true)).unwrap();
    refused(session.set(object, &[text(CKA_LABEL, "e")]), CKR_SESSION_READ_ONLY);
    refused(session.destroy(object), CKR_SESSION_READ_ONLY);
    user.destroy(object).unwrap();
}

#[test]
fn a_key_of_the_wrong_type_or_use_is_refused() {
    let session = token("wrong-key").user();
    let key = aes(&session, &[]);
    let (public, private) = rsa(&session);
    let (_, ec_private) = ec(&session, curve::P256);
    refused(session.sign_init(CKM_SHA256_RSA_PKCS, ec_private), CKR_KEY_TYPE_INCONSISTENT);
    refused(session.sign_init(CKM_ECDSA, private), CKR_KEY_TYPE_INCONSISTENT);
    refused(session.encrypt_init(Mech::gcm(&[0; 12], b"", 128), public), CKR_KEY_TYPE_INCONSISTENT);
    refused_any(
        session.sign_init(CKM_SHA256_RSA_PKCS, public),
        &[CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED],
    );
    let mute = aes(&session, &[flag(CKA_ENCRYPT, false)]);
    refused(session.encrypt_init(CKM_AES_ECB, mute), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused_any(session.sign_init(CKM_ECDSA, 0x7fff_fff0), &[CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID]);
    refused(session.encrypt_init(0x8fff_ff01, key), CKR_MECHANISM_INVALID);
    refused(session.encrypt_init(CKM_SHA256, key), CKR_MECHANISM_INVALID);
    refused_any(
        session.encrypt_init(Mech::bytes(CKM_AES_CBC, &[0; 3]), key),
        &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD],
    );
    refused_any(session.encrypt_init(CKM_AES_GCM, key), &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD]);
}

#[test]
fn the_officer_waits_for_read_only_sessions_to_close() {
    let token = token("officer");
    let read_only = token.read_only();
    let session = token.public();
    refused(session.login(CKU_SO, SO_PIN), CKR_SESSION_READ_ONLY_EXISTS);
    read_only.close().unwrap();
    session.login(CKU_SO, SO_PIN).unwrap();
    refused(token.module.open(token.slot, false), CKR_SESSION_READ_WRITE_SO_EXISTS);
    refused(session.login(CKU_USER, PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    refused(session.login(CKU_SO, SO_PIN), CKR_USER_ALREADY_LOGGED_IN);
    assert_eq!(session.info().unwrap().state, CKS_RW_SO_FUNCTIONS);
    session.logout().unwrap();
    refused(session.logout(), CKR_USER_NOT_LOGGED_IN);
}

#[test]
fn session_states_follow_the_login() {
    let token = token("states");
    let (rw, ro) = (token.public(), token.read_only());
    assert_eq!((rw.info().unwrap().state, ro.info().unwrap().state), (CKS_RW_PUBLIC_SESSION, CKS_RO_PUBLIC_SESSION));
    rw.login(CKU_USER, PIN).unwrap();
    assert_eq!((rw.info().unwrap().state, ro.info().unwrap().state), (CKS_RW_USER_FUNCTIONS, CKS_RO_USER_FUNCTIONS));
    refused(ro.login(CKU_USER, PIN), CKR_USER_ALREADY_LOGGED_IN);
    // The last session takes the login with it.
    token.module.close_all(token.slot).unwrap();
    refused(rw.info(), CKR_SESSION_HANDLE_INVALID);
    assert_eq!(token.public().info().unwrap().state, CKS_RW_PUBLIC_SESSION);
}

#[test]
fn a_session_is_serial_and_of_a_real_slot() {
    let token = token("serial");
    refused(token.module.open_with(token.slot, CKF_RW_SESSION), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    refused(token.module.open(0x7fff_fff0, false), CKR_SLOT_ID_INVALID);
    refused(token.module.token_info(0x7fff_fff0), CKR_SLOT_ID_INVALID);
    refused(token.module.mechanisms(0x7fff_fff0), CKR_SLOT_ID_INVALID);
    let closed = token.public();
    closed.close().unwrap();
    refused(closed.info(), CKR_SESSION_HANDLE_INVALID);
    refused(closed.random(8), CKR_SESSION_HANDLE_INVALID);
}

#[test]
fn a_token_in_use_is_not_initialised_again() {
    let token = token("in-use");
    let session = token.read_only();
    refused(token.module.init_token(token.slot, SO_PIN, "in-use"), CKR_SESSION_EXISTS);
    session.close().unwrap();
    refused(token.module.init_token(token.slot, "not the officer", "in-use"), CKR_PIN_INCORRECT);
}

#[test]
fn a_context_login_asks_for_an_operation() {
    let session = token("context").user();
    refused(session.login(CKU_CONTEXT_SPECIFIC, PIN), CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn a_key_that_always_authenticates_asks_before_each_use() {
    let session = token("always").user();
    let public = [raw(CKA_EC_PARAMS, curve::P256), flag(CKA_TOKEN, false)];
    let private = [flag(CKA_TOKEN, false), flag(CKA_PRIVATE, true), flag(CKA_ALWAYS_AUTHENTICATE, true)];
    let (_, key) = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap();
    assert!(session.get_flag(key, CKA_ALWAYS_AUTHENTICATE).unwrap());
    refused(session.sign(CKM_ECDSA, key, &[1; 32]), CKR_USER_NOT_LOGGED_IN);
    let session2 = session.module.open(session.info().unwrap().slotID, true).unwrap();
    session2.sign_init(CKM_ECDSA, key).unwrap();
    refused(session2.login(CKU_CONTEXT_SPECIFIC, "wrong pin"), CKR_PIN_INCORRECT);
    let session3 = session.module.open(session.info().unwrap().slotID, true).unwrap();
    session3.sign_init(CKM_ECDSA, key).unwrap();
    session3.login(CKU_CONTEXT_SPECIFIC, PIN).unwrap();
    assert_eq!(session3.into_buffer(Whole::Sign, &[1; 32], Some(64)), (Rv(CKR_OK), 64));
}

#[test]
fn a_key_that_always_authenticates_opens_and_derives_nothing_without_asking() {
    if built::only_kmss("refusal of calls that leave no moment for a login") {
        return;
    }
    let session = token("always-whole").user();
    let always = [flag(CKA_PRIVATE, true), flag(CKA_ALWAYS_AUTHENTICATE, true)];
    let public = [ulong(CKA_MODULUS_BITS, 2048), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1])];
    let (public, private) = session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &always).unwrap();
    let sealed = session.encrypt(CKM_RSA_PKCS, public, b"sixteen bytes it").unwrap();
    let readable = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        flag(CKA_SENSITIVE, false),
        flag(CKA_EXTRACTABLE, true),
    ];
    refused(session.unwrap(CKM_RSA_PKCS, private, &sealed, &readable), CKR_USER_NOT_LOGGED_IN);
    let (public, private) =
        session.generate_pair(CKM_EC_KEY_PAIR_GEN, &[raw(CKA_EC_PARAMS, curve::P256)], &always).unwrap();
    let peer = session.get(public, CKA_EC_POINT).unwrap();
    refused(session.derive(Mech::ecdh(&peer), private, &readable), CKR_USER_NOT_LOGGED_IN);
}

#[test]
fn one_operation_of_a_kind_is_active_at_a_time() {
    let session = token("active").user();
    let (_, private) = ec(&session, curve::P256);
    session.sign_init(CKM_ECDSA, private).unwrap();
    refused(session.sign_init(CKM_ECDSA, private), CKR_OPERATION_ACTIVE);
    session.digest_init(CKM_SHA256).expect("another kind of operation may run beside it");
    let (rv, _) = session.into_buffer(Whole::Sign, &[1; 32], Some(64));
    assert_eq!(rv, Rv(CKR_OK));
    let (rv, _) = session.into_buffer(Whole::Encrypt, &[1; 32], Some(64));
    assert_eq!(rv, Rv(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn templates_are_complete_and_consistent() {
    let session = token("templates").user();
    refused(session.create(&[text(CKA_LABEL, "no class")]), CKR_TEMPLATE_INCOMPLETE);
    refused(session.create(&[ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)]), CKR_TEMPLATE_INCOMPLETE);
    refused(session.generate(CKM_AES_KEY_GEN, &[flag(CKA_TOKEN, false)]), CKR_TEMPLATE_INCOMPLETE);
    refused_any(
        session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 17)]),
        &[CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT],
    );
    refused_any(
        session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), ulong(CKA_KEY_TYPE, CKK_RSA)]),
        &[CKR_TEMPLATE_INCONSISTENT],
    );
    refused_any(
        session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), raw(CKA_TOKEN, [1, 0, 0])]),
        &[CKR_ATTRIBUTE_VALUE_INVALID],
    );
    let weak = [ulong(CKA_MODULUS_BITS, 256), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1])];
    refused_any(
        session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &weak, &[]),
        &[CKR_KEY_SIZE_RANGE, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT],
    );
    refused_any(
        session.generate_pair(CKM_EC_KEY_PAIR_GEN, &[raw(CKA_EC_PARAMS, [6, 1, 42])], &[]),
        &[CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID],
    );
    refused(session.get(0x7fff_fff0, CKA_CLASS), CKR_OBJECT_HANDLE_INVALID);
    refused(session.destroy(0x7fff_fff0), CKR_OBJECT_HANDLE_INVALID);
}

#[test]
fn pins_are_checked_for_length_and_truth() {
    let token = token("pins");
    let session = token.public();
    refused(session.login(CKU_USER, "not the pin"), CKR_PIN_INCORRECT);
    refused_any(session.set_pin(PIN, "1"), &[CKR_PIN_LEN_RANGE, CKR_PIN_INVALID]);
    refused(session.set_pin("not the pin", "new-pin-1"), CKR_PIN_INCORRECT);
    session.set_pin(PIN, "new-pin-1").expect("whoever knows the PIN may change it");
    refused(session.login(CKU_USER, PIN), CKR_PIN_INCORRECT);
    session.login(CKU_USER, "new-pin-1").unwrap();
    session.logout().unwrap();
    refused(session.init_pin("another-pin"), CKR_USER_NOT_LOGGED_IN);
    refused(token.read_only().set_pin("new-pin-1", PIN), CKR_SESSION_READ_ONLY);
    refused(session.login(99, PIN), CKR_USER_TYPE_INVALID);
}

#[test]
fn a_second_initialise_is_told_so() {
    let module: Module = module();
    refused(module.initialize(), CKR_CRYPTOKI_ALREADY_INITIALIZED);
}
