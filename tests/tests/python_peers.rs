//! Other implementations of what we compute, from PyPI: gmssl on the module, PyCryptodome beside the command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::Program;

const TOKEN: &str = "main";
const CONTEXT: &str = "tenant=7 account=42";

/// The interpreter, and a script; `None`, said aloud, where they do not run.
fn script(name: &str) -> Option<(PathBuf, PathBuf)> {
    if built::only_kmss("SM2, SM3, SM4 and messages that these programs ask for") {
        return None;
    }
    let python = built::clients("python")?.join("bin/python");
    Some((python, built::workspace().join("tests/python").join(name)))
}

/// A home with a token and keys of these types in it, whose values lie beside it.
fn scene(keys: &[(&str, &str, u8)]) -> Home {
    let home = Home::with_token(TOKEN);
    for &(name, kind, len) in keys {
        let value: Vec<u8> = (0..len).map(|n| n * 5 + 3).collect();
        fs::write(home.file(&format!("{name}.key")), value).unwrap();
        kmss(&home, &format!("key import {name}.key --raw --type {kind} --name {name}")).succeed();
    }
    fs::write(home.file("plain"), "pay 100 to somebody").unwrap();
    home
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(words).words(&format!("--token {TOKEN}")).within(home.folder())
}

#[test]
fn gmssl_and_the_module_read_what_the_other_made() {
    let Some((python, script)) = script("use_gmssl.py") else { return };
    let home = Home::with_token(TOKEN);
    let said = home.program(python.to_str().unwrap()).arg(script).arg(built::module());
    said.args([TOKEN, PIN]).succeed().mentions("gmssl is content");
    home.audit_is_whole();
}

#[test]
fn pycryptodome_opens_our_messages_and_we_open_those_that_it_makes() {
    let Some((python, script)) = script("use_pycryptodome.py") else { return };
    let home = scene(&[("aes", "aes", 32), ("chacha20", "chacha20", 32)]);
    fs::write(home.file("reply"), "nothing is owed").unwrap();
    let pycryptodome = |words: &str| Program::new(&python).within(home.folder()).arg(&script).words(words);
    for (key, algorithm) in [
        ("aes", "aes-256-gcm"),
        ("aes", "chacha20-poly1305"),
        ("aes", "deterministic-aes-siv"),
        ("chacha20", "chacha20-poly1305"),
    ] {
        let ours = format!("encrypt {key} --algorithm {algorithm} --context account=42 --context tenant=7");
        kmss(&home, &format!("{ours} plain --out ours")).succeed();
        let opened = pycryptodome(&format!("open {key}.key ours {CONTEXT}")).succeed();
        assert_eq!(opened.text(), "pay 100 to somebody", "{key} {algorithm}");
        pycryptodome(&format!("open {key}.key ours tenant=7")).fail().mentions("ValueError");
        pycryptodome(&format!("seal {key}.key ours reply theirs {CONTEXT}")).succeed();
        let opened = kmss(&home, "decrypt --context tenant=7 --context account=42 theirs").succeed();
        assert_eq!(opened.text(), "nothing is owed", "{key} {algorithm}");
        kmss(&home, "decrypt --context tenant=7 theirs").fail().mentions("does not decrypt");
    }
    // Deterministic is the same on both sides, to the byte.
    let ours = "encrypt aes --algorithm deterministic-aes-siv --context account=42 --context tenant=7 reply --out ours";
    kmss(&home, ours).succeed();
    pycryptodome(&format!("seal aes.key ours reply theirs {CONTEXT}")).succeed();
    assert_eq!(fs::read(home.file("ours")).unwrap(), fs::read(home.file("theirs")).unwrap());
    home.audit_is_whole();
}

#[test]
fn pycryptodome_makes_the_macs_that_we_make() {
    let Some((python, script)) = script("use_pycryptodome.py") else { return };
    let kinds = ["sha256", "sha384", "sha512"];
    let names: Vec<(String, String)> = kinds.iter().map(|h| (format!("hmac-{h}"), format!("hmac:{h}"))).collect();
    let mut keys: Vec<(&str, &str, u8)> = names.iter().map(|(name, kind)| (name.as_str(), kind.as_str(), 48)).collect();
    keys.push(("aes-cmac", "aes", 24));
    let home = scene(&keys);
    for (name, ..) in keys {
        let theirs = Program::new(&python).within(home.folder()).arg(&script);
        let theirs = theirs.words(&format!("mac {name} {name}.key plain")).succeed().text();
        assert_eq!(kmss(&home, &format!("mac {name} plain")).succeed().text(), theirs, "{name}");
        kmss(&home, &format!("mac {name} --verify {} plain", theirs.trim())).succeed();
    }
}

#[test]
fn pycryptodome_verifies_what_we_sign() {
    let Some((python, script)) = script("use_pycryptodome.py") else { return };
    let home = scene(&[]);
    for (name, kind) in [("rsa", "rsa:2048"), ("p256", "ec:p256"), ("p384", "ec:p384"), ("ed", "ed25519")] {
        kmss(&home, &format!("key generate {name} --type {kind}")).succeed();
        kmss(&home, &format!("key export-public {name} --out {name}.pem")).succeed();
    }
    for (key, algorithm) in [
        ("rsa", "rsa-pss-sha256"),
        ("rsa", "rsa-pkcs1-sha512"),
        ("p256", "ecdsa-sha256"),
        ("p384", "ecdsa-sha384"),
        ("ed", "eddsa"),
    ] {
        kmss(&home, &format!("sign {key} --algorithm {algorithm} plain --out sig")).succeed();
        let judged = |file: &str| {
            let judge = Program::new(&python).within(home.folder()).arg(&script);
            judge.words(&format!("verify {algorithm} {key}.pem {file} sig"))
        };
        judged("plain").succeed().mentions("the signature holds");
        judged(&format!("{key}.pem")).fail().mentions("ValueError");
    }
}
