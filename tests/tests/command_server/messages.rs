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
