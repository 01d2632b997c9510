//! One peer among others: what it may have of the server at a time.

use std::time::{Duration, Instant};

use kmss_tests::built;
use remote::proto::{self, encrypt_stream_request, sign_stream_request};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::calls::{aes, gcm};
use crate::kit::{Client, Kmssd, ecdsa, key, named, sign};

/// How long something may take that ends by itself.
const LONG: Duration = Duration::from_secs(120);

fn client(server: &Kmssd, identity: &(String, String)) -> Client {
    server.tls_client(Some(identity))
}

/// Tries until `done`, which it is in time.
pub(crate) fn until(what: &str, done: &mut dyn FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_peer_has_some_of_the_connections_and_leaves_the_others() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("max_peer_connections = 2\n", "");
    let authority = server.authority.as_ref().unwrap();
    let [greedy, modest] = ["DNS:greedy.example", "DNS:modest.example"].map(|name| authority.issue(&[name], 0));
    let info = |client: &Client| client.wait(client.admin().get_server_info(proto::GetServerInfoRequest {}));
    let mut clients: Vec<_> = (0..2).map(|_| client(&server, &greedy)).collect();
    assert!(clients.iter().all(|client| info(client).is_ok()));
    assert!(info(&client(&server, &greedy)).is_err());
    assert!(info(&client(&server, &modest)).is_ok());
    clients.pop();
    until("a place is free again", &mut || info(&client(&server, &greedy)).is_ok());
}

#[test]
fn a_peer_has_some_of_the_calls_and_of_the_memory_and_leaves_the_others() {
    if built::only_kmss("a server") {
        return;
    }
    let limits = "max_peer_calls = 1\nmax_held_bytes = 300000\nmax_peer_held_bytes = 150000\n";
    let server = Kmssd::with_tls(limits, "");
    let authority = server.authority.as_ref().unwrap();
    let [greedy, modest] = ["DNS:greedy.example", "DNS:modest.example"].map(|name| authority.issue(&[name], 0));
    let (greedy, modest) = (client(&server, &greedy), client(&server, &modest));
    let made = greedy.wait(greedy.keys().generate_key_pair(proto::GenerateKeyPairRequest {
        namespace: "web".into(),
        spec: Some(proto::KeySpec { kind: Some(proto::key_spec::Kind::Ec(proto::Curve::Ed25519.into())) }),
        private: Some(named("edwards")),
        public: Some(named("edwards")),
        request_id: Vec::new(),
    }));
    let edwards = made.unwrap().into_inner().private.unwrap();
    let kind = proto::ec_mechanism::Kind::Eddsa(proto::EdDsa::default());
    let eddsa = proto::mechanism::Kind::Ec(proto::EcMechanism { kind: Some(kind) });
    let start = sign_stream_request::Part::Start(proto::StreamStart {
        key: key(&edwards),
        mechanism: Some(proto::Mechanism { kind: Some(eddsa) }),
        request_id: Vec::new(),
    });
    let part = |part| proto::SignStreamRequest { part: Some(part) };
    // Such signatures want their data twice: it is held.
    let signed = |client: &Client, len: usize| {
        let data = vec![7; len];
        let data = data.chunks(1 << 14).map(|data| sign_stream_request::Part::Data(data.to_vec()));
        let parts: Vec<_> = std::iter::once(start.clone()).chain(data).map(part).collect();
        client.wait(client.crypto().sign_stream(tokio_stream::iter(parts))).map(drop).map_err(|e| e.code())
    };
    assert_eq!(signed(&greedy, 200_000), Err(Code::ResourceExhausted));
    // What is over is given back.
    (0..4).for_each(|_| assert_eq!(signed(&greedy, 140_000), Ok(())));
    // One that is under way leaves no place for another.
    let open = || {
        let (send, parts) = mpsc::channel(16);
        send.try_send(part(start.clone())).unwrap();
        (0..8).for_each(|_| send.try_send(part(sign_stream_request::Part::Data(vec![7; 8000]))).unwrap());
        let mut crypto = greedy.crypto();
        let call = async move { crypto.sign_stream(ReceiverStream::new(parts)).await };
        let [begun] = greedy.wait(async { [tokio::spawn(call)] });
        (send, begun)
    };
    let mut held = open();
    until("it is under way", &mut || {
        // What asks whether it is may have been faster, and had it refused.
        if held.1.is_finished() {
            held = open();
        }
        signed(&greedy, 1) == Err(Code::ResourceExhausted)
    });
    // What is over in microseconds is done, and others have theirs.
    let pair = modest.pair("modest");
    until("what is quick is done", &mut || {
        assert_eq!(signed(&modest, 140_000), Ok(()));
        greedy.wait(greedy.crypto().sign(sign(&pair, b"m", &[]))).is_ok()
    });
    let (send, ends) = held;
    drop(send);
    assert!(greedy.wait(ends).unwrap().is_ok());
    assert_eq!(signed(&greedy, 140_000), Ok(()));
    assert!(!server.metrics().contains("kmssd_calls_overloaded_total 0"));
}

#[test]
fn a_stream_that_never_ends_is_ended() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("max_stream_s = 1\n", "");
    let client = server.client();
    let start = proto::StreamStart { key: key(&aes(&client, "data")), mechanism: gcm(), request_id: Vec::new() };
    let part = |part| proto::EncryptStreamRequest { part: Some(part) };
    let (send, parts) = mpsc::channel(1 << 16);
    send.try_send(part(encrypt_stream_request::Part::Start(start))).unwrap();
    let ended = client.wait(async {
        // A byte now and then: it is never silent for long.
        let sends = tokio::spawn(async move {
            while send.send(part(encrypt_stream_request::Part::Data(vec![7]))).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let mut out = client.crypto().encrypt_stream(ReceiverStream::new(parts)).await.unwrap().into_inner();
        let ended = loop {
            match out.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        sends.abort();
        ended
    });
    assert!(ended.as_ref().is_some_and(|e| e.message().contains("max_stream_s")), "{ended:?}");
}

#[test]
fn readers_of_the_whole_audit_leave_place_for_each_other_and_hold_up_no_administrator() {
    use proto::batch_call::Call;
    if built::only_kmss("a server") {
        return;
    }
    let rules = "[policy]\nadmins = [\"service:ops\"]\n\n[[principal]]\nsan = \"DNS:ops.example\"\nname = \"service:ops\"\n\n\
        [[principal]]\nsan = \"DNS:a.example\"\nname = \"service:a\"\nroles = [\"auditor\"]\n\n\
        [[principal]]\nsan = \"DNS:b.example\"\nname = \"service:b\"\nroles = [\"auditor\"]\n";
    let server = Kmssd::with_tls("max_deadline_ms = 5000\n", rules);
    let authority = server.authority.as_ref().unwrap();
    let [a, b, ops] =
        ["DNS:a.example", "DNS:b.example", "DNS:ops.example"].map(|name| client(&server, &authority.issue(&[name], 0)));
    let pair = ops.pair("signer");
    // More than what is on its way to somebody who does not read.
    let one = proto::SignRequest { mechanism: ecdsa(), ..sign(&pair, b"m", &[]) };
    for _ in 0..60 {
        let calls = vec![proto::BatchCall { call: Some(Call::Sign(one.clone())) }; 256];
        ops.wait(ops.crypto().batch(proto::BatchRequest { calls })).unwrap();
    }
    let read = |client: &Client| {
        let filter = Some(proto::AuditFilter { all: true, ..proto::AuditFilter::default() });
        client.wait(client.audit().read_audit(proto::ReadAuditRequest { filter }))
    };
    // Nobody reads what these four get.
    let readers: Vec<_> = [&a, &a, &b, &b].map(|client| read(client).unwrap()).into();
    assert_eq!(read(&a).err().unwrap().code(), Code::ResourceExhausted);
    let began = Instant::now();
    let rewrap = ops.wait(ops.admin().rewrap_domain(proto::RewrapDomainRequest::default())).unwrap();
    let mut rewrap = rewrap.into_inner();
    while ops.wait(rewrap.message()).unwrap().is_some() {}
    assert_eq!(read(&b).err().unwrap().code(), Code::ResourceExhausted);
    eprintln!("rewrapped beside four readers in {:?}", began.elapsed());
    // Whoever hangs up is not read for any more.
    drop(readers);
    until("the readers are gone", &mut || read(&a).is_ok() && read(&b).is_ok());
}

#[test]
fn whoever_takes_the_audit_slowly_has_a_thread_no_longer_than_a_stream_may_take() {
    if built::only_kmss("a server") {
        return;
    }
    let rules = "[[principal]]\nsan = \"DNS:a.example\"\nname = \"service:a\"\nroles = [\"auditor\"]\n";
    let server = Kmssd::with_tls("max_stream_s = 1\n", rules);
    let authority = server.authority.as_ref().unwrap();
    let [a, b] = ["DNS:a.example", "DNS:b.example"].map(|name| client(&server, &authority.issue(&[name], 0)));
    // Several times what is on its way to somebody who does not read.
    let pair = b.pair("signer");
    let one = proto::SignRequest { mechanism: ecdsa(), ..sign(&pair, b"m", &[]) };
    for _ in 0..40 {
        let calls = vec![proto::BatchCall { call: Some(proto::batch_call::Call::Sign(one.clone())) }; 256];
        b.wait(b.crypto().batch(proto::BatchRequest { calls })).unwrap();
    }
    let filter = Some(proto::AuditFilter { all: true, ..proto::AuditFilter::default() });
    let ended = a.wait(async {
        let mut parts = a.audit().read_audit(proto::ReadAuditRequest { filter }).await.unwrap().into_inner();
        loop {
            // Each part is taken long before `max_deadline_ms`, and long after it was there.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            match parts.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        }
    });
    assert!(ended.as_ref().is_some_and(|e| e.message().contains("max_stream_s")), "{ended:?}");
}

#[test]
fn answers_that_nobody_fetches_are_of_their_peers_memory_and_end_its_connection() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("max_peer_held_bytes = 60000\nmax_deadline_ms = 2000\n", "");
    let authority = server.authority.as_ref().unwrap();
    let [greedy, modest] = ["DNS:greedy.example", "DNS:modest.example"].map(|name| authority.issue(&[name], 0));
    let (deaf, greedy, modest) = (server.deaf_client(&greedy), client(&server, &greedy), client(&server, &modest));
    let draw = |len| proto::GenerateRandomRequest { namespace: "web".into(), len };
    let drawn = |client: &Client| client.wait(client.random().generate_random(draw(8))).map_err(|e| e.code()).map(drop);
    assert_eq!((drawn(&greedy), drawn(&modest)), (Ok(()), Ok(())));
    std::thread::scope(|scope| {
        let asks = scope.spawn(move || deaf.wait(deaf.random().generate_random(draw(65_536))));
        until("its answer is counted", &mut || drawn(&greedy) == Err(Code::ResourceExhausted));
        assert_eq!(drawn(&modest), Ok(()));
        // Nobody takes it still: the connection is closed, and what it had is given back.
        assert!(asks.join().unwrap().is_err());
        until("it is given back", &mut || drawn(&greedy) == Ok(()));
    });
    assert!(server.running.as_ref().unwrap().said().contains("an answer was not taken in time"));
}

#[test]
fn output_of_a_stream_that_nobody_fetches_is_of_its_peers_memory() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("max_peer_held_bytes = 150000\n", "");
    let authority = server.authority.as_ref().unwrap();
    let [greedy, modest] = ["DNS:greedy.example", "DNS:modest.example"].map(|name| authority.issue(&[name], 0));
    let (deaf, greedy, modest) = (server.deaf_client(&greedy), client(&server, &greedy), client(&server, &modest));
    let secret = aes(&greedy, "data");
    let part = |part| proto::EncryptStreamRequest { part: Some(part) };
    let start = || {
        let start = proto::StreamStart { key: key(&secret), mechanism: gcm(), request_id: Vec::new() };
        part(encrypt_stream_request::Part::Start(start))
    };
    let data = |len| part(encrypt_stream_request::Part::Data(vec![7; len]));
    // What the server holds of a peer is asked for by holding something more.
    let encrypted = |client: &Client| {
        let parts = [start(), data(60_000), data(60_000)];
        client.wait(async {
            let mut out = client.crypto().encrypt_stream(tokio_stream::iter(parts)).await?.into_inner();
            while out.message().await?.is_some() {}
            Ok::<_, tonic::Status>(())
        })
    };
    encrypted(&greedy).unwrap();
    let (send, parts) = mpsc::channel(16);
    for part in [start(), data(60_000), data(60_000), data(60_000)] {
        send.try_send(part).unwrap();
    }
    let unread = deaf.wait(deaf.crypto().encrypt_stream(ReceiverStream::new(parts))).unwrap();
    let held = || {
        let request = proto::GenerateRandomRequest { namespace: "web".into(), len: 65_536 };
        let drawn = |client: &Client| {
            client.wait(client.random().generate_random(request.clone())).map(drop).map_err(|e| e.code())
        };
        assert_eq!(drawn(&modest), Ok(()));
        drawn(&greedy)
    };
    until("its output is counted", &mut || {
        // A connection that nobody drives sends nothing.
        deaf.wait(async { tokio::time::sleep(Duration::from_millis(20)).await });
        held() == Err(Code::ResourceExhausted)
    });
    drop((unread, send, deaf));
    until("it is given back", &mut || held() == Ok(()));
    encrypted(&greedy).unwrap();
}

#[test]
fn followers_of_the_audit_are_calls_for_as_long_as_they_follow_and_hold_up_no_stop() {
    if built::only_kmss("a server") {
        return;
    }
    let rules = "[[principal]]\nsan = \"DNS:a.example\"\nname = \"service:a\"\nroles = [\"auditor\"]\n";
    let mut server = Kmssd::with_tls("max_peer_calls = 2\ndrain_s = 100\n", rules);
    let authority = server.authority.as_ref().unwrap();
    let [a, b] = ["DNS:a.example", "DNS:b.example"].map(|name| authority.issue(&[name], 0));
    let (deaf, a, b) = (server.deaf_client(&a), client(&server, &a), client(&server, &b));
    // More than what is on its way to somebody who does not read.
    let pair = b.pair("signer");
    let one = proto::SignRequest { mechanism: ecdsa(), ..sign(&pair, b"m", &[]) };
    for _ in 0..4 {
        let calls = vec![proto::BatchCall { call: Some(proto::batch_call::Call::Sign(one.clone())) }; 256];
        b.wait(b.crypto().batch(proto::BatchRequest { calls })).unwrap();
    }
    let follow = |client: &Client, before| {
        let filter = Some(proto::AuditFilter { all: true, ..proto::AuditFilter::default() });
        client.wait(client.audit().follow_audit(proto::FollowAuditRequest { filter, before }))
    };
    let first = follow(&a, 0).unwrap();
    let second = follow(&deaf, 1000).unwrap();
    assert_eq!(follow(&a, 0).err().unwrap().code(), Code::ResourceExhausted);
    drop(first);
    until("a follower is gone", &mut || follow(&a, 0).is_ok());
    let mut running = server.running.take().unwrap();
    running.signal(libc::SIGTERM);
    // Its answers to pings are all that it is to say.
    std::thread::scope(|scope| {
        let ends = scope.spawn(|| running.wait_end());
        deaf.wait(async {
            while !ends.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(ends.join().unwrap().success());
    });
    assert!(running.said().contains("\"drained\":true"), "{}", running.said());
    drop(second);
    server.home.audit_is_whole();
}

#[test]
fn a_connection_that_is_one_too_many_hears_why() {
    if built::only_kmss("a server") {
        return;
    }
    for limit in ["max_peer_connections", "max_connections"] {
        let server = Kmssd::start(&format!("{limit} = 1\n"), "");
        let client = server.client();
        // Whoever looked whether the server is there may have the place for a moment.
        let info = || client.wait(client.admin().get_server_info(proto::GetServerInfoRequest {}));
        until("it is connected", &mut || info().is_ok());
        let kmss = |words: &str| server.home.kmss(&format!("--server unix:{} {words}", server.socket().display()));
        kmss("token list").fail().mentions(&format!("(`{limit}`)"));
        // Nothing was done, and nobody is told that something may have been.
        let said = kmss("block add --principal service:a --reason test").fail();
        assert!(!said.all().contains("not known"), "{said}");
        drop(client);
        until("its place is free", &mut || kmss("token list").run().success());
    }
}
