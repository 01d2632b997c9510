//! Tests of the catalogue, over both engines where the engine could matter.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod check;
mod damage;
mod find;
mod mirror;
mod namespace;
mod objects;
mod rehome;
mod reshape;
mod rewrap;
mod tomb;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::caller::{CallerParts, Login, Principal};
use crate::clock::Timestamp;
use crate::key::{
    AuditMode, BackendId, Body, CachedKey, DeviceObject, Key, KeyState, KeyVersion, Protection, PublicComponents, Usage,
};
use crate::mechanism::KeyType;
use crate::settings::Settings;
use crate::store::{Batch, MemoryStore, SqliteStore};
use crate::suite::Suite;

/// Randomness of the operating system.
pub(super) struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        let mut source = std::fs::File::open("/dev/urandom").unwrap();
        std::io::Read::read_exact(&mut source, out).unwrap();
        Ok(())
    }
}

pub(super) struct Bench {
    pub(super) catalog: Catalog,
    pub(super) store: Arc<dyn Store>,
    pub(super) home: Arc<DomainKey>,
    /// A caller with everything.
    pub(super) user: Caller,
    /// The same, not logged in.
    pub(super) public: Caller,
    _dir: Option<tempfile::TempDir>,
}

impl Bench {
    pub(super) fn memory() -> Self {
        Self::over(Arc::new(MemoryStore::default()), None, Suite::Nist)
    }

    pub(super) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mode = crate::os::FileMode::of_home(dir.path()).unwrap();
        let store = SqliteStore::open(dir.path(), mode, Arc::new(crate::clock::SystemClock::default())).unwrap();
        Self::over(Arc::new(store), Some(dir), Suite::Nist)
    }

    pub(super) fn over(store: Arc<dyn Store>, dir: Option<tempfile::TempDir>, suite: Suite) -> Self {
        let fresh = || Arc::new(DomainKey::ephemeral(suite, &OsRandom).unwrap());
        let home = fresh();
        let catalog = Catalog::new(Arc::clone(&store), Arc::new(OsRandom), Arc::clone(&home));
        let keyring = Keyring { public: fresh(), private: Some(fresh()), officer: None, ephemeral: fresh() };
        let namespace = namespace_at(0);
        catalog.put_namespace(None, &namespace, Batch::default()).unwrap();
        let user = Caller::from(CallerParts {
            principal: Arc::new(Principal::new("user:test", Vec::new())),
            namespace: Arc::new(namespace),
            login: Login::User("user".into()),
            keyring: Arc::new(keyring.clone()),
            session: 1,
            authenticated: crate::clock::Timestamp(0),
        });
        let keyring = Arc::new(Keyring { private: None, ..keyring });
        let public = user.with(|parts| {
            parts.login = Login::None;
            parts.keyring = keyring;
        });
        Self { catalog, store, home, user, public, _dir: dir }
    }

    /// A second catalogue over the same store, as another process would have.
    pub(super) fn another(&self) -> Catalog {
        Catalog::new(Arc::clone(&self.store), Arc::new(OsRandom), Arc::clone(&self.home))
    }

    /// Makes `namespace` anew.
    pub(super) fn wipe(&self, namespace: &Namespace) -> Result<Namespace> {
        let next = Namespace { incarnation: namespace.incarnation + 1, ..namespace.clone() };
        self.catalog.renew(namespace, &next, Batch::default()).map(|()| next)
    }

    /// Makes what stands in devices, or is to have a certain name.
    pub(super) fn made(
        &self,
        objects: Vec<Object>,
        held: Vec<(ObjectId, DeviceObject)>,
        exact: Vec<ObjectId>,
    ) -> Result<Vec<Arc<Object>>> {
        self.catalog.create_each(&self.user, &mut [Newcomers { objects, held, exact }]).remove(0)
    }

    pub(super) fn make(&self, object: Object) -> Arc<Object> {
        self.catalog.create(&self.user, &mut [object]).unwrap().remove(0)
    }
}

pub(super) fn both() -> [Bench; 2] {
    [Bench::memory(), Bench::sqlite()]
}

pub(super) fn namespace_at(ordinal: u32) -> Namespace {
    let mut id = [0; 16];
    OsRandom.fill(&mut id).unwrap();
    let name = format!("token{ordinal}");
    Namespace {
        id: NamespaceId(id),
        tenant: "default".into(),
        name,
        ordinal,
        incarnation: 1,
        policy_required: false,
        settings: Settings::default(),
        backend: crate::key::BackendId::soft(),
    }
}

pub(super) fn data(of: &Caller, label: &str, identifier: &[u8]) -> Object {
    let mut id = [0; 16];
    OsRandom.fill(&mut id).unwrap();
    Object {
        id: ObjectId(id),
        namespace: of.namespace.id,
        private: false,
        modifiable: true,
        copyable: true,
        destroyable: true,
        label: label.into(),
        identifier: identifier.to_vec(),
        attributes: BTreeMap::from([(0x8000_0001, serde_bytes::ByteBuf::from(b"attribute".to_vec()))]),
        body: Body::Data { value: b"value".to_vec().into() },
        created: Timestamp(1_700_000_000_000),
        edition: 0,
        storage: Storage::Stored,
        revision: 0,
        uses: crate::key::Attachment::default(),
    }
}

pub(super) fn key(of: &Caller, name: &str, class: KeyClass) -> Object {
    let version = KeyVersion {
        number: 1,
        created: Timestamp(1),
        backend: BackendId::soft(),
        locator: vec![9; 1200],
        bits: 2048,
        public: PublicComponents::Rsa { modulus: vec![0xC5; 256], exponent: vec![1, 0, 1] },
        check_value: Vec::new(),
        held: crate::key::HeldKey::default(),
        cache: CachedKey::default(),
    };
    let key = Key {
        name: name.into(),
        origin: String::new(),
        class,
        key_type: KeyType::Rsa,
        usage: Usage::default(),
        protection: Protection::default(),
        state: KeyState::Active,
        allowed_mechanisms: Vec::new(),
        copy_of: Vec::new(),
        tags: Vec::new(),
        audit: AuditMode::Normal,
        left: Vec::new(),
        lifecycle: crate::key::Lifecycle::default(),
        metadata: crate::key::Metadata::default(),
        start: None,
        end: Some(crate::key::Date(*b"20991231")),
        primary: 1,
        versions: vec![version],
    };
    let private = class != KeyClass::Public;
    Object { private, body: Body::Key(Box::new(key)), ..data(of, name, b"id") }
}

pub(super) fn name_of(object: &Object) -> &str {
    &object.key().unwrap().name
}
