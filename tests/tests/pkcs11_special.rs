//! Objects that nobody made: profiles, mechanisms, the clock. And templates that lie about what they bring.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::{flag, raw, refused, text, token, ulong};

#[test]
fn profiles_are_found_by_their_class_without_a_login() {
    if built::only_kmss("profile objects") {
        return;
    }
    let token = token("profiles");
    let session = token.read_only();
    let found = session.find(&[ulong(CKA_CLASS, CKO_PROFILE)]).unwrap();
    let ids: Vec<CK_ULONG> = found.iter().map(|o| session.get_ulong(*o, CKA_PROFILE_ID).unwrap()).collect();
    assert_eq!(ids, [CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER, CKP_AUTHENTICATION_TOKEN]);
    let one = [ulong(CKA_CLASS, CKO_PROFILE), ulong(CKA_PROFILE_ID, CKP_EXTENDED_PROVIDER)];
    assert_eq!(session.find(&one).unwrap(), [found[1]]);
    assert!(session.find(&[]).unwrap().is_empty(), "who asks for no class is shown no special object");
}

#[test]
fn mechanism_objects_are_the_mechanisms_of_the_list() {
    if built::only_kmss("mechanism objects") {
        return;
    }
    let token = token("mechanism-objects");
    let session = token.read_only();
    let found = session.find(&[ulong(CKA_CLASS, CKO_MECHANISM)]).unwrap();
    let numbers: Vec<CK_ULONG> = found.iter().map(|o| session.get_ulong(*o, CKA_MECHANISM_TYPE).unwrap()).collect();
    assert_eq!(numbers, token.module.mechanisms(token.slot).unwrap());
    let gcm = [ulong(CKA_CLASS, CKO_MECHANISM), ulong(CKA_MECHANISM_TYPE, CKM_AES_GCM)];
    assert_eq!(session.find(&gcm).unwrap().len(), 1);
}

#[test]
fn the_clock_is_hidden_until_asked_for_and_tells_the_time() {
    if built::only_kmss("clock") {
        return;
    }
    let token = token("clock");
    let session = token.read_only();
    let clock = session.find(&[ulong(CKA_CLASS, CKO_HW_FEATURE)]).unwrap();
    assert_eq!(clock.len(), 1);
    assert_eq!(session.get_ulong(clock[0], CKA_HW_FEATURE_TYPE).unwrap(), CKH_CLOCK);
    let value = String::from_utf8(session.get(clock[0], CKA_VALUE).unwrap()).unwrap();
    assert!(value.len() == 16 && value.ends_with("00") && value.bytes().all(|b| b.is_ascii_digit()), "{value}");
    let info = token.module.token_info(token.slot).unwrap();
    assert_ne!(info.flags & CKF_CLOCK_ON_TOKEN, 0);
    assert_eq!(info.utcTime[..8], value.as_bytes()[..8]);
    assert!(session.find(&[ulong(CKA_HW_FEATURE_TYPE, CKH_CLOCK)]).unwrap().is_empty());
}

#[test]
fn special_objects_are_neither_changed_nor_copied_nor_destroyed_nor_used() {
    if built::only_kmss("special objects") {
        return;
    }
    let session = token("specials-stay").user();
    for class in [CKO_PROFILE, CKO_MECHANISM, CKO_HW_FEATURE] {
        let object = session.find(&[ulong(CKA_CLASS, class)]).unwrap()[0];
        refused(session.destroy(object), CKR_ACTION_PROHIBITED);
        refused(session.copy(object, &[]), CKR_ACTION_PROHIBITED);
        refused(session.set(object, &[text(CKA_LABEL, "mine")]), CKR_ACTION_PROHIBITED);
        refused(session.sign_init(CKM_ECDSA, object), CKR_KEY_HANDLE_INVALID);
        refused(session.create(&[ulong(CKA_CLASS, class)]), CKR_ATTRIBUTE_VALUE_INVALID);
        refused(session.get(object, CKA_MODULUS), CKR_ATTRIBUTE_TYPE_INVALID);
    }
}

#[test]
fn an_import_that_lies_leaves_nothing_behind_even_where_it_forbids_destruction() {
    if built::only_kmss("claims") {
        return;
    }
    let session = token("liar").user();
    let lie = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_TOKEN, true),
        flag(CKA_DESTROYABLE, false),
        text(CKA_LABEL, "lie"),
        raw(CKA_VALUE, [1; 16]),
        raw(CKA_CHECK_VALUE, [0; 3]),
    ];
    refused(session.create(&lie), CKR_ATTRIBUTE_VALUE_INVALID);
    assert!(session.find(&[text(CKA_LABEL, "lie")]).unwrap().is_empty());
    let other_curve = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        raw(CKA_VALUE, [1; 16]),
        flag(CKA_TOKEN, true),
    ];
    session.create(&other_curve).expect("who claims nothing tells no lie");
}
