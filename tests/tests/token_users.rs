//! Several users of one token, and officers who unlock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use std::ptr;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN, json_items};
use kmss_tests::p11::{Res, Rv, Session, Token, flag, module, raw, refused, text, token, ulong};
use kmss_tests::program::Program;

fn kmss(words: &str) -> Program {
    let home = std::env::var_os("KMSS_HOME").expect("the module was led to its home");
    let command = Program::new(built::command()).env("KMSS_HOME", home);
    command.env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN).words(words)
}

/// C_LoginUser.
fn login_user(session: &Session, name: &str, pin: &str) -> Res<()> {
    type Get = unsafe extern "C" fn(*mut CK_UTF8CHAR, *mut CK_VERSION, *mut *mut CK_INTERFACE, CK_FLAGS) -> CK_RV;
    let symbol = session.module.symbol("C_GetInterface").expect("it has interfaces");
    let mut interface = ptr::null_mut();
    let mut version = CK_VERSION { major: 3, minor: 0 };
    // SAFETY: the symbol has the standard's type; the places outlive the calls, which only read names and PINs.
    unsafe {
        let get: Get = std::mem::transmute(symbol);
        assert_eq!(get(ptr::null_mut(), &raw mut version, &raw mut interface, 0), CKR_OK);
        let list = (*interface).pFunctionList.cast::<CK_FUNCTION_LIST_3_0>();
        let call = (*list).C_LoginUser.expect("it logs users in");
        let (pin_len, name_len) = (pin.len() as CK_ULONG, name.len() as CK_ULONG);
        let (pin, name) = (pin.as_ptr().cast_mut(), name.as_ptr().cast_mut());
        Rv(call(session.handle, CKU_USER, pin, pin_len, name, name_len)).ok()
    }
}

fn flags(token: &Token) -> CK_FLAGS {
    token.module.token_info(token.slot).unwrap().flags
}

#[test]
fn users_reach_the_same_objects_by_pins_of_their_own() {
    if built::only_kmss("several users") {
        return;
    }
    let token = token("many");
    let session = token.user();
    let data = [
        ulong(CKA_CLASS, CKO_DATA),
        flag(CKA_TOKEN, true),
        flag(CKA_PRIVATE, true),
        text(CKA_LABEL, "shared"),
        raw(CKA_VALUE, b"seen by all"),
    ];
    session.create(&data).unwrap();
    session.logout().unwrap();
    refused(login_user(&session, "alice", "alice-pin"), CKR_PIN_INCORRECT);
    kmss("token user add many alice").env("KMSS_NEW_PIN", "alice-pin").succeed();
    kmss("token user add many alice").env("KMSS_NEW_PIN", "alice-pin").fail().mentions("already");
    kmss("token user add many bob").env("KMSS_NEW_PIN", "bob-pin").succeed();
    for (name, pin) in [("alice", "alice-pin"), ("bob", "bob-pin"), ("", PIN)] {
        refused(login_user(&session, name, "wrong-pin"), CKR_PIN_INCORRECT);
        login_user(&session, name, pin).unwrap();
        let found = session.find(&[text(CKA_LABEL, "shared")]).unwrap();
        assert_eq!(session.get(found[0], CKA_VALUE).unwrap(), b"seen by all");
        session.logout().unwrap();
    }
    refused(login_user(&session, "bob", "alice-pin"), CKR_PIN_INCORRECT);
    let names: Vec<String> = json_items(&kmss("token user list many --json").succeed())
        .iter()
        .map(|u| u["user"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["alice", "bob", "user"]);
    kmss("token user remove many alice --yes").succeed();
    refused(login_user(&session, "alice", "alice-pin"), CKR_PIN_INCORRECT);
    login_user(&session, "bob", "bob-pin").unwrap();
    session.set_pin("bob-pin", "bob-pin-2").unwrap();
    session.logout().unwrap();
    login_user(&session, "bob", "bob-pin-2").unwrap();
    kmss("token user add many carol").env("KMSS_NEW_PIN", "carol-pin").env("KMSS_SO_PIN", "not the officer").fail();
    kmss("token user remove many nobody --yes").fail();
}

#[test]
fn the_officer_unlocks_a_user_who_keeps_pin_and_objects() {
    if built::only_kmss("unlocking") {
        return;
    }
    let token = token("unlocked");
    let session = token.public();
    let locked = (0..50).any(|_| session.login(CKU_USER, "wrong-pin") == Err(Rv(CKR_PIN_LOCKED)));
    assert!(locked && flags(&token) & CKF_USER_PIN_LOCKED != 0);
    kmss("token unlock unlocked").env("KMSS_SO_PIN", "not the officer").fail();
    kmss("token unlock unlocked").succeed();
    assert_eq!(flags(&token) & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_COUNT_LOW), 0);
    session.login(CKU_USER, PIN).expect("the PIN is what it was");
    kmss("token unlock unlocked --user nobody").fail();
}

#[test]
fn the_number_of_attempts_is_configured_and_announced() {
    if built::only_kmss("attempts") {
        return;
    }
    let home = Home::new();
    std::fs::write(home.file("kmss.toml"), "[pin]\nmax_attempts = 3\n").unwrap();
    let with_conf = |program: Program| program.env("KMSS_CONF", home.file("kmss.toml"));
    with_conf(home.kmss("token init few")).succeed();
    let wrong = |so: &str| {
        let words =
            format!("{so} --session-rw --login --pin wrong-pin --so-pin wrong-pin --token-label few --list-objects");
        with_conf(home.pkcs11_tool("", &words)).fail();
    };
    let slots = || with_conf(home.pkcs11_tool("", "--list-slots")).succeed().text();
    for expected in ["user PIN count low", "final user PIN try", "user PIN locked"] {
        wrong("");
        let slots = slots();
        assert!(slots.contains(expected), "{expected}: {slots}");
    }
    for expected in ["SO PIN count low", "final SO PIN try", "SO PIN locked"] {
        wrong("--login-type so");
        let slots = slots();
        assert!(slots.contains(expected), "{expected}: {slots}");
    }
    // A locked officer is locked for good: nothing unlocks, nothing is set anew.
    with_conf(home.kmss("token unlock few")).fail().mentions("locked");
    with_conf(home.kmss("token set-pin few --reset")).env("KMSS_NEW_PIN", "new-pin").fail().mentions("locked");
}

#[test]
fn pins_have_4_to_255_bytes() {
    let bare = module().new_bare_token("lengths");
    let session = bare.public();
    session.login(CKU_SO, SO_PIN).unwrap();
    for refused_pin in ["", "abc", &"x".repeat(256)] {
        refused(session.init_pin(refused_pin), CKR_PIN_LEN_RANGE);
    }
    let longest = "x".repeat(255);
    for pin in ["abcd", &longest] {
        session.init_pin(pin).unwrap();
        session.logout().unwrap();
        session.login(CKU_USER, pin).unwrap();
        session.logout().unwrap();
        session.login(CKU_SO, SO_PIN).unwrap();
    }
    let info = bare.module.token_info(bare.slot).unwrap();
    assert_eq!((info.ulMinPinLen, info.ulMaxPinLen), (4, 255));
}

#[test]
fn the_officer_gives_roles_to_users_and_tags_to_keys() {
    if built::only_kmss("roles and tags") {
        return;
    }
    let home = Home::with_token("roles");
    let kmss = |words: &str| home.kmss(words).env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN);
    kmss("token user add roles alice").env("KMSS_NEW_PIN", "alice-pin").succeed();
    kmss("token user roles roles alice custodian payment-admin").succeed();
    kmss("token user list roles").succeed().mentions("custodian, payment-admin");
    kmss("token user roles roles alice auditor system-administrator").fail().mentions("nobody holds two");
    kmss("token user roles roles nobody custodian").fail();
    kmss("key generate pay --token roles --type ec:p256").succeed();
    kmss("key tag pay --token roles payment pci").succeed();
    kmss("--json key show pay --token roles").succeed().mentions("pci").mentions("payment");
    kmss("key tag pay --token roles white%20space!").fail().mentions("letters");
}
