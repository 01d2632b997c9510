//! Where the records of policies are. Names are hidden behind MACs of the home's domain key.
//!
//! ```text
//! policy/edition                moves with every change of policies and trust anchors
//! policy/entry/<term>           a policy: what is in force, and the highest sequence ever seen
//! policy/anchor/<term>          a trust anchor
//! policy/local                  the home's own publisher
//! policy/blob/<id>/<number>     a piece of an applied bundle
//! policy/staged/<id>            present while the pieces of a bundle are written
//! ```

use crate::error::Result;
use crate::key::DomainKey;
use crate::policy::{Scope, hex};
use crate::store::StoreKey;
use crate::tenant::NamespaceId;

pub(super) const ENTRIES: &str = "policy/entry/";
pub(super) const ANCHORS: &str = "policy/anchor/";
pub(super) const STAGED: &str = "policy/staged/";
pub(super) const LOCAL: &str = "policy/local";
const EDITION: &str = "policy/edition";

/// The pieces of one bundle.
pub(super) type BlobId = [u8; 16];

pub(super) fn edition() -> Result<StoreKey> {
    StoreKey::new(EDITION)
}

pub(super) fn local() -> Result<StoreKey> {
    StoreKey::new(LOCAL)
}

pub(super) fn entry(home: &DomainKey, scope: &Scope, namespace: Option<NamespaceId>, name: &str) -> Result<StoreKey> {
    StoreKey::new(format!("{ENTRIES}{}", term(home, "policy entry", scope, namespace, name)?))
}

pub(super) fn anchor(home: &DomainKey, scope: &Scope, namespace: Option<NamespaceId>, name: &str) -> Result<StoreKey> {
    StoreKey::new(format!("{ANCHORS}{}", term(home, "policy anchor", scope, namespace, name)?))
}

pub(super) fn piece(id: &BlobId, number: usize) -> Result<StoreKey> {
    piece_of(&hex(id), number)
}

pub(super) fn piece_of(id: &str, number: usize) -> Result<StoreKey> {
    StoreKey::new(format!("policy/blob/{id}/{number:02}"))
}

pub(super) fn staged(id: &BlobId) -> Result<StoreKey> {
    StoreKey::new(format!("{STAGED}{}", hex(id)))
}

/// No name holds a zero byte, so that different names give different terms.
fn term(home: &DomainKey, index: &str, scope: &Scope, namespace: Option<NamespaceId>, name: &str) -> Result<String> {
    let mut value = scope.level().to_owned();
    for part in scope.names().chain([namespace.map(|id| id.to_string()).as_deref().unwrap_or_default(), name]) {
        value.push('\0');
        value.push_str(part);
    }
    Ok(hex(&home.index_term(index, value.as_bytes())?))
}
