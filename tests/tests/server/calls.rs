//! Every service, through its whole course.

use kmss_tests::built;
use kmss_tests::home::SO_PIN;
use remote::proto;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::kit::{Client, Kmssd, ecdsa, key, named, sign};

pub(crate) fn aes(client: &Client, name: &str) -> proto::Object {
    let spec = proto::SecretSpec { key_type: proto::KeyType::Aes.into(), len: 32 };
    let request = proto::GenerateKeyRequest {
        namespace: "web".into(),
        spec: Some(proto::KeySpec { kind: Some(proto::key_spec::Kind::Secret(spec)) }),
        draft: Some(named(name)),
        request_id: Vec::new(),
    };
    client.wait(client.keys().generate_key(request)).unwrap().into_inner().key.unwrap()
}

fn cipher(mode: proto::cipher_mechanism::Mode) -> Option<proto::Mechanism> {
    let cipher = proto::CipherMechanism { cipher: proto::BlockCipher::Aes.into(), mode: Some(mode) };
    Some(proto::Mechanism { kind: Some(proto::mechanism::Kind::Cipher(cipher)) })
}

pub(crate) fn gcm() -> Option<proto::Mechanism> {
    cipher(proto::cipher_mechanism::Mode::Gcm(proto::Gcm { iv: vec![7; 12], aad: b"aad".to_vec(), tag_len: 16 }))
}

fn public_of(client: &Client, name: &str) -> proto::Object {
    let which = proto::get_object_request::Which::Name(proto::KeyName {
        namespace: "web".into(),
        name: name.into(),
        class: proto::KeyClass::Public.into(),
    });
    let found = client.wait(client.keys().get_object(proto::GetObjectRequest { which: Some(which) }));
    found.unwrap().into_inner().object.unwrap()
}

#[test]
fn what_is_signed_here_verifies_here_and_nothing_else_does() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let pair = client.pair("signer");
    let signed = client.wait(client.crypto().sign(sign(&pair, b"message", &[]))).unwrap().into_inner();
    assert_eq!((signed.signature.len(), signed.key_version), (64, 1));
    let public = public_of(&client, "signer");
    let verify = |data: &[u8]| {
        client.wait(client.crypto().verify(proto::VerifyRequest {
            key: key(&public),
            mechanism: ecdsa(),
            data: data.to_vec(),
            signature: signed.signature.clone(),
            request_id: Vec::new(),
        }))
    };
    assert!(verify(b"message").is_ok());
    let refused = verify(b"another").err().unwrap();
    assert_eq!(remote::status::error(&refused).kind(), libkmss::error::ErrorKind::SignatureInvalid);
}

#[test]
fn data_is_encrypted_in_one_call_and_in_streams_alike() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let secret = aes(&client, "data");
    let plaintext: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let encrypted = client
        .wait(client.crypto().encrypt(proto::EncryptRequest {
            key: key(&secret),
            mechanism: gcm(),
            plaintext: plaintext.clone(),
            request_id: Vec::new(),
        }))
        .unwrap()
        .into_inner()
        .ciphertext;
    assert_eq!(encrypted.len(), plaintext.len() + 16);
    let start = || proto::StreamStart { key: key(&secret), mechanism: gcm(), request_id: Vec::new() };
    let mut parts =
        vec![proto::EncryptStreamRequest { part: Some(proto::encrypt_stream_request::Part::Start(start())) }];
    parts.extend(plaintext.chunks(70_000).map(|data| proto::EncryptStreamRequest {
        part: Some(proto::encrypt_stream_request::Part::Data(data.to_vec())),
    }));
    let streamed = client.wait(async {
        let out = client.crypto().encrypt_stream(tokio_stream::iter(parts)).await.unwrap().into_inner();
        out.map(|part| part.unwrap().data).collect::<Vec<_>>().await.concat()
    });
    assert!(streamed == encrypted);
    let decrypt = |ciphertext: &[u8]| {
        let mut parts =
            vec![proto::DecryptStreamRequest { part: Some(proto::decrypt_stream_request::Part::Start(start())) }];
        parts.extend(ciphertext.chunks(50_000).map(|data| proto::DecryptStreamRequest {
            part: Some(proto::decrypt_stream_request::Part::Data(data.to_vec())),
        }));
        client.wait(async {
            let mut out = client.crypto().decrypt_stream(tokio_stream::iter(parts)).await?.into_inner();
            let mut all = Vec::new();
            while let Some(part) = out.message().await? {
                all.extend(part.data);
            }
            Ok::<_, tonic::Status>(all)
        })
    };
    assert!(decrypt(&encrypted).unwrap() == plaintext);
    let mut forged = encrypted;
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(decrypt(&forged).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn a_long_message_is_signed_in_parts() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let pair = client.pair("streams");
    let message = vec![0x5a; 1 << 20];
    let start = || proto::StreamStart { key: key(&pair), mechanism: ecdsa(), request_id: vec![1; 16] };
    let mut parts = vec![proto::SignStreamRequest { part: Some(proto::sign_stream_request::Part::Start(start())) }];
    parts.extend(
        message
            .chunks(1 << 17)
            .map(|data| proto::SignStreamRequest { part: Some(proto::sign_stream_request::Part::Data(data.to_vec())) }),
    );
    let signature = client.wait(client.crypto().sign_stream(tokio_stream::iter(parts))).unwrap().into_inner().signature;
    let public = public_of(&client, "streams");
    let start = proto::StreamStart { key: key(&public), mechanism: ecdsa(), request_id: Vec::new() };
    use proto::verify_stream_request::Part;
    let parts = [Part::Start(start), Part::Data(message), Part::Signature(signature)];
    let parts = parts.map(|part| proto::VerifyStreamRequest { part: Some(part) });
    client.wait(client.crypto().verify_stream(tokio_stream::iter(parts))).unwrap();
}

#[test]
fn keys_are_found_changed_copied_and_destroyed_and_a_mirror_hears_of_it() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let list = |token: Vec<u8>| {
        client
            .wait(client.keys().list_objects(proto::ListObjectsRequest {
                namespace: "web".into(),
                page_size: 2,
                page_token: token,
                ..proto::ListObjectsRequest::default()
            }))
            .unwrap()
            .into_inner()
    };
    let start = list(Vec::new()).revision;
    let (first, second) = (aes(&client, "first"), aes(&client, "second"));
    let _ = client.pair("third");
    let page = list(Vec::new());
    assert_eq!(page.objects.len(), 2);
    let rest = list(page.next_page_token);
    assert_eq!((rest.objects.len(), list(rest.next_page_token).objects.len()), (2, 0));
    let update = proto::UpdateObjectRequest {
        object: key(&first),
        edition: first.edition,
        label: Some(b"other".to_vec()),
        ..proto::UpdateObjectRequest::default()
    };
    let updated = client.wait(client.keys().update_object(update.clone())).unwrap().into_inner().object.unwrap();
    assert_eq!((updated.label.as_slice(), updated.edition), (b"other".as_slice(), first.edition + 1));
    let late = client.wait(client.keys().update_object(update)).err().unwrap();
    assert_eq!(late.code(), Code::Aborted);
    let rename = proto::RenameKeyRequest { key: key(&first), name: "renamed".into(), request_id: Vec::new() };
    assert_eq!(client.wait(client.keys().rename_key(rename)).unwrap().into_inner().keys.len(), 1);
    let destroy = proto::DestroyObjectRequest { object: key(&second), request_id: Vec::new() };
    client.wait(client.keys().destroy_object(destroy)).unwrap();
    let changes = |since, wait_ms| {
        let request = proto::ListChangesRequest { namespace: "web".into(), since, limit: 1000, wait_ms };
        client.wait(client.keys().list_changes(request)).unwrap().into_inner()
    };
    let seen = changes(start, 0);
    assert_eq!(seen.objects.len(), 3);
    assert!(seen.destroyed.contains(&second.id) && !seen.reset && !seen.more);
    assert!(changes(seen.revision, 50).objects.is_empty());
    assert!(changes(u64::MAX >> 1, 0).reset);
}

#[test]
fn keys_are_wrapped_unwrapped_derived_and_agreed_on() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let wrapping = aes(&client, "wrapping");
    let open = proto::Protection { extractable: true, ..proto::Protection::default() };
    let spec = proto::SecretSpec { key_type: proto::KeyType::Aes.into(), len: 16 };
    let inner = client
        .wait(client.keys().generate_key(proto::GenerateKeyRequest {
            namespace: "web".into(),
            spec: Some(proto::KeySpec { kind: Some(proto::key_spec::Kind::Secret(spec)) }),
            draft: Some(proto::Draft { protection: Some(open), ..named("inner") }),
            request_id: Vec::new(),
        }))
        .unwrap()
        .into_inner()
        .key
        .unwrap();
    let kwp = || cipher(proto::cipher_mechanism::Mode::KeyWrapPad(proto::NoParameters {}));
    let wrapped = client
        .wait(client.crypto().wrap(proto::WrapRequest {
            wrapping: key(&wrapping),
            key: key(&inner),
            mechanism: kwp(),
            request_id: Vec::new(),
        }))
        .unwrap()
        .into_inner()
        .wrapped;
    let released = || Some(proto::new_key::Outcome::Released(proto::Release {}));
    let new_key = |outcome| proto::NewKey { key_type: proto::KeyType::Aes.into(), len: None, outcome };
    let try_unwrap = |outcome| {
        client.wait(client.crypto().unwrap(proto::UnwrapRequest {
            unwrapping: key(&wrapping),
            mechanism: kwp(),
            wrapped: wrapped.clone(),
            key: Some(new_key(outcome)),
            request_id: Vec::new(),
        }))
    };
    let unwrap = |outcome| try_unwrap(outcome).unwrap().into_inner().key.unwrap().outcome.unwrap();
    let value = |made| match made {
        proto::made_key::Outcome::Released(components) => match components.kind.unwrap() {
            proto::key_components::Kind::Secret(secret) => secret.value,
            _ => panic!("no secret key"),
        },
        proto::made_key::Outcome::Kept(_) => panic!("kept"),
    };
    let clear = value(unwrap(released()));
    let export = proto::ExportKeyRequest { key: key(&inner), request_id: Vec::new() };
    let exported = client.wait(client.keys().export_key(export)).unwrap().into_inner().components.unwrap();
    assert!(value(proto::made_key::Outcome::Released(exported)) == clear);
    assert!(matches!(
        unwrap(Some(proto::new_key::Outcome::Kept(named("again")))),
        proto::made_key::Outcome::Kept(object) if object.label == b"again"
    ));
    // It is where its wrapping key is, and nobody is told otherwise.
    let elsewhere = proto::Draft { backend: "elsewhere".into(), ..named("elsewhere") };
    let refused = try_unwrap(Some(proto::new_key::Outcome::Kept(elsewhere))).err().unwrap();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused:?}");
    // Both sides of an agreement come to the same secret.
    let (mine, theirs) = (client.pair("mine"), client.pair("theirs"));
    let agreed = |base: &proto::Object, other: &str| {
        use proto::public_key::Kind;
        let versions = match public_of(&client, other).body.unwrap() {
            proto::object::Body::Key(key) => key.versions,
            _ => panic!("no key"),
        };
        let Some(Kind::Ec(public)) = versions[0].public.clone().unwrap().kind else { panic!("no point") };
        let kdf = proto::EcdhKdf { kind: Some(proto::ecdh_kdf::Kind::Null(proto::NoParameters {})) };
        let ecdh = proto::Ecdh { kdf: Some(kdf), public: public.point, shared_info: Vec::new() };
        let ec = proto::EcMechanism { kind: Some(proto::ec_mechanism::Kind::Ecdh(ecdh)) };
        let derived = client.wait(client.crypto().derive(proto::DeriveRequest {
            base: key(base),
            others: Vec::new(),
            mechanism: Some(proto::Mechanism { kind: Some(proto::mechanism::Kind::Ec(ec)) }),
            keys: vec![proto::NewKey {
                key_type: proto::KeyType::GenericSecret.into(),
                len: Some(32),
                outcome: released(),
            }],
            request_id: Vec::new(),
        }));
        value(derived.unwrap().into_inner().keys.remove(0).outcome.unwrap())
    };
    let secret = agreed(&mine, "theirs");
    assert!(secret.len() == 32 && secret == agreed(&theirs, "mine"));
}

#[test]
fn a_batch_has_a_result_for_each_call() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let pair = client.pair("batch");
    use proto::batch_call::Call;
    use proto::batch_result::Result as Outcome;
    let bad = proto::SignRequest { mechanism: None, ..sign(&pair, b"x", &[]) };
    let calls = [Some(Call::Sign(sign(&pair, b"one", &[]))), Some(Call::Sign(bad)), None];
    let calls = calls.map(|call| proto::BatchCall { call }).to_vec();
    let results = client.wait(client.crypto().batch(proto::BatchRequest { calls })).unwrap().into_inner().results;
    assert!(matches!(&results[0].result, Some(Outcome::Sign(signed)) if signed.signature.len() == 64));
    for failed in &results[1..] {
        let Some(Outcome::Error(error)) = &failed.result else { panic!("no error") };
        assert_eq!(error.code, i32::from(Code::InvalidArgument));
    }
}

#[test]
fn a_batch_takes_messages_and_tokens_too() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let (pair, secret) = (client.pair("tokens"), aes(&client, "messages"));
    use proto::batch_call::Call;
    use proto::batch_result::Result as Outcome;
    let batch = |calls: Vec<Call>| {
        let calls = calls.into_iter().map(|call| proto::BatchCall { call: Some(call) }).collect();
        let answer = client.wait(client.crypto().batch(proto::BatchRequest { calls })).unwrap().into_inner();
        answer.results.into_iter().map(|one| one.result.unwrap()).collect::<Vec<_>>()
    };
    let claims = Some(proto::sign_jws_request::Content::Claims(b"{\"iss\":\"me\"}".to_vec()));
    let token =
        proto::SignJwsRequest { key: key(&pair), content: claims, life_seconds: Some(60), ..Default::default() };
    let message =
        proto::EncryptMessageRequest { key: key(&secret), plaintext: b"secret".to_vec(), ..Default::default() };
    let done = batch(vec![Call::SignJws(token.clone()), Call::EncryptMessage(message)]);
    let [Outcome::SignJws(signed), Outcome::EncryptMessage(sealed)] = &done[..] else {
        panic!("a token and a message were asked for")
    };
    assert_eq!((signed.kid.as_str(), signed.algorithm), ("tokens@1", proto::JwsAlgorithm::Es256.into()));
    let verify = |issuer: &str| {
        Call::VerifyJws(proto::VerifyJwsRequest {
            key: key(&pair),
            token: signed.token.clone(),
            issuer: Some(issuer.into()),
            ..Default::default()
        })
    };
    let open = |ciphertext: &[u8]| {
        let (namespace, ciphertext) = ("web".to_owned(), ciphertext.to_vec());
        Call::DecryptMessage(proto::DecryptMessageRequest { namespace, ciphertext, ..Default::default() })
    };
    let forever = proto::SignJwsRequest { endless: true, ..token };
    let calls =
        vec![verify("me"), verify("you"), open(&sealed.ciphertext), open(b"nothing of ours"), Call::SignJws(forever)];
    let done = batch(calls);
    assert!(matches!(&done[0], Outcome::VerifyJws(good) if good.payload.starts_with(b"{\"iss\":\"me\"")));
    assert!(matches!(&done[2], Outcome::DecryptMessage(opened) if opened.plaintext == b"secret"));
    for (at, kind) in [
        (1, proto::ErrorKind::DataInvalid),
        (3, proto::ErrorKind::EncryptedDataInvalid),
        (4, proto::ErrorKind::Arguments),
    ] {
        let Outcome::Error(error) = &done[at] else { panic!("call {at} was to fail") };
        assert_eq!(error.detail.as_ref().unwrap().kind, i32::from(kind), "call {at}: {}", error.message);
    }
}

#[test]
fn a_name_that_is_to_be_exact_is_had_by_one_key() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let make = |exact_name| {
        let spec = proto::SecretSpec { key_type: proto::KeyType::Aes.into(), len: 32 };
        client.wait(client.keys().generate_key(proto::GenerateKeyRequest {
            namespace: "web".into(),
            spec: Some(proto::KeySpec { kind: Some(proto::key_spec::Kind::Secret(spec)) }),
            draft: Some(proto::Draft { name: "pay".into(), exact_name, ..proto::Draft::default() }),
            request_id: Vec::new(),
        }))
    };
    let name = |made: Result<tonic::Response<proto::GenerateKeyResponse>, _>| match made {
        Ok(made) => match made.into_inner().key.unwrap().body.unwrap() {
            proto::object::Body::Key(key) => Ok(key.name),
            _ => panic!("no key"),
        },
        Err(refused) => Err(remote::status::error(&refused).kind()),
    };
    assert_eq!(name(make(true)).unwrap(), "pay");
    assert_eq!(name(make(true)).unwrap_err(), libkmss::error::ErrorKind::AlreadyExists);
    assert_eq!(name(make(false)).unwrap(), "pay-2");
}

#[test]
fn keys_that_wait_are_told_of_in_pages() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    use proto::transition::Kind;
    for number in 0..5 {
        let made = aes(&client, &format!("k{number}"));
        let rule = proto::Transition { kind: Kind::Rotate.into(), rotation_days: 30, ..Default::default() };
        let end = proto::Transition { kind: Kind::Delete.into(), days: 7, ..Default::default() };
        for transition in [rule, end] {
            let change = proto::ChangeKeyLifeRequest {
                key: key(&made),
                transition: Some(transition),
                officer_pin: SO_PIN.into(),
                request_id: Vec::new(),
            };
            client.wait(client.lifecycle().change_key_life(change)).unwrap();
        }
    }
    let (namespace, page_size) = ("web".to_owned(), 2);
    let rotating = proto::RotateDueKeysRequest { namespace, dry_run: true, page_size, ..Default::default() };
    let (namespace, page_size) = ("web".to_owned(), 2);
    let ending = proto::DestroyDueKeysRequest { namespace, page_size, ..Default::default() };
    let (mut rotated, mut ended) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for expected in [2, 2, 1] {
        let page_token = rotated.1;
        let request = proto::RotateDueKeysRequest { page_token, ..rotating.clone() };
        let page = client.wait(client.lifecycle().rotate_due_keys(request)).unwrap().into_inner();
        assert_eq!((page.keys.len(), page.next_page_token.is_empty()), (expected, expected == 1));
        rotated.0.extend(page.keys.into_iter().map(|key| key.name));
        rotated.1 = page.next_page_token;
        let page_token = ended.1;
        let request = proto::DestroyDueKeysRequest { page_token, ..ending.clone() };
        let page = client.wait(client.lifecycle().destroy_due_keys(request)).unwrap().into_inner();
        assert_eq!((page.keys.len(), page.next_page_token.is_empty()), (expected, expected == 1));
        ended.0.extend(page.keys.into_iter().map(|key| key.name));
        ended.1 = page.next_page_token;
    }
    for mut names in [rotated.0, ended.0] {
        names.sort();
        assert_eq!(names, ["k0", "k1", "k2", "k3", "k4"]);
    }
    let request = proto::ListTombstonesRequest {
        namespace: "web".into(),
        page_token: b"nothing".to_vec(),
        ..proto::ListTombstonesRequest::default()
    };
    let refused = client.wait(client.lifecycle().list_tombstones(request)).err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[test]
fn random_bytes_differ_and_have_the_length_that_was_asked_for() {
    if built::only_kmss("a server") {
        return;
    }
    let server = Kmssd::start("", "");
    let client = server.client();
    let draw = |len| {
        client.wait(client.random().generate_random(proto::GenerateRandomRequest { namespace: "web".into(), len }))
    };
    let (one, two) = (draw(32).unwrap().into_inner().data, draw(32).unwrap().into_inner().data);
    assert!(one.len() == 32 && one != two);
    for none in [0, 65_537] {
        assert_eq!(draw(none).err().unwrap().code(), Code::InvalidArgument);
    }
}
