//! Objects for tests.

use std::collections::BTreeMap;

use libkmss::clock::Timestamp;
use libkmss::key::{
    Attachment, AuditMode, BackendId, Body, CachedKey, HeldKey, Key, KeyClass, KeyState, KeyVersion, Object,
    Protection, PublicComponents, Storage, Usage,
};
use libkmss::mechanism::KeyType;
use libkmss::tenant::{NamespaceId, ObjectId};

/// A stored object of this body with default attributes.
pub(crate) fn object(body: Body) -> Object {
    Object {
        id: ObjectId([0xAB; 16]),
        namespace: NamespaceId([1; 16]),
        private: false,
        modifiable: true,
        copyable: true,
        destroyable: true,
        label: b"label".to_vec(),
        identifier: b"id".to_vec(),
        attributes: BTreeMap::new(),
        body,
        created: Timestamp(0),
        edition: 1,
        storage: Storage::Stored,
        revision: 7,
        uses: Attachment::default(),
    }
}

/// A stored key, generated here.
pub(crate) fn key(class: KeyClass, key_type: KeyType, public: PublicComponents, protection: Protection) -> Object {
    let version = KeyVersion {
        number: 1,
        created: Timestamp(0),
        backend: BackendId::soft(),
        locator: vec![0; 10],
        bits: 256,
        public,
        check_value: vec![1, 2, 3],
        held: HeldKey::default(),
        cache: CachedKey::default(),
    };
    object(Body::Key(Box::new(Key {
        name: "label".to_owned(),
        origin: String::new(),
        class,
        key_type,
        usage: Usage { sign: true, ..Usage::default() },
        protection,
        state: KeyState::Active,
        allowed_mechanisms: vec![1],
        copy_of: Vec::new(),
        tags: Vec::new(),
        audit: AuditMode::Normal,
        left: Vec::new(),
        lifecycle: libkmss::key::Lifecycle::default(),
        metadata: libkmss::key::Metadata::default(),
        start: None,
        end: None,
        primary: 1,
        versions: vec![version],
    })))
}
