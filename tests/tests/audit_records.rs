//! What audit records say of changes, through the command and the module.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN};
use serde_json::Value;

const TOKEN: &str = "records";

/// What a record says was changed: what, from, to.
fn changes(record: &Value) -> Vec<(&str, &str, &str)> {
    let all = record["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|change| (word(change, "what"), word(change, "old"), word(change, "new"))).collect()
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[test]
fn a_change_is_announced_and_recorded_with_old_and_new() {
    if built::only_kmss("audit records") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let kmss = |words: &str| home.kmss(words).env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN).succeed();
    kmss(&format!("key generate pay --token {TOKEN} --type aes:256"));
    kmss(&format!("key label pay Kasse --token {TOKEN}"));
    kmss(&format!("key disable pay --token {TOKEN}"));
    kmss(&format!("key tag pay --token {TOKEN} pci gold"));
    kmss(&format!("key audit pay sync --token {TOKEN}"));
    kmss(&format!("key show pay --token {TOKEN}")).mentions("sync");
    kmss(&format!("key rename pay till --token {TOKEN}"));
    home.kmss(&format!("token user add {TOKEN} alice"))
        .env("KMSS_PIN", PIN)
        .env("KMSS_SO_PIN", SO_PIN)
        .env("KMSS_NEW_PIN", "alice-pin")
        .succeed();
    kmss(&format!("token user roles {TOKEN} alice custodian"));
    kmss(&format!("token user roles {TOKEN} alice auditor"));
    let records = home.audit(1000);
    for expected in [
        ("label", "pay", "Kasse"),
        ("state", "enabled", "disabled"),
        ("tags", "", "gold pci"),
        ("audit", "normal", "sync"),
        ("name", "pay", "till"),
    ] {
        let of: Vec<&Value> = records.iter().filter(|record| changes(record).contains(&expected)).collect();
        let outcomes: Vec<&str> = of.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["intent", "success"], "{expected:?} in {records:#?}");
        assert!(of[0]["request"].is_u64() && of[0]["request"] == of[1]["request"], "{of:?}");
    }
    for expected in ["roles [] -> [custodian] for user alice", "roles [custodian] -> [auditor] for user alice"] {
        let said = |record: &&Value| record["tags"].as_array().is_some_and(|tags| tags.iter().any(|t| t == expected));
        assert_eq!(records.iter().filter(said).count(), 2, "{expected}");
    }
    kmss("audit tail -n 100").mentions("state: `enabled` -> `disabled`").mentions("label: `pay` -> `Kasse`");
    home.audit_is_whole();
}
