//! Messages in our own format: `kmss encrypt`, `decrypt`, `reencrypt`, `datakey`, `inspect`, in a home, and an independent reader that
//! knows docs/ciphertext.md alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;
use serde_json::Value;

const TOKEN: &str = "main";
const SECRET: &[u8] = b"pay 100 to somebody";

fn skip() -> bool {
    built::only_kmss("messages")
}

/// A home with a token and a secret key of each kind in it, whose values lie beside it.
fn scene() -> Home {
    let home = Home::with_token(TOKEN);
    for (kind, len) in [("aes", 32), ("sm4", 16), ("chacha20", 32)] {
        let value: Vec<u8> = (0..len).map(|n| n * 7 + 1).collect();
        fs::write(home.file(&format!("{kind}.key")), value).unwrap();
        let file = home.file(&format!("{kind}.key"));
        home.kmss("key import")
            .arg(file)
            .words(&format!("--raw --type {kind} --name {kind} --token {TOKEN}"))
            .succeed();
    }
    fs::write(home.file("plain"), SECRET).unwrap();
    home
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(words).within(home.folder())
}

fn encrypt(home: &Home, words: &str) {
    kmss(home, &format!("encrypt --token {TOKEN} {words} plain --out sealed")).succeed();
}

fn json(home: &Home, words: &str) -> Value {
    serde_json::from_str(&kmss(home, words).succeed().text()).unwrap()
}

/// The last records of the trail.
fn records(home: &Home) -> Vec<Value> {
    json_items(&kmss(home, "audit tail -n 400 --json").succeed())
}

#[test]
fn what_is_encrypted_decrypts_with_what_was_said_of_it() {
    if skip() {
        return;
    }
    let home = scene();
    for (key, algorithm) in [
        ("aes", "aes-256-gcm"),
        ("aes", "chacha20-poly1305"),
        ("aes", "deterministic-aes-siv"),
        ("sm4", "sm4-gcm"),
        ("chacha20", "chacha20-poly1305"),
    ] {
        encrypt(&home, &format!("{key} --algorithm {algorithm} --context tenant=7 --context account=42"));
        let said = kmss(&home, "decrypt --token main --context account=42 --context tenant=7 sealed").succeed();
        assert_eq!(said.text().as_bytes(), SECRET);
        kmss(&home, "decrypt --token main --context account=42 sealed").fail().mentions("does not decrypt");
        let told = json(&home, "inspect sealed --json");
        assert_eq!((told["algorithm"].as_str(), told["plaintext_bytes"].as_u64()), (Some(algorithm), Some(19)));
        assert_eq!(told["deterministic"].as_bool(), Some(algorithm.starts_with("deterministic")));
    }
    kmss(&home, "encrypt aes --token main --algorithm sm4-gcm plain --out x").fail().mentions("wants an SM4 key");
    kmss(&home, "inspect plain").fail().mentions("no ciphertext of ours");
}

#[test]
fn a_context_that_was_used_is_marked_in_the_record_and_not_told() {
    if skip() {
        return;
    }
    let home = scene();
    encrypt(&home, "aes --context account=number-42");
    kmss(&home, "decrypt --token main sealed").fail();
    let records = records(&home);
    let of = |action: &str| records.iter().rfind(|record| record["action"] == action).unwrap().clone();
    let (encrypted, decrypted) = (of("encrypt"), of("decrypt"));
    assert_eq!(encrypted["mechanism"], "NATIVE_AES_256_GCM");
    assert!(encrypted["context"]["account"].is_string(), "{encrypted}");
    assert!(!encrypted.to_string().contains("number-42"));
    assert_eq!(decrypted["outcome"], "failed", "{decrypted}");
    // What names no key at all is recorded as well.
    fs::write(home.file("sealed"), b"KMSC and nothing else").unwrap();
    let before = self::records(&home).iter().filter(|record| record["action"] == "decrypt").count();
    kmss(&home, "decrypt --token main sealed").fail().mentions("does not decrypt");
    let after = self::records(&home).iter().filter(|record| record["action"] == "decrypt").count();
    assert_eq!(after, before + 1);
}

#[test]
fn equal_plaintexts_are_equal_only_where_that_is_asked_for() {
    if skip() {
        return;
    }
    let home = scene();
    let sealed = |words: &str| {
        encrypt(&home, words);
        fs::read(home.file("sealed")).unwrap()
    };
    let deterministic = "aes --algorithm deterministic-aes-siv --context table=a";
    assert_eq!(sealed(deterministic), sealed(deterministic));
    assert_ne!(sealed(deterministic), sealed("aes --algorithm deterministic-aes-siv --context table=b"));
    assert_ne!(sealed("aes"), sealed("aes"));
}

#[test]
fn a_message_goes_to_another_key_and_context_through_base64_too() {
    if skip() {
        return;
    }
    let home = scene();
    let encrypted = json(&home, "encrypt aes --token main --context a=1 plain --json");
    fs::write(home.file("text"), encrypted["ciphertext"].as_str().unwrap()).unwrap();
    kmss(&home, "reencrypt sm4 --token main --context a=1 --new-context b=2 text --base64 --out moved").succeed();
    assert_eq!(json(&home, "inspect moved --json")["algorithm"], "sm4-gcm");
    let said = kmss(&home, "decrypt --token main --context b=2 moved").succeed();
    assert_eq!(said.text().as_bytes(), SECRET);
    kmss(&home, "decrypt --token main --context a=1 moved").fail();
    let tagged = records(&home).into_iter().filter(|record| record["tags"].to_string().contains("reencrypt"));
    let actions: Vec<String> = tagged.map(|record| record["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["decrypt", "encrypt"]);
}

#[test]
fn a_data_key_comes_in_clear_and_encrypted_or_encrypted_alone() {
    if skip() {
        return;
    }
    let home = scene();
    let made = json(&home, "datakey aes --token main --context a=1 --json");
    fs::write(home.file("sealed"), made["ciphertext"].as_str().unwrap()).unwrap();
    let opened = json(&home, "decrypt --token main --context a=1 sealed --json");
    assert_eq!(opened["plaintext"], made["plaintext"]);
    let alone = json(&home, "datakey aes --token main --bytes 64 --without-plaintext --json");
    assert!(alone.get("plaintext").is_none() && alone["ciphertext"].is_string());
    fs::write(home.file("sealed"), alone["ciphertext"].as_str().unwrap()).unwrap();
    assert_eq!(json(&home, "inspect sealed --json")["plaintext_bytes"], 64);
    kmss(&home, "datakey aes --token main --bytes 8").fail().mentions("16 to 1024");
    // The private half of a pair is what its public half belongs to.
    let pair = json(&home, "datakey sm4 --token main --pair ec:p256 --without-plaintext --json");
    assert!(pair.get("private").is_none());
    fs::write(home.file("sealed"), pair["ciphertext"].as_str().unwrap()).unwrap();
    kmss(&home, "decrypt --token main sealed --out pair.der").succeed();
    let public = Program::new("openssl")
        .within(home.folder())
        .words("pkey -inform DER -in pair.der -pubout -outform DER -out pub.der");
    public.succeed();
    let base64 = Program::new("openssl").within(home.folder()).words("base64 -A -in pub.der").succeed().text();
    assert_eq!(base64.trim(), pair["public"].as_str().unwrap());
}

#[test]
fn who_knows_the_document_and_the_key_reads_every_message() {
    if skip() {
        return;
    }
    let Some(clients) = built::clients("python") else { return };
    let (python, script) = (clients.join("bin/python"), built::workspace().join("tests/python/native.py"));
    let home = scene();
    let read = |words: &str| home.program(python.to_str().unwrap()).arg(&script).words(words);
    for (key, algorithm) in [
        ("aes", "aes-256-gcm"),
        ("aes", "chacha20-poly1305"),
        ("aes", "deterministic-aes-siv"),
        ("sm4", "sm4-gcm"),
        ("chacha20", "chacha20-poly1305"),
    ] {
        encrypt(&home, &format!("{key} --algorithm {algorithm} --context tenant=7 --context account=42"));
        let said = read(&format!("{key}.key sealed account=42 tenant=7")).succeed();
        assert_eq!(said.text().as_bytes(), SECRET, "{key} {algorithm}");
        read(&format!("{key}.key sealed account=42")).fail();
    }
}
