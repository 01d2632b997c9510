//! Bytes of somebody who means harm.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use kmss_tests::built;
use prost::Message as _;
use remote::proto;

use crate::kit::{Kmssd, ecdsa, key, named, sign};

/// Numbers that look like chance and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

#[test]
fn bytes_that_are_no_http_end_their_connection_and_nothing_else() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::with_tls("", "");
    let mut noise = Noise(0x1234_5678_9abc_def1);
    for round in 0..60 {
        let mut bytes = noise.bytes(400);
        if round % 3 == 0 {
            // A client's beginning, and then nonsense.
            bytes.splice(..0, *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        }
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.read(&mut [0; 64]);
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        let _ = stream.write_all(&bytes);
    }
    let client = server.client();
    client.pair("alive");
}

#[test]
fn messages_with_bits_turned_are_answered_with_errors_and_never_with_a_crash() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let pair = client.pair("target");
    let whole = sign(&pair, b"message", &[9; 16]).encode_to_vec();
    let mut noise = Noise(0xfeed_beef_0bad_cafe);
    let (mut asked, mut failed) = (0, 0);
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        for _ in 0..=noise.next() % 4 {
            let place = usize::try_from(noise.next()).unwrap() % bytes.len();
            bytes[place] = noise.next().to_le_bytes()[0];
        }
        // What does not decode never leaves a client; what does is asked for.
        if let Ok(request) = proto::SignRequest::decode(bytes.as_slice()) {
            asked += 1;
            failed += u32::from(client.wait(client.crypto().sign(request)).is_err());
        }
    }
    assert!(asked > 200 && failed > 100, "{asked} {failed}");
    let fine = client.wait(client.crypto().sign(sign(&pair, b"message", &[])));
    assert!(fine.is_ok());
    assert!(!server.running.as_ref().unwrap().said().contains("panicked"));
}

#[test]
fn a_connection_over_which_nobody_speaks_does_not_keep_its_place() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("max_connections = 2\n", "");
    let silent = [b"".as_slice(), b"PRI * HTTP/2.0"].map(|beginning| {
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        stream.write_all(beginning).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    });
    for mut stream in silent {
        let mut said = Vec::new();
        // Whatever it says first, it ends; with a reset, where the server had not read all yet.
        if let Err(e) = stream.read_to_end(&mut said) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}");
        }
    }
    server.client().pair("alive");
}

#[test]
fn a_stream_that_is_signed_as_a_whole_is_not_held_without_end() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("max_stream_bytes = 65536\n", "");
    let client = server.client();
    let made = client.wait(client.keys().generate_key_pair(proto::GenerateKeyPairRequest {
        namespace: "web".into(),
        spec: Some(proto::KeySpec { kind: Some(proto::key_spec::Kind::Ec(proto::Curve::Ed25519.into())) }),
        private: Some(named("edwards")),
        public: Some(named("edwards")),
        request_id: Vec::new(),
    }));
    let edwards = made.unwrap().into_inner().private.unwrap();
    let kind = proto::ec_mechanism::Kind::Eddsa(proto::EdDsa::default());
    let eddsa = proto::mechanism::Kind::Ec(proto::EcMechanism { kind: Some(kind) });
    let eddsa = Some(proto::Mechanism { kind: Some(eddsa) });
    let stream = |object: &proto::Object, mechanism: &Option<proto::Mechanism>, len: usize| {
        use proto::sign_stream_request::Part;
        let start = proto::StreamStart { key: key(object), mechanism: mechanism.clone(), request_id: Vec::new() };
        let data = vec![7; len];
        let parts = std::iter::once(Part::Start(start)).chain(data.chunks(1 << 14).map(|d| Part::Data(d.to_vec())));
        let parts: Vec<_> = parts.map(|part| proto::SignStreamRequest { part: Some(part) }).collect();
        client.wait(client.crypto().sign_stream(tokio_stream::iter(parts)))
    };
    assert!(stream(&edwards, &eddsa, 60_000).is_ok());
    let refused = stream(&edwards, &eddsa, 200_000).err().unwrap();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused:?}");
    // What is hashed as it comes has no such limit.
    assert!(stream(&client.pair("hashed"), &ecdsa(), 200_000).is_ok());
}
