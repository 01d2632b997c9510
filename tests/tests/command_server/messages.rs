//! Messages, data keys, signatures and random bytes of a server.

use std::fs;

use kmss_tests::built;

use crate::kit::Kmssd;
use crate::operator::Operator;

#[test]
fn a_server_encrypts_signs_and_draws_as_a_home_does() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    for (name, kind) in [("aes", "aes:256"), ("sm4", "sm4"), ("ec", "ec:p256"), ("mac", "hmac:256")] {
        me.kmss(&format!("key generate {name} --token web --type {kind}")).succeed();
    }
    me.file("plain", "pay 100");
    me.kmss("encrypt aes --token web --context a=1 plain --out sealed").succeed();
    assert_eq!(me.kmss("decrypt --token web --context a=1 sealed").succeed().text(), "pay 100");
    me.kmss("decrypt --token web sealed").fail().mentions("does not decrypt");
    me.kmss("reencrypt sm4 --token web --context a=1 --no-context sealed --out moved").succeed();
    // What the server made is what the home makes.
    let here = server.home.kmss("decrypt --token web").arg(me.folder.file("moved")).succeed();
    assert_eq!(here.text(), "pay 100");
    let made = me.json("datakey aes --token web --bytes 48");
    me.file("key", made[0]["ciphertext"].as_str().unwrap());
    assert_eq!(me.json("decrypt --token web key")[0]["plaintext"], made[0]["plaintext"]);
    me.kmss("datakey aes --token web --pair ed25519 --without-plaintext").succeed().mentions("public: ");

    me.kmss("sign ec --token web plain --out sig").succeed();
    me.kmss("verify ec --token web plain --signature sig").succeed().mentions("holds");
    me.kmss("verify ec --token web sealed --signature sig").fail().mentions("does not hold");
    let mac = me.kmss("mac mac --token web plain").succeed().text();
    me.kmss(&format!("mac mac --token web plain --verify {mac}")).succeed();
    assert_eq!(me.kmss("random 16 --token web --hex").succeed().text().trim().len(), 32);
    server.home.audit_is_whole();
}

#[test]
fn a_policy_of_the_server_sees_the_context() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate aes --token web --type aes:256").succeed();
    let text =
        "policy orders\nallow anyone to anything\ndeny anyone to encrypt, decrypt when context table is not orders\n";
    let file = server.home.file("orders.kmss");
    fs::write(&file, text).unwrap();
    server.home.kmss("policy apply").arg(&file).words("--token web").succeed();
    me.file("plain", "pay 100");
    me.kmss("encrypt aes --token web --context table=orders plain --out sealed").succeed();
    me.kmss("encrypt aes --token web --context table=users plain --out other").fail().mentions("rule");
    assert_eq!(me.kmss("decrypt --token web --context table=orders sealed").succeed().text(), "pay 100");
    me.kmss("decrypt --token web --context table=users sealed").fail().mentions("rule");
}

#[test]
fn a_policy_sees_which_pair_a_data_key_is() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate aes --token web --type aes:256").succeed();
    let text = "policy pairs\nallow anyone to anything\nallow anyone to anything with any key\n\
                deny anyone to encrypt when context has data-key-pair and context data-key-pair is not ec:p256\n";
    let file = server.home.file("pairs.kmss");
    fs::write(&file, text).unwrap();
    server.home.kmss("policy apply").arg(&file).words("--token web").succeed();
    let pair = |words: &str| me.kmss(&format!("datakey aes --token web --without-plaintext {words}"));
    pair("--pair ec:p256").succeed();
    pair("").succeed();
    pair("--pair ec:p384").fail().mentions("rule");
    // Nobody says for himself what the server makes.
    pair("--pair rsa:2048 --context data-key-pair=ec:p256").fail().mentions("rule");
    // What the caller says is what the ciphertext is bound to all the same.
    let made = me.json("datakey aes --token web --pair ec:p256 --context data-key-pair=mine --context a=1");
    me.file("key", made[0]["ciphertext"].as_str().unwrap());
    me.kmss("decrypt --token web --context a=1 --context data-key-pair=mine key --out opened").succeed();
    me.kmss("decrypt --token web --context a=1 --context data-key-pair=ec:p256 key").fail();
}

#[test]
fn tokens_are_signed_and_verified_by_a_server_and_its_set_is_that_of_its_home() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    for (name, kind) in [("ec", "ec:secp256k1"), ("rsa", "rsa:2048")] {
        me.kmss(&format!("key generate {name} --token web --type {kind}")).succeed();
    }
    me.file("claims", r#"{"iss":"me","aud":"shop"}"#);
    me.kmss("jwt sign ec --token web claims").fail().mentions("until when the claims hold");
    me.kmss("jwt sign ec --token web --lifetime 5m claims --out first").succeed();
    me.kmss("key rotate ec --token web").succeed();
    let second = me.json("jwt sign ec --token web --endless claims");
    assert_eq!((&second[0]["kid"], &second[0]["algorithm"]), (&"ec@2".into(), &"ES256K".into()));
    let verified = me.json("jwt verify ec --token web --audience shop --issuer me first");
    assert_eq!((&verified[0]["kid"], &verified[0]["claims"]["iss"]), (&"ec@1".into(), &"me".into()));
    me.kmss("jwt verify ec --token web first").fail().mentions("not said who we are");
    me.kmss("jwt verify ec --token web --audience other first").fail().mentions("`aud`");
    me.kmss("jwt verify rsa --token web --audience shop first").fail().mentions("signed by another key");
    me.kmss("jwt sign rsa --token web --payload --type odd claims --out odd --algorithm RS512").succeed();
    me.kmss("jwt verify rsa --token web --payload odd").fail().mentions("signed by PS256");
    let payload = me.kmss("jwt verify rsa --token web --payload --type odd --algorithm RS512 odd").succeed().text();
    assert_eq!(payload, r#"{"iss":"me","aud":"shop"}"#);
    let set = me.kmss("jwt jwks ec rsa --token web").succeed().text();
    assert_eq!(set, server.home.kmss("jwt jwks ec rsa --token web").succeed().text());
    assert_eq!(set.matches("\"kid\"").count(), 3, "{set}");
    server.home.audit_is_whole();
}

#[test]
fn pairs_follow_from_a_seed_of_a_server() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    let seed = me.folder.file("seed");
    fs::write(&seed, (0..16).collect::<Vec<u8>>()).unwrap();
    me.kmss("key import seed --raw --type hd-seed --name seed --token web").succeed();
    me.kmss("key derive seed coin --token web --path m/0h/1").succeed().mentions("m/0'/1 of `seed`");
    me.kmss("key derive seed coin --token web --path m/0h/1").fail().mentions("exists already");
    me.kmss("key derive seed ed --curve ed25519 --token web --path m/0").fail().mentions("hardened throughout");
    // The first test vector of BIP-32.
    me.kmss("key export-public coin --token web --format der --out coin.der").succeed();
    let spki: String = fs::read(me.folder.file("coin.der")).unwrap().iter().map(|b| format!("{b:02x}")).collect();
    assert!(spki.contains("501e454bf00751f24b1b489aa925215d66af2234e3891c3b21a52bedb3cd711c"), "{spki}");
    me.file("plain", "pay 100");
    me.kmss("sign coin --token web --algorithm ecdsa-recoverable-keccak256 plain --out sig").succeed();
    assert_eq!(fs::read(me.folder.file("sig")).unwrap().len(), 65);
    me.kmss("verify coin --token web --algorithm ecdsa-recoverable-keccak256 --signature sig plain").succeed();
    // What the server made is what its home makes.
    server.home.kmss("key derive seed twin --token web --path m/0h/1").succeed();
    let twin = server.home.kmss("key export-public twin --token web").succeed().text();
    assert_eq!(me.kmss("key export-public coin --token web").succeed().text(), twin);
    server.home.audit_is_whole();
}

#[test]
fn a_server_answers_every_line_of_a_batch_by_itself() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    for (name, kind) in [("ec", "ec:p256"), ("aes", "aes:256"), ("mac", "hmac:256")] {
        me.kmss(&format!("key generate {name} --token web --type {kind}")).succeed();
    }
    let batch = |lines: &str| {
        me.file("lines", lines);
        let said = me.kmss("batch --token web lines").run();
        let answers =
            said.text().lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
        (said.code(), answers)
    };
    let lines = r#"{"op":"sign","key":"ec","data":"AA=="}
        {"op":"encrypt","key":"aes","context":{"a":"1"},"data":"AA=="}
        {"op":"sign","key":"gone","data":"AA=="}
        {"op":"mac","key":"mac","data":"AA=="}"#;
    let (code, done): (_, Vec<serde_json::Value>) = batch(lines);
    assert_eq!((code, done.len()), (Some(4), 4));
    assert!(done[2]["error"].as_str().unwrap().contains("no such key") && done[3]["mac"].is_string());
    let (signature, ciphertext) = (done[0]["signature"].clone(), done[1]["ciphertext"].clone());
    let lines = [
        serde_json::json!({ "op": "verify", "key": "ec", "data": "AA==", "signature": signature }),
        serde_json::json!({ "op": "verify", "key": "ec", "data": "AQ==", "signature": signature }),
        serde_json::json!({ "op": "decrypt", "context": { "a": "1" }, "data": ciphertext }),
        serde_json::json!({ "op": "decrypt", "data": ciphertext }),
    ];
    let (code, done) = batch(&lines.map(|line| line.to_string()).join("\n"));
    assert_eq!((code, &done[0]["holds"], &done[1]["holds"]), (Some(4), &true.into(), &false.into()));
    assert_eq!(done[2]["plaintext"], "AA==");
    assert!(done[3]["error"].as_str().unwrap().contains("the server says: the ciphertext does not decrypt"));
    // More than one call takes.
    let (code, done) = batch(&"{\"op\":\"mac\",\"key\":\"mac\",\"data\":\"AA==\"}\n".repeat(300));
    assert_eq!((code, done.len()), (Some(0), 300));
    server.home.audit_is_whole();
}
