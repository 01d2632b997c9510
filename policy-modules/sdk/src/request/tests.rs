#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::testing::{Ask, AskKey};

fn whole() -> Ask {
    Ask {
        mechanism: Some(Mechanism::AES_GCM),
        time: Time(1_790_000_000_123),
        sequence: 1 << 40,
        last_second: 2,
        last_minute: 3,
        data_len: Some(1 << 33),
        interactive: true,
        fips: true,
        uid: Some(0),
        pid: Some(4711),
        tenant: "acme".into(),
        namespace: "payments".into(),
        principal: "service:order-v1".into(),
        roles: vec!["signer".into(), "auditor".into()],
        process: "/usr/sbin/nginx".into(),
        source: "10.1.2.3".into(),
        session: "17".into(),
        context: vec![("order".into(), "4711".into()), ("amount".into(), "".into())],
        key: Some(AskKey {
            id: "00112233445566778899aabbccddeeff".into(),
            name: "payment_aes".into(),
            session: true,
            key_type: Some(KeyType::AES),
            bits: 256,
            created: Time(1_780_000_000_000),
            version_age: 10_000_000_000,
            tags: vec!["pci".into(), "region:eu".into()],
        }),
        ..Ask::of(Action::ENCRYPT)
    }
}

#[test]
fn every_field_is_read_back() {
    let bytes = whole().encode();
    let request = Request::parse(&bytes).unwrap();
    assert_eq!((request.action(), request.mechanism()), (Action::ENCRYPT, Some(Mechanism::AES_GCM)));
    assert_eq!((request.time().0, request.sequence()), (1_790_000_000_123, 1 << 40));
    assert_eq!((request.last_second(), request.last_minute(), request.data_len()), (2, 3, Some(1 << 33)));
    assert_eq!((request.is_interactive(), request.has_mfa(), request.is_fips()), (true, false, true));
    assert_eq!((request.uid(), request.pid()), (Some(0), Some(4711)));
    assert!(request.tenant() == "acme" && request.namespace() == "payments");
    assert!(request.principal().kind() == "service" && request.principal().name() == "order-v1");
    assert!(request.roles().contains("signer") && !request.roles().contains("sign"));
    assert!(request.process() == "/usr/sbin/nginx" && request.source() == "10.1.2.3" && request.session() == "17");
    assert_eq!(request.context().get("order").unwrap().number(), Some(4711));
    assert!(request.context().get("amount").unwrap().is_empty() && request.context().get("orde").is_none());
    let key = request.key().unwrap();
    assert!(key.id() == "00112233445566778899aabbccddeeff" && key.name() == "payment_aes" && key.is_session());
    assert_eq!((key.key_type(), key.bits()), (Some(KeyType::AES), Some(256)));
    assert_eq!((key.created().0, key.version_age()), (1_780_000_000_000, 10_000_000_000));
    assert!(key.tags().value_of("region:").unwrap() == "eu");
    assert_eq!(key.tags().count(), 2);
}

#[test]
fn what_does_not_apply_is_not_there() {
    let bytes = Ask::of(Action::LOGIN).encode();
    let request = Request::parse(&bytes).unwrap();
    assert_eq!((request.mechanism(), request.data_len(), request.uid(), request.pid()), (None, None, None, None));
    assert!(request.key().is_none() && request.tenant().is_empty() && request.roles().is_empty());
    assert_eq!(request.context().count(), 0);
}

#[test]
fn another_major_version_and_a_part_of_a_request_are_no_requests() {
    let bytes = whole().encode();
    let mut newer = bytes.clone();
    newer[0] = 7;
    assert!(Request::parse(&newer).is_some(), "minor versions only append");
    newer[2] = 2;
    assert!(Request::parse(&newer).is_none());
    for length in 0..bytes.len() {
        assert!(Request::parse(&bytes[..length]).is_none());
    }
}

/// Reads everything that can be read.
fn read_all(bytes: &[u8]) {
    let Some(request) = Request::parse(bytes) else { return };
    let texts = [request.tenant(), request.namespace(), request.process(), request.source(), request.session()];
    let mut length: usize = texts.iter().map(|text| text.bytes().len()).sum();
    length += request.roles().chain(request.key().into_iter().flat_map(|key| key.tags())).count();
    length += request.context().map(|(name, value)| name.bytes().len() + value.bytes().len()).sum::<usize>();
    assert!(request.principal().text().bytes().len() + length < 1 << 30);
}

#[test]
fn a_flipped_byte_anywhere_is_read_or_denied_and_nothing_else() {
    let bytes = whole().encode();
    read_all(&bytes);
    // The denials panic here, on purpose; their messages would only fill the screen.
    std::panic::set_hook(Box::new(|_| {}));
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut hostile = bytes.clone();
            hostile[at] ^= flip;
            if let Err(panic) = std::panic::catch_unwind(|| read_all(&hostile)) {
                let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
                assert!(message.contains("would trap"), "byte {at}: {message}");
            }
        }
    }
}
