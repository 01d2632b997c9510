//! The index: entries that lead from a label, an identifier or a kind to objects, without telling a thief either.
//!
//! An entry's path holds a MAC of the value it stands for; its content is the kind of the object and a MAC of path and
//! kind, so that nobody without the domain key can make one object answer for another's label.

use subtle::ConstantTimeEq;

use super::path::{Paths, Term, object_of};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Body, DomainKey, Key, KeyClass, KeyState, Object};
use crate::store::{Op, StoreKey};
use crate::tenant::ObjectId;

/// What an object is, as far as finding is concerned. Never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A key of this class.
    Key(KeyClass),
    /// A certificate.
    Certificate,
    /// Data of an application.
    Data,
}

impl ObjectKind {
    /// The kind of `object`.
    #[must_use]
    pub const fn of(object: &Object) -> Self {
        match &object.body {
            Body::Key(key) => Self::Key(key.class),
            Body::Certificate { .. } => Self::Certificate,
            Body::Data { .. } => Self::Data,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Certificate => 0,
            Self::Data => 1,
            Self::Key(KeyClass::Secret) => 2,
            Self::Key(KeyClass::Private) => 3,
            Self::Key(KeyClass::Public) => 4,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Certificate,
            1 => Self::Data,
            2 => Self::Key(KeyClass::Secret),
            3 => Self::Key(KeyClass::Private),
            4 => Self::Key(KeyClass::Public),
            _ => return None,
        })
    }
}

/// The term of everything with this label.
pub(super) fn label(key: &DomainKey, label: &[u8]) -> Result<Term> {
    key.index_term("label", label).map(Term::of)
}

/// The term of everything with this identifier.
pub(super) fn identifier(key: &DomainKey, identifier: &[u8]) -> Result<Term> {
    key.index_term("identifier", identifier).map(Term::of)
}

/// The term of everything of this kind.
pub(super) fn kind(key: &DomainKey, kind: ObjectKind) -> Result<Term> {
    key.index_term("kind", &[kind.number()]).map(Term::of)
}

/// Most tags of a key that are in the index: what changes together has its bounds.
const MOST_TAGS: usize = 4;

/// What else a key is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Facet {
    /// It waits for its destruction; the value is empty.
    Deletion,
    /// It is rotated by itself, or has a version that was made ahead; the value is empty.
    Rotation,
    /// Its owner.
    Owner,
    /// The name of its purpose.
    Purpose,
    /// The service that it belongs to.
    Service,
    /// One of its tags; found are those that were given since there is this index.
    Tag,
}

impl Facet {
    const fn name(self) -> &'static str {
        match self {
            Self::Deletion => "deletion",
            Self::Rotation => "rotation",
            Self::Owner => "owner",
            Self::Purpose => "purpose",
            Self::Service => "service",
            Self::Tag => "tag",
        }
    }

    /// What `key` has of each.
    fn of(key: &Key) -> Vec<(Self, Vec<u8>)> {
        let mut all = Vec::new();
        if key.state == KeyState::PendingDeletion {
            all.push((Self::Deletion, Vec::new()));
        }
        if key.lifecycle.rotation.is_some() || key.lifecycle.next.is_some() {
            all.push((Self::Rotation, Vec::new()));
        }
        let metadata = &key.metadata;
        if !metadata.owner.is_empty() {
            all.push((Self::Owner, metadata.owner.clone().into_bytes()));
        }
        all.extend(metadata.purpose.map(|purpose| (Self::Purpose, purpose.name().into())));
        if !metadata.service.is_empty() {
            all.push((Self::Service, metadata.service.clone().into_bytes()));
        }
        if metadata.tags_found {
            all.extend(key.tags.iter().take(MOST_TAGS).map(|tag| (Self::Tag, tag.clone().into_bytes())));
        }
        all
    }
}

/// The term of every key with this value of a facet.
pub(super) fn facet(key: &DomainKey, (facet, value): &(Facet, Vec<u8>)) -> Result<Term> {
    key.index_term(facet.name(), value).map(Term::of)
}

/// All terms under which `object` is found.
pub(super) fn terms(key: &DomainKey, object: &Object) -> Result<Vec<Term>> {
    let mut all =
        vec![label(key, &object.label)?, identifier(key, &object.identifier)?, kind(key, ObjectKind::of(object))?];
    for one in object.key().map(Facet::of).unwrap_or_default() {
        all.push(facet(key, &one)?);
    }
    Ok(all)
}

/// What to write and remove when `new` takes the place of `old`.
pub(super) fn changes(key: &DomainKey, paths: &Paths, old: Option<&Object>, new: Option<&Object>) -> Result<Vec<Op>> {
    let before = old.map(|object| terms(key, object).map(|t| (t, object.id))).transpose()?;
    let after = new.map(|object| terms(key, object).map(|t| (t, object))).transpose()?;
    let mut ops = Vec::with_capacity(4);
    if let Some((before, id)) = &before {
        let stays = |term: &Term| after.as_ref().is_some_and(|(after, _)| after.contains(term));
        for term in before.iter().filter(|t| !stays(t)) {
            ops.push(Op::Delete(paths.entry(*term, *id)?));
        }
    }
    if let Some((after, object)) = after {
        let was = |term: &Term| before.as_ref().is_some_and(|(before, _)| before.contains(term));
        for term in after.into_iter().filter(|t| !was(t)) {
            let path = paths.entry(term, object.id)?;
            let content = content(key, &path, ObjectKind::of(object))?;
            ops.push(Op::Put(path, content));
        }
    }
    Ok(ops)
}

fn content(key: &DomainKey, path: &StoreKey, kind: ObjectKind) -> Result<Vec<u8>> {
    let Term(mac) = proof(key, path, &[kind.number()])?;
    Ok([&[kind.number()], mac.as_slice()].concat())
}

/// A MAC of what the entry at `path` says.
pub(super) fn proof(key: &DomainKey, path: &StoreKey, says: &[u8]) -> Result<Term> {
    key.index_term("entry", &[path.as_str().as_bytes(), &[0], says].concat()).map(Term::of)
}

/// The object an entry leads to, and its kind.
///
/// # Errors
/// [`ErrorKind::Damaged`] when the entry was not made for this path.
pub(super) fn read(key: &DomainKey, path: &StoreKey, entry: &[u8]) -> Result<(ObjectId, ObjectKind)> {
    let id = object_of(path)?;
    let damaged = || Error::new(ErrorKind::Damaged, format!("an index entry of object `{id}` is damaged"));
    let (number, mac) = entry.split_first().ok_or_else(damaged)?;
    let genuine: bool = proof(key, path, &[*number])?.0.as_slice().ct_eq(mac).into();
    match ObjectKind::from_number(*number) {
        Some(kind) if genuine => Ok((id, kind)),
        _ => Err(damaged()),
    }
}
