//! Keys and certificates.

use std::fs;
use std::time::{Duration, Instant};

use kmss_tests::built;
use kmss_tests::home::json_items;
use kmss_tests::program::Program;
use serde_json::Value;

use crate::kit::{self, Kmssd};
use crate::operator::Operator;

#[test]
fn keys_of_a_server_are_handled_as_keys_of_a_home_are() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate sign --token web --type ec:p256").succeed().mentions("Generated EC P-256 key `sign`");
    me.kmss("key generate wrap --token web --type aes:256 --id 0a0b").succeed();
    me.kmss("key generate sign --token web --type ec:p256").fail().mentions("exists already");
    // The same words and the same JSON, but for the times, as on the home itself.
    let there = json_items(&server.home.kmss("key list --token web --json").succeed());
    assert_eq!(me.json("key list --token web"), there);
    assert_eq!(
        me.kmss("key list --token web").succeed().text(),
        server.home.kmss("key list --token web").succeed().text()
    );
    assert_eq!(
        me.json("key show sign --token web"),
        json_items(&server.home.kmss("key show sign --token web --json").succeed())
    );
    me.kmss("key show nothing --token web").fail().mentions("no key named `nothing`");
    me.kmss("key list --token nothing").fail().mentions("no token is labelled `nothing`");

    me.kmss("key label sign l1 --token web").succeed();
    me.kmss("key rename sign s2 --token web").succeed();
    let parts = me.json("key show s2 --token web");
    assert!(parts.len() == 2 && parts.iter().all(|part| part["label"] == "l1"), "{parts:?}");
    me.kmss("key export-public s2 --token web").succeed().mentions("BEGIN PUBLIC KEY");
    me.kmss("cert self-sign s2 --token web --subject CN=s2 --out s2.pem").succeed();
    me.kmss("cert request s2 --token web --subject CN=s2 --out s2.csr").succeed();
    let openssl = |words: &str| Program::new("openssl").within(me.folder.folder()).words(words).succeed();
    openssl("verify -CAfile s2.pem s2.pem");
    openssl("req -in s2.csr -verify -noout");
    me.kmss("cert import s2.pem --token web --name other").succeed();
    assert_eq!(me.json("cert list --token web").len(), 2);
    assert_eq!(
        me.kmss("cert export s2 --token web").succeed().text(),
        fs::read_to_string(me.folder.file("s2.pem")).unwrap()
    );
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out r.pem");
    me.kmss("key import r.pem --token web --name rsa").succeed().mentions("Imported RSA");
    me.kmss("key destroy wrap --token web --yes").succeed();
    let names: Vec<Value> = me.json("key list --token web").iter().map(|k| k["name"].clone()).collect();
    assert_eq!(names, ["rsa", "s2"]);
    // What was done is in the server's audit, by whom the server knows.
    let made = |record: &Value| record["action"] == "import" && record["object"]["name"] == "rsa";
    assert!(server.home.audit(100).iter().any(made));
    server.home.audit_is_whole();
}

#[test]
fn a_server_makes_tokens_of_values() {
    if built::only_kmss("tokenize") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate cards --token web --type aes:256").succeed();
    // More than one batch.
    let values: String = (0..300).map(|n| format!("{:010}\n", n * 7)).collect();
    let tokens = me.kmss("tokenize cards --token web --format digits --tweak t").input(&*values).succeed().text();
    let here = server.home.kmss("tokenize cards --token web --format digits --tweak t").input(&*values).succeed();
    assert_eq!(tokens, here.text());
    let back = me.kmss("detokenize cards --token web --format digits --tweak t").input(&*tokens).succeed();
    assert_eq!(back.text(), values);
    let masked = me.kmss("detokenize cards --token web --format digits --tweak t --masked").input(&*tokens).succeed();
    assert!(masked.text().starts_with("******0000\n******0007\n"));
    let dates = "1999-12-31\n2001-01-01\n";
    let tokens = me.kmss("tokenize cards --token web --format date --vault").input(dates).succeed().text();
    assert_ne!(tokens, dates);
    let there = server.home.kmss("detokenize cards --token web --format date --vault").input(&*tokens).succeed();
    assert_eq!(there.text(), dates);
    let back = me.kmss("detokenize cards --token web --format date --vault").input(&*tokens).succeed();
    assert_eq!(back.text(), dates);
    me.kmss("detokenize cards --token web --format date --vault").input("1999-02-29").fail().mentions("line 1");
    let said = me.kmss("tokenize cards --token web --format digits").input("123456\n12345\n").fail();
    said.mentions("line 2: the server says: ").mentions("vault");
}

#[test]
fn a_server_speaks_the_formats_of_others() {
    if built::only_kmss("compat") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate b --token web --type sm4 --id d0461e3bef655007").succeed();
    for purpose in ["sm4", "hmac-sm3"] {
        let user = me.kmss(&format!("compat user-key b --token web --application 11015000 --purpose {purpose}"));
        fs::write(me.folder.file(&format!("{purpose}.json")), user.succeed().text()).unwrap();
    }
    for words in [
        "b --application 11015000",
        "b --short",
        "--user-key sm4.json --application 11015000",
        "--user-key sm4.json --short",
    ] {
        let text = me.kmss(&format!("compat encrypt {words} --token web")).input("plaintext").succeed().text();
        let back = me.kmss("compat decrypt --user-key sm4.json --token web").input(text);
        assert_eq!(back.succeed().text(), "plaintext", "{words}");
    }
    let mac = me.kmss("compat mac --user-key hmac-sm3.json --purpose hmac-sm3 --token web").input("data").succeed();
    assert_eq!(mac.text().trim_end().len(), 64);
    me.kmss("compat decrypt --token web").input("nothing").fail().mentions("cannot be decrypted");
}

#[test]
fn state_tags_and_audit_of_a_key_take_the_officers_pin() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate k --token web --type aes:256").succeed();
    me.kmss("key disable k --token web").succeed().mentions("is disabled");
    me.kmss("key tag k payment --token web").succeed();
    me.kmss("key audit k sync --token web").succeed();
    let key = &me.json("key show k --token web")[0];
    assert_eq!((&key["state"], &key["audit"]), (&"disabled".into(), &"sync".into()));
    assert_eq!(key["tags"][0], "payment");
    let wrong = me.kmss("key enable k --token web").env("KMSS_SO_PIN", "wrong-1234").fail();
    wrong.mentions("the server says: ").mentions("request ");
}

#[test]
fn over_tls_the_certificate_says_who_asks_and_a_policy_of_the_server_decides() {
    if built::only_kmss("--server") {
        return;
    }
    let rules = "[[principal]]\nname = \"service:orders\"\nsan = \"DNS:orders\"\n";
    let server = Kmssd::with_tls("", rules);
    let text = "policy orders\nallow anyone to authenticate\nallow service:orders to find, generate\n";
    let file = server.home.file("orders.kmss");
    fs::write(&file, text).unwrap();
    let orders = Operator::by_certificate(&server, &["DNS:orders"]);
    let ledger = Operator::by_certificate(&server, &["DNS:ledger"]);
    ledger.kmss("key generate before --token web --type aes:256").succeed();
    server.home.kmss("policy apply").arg(&file).words("--token web").succeed();
    orders.kmss("key generate mine --token web --type aes:256").succeed();
    let refused = ledger.kmss("key generate mine2 --token web --type aes:256").fail();
    assert_eq!(refused.code(), Some(1));
    refused.mentions("the server says: ");
    orders.kmss("key destroy mine --token web --yes").fail().mentions("the server says: ");
    let denied = |record: &Value| record["outcome"] == "denied" && record["principal"] == "service:ledger";
    assert!(server.home.audit(50).iter().any(denied));
    // Without a certificate nobody comes in, and a server that another authority vouches for is not believed.
    let uri = format!("https://localhost:{}", server.port());
    let ca = orders.folder.file("ca.pem");
    let stranger = Operator::at(&uri);
    stranger.kmss("key list --token web --server-ca").arg(&ca).fail().mentions("does not serve");
    let other = stranger.file("other.pem", &kit::Authority::new().pem());
    stranger.kmss("key list --token web --server-ca").arg(&other).fail().mentions("does not serve");
}

#[test]
fn the_life_of_a_servers_keys_is_theirs_who_ask_for_it() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("lifecycle_s = 1", "");
    let me = Operator::on_socket(&server);
    me.kmss("key generate pay --token web --type ec:p256").succeed();
    me.kmss("key suspend pay --token web").succeed().mentions("suspended");
    me.kmss("key enable pay --token web").succeed();
    me.kmss("key revoke pay --token web --reason superseded --why old").succeed().mentions("revoked");
    me.kmss("key delete pay --token web --days 8").succeed().mentions("pending-deletion");
    assert!(me.json("key purge --token web --dry-run").iter().all(|key| key["fate"] == "waits"));
    me.kmss("key restore pay --token web").succeed().mentions("revoked");
    assert!(me.json("key tombstones --token web").is_empty());
    me.kmss("key release-name pay --token web").fail();

    me.kmss("key generate box --token web --type aes:256").succeed();
    me.kmss("key rotate box --token web").succeed().mentions("version 2");
    me.kmss("key rotation box --token web --every 30d").succeed();
    assert_eq!(me.json("rotate due --token web --dry-run")[0]["step"], "waits");
    let names = |list: Vec<Value>| list.iter().map(|key| key["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(me.json("key versions box --token web")), ["box@1", "box"]);
    me.kmss("key describe box --token web --owner payments --purpose encrypt").succeed();
    assert_eq!(names(me.json("key list --token web --owner payments --purpose encrypt")), ["box", "box@1"]);
    me.kmss("key rotation box --token web --uses 5000 --bytes 1M --strict").succeed().mentions("refused beyond");
    let due = me.json("rotate due --token web --dry-run").remove(0);
    assert_eq!((&due["uses"]["used"], &due["bytes"]["limit"]), (&0.into(), &1_048_576.into()));
    me.kmss("key describe box --token web --service order").succeed();
    assert_eq!(names(me.json("key list --token web --service order")), ["box", "box@1"]);
    me.kmss("encrypt box --token web").input("text").fail().mentions("belongs to the service `order`");
    me.kmss("key grant box --token web --service billing").succeed().mentions("billing");
    me.kmss("key grant box --token web --service billing --as-owner --remove").fail().mentions("owns the service");
    me.kmss("key alias current --to box --token web").succeed();
    assert_eq!(me.json("key show current --token web")[0]["name"], "box");
    // What was made ahead takes the name when its moment has come, without anybody asking.
    me.kmss("key rotate box --token web --ahead --at 2001-01-01").succeed();
    let begun = Instant::now();
    while names(me.json("key versions box --token web")) != ["box@1", "box@2", "box"] {
        assert!(begun.elapsed() < Duration::from_secs(30), "the server does not look");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(me.json("key show current --token web")[0]["lifecycle"]["version"], 3);
    server.home.audit_is_whole();
}
