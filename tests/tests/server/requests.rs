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
