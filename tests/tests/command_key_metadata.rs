//! `kmss key describe`, `alias` and the searches of `list`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;
use serde_json::Value;

const TOKEN: &str = "main";

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(&format!("{words} --token {TOKEN}"))
}

fn items(home: &Home, words: &str) -> Vec<Value> {
    json_items(&kmss(home, words).words("--json").succeed())
}

fn names(home: &Home, words: &str) -> Vec<String> {
    items(home, words).iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_are_found_by_what_is_said_of_them() {
    if built::only_kmss("key describe") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for (name, kind, id) in [("pay", "ec:p256", "01"), ("card", "aes:256", "02"), ("log", "aes:256", "03")] {
        home.generate(TOKEN, name, kind, id);
    }
    kmss(&home, "key describe pay --owner payments --purpose sign").succeed();
    kmss(&home, "key describe card --owner payments").arg("--description").arg("card data at rest").succeed();
    kmss(&home, "key tag card pci hot").succeed();
    kmss(&home, "key tag log hot").succeed();
    assert_eq!(names(&home, "key list --owner payments"), ["card", "pay"]);
    assert_eq!(names(&home, "key list --owner payments --purpose sign"), ["pay"]);
    assert_eq!(names(&home, "key list --tag hot"), ["card", "log"]);
    assert_eq!(names(&home, "key list --tag hot --tag pci"), ["card"]);
    assert!(names(&home, "key list --owner nobody").is_empty());
    kmss(&home, "key list --purpose fly").fail().mentions("no purpose");
    kmss(&home, "key describe card").fail();
    kmss(&home, "key describe card").arg("--owner").arg("").succeed();
    assert_eq!(names(&home, "key list --owner payments"), ["pay"]);
    kmss(&home, "key show card").succeed().mentions("card data at rest");
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

#[test]
fn a_key_does_nothing_beside_its_purpose() {
    if built::only_kmss("key describe") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "rsa:2048", "01");
    fs::write(home.file("msg"), "text").unwrap();
    let sign = "--sign --id 01 --mechanism SHA256-RSA-PKCS --input-file msg --output-file sig";
    kmss(&home, "key describe pay --purpose encrypt").succeed();
    home.pkcs11_tool(TOKEN, sign).fail();
    kmss(&home, "key describe pay --purpose sign").succeed();
    home.pkcs11_tool(TOKEN, sign).succeed();
    // New versions have it, too.
    kmss(&home, "key rotate pay").succeed();
    assert_eq!(items(&home, "key show pay")[0]["purpose"], "sign");
    // What is said later holds for the former ones as well, whichever is named, and for both halves.
    kmss(&home, "key describe pay --purpose encrypt --owner shop").succeed();
    kmss(&home, "key tag pay@1 pci").succeed();
    for name in ["pay", "pay@1"] {
        let halves = items(&home, &format!("key show {name}"));
        assert_eq!(halves.len(), 2);
        for half in halves {
            assert_eq!(
                (&half["purpose"], &half["owner"], &half["tags"][0]),
                (&"encrypt".into(), &"shop".into(), &"pci".into())
            );
        }
    }
    kmss(&home, "key describe pay --purpose any").succeed();
    assert!(items(&home, "key show pay")[0]["purpose"].is_null());
}

#[test]
fn an_alias_goes_from_one_key_to_another_and_follows_the_name() {
    if built::only_kmss("key alias") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "one", "ec:p256", "01");
    home.generate(TOKEN, "two", "aes:256", "02");
    let behind = || items(&home, "key show current")[0]["name"].clone();
    kmss(&home, "key alias current --to one").succeed();
    assert_eq!(behind(), "one");
    kmss(&home, "key alias current --to two").succeed();
    assert_eq!(behind(), "two");
    kmss(&home, "key alias one --to two").fail().mentions("a key is named");
    kmss(&home, "key generate current --type aes:256").fail().mentions("exists already");
    kmss(&home, "key rename one current").fail().mentions("taken");
    kmss(&home, "key rotate current").succeed();
    let shown = &items(&home, "key show current")[0];
    assert_eq!((&shown["name"], &shown["lifecycle"]["version"]), (&"two".into(), &2.into()));
    kmss(&home, "key rename one three").succeed();
    kmss(&home, "key alias current --to three").succeed();
    kmss(&home, "key rename three four").succeed();
    assert_eq!(behind(), "four");
    kmss(&home, "key alias current --remove").succeed();
    kmss(&home, "key show current").fail();
    kmss(&home, "key alias current --remove").fail().mentions("no key has this alias");
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

/// From now on every pkcs11-tool is called so.
fn be(home: &Home, name: &str) {
    let tool = fs::canonicalize("/usr/bin/pkcs11-tool").unwrap();
    let rule = format!("[[principal]]\nexecutable = \"{}\"\nname = \"{name}\"\n", tool.display());
    fs::write(home.path().join("kmss.toml"), rule).unwrap();
}

fn signs(home: &Home) -> Program {
    fs::write(home.file("msg"), "text").unwrap();
    let sign = "--sign --id 01 --mechanism ECDSA-SHA256 --input-file msg --output-file sig";
    home.pkcs11_tool(TOKEN, sign)
}

#[test]
fn a_key_of_a_service_is_used_by_another_only_while_it_is_granted() {
    if built::only_kmss("key grant") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    kmss(&home, "key grant pay --service billing").fail().mentions("belongs to no service");
    kmss(&home, "key describe pay --service service:order").succeed();
    assert_eq!(names(&home, "key list --service order"), ["pay"]);
    be(&home, "service:order");
    signs(&home).succeed();
    be(&home, "service:billing");
    signs(&home).fail();
    let refused = home.audit(20).into_iter().rev().find(|record| record["outcome"] == "denied").unwrap();
    assert!(refused["reason"].as_str().unwrap().contains("kmss key grant pay --service billing"), "{refused}");
    kmss(&home, "key grant pay --service billing").succeed().mentions("used by the service order, and by billing");
    signs(&home).succeed();
    kmss(&home, "key show pay").succeed().mentions("Granted to");
    kmss(&home, "key grant pay --service billing --remove").succeed().mentions("no other");
    signs(&home).fail();
    // Somebody who is no service uses it neither, and rotates it.
    be(&home, "user:anna");
    signs(&home).fail();
    kmss(&home, "key rotate pay").succeed();
    assert_eq!(names(&home, "key list --service order"), ["pay", "pay@1"]);
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

#[test]
fn an_owner_of_a_service_grants_its_keys_and_sets_its_rule() {
    if built::only_kmss("key grant") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    kmss(&home, "key describe pay --service order").succeed();
    let command = fs::canonicalize(built::command()).unwrap();
    let rule = format!("[[principal]]\nexecutable = \"{}\"\nname = \"user:anna\"\n", command.display());
    fs::write(home.path().join("kmss.toml"), rule).unwrap();
    kmss(&home, "key grant pay --service billing --as-owner").fail().mentions("owns the service `order`");
    kmss(&home, "rule set --service order --types ec:256 --owner user:anna").succeed();
    kmss(&home, "key grant pay --service billing --as-owner").succeed().mentions("billing");
    // Without the officer's PIN.
    let own = |words: &str| kmss(&home, words).env("KMSS_SO_PIN", "not-the-pin");
    own("rule set --service order --types ec:256,aes:256 --owner user:anna").succeed().mentions("in place of");
    own("rule set --service order --types ec:256 --owner user:otto").fail().mentions("not its owner's to say");
    own("rule set --types ec:256").fail();
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

#[test]
fn a_rule_says_what_is_made_at_every_door_and_how_often_it_rotates() {
    if built::only_kmss("rule") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "old", "aes:128", "01");
    kmss(&home, "key generate none").fail().mentions("--type");
    kmss(&home, "rule set").fail().mentions("says nothing");
    kmss(&home, "rule set --types des").fail();
    let said = kmss(&home, "rule set --types aes:256,ec:384 --prefer ec:p384 --rotate 90d").succeed();
    said.mentions("types aes:256,ec:384, prefer ec:p384, rotate 90d");
    kmss(&home, "key generate a --type aes:192").fail().mentions("aes:256, ec:384");
    home.pkcs11_tool(TOKEN, "--keygen --key-type AES:16 --label b --id 02").fail();
    home.pkcs11_tool(TOKEN, "--keygen --key-type AES:32 --label c --id 03").succeed();
    kmss(&home, "key generate d").succeed().mentions("P-384");
    for name in ["c", "d"] {
        assert_eq!(items(&home, &format!("key show {name}"))[0]["lifecycle"]["rotation"]["days"], 90);
    }
    kmss(&home, "key rotation d --every 120d").fail().mentions("every 90 days at least");
    kmss(&home, "key rotation d --every never").fail();
    kmss(&home, "key rotation d --every 30d --uses 100").succeed();
    // What is there stays, and is not made again.
    assert!(items(&home, "key show old")[0]["lifecycle"]["rotation"].is_null());
    kmss(&home, "key rotate old").fail().mentions("not aes:128");
    let rules = items(&home, "rule list");
    assert_eq!((rules.len(), &rules[0]["preferred"], &rules[0]["rotation_days"]), (1, &"ec:p384".into(), &90.into()));
    kmss(&home, "rule remove").succeed();
    assert!(items(&home, "rule list").is_empty());
    kmss(&home, "key generate a --type aes:192").succeed();
    // Where services keep apart, a key belongs to whoever makes it.
    kmss(&home, "rule set --apart").succeed();
    be(&home, "service:order");
    home.pkcs11_tool(TOKEN, "--keygen --key-type AES:32 --label e --id 05").succeed();
    assert_eq!(names(&home, "key list --service order"), ["e"]);
    home.kmss("store check").succeed();
    home.audit_is_whole();
}
