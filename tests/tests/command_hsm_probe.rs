//! `kmss hsm probe`, over SoftHSM2, over Kryoptic, and over a module that fails on command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::home::json_items;
use kmss_tests::module::{HSM_PIN, Module};
use serde_json::Value;

fn outcome<'a>(report: &'a Value, name: &str) -> &'a str {
    let behaviours = report["behaviours"].as_array().unwrap();
    let found = behaviours.iter().find(|behaviour| behaviour["name"] == name);
    found.unwrap_or_else(|| panic!("`{name}` was not tried"))["outcome"].as_str().unwrap()
}

#[test]
fn a_probe_of_softhsm_tells_what_it_offers_and_leaves_no_key_behind() {
    let module = Module::softhsm();
    let said = module.probe("--json --only keys,rsa,curves").succeed();
    let report = &json_items(&said)[0];
    assert_eq!(report["known_as"][0], "SoftHSM 2");
    assert_eq!(report["left_behind"], Value::Null);
    assert_eq!(outcome(report, "a key of P-256 signs by ECDSA_SHA256"), "passed");
    assert_eq!(outcome(report, "a key of RSA 2048 decrypts by RSA_PKCS_OAEP of SHA-1"), "passed");
    assert_eq!(outcome(report, "a key of RSA 2048 decrypts by RSA_PKCS_OAEP of SHA-256"), "not-offered");
    assert_eq!(report["proposed_quirks"]["oaep-hashes"][0], "sha1");
    assert_eq!(module.objects(), "");
}

#[test]
fn a_probe_says_in_words_what_it_found() {
    let module = Module::softhsm();
    let text = module.probe("--only curves --all").succeed().text();
    for words in [
        "Known as: SoftHSM 2",
        "holds        a key of P-256 signs by ECDSA_SHA256",
        "Every key of the probe was removed",
    ] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
    assert!(text.contains("WARNING: the device does not tell whether other programs have sessions"), "{text}");
}

#[test]
fn a_probe_tries_a_wrong_pin_once() {
    let module = Module::softhsm().faulty();
    module.note_calls();
    let said = module.probe_with("0000", "--only curves").fail();
    assert!(said.errors().contains("refuses the login"), "{said}");
    assert_eq!(module.calls("C_Login"), 1);
}

#[test]
fn a_device_that_breaks_the_contract_is_told_of_and_exits_with_one() {
    let module = Module::softhsm().faulty();
    // The keys are made, and what they sign is lost.
    module.command("C_Sign CKR_FUNCTION_FAILED");
    let said = module.probe("--only curves").run();
    assert_eq!(said.code(), Some(1), "{said}");
    assert!(said.text().contains("BROKEN       a key of P-256 signs by ECDSA_SHA256"), "{said}");
    module.command("");
    assert_eq!(module.objects(), "");
}

#[test]
fn a_mechanism_that_a_device_lacks_is_not_offered_and_not_missed() {
    let module = Module::softhsm().faulty();
    // CKM_ECDSA, and what hashes itself: SoftHSM2 has none of that.
    module.command("* hide:0x1041");
    let report = &json_items(&module.probe("--json --only curves").succeed())[0];
    assert_eq!(outcome(report, "a key of P-256 signs by ECDSA_SHA256"), "not-offered");
    assert_eq!(outcome(report, "a key of P-256 agrees by ECDH"), "passed");
}

#[test]
fn a_probe_of_another_vendors_module_holds_as_well() {
    let Some(module) = Module::kryoptic() else { return };
    let said = module.probe("--json --only keys,rsa,curves,symmetric").succeed();
    let report = &json_items(&said)[0];
    assert_eq!(report["known_as"][0], "Kryoptic");
    assert_eq!(outcome(report, "a key of P-256 signs by ECDSA_SHA256"), "passed");
    assert_eq!(outcome(report, "a key of RSA 2048 decrypts by RSA_PKCS_OAEP of SHA-256"), "passed");
    assert_eq!(module.objects(), "");
}

#[test]
fn a_probe_without_a_token_or_pin_says_what_is_missing() {
    let module = Module::softhsm();
    let said = module.probe("--label nothing").fail();
    assert!(said.errors().contains("has no such token; it has `contract`"), "{said}");
    let said = module.probe_with("", "--only curves").fail();
    assert!(!said.errors().contains(HSM_PIN), "{said}");
}
