//! Policies hold whichever way a key is reached: by another label, a copy, a child, another call, another door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use std::ptr::null_mut;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Mech, Rv, Session, flag, text, token, ulong};
use kmss_tests::rules::{aes, aes_template, apply, denied, ec_pair, kmss, last_denial, list_3_0};

/// Everything is allowed but what a key `guarded` would encrypt or decrypt.
const GUARDED: &str = "allow anyone to anything
allow anyone to anything with any key
deny anyone to encrypt, decrypt key:guarded
";

fn iv() -> Mech {
    Mech::bytes(CKM_AES_CBC_PAD, &[7; 16])
}

/// A session on a token with a guarded key.
fn guarded(label: &str) -> (Session, CK_OBJECT_HANDLE) {
    let session = token(label).user();
    let key = aes(&session, "guarded");
    session.encrypt(iv(), key, MESSAGE).unwrap();
    apply(&format!("--token {label}"), "guard", GUARDED);
    denied(session.encrypt(iv(), key, MESSAGE));
    (session, key)
}

#[test]
fn another_label_is_not_another_name() {
    if built::only_kmss("policies") {
        return;
    }
    let (session, key) = guarded("label");
    session.set(key, &[text(CKA_LABEL, "free")]).unwrap();
    assert_eq!(session.get(key, CKA_LABEL).unwrap(), b"free");
    denied(session.encrypt(iv(), key, MESSAGE));
    // Nor does a label take a name away.
    let other = aes(&session, "other");
    session.set(other, &[text(CKA_LABEL, "guarded")]).unwrap();
    session.encrypt(iv(), other, MESSAGE).unwrap();
}

#[test]
fn a_copy_and_a_copy_of_a_copy_keep_the_policies_of_their_source() {
    if built::only_kmss("policies") {
        return;
    }
    let (session, key) = guarded("copies");
    let mut last = key;
    for (name, stored) in [("one", true), ("two", true), ("three", false), ("four", true)] {
        last = session.copy(last, &[text(CKA_LABEL, name), flag(CKA_TOKEN, stored)]).unwrap();
        denied(session.encrypt(iv(), last, MESSAGE));
        denied(session.decrypt(iv(), last, &[0; 16]));
    }
    // A policy of the copy's own name is asked, too.
    let copy = session.copy(aes(&session, "plain"), &[text(CKA_LABEL, "pale")]).unwrap();
    session.encrypt(iv(), copy, MESSAGE).unwrap();
    for name in ["plain", "pale"] {
        apply("--token copies", "guard", &format!("{GUARDED}deny anyone to encrypt key:{name}\n"));
        denied(session.encrypt(iv(), copy, MESSAGE));
    }
    // What one rule allows for the source alone is not allowed for the copy, whose own name no rule speaks of.
    apply("--token copies", "guard", "allow anyone to encrypt key:plain\n");
    denied(session.encrypt(iv(), copy, MESSAGE));
}

#[test]
fn copies_have_no_budget_of_their_own() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("budget").user();
    let key = aes(&session, "k");
    apply(
        "--token budget",
        "p",
        "allow anyone to manage any key\nallow anyone to encrypt any key at most 3 per hour\n",
    );
    let mut passed = 0;
    for n in 0..6 {
        let copy = session.copy(key, &[flag(CKA_TOKEN, n % 2 == 0)]).unwrap();
        passed += usize::from(session.encrypt(iv(), copy, MESSAGE).is_ok());
    }
    assert_eq!(passed, 3);
    kmss_tests::p11::refused(session.encrypt(iv(), key, MESSAGE), CKR_TOKEN_RESOURCE_EXCEEDED);
}

#[test]
fn a_key_is_renamed_only_where_both_names_may_be_managed() {
    if built::only_kmss("policies") {
        return;
    }
    let label = "rename";
    let session = token(label).user();
    for name in ["a", "b"] {
        let _ = aes(&session, name);
    }
    let rename = |from: &str, to: &str| kmss(&format!("key rename {from} {to} --token {label}"));
    apply("--token rename", "p", "allow anyone to manage key:a\n");
    rename("a", "c").fail();
    rename("b", "a2").fail();
    apply("--token rename", "p", "allow anyone to manage key:a, key:c\n");
    rename("a", "c").succeed();
    apply("--token rename", "p", "allow anyone to manage any key\ndeny anyone to manage key:c\n");
    rename("c", "d").fail();
    rename("b", "c2").succeed();
    let refusal = last_denial(label);
    assert_eq!(refusal["action"], "manage", "{refusal}");
}

#[test]
fn session_keys_are_decided_under_the_name_of_the_key_they_came_from() {
    if built::only_kmss("policies") {
        return;
    }
    let (session, key) = guarded("children");
    let template =
        [&aes_template("free", false)[..], &[ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)]].concat();
    let derive = |base| {
        session.derive(Mech::encrypt_data(Some([1; 16]), &[5; 32]).named(CKM_AES_CBC_ENCRYPT_DATA), base, &template)
    };
    let derived = derive(key).unwrap();
    denied(session.encrypt(iv(), derived, MESSAGE));
    // One derived from that one, and one from a copy of the guarded key.
    denied(session.encrypt(iv(), derive(derived).unwrap(), MESSAGE));
    let copy = session.copy(key, &[text(CKA_LABEL, "copy")]).unwrap();
    denied(session.encrypt(iv(), derive(copy).unwrap(), MESSAGE));
    // A copy of a session key into the token.
    let kept = session.copy(derived, &[text(CKA_LABEL, "kept"), flag(CKA_TOKEN, true)]).unwrap();
    denied(session.encrypt(iv(), kept, MESSAGE));
    // Unwrapped by the guarded key, also by a copy of it.
    let payload = session.generate(CKM_AES_KEY_GEN, &aes_template("", false)).unwrap();
    session.encrypt(iv(), payload, MESSAGE).unwrap();
    for with in [key, copy] {
        let wrapped = session.wrap(CKM_AES_KEY_WRAP, with, payload).unwrap();
        let mut template = template.clone();
        template.retain(|attribute| attribute.kind != CKA_VALUE_LEN);
        let unwrapped = session.unwrap(CKM_AES_KEY_WRAP, with, &wrapped, &template).unwrap();
        denied(session.encrypt(iv(), unwrapped, MESSAGE));
    }
    // Put together from a free key and the guarded one.
    let free = session.generate(CKM_AES_KEY_GEN, &aes_template("", false)).unwrap();
    let other = Mech::ulong(CKM_CONCATENATE_BASE_AND_KEY, key);
    let generic = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        ulong(CKA_VALUE_LEN, 32),
        flag(CKA_TOKEN, false),
        flag(CKA_ENCRYPT, true),
        flag(CKA_SENSITIVE, true),
    ];
    let both = session.derive(other, free, &generic).unwrap();
    denied(session.encrypt(iv(), both, MESSAGE));
}

#[test]
fn every_call_that_uses_a_key_asks() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("calls").user();
    let key = aes(&session, "guarded");
    let (public, private) = ec_pair(&session, "pair");
    let free = aes(&session, "free");
    let list = session.module.list;
    apply("--token calls", "none", "allow anyone to anything with key:free\n");
    denied(session.wrap(CKM_AES_KEY_WRAP, free, key));
    assert_eq!(last_denial("calls")["action"], "wrap");
    denied(session.wrap(CKM_AES_KEY_WRAP, key, free));
    let typed =
        [&aes_template("", false)[..], &[ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)]].concat();
    denied(session.unwrap(CKM_AES_KEY_WRAP, key, &[0; 40], &typed[1..]));
    denied(session.derive(Mech::encrypt_data(Some([1; 16]), &[5; 32]).named(CKM_AES_CBC_ENCRYPT_DATA), key, &typed));
    denied(session.sign(CKM_ECDSA_SHA256, private, MESSAGE));
    denied(session.verify(CKM_ECDSA_SHA256, public, MESSAGE, &[1; 64]));
    denied(session.copy(key, &[]));
    denied(session.destroy(key));
    denied(session.encrypt_init(iv(), key));
    denied(session.decrypt_init(iv(), key));
    denied(session.sign_init(CKM_AES_CMAC, key));
    // SAFETY: plain calls on an open session; places and mechanisms outlive them.
    unsafe {
        session.digest_init(CKM_SHA256).unwrap();
        let digested = (*list).C_DigestKey.unwrap()(session.handle, key);
        assert!(digested == CKR_FUNCTION_REJECTED || digested == CKR_KEY_INDIGESTIBLE, "{:?}", Rv(digested));
        let lists = list_3_0(&session);
        // Each message is an operation of its own.
        let (data, mut out, mut length) = (MESSAGE.as_ptr().cast_mut(), [0_u8; 256], 256);
        let size = MESSAGE.len() as CK_ULONG;
        let init =
            Mech::new(CKM_ECDSA_SHA256).with(|m| (*lists).C_MessageSignInit.unwrap()(session.handle, m, private));
        let message = (*lists).C_SignMessage.unwrap();
        let signed = message(session.handle, null_mut(), 0, data, size, out.as_mut_ptr(), &raw mut length);
        assert!(init == CKR_FUNCTION_REJECTED || signed == CKR_FUNCTION_REJECTED, "{:?}", (Rv(init), Rv(signed)));
        let init = Mech::new(CKM_AES_GCM).with(|m| (*lists).C_MessageEncryptInit.unwrap()(session.handle, m, key));
        let mut tag = [0_u8; 16];
        let mut parameters = CK_GCM_MESSAGE_PARAMS {
            pIv: null_mut(),
            ulIvLen: 12,
            ulIvFixedBits: 0,
            ivGenerator: CKG_NO_GENERATE,
            pTag: tag.as_mut_ptr(),
            ulTagBits: 128,
        };
        let mut iv = [9_u8; 12];
        parameters.pIv = iv.as_mut_ptr();
        let (at, size_of) = ((&raw mut parameters).cast(), size_of::<CK_GCM_MESSAGE_PARAMS>() as CK_ULONG);
        length = 256;
        let message = (*lists).C_EncryptMessage.unwrap();
        let sealed = message(session.handle, at, size_of, null_mut(), 0, data, size, out.as_mut_ptr(), &raw mut length);
        assert!(init == CKR_FUNCTION_REJECTED || sealed == CKR_FUNCTION_REJECTED, "{:?}", (Rv(init), Rv(sealed)));
    }
    // What gives the value out is an export.
    let session = token("reads").user();
    let mut open = aes_template("open", true);
    open.retain(|attribute| attribute.kind != CKA_SENSITIVE);
    open.push(flag(CKA_SENSITIVE, false));
    let key = session.generate(CKM_AES_KEY_GEN, &open).unwrap();
    assert_eq!(session.get(key, CKA_VALUE).unwrap().len(), 32);
    apply("--token reads", "none", "allow anyone to use any key\n");
    assert!(session.get(key, CKA_VALUE).is_err());
    assert_eq!(last_denial("reads")["action"], "export");
}

#[test]
fn encapsulating_asks() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("kem").user();
    let public = [
        ulong(CKA_PARAMETER_SET, CKP_ML_KEM_768),
        flag(CKA_TOKEN, true),
        flag(CKA_ENCAPSULATE, true),
        text(CKA_LABEL, "kem"),
    ];
    let private = [flag(CKA_TOKEN, true), flag(CKA_DECAPSULATE, true), text(CKA_LABEL, "kem-private")];
    let (public, private) = session.generate_pair(CKM_ML_KEM_KEY_PAIR_GEN, &public, &private).unwrap();
    let secret = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        ulong(CKA_VALUE_LEN, 32),
        flag(CKA_ENCRYPT, true),
    ];
    let (ciphertext, _) = session.encapsulate(CKM_ML_KEM, public, &secret).unwrap();
    apply("--token kem", "p", "allow anyone to encapsulate, generate, import any key\n");
    let (_, shared) = session.encapsulate(CKM_ML_KEM, public, &secret).unwrap();
    denied(session.encrypt(iv(), shared, MESSAGE));
    denied(session.decapsulate(CKM_ML_KEM, private, &ciphertext, &secret));
    apply("--token kem", "p", "allow anyone to decapsulate, generate, import any key\n");
    denied(session.encapsulate(CKM_ML_KEM, public, &secret));
    session.decapsulate(CKM_ML_KEM, private, &ciphertext, &secret).unwrap();
}

#[test]
fn calls_that_do_two_things_at_once_ask_for_both() {
    if built::only_kmss("policies") {
        return;
    }
    let session = token("dual").user();
    let (secret, (_, private)) = (aes(&session, "secret"), ec_pair(&session, "pair"));
    let step = |data: &[u8]| {
        let mut out = [0_u8; 256];
        let mut length = out.len() as CK_ULONG;
        // SAFETY: data and buffer outlive the call.
        Rv(unsafe {
            (*session.module.list).C_SignEncryptUpdate.unwrap()(
                session.handle,
                data.as_ptr().cast_mut(),
                data.len() as CK_ULONG,
                out.as_mut_ptr(),
                &raw mut length,
            )
        })
    };
    session.encrypt_init(iv(), secret).unwrap();
    session.sign_init(CKM_ECDSA_SHA256, private).unwrap();
    assert_eq!(step(&[1; 64]), Rv(CKR_OK));
    // The policy comes while both are under way.
    apply("--token dual", "p", "allow anyone to sign any key\n");
    assert_eq!(step(&[1; 64]), Rv(CKR_FUNCTION_REJECTED));
}

#[test]
fn what_began_before_the_policy_came_is_decided_anew_at_its_next_output() {
    if built::only_kmss("policies") {
        return;
    }
    let token = token("begun");
    let session = token.user();
    let (key, (_, private)) = (aes(&session, "k"), ec_pair(&session, "pair"));
    let sealed = session.encrypt(iv(), key, &[3; 160]).unwrap();
    session.decrypt_init(iv(), key).unwrap();
    assert_eq!(session.decrypt_update(&sealed[..64]).unwrap().len() % 16, 0);
    session.sign_init(CKM_ECDSA_SHA256, private).unwrap();
    apply("--token begun", "p", "allow anyone to encrypt any key\n");
    denied(session.decrypt_update(&sealed[64..]));
    kmss_tests::p11::refused(session.decrypt_final(), CKR_OPERATION_NOT_INITIALIZED);
    denied(kmss_tests::rules::finish_sign(&session, MESSAGE));
    assert_eq!(last_denial("begun")["action"], "sign");
    // One that stays allowed goes on.
    session.encrypt_init(iv(), key).unwrap();
    apply("--token begun", "p", "allow anyone to encrypt key:k\n");
    let (rv, _) = session.into_buffer(kmss_tests::p11::Whole::Encrypt, MESSAGE, Some(256));
    assert_eq!(rv, Rv(CKR_OK));
    // And one whose new policy asks for more than was given does not.
    for duty in ["require mfa", "require 1 of role:custodian within 1 hour", "at most 1 per hour"] {
        apply("--token begun", "p", "allow anyone to use any key\n");
        session.sign_init(CKM_ECDSA_SHA256, private).unwrap();
        apply("--token begun", "p", &format!("allow anyone to use any key {duty}\n"));
        if duty.starts_with("at most") {
            // The budget is spent by somebody else meanwhile.
            token.user().sign(CKM_ECDSA_SHA256, private, MESSAGE).unwrap();
        }
        assert!(kmss_tests::rules::finish_sign(&session, MESSAGE).is_err(), "{duty}");
    }
}

#[test]
fn the_c_interface_asks_the_same_policies() {
    if built::only_kmss("policies") {
        return;
    }
    let home = kmss_tests::home::Home::with_token("orders");
    home.generate("orders", "payment", "ec:p256", "01");
    let include = format!("-I{}", built::workspace().join("include").display());
    let program = kmss_tests::c::compile("policed", &[&include, &built::module().display().to_string()]);
    let run = || {
        let program = kmss_tests::program::Program::new(&program).envs(&home.variables()).within(home.folder());
        program.args(["orders", "payment"]).succeed().text()
    };
    assert_eq!(run(), "signed\n");
    std::fs::write(home.file("p.kmss"), "allow anyone to verify any key\n").unwrap();
    home.kmss("policy apply p.kmss --token orders").within(home.folder()).succeed();
    let said = run();
    assert!(said.starts_with("denied"), "{said}");
    assert!(said.contains("no policy allows"), "{said}");
}
