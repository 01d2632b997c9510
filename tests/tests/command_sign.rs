//! `kmss sign`, `verify`, `mac`, `hash`, `random`: held against OpenSSL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::{Program, Said};

fn skip() -> bool {
    built::only_kmss("signatures of the command")
}

fn scene(keys: &[(&str, &str)]) -> Home {
    let home = Home::with_token("main");
    for (name, kind) in keys {
        home.kmss(&format!("key generate {name} --token main --type {kind}")).succeed();
    }
    fs::write(home.file("msg"), b"a message").unwrap();
    fs::write(home.file("other"), b"another message").unwrap();
    home
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(words).within(home.folder())
}

fn openssl(home: &Home, words: &str) -> Said {
    Program::new("openssl").within(home.folder()).words(words).succeed()
}

fn public(home: &Home, name: &str) {
    kmss(home, &format!("key export-public {name} --token main --out {name}.pem")).succeed();
}

#[test]
fn signatures_are_those_that_openssl_knows() {
    if skip() {
        return;
    }
    let home = scene(&[("rsa", "rsa:2048"), ("ec", "ec:p256"), ("p384", "ec:p384"), ("ed", "ed25519")]);
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
    for (key, algorithm, verify) in [
        ("rsa", "", format!("dgst -sha256 {pss}")),
        ("rsa", "rsa-pss-sha512", format!("dgst -sha512 {pss}")),
        ("rsa", "rsa-pkcs1-sha384", "dgst -sha384".to_owned()),
        ("ec", "", "dgst -sha256".to_owned()),
        ("ec", "ecdsa-sha3-256", "dgst -sha3-256".to_owned()),
        ("p384", "", "dgst -sha384".to_owned()),
    ] {
        public(&home, key);
        let how = if algorithm.is_empty() { String::new() } else { format!("--algorithm {algorithm}") };
        kmss(&home, &format!("sign {key} --token main {how} msg --out sig")).succeed();
        openssl(&home, &format!("{verify} -verify {key}.pem -signature sig msg")).mentions("Verified OK");
        kmss(&home, &format!("verify {key} --token main {how} msg --signature sig")).succeed().mentions("holds");
        let refused = kmss(&home, &format!("verify {key} --token main {how} other --signature sig")).fail();
        assert_eq!(refused.mentions("does not hold").code(), Some(1));
    }
    public(&home, "ed");
    kmss(&home, "sign ed --token main msg --out sig").succeed();
    openssl(&home, "pkeyutl -verify -rawin -pubin -inkey ed.pem -in msg -sigfile sig");
    kmss(&home, "sign ed --token main --algorithm ecdsa-sha256 msg --out sig")
        .fail()
        .mentions("nothing that Edwards keys sign by");
}

#[test]
fn a_digest_is_signed_as_its_message_is() {
    if skip() {
        return;
    }
    let home = scene(&[("rsa", "rsa:2048"), ("ec", "ec:p256"), ("dsa", "ml-dsa:44"), ("slh", "slh-dsa:sha2-128f")]);
    openssl(&home, "dgst -sha256 -binary -out digest msg");
    for (key, algorithm) in [
        ("rsa", "rsa-pkcs1-sha256"),
        ("rsa", "rsa-pss-sha256"),
        ("ec", "ecdsa-sha256"),
        ("dsa", "ml-dsa-sha256"),
        ("slh", "slh-dsa-sha256"),
    ] {
        kmss(&home, &format!("sign {key} --token main --algorithm {algorithm} --digest digest --out sig")).succeed();
        kmss(&home, &format!("verify {key} --token main --algorithm {algorithm} msg --signature sig")).succeed();
    }
    for key in ["dsa", "slh"] {
        kmss(&home, &format!("sign {key} --token main msg --out sig --base64")).succeed();
        kmss(&home, &format!("verify {key} --token main msg --signature sig --base64")).succeed();
        kmss(&home, &format!("verify {key} --token main other --signature sig --base64")).fail();
    }
}

#[test]
fn sm2_signs_for_whoever_it_is_told() {
    if skip() {
        return;
    }
    let home = scene(&[("sm2", "sm2")]);
    public(&home, "sm2");
    for (ours, theirs) in [("", "1234567812345678"), ("--user-id ann", "ann")] {
        kmss(&home, &format!("sign sm2 --token main {ours} msg --out sig")).succeed();
        let words = format!(
            "pkeyutl -verify -rawin -digest sm3 -pubin -inkey sm2.pem -in msg -sigfile sig -pkeyopt distid:{theirs}"
        );
        openssl(&home, &words);
        kmss(&home, &format!("verify sm2 --token main {ours} msg --signature sig")).succeed();
    }
    kmss(&home, "verify sm2 --token main msg --signature sig").fail();
    kmss(&home, "sign sm2 --token main --raw msg --out sig").succeed();
    assert_eq!(fs::read(home.file("sig")).unwrap().len(), 64);
    kmss(&home, "verify sm2 --token main --raw msg --signature sig").succeed();
}

#[test]
fn macs_and_digests_are_those_of_openssl() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    fs::write(home.file("msg"), b"a message").unwrap();
    let hex = "00112233445566778899aabbccddeeff";
    let value: Vec<u8> = (0..16).map(|n| u8::try_from(n * 0x11).unwrap()).collect();
    fs::write(home.file("key"), value).unwrap();
    for kind in ["aes", "sm4", "hmac:sha384"] {
        let name = kind.split(':').next().unwrap();
        kmss(&home, &format!("key import key --raw --type {kind} --name {name} --token main")).succeed();
    }
    for (key, theirs) in [
        ("aes", "CMAC -cipher AES-128-CBC".to_owned()),
        ("sm4", "CMAC -cipher SM4-CBC".to_owned()),
        ("hmac", "HMAC -digest SHA384".to_owned()),
    ] {
        let (mac, options) = theirs.split_once(' ').unwrap();
        let expected =
            openssl(&home, &format!("mac {options} -macopt hexkey:{hex} -in msg {mac}")).text().to_ascii_lowercase();
        let made = kmss(&home, &format!("mac {key} --token main msg")).succeed().text();
        assert_eq!(made.trim(), expected.trim(), "{key}");
        kmss(&home, &format!("mac {key} --token main msg --verify {made}")).succeed();
        kmss(&home, &format!("mac {key} --token main key --verify {made}")).fail().mentions("does not hold");
    }
    for (ours, theirs) in [("sha256", "sha256"), ("sha3-512", "sha3-512"), ("sha512-256", "sha512-256"), ("sm3", "sm3")]
    {
        let expected = openssl(&home, &format!("dgst -{theirs} -r msg")).text();
        let made = kmss(&home, &format!("hash {ours} --token main msg")).succeed().text();
        assert!(expected.starts_with(made.trim()), "{ours}");
    }
    kmss(&home, "hash md5 --token main msg").fail().mentions("is no hash");
}

#[test]
fn random_bytes_are_as_many_as_asked_for_and_differ() {
    if skip() {
        return;
    }
    let home = Home::with_token("main");
    let draw = || kmss(&home, "random 32 --token main --hex").succeed().text();
    let (one, other) = (draw(), draw());
    assert_eq!(one.trim().len(), 64);
    assert_ne!(one, other);
    kmss(&home, "random 65537 --token main --hex").fail();
}
