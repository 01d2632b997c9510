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
