//! Drafts: everything about a new object but its key material.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::Hall;
use crate::backend::Backend;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{
    Attachment, AuditMode, BackendId, Body, CachedKey, Date, Key, KeyClass, KeyState, KeyVersion, Lifecycle, Material,
    Metadata, Object, Protection, Storage, Usage,
};
use crate::mechanism::HdDerivation;
use crate::permit::{NewObject, Permit, Wishes};
use crate::tenant::{NamespaceId, ObjectId};

/// A new object before it exists. Doors fill one from what their caller asks for.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its identity, which nothing else ever had.
    pub id: ObjectId,
    /// Where it will live.
    pub storage: Storage,
    /// For keys: the backend that makes it; absent for the one that [`Hall::maker`](super::Hall::maker) takes then.
    pub backend: Option<BackendId>,
    /// Whether only authenticated users see it.
    pub private: bool,
    /// Whether attributes may be changed.
    pub modifiable: bool,
    /// Whether it may be copied.
    pub copyable: bool,
    /// Whether it may be destroyed.
    pub destroyable: bool,
    /// The label.
    pub label: Vec<u8>,
    /// The identifier (CKA_ID).
    pub identifier: Vec<u8>,
    /// The door's own attributes.
    pub attributes: BTreeMap<u64, ByteBuf>,
    /// Name asked for; empty takes the label (and a generated name where that is empty too).
    pub name: String,
    /// Name of the key it is made from, for session keys.
    pub origin: String,
    /// For session keys: names of all other keys it is made from, whose policies hold too.
    pub origins: Vec<String>,
    /// For keys: what they may be used for.
    pub usage: Usage,
    /// For keys: `sensitive`, `extractable`, `trusted`, `wrap_with_trusted` and `always_authenticate` as asked for; the
    /// history (`local`, `always_sensitive`, `never_extractable`) is set by the operation.
    pub protection: Protection,
    /// For keys: the door's numbers of the only mechanisms allowed; empty for any.
    pub allowed_mechanisms: Vec<u64>,
    /// For keys with a name asked for: whether it is called that or not made at all; else a number is put behind a name that is taken.
    pub exact: bool,
    /// For keys: whether it waits for being activated.
    pub pre_active: bool,
    /// For keys: first day of use.
    pub start: Option<Date>,
    /// For keys: last day of use.
    pub end: Option<Date>,
    /// What its maker says of it, held against it before it is kept.
    pub claims: Claims,
}

/// What the maker of an object says of it beyond its material.
#[derive(Clone, Default)]
pub struct Claims(Option<Arc<Claim>>);

type Claim = dyn Fn(&Object) -> bool + Send + Sync;

impl Claims {
    /// Claims that `hold` judges.
    pub fn new(hold: impl Fn(&Object) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hold)))
    }

    /// Refuses an object of which they are not true.
    pub(super) fn check(&self, object: &Object) -> Result<()> {
        if self.0.as_ref().is_none_or(|hold| hold(object)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::AttributeValue, "what is said of the object is not true of it"))
    }
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claims(..)")
    }
}

impl Draft {
    /// Makes of the draft of a generic secret that of a seed ([`HdDerivation`]): pairs are derived from it, and it does nothing else. A
    /// secret that is not as long as seeds are is refused.
    pub fn restrict_to_seed(&mut self) {
        self.usage = Usage { derive: true, ..Usage::default() };
        self.allowed_mechanisms = vec![HdDerivation::NUMBER];
        self.claims = Claims::new(Self::has_length_of_seed);
    }

    /// Whether an object is a key as long as seeds are.
    #[must_use]
    pub fn has_length_of_seed(object: &Object) -> bool {
        let bits = object.key().and_then(|key| key.primary().ok()).map(|version| version.bits as usize);
        bits.is_some_and(|bits| HdDerivation::SEEDS.contains(&(bits / 8)))
    }

    /// A draft with the defaults of a public, modifiable, copyable, destroyable object without uses.
    #[must_use]
    pub fn new(id: ObjectId, storage: Storage) -> Self {
        Self {
            id,
            storage,
            backend: None,
            private: false,
            modifiable: true,
            copyable: true,
            destroyable: true,
            label: Vec::new(),
            identifier: Vec::new(),
            attributes: BTreeMap::new(),
            name: String::new(),
            origin: String::new(),
            origins: Vec::new(),
            usage: Usage::default(),
            protection: Protection::default(),
            allowed_mechanisms: Vec::new(),
            exact: false,
            pre_active: false,
            start: None,
            end: None,
            claims: Claims::default(),
        }
    }

    /// Notes the keys that it is made from, the first of all first.
    pub(super) fn comes_from(&mut self, sources: &[&Key]) {
        let Some((first, others)) = sources.split_first() else { return };
        first.policy_name().clone_into(&mut self.origin);
        let names = others.iter().map(|key| key.policy_name().to_owned());
        let copied = others.iter().flat_map(|key| &key.copy_of).cloned();
        self.origins = first.copy_of.iter().cloned().chain(names).chain(copied).collect();
        self.origins.retain(|name| !name.is_empty());
        self.origins.sort();
        self.origins.dedup();
    }

    /// What policy and permit see of it.
    pub(super) fn subject(&self) -> Arc<NewObject> {
        let (name, origin) = (self.wanted_name(), self.origin.clone());
        let Self { id, storage, private, usage, protection, .. } = *self;
        let wishes = (storage == Storage::Stored).then(|| Arc::new(self.wishes()));
        Arc::new(NewObject { id, storage, private, name, is_key: true, origin, usage, protection, wishes })
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            modifiable: self.modifiable,
            copyable: self.copyable,
            destroyable: self.destroyable,
            label: self.label.clone(),
            identifier: self.identifier.clone(),
            attributes: self.attributes.clone(),
            allowed_mechanisms: self.allowed_mechanisms.clone(),
            exact: self.exact && !self.name.is_empty(),
            pre_active: self.pre_active,
            start: self.start,
            end: self.end,
        }
    }

    fn wanted_name(&self) -> String {
        match self.storage {
            Storage::Ephemeral => String::new(),
            Storage::Stored if !self.name.is_empty() => self.name.clone(),
            Storage::Stored if !self.label.is_empty() => unversioned(String::from_utf8_lossy(&self.label).into_owned()),
            Storage::Stored => format!("key-{}", self.id.to_string().split_at(12).0),
        }
    }

    /// The key made of this draft and `material`.
    pub(super) fn key(
        self,
        namespace: NamespaceId,
        backend: &BackendId,
        class: KeyClass,
        protection: Protection,
        material: Material,
        now: Timestamp,
    ) -> Object {
        let version = KeyVersion {
            number: 1,
            created: now,
            backend: backend.clone(),
            locator: material.locator,
            bits: material.bits,
            public: material.public,
            check_value: material.check_value,
            held: material.held,
            cache: CachedKey::default(),
        };
        let key = Key {
            name: self.wanted_name(),
            origin: self.origin.clone(),
            class,
            key_type: material.key_type,
            usage: self.usage,
            protection,
            state: if self.pre_active { KeyState::PreActive } else { KeyState::Active },
            allowed_mechanisms: self.allowed_mechanisms.clone(),
            copy_of: if self.storage == Storage::Ephemeral { self.origins.clone() } else { Vec::new() },
            tags: Vec::new(),
            audit: AuditMode::Normal,
            left: Vec::new(),
            lifecycle: Lifecycle::default(),
            metadata: Metadata::default(),
            start: self.start,
            end: self.end,
            primary: 1,
            versions: vec![version],
        };
        self.object(namespace, Body::Key(Box::new(key)), now)
    }

    /// The object made of this draft and `body`.
    pub(super) fn object(self, namespace: NamespaceId, body: Body, now: Timestamp) -> Object {
        Object {
            id: self.id,
            namespace,
            private: self.private,
            modifiable: self.modifiable,
            copyable: self.copyable,
            destroyable: self.destroyable,
            label: self.label,
            identifier: self.identifier,
            attributes: self.attributes,
            body,
            created: now,
            edition: 1,
            storage: self.storage,
            revision: 0,
            uses: Attachment::default(),
        }
    }

    /// `protection` of a key generated here.
    pub(super) const fn generated(&self) -> Protection {
        Protection {
            local: true,
            always_sensitive: self.protection.sensitive,
            never_extractable: !self.protection.extractable,
            ..self.protection
        }
    }

    /// `protection` of a key that came from outside.
    pub(super) const fn foreign(&self) -> Protection {
        Protection { local: false, always_sensitive: false, never_extractable: false, ..self.protection }
    }

    /// The backend that makes it of the permit's key: the one that holds that key, or an error where another is asked for, which would
    /// not get it.
    pub(super) fn maker_beside<'a>(&self, hall: &'a Hall, permit: &Permit) -> Result<&'a Arc<dyn Backend>> {
        let backend = hall.backend_of(permit)?;
        match &self.backend {
            Some(named) if named != backend.id() => {
                let why = format!(
                    "what is made of a key is where that key is, in `{}`, and not in `{}`: name no backend, and move it \
                     afterwards (`kmss key move`)",
                    backend.id().0,
                    named.0
                );
                Err(Error::new(ErrorKind::Unsupported, why))
            }
            _ => Ok(backend),
        }
    }

    /// Dates in order, and a name that a key of `class` may have, or an error: asked before anything is made.
    pub(super) fn check(&self, hall: &Hall, permit: &Permit, class: KeyClass) -> Result<()> {
        check_name(&self.name)?;
        if self.exact && self.storage == Storage::Stored && !self.name.is_empty() {
            hall.catalog.require_free(permit.caller(), &self.name, class)?;
        }
        match (self.start, self.end) {
            (Some(start), Some(end)) if end < start => {
                Err(Error::new(ErrorKind::TemplateInconsistent, "the key's end date lies before its start date"))
            }
            _ => Ok(()),
        }
    }
}

/// `name`, where it is not one that versions of keys have, else with `-` in the place of `@`.
fn unversioned(name: String) -> String {
    if is_versioned(&name) { name.replace('@', "-") } else { name }
}

/// Whether `name` ends in `@` and a number, as the names of versions do.
pub(super) fn is_versioned(name: &str) -> bool {
    let number = name.rsplit_once('@').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Refuses names that only versions of keys have.
pub(super) fn check_name(name: &str) -> Result<()> {
    if is_versioned(name) {
        let why =
            format!("`{name}` is how a version of a key is called: choose a name without `@` and a number at its end");
        return Err(Error::new(ErrorKind::Arguments, why));
    }
    Ok(())
}
