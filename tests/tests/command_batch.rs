//! `kmss batch`: lines of JSON in, lines of JSON out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::Said;
use serde_json::{Value, json};

const TOKEN: &str = "main";

fn batch(home: &Home, lines: &[Value]) -> (Option<i32>, Vec<Value>) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let said = home.kmss(&format!("batch --token {TOKEN}")).input(text).run();
    (said.code(), results(&said))
}

fn results(said: &Said) -> Vec<Value> {
    said.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_line_has_an_answer_of_its_own() {
    if built::only_kmss("batch") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for (name, kind) in
        [("ec", "ec:p256"), ("rsa", "rsa:2048"), ("aes", "aes:256"), ("mac", "hmac:256"), ("off", "ec:p256")]
    {
        home.kmss(&format!("key generate {name} --token {TOKEN} --type {kind}")).succeed();
    }
    home.kmss(&format!("key disable off --token {TOKEN}")).succeed();
    let data = "cGF5IDEwMA==";
    let lines = [
        json!({ "op": "sign", "key": "ec", "data": data }),
        json!({ "op": "sign", "key": "rsa", "algorithm": "rsa-pkcs1-sha256", "data": data }),
        json!({ "op": "mac", "key": "mac", "data": data }),
        json!({ "op": "encrypt", "key": "aes", "context": { "a": "1" }, "data": data }),
        json!({ "op": "sign", "key": "off", "data": data }),
        json!({ "op": "sign", "key": "nobody", "data": data }),
        json!({ "op": "sign", "key": "ec", "data": "no base64!" }),
        json!({ "op": "sign", "key": "ec", "data": data, "context": { "a": "1" } }),
        json!({ "op": "dance", "key": "ec", "data": data }),
        json!("no request"),
    ];
    let (code, done) = batch(&home, &lines);
    assert_eq!((code, done.len()), (Some(4), lines.len()));
    let text = |at: usize, name: &str| done[at][name].as_str().unwrap_or_else(|| panic!("{}", done[at])).to_owned();
    for (at, why) in [
        (4, "disabled"),
        (5, "no such key `nobody`"),
        (6, "Base64"),
        (7, "`context` says nothing"),
        (8, "no request"),
        (9, "no request"),
    ] {
        assert!(text(at, "error").contains(why), "{}", done[at]);
    }
    let lines = [
        json!({ "op": "verify", "key": "ec", "data": data, "signature": text(0, "signature") }),
        json!({ "op": "verify", "key": "ec", "data": "", "signature": text(0, "signature") }),
        json!({ "op": "verify", "key": "ec", "data": data, "signature": "" }),
        json!({ "op": "verify", "key": "rsa", "algorithm": "rsa-pkcs1-sha256", "data": data, "signature": text(1, "signature") }),
        json!({ "op": "decrypt", "context": { "a": "1" }, "data": text(3, "ciphertext") }),
    ];
    let (code, done) = batch(&home, &lines);
    let held: Vec<_> = done.iter().map(|one| one["holds"].as_bool()).collect();
    assert_eq!((code, held), (Some(0), vec![Some(true), Some(false), Some(false), Some(true), None]));
    assert_eq!(done[4]["plaintext"], data);
    let wrong = [json!({ "op": "decrypt", "data": text(3, "ciphertext") })];
    let (code, done) = batch(&home, &wrong);
    assert!(code == Some(4) && done[0]["error"].as_str().unwrap().contains("does not decrypt"));
    // Each is in the trail by itself.
    let records = home.audit(60);
    let of = |action: &str, outcome: &str| {
        records.iter().filter(|r| r["action"] == action && r["outcome"] == outcome).count()
    };
    assert_eq!((of("sign", "success"), of("sign", "denied"), of("verify", "success")), (3, 1, 2));
    assert_eq!((of("encrypt", "success"), of("decrypt", "success")), (1, 1));
    home.audit_is_whole();
}

#[test]
fn more_lines_than_a_call_takes_are_answered_in_order() {
    if built::only_kmss("batch") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("key generate mac --token {TOKEN} --type hmac:256")).succeed();
    let line = |number: usize| json!({ "op": "mac", "key": "mac", "data": if number.is_multiple_of(2) { "AA==" } else { "AQ==" } });
    let lines: Vec<Value> = (0..600).map(line).collect();
    let (code, done) = batch(&home, &lines);
    assert_eq!((code, done.len()), (Some(0), 600));
    assert_ne!(done[0], done[1]);
    assert!(done.iter().enumerate().all(|(at, one)| *one == done[at % 2]));
}

#[test]
fn many_keys_are_made_or_none_where_a_name_is_taken() {
    if built::only_kmss("key generate --count") {
        return;
    }
    let home = Home::with_token(TOKEN);
    let made = home.kmss(&format!("key generate user --count 300 --token {TOKEN} --type aes:256")).succeed();
    assert!(made.text().contains("Generated 300"), "{}", made.text());
    let made = home.kmss(&format!("--json key generate pair --count 3 --token {TOKEN} --type ec:p256")).succeed();
    let made: Vec<Value> = serde_json::from_str(&made.text()).unwrap();
    let names: Vec<_> = made.iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pair-1", "pair-2", "pair-3"]);
    home.kmss(&format!("encrypt user-300 --token {TOKEN}")).input("text").succeed();
    home.kmss(&format!("sign pair-3 --token {TOKEN}")).input("text").succeed();
    let again = home.kmss(&format!("key generate user --count 400 --token {TOKEN} --type aes:256")).fail();
    assert!(again.all().contains("`user-1` exists already"), "{}", again.all());
    let on = home.kmss(&format!("key generate user --count 2 --from 301 --token {TOKEN} --type aes:256")).succeed();
    on.mentions("`user-301` to `user-302`");
    home.kmss(&format!("key destroy user-302 --token {TOKEN} --yes")).succeed();
    home.kmss(&format!("key destroy user-301 --token {TOKEN} --yes")).succeed();
    let listed = home.kmss(&format!("--json key list --token {TOKEN}")).succeed();
    let listed: Vec<Value> = serde_json::from_str(&listed.text()).unwrap();
    // Both halves of a pair are one line.
    assert_eq!(listed.len(), 303);
}

#[test]
fn many_keys_that_end_in_the_middle_say_how_many_there_are_and_how_to_go_on() {
    if built::only_kmss("key generate --count") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("quota set few --token {TOKEN} --actions generate --total 300")).succeed();
    let said = home.kmss(&format!("--json key generate k --count 400 --token {TOKEN} --type aes:256")).fail();
    let said = said.mentions("300 of 400 keys were made: `k-301` was not: ").mentions("--count 100 --from 301");
    let shown: Vec<Value> = serde_json::from_str(&said.text()).unwrap();
    assert_eq!((shown.len(), shown[299]["name"].as_str()), (300, Some("k-300")));
    home.kmss(&format!("quota remove few --token {TOKEN}")).succeed();
    let rest = home.kmss(&format!("key generate k --count 100 --from 301 --token {TOKEN} --type aes:256")).succeed();
    rest.mentions("`k-301` to `k-400`");
    // Where nothing can be made at all, its reason is all that is said.
    home.kmss(&format!("key generate k --from 401 --token {TOKEN} --type aes:256")).fail().mentions("--count");
}
