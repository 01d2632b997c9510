//! What administrators do: who may, and whose deed it is in the audit.

use kmss_tests::built;
use kmss_tests::home::{PIN, SO_PIN, json_items};
use remote::proto;
use serde_json::Value;
use tonic::{Code, Response, Status};

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
        [("initialize", "second", 1), ("change-state", "web", 4), ("destroy", "second", 5)]
    {
        let (calls, call) = (calls(action, namespace), Value::from(format!("{number:02x}").repeat(16)));
        assert!(!calls.is_empty() && calls.iter().all(|one| **one == call), "{action}: {calls:?}");
    }
    let tagged = |tag: &str| done.iter().filter(|r| r["tags"].to_string().contains(tag)).count();
    assert!(
        ["\"domain rotate", "\"home domain rotate", "\"domain rewrap", "\"home domain rewrap"]
            .iter()
            .all(|t| tagged(t) > 0)
    );
    server.home.audit_is_whole();
}

/// Calls methods of a service with empty messages; what each said, by its name in the contract.
macro_rules! walked {
    ($client:ident.$service:ident: $($method:ident $request:ident,)+) => {
        [$((
            stringify!($request).trim_end_matches("Request"),
            $client.wait($client.$service().$method(proto::$request::default())).map(drop),
        ),)+]
    };
}

/// What is for administrators alone.
fn administration(client: &Client) -> Vec<(&'static str, Result<(), Status>)> {
    walked!(client.admin:
        list_all_namespaces ListAllNamespacesRequest,
        create_namespace CreateNamespaceRequest,
        remove_namespace RemoveNamespaceRequest,
        list_policies ListPoliciesRequest,
        apply_policy ApplyPolicyRequest,
        remove_policy RemovePolicyRequest,
        get_policy GetPolicyRequest,
        replay_policy ReplayPolicyRequest,
        list_publishers ListPublishersRequest,
        add_publisher AddPublisherRequest,
        remove_publisher RemovePublisherRequest,
        list_quotas ListQuotasRequest,
        set_quota SetQuotaRequest,
        remove_quota RemoveQuotaRequest,
        list_key_rules ListKeyRulesRequest,
        set_key_rule SetKeyRuleRequest,
        remove_key_rule RemoveKeyRuleRequest,
        list_blocks ListBlocksRequest,
        create_block CreateBlockRequest,
        release_block ReleaseBlockRequest,
        list_domains ListDomainsRequest,
        rotate_domain RotateDomainRequest,
        rewrap_domain RewrapDomainRequest,
        get_seal_status GetSealStatusRequest,
    )
    .into()
}

/// What is for auditors, too.
fn auditing(client: &Client) -> Vec<(&'static str, Result<(), Status>)> {
    walked!(client.audit:
        query_audit QueryAuditRequest,
        follow_audit FollowAuditRequest,
        read_audit ReadAuditRequest,
        verify_audit VerifyAuditRequest,
        prove_audit ProveAuditRequest,
        get_audit_keys GetAuditKeysRequest,
        get_audit_checkpoint GetAuditCheckpointRequest,
        explain_record ExplainRecordRequest,
        make_report MakeReportRequest,
    )
    .into()
}

#[test]
fn what_is_for_administrators_or_auditors_is_refused_to_all_others_and_that_is_recorded() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", RULES);
    let refused = |(method, said): (&'static str, Result<(), Status>)| {
        (said.is_err_and(|status| status.code() == Code::PermissionDenied)).then_some(method)
    };
    let refusals = |client: &Client| -> [Vec<&'static str>; 2] {
        [administration(client), auditing(client)].map(|said| said.into_iter().filter_map(refused).collect())
    };
    let [app, books, ops] =
        ["DNS:app.example", "DNS:books.example", "DNS:ops.example"].map(|name| client(&server, name));
    let [admin, audit] = refusals(&app);
    // Every method of the contract is looked at: those that are missing above are for everybody, or take a PIN.
    let named = |text: &'static str| text.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split_once('('));
    let mut open: Vec<_> =
        named(include_str!("../../../remote/proto/kmss/v1/admin.proto")).map(|(name, _)| name).collect();
    open.retain(|name| !admin.contains(name));
    assert_eq!(open, ["GetServerInfo", "ChangeNamespace", "ChangeKeyState", "SetKeyTags", "SetKeyAudit"]);
    let audits = named(include_str!("../../../remote/proto/kmss/v1/audit.proto"));
    assert!(audits.map(|(name, _)| name).all(|name| audit.contains(&name)), "{audit:?}");
    assert_eq!(refusals(&books), [admin.clone(), vec![]]);
    assert_eq!(refusals(&ops), [vec![], Vec::<&str>::new()]);
    // Whoever is refused is in the audit, with the method.
    let records = server.home.audit(5000);
    for (who, methods) in [("service:app.example", [&*admin, &*audit].concat()), ("service:books", admin)] {
        for method in methods {
            let of = |r: &&Value| r["principal"] == who && r["tags"] == Value::from(vec![method]);
            let found: Vec<_> = records.iter().filter(of).collect();
            assert_eq!(found.len(), 1, "{method} by {who}: {found:?}");
            assert_eq!((&found[0]["outcome"], &found[0]["source"]), (&"denied".into(), &"127.0.0.1".into()));
        }
    }
    let metrics = server.metrics();
    for method in ["ListQuotas", "RewrapDomain", "FollowAudit", "ReadAudit", "VerifyAudit"] {
        let counted = format!("kmssd_calls_total{{method=\"{method}\",result=\"Denied\"}}");
        assert!(metrics.contains(&counted), "{counted}: {metrics}");
    }
    server.home.audit_is_whole();
}

fn changed(client: &Client, pin: &str, change: proto::change_namespace_request::Change) -> Result<(), Status> {
    let request = proto::ChangeNamespaceRequest {
        namespace: "web".into(),
        officer_pin: pin.into(),
        change: Some(change),
        request_id: Vec::new(),
    };
    client.wait(client.admin().change_namespace(request)).map(drop)
}

/// Wrong attempts at the officer's PIN and at the user's.
fn failures(ops: &Client) -> (u32, u32) {
    let all = ops.wait(ops.admin().list_all_namespaces(proto::ListAllNamespacesRequest {})).unwrap().into_inner();
    let of = |pin: &Option<proto::PinState>| pin.as_ref().unwrap().failures;
    (of(&all.states[0].officer), of(&all.states[0].user))
}

#[test]
fn wrong_pins_over_the_network_do_not_lock_anybody_out() {
    use proto::change_namespace_request::Change;
    if built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::with_tls("", RULES);
    let [app, late, ops] = ["DNS:app.example", "DNS:late.example", "DNS:ops.example"].map(|name| client(&server, name));
    let own = |old: &str, new: &str| {
        Change::Pin(proto::PinChange { user: "user".into(), old_pin: old.into(), new_pin: new.into() })
    };
    let unlock = || Change::UnlockUser("user".into());
    // What kmssd itself works with takes the officer's PIN beside the old one.
    for _ in 0..12 {
        let said = changed(&app, "", own("wrong-1234", "other-1234")).unwrap_err();
        assert_eq!(said.code(), Code::PermissionDenied, "{said:?}");
    }
    assert_eq!(failures(&ops), (0, 0));
    changed(&ops, SO_PIN, own(PIN, "other-1234")).unwrap();
    changed(&ops, SO_PIN, own("other-1234", PIN)).unwrap();
    // Three wrong ones of a peer are looked at, on whatever connection.
    for attempt in 0..12 {
        let said = changed(&client(&server, "DNS:app.example"), "wrong-1234", unlock()).unwrap_err();
        assert_eq!(said.code(), if attempt < 3 { Code::Unauthenticated } else { Code::PermissionDenied }, "{said:?}");
    }
    assert_eq!(failures(&ops), (3, 0));
    assert_eq!(changed(&app, SO_PIN, unlock()).unwrap_err().code(), Code::PermissionDenied);
    // Another peer is another peer, and one that is blocked tries none.
    changed(&late, SO_PIN, unlock()).unwrap();
    assert_eq!(failures(&ops), (0, 0));
    server.home.kmss("block add --principal service:late.example --reason test").succeed();
    let said = changed(&late, "wrong-1234", unlock()).unwrap_err();
    assert_eq!(remote::status::detail_of(&said).unwrap().kind, i32::from(proto::ErrorKind::Blocked), "{said:?}");
    assert_eq!(failures(&ops), (0, 0));
    let denied =
        |r: &&Value| r["action"] == "login" && r["outcome"] == "denied" && r["principal"] == "service:app.example";
    assert!(server.home.audit(5000).iter().filter(denied).count() >= 12);
    // Where `officers` are named, nobody else tries any.
    let config = server.home.path().join("kmss.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}officers = [\"service:ops\"]\n")).unwrap();
    drop((app, late, ops, server.running.take()));
    server.run();
    let [new, ops] = ["DNS:new.example", "DNS:ops.example"].map(|name| client(&server, name));
    assert_eq!(changed(&new, SO_PIN, unlock()).unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(changed(&new, "wrong-1234", unlock()).unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(failures(&ops), (0, 0));
    changed(&ops, SO_PIN, unlock()).unwrap();
    server.home.audit_is_whole();
}

#[test]
fn an_administrator_who_is_no_officer_of_a_token_tries_its_pins_by_no_call() {
    if built::only_kmss("a server") {
        return;
    }
    // The other one is an administrator, whom a rule knows by another name in `web` alone.
    let rules = format!(
        "{}\n[[principal]]\nsan = \"DNS:late.example\"\ntoken = \"web\"\nname = \"service:late-of-web\"\n\n\
         [[principal]]\nsan = \"DNS:late.example\"\nname = \"service:late\"\n",
        RULES.replace("[\"service:ops\"]", "[\"service:ops\", \"service:late\"]")
    );
    let mut server = Kmssd::with_tls("", &rules);
    let config = server.home.path().join("kmss.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}officers = [\"service:late-of-web\"]\n")).unwrap();
    drop(server.running.take());
    server.run();
    let [ops, late] = ["DNS:ops.example", "DNS:late.example"].map(|name| client(&server, name));
    let rotate = |client: &Client, pin: &str| {
        let rotate = proto::RotateDomainRequest {
            namespace: "web".into(),
            officer_pin: pin.into(),
            ..proto::RotateDomainRequest::default()
        };
        client.wait(client.admin().rotate_domain(rotate)).map(drop)
    };
    let rewrap = |client: &Client, pin: &str| {
        let rewrap = proto::RewrapDomainRequest { namespace: "web".into(), officer_pin: pin.into() };
        drained(client, client.wait(client.admin().rewrap_domain(rewrap)))
    };
    let remove = |client: &Client, pin: &str| {
        let remove = proto::RemoveNamespaceRequest {
            namespace: "web".into(),
            officer_pin: pin.into(),
            ..proto::RemoveNamespaceRequest::default()
        };
        client.wait(client.admin().remove_namespace(remove)).map(drop)
    };
    for pin in [SO_PIN, "wrong-1234"] {
        for refused in [rotate(&ops, pin), rewrap(&ops, pin), remove(&ops, pin)] {
            assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        }
    }
    assert_eq!(failures(&ops), (0, 0));
    // Each is a record of the token whose PIN it was.
    let refused = |r: &&Value| {
        (&r["action"], &r["outcome"], &r["principal"], &r["namespace"])
            == (&"login".into(), &"denied".into(), &"service:ops".into(), &"web".into())
    };
    assert_eq!(server.home.audit(5000).iter().filter(refused).count(), 6);
    // The officer is known by the name that is theirs in the token, and a block on either name holds.
    rotate(&late, SO_PIN).unwrap();
    rewrap(&late, SO_PIN).unwrap();
    for name in ["service:late", "service:late-of-web"] {
        server.home.kmss(&format!("block add --principal {name} --reason test")).succeed();
        let said = remove(&late, "wrong-1234").unwrap_err();
        assert_eq!(remote::status::detail_of(&said).unwrap().kind, i32::from(proto::ErrorKind::Blocked), "{said:?}");
        assert_eq!(failures(&ops), (0, 0));
        for block in json_items(&server.home.kmss("block list --json").succeed()) {
            server.home.kmss(&format!("block release {}", block["id"].as_str().unwrap())).succeed();
        }
    }
    remove(&late, SO_PIN).unwrap();
    server.home.audit_is_whole();
}

#[test]
fn right_pins_that_come_at_once_are_looked_at_one_after_the_other() {
    if built::only_kmss("a server") {
        return;
    }
    // One wrong PIN is as many as a peer may show: two at a time are too many, where they are counted as if they were wrong.
    let mut server = Kmssd::with_tls("", &format!("[pin]\nmax_attempts = 2\n{RULES}"));
    let pair = client(&server, "DNS:app.example").pair("tagged");
    let identity = server.authority.as_ref().unwrap().issue(&["DNS:app.example"], 0);
    let clients: Vec<_> = (0..8).map(|_| server.tls_client(Some(&identity))).collect();
    std::thread::scope(|scope| {
        for client in clients {
            let pair = &pair;
            scope.spawn(move || {
                for round in 0..3 {
                    let tags = vec![format!("round-{round}")];
                    let officer_pin = SO_PIN.into();
                    let tags = proto::SetKeyTagsRequest { key: key(pair), tags, officer_pin, request_id: Vec::new() };
                    client.wait(client.admin().set_key_tags(tags)).unwrap();
                }
            });
        }
    });
    let refused = |r: &Value| r["action"] == "login" && (r["outcome"] == "denied" || r["outcome"] == "failed");
    assert!(!server.home.audit(5000).iter().any(refused));
    drop(server.running.take());
    server.home.audit_is_whole();
}

#[test]
fn an_administrator_who_is_blocked_does_not_take_the_block_off() {
    if built::only_kmss("a server") {
        return;
    }
    let server =
        Kmssd::with_tls("", &RULES.replace("[\"service:ops\"]", "[\"service:ops\", \"service:late.example\"]"));
    let [ops, late] = ["DNS:ops.example", "DNS:late.example"].map(|name| client(&server, name));
    server.home.kmss("block add --principal service:ops --reason test").succeed();
    let id = json_items(&server.home.kmss("block list --json").succeed())[0]["id"].as_str().unwrap().to_owned();
    let release = |client: &Client| {
        let release = proto::ReleaseBlockRequest { id: id.clone(), ..proto::ReleaseBlockRequest::default() };
        client.wait(client.admin().release_block(release)).map(drop)
    };
    assert_eq!(release(&ops).unwrap_err().code(), Code::PermissionDenied);
    release(&late).unwrap();
    server.home.audit_is_whole();
}
