//! Blocks through the module and the command: they hold from the next operation of whoever is at work already, survive the
//! end of processes, and are released by whoever may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

use cryptoki_sys::*;
use serde_json::Value;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN, json_items};
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Mech, Token, refused, text};
use kmss_tests::program::Program;
use kmss_tests::rules::{self, aes, denied, ec_pair, kmss, last_denial, records};

const CONFIG: &str = r#"
[[principal]]
token = "stopped"
name = "service:stopped"

[[principal]]
token = "slow"
name = "service:slow"
"#;

fn token(label: &str) -> Token {
    rules::token(CONFIG, label)
}

fn iv() -> Mech {
    Mech::bytes(CKM_AES_CBC_PAD, &[7; 16])
}

/// Blocks as the words say, and the block's name.
fn block(words: &str) -> String {
    let said = json_items(&kmss(&format!("block add {words} --json")).succeed());
    said[0]["id"].as_str().unwrap().to_owned()
}

fn release(id: &str) {
    kmss(&format!("block release {id}")).succeed().mentions("Released");
}

/// What the audit says of changes of blocks in a token.
fn changes(label: &str) -> Vec<Value> {
    let is = |record: &Value| record["tags"][0].as_str().is_some_and(|tag| tag.starts_with("block "));
    records(label).into_iter().filter(is).collect()
}

#[test]
fn a_blocked_key_does_nothing_until_it_is_released_and_all_is_on_record() {
    if built::only_kmss("blocks") {
        return;
    }
    let token = token("kept");
    let session = token.user();
    let (web, other) = (aes(&session, "web"), aes(&session, "other"));
    let sealed = session.encrypt(iv(), web, MESSAGE).unwrap();
    let id = block("--token kept --key web --reason burst");
    denied(session.decrypt(iv(), web, &sealed));
    let refusal = last_denial("kept");
    assert_eq!((&refusal["rule"], &refusal["error"]), (&format!("block:{id}").into(), &"blocked".into()));
    assert!(refusal["reason"].as_str().unwrap().contains("the key `web` is blocked (burst)"), "{refusal}");
    denied(session.destroy(web));
    denied(session.set(web, &[text(CKA_LABEL, "renamed")]));
    denied(session.copy(web, &[]));
    assert_eq!(session.find(&[text(CKA_LABEL, "web")]).unwrap(), [web]);
    session.encrypt(iv(), other, MESSAGE).unwrap();
    // Other processes are stopped too.
    kmss("key delete kept web --yes").fail();
    kmss("block list --token kept").succeed().mentions(&id).mentions("key default/kept/web").mentions("burst");
    kmss(&format!("block show {id}")).succeed().mentions("is blocked until it is released");
    release(&id);
    assert_eq!(session.decrypt(iv(), web, &sealed).unwrap(), MESSAGE);
    kmss(&format!("block release {id}")).fail().mentions("no block");
    let changes = changes("kept");
    let outcomes: Vec<&str> = changes.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["intent", "success", "intent", "success"]);
    let tags: Vec<String> = changes.iter().map(|record| record["tags"].to_string()).collect();
    assert!(tags[0].contains("none -> stopped until released") && tags[0].contains(&format!("block:{id}")), "{tags:?}");
    assert!(tags[2].contains("block release") && tags[2].contains("stopped until released -> none"), "{tags:?}");
}

#[test]
fn a_block_ends_an_operation_before_its_next_output_and_the_next_use_like_the_last() {
    if built::only_kmss("blocks") {
        return;
    }
    let token = token("parts");
    let session = token.user();
    let web = aes(&session, "web");
    let sealed = session.encrypt(iv(), web, &[3; 64]).unwrap();
    session.decrypt_init(iv(), web).unwrap();
    assert!(!session.decrypt_update(&sealed[..48]).unwrap().is_empty());
    let id = block("--token parts --key web");
    denied(session.decrypt_update(&sealed[48..]));
    refused(session.decrypt_final(), CKR_OPERATION_NOT_INITIALIZED);
    release(&id);
    // Uses that follow each other are not decided each on its own.
    let (_, pair) = ec_pair(&session, "pair");
    for _ in 0..5 {
        session.sign(CKM_ECDSA_SHA256, pair, MESSAGE).unwrap();
    }
    let id = block("--token parts --key pair");
    denied(session.sign(CKM_ECDSA_SHA256, pair, MESSAGE));
    release(&id);
    session.sign(CKM_ECDSA_SHA256, pair, MESSAGE).unwrap();
}

#[test]
fn a_blocked_principal_is_stopped_everywhere_others_are_not() {
    if built::only_kmss("blocks") {
        return;
    }
    let stopped = token("stopped").user();
    let free = token("free").user();
    let (mine, theirs) = (aes(&stopped, "k"), aes(&free, "k"));
    let id = block("--principal service:stopped");
    denied(stopped.encrypt(iv(), mine, MESSAGE));
    denied(stopped.random(8));
    denied(stopped.find(&[]));
    free.encrypt(iv(), theirs, MESSAGE).unwrap();
    release(&id);
    stopped.encrypt(iv(), mine, MESSAGE).unwrap();
    // Whoever is blocked does not log in, but as the officer who releases it.
    stopped.logout().unwrap();
    let id = block("--principal service:stopped --token stopped");
    denied(stopped.login(CKU_USER, PIN));
    stopped.login(CKU_SO, SO_PIN).unwrap();
    stopped.logout().unwrap();
    release(&id);
    stopped.login(CKU_USER, PIN).unwrap();
    rules::custodians("stopped", &["carol"]);
    stopped.logout().unwrap();
    let id = block("--principal user:carol@default/stopped");
    denied(rules::login_user(&stopped, "carol", "user-pin"));
    release(&id);
    rules::login_user(&stopped, "carol", "user-pin").unwrap();
    let id = block("--token free");
    denied(free.encrypt(iv(), theirs, MESSAGE));
    release(&id);
}

#[test]
fn a_throttled_principal_works_on_slowly() {
    if built::only_kmss("blocks") {
        return;
    }
    let session = token("slow").user();
    let key = aes(&session, "k");
    let id = block("--principal service:slow --throttle 3 --for 1h");
    let results: Vec<_> = (0..8).map(|_| session.encrypt(iv(), key, MESSAGE)).collect();
    let passed = results.iter().filter(|result| result.is_ok()).count();
    // A second may end in between.
    assert!((3..=6).contains(&passed), "{passed}");
    let refusal = results.into_iter().find(Result::is_err).unwrap();
    refused(refusal, CKR_TOKEN_RESOURCE_EXCEEDED);
    assert_eq!(last_denial("slow")["rule"], format!("block:{id}"));
    release(&id);
    (0..8).for_each(|_| drop(session.encrypt(iv(), key, MESSAGE).unwrap()));
}

#[test]
fn a_block_survives_every_process_and_only_an_officer_releases_it() {
    if built::only_kmss("blocks") {
        return;
    }
    let home = Home::with_token("web");
    home.generate("web", "web", "ec:p256", "01");
    std::fs::write(home.file("data"), MESSAGE).unwrap();
    let sign = || home.pkcs11_tool("web", "--sign -m ECDSA-SHA256 --id 01 -i data -o sig");
    sign().succeed();
    // The home's owner blocks without a PIN, and does not release without one.
    let said = home.kmss("block add --token web --key web --reason test --json").env("KMSS_SO_PIN", "wrong").succeed();
    let id = json_items(&said)[0]["id"].as_str().unwrap().to_owned();
    sign().fail();
    home.kmss(&format!("block release {id}")).env("KMSS_SO_PIN", "wrong").fail();
    sign().fail();
    home.kmss(&format!("block release {id}")).succeed();
    sign().succeed();
    home.kmss("block add --token nowhere").fail().mentions("no token");
    home.kmss("block add --principal nobody").fail().mentions("kind:name");
    home.kmss("block add --token web --until 2001-01-01").fail().mentions("over already");
    home.kmss("block list").succeed().mentions("Nothing is blocked");
    home.audit_is_whole();
}

/// Changes what is stored, behind the back of KMSS. False, said aloud, where that is not possible.
fn tamper(home: &Home, statement: &str) -> bool {
    let program = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nn = c.execute(sys.argv[2]).rowcount\nc.commit()\nprint(n)";
    let done = Program::new("python3").args(["-c", program]).arg(home.path().join("store.db")).arg(statement).run();
    if !done.success() {
        built::skipped("there is no python3 with sqlite3 to damage a store with");
        return false;
    }
    assert_eq!(done.text().trim(), "1", "{done}");
    true
}

#[test]
fn a_block_that_was_damaged_stops_everybody_and_one_that_was_taken_away_is_missed() {
    if built::only_kmss("blocks") {
        return;
    }
    let home = Home::with_token("web");
    home.generate("web", "web", "ec:p256", "01");
    std::fs::write(home.file("data"), MESSAGE).unwrap();
    let sign = || home.pkcs11_tool("web", "--sign -m ECDSA-SHA256 --id 01 -i data -o sig");
    home.kmss("block add --token web --key other").succeed();
    home.kmss("quota set few --token web --total 100").succeed();
    sign().succeed();
    home.kmss("store check").succeed();
    if !tamper(&home, "UPDATE kv SET value = CAST(value || x'00' AS BLOB) WHERE key LIKE 'block/%'") {
        return;
    }
    sign().fail();
    assert!(last_denied(&home).contains("cannot be trusted"));
    let said = home.kmss("store check").run();
    assert!(said.code() == Some(3) && said.all().contains("cannot be trusted"), "{said}");
    tamper(&home, "DELETE FROM kv WHERE key LIKE 'block/%'");
    tamper(&home, "DELETE FROM kv WHERE key LIKE 'quota/rule/%'");
    sign().succeed();
    let said = home.kmss("store check").run();
    assert_eq!(said.code(), Some(3), "{said}");
    assert!(said.all().contains("ordered and never released") && said.all().contains("quota:few of token"), "{said}");
    // What is left out of force by taking away the mark of changes is not.
    home.kmss("block add --token web").succeed();
    sign().fail();
    tamper(&home, "DELETE FROM kv WHERE key = 'quota/edition'");
    sign().fail();
    assert!(last_denied(&home).contains("cannot be trusted"));
}

/// The reason of the last refusal.
fn last_denied(home: &Home) -> String {
    let refused = |record: &Value| record["outcome"] == "denied" || record["outcome"] == "failed";
    let last = home.audit(20).into_iter().rev().find(refused).expect("something was refused");
    last["reason"].as_str().unwrap_or_default().to_owned()
}
