#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::KeyType;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn input<'a>(roles: &'a [String], tags: &'a [String], context: &'a [(String, String)]) -> Input<'a> {
    Input {
        action: Action::Sign,
        mechanism: Some("ECDSA_SHA256"),
        time: Timestamp(0x1_2345_6789),
        sequence: 7,
        last_second: 3,
        last_minute: 40,
        data_len: Some(32),
        flags: Flags { interactive: true, mfa: false, fips: true },
        uid: 1000,
        pid: 4711,
        key: Some(InputKey {
            id: "00112233445566778899aabbccddeeff",
            name: "payment_ec",
            session: true,
            key_type: Some(KeyType::Ec),
            bits: 256,
            created: Timestamp(99),
            version_age: 1 << 40,
            tags,
        }),
        tenant: "acme",
        namespace: "payments",
        principal: "service:order-v1",
        roles,
        process: "/usr/sbin/nginx",
        source: "10.1.2.3",
        session: "",
        context,
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn text(bytes: &[u8], at: usize) -> &str {
    let (offset, length) = (word(bytes, at) as usize, word(bytes, at + 4) as usize);
    assert_eq!(offset == 0, length == 0);
    std::str::from_utf8(&bytes[offset..offset + length]).unwrap()
}

fn list(bytes: &[u8], at: usize, size: usize) -> Vec<&str> {
    let (offset, count) = (word(bytes, at) as usize, word(bytes, at + 4) as usize);
    assert_eq!(offset % 4, 0);
    (0..count * size / 8).map(|n| text(bytes, offset + n * 8)).collect()
}

#[test]
fn fields_stand_where_the_document_says() {
    let (roles, tags) = (strings(&["admin", "signer"]), strings(&["pci"]));
    let context = [("order".to_owned(), "4711".to_owned()), ("zone".to_owned(), String::new())];
    let encoded = Encoded::of(&input(&roles, &tags, &context));
    let bytes = encoded.request().unwrap();
    let words = [
        (0, 0x1_0000),
        (4, bytes.len() as u32),
        (8, 5),
        (12, 0x0413),
        (16, 0x2345_6789),
        (20, 1),
        (24, 7),
        (28, 0),
        (32, 3),
        (36, 40),
        (40, 32),
        (44, 0),
        (48, 0b11101),
        (52, 1000),
        (56, 4711),
        (60, 2),
        (64, 256),
        (68, 176),
        (72, 99),
        (80, 0),
        (84, 256),
    ];
    for (at, expected) in words {
        assert_eq!(word(bytes, at), expected, "at {at}");
    }
    let texts = [
        (88, "acme"),
        (96, "service:order-v1"),
        (112, "00112233445566778899aabbccddeeff"),
        (120, "payment_ec"),
        (128, "payments"),
        (144, "/usr/sbin/nginx"),
        (152, "10.1.2.3"),
        (160, ""),
    ];
    for (at, expected) in texts {
        assert_eq!(text(bytes, at), expected, "at {at}");
    }
    assert_eq!(list(bytes, 104, 8), ["admin", "signer"]);
    assert_eq!(list(bytes, 136, 8), ["pci"]);
    assert_eq!(list(bytes, 168, 16), ["order", "4711", "zone", ""]);
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let mut bare = input(&[], &[], &[]);
    (bare.key, bare.mechanism, bare.data_len, bare.uid) = (None, None, None, u32::MAX);
    let encoded = Encoded::of(&bare);
    let bytes = encoded.request().unwrap();
    assert_eq!([12, 60, 64, 72, 104, 108, 112, 116, 136, 140, 168].map(|at| word(bytes, at)), [0; 11]);
    assert_eq!([40, 44, 52].map(|at| word(bytes, at)), [u32::MAX; 3]);
    assert_eq!(word(bytes, 48), 0b101);
}

#[test]
fn lists_arrive_sorted_and_without_repetitions_however_they_came() {
    let (roles, tags) = (strings(&["b", "a", "b"]), strings(&["x", "x"]));
    let context = [("z".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    let encoded = Encoded::of(&input(&roles, &tags, &context));
    let bytes = encoded.request().unwrap();
    assert_eq!(list(bytes, 104, 8), ["a", "b"]);
    assert_eq!(list(bytes, 136, 8), ["x"]);
    assert_eq!(list(bytes, 168, 16), ["a", "2", "z", "1"]);
    let twice = [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    assert_eq!(Encoded::of(&input(&[], &[], &twice)).request(), Err(EncodeError::ContextTwice));
}

#[test]
fn a_request_fills_the_buffer_to_the_last_byte_and_no_further() {
    let mut encoded = Encoded::of(&input(&[], &[], &[]));
    let room = BUFFER - encoded.request().unwrap().len();
    let long = "x".repeat(room + 1);
    let mut longer = input(&[], &[], &[]);
    longer.session = &long[1..];
    encoded.encode(&longer);
    assert_eq!(encoded.request().unwrap().len(), BUFFER);
    longer.session = &long;
    encoded.encode(&longer);
    assert_eq!(encoded.request(), Err(EncodeError::TooLong));
    encoded.encode(&input(&[], &[], &[]));
    assert_eq!(encoded.request().unwrap().len(), BUFFER - room);
    assert_eq!(Encoded::default().request(), Err(EncodeError::Empty));
}
