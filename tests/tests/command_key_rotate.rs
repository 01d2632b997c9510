//! `kmss key rotate` and `kmss rotate due`: versions of keys, as operators make them and programs see them.
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

/// Name, state and CKA_ID of each version.
fn versions(home: &Home, name: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = items(home, &format!("key versions {name}"));
    all.iter().map(|one| (text(&one["name"]), text(&one["cka_id"]))).collect()
}

fn pkcs11(home: &Home, words: &str) -> Program {
    home.pkcs11_tool(TOKEN, words)
}

#[test]
fn a_rotated_secret_key_decrypts_what_it_encrypted_and_encrypts_nothing_more() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "aes:256", "01");
    fs::write(home.file("plain"), [7; 32]).unwrap();
    let cipher = "--mechanism AES-CBC --iv 00000000000000000000000000000000";
    let encrypt = |id: &str, out: &str| {
        pkcs11(&home, &format!("--encrypt --id {id} {cipher} --input-file plain --output-file {out}"))
    };
    encrypt("01", "old").succeed();
    kmss(&home, "key rotate pay").succeed().mentions("version 2");
    let known = versions(&home, "pay");
    assert_eq!(known.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pay@1", "pay"]);
    assert_eq!(known[0].1, "01");
    encrypt("01", "nothing").fail();
    let decrypt = format!("--decrypt --id 01 {cipher} --input-file old --output-file again");
    pkcs11(&home, &decrypt).succeed();
    assert_eq!(fs::read(home.file("again")).unwrap(), [7; 32]);
    encrypt(&known[1].1, "new").succeed();
    // The name that programs see leads to the new version; each version has a label of its own.
    let labels = pkcs11(&home, "--list-objects").succeed().text();
    assert!(labels.contains("pay@1"), "{labels}");
    let shown = items(&home, "key show pay@1");
    assert_eq!(shown[0]["state"], "rotated");
    kmss(&home, "key enable pay@1").fail().mentions("rotated, for good");
    kmss(&home, "key rotate pay@1").fail().mentions("version of `pay`");
    kmss(&home, "key rename pay other").fail().mentions("keeps that");
    kmss(&home, "key rotate pay").succeed().mentions("version 3");
    assert_eq!(versions(&home, "pay").len(), 3);
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

#[test]
fn names_of_versions_are_nobodys_to_choose() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "aes:256", "01");
    kmss(&home, "key generate pay@2 --type aes:256").fail().mentions("version of a key");
    kmss(&home, "key rename pay pay@7").fail().mentions("version of a key");
    kmss(&home, "key generate me@example --type aes:256").succeed();
    // Programs may give any label; the name that policies know says another thing.
    pkcs11(&home, "--keygen --key-type AES:32 --label pay@1 --id 02").succeed();
    let names: Vec<Value> = items(&home, "key list").iter().map(|key| key["name"].clone()).collect();
    assert!(names.contains(&"pay-1".into()), "{names:?}");
    kmss(&home, "key rotate pay").succeed();
}

#[test]
fn a_version_made_ahead_takes_the_name_when_it_is_told_to() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "aes:256", "01");
    kmss(&home, "key activate pay").fail().mentions("no version");
    kmss(&home, "key rotate pay --ahead").succeed().mentions("pay@2");
    kmss(&home, "key rotate pay --ahead").fail().mentions("pending already");
    assert_eq!(items(&home, "key show pay@2")[0]["state"], "pre-active");
    assert_eq!(items(&home, "rotate due --dry-run")[0]["step"], "pending");
    kmss(&home, "key activate pay").succeed().mentions("version 2");
    assert_eq!(versions(&home, "pay").iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pay@1", "pay"]);
    // One that has a moment takes it from then on, by whoever looks after what is due.
    kmss(&home, "key rotate pay --ahead --at 2001-01-01").succeed();
    assert_eq!(items(&home, "rotate due --dry-run")[0]["step"], "activate");
    assert_eq!(items(&home, "rotate due")[0]["step"], "activate");
    assert!(items(&home, "rotate due").is_empty());
    assert_eq!(items(&home, "key show pay")[0]["lifecycle"]["version"], 3);
}

#[test]
fn a_pair_with_a_certificate_is_never_without_one() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    kmss(&home, "cert self-sign web --subject CN=one").succeed();
    kmss(&home, "key rotate web").fail().mentions("has a certificate");
    kmss(&home, "key rotate web --ahead").succeed().mentions("web@2");
    kmss(&home, "key activate web").fail().mentions("has none yet");
    assert_eq!(items(&home, "rotate due")[0]["step"], "pending");
    // The authority is somebody else.
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line).succeed();
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=authority -out ca.pem");
    kmss(&home, "cert request web@2 --subject CN=two").arg("--out").arg(home.file("two.csr")).succeed();
    openssl("x509 -req -in two.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out two.pem");
    // A certificate of something else does not count.
    kmss(&home, "cert import ca.pem --name web@2").within(home.folder()).succeed();
    assert_eq!(items(&home, "rotate due")[0]["step"], "pending");
    kmss(&home, "cert import two.pem --name web@2").within(home.folder()).succeed();
    let known = versions(&home, "web");
    assert_eq!(known.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["web@1", "web"]);
    let certificates = items(&home, "cert list");
    let of = |subject: &str| certificates.iter().find(|one| one["subject"] == subject).unwrap();
    assert_eq!((&of("CN=two")["label"], &of("CN=two")["cka_id"]), (&"web".into(), &known[1].1.clone().into()));
    assert_eq!((&of("CN=one")["label"], &of("CN=one")["cka_id"]), (&"web@1".into(), &"01".into()));
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

#[test]
fn policies_know_all_versions_by_one_name() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    let policy =
        "allow anyone to anything\nallow anyone to anything with any key\ndeny anyone to verify with key:pay\n";
    fs::write(home.file("pay.kmss"), policy).unwrap();
    fs::write(home.file("msg"), "text").unwrap();
    pkcs11(&home, "--sign --id 01 --mechanism ECDSA-SHA256 --input-file msg --output-file sig").succeed();
    kmss(&home, "policy apply").arg(home.file("pay.kmss")).succeed();
    let verify = "--verify --id 01 --mechanism ECDSA-SHA256 --input-file msg --signature-file sig";
    pkcs11(&home, verify).fail();
    kmss(&home, "key rotate pay").succeed();
    // The former version has another name and the same policy.
    pkcs11(&home, verify).fail();
}

#[test]
fn a_key_that_is_to_be_rotated_is_named_with_its_day() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    kmss(&home, "rotate due").succeed().mentions("No key is rotated by itself");
    kmss(&home, "key rotation pay --every 12h").fail().mentions("whole days");
    kmss(&home, "key rotation pay --every 90d").succeed().mentions("every 90 days");
    let due = items(&home, "rotate due --dry-run");
    assert_eq!((due.len(), &due[0]["name"], &due[0]["step"]), (1, &"pay".into(), &"waits".into()));
    kmss(&home, "key rotate pay").succeed();
    // What was said of the key holds for its new version.
    assert_eq!(items(&home, "rotate due")[0]["version"], 2);
    assert!(items(&home, "key show pay@1")[0]["lifecycle"]["rotation"].is_null());
    kmss(&home, "key rotation pay --every never").succeed();
    assert!(items(&home, "rotate due").is_empty());
}

#[test]
fn a_key_that_cannot_be_read_keeps_no_other_one_from_its_rotation() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    for (name, id) in [("one", "01"), ("two", "02")] {
        home.generate(TOKEN, name, "aes:256", id);
        kmss(&home, &format!("key rotate {name} --ahead --at 2001-01-01")).succeed();
    }
    let id = |name: &str| items(&home, &format!("key show {name}"))[0]["id"].as_str().unwrap().to_owned();
    // The one that is looked at first.
    let (first, second) = if id("one") < id("two") { ("one", "two") } else { ("two", "one") };
    let program = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nn = c.execute(sys.argv[2]).rowcount\nc.commit()\nprint(n)";
    let statement = format!("UPDATE kv SET value = zeroblob(200) WHERE key LIKE 'ns/%/obj/{}'", id(first));
    let done = Program::new("python3").args(["-c", program]).arg(home.path().join("store.db")).arg(statement).run();
    if !done.success() {
        built::skipped("there is no python3 with sqlite3 to damage a store with");
        return;
    }
    assert_eq!(done.text().trim(), "1", "{done}");
    let due = kmss(&home, "rotate due --json").run();
    assert!(!due.success() && due.text().contains("activate") && due.text().contains("failed"), "{due}");
    assert_eq!(versions(&home, second).len(), 2);
}

#[test]
fn certificates_are_called_as_their_keys_are() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    // By the name, before the key got a label of its own.
    kmss(&home, "cert self-sign web --subject CN=one").succeed();
    kmss(&home, "key label web Web").succeed();
    kmss(&home, "key rotate web --ahead").succeed();
    kmss(&home, "cert self-sign web@2 --subject CN=two").succeed();
    let certificates = items(&home, "cert list");
    let label = |subject: &str| certificates.iter().find(|one| one["subject"] == subject).unwrap()["label"].clone();
    assert_eq!((label("CN=two"), label("CN=one")), ("Web".into(), "Web@1".into()));
    kmss(&home, "cert export web").succeed().mentions("BEGIN CERTIFICATE");
}

#[test]
fn a_certificate_that_changes_no_name_says_why() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "web", "ec:p256", "01");
    kmss(&home, "cert self-sign web --subject CN=one").succeed();
    kmss(&home, "key rotate web --ahead").succeed();
    kmss(&home, "key suspend web").succeed();
    kmss(&home, "cert self-sign web@2 --subject CN=two").fail().mentions("suspended");
    kmss(&home, "key enable web").succeed();
    assert_eq!(items(&home, "rotate due")[0]["step"], "activate");
}

fn sign(home: &Home, by: &str) -> Program {
    fs::write(home.file("msg"), "text").unwrap();
    pkcs11(home, &format!("--sign {by} --mechanism ECDSA-SHA256 --input-file msg --output-file sig"))
}

#[test]
fn a_key_is_rotated_after_so_many_uses_of_all_processes_once_whoever_looks() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    kmss(&home, "key rotation pay --uses 0").fail();
    kmss(&home, "key rotation pay --every never --uses 3").fail().mentions("nothing beside it");
    kmss(&home, "key rotation pay --uses 3").succeed().mentions("after 3 uses");
    let due = || items(&home, "rotate due --dry-run").remove(0);
    for n in 1..=2 {
        sign(&home, "--id 01").succeed();
        let due = due();
        assert_eq!(
            (&due["uses"]["used"], &due["uses"]["limit"], &due["step"]),
            (&n.into(), &3.into(), &"waits".into())
        );
    }
    // Verifying protects nothing.
    let verify = "--verify --id 01 --mechanism ECDSA-SHA256 --input-file msg --signature-file sig";
    pkcs11(&home, verify).succeed();
    assert_eq!(due()["step"], "waits");
    sign(&home, "--id 01").succeed();
    assert_eq!(due()["step"], "rotate");
    // What is no bound goes on until somebody looks.
    sign(&home, "--id 01").succeed();
    kmss(&home, "rotate due --dry-run").succeed().mentions("4/3 uses");
    std::thread::scope(|all| {
        for _ in 0..4 {
            all.spawn(|| kmss(&home, "rotate due").succeed());
        }
    });
    let known = versions(&home, "pay");
    assert_eq!(known.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pay@1", "pay"]);
    let now = due();
    assert_eq!((&now["version"], &now["uses"]["used"], &now["step"]), (&2.into(), &0.into(), &"waits".into()));
    home.kmss("store check").succeed();
    home.audit_is_whole();
}

#[test]
fn beyond_a_bound_a_key_protects_nothing_until_it_is_rotated() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "ec:p256", "01");
    kmss(&home, "key rotation pay --every 90d --strict").fail().mentions("--uses");
    kmss(&home, "key rotation pay --every 90d --uses 2 --strict").succeed().mentions("refused beyond");
    sign(&home, "--id 01").succeed();
    sign(&home, "--id 01").succeed();
    sign(&home, "--id 01").fail();
    let refused = home.audit(20).into_iter().rev().find(|record| record["outcome"] == "denied").unwrap();
    assert_eq!((&refused["action"], &refused["rule"]), (&"sign".into(), &"rotation:pay".into()), "{refused}");
    // What it protected is still there for everybody.
    let verify = "--verify --id 01 --mechanism ECDSA-SHA256 --input-file msg --signature-file sig";
    pkcs11(&home, verify).succeed();
    assert_eq!(items(&home, "rotate due")[0]["step"], "rotate");
    let new = items(&home, "key show pay")[0]["cka_id"].as_str().unwrap().to_owned();
    sign(&home, &format!("--id {new}")).succeed();
    assert_eq!(items(&home, "rotate due")[0]["uses"]["used"], 1);
    home.audit_is_whole();
}

#[test]
fn a_key_is_rotated_after_so_many_bytes() {
    if built::only_kmss("key rotate") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "pay", "aes:256", "01");
    kmss(&home, "key rotation pay --bytes 1X").fail().mentions("no size");
    kmss(&home, "key rotation pay --bytes 1K").succeed().mentions("after 1024 bytes");
    fs::write(home.file("plain"), [7; 512]).unwrap();
    let cipher = "--mechanism AES-CBC --iv 00000000000000000000000000000000";
    let encrypt = || {
        pkcs11(&home, &format!("--encrypt --id 01 {cipher} --input-file plain --output-file out")).succeed();
        items(&home, "rotate due --dry-run").remove(0)
    };
    let first = encrypt();
    assert_eq!((&first["bytes"]["used"], &first["step"]), (&512.into(), &"waits".into()));
    assert_eq!(encrypt()["step"], "rotate");
}
