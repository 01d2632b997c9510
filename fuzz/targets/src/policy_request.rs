//! Requests as guests of `kmss-policy/1` are told them: any request is laid out as docs/policy-abi.md says, or refused.
#![allow(clippy::indexing_slicing)]

use libkmss::clock::Timestamp;
use libkmss::mechanism::KeyType;
use libkmss::policy::abi::{ACTIONS, BUFFER, Encoded, FIXED};
use libkmss::policy::{Flags, Input, InputKey};

use crate::input;

/// Encodes the request that `data` describes, and reads it back.
pub fn run(data: &[u8]) {
    let mut data = input::Input(data);
    let mut text = || {
        // Now and then a text that is too long for any buffer together with others.
        let times = if data.byte() == 0 { 200 } else { 1 };
        String::from_utf8_lossy(data.bytes()).repeat(times)
    };
    let [tenant, principal, id, name, namespace, process, source, session] = std::array::from_fn(|_| text());
    let lists: [Vec<String>; 2] = std::array::from_fn(|_| (0..text().len() % 8).map(|_| text()).collect());
    let context: Vec<(String, String)> = (0..text().len() % 8).map(|_| (text(), text())).collect();
    let [roles, tags] = &lists;
    let key = InputKey {
        id: &id,
        name: &name,
        session: data.byte().is_multiple_of(2),
        key_type: data.byte().is_multiple_of(2).then_some(KeyType::Aes),
        bits: 256,
        created: Timestamp(data.number()),
        version_age: data.number(),
        tags,
    };
    let request = Input {
        action: ACTIONS[usize::from(data.byte()) % ACTIONS.len()].1,
        mechanism: Some("AES_GCM"),
        time: Timestamp(data.number()),
        sequence: data.number(),
        last_second: 1,
        last_minute: 1,
        data_len: Some(data.number()),
        flags: Flags::default(),
        uid: 0,
        pid: 0,
        key: (!data.byte().is_multiple_of(4)).then_some(key),
        tenant: &tenant,
        namespace: &namespace,
        principal: &principal,
        roles,
        process: &process,
        source: &source,
        session: &session,
        context: &context,
    };
    let encoded = Encoded::of(&request);
    let Ok(bytes) = encoded.request() else { return };
    assert!(bytes.len() <= BUFFER && bytes.len() == word(bytes, 4));
    assert_eq!(text_at(bytes, 88), tenant.as_bytes());
    assert_eq!(text_at(bytes, 96), principal.as_bytes());
    assert_eq!(text_at(bytes, 160), session.as_bytes());
    for (at, size) in [(104, 8), (136, 8), (168, 16)] {
        let (table, count) = (word(bytes, at), word(bytes, at + 4));
        assert!(table % 4 == 0 && (count == 0 || table >= FIXED));
        let names: Vec<&[u8]> = (0..count).map(|n| text_at(bytes, table + n * size)).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn text_at(bytes: &[u8], at: usize) -> &[u8] {
    let (offset, length) = (word(bytes, at), word(bytes, at + 4));
    &bytes[offset..offset + length]
}
