//! Who is let in, and as whom.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN};
use kmss_tests::openssl::Judge;
use kmss_tests::program::needs;
use remote::proto;
use remote::status;
use tonic::Code;

use crate::kit::{Authority, Client, Kmssd, key, named, replace, sign};
use crate::shares::until;

const RULES: &str = r#"
[[principal]]
san = "URI:spiffe://example/order"
name = "service:order-v1"
roles = ["auditor"]
"#;

fn who(client: &Client) -> Result<proto::GetServerInfoResponse, tonic::Status> {
    client.wait(client.admin().get_server_info(proto::GetServerInfoRequest {})).map(tonic::Response::into_inner)
}

#[test]
fn a_client_is_who_its_certificate_says_by_rule_or_by_its_first_name() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", RULES);
    let authority = server.authority.as_ref().unwrap();
    for (names, principal) in [
        (["DNS:order.example", "URI:spiffe://example/order"].as_slice(), "service:order-v1"),
        (&["email:a@example.org", "DNS:pay.example"], "service:pay.example"),
        (&["email:a@example.org"], "service:a@example.org"),
    ] {
        let client = server.tls_client(Some(&authority.issue(names, 0)));
        assert_eq!(who(&client).unwrap().principal, principal);
    }
}

#[test]
fn whoever_shows_no_certificate_or_a_wrong_one_is_not_let_in() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", RULES);
    let authority = server.authority.as_ref().unwrap();
    let nameless = authority.issue(&[], 0);
    let expired = authority.issue(&["DNS:order.example"], -1);
    let stranger = Authority::new().issue(&["DNS:order.example"], 0);
    for identity in [None, Some(&nameless), Some(&expired), Some(&stranger)] {
        let refused = who(&server.tls_client(identity)).err().unwrap();
        // What a server answers has no cause on this side.
        assert!(std::error::Error::source(&refused).is_some(), "{refused:?}");
    }
    assert!(server.metrics().contains("kmssd_connections_refused_total"));
    assert!(who(&server.tls_client(Some(&authority.issue(&["DNS:order.example"], 0)))).is_ok());
}

#[test]
fn a_connection_without_a_place_is_counted_once_also_where_its_handshake_fails() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("max_connections = 1\n", RULES);
    let client = server.client();
    // Whoever looked whether the server is there may have the place for a moment.
    until("it is connected", &mut || {
        client.wait(client.admin().get_server_info(proto::GetServerInfoRequest {})).is_ok()
    });
    let refused = || -> u64 {
        let all = server.metrics();
        let line = all.lines().find_map(|line| line.strip_prefix("kmssd_connections_refused_total "));
        line.expect("the metric").trim().parse().expect("a number")
    };
    let before = refused();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // It ends, with an alert or a reset.
        if let Err(e) = stream.read_to_end(&mut Vec::new()) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}");
        }
    }
    assert_eq!(refused() - before, 8);
}

#[test]
fn new_certificates_are_used_without_a_restart_and_bad_ones_are_not() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", "");
    let old = server.authority.as_ref().unwrap().issue(&["DNS:old.example"], 0);
    let other = Authority::new();
    let new = other.issue(&["DNS:new.example"], 0);
    assert!(who(&server.tls_client(Some(&old))).is_ok() && who(&server.tls_client(Some(&new))).is_err());
    let wait = |what: &str, ready: &dyn Fn() -> bool| {
        for _ in 0..100 {
            if ready() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        panic!("never: {what}");
    };
    let both = format!("{}{}", server.authority.as_ref().unwrap().pem(), other.pem());
    replace(&server, "ca.pem", &both);
    wait("the new authority is trusted", &|| who(&server.tls_client(Some(&new))).is_ok());
    replace(&server, "ca.pem", "no certificate");
    let said = || server.running.as_ref().unwrap().said().contains("the old ones stay");
    wait("the bad file is refused", &said);
    assert!(who(&server.tls_client(Some(&new))).is_ok());
}

/// Whether somebody with this certificate, who trusts the server's authority, is let in.
fn comes(server: &Kmssd, identity: &(String, String)) -> bool {
    who(&server.tls_client(Some(identity))).is_ok()
}

/// Whether the server said `words`.
fn says(server: &Kmssd, words: &str) -> bool {
    server.running.as_ref().unwrap().said().contains(words)
}

#[test]
fn the_servers_own_new_certificate_and_key_are_shown_to_the_next_connection() {
    if built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::with_tls("", "");
    let app = server.authority.as_ref().unwrap().issue(&["DNS:app.example"], 0);
    let before = server.tls_client(Some(&app));
    who(&before).unwrap();
    let mut other = Some(Authority::new());
    let (certificate, key) = other.as_ref().unwrap().issue(&["DNS:localhost"], 0);
    // A certificate without its key changes nothing.
    replace(&server, "server.pem", &certificate);
    until("half of a change is refused", &mut || says(&server, "the old ones stay"));
    assert!(comes(&server, &app));
    // From here on the new authority is what clients trust.
    std::mem::swap(&mut server.authority, &mut other);
    assert!(!comes(&server, &app));
    replace(&server, "server.key", &key);
    until("the new certificate is shown", &mut || comes(&server, &app));
    // Whoever trusts the old one alone gets no new connection, and has the one from before.
    std::mem::swap(&mut server.authority, &mut other);
    assert!(!comes(&server, &app));
    who(&before).unwrap();
}

/// An authority of clients that takes back what it gave, by another's hand.
struct Revoker(Judge);

impl Revoker {
    /// A new one, which has issued nothing.
    fn new() -> Self {
        let judge = Judge::new();
        let settings = "[ca]\ndefault_ca = clients\n[clients]\ndatabase = issued\ncrlnumber = number\ndefault_md = sha256\n\
                        default_crl_days = 2\ncrl_extensions = list\n[list]\nauthorityKeyIdentifier = keyid:always\n";
        judge.file("ca.cnf", settings.as_bytes());
        judge.file("issued", b"");
        judge.file("number", b"01\n");
        let may = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign \
                   -addext subjectKeyIdentifier=hash";
        judge.succeed(&format!("req -x509 {NEW_KEY} {may} -days 2 -subj /CN=clients -keyout ca.key -out ca.pem"));
        Self(judge)
    }

    /// A file that there is.
    fn text(&self, name: &str) -> String {
        String::from_utf8(self.0.read(name)).unwrap()
    }

    /// A certificate for `NAME.example` and its key, both PEM.
    fn issue(&self, name: &str) -> (String, String) {
        self.0.file("names", format!("subjectAltName=DNS:{name}.example\n").as_bytes());
        self.0.succeed(&format!("req {NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let ca = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names";
        self.0.succeed(&format!("x509 -req -in {name}.csr {ca} -out {name}.pem"));
        (self.text(&format!("{name}.pem")), self.text(&format!("{name}.key")))
    }

    /// Takes a certificate back: the next list says so.
    fn revoke(&self, name: &str) {
        self.0.succeed(&format!("ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke {name}.pem"));
    }

    /// The list of what was taken back, PEM.
    fn list(&self) -> String {
        self.0.succeed("ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -out list.pem");
        self.text("list.pem")
    }
}

/// How `openssl req` makes a key.
const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

#[test]
fn a_certificate_that_a_new_list_takes_back_is_refused_without_a_restart() {
    if built::only_kmss("a server") {
        return;
    }
    needs(&["openssl"]);
    let issuer = Revoker::new();
    let [revoked, other] = ["revoked", "other"].map(|name| issuer.issue(name));
    let home = Home::with_token("web");
    std::fs::write(home.file("list.pem"), issuer.list()).unwrap();
    let file = home.file("list.pem").display().to_string();
    let server = Kmssd::over(home, &format!("client_crl = [{file:?}]\n"), "");
    replace(&server, "ca.pem", &issuer.text("ca.pem"));
    until("the authority is trusted", &mut || comes(&server, &revoked));
    assert!(comes(&server, &other));
    issuer.revoke("revoked");
    replace(&server, "list.pem", &issuer.list());
    until("it is refused", &mut || !comes(&server, &revoked) && says(&server, "Revoked"));
    assert!(comes(&server, &other));
    // Half of a list is none: what the last one took back stays so.
    replace(&server, "list.pem", "-----BEGIN X509 CRL-----\nMIIB\n");
    until("the bad list is refused", &mut || says(&server, "the old ones stay"));
    assert!(!comes(&server, &revoked));
    assert!(comes(&server, &other));
    // Nor is a file without any.
    replace(&server, "list.pem", "");
    until("the empty list is refused", &mut || says(&server, "it holds no revocation list"));
    assert!(!comes(&server, &revoked));
    assert!(comes(&server, &other));
}

#[test]
fn a_process_on_the_socket_is_who_the_kernel_says() {
    if built::only_kmss("a server") {
        return;
    }
    let exe = std::env::current_exe().unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let rules = format!(
        "[[principal]]\nexecutable = \"/usr/bin/false\"\nname = \"service:no\"\n\n[[principal]]\nuid = {uid}\nexecutable = {:?}\nname = \"service:tests\"\n",
        exe.display().to_string()
    );
    let server = Kmssd::start("", &rules);
    assert_eq!(who(&server.client()).unwrap().principal, "service:tests");
}

#[test]
fn the_audit_says_who_asked_from_where_and_in_which_request() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", RULES);
    let identity = server.authority.as_ref().unwrap().issue(&["URI:spiffe://example/order"], 0);
    let client = server.tls_client(Some(&identity));
    let pair = client.pair("web-key");
    client.wait(client.crypto().sign(sign(&pair, b"message", &[0xab; 16]))).unwrap();
    let records = client.wait(client.audit().query_audit(proto::QueryAuditRequest::default())).unwrap().into_inner();
    let signed = records.records.iter().rev().map(|record| record.json.parse::<serde_json::Value>().unwrap());
    let signed = signed.clone().find(|record| record["action"] == "sign").unwrap();
    assert_eq!(signed["principal"], "service:order-v1");
    assert_eq!(signed["source"], "127.0.0.1");
    assert_eq!(signed["call"], "ab".repeat(16));
    assert_eq!(signed["object"]["name"], "web-key");
    // Whoever is no auditor reads none of it.
    let other = server.tls_client(Some(&server.authority.as_ref().unwrap().issue(&["DNS:pay.example"], 0)));
    let refused = other.wait(other.audit().query_audit(proto::QueryAuditRequest::default())).err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    drop((client, other));
    server.home.audit_is_whole();
}

#[test]
fn a_policy_of_the_server_decides_and_says_which_rule() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let pair = client.pair("signer");
    client.wait(client.crypto().sign(sign(&pair, b"message", &[]))).unwrap();
    let policy = server.home.file("no-signing");
    std::fs::write(&policy, "deny user:* to sign with key:signer\n").unwrap();
    server.home.kmss("policy apply").arg(&policy).words("--name no-signing --token web").succeed();
    let refused = client.wait(client.crypto().sign(sign(&pair, b"message", &[]))).err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    let error = status::error(&refused);
    assert!(error.rule().is_some_and(|rule| rule.contains("no-signing")), "{:?}", error.rule());
}

#[test]
fn administration_is_for_admins_and_the_officers_pin() {
    if built::only_kmss("a server") {
        return;
    }
    let rules =
        "[policy]\nadmins = [\"service:ops\"]\n\n[[principal]]\nsan = \"DNS:ops.example\"\nname = \"service:ops\"\n";
    let server = Kmssd::with_tls("", rules);
    let authority = server.authority.as_ref().unwrap();
    let ops = server.tls_client(Some(&authority.issue(&["DNS:ops.example"], 0)));
    let app = server.tls_client(Some(&authority.issue(&["DNS:app.example"], 0)));
    let block = || proto::CreateBlockRequest {
        target: Some(proto::BlockTarget {
            kind: Some(proto::block_target::Kind::Principal(proto::PrincipalTarget {
                name: "service:app.example".into(),
                ..proto::PrincipalTarget::default()
            })),
        }),
        reason: "test".into(),
        ..proto::CreateBlockRequest::default()
    };
    // kmssd runs as the owner of its home; nobody who asks it does.
    assert_eq!(app.wait(app.admin().create_block(block())).err().unwrap().code(), Code::PermissionDenied);
    let pair = app.pair("mine");
    let id = ops.wait(ops.admin().create_block(block())).unwrap().into_inner().id;
    let refused = app.wait(app.crypto().sign(sign(&pair, b"m", &[]))).err().unwrap();
    assert_eq!(status::detail_of(&refused).unwrap().kind, i32::from(proto::ErrorKind::Blocked));
    assert!(status::error(&refused).rule().is_some_and(|rule| rule.contains(&id)));
    ops.wait(ops.admin().release_block(proto::ReleaseBlockRequest { id, request_id: vec![] })).unwrap();
    assert!(app.wait(app.crypto().sign(sign(&pair, b"m", &[]))).is_ok());
    let state = |pin: &str| proto::ChangeKeyStateRequest {
        key: key(&pair),
        state: proto::KeyState::Suspended.into(),
        officer_pin: pin.into(),
        request_id: Vec::new(),
    };
    let wrong = app.wait(app.admin().change_key_state(state("wrong-pin"))).err().unwrap();
    assert_eq!(wrong.code(), Code::Unauthenticated);
    app.wait(app.admin().change_key_state(state(SO_PIN))).unwrap();
    let refused = app.wait(app.crypto().sign(sign(&pair, b"m", &[]))).err().unwrap();
    assert_eq!(status::error(&refused).kind(), libkmss::error::ErrorKind::KeyState);
    let second = |user_pin: &str| proto::CreateNamespaceRequest {
        name: "second".into(),
        officer_pin: SO_PIN.into(),
        user_pin: Some(user_pin.into()),
        ..proto::CreateNamespaceRequest::default()
    };
    // A user's PIN that is not taken leaves no namespace that waits for one for ever.
    let refused = ops.wait(ops.admin().create_namespace(second("1"))).err().unwrap();
    assert_eq!(status::error(&refused).kind(), libkmss::error::ErrorKind::PinInvalid);
    let made = ops.wait(ops.admin().create_namespace(second(PIN)));
    assert_eq!(made.unwrap().into_inner().namespace.unwrap().name, "second");
    server.home.kmss("key generate k --token second --type aes:256").succeed();
    // It is not served: that takes the configuration.
    let elsewhere =
        proto::GenerateKeyRequest { namespace: "second".into(), draft: Some(named("x")), ..Default::default() };
    assert_eq!(app.wait(app.keys().generate_key(elsewhere)).err().unwrap().code(), Code::NotFound);
}

#[test]
fn whoever_is_kept_out_of_a_namespace_hears_that_there_is_none_and_is_in_the_audit() {
    if built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::with_tls("", RULES);
    let config = server.home.path().join("kmss.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}principals = [\"service:order-v1\"]\n")).unwrap();
    drop(server.running.take());
    server.run();
    let authority = server.authority.as_ref().unwrap();
    let long = format!("DNS:{}.example", ["x"; 75].join(".x"));
    let [order, pay, nameless] =
        ["URI:spiffe://example/order", "DNS:pay.example", long.as_str()].map(|name| authority.issue(&[name], 0));
    let draw = |client: &Client, namespace: &str| {
        let draw = proto::GenerateRandomRequest { namespace: namespace.into(), len: 8 };
        client.wait(client.random().generate_random(draw)).map(drop).map_err(|e| (e.code(), e.message().to_owned()))
    };
    let kept_out = || {
        let kept_out = |r: &serde_json::Value| {
            (&r["action"], &r["outcome"], &r["namespace"]) == (&"find".into(), &"denied".into(), &"web".into())
        };
        let all = server.home.audit(5000).into_iter().filter(kept_out);
        let mut all: Vec<_> =
            all.map(|r| (r["principal"].as_str().unwrap().to_owned(), r["tags"].to_string())).collect();
        all.sort();
        all
    };
    draw(&server.tls_client(Some(&order)), "web").unwrap();
    assert!(kept_out().is_empty());
    // Once for each connection, however often it asks; what is not there for anybody is no refusal.
    for connection in 1..3 {
        let client = server.tls_client(Some(&pay));
        let missing = draw(&client, "nowhere").unwrap_err();
        for _ in 0..3 {
            let (code, said) = draw(&client, "web").unwrap_err();
            assert_eq!((code, said), (Code::NotFound, missing.1.replace("nowhere", "web")));
        }
        // Asking what there is, is asking for nothing that is not for them.
        let all = client.wait(client.keys().list_namespaces(proto::ListNamespacesRequest::default())).unwrap();
        assert!(all.into_inner().namespaces.is_empty());
        let expected = ("service:pay.example".to_owned(), "[\"GenerateRandom\"]".to_owned());
        assert_eq!(kept_out(), vec![expected; connection]);
    }
    // So is one whose name cannot be that of a principal.
    assert_eq!(draw(&server.tls_client(Some(&nameless)), "web").unwrap_err().0, Code::PermissionDenied);
    assert_eq!(kept_out().last().unwrap().0, "unnamed");
    server.home.audit_is_whole();
}
