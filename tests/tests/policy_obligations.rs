//! What comes with an allow is done: rates over all processes, confirmation, approvals, sizes, ends of sessions, tags.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use std::time::Duration;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{PIN, json_items};
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Mech, Rv, Session, Token, Whole, refused, token, ulong};
use kmss_tests::rules::{aes, apply, denied, ec_pair, finish_sign, kmss, last_denial, list_3_0, login_user, records};

fn iv() -> Mech {
    Mech::bytes(CKM_AES_CBC_PAD, &[7; 16])
}

/// The private key, whose handle went with the last login.
fn again(session: &Session) -> CK_OBJECT_HANDLE {
    session.find(&[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap()[0]
}

fn with_pair(label: &str) -> (Token, Session, CK_OBJECT_HANDLE) {
    let token = token(label);
    let session = token.user();
    let (_, private) = ec_pair(&session, "k");
    (token, session, private)
}

#[test]
fn two_processes_share_one_rate_and_what_is_abandoned_comes_back() {
    if built::only_kmss("policies") {
        return;
    }
    let (token, session, key) = with_pair("rate");
    apply("--token rate", "p", "allow anyone to use any key at most 20 per hour\n");
    // Begun and given up: nothing is used.
    for _ in 0..30 {
        let other = token.public();
        other.sign_init(CKM_ECDSA_SHA256, key).unwrap();
        other.close().unwrap();
    }
    let sign = || (0..30).filter(|_| session.sign(CKM_ECDSA_SHA256, key, MESSAGE).is_ok()).count();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the child uses the module as a forked worker does, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let count = sign();
        let _ = std::io::Write::write_all(&mut writer, &[count as u8]);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(0) };
    }
    drop(writer);
    let mine = sign();
    let mut theirs = [0];
    std::io::Read::read_exact(&mut &reader, &mut theirs).unwrap();
    // SAFETY: waits for a child of this process.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(mine + usize::from(theirs[0]), 20, "{mine} here and {} there", theirs[0]);
    refused(session.sign(CKM_ECDSA_SHA256, key, MESSAGE), CKR_TOKEN_RESOURCE_EXCEEDED);
    let refusal = last_denial("rate");
    assert_eq!(refusal["error"], "quota-exceeded", "{refusal}");
    assert!(refusal["reason"].as_str().unwrap().contains("20 times in 3600 s"), "{refusal}");
}

#[test]
fn mfa_is_a_login_for_the_one_operation() {
    if built::only_kmss("policies") {
        return;
    }
    let (_, session, key) = with_pair("mfa");
    let secret = aes(&session, "secret");
    apply("--token mfa", "p", "allow anyone to anything with any key require mfa\n");
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    refused(finish_sign(&session, MESSAGE), CKR_USER_NOT_LOGGED_IN);
    for _ in 0..2 {
        session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
        session.login(CKU_CONTEXT_SPECIFIC, PIN).unwrap();
        assert_eq!(finish_sign(&session, MESSAGE).unwrap().len(), 64);
        // It was for one.
        session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
        refused(finish_sign(&session, MESSAGE), CKR_USER_NOT_LOGGED_IN);
    }
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    refused(session.login(CKU_CONTEXT_SPECIFIC, "wrong-pin"), CKR_PIN_INCORRECT);
    refused(finish_sign(&session, MESSAGE), CKR_USER_NOT_LOGGED_IN);
    session.encrypt_init(iv(), secret).unwrap();
    session.login(CKU_CONTEXT_SPECIFIC, PIN).unwrap();
    assert_eq!(session.into_buffer(Whole::Encrypt, MESSAGE, Some(256)).0, Rv(CKR_OK));
    // What ends as it begins leaves no moment for it.
    refused(session.wrap(CKM_AES_KEY_WRAP, secret, secret), CKR_USER_NOT_LOGGED_IN);
    refused(session.destroy(secret), CKR_USER_NOT_LOGGED_IN);
}

#[test]
fn mfa_is_a_login_for_each_message_of_a_process() {
    if built::only_kmss("policies") {
        return;
    }
    let (_, session, key) = with_pair("messages");
    apply("--token messages", "p", "allow anyone to sign any key require mfa\n");
    let list = list_3_0(&session);
    let sign = || {
        let (mut out, mut length) = ([0_u8; 64], 64);
        let (data, size) = (MESSAGE.as_ptr().cast_mut(), MESSAGE.len() as CK_ULONG);
        // SAFETY: data and buffer outlive the call.
        Rv(unsafe {
            let message = (*list).C_SignMessage.unwrap();
            message(session.handle, std::ptr::null_mut(), 0, data, size, out.as_mut_ptr(), &raw mut length)
        })
    };
    let mechanism = Mech::new(CKM_ECDSA_SHA256);
    // SAFETY: the mechanism outlives the call.
    let init = mechanism.with(|m| unsafe { (*list).C_MessageSignInit.unwrap()(session.handle, m, key) });
    assert_eq!(Rv(init), Rv(CKR_OK));
    // The first refusal tells that a login is wanted; each is for one message.
    for _ in 0..2 {
        assert_eq!(sign(), Rv(CKR_USER_NOT_LOGGED_IN));
        session.login(CKU_CONTEXT_SPECIFIC, PIN).unwrap();
        assert_eq!(sign(), Rv(CKR_OK));
    }
    session.login(CKU_CONTEXT_SPECIFIC, PIN).unwrap();
    assert_eq!((sign(), sign()), (Rv(CKR_OK), Rv(CKR_USER_NOT_LOGGED_IN)));
}

#[test]
fn a_quorum_approves_and_the_requester_does_not() {
    if built::only_kmss("policies") {
        return;
    }
    let (_, session, _) = with_pair("quorum");
    for user in ["alice", "bob", "carol"] {
        kmss(&format!("token user add quorum {user}")).env("KMSS_NEW_PIN", "user-pin").succeed();
    }
    for user in ["alice", "bob", "carol"] {
        kmss(&format!("token user roles quorum {user} custodian")).succeed();
    }
    let rule = "allow anyone to sign any key require 2 of role:custodian within 3 seconds\n";
    apply("--token quorum", "p", rule);
    session.logout().unwrap();
    login_user(&session, "carol", "user-pin").unwrap();
    let key = again(&session);
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    let refusal = last_denial("quorum");
    let waiting = json_items(&kmss("approve --list --token quorum --json").succeed());
    let id = waiting[0]["id"].as_str().or(waiting[0]["request"].as_str()).unwrap().to_owned();
    assert!(refusal["reason"].as_str().unwrap().contains(&id), "{refusal} {waiting:?}");
    let approve =
        |user: &str, pin: &str| kmss(&format!("approve {id} --token quorum --user {user}")).env("KMSS_PIN", pin).run();
    assert!(approve("carol", "user-pin").all().contains("request of their own"));
    assert!(approve("alice", "user-pin").success());
    assert!(!approve("alice", "user-pin").success(), "one word each");
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    assert!(approve("bob", "user-pin").success());
    session.sign(CKM_ECDSA_SHA256, key, MESSAGE).unwrap();
    session.sign(CKM_ECDSA_SHA256, key, MESSAGE).unwrap();
    let signed = records("quorum").into_iter().rev().find(|r| r["action"] == "sign").unwrap();
    assert!(signed["tags"].to_string().contains("approved-by:user:alice@default/quorum"), "{signed}");
    // Somebody else's request is another.
    session.logout().unwrap();
    login_user(&session, "bob", "user-pin").unwrap();
    let key = again(&session);
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    session.logout().unwrap();
    login_user(&session, "carol", "user-pin").unwrap();
    let key = again(&session);
    std::thread::sleep(Duration::from_millis(3500));
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
}

#[test]
fn sizes_ends_tags_and_channels_are_kept() {
    if built::only_kmss("policies") {
        return;
    }
    let (_, session, _) = with_pair("sizes");
    let key = aes(&session, "k");
    let rule = "allow anyone to use any key at most 64 B audit as \"pci\" notify \"oncall\"\n";
    apply("--token sizes", "p", rule);
    session.encrypt(iv(), key, &[0; 64]).unwrap();
    let done = records("sizes").into_iter().rev().find(|r| r["action"] == "encrypt").unwrap();
    assert!(
        done["tags"].to_string().contains("\"pci\"") && done["tags"].to_string().contains("notify:oncall"),
        "{done}"
    );
    denied(session.encrypt(iv(), key, &[0; 65]));
    session.encrypt_parts(iv(), key, &[&[0; 32], &[0; 32]]).unwrap();
    denied(session.encrypt_parts(iv(), key, &[&[0; 32], &[0; 32], &[0; 1]]));
    assert!(last_denial("sizes")["reason"].as_str().unwrap().contains("64"));
    // The same as conditions, which no policy can judge before the data is there.
    for rule in [
        "allow anyone to use any key when size <= 64 B\n",
        "allow anyone to use any key\ndeny anyone to use any key when size > 64 B\n",
    ] {
        apply("--token sizes", "p", rule);
        session.encrypt(iv(), key, &[0; 64]).unwrap();
        session.encrypt_parts(iv(), key, &[&[0; 32], &[0; 32]]).unwrap();
        denied(session.encrypt(iv(), key, &[0; 65]));
        denied(session.encrypt_parts(iv(), key, &[&[0; 32], &[0; 33]]));
    }
    apply("--token sizes", "p", "allow anyone to use any key expire after 1 second\n");
    session.logout().unwrap();
    session.login(CKU_USER, PIN).unwrap();
    let key = session.find(&[ulong(CKA_CLASS, CKO_SECRET_KEY)]).unwrap()[0];
    session.encrypt(iv(), key, MESSAGE).unwrap();
    std::thread::sleep(Duration::from_millis(1300));
    denied(session.encrypt(iv(), key, MESSAGE));
    assert!(last_denial("sizes")["reason"].as_str().unwrap().contains("log in again"));
    session.logout().unwrap();
    session.login(CKU_USER, PIN).unwrap();
    let key = session.find(&[ulong(CKA_CLASS, CKO_SECRET_KEY)]).unwrap()[0];
    session.encrypt(iv(), key, MESSAGE).unwrap();
}
