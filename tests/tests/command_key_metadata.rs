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
