//! The same key again and again, in one session: what changed between two uses holds for the second, and each is recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Attr, Mech, Res, Session, Token, flag, refused, text, ulong};
use kmss_tests::rules::{self, kmss, records};

fn token(label: &str) -> Option<Token> {
    if built::only_kmss("the `kmss` command beside a module at work") {
        return None;
    }
    Some(rules::token("", label))
}

fn template(stored: bool) -> Vec<Attr> {
    let mut template = vec![ulong(CKA_VALUE_LEN, 32), flag(CKA_TOKEN, stored), flag(CKA_EXTRACTABLE, true)];
    template.extend([CKA_SIGN, CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT].map(|usage| flag(usage, true)));
    template.push(text(CKA_LABEL, "again"));
    template
}

fn key(session: &Session, stored: bool) -> CK_OBJECT_HANDLE {
    session.generate(CKM_AES_KEY_GEN, &template(stored)).unwrap()
}

fn mac(session: &Session, key: CK_OBJECT_HANDLE) -> Res<Vec<u8>> {
    session.sign(CKM_AES_CMAC, key, MESSAGE)
}

#[test]
fn a_use_that_is_taken_away_from_a_key_is_gone_from_its_next_use_on() {
    let Some(token) = token("usage") else { return };
    let session = token.user();
    for stored in [false, true] {
        let key = key(&session, stored);
        let twice = [mac(&session, key).unwrap(), mac(&session, key).unwrap()];
        assert_eq!(twice[0], twice[1]);
        session.set(key, &[flag(CKA_SIGN, false)]).unwrap();
        refused(mac(&session, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
        session.set(key, &[flag(CKA_SIGN, true)]).unwrap();
        assert_eq!(mac(&session, key).unwrap(), twice[0]);
        session.destroy(key).unwrap();
        refused(mac(&session, key), CKR_KEY_HANDLE_INVALID);
    }
}

#[test]
fn what_another_process_forbids_holds_from_the_next_use_on() {
    let Some(token) = token("forbid") else { return };
    let session = token.user();
    for stored in [false, true] {
        let key = key(&session, stored);
        let ecb = || session.encrypt(CKM_AES_ECB, key, &[1; 16]);
        assert_eq!(ecb().unwrap(), ecb().unwrap());
        kmss("token profile forbid --forbid ecb").succeed();
        refused(ecb(), CKR_MECHANISM_INVALID);
        kmss("token profile forbid --forbid nothing").succeed();
        ecb().unwrap();
    }
}

#[test]
fn a_logout_ends_what_follows_and_a_login_begins_anew() {
    let Some(token) = token("logout") else { return };
    let session = token.user();
    let key = key(&session, true);
    let before = mac(&session, key).unwrap();
    session.logout().unwrap();
    assert!(mac(&session, key).is_err());
    session.login(CKU_USER, kmss_tests::home::PIN).unwrap();
    let found = session.find(&[text(CKA_LABEL, "again")]).unwrap();
    assert_eq!(mac(&session, found[0]).unwrap(), before);
}

#[test]
fn policies_that_look_at_nothing_which_changes_are_recorded_with_every_use_and_hold_until_they_change() {
    let Some(token) = token("steady") else { return };
    let session = token.user();
    let key = key(&session, true);
    rules::apply("--token steady", "steady", "allow anyone to anything\n");
    for len in 1..=5 {
        session.sign(CKM_AES_CMAC, key, &vec![7; len]).unwrap();
    }
    let signed: Vec<_> = records("steady").into_iter().filter(|record| record["action"] == "sign").collect();
    assert_eq!(signed.len(), 5);
    for (len, record) in (1..).zip(&signed) {
        assert_eq!((record["outcome"].as_str(), record["data_len"].as_u64()), (Some("success"), Some(len)), "{record}");
        assert_eq!(record["rule"], "namespace/steady#rule 1 (line 1)");
        let asked = &record["policy"]["asked"][0];
        assert_eq!((&asked["decision"], &asked["second"]), (&"allow".into(), &serde_json::Value::Null), "{record}");
    }
    rules::apply("--token steady", "steady", "allow anyone to anything at most 3 per hour\n");
    let allowed = (0..6).filter(|_| mac(&session, key).is_ok()).count();
    assert_eq!(allowed, 3);
    rules::apply("--token steady", "steady", "allow anyone to anything when rate < 4 per minute\n");
    let allowed = (0..6).filter(|_| mac(&session, key).is_ok()).count();
    assert_eq!(allowed, 3);
    rules::apply("--token steady", "steady", "deny anyone to sign\nallow anyone to anything\n");
    rules::denied(mac(&session, key));
}

#[test]
fn each_use_of_a_token_key_has_its_record_with_its_own_length() {
    let Some(token) = token("each") else { return };
    let session = token.user();
    let key = key(&session, true);
    for len in 1..=20 {
        session.sign(CKM_AES_CMAC, key, &vec![7; len]).unwrap();
    }
    refused(session.sign(Mech::bytes(CKM_AES_CMAC, &[1]), key, MESSAGE), CKR_MECHANISM_PARAM_INVALID);
    session.sign(CKM_AES_CMAC, key, &[7; 21]).unwrap();
    let signed =
        records("each").into_iter().filter(|record| record["action"] == "sign" && record["outcome"] == "success");
    let lengths: Vec<u64> = signed.map(|record| record["data_len"].as_u64().unwrap()).collect();
    assert_eq!(lengths, (1..=21).collect::<Vec<_>>());
}

#[test]
fn one_verb_after_another_and_one_key_after_another_each_do_their_own_work() {
    let Some(token) = token("turns") else { return };
    let session = token.user();
    let keys = [key(&session, false), key(&session, true), key(&session, false)];
    let iv = |n: u8| Mech::bytes(CKM_AES_CBC_PAD, &[n; 16]);
    for round in 0..3 {
        for key in keys {
            let sealed = session.encrypt(iv(round), key, MESSAGE).unwrap();
            assert_eq!(session.decrypt(iv(round), key, &sealed).unwrap(), MESSAGE);
            let other = session.encrypt(iv(round + 100), key, MESSAGE).unwrap();
            assert_ne!(sealed, other);
            session.verify(CKM_AES_CMAC, key, MESSAGE, &mac(&session, key).unwrap()).unwrap();
        }
    }
    let macs = keys.map(|key| mac(&session, key).unwrap());
    assert!(macs[0] != macs[1] && macs[1] != macs[2] && macs[0] != macs[2]);
}
