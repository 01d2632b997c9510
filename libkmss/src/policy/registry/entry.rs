//! What the registry knows of a policy, and the set of all that are in force.

use std::sync::Arc;

use aws_lc_rs::digest;

use super::path::BlobId;
use crate::clock::Timestamp;
use crate::policy::Scope;
use crate::policy::bundle::{Manifest, Seen};
use crate::tenant::{Namespace, NamespaceId};

/// One incarnation of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The namespace.
    pub namespace: NamespaceId,
    /// Its incarnation.
    pub incarnation: u32,
}

impl Place {
    /// Where `namespace` is now.
    #[must_use]
    pub const fn of(namespace: &Namespace) -> Self {
        Self { namespace: namespace.id, incarnation: namespace.incarnation }
    }
}

/// Where a policy goes: a scope, and the incarnation of the namespace that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    scope: Scope,
    place: Option<Place>,
}

impl Site {
    /// A site outside namespaces, or `None` where the scope names one.
    #[must_use]
    pub fn wide(scope: Scope) -> Option<Self> {
        scope.namespace().is_none().then_some(Self { scope, place: None })
    }

    /// All of `namespace`, or the keys called `key` in it.
    #[must_use]
    pub fn within(namespace: &Namespace, key: Option<&str>) -> Self {
        let (tenant, name) = (namespace.tenant.clone(), namespace.name.clone());
        let scope = match key {
            None => Scope::Namespace { tenant, namespace: name },
            Some(key) => Scope::Key { tenant, namespace: name, key: key.to_owned() },
        };
        Self { scope, place: Some(Place::of(namespace)) }
    }

    /// The scope.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The namespace.
    #[must_use]
    pub const fn place(&self) -> Option<Place> {
        self.place
    }

    pub(super) fn namespace(&self) -> Option<NamespaceId> {
        self.place.map(|place| place.namespace)
    }
}

/// A policy by its name in a scope.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it speaks of.
    pub scope: Scope,
    /// The incarnation of the namespace in which it was applied last.
    pub place: Option<Place>,
    /// The highest sequence ever applied here; absent where it only ever ran in the shadow. Survives removal.
    pub seen: Option<Seen>,
    /// What decides.
    pub active: Option<InForce>,
    /// What is asked beside it and only recorded.
    pub shadow: Option<InForce>,
}

impl Entry {
    /// Whether it speaks of (a part of) `namespace` as that is now.
    #[must_use]
    pub fn concerns(&self, namespace: &Namespace) -> bool {
        match self.place {
            Some(place) => place == Place::of(namespace),
            None => self.scope.contains(&Scope::of(namespace)),
        }
    }

    /// What records call it.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.scope {
            Scope::Key { key, .. } => format!("key {key}/{}", self.name),
            scope => format!("{}/{}", scope.level(), self.name),
        }
    }

    /// The bundle of one of the two roles.
    #[must_use]
    pub const fn in_role(&self, role: PolicyRole) -> Option<&InForce> {
        match role {
            PolicyRole::Active => self.active.as_ref(),
            PolicyRole::Shadow => self.shadow.as_ref(),
        }
    }

    pub(super) const fn slot(&mut self, role: PolicyRole) -> &mut Option<InForce> {
        match role {
            PolicyRole::Active => &mut self.active,
            PolicyRole::Shadow => &mut self.shadow,
        }
    }
}

/// What an applied bundle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyRole {
    /// It decides.
    Active,
    /// It is asked, and what it would have decided is recorded.
    Shadow,
}

/// An applied bundle.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the encoded manifest.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 32],
    /// Name of the trust anchor whose signature it has.
    pub anchor: String,
    /// When it was applied.
    pub applied: Timestamp,
    /// Who applied it.
    pub applied_by: String,
    /// Its size in bytes.
    pub(super) size: u32,
    #[serde(with = "serde_bytes")]
    pub(super) blob: BlobId,
}

/// Every policy of a home, as of one edition.
#[derive(Debug)]
pub struct Entries {
    /// Differs between different sets; 0 where there never was a policy.
    pub edition: u64,
    entries: Vec<Entry>,
}

impl Entries {
    pub(super) fn new(edition: u64, mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| (&a.scope, &a.name).cmp(&(&b.scope, &b.name)));
        Self { edition, entries }
    }

    /// Every entry, the widest scope first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries that speak of `namespace` or of keys in it, the widest scope first.
    pub fn concerning<'a>(&'a self, namespace: &'a Namespace) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(|entry| entry.concerns(namespace))
    }

    /// Whether `namespace` has, or had in its incarnation, a policy that decides: then nothing is allowed without one.
    #[must_use]
    pub fn requires(&self, namespace: &Namespace) -> bool {
        namespace.policy_required || self.concerning(namespace).any(|entry| entry.seen.is_some())
    }

    /// What names the policies that decide in `namespace`: equal for equal bundles in equal scopes. Candidates in the shadow
    /// do not count.
    #[must_use]
    pub fn digest(&self, namespace: &Namespace) -> [u8; 8] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[u8::from(self.requires(namespace))]);
        for entry in self.concerning(namespace) {
            if let Some(bundle) = &entry.active {
                for text in [entry.scope.to_string(), entry.name.clone()] {
                    context.update(&(text.len() as u64).to_be_bytes());
                    context.update(text.as_bytes());
                }
                context.update(&bundle.digest);
            }
        }
        context.finish().as_ref().first_chunk().copied().unwrap_or_default()
    }
}

/// A shared set.
pub(super) type Shared = Arc<Entries>;
