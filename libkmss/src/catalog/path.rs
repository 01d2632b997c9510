//! Where the catalogue keeps its records: the paths of namespaces, objects, index entries and names.
//!
//! ```text
//! namespace/<namespace>                              record of a namespace
//! ordinal/<number>                                   taken positions, never freed
//! ns/<namespace>/<incarnation>/closed                present once the incarnation is over
//! ns/<namespace>/<incarnation>/obj/<object>          record of an object
//! ns/<namespace>/<incarnation>/idx/<term>/<object>   index entry; the term is a MAC
//! ns/<namespace>/<incarnation>/name/<term>           guard of a name; the term is a MAC
//! ns/<namespace>/<incarnation>/mirror/<domain>       how far a keeper of records was followed
//! ns/<namespace>/<incarnation>/retired/<version>     marker of a version of the domain key that seals nothing any more
//! hsm/owner/<term>                                   keys that stand on objects of a device; the term is a MAC
//! ```

use crate::error::{Error, ErrorKind, Result};
use crate::store::StoreKey;
use crate::suite::HASH_LEN;
use crate::tenant::{Namespace, NamespaceId, ObjectId, push_hex};

/// Records of namespaces.
pub(super) const NAMESPACES: &str = "namespace/";
/// Positions of namespaces.
pub(super) const ORDINALS: &str = "ordinal/";
/// Owners of objects of devices.
pub(super) const OWNERS: &str = "hsm/owner/";
/// Last part of the path of a [`Paths::closed`] marker.
pub(super) const CLOSED: &str = "/closed";

pub(super) fn namespace(id: NamespaceId) -> Result<StoreKey> {
    StoreKey::new(format!("{NAMESPACES}{id}"))
}

pub(super) fn ordinal(number: u32) -> Result<StoreKey> {
    StoreKey::new(format!("{ORDINALS}{number:08x}"))
}

/// Who has what in the place of a device that `term` stands for.
pub(super) fn owner(term: Term) -> Result<StoreKey> {
    let mut path = OWNERS.to_owned();
    push_hex(&mut path, &term.0);
    StoreKey::new(path)
}

/// Everything of a namespace, in all its incarnations.
pub(super) fn everything_of(id: NamespaceId) -> String {
    format!("ns/{id}/")
}

/// A term of an index: half a MAC, enough to tell values apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term(pub(super) [u8; 16]);

impl Term {
    pub(super) fn of(mac: [u8; HASH_LEN]) -> Self {
        let mut term = [0; 16];
        term.iter_mut().zip(mac).for_each(|(t, m)| *t = m);
        Self(term)
    }
}

/// The paths of one incarnation of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    root: String,
}

impl Paths {
    pub(super) fn of(namespace: &Namespace) -> Self {
        Self::in_incarnation(namespace.id, namespace.incarnation)
    }

    pub(super) fn in_incarnation(namespace: NamespaceId, incarnation: u32) -> Self {
        Self { root: format!("ns/{namespace}/{incarnation}") }
    }

    /// What every path of the incarnation begins with.
    pub(super) fn everything(&self) -> String {
        format!("{}/", self.root)
    }

    pub(super) fn closed(&self) -> Result<StoreKey> {
        StoreKey::new(format!("{}{CLOSED}", self.root))
    }

    /// Marker that version `number` of a domain key is over.
    pub(super) fn retired(&self, domain: &str, number: u32) -> Result<StoreKey> {
        StoreKey::new(format!("{}/retired/{domain}-{number:08x}", self.root))
    }

    pub(super) fn objects(&self) -> String {
        format!("{}/obj/", self.root)
    }

    pub(super) fn object(&self, id: ObjectId) -> Result<StoreKey> {
        StoreKey::new(format!("{}/obj/{id}", self.root))
    }

    pub(super) fn entries(&self, term: Term) -> String {
        let mut path = format!("{}/idx/", self.root);
        push_hex(&mut path, &term.0);
        path.push('/');
        path
    }

    pub(super) fn entry(&self, term: Term, id: ObjectId) -> Result<StoreKey> {
        StoreKey::new(format!("{}{id}", self.entries(term)))
    }

    pub(super) fn mirrors(&self) -> String {
        format!("{}/mirror/", self.root)
    }

    pub(super) fn mirror(&self, domain: &str) -> Result<StoreKey> {
        StoreKey::new(format!("{}{domain}", self.mirrors()))
    }

    pub(super) fn name(&self, term: Term) -> Result<StoreKey> {
        let mut path = format!("{}/name/", self.root);
        push_hex(&mut path, &term.0);
        StoreKey::new(path)
    }
}

/// The object whose id ends `path`.
pub(super) fn object_of(path: &StoreKey) -> Result<ObjectId> {
    let id = path.as_str().rsplit('/').next().unwrap_or_default();
    id.parse().map_err(|e| Error::new(ErrorKind::Damaged, "the store holds an impossible path").with_source(e))
}
