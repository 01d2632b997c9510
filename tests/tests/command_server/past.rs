//! Policies and the past: a server explains its decisions, and says what a candidate would have decided.

use kmss_tests::built;
use serde_json::Value;

use crate::kit::Kmssd;
use crate::operator::{Operator, administered, administrator, myself};

const ORDERS: &str = "policy orders\nallow anyone to anything\ndeny user:me to generate because \"not now\"\n";
const OPEN: &str = "policy open\nallow anyone to anything\n";

/// Decisions under [`ORDERS`]: something allowed, and something denied, whose record has this name.
fn decided(me: &Operator) -> String {
    me.file("orders.kmss", ORDERS);
    me.kmss("policy apply orders.kmss --token web").succeed();
    me.kmss("key show nothing --token web").fail();
    me.kmss("key generate k --token web --type aes:256").fail().mentions("not now");
    let said = me.kmss("audit tail -n 1 --ids --outcome denied").succeed().text();
    said.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn an_administrator_explains_and_replays_as_on_the_host() {
    if built::only_kmss("--server") {
        return;
    }
    let (server, me) = administered();
    let name = decided(&me);
    let hash =
        me.json("audit tail -n 1 --outcome denied")[0]["h"].as_str().unwrap().chars().take(12).collect::<String>();
    let open = me.file("open.kmss", OPEN).display().to_string();
    let wrong = me.file("wrong.kmss", "policy wrong\nallow nobody to everything\n").display().to_string();
    for words in [
        format!("policy explain {name}"),
        format!("policy explain {name} --json"),
        format!("policy explain {hash} --json"),
        format!("policy explain {name} --policy {open}"),
        format!("policy explain {name} --policy {open} --json"),
        format!("policy explain {name} --policy {wrong}"),
        "policy explain 00000000".to_owned(),
        format!("policy replay --policy {open}"),
        format!("policy replay --policy {open} --json"),
        format!("policy replay --policy {open} --token web --since 2020-01-01 --until 2020-01-02"),
        format!("policy replay --policy {open} --token nothing"),
        format!("policy replay --policy {wrong}"),
    ] {
        let (here, there) = (me.kmss(&words).run(), server.home.kmss(&words).run());
        assert_eq!((here.code(), here.text()), (there.code(), there.text()), "{words}: {here} {there}");
        let errors = |said: String| said.lines().filter(|line| line.starts_with("kmss: ")).collect::<String>();
        let (here, there) = (errors(here.all()), errors(there.all()));
        assert_eq!(here.replace("the server says: ", ""), there, "{words}");
    }
    me.kmss(&format!("policy explain {name}")).succeed().mentions("the policies are the ones that decided then");
    let changed = me.kmss(&format!("policy replay --policy {open} --json")).run();
    let said: Value = serde_json::from_str(&changed.text()).unwrap();
    assert_eq!((changed.code(), &said["changed"], &said["changes"][0]["then"]), (Some(3), &1.into(), &"deny".into()));
    me.kmss("policy replay --policy orders.kmss --token web").succeed().mentions("0 of ");
    server.home.audit_is_whole();
}

#[test]
fn an_auditor_explains_and_only_an_administrator_tries_policies_of_his_own() {
    if built::only_kmss("--server") {
        return;
    }
    let rules = "[[principal]]\nname = \"user:ann\"\nsan = \"DNS:ann\"\n\
                 [[principal]]\nname = \"user:bob\"\nsan = \"DNS:bob\"\nroles = [\"auditor\"]\n";
    let server = Kmssd::with_tls("", &format!("{rules}{}", administrator()));
    let me = Operator::on_socket(&server);
    let name = decided(&me);
    let [ann, bob] = ["ann", "bob"].map(|name| Operator::by_certificate(&server, &[&format!("DNS:{name}")]));
    let explain = format!("policy explain {name}");
    let there = server.home.kmss(&explain).succeed().text();
    assert_eq!(bob.kmss(&explain).succeed().text(), there);
    ann.kmss(&explain).fail().mentions("the server says: only an auditor or an admin");
    for one in [&ann, &bob] {
        one.file("open.kmss", OPEN);
        for words in [format!("{explain} --policy open.kmss"), "policy replay --policy open.kmss".to_owned()] {
            let said = one.kmss(&words).fail();
            assert_eq!(said.code(), Some(1), "{said}");
            said.mentions("the server says: only an admin of the server's configuration may do this");
        }
    }
}

#[test]
fn an_administrator_replays_by_certificate() {
    if built::only_kmss("--server") {
        return;
    }
    let rules = "[[principal]]\nname = \"user:ann\"\nsan = \"DNS:ann\"\n[policy]\nadmins = [\"user:ann\"]\n";
    let server = Kmssd::with_tls("", &format!("{}{rules}", myself()));
    let ann = Operator::by_certificate(&server, &["DNS:ann"]);
    ann.file("open.kmss", OPEN);
    ann.kmss("policy apply open.kmss --token web").succeed();
    ann.kmss("key generate k --token web --type aes:256").succeed();
    ann.kmss("policy replay --policy open.kmss").succeed().mentions("0 of ");
    ann.file("none.kmss", "policy none\ndeny anyone to generate because \"never\"\n");
    let said = ann.kmss("policy replay --policy none.kmss").run();
    assert_eq!(said.code(), Some(3), "{said}");
    said.mentions("user:ann").mentions("none.kmss#rule 1 (line 2)");
}
