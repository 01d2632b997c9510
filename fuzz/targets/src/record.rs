//! Records of the store: whatever is in place of one, the catalogue answers or says that it is damaged.

use std::sync::Arc;

use libkmss::catalog::Catalog;
use libkmss::error::Result;
use libkmss::key::{DomainKey, Object};
use libkmss::random::Random;
use libkmss::store::{Batch, MemoryStore, Op, Store};
use libkmss::suite::Suite;
use libkmss::tenant::{Namespace, NamespaceId};

use crate::input::Input;

struct Fixed;

impl Random for Fixed {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.fill(7);
        Ok(())
    }
}

/// Puts `data` in the place of a namespace's record, or changes that record by it; and takes it for the content of an
/// object's record, which only damage under the seal could bring.
pub fn run(data: &[u8]) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let home = Arc::new(DomainKey::ephemeral(Suite::Nist, &Fixed).unwrap());
    let catalog = Catalog::new(Arc::clone(&store), Arc::new(Fixed), home);
    let namespace = Namespace {
        id: NamespaceId([1; 16]),
        tenant: Namespace::DEFAULT_TENANT.to_owned(),
        name: "fuzz".to_owned(),
        ordinal: 0,
        incarnation: 1,
        policy_required: false,
        settings: libkmss::settings::Settings::default(),
        backend: libkmss::tenant::BackendId::soft(),
    };
    catalog.put_namespace(None, &namespace, Batch::default()).unwrap();
    let mut input = Input(data);
    let replaces = input.byte().is_multiple_of(2);
    for (key, entry) in store.scan("", None, 100).unwrap() {
        let mut value = entry.value.clone();
        if replaces {
            value = input.0.to_vec();
        } else if let Ok(len) = u64::try_from(value.len().max(1)) {
            let at = usize::try_from(input.number() % len).unwrap();
            if let Some(byte) = value.get_mut(at) {
                *byte ^= input.byte();
            }
        }
        let _ = store.commit(&Batch { conditions: Vec::new(), ops: vec![Op::Put(key, value)], invalidates: true });
    }
    let _ = catalog.namespaces();
    let _ = catalog.next_ordinal();
    let _ = object(data);
}

fn object(data: &[u8]) -> Option<()> {
    let object: Object = ciborium::from_reader(data).ok()?;
    let key = object.key()?;
    let version = key.primary().ok()?;
    let _ = version.public.spki();
    let _ = key.policy_name();
    Some(())
}
