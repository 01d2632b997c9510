//! `kmss compat`: business keys and user keys in the formats of other products.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::Program;
use serde_json::{Value, json};

const TOKEN: &str = "main";
const REFUSED: &str = "the ciphertext cannot be decrypted";

fn home() -> Home {
    let home = Home::with_token(TOKEN);
    home.kmss(&format!("key generate b --token {TOKEN} --type sm4 --id 00000000000001c5")).succeed();
    home.kmss(&format!("key generate plain --token {TOKEN} --type aes:128")).succeed();
    home
}

fn compat(home: &Home, words: &str) -> Program {
    home.kmss(&format!("compat {words} --token {TOKEN}")).within(home.folder())
}

#[test]
fn every_form_comes_back_and_has_the_length_that_others_count_on() {
    if built::only_kmss("compat") {
        return;
    }
    let home = home();
    let user = compat(&home, "user-key b --application 11015000").succeed().text();
    fs::write(home.file("user.json"), &user).unwrap();
    let lengths = [
        (16, 148, 284, 116, 44),
        (50, 192, 328, 160, 88),
        (100, 256, 392, 224, 152),
        (150, 320, 460, 288, 216),
        (200, 388, 524, 356, 280),
    ];
    for (len, long, user_long, user_short, short) in lengths {
        let plain = vec![b'p'; len];
        for (words, expected) in [
            ("encrypt b --application 11015000", long),
            ("encrypt --user-key user.json --application 11015000", user_long),
            ("encrypt --user-key user.json --short", user_short),
            ("encrypt b --short", "453.0.1.".len() + short),
        ] {
            let encrypt = || compat(&home, words).input(plain.clone()).succeed().text();
            let (text, again) = (encrypt(), encrypt());
            assert_eq!(text.trim_end().len(), expected, "{words} of {len}");
            assert_eq!(text == again, words.contains("--short"), "{words}");
            let with = if words.contains("user.json --short") { "decrypt --user-key user.json" } else { "decrypt" };
            assert_eq!(compat(&home, with).input(text).succeed().text().as_bytes(), plain, "{words}");
        }
    }
    assert!(compat(&home, "encrypt b --short").input("x").succeed().text().starts_with("453.0.1."));
    let other = compat(&home, "encrypt b --short --iv-number 2").input("x").succeed().text();
    assert!(other.starts_with("453.0.2.") && compat(&home, "decrypt").input(other).succeed().text() == "x");
}

/// What a ciphertext says of itself.
fn told(home: &Home, ciphertext: impl Into<Vec<u8>>) -> Value {
    serde_json::from_str(&home.kmss("inspect --json").input(ciphertext).succeed().text()).unwrap()
}

#[test]
fn every_form_says_what_it_is_without_a_key() {
    if built::only_kmss("compat") {
        return;
    }
    let home = home();
    let user = compat(&home, "user-key b --application 11015000").succeed().text();
    fs::write(home.file("user.json"), &user).unwrap();
    let user: Value = serde_json::from_str(&user).unwrap();
    let encrypt = |words: &str| compat(&home, &format!("encrypt {words}")).input(vec![b'p'; 16]).succeed().text();
    let long = encrypt("b --application 11015000");
    let (short, second) = (encrypt("b --short"), encrypt("b --short --iv-number 2"));
    let user_long = encrypt("--user-key user.json --application 11015000");
    let user_short = encrypt("--user-key user.json --short");
    // Nothing is asked that has a key.
    let home = Home::new();
    let said = told(&home, long.clone());
    let (iv, check) = (&said["iv"], &said["key_check"]);
    assert!(iv.as_str().unwrap().len() == 32 && check.as_str().unwrap().len() == 8, "{said}");
    let expected = json!({
        "format": "business-long", "kind": "business", "algorithm": "SM4-CBC", "padded": true, "ciphertext_len": 32,
        "key": "00000000000001C5", "key_check": check, "application": "11015000", "iv": iv,
    });
    assert_eq!(said, expected);
    // DER, and Base64 in lines.
    assert_eq!(told(&home, base64(&home, &long)), said);
    assert_eq!(told(&home, format!("{}\n{}", &long[..64], &long[64..])), said);
    let mut expected = json!({
        "format": "business-short", "kind": "business", "algorithm": "SM4-CBC", "padded": true, "ciphertext_len": 32,
        "key": "453", "key_version": 0, "iv_number": 1,
    });
    assert_eq!(told(&home, short), expected);
    expected["iv_number"] = 2.into();
    assert_eq!(told(&home, second), expected);
    let (said, shorter) = (told(&home, user_long.clone()), told(&home, user_short));
    let id = user["id"].as_str().unwrap().to_uppercase();
    for (said, format) in [(&said, "user-long"), (&shorter, "user-short")] {
        assert_eq!((&said["format"], &said["kind"], &said["key"]), (&json!(format), &json!("user"), &json!(id)));
    }
    assert_eq!(said["user_key"], told(&home, user["ciphertext"].as_str().unwrap()));
    assert!(shorter.get("user_key").is_none() && shorter.get("application").is_none(), "{shorter}");
    for wrong in ["", "no ciphertext", "453.0.1.AAAA", &long[4..]] {
        home.kmss("inspect").input(wrong).fail().mentions("no ciphertext of ours");
    }
}

#[test]
fn the_example_of_the_document_says_what_is_shown_there() {
    if built::only_kmss("compat") {
        return;
    }
    let page = fs::read_to_string(built::workspace().join("docs/compat-formats.md")).unwrap();
    let (_, example) = page.split_once("$ echo MGwC").unwrap();
    let (text, rest) = example.split_once(" | kmss inspect --json\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let said = Home::new().kmss("inspect --json").input(format!("MGwC{text}\n")).succeed();
    assert_eq!(said.text(), shown);
}

#[test]
fn whatever_is_wrong_is_one_error_and_in_the_audit() {
    if built::only_kmss("compat") {
        return;
    }
    let home = home();
    fs::write(home.file("user.json"), compat(&home, "user-key b --application 11015000").succeed().text()).unwrap();
    let long = compat(&home, "encrypt b --application 11015000").input("plaintext").succeed().text();
    let short = compat(&home, "encrypt --user-key user.json --short").input("plaintext").succeed().text();
    // Padding that is wrong, a key that nobody has, text that is none, another version.
    let mut der = base64(&home, &long);
    // The last byte of the vector: what was seven bytes of padding is none any more.
    let at = der.len() - 45;
    der[at] ^= 1;
    let elsewhere = compat(&home, "encrypt b --short").input("plaintext").succeed().text();
    let wrong = [
        der,
        elsewhere.replacen("453.0", "454.0", 1).into_bytes(),
        elsewhere.replacen("453.0", "453.1", 1).into_bytes(),
        b"no ciphertext".to_vec(),
        // Neither its length nor what it begins with is true.
        format!("MGwD{}", &long[4..]).into_bytes(),
    ];
    for bad in wrong {
        compat(&home, "decrypt").input(bad).fail().mentions(REFUSED);
    }
    compat(&home, "decrypt").input(short).fail().mentions("hand it over");
    let failures =
        home.audit(200).into_iter().filter(|record| record["action"] == "decrypt" && record["outcome"] != "success");
    assert!(failures.count() >= 6);
    compat(&home, "encrypt plain --application 11015000").input("x").fail().mentions("CKA_ID of 8 bytes");
    compat(&home, "encrypt b --application 110").input("x").fail().mentions("eight digits");
}

/// The bytes of a text in Base64, by OpenSSL.
fn base64(home: &Home, text: &str) -> Vec<u8> {
    fs::write(home.file("text"), text).unwrap();
    Program::new("openssl").within(home.folder()).words("base64 -d -A -in text -out bytes").succeed();
    fs::read(home.file("bytes")).unwrap()
}

#[test]
fn user_keys_make_macs() {
    if built::only_kmss("compat") {
        return;
    }
    let home = home();
    for (purpose, hash) in [("hmac-sm3", "sm3"), ("hmac-sha256", "sha256")] {
        let user = compat(&home, &format!("user-key b --application 11015000 --purpose {purpose}")).succeed().text();
        fs::write(home.file("mac.json"), user).unwrap();
        let mac =
            || compat(&home, &format!("mac --user-key mac.json --purpose {purpose}")).input("data").succeed().text();
        let made = mac();
        assert_eq!((made.trim_end().len(), &made), (64, &mac()), "{hash}");
        // The key is 32 bytes, and none for SM4.
        compat(&home, "encrypt --user-key mac.json --short").input("x").fail().mentions(REFUSED);
    }
}

#[test]
fn openssl_and_we_read_what_the_other_encrypted() {
    if built::only_kmss("compat") {
        return;
    }
    const KEY: &str = "0123456789abcdeffedcba9876543210";
    let home = Home::with_token(TOKEN);
    let openssl = |words: &str| Program::new("openssl").within(home.folder()).words(words).succeed().text();
    let raw: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&KEY[2 * at..2 * at + 2], 16).unwrap()).collect();
    fs::write(home.file("raw"), raw).unwrap();
    home.kmss(&format!("key import raw --raw --type sm4 --name b --token {TOKEN} --id d0461e3bef655007"))
        .within(home.folder())
        .succeed();
    let text = compat(&home, "encrypt b --application 11015000").input("attack at dawn").succeed().text();
    let mut der = base64(&home, &text);
    // The sequence as it is laid out: 16 bytes of ciphertext at 14, the vector at 34.
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    fs::write(home.file("ours"), &der[14..30]).unwrap();
    let iv = hex(&der[34..50]);
    assert_eq!(openssl(&format!("enc -d -sm4-cbc -K {KEY} -iv {iv} -in ours")), "attack at dawn");
    fs::write(home.file("plain"), "retreat at ten").unwrap();
    openssl(&format!("enc -sm4-cbc -K {KEY} -iv {iv} -in plain -out theirs"));
    der.splice(14..30, fs::read(home.file("theirs")).unwrap());
    assert_eq!(compat(&home, "decrypt").input(der).succeed().text(), "retreat at ten");
}

#[test]
fn a_ciphertext_is_decrypted_by_none_of_several_keys_that_have_its_id() {
    if built::only_kmss("compat") {
        return;
    }
    let home = home();
    let (long, short) = ("encrypt b --application 11015000", "encrypt b --short");
    let made = [long, short].map(|words| compat(&home, words).input("attack at dawn").succeed().text());
    let second = format!("key generate c --token {TOKEN} --type sm4 --id 00000000000001c5");
    home.kmss(&second).succeed();
    let opened = |text: &str| compat(&home, "decrypt").input(text.to_owned()).run();
    for text in &made {
        let refused = opened(text);
        assert!(!refused.success() && refused.all().contains("different keys have this id"), "{refused}");
    }
    let told = home.audit(5);
    assert!(told.iter().any(|r| r["reason"].as_str().is_some_and(|why| why.contains("different keys"))), "{told:?}");
    home.kmss(&format!("key destroy c --token {TOKEN} --yes")).succeed();
    assert!(made.iter().all(|text| opened(text).text() == "attack at dawn"));
}
