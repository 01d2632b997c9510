//! Starting, stopping, deadlines and limits.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use kmss_tests::built;
use kmss_tests::program::{Program, needs};
use remote::proto;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::kit::{Kmssd, named, sign};
use crate::shares::until;

#[test]
fn what_is_acknowledged_before_the_server_stops_is_there_afterwards() {
    if built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::start("", "");
    let stop = Arc::new(AtomicBool::new(false));
    let (acknowledged, broken) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let pair = server.client().pair("signer");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (stop, acknowledged, broken, pair) = (&stop, &acknowledged, &broken, &pair);
            let client = server.client();
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let draft = named(&format!("k{thread}-{number}"));
                    let spec = proto::SecretSpec { key_type: proto::KeyType::Aes.into(), len: 32 };
                    let made = client.wait(client.keys().generate_key(proto::GenerateKeyRequest {
                        namespace: "web".into(),
                        spec: Some(proto::KeySpec { kind: Some(proto::key_spec::Kind::Secret(spec)) }),
                        draft: Some(draft),
                        request_id: Vec::new(),
                    }));
                    match made {
                        Ok(_) => acknowledged.fetch_add(1, Ordering::Relaxed),
                        // The server is going: nobody was told that it was done.
                        Err(_) => break,
                    };
                    let signed = client.wait(client.crypto().sign(sign(pair, b"m", &[])));
                    // What was taken in is answered, and only what was not is refused by the connection.
                    if let Err(e) = signed {
                        if !matches!(e.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) {
                            broken.fetch_add(1, Ordering::Relaxed);
                        }
                        break;
                    }
                }
            });
        }
        while acknowledged.load(Ordering::Relaxed) < 40 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut running = server.running.take().unwrap();
        running.signal(libc::SIGTERM);
        let ended = running.wait_end();
        stop.store(true, Ordering::Relaxed);
        assert!(ended.success(), "{}", running.said());
        assert!(running.said().contains("\"drained\":true"), "{}", running.said());
    });
    assert_eq!(broken.load(Ordering::Relaxed), 0);
    assert!(!server.socket().exists());
    server.run();
    let client = server.client();
    let mut found = 0;
    let mut token = Vec::new();
    loop {
        let request = proto::ListObjectsRequest {
            namespace: "web".into(),
            kind: proto::ObjectKind::SecretKey.into(),
            page_size: 1000,
            page_token: token,
            ..proto::ListObjectsRequest::default()
        };
        let page = client.wait(client.keys().list_objects(request)).unwrap().into_inner();
        found += u32::try_from(page.objects.len()).unwrap();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert!(found >= acknowledged.load(Ordering::Relaxed), "{found} {acknowledged:?}");
    drop(client);
    server.home.audit_is_whole();
}

#[test]
fn a_call_ends_at_its_deadline() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("max_deadline_ms = 300\n", "");
    let client = server.client();
    let slow = proto::GenerateKeyPairRequest {
        namespace: "web".into(),
        spec: Some(proto::KeySpec {
            kind: Some(proto::key_spec::Kind::Rsa(proto::RsaSpec { bits: 8192, exponent: Vec::new() })),
        }),
        private: Some(named("slow")),
        public: Some(named("slow")),
        request_id: Vec::new(),
    };
    let ended = client.wait(client.keys().generate_key_pair(slow)).err().unwrap();
    assert_eq!(ended.code(), Code::DeadlineExceeded, "{ended:?}");
    // The connection lives on, and so does the server; on a busy machine it may take a few tries.
    let info = || client.wait(client.admin().get_server_info(proto::GetServerInfoRequest {}));
    assert!((0..50).any(|_| info().is_ok_and(|info| info.into_inner().max_deadline_ms == 300)));
}

#[test]
fn messages_and_queues_have_their_limits() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("max_message_bytes = 65536\nblocking = 1\nqueue = 1\n", "");
    let client = server.client();
    let pair = client.pair("small");
    let large = client.wait(client.crypto().sign(sign(&pair, &[0; 70_000], &[]))).err().unwrap();
    assert_eq!(large.code(), Code::OutOfRange, "{large:?}");
    let make = |number: u32| {
        let mut keys = client.keys();
        async move {
            keys.generate_key_pair(proto::GenerateKeyPairRequest {
                namespace: "web".into(),
                spec: Some(proto::KeySpec {
                    kind: Some(proto::key_spec::Kind::Rsa(proto::RsaSpec { bits: 3072, exponent: Vec::new() })),
                }),
                private: Some(named(&format!("rsa{number}"))),
                public: Some(named(&format!("rsa{number}"))),
                request_id: Vec::new(),
            })
            .await
        }
    };
    let answers = client.wait(async {
        let mut all = tokio::task::JoinSet::new();
        (0..8).for_each(|number| drop(all.spawn(make(number))));
        all.join_all().await
    });
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    let refused: Vec<_> = refused.inspect(|e| assert_eq!(e.code(), Code::ResourceExhausted, "{e:?}")).collect();
    assert!(!refused.is_empty() && refused.len() < 8, "{}", refused.len());
    // What runs where it came in is served all the while.
    assert!(client.wait(client.crypto().sign(sign(&pair, b"m", &[]))).is_ok());
    assert!(server.metrics().contains("kmssd_calls_overloaded_total"));
}

#[test]
fn its_health_is_shown_by_the_standard_service() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    for service in ["", "kmss.v1.CryptoService"] {
        let mut health = HealthClient::new(client.channel.clone());
        let asked = HealthCheckRequest { service: service.into() };
        let answer = client.wait(health.check(asked)).unwrap().into_inner();
        assert_eq!(answer.status, i32::from(ServingStatus::Serving));
    }
    assert!(server.metrics().contains("kmssd_connections 1"), "{}", server.metrics());
}

#[test]
fn whoever_watches_its_health_hears_that_it_stops_while_it_answers_what_came_in() {
    if built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::start("drain_s = 60\n", "");
    let client = server.client();
    let mut watched = ["", "kmss.v1.CryptoService"].map(|service| {
        let mut health = HealthClient::new(client.channel.clone());
        let asked = HealthCheckRequest { service: service.into() };
        client.wait(health.watch(asked)).unwrap().into_inner()
    });
    let hear = |stream: &mut tonic::Streaming<HealthCheckResponse>| client.wait(stream.message()).unwrap().unwrap();
    for stream in &mut watched {
        assert_eq!(hear(stream).status, i32::from(ServingStatus::Serving));
    }
    server.running.as_ref().unwrap().signal(libc::SIGTERM);
    for stream in &mut watched {
        assert_eq!(hear(stream).status, i32::from(ServingStatus::NotServing));
    }
    // The watch is a call that came in: the server is there as long as it lasts, and takes nothing new.
    let info = |new: &crate::kit::Client| new.wait(new.admin().get_server_info(proto::GetServerInfoRequest {})).is_ok();
    until("nobody new is let in", &mut || !info(&server.client()));
    let mut running = server.running.take().unwrap();
    assert!(running.ended().is_none(), "{}", running.said());
    drop((watched, client));
    assert!(running.wait_end().success(), "{}", running.said());
    assert!(running.said().contains("\"drained\":true"), "{}", running.said());
}

/// What is looked at of a `FileDescriptorProto` (google/protobuf/descriptor.proto).
#[derive(Clone, PartialEq, prost::Message)]
struct ContractFile {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "6")]
    services: Vec<ContractPart>,
}

/// A service with its methods.
#[derive(Clone, PartialEq, prost::Message)]
struct ContractPart {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    methods: Vec<ContractMethod>,
}

/// A method.
#[derive(Clone, PartialEq, prost::Message)]
struct ContractMethod {
    #[prost(string, tag = "1")]
    name: String,
}

#[test]
fn its_contract_is_shown_by_the_standard_service() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let ask = |asked: MessageRequest| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
        let mut reflection = ServerReflectionClient::new(client.channel.clone());
        client.wait(async move {
            let mut answers = reflection.server_reflection_info(tokio_stream::iter([request])).await?.into_inner();
            answers.message().await
        })
    };
    let listed = ask(MessageRequest::ListServices(String::new())).unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = listed else { panic!("{listed:?}") };
    let mut names: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
    names.sort();
    let ours = ["Admin", "Approval", "Audit", "Crypto", "Key", "Lifecycle", "Random"];
    let mut expected = vec!["grpc.health.v1.Health".to_owned(), "grpc.reflection.v1.ServerReflection".to_owned()];
    expected.extend(ours.map(|name| format!("kmss.v1.{name}Service")));
    assert_eq!(names, expected);
    for (symbol, file, service, method) in [
        ("kmss.v1.CryptoService", "kmss/v1/crypto.proto", "CryptoService", "Sign"),
        ("kmss.v1.KeyService", "kmss/v1/keys.proto", "KeyService", "GenerateKeyPair"),
    ] {
        let shown = ask(MessageRequest::FileContainingSymbol(symbol.into())).unwrap().unwrap().message_response;
        let Some(MessageResponse::FileDescriptorResponse(shown)) = shown else { panic!("{shown:?}") };
        let [bytes] = shown.file_descriptor_proto.as_slice() else { panic!("{shown:?}") };
        let contract = <ContractFile as prost::Message>::decode(bytes.as_slice()).unwrap();
        assert_eq!(contract.name, file);
        let found = contract.services.iter().find(|part| part.name == service);
        assert!(found.is_some_and(|part| part.methods.iter().any(|m| m.name == method)), "{contract:?}");
    }
    let missing = ask(MessageRequest::FileContainingSymbol("kmss.v1.NoService".into())).err().unwrap();
    assert_eq!(missing.code(), Code::NotFound, "{missing:?}");
}

#[test]
fn the_service_manager_hears_when_it_serves_and_when_it_stops() {
    if built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::start("", "");
    drop(server.running.take());
    // The manager's socket has a path, or a name that is in no file system (sd_notify(3)).
    let path = server.home.file("notify");
    let name = format!("kmss-test-{}", std::process::id());
    for (told, address) in [
        (path.display().to_string(), SocketAddr::from_pathname(&path).unwrap()),
        (format!("@{name}"), SocketAddr::from_abstract_name(&name).unwrap()),
    ] {
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let hear = || {
            let mut heard = [0; 64];
            let len = manager.recv(&mut heard).unwrap();
            String::from_utf8(heard[..len].to_vec()).unwrap()
        };
        let program = Program::new(built::server()).envs(&server.home.variables()).env("NOTIFY_SOCKET", told);
        let mut running = program.keep_running();
        assert_eq!(hear(), "READY=1");
        // Nobody has to wait for it from then on.
        let client = server.client();
        client.wait(client.admin().get_server_info(proto::GetServerInfoRequest {})).unwrap();
        drop(client);
        running.signal(libc::SIGTERM);
        assert_eq!(hear(), "STOPPING=1");
        assert!(running.wait_end().success(), "{}", running.said());
        manager.set_nonblocking(true).unwrap();
        assert!(manager.recv(&mut [0; 64]).is_err(), "that was all");
    }
}

#[test]
fn systemd_understands_the_unit_of_the_server() {
    if built::only_kmss("a server") {
        return;
    }
    needs(&["systemd-analyze"]);
    let unit = fs::read_to_string(built::workspace().join("remote/kmssd.service")).unwrap();
    // Where it is installed there are the server and its pages.
    let unit = unit.replace("/usr/bin/kmssd", &built::server().display().to_string());
    let lines = unit.split_inclusive('\n').filter(|line| !line.starts_with("Documentation="));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kmssd.service");
    fs::write(&file, lines.collect::<String>()).unwrap();
    let said = Program::new("systemd-analyze").arg("verify").arg(&file).succeed();
    assert!(said.all().trim().is_empty(), "{said}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_its_reason() {
    if built::only_kmss("a server") {
        return;
    }
    let home = kmss_tests::home::Home::with_token("web");
    let refuse = |text: &str, why: &str| {
        fs::write(home.path().join("kmss.toml"), text).unwrap();
        let said = Program::new(built::server()).envs(&home.variables()).run();
        assert!(!said.success() && said.all().contains(why), "{said}");
    };
    let socket = home.file("s.sock");
    let unix = format!("[server]\nunix = \"{}\"\n", socket.display());
    refuse("", "where to listen");
    refuse(&unix, "what to serve");
    refuse(&format!("{unix}wrong = 1\n"), "wrong");
    refuse(&format!("{unix}[[server.namespace]]\nname = \"none\"\n"), "no namespace `none`");
    refuse(&format!("{unix}metrics = \"0.0.0.0:9000\"\n[[server.namespace]]\nname = \"web\"\n"), "loopback");
    refuse(&format!("{unix}[[server.namespace]]\nname = \"web\"\npin_env = \"NOT_THERE\"\n"), "NOT_THERE");
    refuse("[server]\nlisten = [\"127.0.0.1:1\"]\n[[server.namespace]]\nname = \"web\"\n", "client_ca");
}
