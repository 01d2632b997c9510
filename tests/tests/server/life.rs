//! Starting, stopping, deadlines and limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use kmss_tests::built;
use remote::proto;
use tonic::Code;

use crate::kit::{Kmssd, named, sign};

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
fn its_health_and_its_contract_are_shown_by_the_standard_services() {
    if built::only_kmss("a server") {
        return;
    }
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
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
fn a_configuration_that_cannot_work_is_refused_with_its_reason() {
    if built::only_kmss("a server") {
        return;
    }
    let home = kmss_tests::home::Home::with_token("web");
    let refuse = |text: &str, why: &str| {
        std::fs::write(home.path().join("kmss.toml"), text).unwrap();
        let said = kmss_tests::program::Program::new(built::server()).envs(&home.variables()).run();
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
