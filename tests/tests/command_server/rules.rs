//! What administrators do: blocks, quotas, policies, tokens, domain keys.

use kmss_tests::built;
use kmss_tests::home::json_items;
use kmss_tests::module::Module;
use kmss_tests::program::Program;
use serde_json::Value;

use crate::kit::Kmssd;
use crate::operator::{Operator, administered, administrator, myself, there};

#[test]
fn an_administrator_blocks_and_limits_as_on_the_host() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("key generate k --token web --type aes:256").succeed();
    let made = me.json("block add --token web --key k --reason incident --for 1h");
    assert_eq!(there(&server, "block list"), me.json("block list"));
    let id = made[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(me.json(&format!("block show {id}")), there(&server, &format!("block show {id}")));
    me.kmss("block list").succeed().mentions("incident").mentions("default/web/k");
    me.kmss("key destroy k --token web --yes").fail().mentions(&format!("rule block:{id}"));
    me.kmss(&format!("block release {id}")).succeed().mentions("Released: key default/web/k.");
    me.kmss("block add --principal user:ann --throttle 3 --token web").succeed().mentions("3 operations a second");
    me.kmss("block add --principal user:bob").succeed();
    assert_eq!(there(&server, "block list --token web"), me.json("block list --token web"));

    me.kmss("quota set few --token web --principal user:me --actions sign --total 5").succeed();
    me.kmss("quota set few --token web --principal user:me --actions sign --total 6").succeed().mentions("in place of");
    me.kmss("quota set all --per-second 1000 --per-day 100000").succeed();
    assert_eq!(there(&server, "quota list"), me.json("quota list"));
    me.kmss("rule set --token web --types aes:256,ec:256 --prefer aes:256 --rotate 90d").succeed();
    me.kmss("rule set --tenant default --service order --types aes --owner user:anna").succeed();
    assert_eq!(there(&server, "rule list"), me.json("rule list"));
    me.kmss("key generate ruled --token web --type aes:128").fail().mentions("allows keys of aes:256, ec:256");
    me.kmss("key generate ruled --token web").succeed().mentions("AES");
    assert_eq!(me.json("key show ruled --token web")[0]["lifecycle"]["rotation"]["days"], 90);
    me.kmss("rule remove --token web").succeed().mentions("types aes:256,ec:256");
    me.kmss("rule remove --tenant default --service order").succeed();
    assert!(me.json("rule list").is_empty());
    assert_eq!(there(&server, "quota usage"), me.json("quota usage"));
    assert_eq!(there(&server, "quota show few --token web"), me.json("quota show few --token web"));
    me.kmss("quota remove few --token web").succeed().mentions("Removed quota `few`");
    me.kmss("quota show few --token web").fail().mentions("token `web` has no quota `few`");
    assert_eq!(me.json("quota list").len(), 1);
}

#[test]
fn whoever_is_no_administrator_hears_so_from_the_server() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::start("", &myself());
    let me = Operator::on_socket(&server);
    let why = "the server says: only an admin of the server's configuration may do this";
    let file = me.file("p.kmss", "policy p\nallow anyone to anything\n");
    for words in [
        "block list",
        "block add --principal user:ann",
        "quota list",
        "quota set q --total 1",
        "rule set --token web --apart",
        "rule list",
        "policy list",
        "policy trust list",
        "token init more",
        &format!("policy apply {} --token web", file.display()),
    ] {
        let said = me.kmss(words).fail();
        assert_eq!(said.code(), Some(1), "{said}");
        said.mentions(why);
    }
    // What is served to it, it sees; of PINs nothing.
    let tokens = me.json("token list");
    assert_eq!((&tokens[0]["label"], &tokens[0]["so_pin"]), (&"web".into(), &Value::Null));
    me.kmss("token user list web").fail().mentions("administrators alone");
}

#[test]
fn an_administrator_puts_policies_in_force_signed_or_not() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    let text = "policy orders\nallow anyone to anything\ndeny user:me to generate\n";
    me.file("orders.kmss", text);
    me.kmss("policy apply orders.kmss --token web").succeed().mentions("is in force for");
    assert_eq!(there(&server, "policy list"), me.json("policy list"));
    assert_eq!(me.kmss("policy show orders --source").succeed().text(), text);
    assert_eq!(there(&server, "policy show orders"), me.json("policy show orders"));
    let refused = me.kmss("key generate k --token web --type aes:256").fail();
    refused.mentions("the server says: ").mentions("(rule namespace/orders#").mentions("request ");
    me.kmss("policy apply orders.kmss --token web").succeed().mentions("in force for namespace default/web already");
    // A publisher of its own.
    let openssl = |words: &str| Program::new("openssl").within(me.folder.folder()).words(words).succeed();
    openssl("genpkey -algorithm ed25519 -out ann.key");
    openssl("pkey -in ann.key -pubout -out ann.pub");
    me.kmss("policy trust add ann ann.pub --token web").succeed().mentions("Bundles of `ann` (ed25519");
    assert_eq!(there(&server, "policy trust list"), me.json("policy trust list"));
    me.file("open.kmss", "policy orders\nallow anyone to anything\n");
    me.kmss("policy sign open.kmss --token web --key-file ann.key --out b").succeed();
    me.kmss("policy apply b").succeed().mentions("in place of sequence 1");
    me.kmss("key generate k --token web --type aes:256").succeed();
    me.kmss("policy trust remove ann --token web").fail().mentions("the server says: ");
    me.kmss("policy remove orders --token web --yes").succeed();
    assert_eq!(there(&server, "policy list"), me.json("policy list"));
    me.kmss("key generate k2 --token web --type aes:256").fail().mentions("the server says: ");
    server.home.audit_is_whole();
}

#[test]
fn tokens_their_pins_and_users_are_managed_from_afar() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("token init more").succeed().mentions("[[server.namespace]]");
    me.kmss("token init more").fail().mentions("exists already");
    assert_eq!(there(&server, "token list"), me.json("token list"));
    assert_eq!(me.kmss("token show web").succeed().text(), server.home.kmss("token show web").succeed().text());
    let new = |words: &str| me.kmss(words).env("KMSS_NEW_PIN", "another-1234");
    new("token user add web ann").succeed();
    me.kmss("token user roles web ann auditor").succeed();
    assert_eq!(there(&server, "token user list web"), me.json("token user list web"));
    new("token set-pin web --user ann --reset").succeed();
    new("token set-pin web --user ann").env("KMSS_PIN", "another-1234").succeed();
    me.kmss("token unlock web --user ann").succeed();
    me.kmss("token user remove web ann --yes").succeed();
    me.kmss("token profile web --forbid sha1-signatures").succeed();
    assert_eq!(there(&server, "token profile web"), me.json("token profile web"));
    let wrong = me.kmss("token unlock web").env("KMSS_SO_PIN", "wrong-1234").fail();
    wrong.mentions("the server says: ");
    me.kmss("token delete more --yes").succeed();
    assert_eq!(me.json("token list").len(), 1);
}

#[test]
fn domain_keys_are_rotated_and_the_root_key_is_told_from_afar() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    me.kmss("key generate k --token web --type aes:256").succeed();
    assert_eq!(me.json("seal status"), there(&server, "seal status"));
    me.kmss("domain rotate web --home-key").succeed().mentions("web: version 2 seals from now on");
    assert_eq!(me.json("domain list"), there(&server, "domain list"));
    me.kmss("domain rewrap web").env("KMSS_SO_PIN", "wrong-1234").fail().mentions("the server says: ");
    me.kmss("domain rewrap --all").succeed().mentions("version 1 is erased");
    assert_eq!(me.json("domain list"), there(&server, "domain list"));
    assert_eq!(me.json("key list --token web").len(), 1);
    server.home.audit_is_whole();
}

#[test]
fn key_material_goes_into_an_hsm_of_the_server_and_out_again() {
    if built::only_kmss("--server") {
        return;
    }
    let module = Module::softhsm();
    let server = Kmssd::with_hsm(&module, &administrator());
    let me = Operator::on_socket(&server);
    me.kmss("domain rotate web --seal in-device:nowhere").fail().mentions("the server says: ");
    me.kmss("domain rotate web --seal in-device:vault --rewrap").succeed().mentions("version 1 is erased");
    let said = me.json("domain list");
    assert_eq!(said, json_items(&server.home.kmss("domain list --json").envs(&module.variables).succeed()));
    let web = said.iter().find(|domain| domain["token"] == "web").unwrap();
    assert_eq!((&web["versions"][0]["number"], &web["versions"][0]["device"]["hsm"]), (&2.into(), &"vault".into()));
    assert_eq!(me.json("token show web")[0]["material_seal"], "in-device:vault");
    // A new token has its own key in the HSM from the beginning, which goes with it.
    me.kmss("token init sealed --seal in-device:vault").succeed();
    assert_eq!(me.json("token show sealed")[0]["material_seal"], "in-device:vault");
    assert_eq!(me.json("token delete sealed --yes")[0]["left_in_device"], serde_json::json!([]));
    me.kmss("token init nowhere --seal in-device:nowhere").fail().mentions("the server says: ");
    // Where the keys are made that name no place.
    me.kmss("token backend web nowhere").fail().mentions("the server says: ");
    me.kmss("token backend web vault").succeed().mentions("are made in `vault`");
    me.kmss("key generate there --token web --type ec:p256").succeed();
    assert_eq!(me.json("key show there --token web")[0]["backend"], "vault");
    me.kmss("token backend web soft").env("KMSS_SO_PIN", "wrong-1234").fail().mentions("the server says: ");
    me.kmss("token backend web soft").succeed();
    me.kmss("domain rotate web --seal in-memory --rewrap").succeed().mentions("version 2 is erased");
    assert_eq!(me.json("token show web")[0]["material_seal"], "in-memory");
}
