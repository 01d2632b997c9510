//! Keys in an HSM, rotated and destroyed when they are due: the versions are objects of the device. With a real SoftHSM2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::softhsm::Vault;
use serde_json::Value;

fn items(home: &Home, words: &str) -> Vec<Value> {
    json_items(&home.kmss(&format!("{words} --token pay --json")).succeed())
}

#[test]
fn a_key_of_an_hsm_is_rotated_inside_it() {
    if built::only_kmss("HSMs behind it") {
        return;
    }
    let vault = Vault::new("pay");
    let home = &vault.home;
    home.kmss("key generate web --token pay --type ec:p256 --id 01").succeed();
    fs::write(home.file("msg"), "text").unwrap();
    let sign = |id: &str, out: &str| {
        vault.outside("pay", &format!("--sign --id {id} --mechanism ECDSA-SHA256 --input-file msg --output-file {out}"))
    };
    let verify = |id: &str, of: &str| {
        vault.outside(
            "pay",
            &format!("--verify --id {id} --mechanism ECDSA-SHA256 --input-file msg --signature-file {of}"),
        )
    };
    sign("01", "old").succeed();
    home.kmss("key rotate web --token pay").succeed().mentions("version 2");
    let versions = items(home, "key versions web");
    assert!(versions.iter().all(|version| version["backend"] != "soft"), "{versions:?}");
    let id = versions[1]["cka_id"].as_str().unwrap();
    sign(id, "new").succeed();
    verify(id, "new").succeed();
    sign("01", "nothing").fail();
    verify("01", "old").succeed();
    // The former version goes, in the device as well, and the other stays.
    home.kmss("key destroy web@1 --token pay --yes").succeed();
    verify("01", "old").fail();
    sign(id, "new").succeed();
    home.kmss("store check --token pay").succeed();
    home.audit_is_whole();
}
