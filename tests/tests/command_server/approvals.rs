//! The word of several: a policy asks for it, and each gives it as whom the server knows.

use std::fs;

use kmss_tests::built;
use kmss_tests::program::Program;

use crate::kit::Kmssd;
use crate::operator::{Operator, myself};

/// Who is a custodian, by the names in certificates; `service:orders` is none, and whoever runs the tests is none on the socket.
const CUSTODIANS: &str = "[[principal]]\nname = \"user:ann\"\nsan = \"DNS:ann\"\nroles = [\"custodian\"]\n\
                          [[principal]]\nname = \"user:bob\"\nsan = \"DNS:bob\"\nroles = [\"custodian\"]\n\
                          [[principal]]\nname = \"user:eve\"\nsan = \"DNS:eve\"\n";

/// What asks for two of them.
const TWO: &str = "policy vault\nallow anyone to find, authenticate\n\
                   allow anyone to destroy key:root require 2 of role:custodian\n";

#[test]
fn custodians_approve_from_afar_as_whom_their_certificates_name() {
    if built::only_kmss("--server") {
        return;
    }
    let server = Kmssd::with_tls("", &format!("{}{CUSTODIANS}", myself()));
    let [ann, bob, eve] =
        ["ann", "bob", "eve"].map(|name| Operator::by_certificate(&server, &[&format!("DNS:{name}")]));
    let me = Operator::on_socket(&server);
    me.kmss("key generate root --token web --type aes:256").succeed();
    let file = server.home.file("vault.kmss");
    fs::write(&file, TWO).unwrap();
    server.home.kmss("policy apply").arg(&file).words("--token web").succeed();
    me.kmss("approve --list --token web").succeed().mentions("No request waits for approval.");
    me.kmss("key destroy root --token web --yes").fail().mentions("the server says: ");

    let waiting = ann.json("approve --list --token web");
    let id = waiting[0]["request"].as_str().unwrap().to_owned();
    assert_eq!((waiting.len(), &waiting[0]["requester"]), (1, &"user:me".into()));
    // The same on the home, and for everybody whom the namespace is served to.
    for words in ["approve --list --token web", "approve --list --token web --json"] {
        let there = server.home.kmss(words).succeed().text();
        assert_eq!(eve.kmss(words).succeed().text(), there, "{words}");
        assert_eq!(me.kmss(words).succeed().text(), there, "{words}");
    }
    // Who approves is not in the command's hands, and neither is the role.
    let approve = format!("approve {id} --token web");
    ann.kmss(&format!("{approve} --user bob")).fail().mentions("leave --user out");
    me.kmss(&approve).fail().mentions("the server says: nobody approves a request of their own");
    let eves = eve.kmss(&approve).fail();
    assert_eq!(eves.code(), Some(1));
    eves.mentions("the server says: `user:eve` does not hold role `custodian`").mentions("request ");
    ann.kmss(&format!("{approve} --digest {}", "00".repeat(32))).fail().mentions("not about certain data");
    ann.kmss("approve 000000 --token web").fail().mentions("no request `000000` waits");
    ann.kmss(&format!("approve {} --token web", "0".repeat(32))).fail().mentions("the server says: no request");

    ann.kmss(&approve).succeed().mentions("Approved as `user:ann`").mentions("It has 1 of 2 approvals.");
    ann.kmss(&approve).fail().mentions("has approved this already");
    me.kmss("key destroy root --token web --yes").fail();
    // The first digits will do.
    let short = id.chars().take(8).collect::<String>();
    let said = bob.json(&format!("approve {short} --token web"));
    let approvers = said[0]["approvers"].as_array().unwrap();
    assert!(approvers.len() == 2 && ["user:ann", "user:bob"].iter().all(|who| approvers.contains(&(*who).into())));
    me.kmss("key destroy root --token web --yes").succeed();
    ann.kmss("approve --list --token web").succeed().mentions("No request waits for approval.");
    let approved = |record: &serde_json::Value| {
        record["principal"] == "user:bob" && record["tags"].to_string().contains(&format!("approve request {id}"))
    };
    assert!(server.home.audit(50).iter().any(approved));
    server.home.audit_is_whole();
}

/// What asks for one auditor.
const SIGNED: &str = "policy vault\nallow anyone to find, authenticate\n\
                      allow anyone to sign with key:root require 1 of role:auditor\n";

#[test]
fn a_signature_over_certain_data_is_approved_by_that_data_over_the_socket() {
    if built::only_kmss("--server") {
        return;
    }
    // Here the approver is who is on the socket, and the certificate is the requester's.
    let rules = format!("{}[[principal]]\nname = \"user:ann\"\nsan = \"DNS:ann\"\n", myself());
    let server = Kmssd::with_tls("", &rules);
    let (me, ann) = (Operator::on_socket(&server), Operator::by_certificate(&server, &["DNS:ann"]));
    me.kmss("key generate root --token web --type ec:p256").succeed();
    let file = server.home.file("vault.kmss");
    fs::write(&file, SIGNED).unwrap();
    server.home.kmss("policy apply").arg(&file).words("--token web").succeed();
    let request = "cert request root --token web --subject CN=root --out root.csr";
    ann.kmss(request).fail().mentions("the server says: ");
    let digest = me.json("approve --list --token web")[0]["data_sha256"].as_str().unwrap().to_owned();
    let other = me.file("other", "something else");
    me.kmss("approve --token web --data").arg(other).fail().mentions("no request about data");
    me.kmss(&format!("approve --token web --digest {digest}")).succeed().mentions("can be done now");
    ann.kmss(request).succeed();
    Program::new("openssl").within(ann.folder.folder()).words("req -in root.csr -verify -noout").succeed();
    // It was for once.
    ann.kmss(request).fail();
}

#[test]
fn whoever_a_token_is_not_served_to_sees_no_request_of_it() {
    if built::only_kmss("--server") {
        return;
    }
    let settings = "[[server.namespace]]\nname = \"kept\"\npin_env = \"KMSS_PIN\"\nprincipals = [\"user:ann\"]\n";
    let home = kmss_tests::home::Home::with_token("web");
    home.init_token("kept");
    let server = Kmssd::over(home, settings, &format!("{}{CUSTODIANS}", myself()));
    let (me, ann) = (Operator::on_socket(&server), Operator::by_certificate(&server, &["DNS:ann"]));
    ann.kmss("approve --list --token kept").succeed();
    me.kmss("approve --list --token kept").fail().mentions("no token is labelled `kept`");
}
