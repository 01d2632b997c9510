//! Approvals of one operation: bound to its very data, to the key as a whole and to everything else it is about, and spent
//! once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Mech, Rv, Session, Whole, flag, refused, text, token, ulong};
use kmss_tests::program::{Program, Said};
use kmss_tests::rules::{
    aes, aes_template, apply, custodians, denied, ec_pair, finish_sign, kmss, last_denial, list_3_0, records, waiting,
};

/// A token whose users `alice` and `bob` are custodians, and a session on it.
fn vault(label: &str, rules: &str) -> Session {
    let session = token(label).user();
    custodians(label, &["alice", "bob"]);
    apply(&format!("--token {label}"), "p", "allow anyone to anything\nallow anyone to manage, generate any key\n");
    let _ = ec_pair(&session, "pair");
    let _ = aes(&session, "secret");
    apply(&format!("--token {label}"), "p", rules);
    session
}

fn pair(session: &Session) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let of = |class| session.find(&[ulong(CKA_CLASS, class), text(CKA_LABEL, "pair")]).unwrap()[0];
    (of(CKO_PUBLIC_KEY), of(CKO_PRIVATE_KEY))
}

fn secret(session: &Session) -> CK_OBJECT_HANDLE {
    session.find(&[ulong(CKA_CLASS, CKO_SECRET_KEY), text(CKA_LABEL, "secret")]).unwrap()[0]
}

/// As the openssl command digests.
fn sha256(data: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    std::fs::write(&file, data).unwrap();
    let said = Program::new("openssl").words("dgst -sha256 -r").arg(file).succeed();
    said.text().split_whitespace().next().unwrap().to_owned()
}

/// `kmss approve` as one of the users.
fn approve(label: &str, user: &str, words: &str) -> Said {
    kmss(&format!("approve {words} --token {label} --user {user}")).env("KMSS_PIN", "user-pin").run()
}

/// One custodian approves what was just denied, by its data.
#[track_caller]
fn approve_data(label: &str, data: &[u8]) {
    let said = approve(label, "alice", &format!("--digest {}", sha256(data)));
    assert!(said.success(), "{said}");
}

/// The reason of the last refusal.
fn reason(label: &str) -> String {
    last_denial(label)["reason"].as_str().unwrap().to_owned()
}

const ONE: &str = "require 1 of role:custodian";

#[test]
fn a_signature_is_approved_with_its_very_data_and_once() {
    if built::only_kmss("policies") {
        return;
    }
    let session = vault("signed", "allow anyone to sign any key require 2 of role:custodian\n");
    let (_, key) = pair(&session);
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    let open = waiting("signed");
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["data_sha256"], sha256(MESSAGE));
    let id = open[0]["request"].as_str().unwrap();
    assert!(reason("signed").contains(id));
    // An approver who says which data approves no other.
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("data"), folder.path().join("other"));
    std::fs::write(&file, MESSAGE).unwrap();
    std::fs::write(&other, b"something else").unwrap();
    let wrong = approve("signed", "alice", &format!("{id} --data {}", other.display()));
    assert!(wrong.all().contains("about other data"), "{wrong}");
    assert!(!approve("signed", "alice", &format!("--data {}", other.display())).success());
    assert!(!approve("signed", "alice", &format!("{id} --digest 00")).success());
    assert!(approve("signed", "alice", &format!("{id} --data {}", file.display())).success());
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    assert!(approve("signed", "bob", &format!("--data {}", file.display())).success());
    // Not for other data, by another mechanism, or for the data as a part of more.
    denied(session.sign(CKM_ECDSA_SHA256, key, b"other data"));
    denied(session.sign(CKM_ECDSA_SHA384, key, MESSAGE));
    denied(session.sign_parts(CKM_ECDSA_SHA256, key, &[MESSAGE, b"x"]));
    // Whoever asks for the length, or has too little room for it, uses nothing up; nor does whoever gives up.
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    assert_eq!(session.into_buffer(Whole::Sign, MESSAGE, None), (Rv(CKR_OK), 64));
    assert_eq!(session.into_buffer(Whole::Sign, MESSAGE, Some(63)).0, Rv(CKR_BUFFER_TOO_SMALL));
    assert_eq!(session.into_buffer(Whole::Sign, MESSAGE, Some(64)).0, Rv(CKR_OK));
    let signed = records("signed").into_iter().rev().find(|r| r["action"] == "sign").unwrap();
    let tags = signed["tags"].to_string();
    assert_eq!(signed["outcome"], "success");
    assert!(tags.contains("approved-by:user:alice@") && tags.contains("approved-by:user:bob@"), "{signed}");
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    // In parts it is the same data.
    assert!(approve("signed", "alice", id).success());
    assert!(approve("signed", "bob", &format!("{id} --digest {}", sha256(MESSAGE).to_uppercase())).success());
    let (one, two) = MESSAGE.split_at(3);
    session.sign_parts(CKM_ECDSA_SHA256, key, &[one, b"", two]).unwrap();
    denied(session.sign_parts(CKM_ECDSA_SHA256, key, &[one, two]));
    drop(kmss("audit verify").succeed());
}

#[test]
fn verifying_and_digesting_are_approved_with_their_data_too() {
    if built::only_kmss("policies") {
        return;
    }
    let rules =
        format!("allow anyone to sign any key\nallow anyone to verify any key {ONE}\nallow anyone to digest {ONE}\n");
    let session = vault("checked", &rules);
    let (public, private) = pair(&session);
    let signature = session.sign(CKM_ECDSA_SHA256, private, MESSAGE).unwrap();
    let verify = || session.verify(CKM_ECDSA_SHA256, public, MESSAGE, &signature);
    denied(verify());
    approve_data("checked", MESSAGE);
    verify().unwrap();
    denied(verify());
    // A wrong signature is an answer, too.
    approve_data("checked", MESSAGE);
    refused(session.verify(CKM_ECDSA_SHA256, public, MESSAGE, &[1; 64]), CKR_SIGNATURE_INVALID);
    denied(verify());
    approve_data("checked", MESSAGE);
    session.verify_parts(CKM_ECDSA_SHA256, public, &[&MESSAGE[..1], &MESSAGE[1..]], &signature).unwrap();
    denied(session.digest(CKM_SHA256, MESSAGE));
    approve_data("checked", MESSAGE);
    assert_eq!(session.digest(CKM_SHA256, MESSAGE).unwrap().len(), 32);
    // Digests leave no records, but what several approved does.
    let digested = records("checked").into_iter().rev().find(|r| r["action"] == "digest").unwrap();
    assert_eq!(digested["outcome"], "success", "{digested}");
    denied(session.digest(CKM_SHA256, MESSAGE));
    // A state that was saved holds data that nobody saw.
    session.digest_init(CKM_SHA256).unwrap();
    session.digest_update(b"unseen").unwrap();
    let state = session.state().unwrap();
    denied(session.digest_final());
    assert!(session.set_state(&state).is_err());
    assert!(reason("checked").contains("begin it anew"));
}

#[test]
fn ciphers_give_nothing_out_before_their_whole_data_is_approved() {
    if built::only_kmss("policies") {
        return;
    }
    let session = vault("sealed", &format!("allow anyone to encrypt, decrypt any key {ONE}\n"));
    let key = secret(&session);
    let (cbc, gcm) = (|| Mech::bytes(CKM_AES_CBC_PAD, &[7; 16]), || Mech::gcm(&[7; 12], b"", 128));
    denied(session.encrypt(gcm(), key, MESSAGE));
    approve_data("sealed", MESSAGE);
    let sealed = session.encrypt(gcm(), key, MESSAGE).unwrap();
    denied(session.encrypt(gcm(), key, MESSAGE));
    // The parts of a stream would leave before all of it is known.
    approve_data("sealed", MESSAGE);
    denied(session.encrypt_parts(gcm(), key, &[MESSAGE]));
    assert!(reason("sealed").contains("in one part"));
    session.encrypt(gcm(), key, MESSAGE).unwrap();
    // What gives nothing out before its end may come in parts.
    denied(session.decrypt_parts(gcm(), key, &[&sealed[..5], &sealed[5..]]));
    approve_data("sealed", &sealed);
    assert_eq!(session.decrypt_parts(gcm(), key, &[&sealed[..5], &sealed[5..]]).unwrap(), MESSAGE);
    // A result that does not fit was spent for, and is there for the next call, which cannot change its data.
    denied(session.encrypt(cbc(), key, &[1; 20]));
    approve_data("sealed", &[1; 20]);
    let padded = session.encrypt(cbc(), key, &[1; 20]).unwrap();
    denied(session.decrypt(cbc(), key, &padded));
    approve_data("sealed", &padded);
    session.decrypt_init(cbc(), key).unwrap();
    assert_eq!(session.into_buffer(Whole::Decrypt, &padded, Some(4)), (Rv(CKR_BUFFER_TOO_SMALL), 20));
    assert_eq!(session.into_buffer(Whole::Decrypt, &[0; 32], Some(32)), (Rv(CKR_OK), 20));
    let decrypted = records("sealed").into_iter().rev().find(|r| r["action"] == "decrypt").unwrap();
    let tags = decrypted["tags"].to_string();
    assert_eq!(
        (decrypted["outcome"].as_str(), tags.matches("approved-by").count()),
        (Some("success"), 1),
        "{decrypted}"
    );
    denied(session.decrypt(cbc(), key, &padded));
    // What fails to decrypt has had its approval.
    denied(session.decrypt(gcm(), key, &[9; 40]));
    approve_data("sealed", &[9; 40]);
    refused(session.decrypt(gcm(), key, &[9; 40]), CKR_ENCRYPTED_DATA_INVALID);
    denied(session.decrypt(gcm(), key, &[9; 40]));
}

#[test]
fn of_many_processes_that_want_one_approval_one_has_it() {
    if built::only_kmss("policies") {
        return;
    }
    let session = vault("racing", &format!("allow anyone to sign any key {ONE}\n"));
    let (_, key) = pair(&session);
    for round in 0..4_u8 {
        let data = [round; 40];
        denied(session.sign(CKM_ECDSA_SHA256, key, &data));
        approve_data("racing", &data);
        let (reader, writer) = std::io::pipe().unwrap();
        let start = std::time::Instant::now() + std::time::Duration::from_millis(60);
        let children = (0..6).map(|_| {
            // SAFETY: the child uses the module as a forked worker does, and leaves by _exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                while std::time::Instant::now() < start {}
                let signed = session.sign(CKM_ECDSA_SHA256, key, &data).is_ok();
                let _ = std::io::Write::write_all(&mut &writer, &[u8::from(signed)]);
                // SAFETY: ends the child without running what belongs to the parent.
                unsafe { libc::_exit(0) };
            }
            child
        });
        let children: Vec<_> = children.collect();
        drop(writer);
        let mut signed = Vec::new();
        std::io::Read::read_to_end(&mut &reader, &mut signed).unwrap();
        for child in children {
            // SAFETY: waits for a child of this process.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
        assert_eq!((signed.len(), signed.iter().filter(|one| **one == 1).count()), (6, 1), "{signed:?}");
    }
    drop(kmss("audit verify").succeed());
}

#[test]
fn each_message_of_a_process_is_approved_for_itself() {
    if built::only_kmss("policies") {
        return;
    }
    let session = vault("messages", &format!("allow anyone to sign any key {ONE}\n"));
    let (_, key) = pair(&session);
    let list = list_3_0(&session);
    let sign = |data: &[u8]| {
        let (mut out, mut length) = ([0_u8; 64], 64);
        let (data, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        // SAFETY: data and buffer outlive the call.
        Rv(unsafe {
            let message = (*list).C_SignMessage.unwrap();
            message(session.handle, std::ptr::null_mut(), 0, data, size, out.as_mut_ptr(), &raw mut length)
        })
    };
    // SAFETY: the mechanism outlives the call.
    let init =
        Mech::new(CKM_ECDSA_SHA256).with(|m| unsafe { (*list).C_MessageSignInit.unwrap()(session.handle, m, key) });
    assert_eq!(Rv(init), Rv(CKR_OK));
    assert_eq!(sign(MESSAGE), Rv(CKR_FUNCTION_REJECTED));
    approve_data("messages", MESSAGE);
    assert_eq!(sign(b"another"), Rv(CKR_FUNCTION_REJECTED));
    assert_eq!(sign(MESSAGE), Rv(CKR_OK));
    assert_eq!(sign(MESSAGE), Rv(CKR_FUNCTION_REJECTED));
}

#[test]
fn a_policy_that_comes_to_ask_for_approvals_asks_for_all_data_or_a_new_beginning() {
    if built::only_kmss("policies") {
        return;
    }
    let free = "allow anyone to sign any key\n";
    let session = vault("midway", free);
    let (_, key) = pair(&session);
    let ask = || apply("--token midway", "p", &format!("allow anyone to sign any key {ONE}\n"));
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    ask();
    denied(finish_sign(&session, MESSAGE));
    assert!(reason("midway").contains("kmss approve"));
    approve_data("midway", MESSAGE);
    apply("--token midway", "p", free);
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    ask();
    finish_sign(&session, MESSAGE).unwrap();
    // Of data that came in before, nobody knows what it was.
    apply("--token midway", "p", free);
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    // SAFETY: the part outlives the call.
    let updated = unsafe {
        let part = MESSAGE.as_ptr().cast_mut();
        (*session.module.list).C_SignUpdate.unwrap()(session.handle, part, MESSAGE.len() as CK_ULONG)
    };
    assert_eq!(Rv(updated), Rv(CKR_OK));
    ask();
    let (mut out, mut length) = ([0_u8; 64], 64);
    // SAFETY: the buffer outlives the call.
    let last =
        unsafe { (*session.module.list).C_SignFinal.unwrap()(session.handle, out.as_mut_ptr(), &raw mut length) };
    assert_eq!(Rv(last), Rv(CKR_FUNCTION_REJECTED));
    assert!(reason("midway").contains("begin it anew"));
    // And one that asks no more lets it pass.
    session.sign_init(CKM_ECDSA_SHA256, key).unwrap();
    apply("--token midway", "p", free);
    finish_sign(&session, MESSAGE).unwrap();
}

#[test]
fn of_two_quorums_none_is_spent_without_the_other() {
    if built::only_kmss("policies") {
        return;
    }
    let session = vault("double", &format!("allow anyone to sign any key {ONE} require 1 of role:auditor\n"));
    let (_, key) = pair(&session);
    kmss("token user add double carol").env("KMSS_NEW_PIN", "user-pin").succeed();
    kmss("token user roles double carol auditor").succeed();
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    let open = waiting("double");
    assert_eq!(open.len(), 2);
    let of = |role: &str| open.iter().find(|one| one["role"] == role).unwrap()["request"].as_str().unwrap().to_owned();
    // Both are told at once.
    assert!(reason("double").contains(&of("custodian")) && reason("double").contains(&of("auditor")));
    assert!(approve("double", "alice", &of("custodian")).success());
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
    assert_eq!(waiting("double").iter().filter(|one| one["approvers"].as_array().unwrap().len() == 1).count(), 1);
    assert!(approve("double", "carol", &of("auditor")).success());
    session.sign(CKM_ECDSA_SHA256, key, MESSAGE).unwrap();
    assert!(waiting("double").is_empty());
    denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
}

#[test]
fn a_pair_is_one_key_to_those_who_approve() {
    if built::only_kmss("policies") {
        return;
    }
    let label = "paired";
    let rules = format!("allow anyone to generate, manage, destroy any key {ONE}\n");
    let session = vault(label, &rules);
    let one = || {
        let open = waiting(label);
        assert_eq!(open.len(), 1, "{open:?}");
        open[0]["request"].as_str().unwrap().to_owned()
    };
    let say_yes = || assert!(approve(label, "alice", &one()).success());
    // Made together.
    let generate = |name: &str| {
        let public = [kmss_tests::p11::raw(CKA_EC_PARAMS, kmss_tests::p11::curve::P256), text(CKA_LABEL, name)];
        let both = [flag(CKA_TOKEN, true), text(CKA_LABEL, name)];
        session.generate_pair(CKM_EC_KEY_PAIR_GEN, &[&public[..], &both[..1]].concat(), &both)
    };
    denied(generate("new"));
    assert_eq!(waiting(label)[0]["key"]["name"], "new");
    say_yes();
    // What was approved is a key of this name.
    denied(generate("other"));
    let (public, private) = generate("new").unwrap();
    denied(generate("new"));
    // Destroyed one after the other, in either order.
    for (first, second) in [(private, public), (pair(&session).0, pair(&session).1)] {
        denied(session.destroy(first));
        let open = waiting(label).into_iter().find(|open| open["action"] == "destroy").unwrap();
        assert!(approve(label, "alice", open["request"].as_str().unwrap()).success());
        session.destroy(first).unwrap();
        session.destroy(second).unwrap();
    }
    // By the command, as well, and no key of the same name takes what is left.
    apply("--token paired", "p", "allow anyone to anything\nallow anyone to anything with any key\n");
    let _ = ec_pair(&session, "twin");
    apply("--token paired", "p", &format!("allow anyone to anything with any key {ONE}\n"));
    let destroy = || kmss("key destroy twin --token paired --yes").run();
    assert!(!destroy().success());
    let open = waiting(label).into_iter().find(|open| open["key"]["name"] == "twin").unwrap();
    assert!(approve(label, "alice", open["request"].as_str().unwrap()).success());
    let done = destroy();
    assert!(done.success(), "{done}");
    let of = |class| session.find(&[ulong(CKA_CLASS, class), text(CKA_LABEL, "twin")]).unwrap();
    assert!(of(CKO_PUBLIC_KEY).is_empty() && of(CKO_PRIVATE_KEY).is_empty());
}

#[test]
fn approvals_of_wrapping_name_the_key_that_is_wrapped() {
    if built::only_kmss("policies") {
        return;
    }
    let label = "wrapped";
    let session = vault(label, "allow anyone to anything\nallow anyone to anything with any key\n");
    let kek = secret(&session);
    let keys = ["one", "two"].map(|name| session.generate(CKM_AES_KEY_GEN, &aes_template(name, true)).unwrap());
    apply("--token wrapped", "p", &format!("allow anyone to export any key\nallow anyone to wrap key:secret {ONE}\n"));
    let wrap = |key| session.wrap(CKM_AES_KEY_WRAP, kek, key);
    denied(wrap(keys[0]));
    let open = waiting(label);
    assert_eq!(open[0]["with"][0]["name"], "one", "{open:?}");
    assert!(approve(label, "alice", open[0]["request"].as_str().unwrap()).success());
    denied(wrap(keys[1]));
    wrap(keys[0]).unwrap();
    denied(wrap(keys[0]));
}
