//! A request that comes again is answered again, and done once.

use kmss_tests::built;
use remote::proto;
use tonic::Code;

use crate::kit::{Kmssd, named, p256, sign};

fn generate(name: &str, id: &[u8]) -> proto::GenerateKeyPairRequest {
    proto::GenerateKeyPairRequest {
        namespace: "web".into(),
        spec: Some(p256()),
        private: Some(named(name)),
        public: Some(named(name)),
        request_id: id.to_vec(),
    }
}

#[test]
fn a_key_is_made_once_however_often_its_request_comes_even_after_a_restart() {
    if built::only_kmss("a server") {
        return;
    }
    let mut server = Kmssd::start("", "");
    let make = |server: &Kmssd| {
        let client = server.client();
        let made = client.wait(client.keys().generate_key_pair(generate("once", &[1; 16]))).unwrap().into_inner();
        (made.private.unwrap().id, made.public.unwrap().id)
    };
    let first = make(&server);
    assert_eq!(make(&server), first);
    let mut running = server.running.take().unwrap();
    running.signal(libc::SIGKILL);
    let _ = running.wait_end();
    server.run();
    assert_eq!(make(&server), first);
    let client = server.client();
    let all = proto::ListObjectsRequest { namespace: "web".into(), ..proto::ListObjectsRequest::default() };
    assert_eq!(client.wait(client.keys().list_objects(all)).unwrap().into_inner().objects.len(), 2);
}

#[test]
fn many_keys_are_made_once_however_often_their_request_comes() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let secret = |len| {
        let kind = proto::key_spec::Kind::Secret(proto::SecretSpec { key_type: proto::KeyType::Aes.into(), len });
        Some(proto::KeySpec { kind: Some(kind) })
    };
    let make = |id: u8, spec, count: usize| {
        let drafts = (0..count).map(|number| named(&format!("k-{number}"))).collect();
        let (namespace, request_id) = ("web".into(), vec![id; 16]);
        client.wait(client.keys().generate_keys(proto::GenerateKeysRequest { namespace, spec, drafts, request_id }))
    };
    let ids = |answer: proto::GenerateKeysResponse| -> Vec<_> {
        answer
            .keys
            .into_iter()
            .map(|one| match one.result {
                Some(proto::generated_key::Result::Key(key)) => key.id,
                _ => panic!("a key was not made"),
            })
            .collect()
    };
    assert_eq!(make(1, secret(32), 257).err().unwrap().code(), Code::InvalidArgument);
    assert_eq!(make(2, Some(p256()), 1).err().unwrap().code(), Code::InvalidArgument);
    let first = ids(make(3, secret(32), 256).unwrap().into_inner());
    assert_eq!(first.len(), 256);
    assert_eq!(ids(make(3, secret(32), 256).unwrap().into_inner()), first);
    let all = proto::ListObjectsRequest { namespace: "web".into(), page_size: 1000, ..Default::default() };
    let mut there = client.wait(client.keys().list_objects(all)).unwrap().into_inner().objects;
    there.retain(|object| first.contains(&object.id));
    assert_eq!(there.len(), 256);
    // One that cannot be made is in nobody's way: each has its own error.
    let request_id = vec![4; 16];
    let drafts = vec![named("x"), named("y")];
    let asked = proto::GenerateKeysRequest { namespace: "web".into(), spec: secret(7), drafts, request_id };
    let answer = client.wait(client.keys().generate_keys(asked)).unwrap().into_inner();
    assert!(answer.keys.iter().all(|one| matches!(one.result, Some(proto::generated_key::Result::Error(_)))));
}

#[test]
fn one_draft_that_cannot_be_understood_is_in_nobodys_way_and_all_name_one_backend() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let kind = proto::key_spec::Kind::Secret(proto::SecretSpec { key_type: proto::KeyType::Aes.into(), len: 32 });
    let spec = Some(proto::KeySpec { kind: Some(kind) });
    let make = |id: u8, drafts| {
        let (namespace, spec, request_id) = ("web".into(), spec.clone(), vec![id; 16]);
        client.wait(client.keys().generate_keys(proto::GenerateKeysRequest { namespace, spec, drafts, request_id }))
    };
    let no_date = proto::Draft { end: "20261399".to_owned(), ..named("b") };
    let no_id = proto::Draft { id: vec![1, 2, 3], ..named("c") };
    let long = proto::Draft { label: vec![b'x'; 70_000], ..named("d") };
    let answer = make(1, vec![named("a"), no_date, no_id, long, named("e")]).unwrap().into_inner();
    let labels: Vec<_> = answer
        .keys
        .into_iter()
        .map(|one| match one.result {
            Some(proto::generated_key::Result::Key(key)) => String::from_utf8(key.label).ok(),
            _ => None,
        })
        .collect();
    assert_eq!(labels, [Some("a".to_owned()), None, None, None, Some("e".to_owned())]);

    let at = |name, backend: &str| proto::Draft { backend: backend.to_owned(), ..named(name) };
    let refused = make(2, vec![named("f"), at("g", "vault")]).err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let refused = make(3, vec![at("f", "soft"), named("g")]).err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let made = make(4, vec![at("f", "soft"), at("g", "soft")]).unwrap().into_inner();
    assert!(made.keys.iter().all(|one| matches!(one.result, Some(proto::generated_key::Result::Key(_)))));
}

#[test]
fn a_signature_that_is_asked_for_again_is_the_same_one_and_spends_no_quota() {
    if built::only_kmss("a server") {
        return;
    }
    let quota = "[[quota]]\nname = \"few\"\nactions = [\"sign\"]\ntotal = 2\n";
    let server = Kmssd::start("", quota);
    let client = server.client();
    let pair = client.pair("limited");
    let ask = |id: u8, data: &[u8]| client.wait(client.crypto().sign(sign(&pair, data, &[id; 16])));
    let first = ask(1, b"message").unwrap().into_inner().signature;
    for _ in 0..10 {
        assert!(ask(1, b"message").unwrap().into_inner().signature == first);
    }
    // On another connection of the same peer, too.
    let other = server.client();
    let again = other.wait(other.crypto().sign(sign(&pair, b"message", &[1; 16]))).unwrap().into_inner();
    assert!(again.signature == first);
    // ECDSA draws a nonce: a new signature is another one.
    assert!(ask(2, b"message").unwrap().into_inner().signature != first);
    let spent = ask(3, b"message").err().unwrap();
    assert_eq!(spent.code(), Code::ResourceExhausted, "{spent:?}");
    assert!(remote::status::error(&spent).rule().is_some_and(|rule| rule.contains("few")));
    assert_eq!(ask(1, b"other message").err().unwrap().code(), Code::InvalidArgument);
}
