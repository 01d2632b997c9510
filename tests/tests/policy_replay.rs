//! Policies and the past by the command: records carry what policies saw, `policy explain` says which rule decides on one,
//! `policy replay` whose decisions a candidate would change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;
use serde_json::Value;

const TOKEN: &str = "web";

/// A home with two keys that sign, and files for what they do.
fn home() -> Home {
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "front", "ec:p256", "01");
    home.generate(TOKEN, "back", "ec:p256", "02");
    fs::write(home.file("digest"), [7; 32]).unwrap();
    home
}

fn sign(home: &Home, id: &str) -> Program {
    home.pkcs11_tool(TOKEN, &format!("--sign --id {id} --mechanism ECDSA --input-file digest --output-file sig"))
}

fn text(home: &Home, name: &str, rules: &str) -> PathBuf {
    let file = home.file(name);
    fs::write(&file, rules).unwrap();
    file
}

fn apply(home: &Home, rules: &str, words: &str) {
    let file = text(home, "orders.kmss", rules);
    home.kmss("policy apply").arg(&file).words(&format!("--token {TOKEN} {words}")).succeed();
}

/// The newest finished signatures with their names, oldest first.
fn signatures(home: &Home) -> Vec<Value> {
    let all = json_items(&home.kmss("audit tail -n 200 --action sign --ids --json").succeed());
    all.into_iter().filter(|one| one["outcome"] != "begun").collect()
}

fn replay(home: &Home, file: &PathBuf, words: &str) -> (Option<i32>, Value) {
    let said = home.kmss("policy replay --json --policy").arg(file).words(words).run();
    let found = json_items(&said);
    assert_eq!(found.len(), 1, "{}", said.all());
    (said.code(), found[0].clone())
}

#[test]
fn records_carry_what_policies_saw_only_where_policies_are_in_force() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    sign(&home, "01").succeed();
    assert!(signatures(&home).last().unwrap().get("policy").is_none());
    apply(&home, "allow user:* to use key:front\ndeny user:* to sign with key:back because \"not this one\"\n", "");
    sign(&home, "01").succeed();
    sign(&home, "02").fail();
    let all = signatures(&home);
    let [.., allowed, denied] = all.as_slice() else { panic!("{all:?}") };
    for (record, decision) in [(allowed, "allow"), (denied, "deny")] {
        let policy = &record["policy"];
        assert_eq!(policy["set"].as_str().map(str::len), Some(16), "{record}");
        let asked = &policy["asked"][0];
        assert_eq!((&asked["action"], &asked["decision"]), (&"sign".into(), &decision.into()), "{record}");
        assert_eq!((asked["bits"].as_u64(), &asked["type"]), (Some(256), &"EC".into()), "{record}");
        assert!(asked["created"].as_u64() > Some(0) && asked["minute"].is_null(), "{record}");
    }
    // Counts are for policies that look at them.
    apply(&home, "allow user:* to use key:front when rate < 100 per minute\n", "");
    sign(&home, "01").succeed();
    let all = signatures(&home);
    let asked = &all.last().unwrap()["policy"]["asked"][0];
    assert!(asked["second"].as_u64() >= Some(1) && asked["minute"].as_u64() >= Some(1), "{asked}");
    home.audit_is_whole();
}

#[test]
fn a_record_is_explained_with_the_rule_its_line_and_what_was_decided_then() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    apply(&home, "allow user:* to use key:front\ndeny user:* to sign with key:back because \"not this one\"\n", "");
    sign(&home, "02").fail();
    let record = signatures(&home).pop().unwrap();
    let id = record["id"].as_str().unwrap();
    let said = home.kmss(&format!("policy explain {id}")).succeed();
    said.mentions("not this one").mentions("line 2").mentions("the policies are the ones that decided then");
    let explain = |name: &str, words: &str| {
        let said = home.kmss(&format!("policy explain {name} --json {words}")).within(home.folder()).succeed();
        json_items(&said).remove(0)
    };
    let by_hash = explain(&record["h"].as_str().unwrap()[..16], "");
    assert_eq!(by_hash["record"], record["id"], "{by_hash}");
    assert_eq!((&by_hash["decision"], by_hash["line"].as_u64()), (&"deny".into(), Some(2)), "{by_hash}");
    assert_eq!(by_hash["then"]["decision"], "deny");
    // Other policies decide otherwise.
    text(&home, "other.kmss", "allow user:* to sign with key:back\n");
    let other = explain(id, "--policy other.kmss");
    assert_eq!((&other["decision"], &other["then"]["decision"]), (&"allow".into(), &"deny".into()), "{other}");
    apply(&home, "allow user:* to use key:back\n", "");
    let now = explain(id, "");
    assert_eq!((&now["decision"], now["same_policies"].as_bool()), (&"allow".into(), Some(false)), "{now}");
    home.kmss("policy explain 0000000000000-0000000000000000:1").fail();
    home.kmss("policy explain abc").fail().mentions("names no record");
}

#[test]
fn a_candidate_is_replayed_and_its_changes_are_grouped_and_counted() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    apply(&home, "allow user:* to use any key\n", "");
    for _ in 0..3 {
        sign(&home, "01").succeed();
    }
    sign(&home, "02").succeed();
    let same = text(&home, "same.kmss", "allow user:* to use any key\nallow user:* to generate any key\n");
    let strict = text(
        &home,
        "strict.kmss",
        "allow user:* to use any key\nallow user:* to generate any key\ndeny anyone to sign with key:front\n",
    );
    let (code, report) = replay(&home, &strict, "--token web");
    assert_eq!((code, report["changed"].as_u64()), (Some(3), Some(3)), "{report}");
    let change = &report["changes"][0];
    assert_eq!(
        (&change["key"], &change["action"], change["count"].as_u64()),
        (&"front".into(), &"sign".into(), Some(3))
    );
    assert_eq!((&change["then"], &change["now"]), (&"allow".into(), &"deny".into()), "{change}");
    let example = change["example"].as_str().unwrap();
    home.kmss(&format!("policy explain {example} --policy strict.kmss"))
        .within(home.folder())
        .succeed()
        .mentions("now   deny")
        .mentions("then  allow");
    let said = home.kmss("policy replay --policy").arg(&strict).run();
    assert_eq!(said.code(), Some(3));
    said.mentions("front").mentions("allow -> deny").mentions("decisions would change");
    let (code, report) = replay(&home, &same, "--since 2020-01-01");
    assert_eq!((code, report["changed"].as_u64()), (Some(0), Some(0)), "{report}");
    assert_eq!(report["undecided"].as_u64(), Some(0), "{report}");
    let (code, report) = replay(&home, &strict, "--until 2020-01-01");
    assert_eq!((code, report["asked"].as_u64()), (Some(0), Some(0)), "{report}");
    home.kmss("policy replay --policy").arg(&same).words("--since nonsense").fail();
}

#[test]
fn what_old_records_do_not_say_is_named_and_what_they_say_is_decided() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    sign(&home, "01").succeed();
    sign(&home, "02").succeed();
    // No policy was ever in force here.
    let tags = text(
        &home,
        "tags.kmss",
        "allow user:* to use any key\nallow user:* to generate any key\ndeny anyone to sign with any key tagged gold\n",
    );
    let (_, report) = replay(&home, &tags, "");
    assert_eq!(report["undecided_by"]["key tags"].as_u64(), Some(2), "{report}");
    let names = text(&home, "names.kmss", "allow user:* to use any key\ndeny anyone to sign with key:back\n");
    let (code, report) = replay(&home, &names, "");
    assert_eq!(code, Some(3), "{report}");
    let changes = report["changes"].as_array().unwrap();
    assert!(changes.iter().any(|c| c["key"] == "back" && c["action"] == "sign" && c["now"] == "deny"), "{report}");
    assert!(!changes.iter().any(|c| c["key"] == "front" && c["action"] == "sign"), "{report}");
}

#[test]
fn differences_of_a_candidate_in_the_shadow_are_readable_in_the_trail() {
    if built::only_kmss("policies") {
        return;
    }
    let home = home();
    apply(&home, "allow user:* to use any key\n", "--name orders");
    apply(&home, "allow user:* to use any key\ndeny anyone to sign with key:back\n", "--name orders --shadow");
    sign(&home, "02").succeed();
    home.kmss("audit tail --action sign").succeed().mentions("in the shadow: ").mentions("would deny it");
    home.audit_is_whole();
}
