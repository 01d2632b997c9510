//! `kmss key`: the life of keys, as operators change it and programs see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};

const TOKEN: &str = "main";

fn state(home: &Home, name: &str) -> serde_json::Value {
    let all = json_items(&home.kmss(&format!("key show {name} --token {TOKEN} --json")).succeed());
    assert!(all.iter().all(|half| half["state"] == all[0]["state"]), "{all:?}");
    all[0]["state"].clone()
}

fn key(home: &Home, verb: &str, name: &str, rest: &str) -> kmss_tests::program::Program {
    home.kmss(&format!("key {verb} {name} --token {TOKEN}")).words(rest)
}

fn sign(home: &Home) -> kmss_tests::program::Program {
    fs::write(home.file("msg"), "text").unwrap();
    home.pkcs11_tool(TOKEN, "--sign --id 01 --mechanism ECDSA-SHA256 --input-file msg --output-file sig")
}

fn verify(home: &Home) -> kmss_tests::program::Program {
    let words = "--verify --id 01 --mechanism ECDSA-SHA256 --input-file msg --signature-file sig";
    home.pkcs11_tool(TOKEN, words)
}

#[test]
fn what_operators_say_of_a_key_holds_for_programs() {
    if built::only_kmss("key") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    sign(&home).succeed();
    for (verb, said) in
        [("suspend", "suspended"), ("enable", "enabled"), ("disable", "disabled"), ("enable", "enabled")]
    {
        key(&home, verb, "pay", "").succeed();
        assert_eq!(state(&home, "pay"), said);
    }
    key(&home, "archive", "pay", "").succeed().mentions("archived");
    sign(&home).fail();
    verify(&home).succeed();
    key(&home, "enable", "pay", "").fail().mentions("archived, for good");
    key(&home, "revoke", "pay", "--reason key-compromise --why stolen")
        .succeed()
        .mentions("compromised")
        .mentions("stolen");
    verify(&home).succeed();
    let said = home.kmss(&format!("key list --token {TOKEN}")).succeed();
    assert!(said.text().contains("compromised"), "{}", said.text());
    home.kmss(&format!("key enable pay --token {TOKEN}")).fail().mentions("does not become enabled");
    home.audit_is_whole();
}

#[test]
fn a_key_made_ahead_signs_from_its_moment_on() {
    if built::only_kmss("key") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("key generate pay --token {TOKEN} --type ec:p256 --id 01 --pre-active")).succeed();
    assert_eq!(state(&home, "pay"), "pre-active");
    sign(&home).fail();
    key(&home, "schedule", "pay", "--activate 2000-01-01T00:00:00Z").succeed();
    assert_eq!(state(&home, "pay"), "enabled");
    sign(&home).succeed();
    key(&home, "schedule", "pay", "--deactivate 2001-01-01").succeed();
    sign(&home).fail();
    verify(&home).succeed();
    key(&home, "enable", "pay", "").fail().mentions("has passed");
    key(&home, "schedule", "pay", "--deactivate never").succeed();
    sign(&home).succeed();
    key(&home, "schedule", "pay", "--activate nonsense").fail();
    key(&home, "schedule", "pay", "").fail();
}

#[test]
fn a_key_waits_for_its_destruction_out_of_everybodys_reach() {
    if built::only_kmss("key") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    sign(&home).succeed();
    key(&home, "delete", "pay", "--days 3").fail().mentions("7 to 30");
    key(&home, "delete", "pay", "--days 7 --why old").succeed().mentions("pending-deletion");
    sign(&home).fail();
    verify(&home).fail();
    key(&home, "destroy", "pay", "--yes").fail().mentions("not before");
    key(&home, "rename", "pay", "other").fail();
    key(&home, "disable", "pay", "").fail().mentions("call its destruction off");
    let waiting = json_items(&home.kmss(&format!("key purge --token {TOKEN} --json")).succeed());
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|key| key["name"] == "pay" && key["fate"] == "waits"), "{waiting:?}");
    key(&home, "restore", "pay", "").succeed();
    assert_eq!(state(&home, "pay"), "enabled");
    sign(&home).succeed();
    key(&home, "restore", "pay", "").fail().mentions("not to be destroyed");
    assert!(json_items(&home.kmss(&format!("key purge --token {TOKEN} --json")).succeed()).is_empty());
    home.kmss(&format!("key tombstones --token {TOKEN}")).succeed().mentions("No key was destroyed");
    key(&home, "release-name", "pay", "").fail();
    home.kmss("store check").succeed();
}
