//! `kmss jwt`: tokens that PyJWT verifies and makes, versions of keys, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::{Program, Said};
use serde_json::Value;

const TOKEN: &str = "main";
const CLAIMS: &str = r#"{ "iss": "kmss", "aud": "python", "sub": "somebody" }"#;

/// Algorithms, with the type of their keys.
const ALGORITHMS: [(&str, &str); 12] = [
    ("RS256", "rsa:2048"),
    ("RS384", "rsa:2048"),
    ("RS512", "rsa:2048"),
    ("PS256", "rsa:2048"),
    ("PS384", "rsa:2048"),
    ("PS512", "rsa:2048"),
    ("ES256", "ec:p256"),
    ("ES384", "ec:p384"),
    ("ES512", "ec:p521"),
    ("ES256K", "ec:secp256k1"),
    ("EdDSA", "ed25519"),
    ("EdDSA", "ed448"),
];

fn skip() -> bool {
    built::only_kmss("jwt")
}

fn scene(keys: &[(&str, &str)]) -> Home {
    let home = Home::with_token(TOKEN);
    for (name, kind) in keys {
        kmss(&home, &format!("key generate {name} --type {kind}")).succeed();
    }
    fs::write(home.file("claims"), CLAIMS).unwrap();
    home
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(&format!("{words} --token {TOKEN}")).within(home.folder())
}

fn sign(home: &Home, words: &str) -> String {
    kmss(home, &format!("jwt sign {words}")).succeed().text().trim().to_owned()
}

/// What comes of verifying `token`.
fn verify(home: &Home, words: &str, token: &str) -> Said {
    kmss(home, &format!("jwt verify {words}")).input(token.as_bytes()).run()
}

#[track_caller]
fn refused(home: &Home, words: &str, token: &str, why: &str) {
    let said = verify(home, words, token);
    assert!(said.code() == Some(1) && said.all().contains(why), "{said}");
}

fn python(verb: &str, home: &Home, folder: &str, issuer: &str) -> Option<Said> {
    let program = built::clients("python")?.join("bin/python");
    let script = built::workspace().join("tests/python/use_pyjwt.py");
    Some(Program::new(program).arg(script).arg(verb).arg(home.file(folder)).arg(issuer).succeed())
}

#[test]
fn pyjwt_verifies_what_we_sign_by_every_algorithm() {
    if skip() {
        return;
    }
    let kinds = ["rsa:2048", "ec:p256", "ec:p384", "ec:p521", "ec:secp256k1", "ed25519", "ed448"];
    let names: Vec<String> = kinds.iter().map(|kind| kind.replace(':', "-")).collect();
    let keys: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(kinds).collect();
    let home = scene(&keys);
    fs::create_dir(home.file("ours")).unwrap();
    for (place, (algorithm, kind)) in ALGORITHMS.iter().enumerate() {
        let name = kind.replace(':', "-");
        let words = format!("{name} --algorithm {algorithm} --lifetime 5m claims --out ours/{place}.token");
        kmss(&home, &format!("jwt sign {words}")).succeed();
        let token = fs::read_to_string(home.file(&format!("ours/{place}.token"))).unwrap();
        let claims = verify(&home, &format!("{name} --algorithm {algorithm} --audience python"), &token);
        assert!(claims.success() && claims.text().contains("somebody"), "{claims}");
    }
    let names = names.join(" ");
    kmss(&home, &format!("jwt jwks {names} --algorithm RS256 --out ours/jwks.json")).succeed();
    if let Some(said) = python("check", &home, "ours", "kmss") {
        drop(said.mentions("PyJWT is content with 12"));
    }
    home.audit_is_whole();
}

#[test]
fn we_verify_what_pyjwt_signs_by_every_algorithm() {
    if skip() {
        return;
    }
    let home = scene(&[]);
    fs::create_dir(home.file("theirs")).unwrap();
    if python("make", &home, "theirs", "").is_none() {
        return;
    }
    for (algorithm, kind) in ALGORITHMS {
        let name = match kind {
            "ed25519" => "Ed25519",
            "ed448" => "Ed448",
            _ => algorithm,
        };
        let token = fs::read_to_string(home.file(&format!("theirs/{name}.token"))).unwrap();
        let pem = home.file(&format!("theirs/{name}.pem"));
        kmss(&home, "key import").arg(pem).words(&format!("--name {name}")).succeed();
        let how = format!("{name} --algorithm {algorithm} --issuer python");
        let said = verify(&home, &format!("{how} --audience kmss --json"), &token);
        assert!(said.success(), "{said}");
        let said: Value = serde_json::from_str(&said.text()).unwrap();
        assert_eq!((&said["kid"], &said["claims"]["iss"]), (&format!("{name}@1").into(), &"python".into()));
        refused(&home, &how, &token, "`aud`");
        refused(&home, &format!("{name} --algorithm {algorithm} --audience kmss --issuer kmss"), &token, "`iss`");
        let (before, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{before}.{other}{}", &signature[1..]);
        refused(&home, &format!("{how} --audience kmss"), &forged, "does not verify");
    }
}

#[test]
fn a_key_that_was_rotated_verifies_what_it_signed_until_it_is_revoked() {
    if skip() {
        return;
    }
    let home = scene(&[("login", "ec:p256")]);
    let kids = |set: &str| -> Vec<String> {
        let set: Value = serde_json::from_str(set).unwrap();
        let keys = set["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let jwks = || kmss(&home, "jwt jwks login").succeed().text();
    let first = sign(&home, "login --lifetime 5m claims");
    assert_eq!(kids(&jwks()), ["login@1"]);
    // Who verifies knows the next version before it signs.
    kmss(&home, "key rotate login --ahead").succeed();
    assert_eq!(kids(&jwks()), ["login@1", "login@2"]);
    kmss(&home, "key activate login").succeed();
    let second = sign(&home, "login --lifetime 5m claims");
    assert_eq!(kids(&jwks()), ["login@1", "login@2"]);
    let kid = |token: &str| {
        let said = verify(&home, "login --audience python --json", token);
        assert!(said.success(), "{said}");
        serde_json::from_str::<Value>(&said.text()).unwrap()["kid"].clone()
    };
    assert_eq!((kid(&first), kid(&second)), ("login@1".into(), "login@2".into()));
    // Whoever has a compromised key signs tokens that look as good as ours.
    kmss(&home, "key revoke login@1 --reason key-compromise").succeed();
    assert_eq!(kids(&jwks()), ["login@2"]);
    refused(&home, "login --audience python", &first, "compromised");
    assert!(verify(&home, "login --audience python", &second).success());
    kmss(&home, "key suspend login").succeed();
    assert!(kids(&jwks()).is_empty());
    refused(&home, "login --audience python", &second, "suspended");
    home.audit_is_whole();
}

#[test]
fn a_token_says_neither_how_nor_by_which_key_it_is_verified() {
    if skip() {
        return;
    }
    let home = scene(&[("a", "ec:p256"), ("b", "ec:p256"), ("rsa", "rsa:2048"), ("aes", "aes:256")]);
    let token = sign(&home, "a --lifetime 5m claims");
    refused(&home, "b --audience python", &token, "signed by another key");
    refused(&home, "rsa --audience python", &token, "signed by another key");
    let (_, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}, {"alg":"HS256"}, {"alg":"RS256"} without names of keys.
    for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJSUzI1NiJ9"] {
        for signature in [signature, ""] {
            let forged = format!("{header}.{payload}.{signature}");
            refused(&home, "a --audience python", &forged, "the key's tokens are signed by ES256");
        }
    }
    // {"alg":"ES256"}: the header is signed, too.
    refused(&home, "a --audience python", &format!("eyJhbGciOiJFUzI1NiJ9.{rest}"), "does not verify");
    refused(&home, "a --audience python", "no token", "does not verify");
    let rs256 = sign(&home, "rsa --algorithm RS256 --lifetime 5m claims");
    refused(&home, "rsa --audience python", &rs256, "signed by PS256");
    assert!(verify(&home, "rsa --audience python --algorithm RS256", &rs256).success());
    kmss(&home, "jwt sign a --algorithm RS256 --lifetime 5m claims").fail().mentions("it signs by ES256");
    assert_eq!(kmss(&home, "jwt sign a --algorithm none --lifetime 5m claims").fail().code(), Some(2));
    kmss(&home, "jwt sign aes --lifetime 5m claims").fail().mentions("no private key `aes`");
    // What was refused is in the trail.
    let records = json_items(&home.kmss("audit tail -n 200 --json").succeed());
    let failed = records.iter().filter(|r| r["action"] == "verify" && r["outcome"] != "success");
    assert!(failed.clone().count() >= 10, "{records:?}");
    assert!(failed.clone().all(|r| r["tags"].to_string().contains("jws")), "{records:?}");
    home.audit_is_whole();
}

#[test]
fn claims_hold_for_as_long_as_they_say_and_other_payloads_are_no_claims() {
    if skip() {
        return;
    }
    let home = scene(&[("k", "ed25519")]);
    kmss(&home, "jwt sign k claims").fail().mentions("until when the claims hold");
    let write = |name: &str, text: &str| fs::write(home.file(name), text).unwrap();
    write("past", r#"{"exp":1000000000}"#);
    write("future", r#"{"exp":99999999999,"nbf":99999999998}"#);
    write("twice", r#"{"exp":99999999999,"exp":1}"#);
    refused(&home, "k", &sign(&home, "k past"), "has expired");
    refused(&home, "k", &sign(&home, "k future"), "does not hold yet");
    kmss(&home, "jwt sign k twice").fail().mentions("says nothing twice");
    let endless = sign(&home, "k --endless claims");
    refused(&home, "k --audience python", &endless, "nothing of its end");
    assert!(verify(&home, "k --audience python --endless", &endless).success());
    refused(&home, "k --endless", &endless, "not said who we are");
    let typed = sign(&home, "k --endless --type at+jwt claims");
    refused(&home, "k --audience python --endless", &typed, "another type");
    assert!(verify(&home, "k --audience python --endless --type at+jwt", &typed).success());
    write("bytes", "not JSON");
    let bytes = sign(&home, "k --payload bytes");
    assert_eq!(verify(&home, "k --payload", &bytes).text(), "not JSON");
    refused(&home, "k", &bytes, "holds no claims");
}

#[test]
fn policies_are_told_by_whom_and_for_whom_a_token_is() {
    if skip() {
        return;
    }
    let home = scene(&[("k", "ec:p256")]);
    let rules = "policy issuers\nallow anyone to anything\ndeny anyone to sign when context iss is not kmss\n";
    fs::write(home.file("p.kmss"), rules).unwrap();
    kmss(&home, "policy apply p.kmss").succeed();
    let _ = sign(&home, "k --lifetime 5m claims");
    fs::write(home.file("other"), r#"{"iss":"somebody-else"}"#).unwrap();
    kmss(&home, "jwt sign k --lifetime 5m other").fail().mentions("deny anyone to sign");
    // What is signed otherwise has no issuer at all.
    kmss(&home, "sign k claims --out sig").fail().mentions("deny anyone to sign");
}
