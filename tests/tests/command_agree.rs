//! `kmss derive`, `encapsulate`, `decapsulate`, `wrap` and `unwrap`: held against OpenSSL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::{Program, Said};
use kmss_tests::remote::Kmssd;

/// The value of the key that is known outside, in hex.
const BASE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn skip() -> bool {
    built::only_kmss("keys that follow from keys")
}

/// A home with a known secret `base`, and a message.
fn scene() -> Home {
    let home = Home::with_token("main");
    known(&home, "base", "generic");
    fs::write(home.file("msg"), b"a message").unwrap();
    home
}

fn known(home: &Home, name: &str, kind: &str) {
    let value: Vec<u8> = (0..32).collect();
    fs::write(home.file("value"), value).unwrap();
    kmss(home, &format!("key import value --raw --type {kind} --token main --name {name}")).succeed();
}

fn kmss(home: &Home, words: &str) -> Program {
    home.kmss(words).within(home.folder())
}

fn openssl(home: &Home, words: &str) -> Said {
    Program::new("openssl").within(home.folder()).words(words).succeed()
}

/// The MAC of the message by a key of ours.
fn mac(home: &Home, key: &str) -> String {
    kmss(home, &format!("mac {key} --token main msg")).succeed().text().trim().to_owned()
}

/// The same by OpenSSL, with a key in hex as its tools print it.
fn mac_of(home: &Home, key: &str) -> String {
    let key: String = key.chars().filter(char::is_ascii_hexdigit).collect();
    let said = openssl(home, &format!("mac -digest SHA256 -macopt hexkey:{key} -in msg HMAC"));
    said.text().trim().to_ascii_lowercase()
}

#[test]
fn what_is_derived_is_what_openssl_derives() {
    if skip() {
        return;
    }
    let home = scene();
    kmss(&home, "derive base one --token main --type hmac:256 --salt 0a0b --info pay").succeed().mentions("Derived");
    let theirs = openssl(
        &home,
        &format!(
            "kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:{BASE} -kdfopt hexsalt:0a0b -kdfopt info:pay HKDF"
        ),
    );
    assert_eq!(mac(&home, "one"), mac_of(&home, &theirs.text()));
    kmss(&home, "derive base two --token main --type hmac:256 --kdf kbkdf --hash sha512 --info-hex 706179").succeed();
    let theirs = openssl(
        &home,
        &format!(
            "kdf -keylen 32 -kdfopt mac:HMAC -kdfopt digest:SHA512 -kdfopt hexkey:{BASE} -kdfopt salt:pay \
             -kdfopt use-l:0 -kdfopt use-separator:0 KBKDF"
        ),
    );
    assert_eq!(mac(&home, "two"), mac_of(&home, &theirs.text()));
    // Nothing takes the name of a key, and no key is derived of one that may not.
    kmss(&home, "derive base two --token main").fail().mentions("a key named `two` exists already");
    kmss(&home, "derive base x --token main --peer msg").fail().mentions("--peer is for ecdh");
    kmss(&home, "derive base x --token main --type rsa:2048").fail().mentions("no type of secret keys");
    kmss(&home, "key generate cipher --token main --type aes:256").succeed();
    kmss(&home, "derive cipher x --token main").fail().mentions("a secret of type hmac:BITS");
    known(&home, "shut", "generic");
    kmss(&home, "key disable shut --token main").succeed();
    kmss(&home, "derive shut x --token main").fail();
    home.audit_is_whole();
}

#[test]
fn two_sides_agree_on_a_key_and_openssl_is_one_of_them() {
    if skip() {
        return;
    }
    let home = scene();
    for (key, kind, theirs) in
        [("ec", "ec:p256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"), ("x", "x25519", "-algorithm X25519")]
    {
        kmss(&home, &format!("key generate {key} --token main --type {kind}")).succeed();
        kmss(&home, &format!("key export-public {key} --token main --out {key}.pem")).succeed();
        openssl(&home, &format!("genpkey {theirs} -out their.key"));
        openssl(&home, "pkey -in their.key -pubout -out their.pem");
        kmss(
            &home,
            &format!("derive {key} {key}-1 --token main --kdf ecdh --peer their.pem --type hmac:256 --info-hex 0102"),
        )
        .succeed();
        openssl(&home, &format!("pkeyutl -derive -inkey their.key -peerkey {key}.pem -out z"));
        let z: String = fs::read(home.file("z")).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        let derived = openssl(
            &home,
            &format!("kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexsecret:{z} -kdfopt hexinfo:0102 X963KDF"),
        );
        assert_eq!(mac(&home, &format!("{key}-1")), mac_of(&home, &derived.text()), "{key}");
    }
    kmss(&home, "derive ec y --token main --kdf ecdh").fail().mentions("--peer");
    kmss(&home, "derive ec y --token main --kdf ecdh --peer msg").fail();
}

#[test]
fn what_is_encapsulated_is_decapsulated_by_the_private_half_alone() {
    if skip() {
        return;
    }
    let home = scene();
    for (key, kind) in [("kem", "ml-kem:768"), ("ec", "ec:p384"), ("x", "x25519")] {
        kmss(&home, &format!("key generate {key} --token main --type {kind}")).succeed();
        kmss(&home, &format!("encapsulate {key} {key}-out --token main --type hmac:256 --out {key}.kem"))
            .succeed()
            .mentions("kmss decapsulate");
        kmss(&home, &format!("decapsulate {key} {key}-in --token main --type hmac:256 --in {key}.kem")).succeed();
        assert_eq!(mac(&home, &format!("{key}-out")), mac(&home, &format!("{key}-in")), "{key}");
    }
    // Nothing is made where its ciphertext has no place.
    kmss(&home, "encapsulate kem lost --token main --out kem.kem").fail().mentions("is there already");
    kmss(&home, "key show lost --token main").fail();
    kmss(&home, "encapsulate base x --token main --out b.kem").fail();
    kmss(&home, "decapsulate kem x --token main --in msg").fail();
    home.audit_is_whole();
}

#[test]
fn wrapped_keys_go_to_openssl_and_come_from_it() {
    if skip() {
        return;
    }
    let home = scene();
    known(&home, "kek", "aes");
    kmss(&home, "key generate moved --token main --type hmac:256 --extractable").succeed();
    let made = mac(&home, "moved");
    for (how, cipher, iv) in
        [("", "-id-aes256-wrap-pad", "A65959A6"), ("--how kw", "-id-aes256-wrap", "A6A6A6A6A6A6A6A6")]
    {
        let file = how.trim_start_matches("--how ").to_owned() + "w";
        kmss(&home, &format!("wrap moved --token main --under kek {how} --out {file}")).succeed();
        openssl(&home, &format!("enc -d {cipher} -iv {iv} -K {BASE} -in {file} -out clear"));
        let clear: String = fs::read(home.file("clear")).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(mac_of(&home, &clear), made);
        kmss(&home, &format!("unwrap {file} --token main --under kek {how} --type hmac --name back-{file}")).succeed();
        assert_eq!(mac(&home, &format!("back-{file}")), made);
    }
    // Under RSA keys, both ways; what was wrapped otherwise is one error.
    kmss(&home, "key generate rsa --token main --type rsa:3072").succeed();
    kmss(&home, "key export-public rsa --token main --out rsa.pem").succeed();
    let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256";
    openssl(&home, &format!("pkeyutl -encrypt -pubin -inkey rsa.pem -in clear -out sent {oaep}"));
    kmss(&home, "unwrap sent --token main --under rsa --how rsa-oaep --type hmac --name sent").succeed();
    assert_eq!(mac(&home, "sent"), made);
    kmss(&home, "unwrap sent --token main --under rsa --type hmac --name wrong").fail();
    kmss(&home, "wrap moved --token main --under rsa --out far").succeed();
    kmss(&home, "unwrap far --token main --under rsa --type hmac --name far").succeed();
    assert_eq!(mac(&home, "far"), made);
    kmss(&home, "unwrap far --token main --under kek --how rsa-aes --type hmac --name x")
        .fail()
        .mentions("do not wrap so");
    // A private key comes with its public half.
    kmss(&home, "key generate pair --token main --type ec:p256 --extractable").succeed();
    kmss(&home, "wrap pair --token main --under kek --out pair.w").succeed();
    kmss(&home, "unwrap pair.w --token main --under kek --type ec --name pair-2").succeed();
    kmss(&home, "sign pair --token main msg --out sig").succeed();
    kmss(&home, "verify pair-2 --token main msg --signature sig").succeed();
    home.audit_is_whole();
}

#[test]
fn a_server_derives_encapsulates_and_unwraps_as_a_home_does() {
    if skip() {
        return;
    }
    let server = Kmssd::start();
    let home = &server.home;
    let there = |words: &str| {
        let program = Program::new(built::command()).within(home.folder());
        program.arg("--server").arg(server.uri()).words(words)
    };
    let mac = |key: &str| there(&format!("mac {key} --token web msg")).succeed().text();
    fs::write(home.file("msg"), b"a message").unwrap();
    there("key generate base --token web --type hmac:256").succeed();
    for name in ["one", "two"] {
        there(&format!("derive base {name} --token web --type hmac:256 --info pay")).succeed();
    }
    assert_eq!(mac("one"), mac("two"));
    there("key generate kem --token web --type ml-kem:768").succeed();
    there("encapsulate kem out --token web --type hmac:256 --out k.kem").succeed();
    there("decapsulate kem in --token web --type hmac:256 --in k.kem").succeed();
    assert_eq!(mac("out"), mac("in"));
    there("key generate kek --token web --type aes:256").succeed();
    there("key generate moved --token web --type hmac:256 --extractable").succeed();
    there("wrap moved --token web --under kek --out moved.w").succeed();
    there("unwrap moved.w --token web --under kek --type hmac --name back").succeed();
    assert_eq!(mac("moved"), mac("back"));
    home.audit_is_whole();
}
