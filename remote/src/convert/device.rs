//! Keys in HSMs that wrap key material.

use libkmss::device::WrappingKey;

use crate::proto;

impl From<WrappingKey> for proto::WrappingKey {
    fn from(key: WrappingKey) -> Self {
        let WrappingKey { hsm, serial, key, mechanism } = key;
        Self { hsm, serial, key, mechanism }
    }
}

impl From<proto::WrappingKey> for WrappingKey {
    fn from(key: proto::WrappingKey) -> Self {
        let proto::WrappingKey { hsm, serial, key, mechanism } = key;
        Self { hsm, serial, key, mechanism }
    }
}
