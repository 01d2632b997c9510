//! What administrators do: who may, and whose deed it is in the audit.

use kmss_tests::built;
use kmss_tests::home::SO_PIN;
use remote::proto;
use serde_json::Value;
use tonic::{Response, Status};

use crate::kit::{Client, Kmssd, key};

const RULES: &str = r#"
[policy]
admins = ["service:ops"]

[[principal]]
san = "DNS:ops.example"
name = "service:ops"

[[principal]]
san = "DNS:books.example"
name = "service:books"
roles = ["auditor"]
"#;

/// The id of every request here.
fn id(number: u8) -> Vec<u8> {
    vec![number; 16]
}

fn client(server: &Kmssd, name: &str) -> Client {
    server.tls_client(Some(&server.authority.as_ref().unwrap().issue(&[name], 0)))
}

/// Takes everything that a stream holds.
fn drained<T>(client: &Client, stream: Result<Response<tonic::Streaming<T>>, Status>) -> Result<(), Status> {
    let mut stream = stream?.into_inner();
    while client.wait(stream.message())?.is_some() {}
    Ok(())
}

#[test]
fn what_an_administrator_does_is_the_administrators_deed_in_the_audit() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", RULES);
    let ops = client(&server, "DNS:ops.example");
    let pair = ops.pair("mine");
    let before = server.home.audit(5000).len();
    let create = proto::CreateNamespaceRequest {
        name: "second".into(),
        officer_pin: SO_PIN.into(),
        user_pin: Some("user-1234".into()),
        request_id: id(1),
        ..proto::CreateNamespaceRequest::default()
    };
    ops.wait(ops.admin().create_namespace(create)).unwrap();
    let rotate = |namespace: &str, number| proto::RotateDomainRequest {
        namespace: namespace.into(),
        officer_pin: SO_PIN.into(),
        request_id: id(number),
        ..proto::RotateDomainRequest::default()
    };
    ops.wait(ops.admin().rotate_domain(rotate("second", 2))).unwrap();
    ops.wait(ops.admin().rotate_domain(rotate("", 3))).unwrap();
    for namespace in ["second", ""] {
        let rewrap = proto::RewrapDomainRequest { namespace: namespace.into(), officer_pin: SO_PIN.into() };
        drained(&ops, ops.wait(ops.admin().rewrap_domain(rewrap))).unwrap();
    }
    let tags = proto::SetKeyTagsRequest {
        key: key(&pair),
        tags: vec!["red".into()],
        officer_pin: SO_PIN.into(),
        request_id: id(4),
    };
    ops.wait(ops.admin().set_key_tags(tags)).unwrap();
    let remove =
        proto::RemoveNamespaceRequest { namespace: "second".into(), officer_pin: SO_PIN.into(), request_id: id(5) };
    ops.wait(ops.admin().remove_namespace(remove)).unwrap();
    let records = server.home.audit(5000);
    let done: Vec<&Value> = records.iter().skip(before).filter(|record| record["action"].is_string()).collect();
    for record in &done {
        assert_eq!((&record["principal"], &record["source"]), (&"service:ops".into(), &"127.0.0.1".into()), "{record}");
    }
    let calls = |action: &str, namespace: &str| -> Vec<&Value> {
        let of = |record: &&&Value| record["action"] == action && record["namespace"] == namespace;
        done.iter().filter(of).map(|record| &record["call"]).collect()
    };
    for (action, namespace, number) in
        [("initialize", "second", 1), ("set-pin", "second", 1), ("change-state", "web", 4), ("destroy", "second", 5)]
    {
        let (calls, call) = (calls(action, namespace), Value::from(format!("{number:02x}").repeat(16)));
        assert!(!calls.is_empty() && calls.iter().all(|one| **one == call), "{action}: {calls:?}");
    }
    let tagged = |tag: &str| done.iter().filter(|r| r["tags"].to_string().contains(tag)).count();
    assert!(["\"domain rotate", "\"home domain rotate", "\"domain rewrap", "\"home domain rewrap"].iter().all(|t| tagged(t) > 0));
    server.home.audit_is_whole();
}
