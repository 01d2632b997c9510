//! Keys of wallets: signatures as ledgers take them, and pairs that follow from a seed and a path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::{Home, json_items};
use kmss_tests::program::Program;

const TOKEN: &str = "main";

fn skip() -> bool {
    built::only_kmss("wallets")
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(&format!("{words} --token {TOKEN}")).within(home.folder())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SubjectPublicKeyInfo of a key.
fn spki(home: &Home, name: &str) -> Vec<u8> {
    kmss(home, &format!("key export-public {name} --format der --out {name}.der")).succeed();
    fs::read(home.file(&format!("{name}.der"))).unwrap()
}

/// A home with the seed of the first test vector of BIP-32.
fn seeded() -> Home {
    let home = Home::with_token(TOKEN);
    fs::write(home.file("seed"), (0..16).collect::<Vec<u8>>()).unwrap();
    kmss(&home, "key import seed --raw --type hd-seed --name seed").succeed();
    home
}

#[test]
fn a_ledger_finds_the_key_in_a_signature() {
    if skip() {
        return;
    }
    let home = Home::with_token(TOKEN);
    kmss(&home, "key generate coin --type ec:secp256k1").succeed();
    kmss(&home, "key generate nist --type ec:p256").succeed();
    fs::write(home.file("msg"), b"send 5 to somebody").unwrap();
    let _ = spki(&home, "coin");
    let recover = |hash: &str| {
        let script = built::workspace().join("tests/python/ledger.py");
        let said = Program::new("/usr/bin/python3").arg(script).within(home.folder());
        said.words(&format!("coin.der {hash} msg sig")).succeed().mentions("the ledger is content")
    };
    for hash in ["keccak256", "sha256"] {
        for _ in 0..4 {
            kmss(&home, &format!("sign coin --algorithm ecdsa-recoverable-{hash} msg --out sig")).succeed();
            let said = recover(hash).text();
            let verify = format!("verify coin --algorithm ecdsa-recoverable-{hash} --signature sig");
            kmss(&home, &format!("{verify} msg")).succeed().mentions("holds");
            kmss(&home, &format!("{verify} coin.der")).fail().mentions("does not hold");
            // A digest that is ready is signed as its message is.
            if hash == "keccak256" {
                let digest = said.split_whitespace().last().unwrap();
                let bytes = |at: usize| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap();
                fs::write(home.file("digest"), (0..32).map(bytes).collect::<Vec<u8>>()).unwrap();
                kmss(&home, "sign coin --algorithm ecdsa-recoverable-keccak256 --digest digest --out sig").succeed();
                let _ = recover(hash);
            }
        }
    }
    // DER for everybody else, and r ‖ s where that is wanted.
    kmss(&home, "sign coin --algorithm ecdsa-low-s-sha256 msg --out sig").succeed();
    kmss(&home, "key export-public coin --out coin.pem").succeed();
    let openssl = Program::new("openssl").within(home.folder());
    openssl.words("dgst -sha256 -verify coin.pem -signature sig msg").succeed().mentions("Verified OK");
    kmss(&home, "verify coin --algorithm ecdsa-low-s-sha256 --signature sig msg").succeed();
    kmss(&home, "sign coin --algorithm ecdsa-low-s-keccak256 --raw msg --out sig").succeed();
    assert_eq!(fs::read(home.file("sig")).unwrap().len(), 64);
    kmss(&home, "sign coin --algorithm ecdsa-recoverable-keccak256 --digest msg").fail().mentions("32 bytes");
    kmss(&home, "sign nist --algorithm ecdsa-low-s-sha256 msg").fail().mentions("nothing that EC keys sign by");
    home.audit_is_whole();
}

#[test]
fn pairs_follow_from_a_seed_and_are_keys_of_their_own() {
    if skip() {
        return;
    }
    let home = seeded();
    // The test vectors of BIP-32 and SLIP-10: path, curve, x of the public key or all of it.
    for (name, path, curve, public) in [
        ("coin", "m/0'/1", "secp256k1", "501e454bf00751f24b1b489aa925215d66af2234e3891c3b21a52bedb3cd711c"),
        ("nist", "m/0h/1/2h", "p256", "59cf160040778a4b14c5f4d7b76e327ccc8c4a6086dd9451b7482b5a4972dda0"),
        ("ed", "m/0'/1'", "ed25519", "1932a5270f335bed617d5b935c80aedb1a35bd9fc1e31acafd5372c30f5c1187"),
    ] {
        let derive = format!("key derive seed {name} --curve {curve}");
        let said = home.kmss(&format!("{derive} --token {TOKEN} --path")).arg(path).succeed();
        drop(said.mentions("Derived").mentions(&path.replace('h', "'")));
        let spki = hex(&spki(&home, name));
        assert!(spki.contains(public), "{name}: {spki}");
        // What was derived signs, and only that.
        fs::write(home.file("msg"), b"message").unwrap();
        kmss(&home, &format!("sign {name} msg --out sig")).succeed();
        kmss(&home, &format!("verify {name} msg --signature sig")).succeed();
        home.kmss(&format!("{derive} --token {TOKEN} --path")).arg(path).fail().mentions("exists already");
    }
    kmss(&home, "key derive seed soft --curve ed25519 --path m/0").fail().mentions("hardened throughout");
    assert_eq!(kmss(&home, "key derive seed soft --path 0/1").fail().code(), Some(2));
    kmss(&home, "key derive coin soft --path m/0").fail().mentions("there is no seed `coin`");
    kmss(&home, "key generate aes --type aes:256").succeed();
    kmss(&home, "key derive aes soft --path m/0").fail();
    // A seed does nothing else.
    kmss(&home, "mac seed msg").fail().mentions("attributes do not allow sign");
    let tool = home.pkcs11_tool(TOKEN, "--derive --mechanism HKDF-DERIVE --label seed");
    drop(tool.fail());
    kmss(&home, "key generate other --type hd-seed").succeed();
    kmss(&home, "key derive other mine --path m").succeed();
    // Children are there without their seed.
    kmss(&home, "key destroy seed --yes").succeed();
    kmss(&home, "sign coin msg --out sig").succeed();
    home.kmss("store check").succeed();
    let derived = home.audit(60).into_iter().find(|r| r["action"] == "derive-child" && r["outcome"] == "success");
    assert!(derived.unwrap().to_string().contains("m/"));
    home.audit_is_whole();
}

#[test]
fn several_approve_what_is_derived_by_this_path() {
    if skip() {
        return;
    }
    let home = seeded();
    for user in ["alice", "bob"] {
        home.kmss(&format!("token user add {TOKEN} {user}")).env("KMSS_NEW_PIN", "other-pin").succeed();
        home.kmss(&format!("token user roles {TOKEN} {user} custodian")).succeed();
    }
    let rules = "policy wallet\n\
                 allow anyone to find, authenticate, administer, sign, verify, derive\n\
                 deny anyone to derive-child when context path is not \"m/44'/60'/\"*\n\
                 allow anyone to derive-child with key:seed require 2 of role:custodian\n";
    fs::write(home.file("wallet.kmss"), rules).unwrap();
    kmss(&home, "policy apply wallet.kmss").succeed();
    let derive = |path: &str| home.kmss(&format!("key derive seed hot --token {TOKEN} --path")).arg(path);
    drop(derive("m/0'").fail().mentions("deny anyone to derive-child"));
    let path = "m/44'/60'/0'/0/0";
    drop(derive(path).fail().mentions("0 of 2 approvals"));
    let open = json_items(&kmss(&home, "approve --list --json").succeed());
    let id = open[0]["request"].as_str().unwrap().to_owned();
    let approve = |user: &str| kmss(&home, &format!("approve {id} --user {user}")).env("KMSS_PIN", "other-pin");
    approve("alice").succeed();
    drop(derive(path).fail().mentions("1 of 2 approvals"));
    approve("bob").succeed();
    derive(path).succeed();
    kmss(&home, "key show hot").succeed();
    let made = home.audit(40).into_iter().rev().find(|r| r["action"] == "derive-child" && r["outcome"] == "success");
    let tags = made.unwrap()["tags"].to_string();
    assert!(tags.contains("alice@") && tags.contains("bob@"), "{tags}");
    home.audit_is_whole();
}
