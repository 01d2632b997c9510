//! What a token is set to: its vendor's numbers, what it forbids, keys that wrap or decrypt, no PINs at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN, json_items};
use kmss_tests::openssl::Judge;
use kmss_tests::p11::keys::*;
use kmss_tests::p11::{Attr, Mech, Token, curve, flag, module, raw, refused, refused_any, text, token, ulong};
use kmss_tests::program::Program;

/// The command on the home of this process' module.
fn kmss(words: &str) -> Program {
    let home = std::env::var_os("KMSS_HOME").expect("the module was led to its home");
    let command = Program::new(built::command()).env("KMSS_HOME", home);
    command.env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN).words(words)
}

/// A token with settings; `None` where another module is under test.
fn token_with(label: &str, settings: &str) -> Option<Token> {
    if built::only_kmss("token settings") {
        return None;
    }
    let token = token(label);
    kmss(&format!("token profile {label} {settings}")).succeed();
    Some(token)
}

const GONE: &[Attr] = &[];

#[test]
fn a_token_with_sansecs_profile_takes_sansecs_numbers_and_no_others() {
    let Some(token) = token_with("sansec", "--vendor sansec") else { return };
    let listed = token.module.mechanisms(token.slot).unwrap();
    for number in [0x8001, 0x8100, 0x8101, 0x8104, 0x8200, 0x9001, 0x107, 0x108, 0x109, 0xA102] {
        let number = CKM_VENDOR_DEFINED | number;
        assert!(listed.contains(&number), "{number:#x} is not listed");
        assert_ne!(token.module.mechanism_info(token.slot, number).unwrap().flags, 0);
    }
    for luna in [0x8000_0B01, 0x8000_0B20, 0x8000_0B22] {
        assert!(!listed.contains(&luna));
        refused(token.module.mechanism_info(token.slot, luna), CKR_MECHANISM_INVALID);
    }
    let session = token.user();
    refused(session.digest(0x8000_0B01, b"x"), CKR_MECHANISM_INVALID);
    let template = [raw(CKA_EC_PARAMS, curve::SM2), flag(CKA_TOKEN, true)];
    let (public, private) = session.generate_pair(0x8000_8001, &template, &[flag(CKA_TOKEN, true)]).unwrap();
    assert_eq!(session.get_ulong(private, CKA_KEY_TYPE).unwrap(), 0x8000_0004);
    assert_eq!(session.get_ulong(private, CKA_KEY_GEN_MECHANISM).unwrap(), 0x8000_8001);
    assert_eq!(session.find(&[ulong(CKA_KEY_TYPE, 0x8000_0004)]).unwrap().len(), 2);
    assert!(session.find(&[ulong(CKA_KEY_TYPE, 0x8000_0016)]).unwrap().is_empty());

    let judge = Judge::new();
    judge.file("pub.der", &public_info(&session, public));
    judge.file("msg", MESSAGE);
    let verify = "pkeyutl -verify -pubin -inkey pub.der -keyform DER -sigfile sig -rawin -digest sm3 \
                  -pkeyopt distid:1234567812345678 -in msg";
    let raw_signature = session.sign(0x8000_8100, private, MESSAGE).unwrap();
    assert_eq!(raw_signature.len(), 64);
    session.verify(0x8000_8100, public, MESSAGE, &raw_signature).unwrap();
    judge.file("sig", &der_signature(&raw_signature));
    judge.succeed(verify);
    for _ in 0..8 {
        let der = session.sign(0x8000_8101, private, MESSAGE).unwrap();
        assert!(der.len() <= 72 && der[0] == 0x30, "{}", hex(&der));
        session.verify(0x8000_8101, public, MESSAGE, &der).unwrap();
        judge.file("sig", &der);
        judge.succeed(verify);
        refused(session.verify(0x8000_8101, public, b"another message", &der), CKR_SIGNATURE_INVALID);
        refused_any(session.verify(0x8000_8101, public, MESSAGE, &der[1..]), &[CKR_SIGNATURE_INVALID]);
    }
    refused(session.verify(0x8000_8101, public, MESSAGE, &[0x30; 73]), CKR_SIGNATURE_LEN_RANGE);
    let digest = session.digest(0x8000_9001, MESSAGE).unwrap();
    let signature = session.sign(0x8000_8104, private, &digest).unwrap();
    session.verify(0x8000_8104, public, &digest, &signature).unwrap();
    let sealed = session.encrypt(0x8000_8200, public, b"a key of sixteen").unwrap();
    assert_eq!(session.decrypt(0x8000_8200, private, &sealed).unwrap(), b"a key of sixteen");

    let iv = *b"0123456789abcdef";
    let key = secret(&session, 0x8000_0106, b"an sm4 key value");
    for mechanism in [Mech::new(0x8000_0108), Mech::bytes(0x8000_0109, &iv), Mech::bytes(0x8000_A102, &iv)] {
        let sealed = session.encrypt(mechanism.clone(), key, &MESSAGE[..32]).unwrap();
        assert_eq!(session.decrypt(mechanism, key, &sealed).unwrap(), &MESSAGE[..32]);
    }
    assert_eq!(session.get_ulong(session.generate(0x8000_0107, GONE).unwrap(), CKA_VALUE_LEN).unwrap(), 16);
}

#[test]
fn a_key_outlives_a_change_of_its_tokens_profile() {
    let Some(token) = token_with("changes", "--vendor luna") else { return };
    let session = token.user();
    let template = [raw(CKA_EC_PARAMS, curve::SM2), flag(CKA_TOKEN, true)];
    let listed = [0x8000_0B22 as CK_MECHANISM_TYPE].iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>();
    let restricted = [flag(CKA_TOKEN, true), text(CKA_LABEL, "kept"), raw(CKA_ALLOWED_MECHANISMS, listed)];
    session.generate_pair(0x8000_0B20, &template, &restricted).unwrap();
    session.close().unwrap();
    kmss("token profile changes --vendor sansec").succeed().mentions("profile: luna -> sansec");
    let session = token.user();
    let key = session.find(&[text(CKA_LABEL, "kept"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap()[0];
    assert_eq!(session.get(key, CKA_ALLOWED_MECHANISMS).unwrap(), (0x8000_8100 as CK_MECHANISM_TYPE).to_ne_bytes());
    session.sign(0x8000_8100, key, MESSAGE).unwrap();
    refused(session.sign(0x8000_8104, key, &[1; 32]), CKR_MECHANISM_INVALID);
    refused(session.sign(0x8000_0B22, key, MESSAGE), CKR_MECHANISM_INVALID);
}

#[test]
fn what_a_token_forbids_is_neither_offered_nor_done() {
    let weak = "sha1-signatures,pkcs1-encryption,ecb,raw-rsa,short-rsa,short-secrets";
    let Some(token) = token_with("forbids", &format!("--forbid {weak}")) else { return };
    let listed = token.module.mechanisms(token.slot).unwrap();
    for gone in [CKM_AES_ECB, CKM_RSA_X_509] {
        assert!(!listed.contains(&gone), "{gone:#x}");
        refused(token.module.mechanism_info(token.slot, gone), CKR_MECHANISM_INVALID);
    }
    let info = |mechanism| token.module.mechanism_info(token.slot, mechanism).unwrap();
    assert_eq!(info(CKM_SHA1_RSA_PKCS).flags & (CKF_SIGN | CKF_VERIFY), CKF_VERIFY);
    assert_eq!(info(CKM_RSA_PKCS).flags & (CKF_SIGN | CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP), CKF_SIGN);
    assert_eq!(info(CKM_RSA_PKCS).ulMinKeySize, 2048);
    let session = token.user();
    let (public, private) = rsa(&session);
    refused(session.sign(CKM_SHA1_RSA_PKCS, private, MESSAGE), CKR_MECHANISM_INVALID);
    refused(session.encrypt(CKM_RSA_PKCS, public, b"x"), CKR_MECHANISM_INVALID);
    // The same in the core where only the parameters tell.
    let pss = |hash, mgf| Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, 20);
    refused(session.sign(pss(CKM_SHA_1, CKG_MGF1_SHA1), private, &[1; 20]), CKR_MECHANISM_INVALID);
    session.sign(pss(CKM_SHA256, CKG_MGF1_SHA256), private, &[1; 32]).unwrap();
    let short = [
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, CKK_RSA),
        raw(CKA_MODULUS, [[0xC5; 127].as_slice(), &[0xC5]].concat()),
        raw(CKA_PUBLIC_EXPONENT, [1, 0, 1]),
    ];
    refused(session.create(&short), CKR_KEY_SIZE_RANGE);
    let tiny = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET), raw(CKA_VALUE, [7; 13])];
    refused(session.create(&tiny), CKR_KEY_SIZE_RANGE);
}

#[test]
fn a_weakness_that_is_forbidden_while_programs_run_is_refused_at_once() {
    let Some(token) = token_with("at-once", "--forbid nothing") else { return };
    let session = token.user();
    let key = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, true)]).unwrap();
    session.encrypt(CKM_AES_ECB, key, &[0; 16]).unwrap();
    kmss("token profile at-once --forbid ecb").succeed();
    refused(session.encrypt(CKM_AES_ECB, key, &[0; 16]), CKR_MECHANISM_INVALID);
    kmss("token profile at-once --forbid nothing").succeed();
    session.encrypt(CKM_AES_ECB, key, &[0; 16]).unwrap();
}

#[test]
fn fips_leaves_approved_algorithms_only() {
    let Some(token) = token_with("fips", "--forbid fips") else { return };
    let listed = token.module.mechanisms(token.slot).unwrap();
    assert!(listed.iter().all(|number| number & CKM_VENDOR_DEFINED == 0), "{listed:x?}");
    for kept in [CKM_RSA_PKCS_PSS, CKM_ECDSA_SHA256, CKM_AES_GCM, CKM_AES_KEY_WRAP_KWP, CKM_ML_KEM] {
        assert!(listed.contains(&kept), "{kept:#x}");
    }
    let session = token.user();
    let montgomery = session.generate_pair(CKM_EC_MONTGOMERY_KEY_PAIR_GEN, &[raw(CKA_EC_PARAMS, curve::X25519)], GONE);
    refused(montgomery, CKR_MECHANISM_INVALID);
    let _ = pair(&session, CKM_EC_KEY_PAIR_GEN, curve::P256);
}

#[test]
fn a_token_may_keep_wrapping_apart_from_decrypting() {
    let Some(token) = token_with("apart", "--separate-wrap-and-decrypt true") else { return };
    let session = token.user();
    let aes = |more: &[Attr]| {
        session.generate(CKM_AES_KEY_GEN, &[&[ulong(CKA_VALUE_LEN, 32), flag(CKA_TOKEN, true)][..], more].concat())
    };
    refused(aes(&[flag(CKA_WRAP, true), flag(CKA_DECRYPT, true)]), CKR_TEMPLATE_INCONSISTENT);
    // What was not asked for gives way.
    let usual = aes(&[]).unwrap();
    assert!(session.get_flag(usual, CKA_DECRYPT).unwrap() && !session.get_flag(usual, CKA_WRAP).unwrap());
    let wrapping = aes(&[flag(CKA_WRAP, true)]).unwrap();
    assert!(session.get_flag(wrapping, CKA_WRAP).unwrap() && !session.get_flag(wrapping, CKA_DECRYPT).unwrap());
    // Neither by a change, nor by a copy, nor by unwrapping, nor as two halves of a pair.
    refused(session.set(usual, &[flag(CKA_WRAP, true)]), CKR_TEMPLATE_INCONSISTENT);
    session.set(usual, &[flag(CKA_DECRYPT, false)]).unwrap();
    session.set(usual, &[flag(CKA_WRAP, true)]).unwrap();
    refused(session.copy(wrapping, &[flag(CKA_DECRYPT, true)]), CKR_TEMPLATE_INCONSISTENT);
    let inner = session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_EXTRACTABLE, true)]).unwrap();
    let wrapped = session.wrap(CKM_AES_KEY_WRAP, wrapping, inner).unwrap();
    let both =
        [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES), flag(CKA_WRAP, true), flag(CKA_DECRYPT, true)];
    refused(session.unwrap(CKM_AES_KEY_WRAP, wrapping, &wrapped, &both), CKR_TEMPLATE_INCONSISTENT);
    let imported = [&both[..], &[raw(CKA_VALUE, [1; 16])]].concat();
    refused(session.create(&imported), CKR_TEMPLATE_INCONSISTENT);
    let public = [ulong(CKA_MODULUS_BITS, 2048), raw(CKA_PUBLIC_EXPONENT, [1, 0, 1]), flag(CKA_WRAP, true)];
    refused(session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, GONE), CKR_TEMPLATE_INCONSISTENT);
    let home = std::env::var("KMSS_HOME").unwrap();
    assert!(!home.is_empty());
    kmss("key generate by-command --token apart --type aes:256").succeed();
}

#[test]
fn only_the_officer_changes_settings_and_the_record_names_old_and_new() {
    if built::only_kmss("token settings") {
        return;
    }
    let home = Home::with_token("main");
    home.kmss("token profile main --forbid ecb").env("KMSS_SO_PIN", "not the officer").fail();
    home.kmss("token profile main --forbid no-such-thing").fail().mentions("sha1-signatures");
    home.kmss("token profile main --vendor nobody").fail().mentions("sansec");
    home.kmss("token profile main").succeed().mentions("nothing");
    home.kmss("token profile main --forbid ecb,short-rsa --vendor sansec").succeed();
    let shown = &json_items(&home.kmss("token profile main --json").succeed())[0];
    assert_eq!(shown["vendor"], "sansec");
    assert_eq!(shown["forbid"], serde_json::json!(["short-rsa", "ecb"]));
    let records = home.audit(20);
    let change = records.iter().rfind(|r| r["action"] == "change-state" && r["outcome"] == "success").unwrap();
    let tags = change["tags"].to_string();
    assert!(tags.contains("profile: luna -> sansec") && tags.contains("forbid: nothing -> short-rsa,ecb"), "{tags}");
    home.audit_is_whole();
    let set_from_the_start = "token init second --forbid fips --separate-wrap-and-decrypt true";
    home.kmss(set_from_the_start).succeed();
    home.kmss("token show second").succeed().mentions("unapproved");
}

#[test]
fn a_token_without_pins_lets_everybody_in_who_can_open_the_home() {
    if built::only_kmss("tokens without PINs") {
        return;
    }
    let _ = module();
    kmss("token init open --no-pin").succeed();
    let slot = module().slot_of("open").unwrap();
    let token = Token { module: module(), slot, label: "open".to_owned() };
    let flags = module().token_info(slot).unwrap().flags;
    assert_eq!(flags & (CKF_LOGIN_REQUIRED | CKF_PROTECTED_AUTHENTICATION_PATH), 0);
    assert_ne!(flags & CKF_TOKEN_INITIALIZED, 0);
    let session = token.public();
    let key = session.generate_pair(
        CKM_EC_KEY_PAIR_GEN,
        &[raw(CKA_EC_PARAMS, curve::P256), flag(CKA_TOKEN, true)],
        &[flag(CKA_TOKEN, true), text(CKA_LABEL, "free")],
    );
    let (public, private) = key.expect("private objects are made without a login");
    let signature = session.sign(CKM_ECDSA, private, &[1; 32]).unwrap();
    session.verify(CKM_ECDSA, public, &[1; 32], &signature).unwrap();
    assert_eq!(session.info().unwrap().state, CKS_RW_PUBLIC_SESSION);
    // Programs that always log in may, with anything; they may log out, too.
    session.login(CKU_USER, "whatever").unwrap();
    assert_eq!(session.info().unwrap().state, CKS_RW_USER_FUNCTIONS);
    session.logout().unwrap();
    let found = session.find(&[text(CKA_LABEL, "free"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap();
    session.sign(CKM_ECDSA, found[0], &[1; 32]).unwrap();
    // The officer keeps a PIN, and uses no private object here either.
    refused(session.login(CKU_SO, "whatever"), CKR_PIN_INCORRECT);
    session.login(CKU_SO, SO_PIN).unwrap();
    assert!(session.find(&[text(CKA_LABEL, "free"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap().is_empty());
    refused(session.init_pin("a-pin-for-nobody"), CKR_ACTION_PROHIBITED);
    session.logout().unwrap();
    kmss("key list --token open").succeed().mentions("free");
    kmss("token list").succeed().mentions("not needed");
    session.close().unwrap();
    module().init_token(slot, SO_PIN, "open").unwrap();
    let session = token.public();
    assert!(session.find(&[text(CKA_LABEL, "free")]).unwrap().is_empty());
    session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, true)]).expect("it stays open");
}
