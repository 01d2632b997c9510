//! Session keys are counted in the audit: one record when they are made, counts when they go.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;
use serde_json::Value;

use kmss_tests::built;
use kmss_tests::home::json_items;
use kmss_tests::p11::keys::{pair, rsa, secret};
use kmss_tests::p11::{Mech, curve, token, ulong};
use kmss_tests::program::Program;

/// The `kmss` command on the home of this process' module.
fn kmss(words: &str) -> Program {
    let home = std::env::var_os("KMSS_HOME").expect("the module leads here");
    Program::new(built::command()).env("KMSS_HOME", home).words(words)
}

/// What the audit says of the token, oldest first.
fn trail(token: &str) -> Vec<Value> {
    let said = kmss("audit tail -n 10000 --json").succeed();
    json_items(&said).into_iter().filter(|record| record["namespace"] == token).collect()
}

/// How often `action` was counted in the summaries of `trail`.
fn counted(trail: &[Value], action: &str) -> u64 {
    let uses = trail.iter().filter_map(|record| record["uses"].as_array()).flatten();
    uses.filter(|one| one["action"] == action).filter_map(|one| one["count"].as_u64()).sum()
}

fn events(trail: &[Value], action: &str) -> usize {
    trail.iter().filter(|record| record["action"] == action).count()
}

#[test]
fn uses_of_a_session_key_are_counted_until_it_is_destroyed() {
    if built::stand_in() {
        return;
    }
    let token = token("summaries");
    let session = token.user();
    let key = secret(&session, CKK_GENERIC_SECRET, &[7; 32]);
    for _ in 0..100 {
        let mac = session.sign(CKM_SHA256_HMAC, key, b"message").unwrap();
        session.verify(CKM_SHA256_HMAC, key, b"message", &mac).unwrap();
    }
    // A failure is told at once.
    assert!(session.verify(CKM_SHA256_HMAC, key, b"message", &[0; 32]).is_err());
    session.destroy(key).unwrap();
    let trail = trail(&token.label);
    assert_eq!((counted(&trail, "sign"), counted(&trail, "verify")), (100, 100));
    assert_eq!((events(&trail, "import"), events(&trail, "sign"), events(&trail, "verify")), (1, 0, 1));
    // Its destruction is the last thing counted.
    assert_eq!((events(&trail, "destroy"), counted(&trail, "destroy")), (0, 1));
    let last = trail.iter().rfind(|record| record["ended"] == true).unwrap();
    assert_eq!(last["uses"].as_array().unwrap().last().unwrap()["action"], "destroy");
    kmss("audit verify").succeed();
}

#[test]
fn an_unwrapped_session_key_that_nobody_uses_has_two_whole_records() {
    if built::stand_in() {
        return;
    }
    let token = token("summaries-unwrap");
    let session = token.user();
    let wrapping = secret(&session, CKK_AES, &[1; 32]);
    let target = secret(&session, CKK_AES, &[2; 32]);
    let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, wrapping, target).unwrap();
    let template = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)];
    let mut check_values = Vec::new();
    // Enough for the writer to have said the same before.
    for _ in 0..40 {
        let key = session.unwrap(CKM_AES_KEY_WRAP_KWP, wrapping, &wrapped, &template).unwrap();
        check_values.push(session.get(key, CKA_CHECK_VALUE).unwrap());
        session.destroy(key).unwrap();
    }
    assert!(check_values.iter().all(|value| *value == session.get(target, CKA_CHECK_VALUE).unwrap()));
    let trail = trail(&token.label);
    let made: Vec<&Value> = trail.iter().filter(|record| record["action"] == "unwrap").collect();
    let ended: Vec<&Value> = trail.iter().filter(|record| record["ended"] == true).collect();
    assert_eq!((made.len(), ended.len()), (40, 40));
    for (made, ended) in made.iter().zip(&ended) {
        assert_eq!(made["also"], ended["object"]);
        assert_eq!((&ended["principal"], &ended["user"]), (&made["principal"], &made["user"]));
        assert_eq!(
            (ended["uses"][0]["action"].as_str(), ended["uses"][0]["count"].as_u64()),
            (Some("destroy"), Some(1))
        );
        assert!(made["seq"].as_u64() < ended["seq"].as_u64());
    }
    kmss("audit verify").succeed();
}

#[test]
fn session_keys_that_go_with_their_session_or_login_have_their_end_recorded() {
    if built::stand_in() {
        return;
    }
    let token = token("summaries-end");
    let (first, second) = (token.user(), token.user());
    let key = secret(&first, CKK_AES, &[7; 32]);
    first.encrypt(CKM_AES_ECB, key, &[0; 16]).unwrap();
    first.close().unwrap();
    assert_eq!(counted(&trail(&token.label), "encrypt"), 1);
    let key = secret(&second, CKK_AES, &[7; 32]);
    second.encrypt(CKM_AES_ECB, key, &[0; 16]).unwrap();
    second.close().unwrap();
    let trail = trail(&token.label);
    assert_eq!(counted(&trail, "encrypt"), 2);
    assert_eq!(trail.iter().filter(|record| record["ended"] == true).count(), 2);
}

#[test]
fn asking_for_the_length_of_a_wrapped_key_wraps_nothing() {
    if built::stand_in() {
        return;
    }
    let token = token("summaries-length");
    let session = token.user();
    let (rsa, _) = rsa(&session);
    let (ec, _) = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
    let aes = secret(&session, CKK_AES, &[5; 32]);
    let inner = secret(&session, CKK_GENERIC_SECRET, &[6; 21]);
    let ways = [
        (Mech::rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256), rsa),
        (Mech::ecdh_aes(256, CKD_SHA256_KDF, b"info"), ec),
        (Mech::new(CKM_AES_KEY_WRAP_KWP), aes),
    ];
    let ask = |mechanism: &Mech, with, mut buffer: Vec<u8>| {
        let mut length = buffer.len() as CK_ULONG;
        let at = if buffer.is_empty() { std::ptr::null_mut() } else { buffer.as_mut_ptr() };
        mechanism.with(|m| {
            // SAFETY: mechanism and buffer outlive the call.
            unsafe { (*token.module.list).C_WrapKey.unwrap()(session.handle, m, with, inner, at, &raw mut length) }
        })
    };
    for (mechanism, with) in &ways {
        assert_eq!(ask(mechanism, *with, Vec::new()), CKR_OK);
        assert_eq!(ask(mechanism, *with, vec![0; 5]), CKR_BUFFER_TOO_SMALL);
    }
    for key in [rsa, ec, aes] {
        session.destroy(key).unwrap();
    }
    let asked = trail(&token.label);
    assert_eq!((counted(&asked, "wrap"), events(&asked, "wrap")), (0, 0), "{asked:?}");
    // The counts would show it.
    let aes = secret(&session, CKK_AES, &[5; 32]);
    session.wrap(CKM_AES_KEY_WRAP_KWP, aes, inner).unwrap();
    session.destroy(aes).unwrap();
    let wrapped = trail(&token.label);
    assert_eq!(counted(&wrapped, "wrap") as usize + events(&wrapped, "wrap"), 1);
}
