//! Slots and tokens: the spare slot, PINs and their counters, and what the officer can do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN};
use kmss_tests::p11::{Rv, Token, curve, flag, module, raw, refused, text, token, trimmed, ulong};

fn flags(token: &Token) -> CK_FLAGS {
    token.module.token_info(token.slot).unwrap().flags
}

#[test]
fn there_is_always_one_spare_slot() {
    let spare = module().spare_slot().expect("a spare slot before");
    let info = module().token_info(spare).unwrap();
    assert_eq!(info.flags & CKF_TOKEN_INITIALIZED, 0);
    assert_ne!(module().slot_info(spare).unwrap().flags & CKF_TOKEN_PRESENT, 0, "it can be initialised at once");
    let _taken = token("takes-the-spare");
    assert!(module().spare_slot().is_some(), "a spare slot after");
}

#[test]
fn a_token_says_what_it_is() {
    let (one, two) = (token("says-one"), token("says-two"));
    let (first, second) = (module().token_info(one.slot).unwrap(), module().token_info(two.slot).unwrap());
    assert_eq!(trimmed(&first.label), "says-one");
    assert!(first.label.ends_with(b" "), "padded with blanks");
    assert_ne!(first.serialNumber, second.serialNumber);
    assert!(!trimmed(&first.serialNumber).is_empty());
    assert_ne!(one.slot, two.slot);
    for wanted in [CKF_TOKEN_INITIALIZED, CKF_LOGIN_REQUIRED, CKF_USER_PIN_INITIALIZED, CKF_RNG] {
        assert_ne!(first.flags & wanted, 0, "0x{wanted:x}");
    }
    assert!(first.ulMinPinLen > 0 && first.ulMinPinLen <= first.ulMaxPinLen);
    assert!(!trimmed(&module().slot_info(one.slot).unwrap().manufacturerID).is_empty());
}

#[test]
fn a_token_without_a_user_pin_refuses_the_user() {
    let bare = module().new_bare_token("no-user");
    assert_eq!(flags(&bare) & CKF_USER_PIN_INITIALIZED, 0);
    let session = bare.public();
    refused(session.login(CKU_USER, PIN), CKR_USER_PIN_NOT_INITIALIZED);
}

#[test]
fn wrong_pins_are_counted_and_forgiven_by_a_right_one() {
    if built::only_kmss("count of wrong PINs") {
        return;
    }
    let token = token("counted");
    let session = token.public();
    refused(session.login(CKU_USER, "wrong-pin"), CKR_PIN_INCORRECT);
    assert_ne!(flags(&token) & CKF_USER_PIN_COUNT_LOW, 0);
    session.login(CKU_USER, PIN).unwrap();
    assert_eq!(flags(&token) & CKF_USER_PIN_COUNT_LOW, 0);
    session.logout().unwrap();
    refused(session.login(CKU_SO, "wrong-pin"), CKR_PIN_INCORRECT);
    assert_ne!(flags(&token) & CKF_SO_PIN_COUNT_LOW, 0);
    assert_eq!(flags(&token) & CKF_USER_PIN_COUNT_LOW, 0, "each user has a counter");
}

#[test]
fn too_many_wrong_pins_lock_the_user_until_the_officer_helps() {
    if built::only_kmss("lock after wrong PINs") {
        return;
    }
    let token = token("locked");
    let session = token.user();
    let key =
        session.generate(CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, true), text(CKA_LABEL, "kept")]);
    key.unwrap();
    session.logout().unwrap();
    let mut last_try = false;
    let locked = (0..50).any(|_| {
        last_try |= flags(&token) & CKF_USER_PIN_FINAL_TRY != 0;
        session.login(CKU_USER, "wrong-pin") == Err(Rv(CKR_PIN_LOCKED))
    });
    assert!(locked, "fifty wrong PINs do not lock");
    assert!(last_try, "the last try is announced");
    assert_ne!(flags(&token) & CKF_USER_PIN_LOCKED, 0);
    refused(session.login(CKU_USER, PIN), CKR_PIN_LOCKED);
    session.login(CKU_SO, SO_PIN).unwrap();
    session.init_pin("a-new-pin").unwrap();
    session.logout().unwrap();
    refused(session.login(CKU_USER, PIN), CKR_PIN_INCORRECT);
    session.login(CKU_USER, "a-new-pin").unwrap();
    assert_eq!(session.find(&[text(CKA_LABEL, "kept")]).unwrap().len(), 1);
}

#[test]
fn the_officer_resets_the_pin_and_every_private_object_stays() {
    let token = token("reset");
    let session = token.user();
    let lasting = |label| [flag(CKA_TOKEN, true), text(CKA_LABEL, label)];
    let public = [&[raw(CKA_EC_PARAMS, curve::P256)][..], &lasting("pair")].concat();
    let (public, private) = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &lasting("pair")).unwrap();
    let secret =
        [&[ulong(CKA_CLASS, CKO_DATA), flag(CKA_PRIVATE, true), raw(CKA_VALUE, b"secret")][..], &lasting("data")]
            .concat();
    session.create(&secret).unwrap();
    let before = session.sign(CKM_ECDSA, private, &[1; 32]).unwrap();
    session.logout().unwrap();
    session.login(CKU_SO, SO_PIN).unwrap();
    assert!(session.find(&[text(CKA_LABEL, "data")]).unwrap().is_empty(), "the officer sees no private object");
    session.init_pin("second-pin").unwrap();
    session.logout().unwrap();
    refused(session.login(CKU_USER, PIN), CKR_PIN_INCORRECT);
    session.login(CKU_USER, "second-pin").unwrap();
    let found = session.find(&[text(CKA_LABEL, "data")]).unwrap();
    assert_eq!(session.get(found[0], CKA_VALUE).unwrap(), b"secret");
    let private = session.find(&[text(CKA_LABEL, "pair"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap()[0];
    session.verify(CKM_ECDSA, public, &[1; 32], &before).unwrap();
    let after = session.sign(CKM_ECDSA, private, &[1; 32]).unwrap();
    session.verify(CKM_ECDSA, public, &[1; 32], &after).expect("it is the same key");
    // The officer may change the own PIN, too, and keeps the power to reset.
    session.logout().unwrap();
    session.login(CKU_SO, SO_PIN).unwrap();
    session.set_pin(SO_PIN, "second-officer").unwrap();
    session.logout().unwrap();
    refused(session.login(CKU_SO, SO_PIN), CKR_PIN_INCORRECT);
    session.login(CKU_SO, "second-officer").unwrap();
    session.init_pin("third-pin").unwrap();
    session.logout().unwrap();
    session.login(CKU_USER, "third-pin").unwrap();
    assert_eq!(session.find(&[text(CKA_LABEL, "data")]).unwrap().len(), 1);
}

#[test]
fn initialising_again_empties_a_token_but_keeps_its_place() {
    let token = token("again");
    let serial = module().token_info(token.slot).unwrap().serialNumber;
    let session = token.user();
    let lasting =
        [flag(CKA_TOKEN, true), text(CKA_LABEL, "gone"), ulong(CKA_CLASS, CKO_DATA), flag(CKA_PRIVATE, false)];
    session.create(&lasting).unwrap();
    session.close().unwrap();
    module().init_token(token.slot, SO_PIN, "again-2").unwrap();
    let info = module().token_info(token.slot).unwrap();
    assert_eq!(trimmed(&info.label), "again-2");
    assert_eq!(info.serialNumber, serial, "slot and serial stay");
    assert_eq!(info.flags & CKF_USER_PIN_INITIALIZED, 0, "the user's PIN is gone");
    let session = token.public();
    assert!(session.find(&[]).unwrap().is_empty());
    refused(session.login(CKU_USER, PIN), CKR_USER_PIN_NOT_INITIALIZED);
}

#[test]
fn a_missing_home_is_made_for_its_owner_alone() {
    if built::only_kmss("home that it makes itself") {
        return;
    }
    let home = Home::new();
    assert!(!home.path().exists());
    let init = home.pkcs11_tool("", "--init-token --slot-index 0 --label first --so-pin").arg(SO_PIN);
    init.succeed();
    let mode = std::fs::metadata(home.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    for entry in std::fs::read_dir(home.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "`{}` is open to others", entry.path().display());
    }
    home.pkcs11_tool("", "--list-slots").succeed().mentions("first");
}

#[test]
fn attempts_are_counted_across_processes() {
    if built::only_kmss("count of wrong PINs") {
        return;
    }
    let home = Home::with_token("processes");
    let wrong = || {
        let tool = home.pkcs11_tool("", "--login --pin wrong-pin --token-label processes --list-objects");
        tool.fail().all()
    };
    let locked = (0..50).any(|_| wrong().contains("CKR_PIN_LOCKED"));
    assert!(locked, "each process began to count anew");
    home.pkcs11_tool("processes", "--list-objects").fail().mentions("CKR_PIN_LOCKED");
    home.pkcs11_tool("", "--list-slots").succeed().mentions("user PIN locked");
}

#[test]
fn slots_and_serials_are_the_same_for_the_next_process() {
    let home = Home::new();
    for label in ["one", "two", "three"] {
        home.init_token(label);
    }
    let places = || -> Vec<(String, String)> {
        let text = home.pkcs11_tool("", "--list-slots").succeed().text();
        let slots = text.split("Slot ").skip(1).filter(|slot| slot.contains("serial num"));
        let line = |slot: &str, word: &str| slot.lines().find(|l| l.contains(word)).unwrap_or_default().to_owned();
        slots
            .map(|slot| {
                (
                    slot.split(')').next().unwrap().split('(').nth(1).unwrap().to_owned(),
                    line(slot, "token label") + &line(slot, "serial num"),
                )
            })
            .collect()
    };
    let before = places();
    assert_eq!(before.len(), 3);
    assert_eq!(places(), before);
    home.init_token("four");
    let after = places();
    assert_eq!(after.len(), 4);
    for place in &before {
        assert!(after.contains(place), "{place:?} moved when a token was added: {after:?}");
    }
}

#[test]
fn the_home_tells_a_thief_neither_keys_nor_names() {
    if built::only_kmss("sealed store") {
        return;
    }
    let home = Home::with_token("thief-token");
    home.generate("thief-token", "name-of-a-key", "aes:256", "7468696566");
    let value = "value-that-nobody-reads";
    std::fs::write(home.file("value"), value).unwrap();
    let write =
        "--write-object value --type data --private --label name-of-a-secret --application-label app-of-a-secret";
    home.pkcs11_tool("thief-token", write).succeed();
    home.pkcs11_tool("thief-token", "--list-objects").succeed().mentions("name-of-a-secret");
    let mut files = vec![home.path()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        // The audit names keys on purpose; everything else is silent.
        if path.components().any(|c| c.as_os_str().to_string_lossy().contains("audit")) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        read += bytes.len();
        for word in ["name-of-a-key", "name-of-a-secret", value, PIN, SO_PIN] {
            let found = bytes.windows(word.len()).any(|w| w == word.as_bytes());
            assert!(!found, "`{word}` lies open in `{}`", path.display());
        }
    }
    assert!(read > 4096, "the store is somewhere else: only {read} bytes were read");
}
