//! What an archive holds, as far as it can be told without the PINs of its namespaces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{ArchiveHeader, Item, ItemKind, Items, damaged};
use crate::error::Result;
use crate::tenant::{Namespace, NamespaceId};

/// The first item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of KMSS that wrote it.
    pub writer: String,
    /// The tenant.
    pub tenant: String,
    /// How many namespaces follow.
    pub namespaces: u64,
    /// The newest signed checkpoint of the home's audit, a C2SP note; absent where it was never sealed. The trail itself is not
    /// here.
    pub audit_checkpoint: Option<String>,
    /// Keys whose material is in an HSM: here they are references.
    pub in_devices: u64,
    /// HSMs and servers that hold material of keys, or what seals it, as the configuration of the home calls them: without
    /// them these keys are names.
    pub elsewhere: Vec<String>,
}

/// A policy in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// The incarnation of a namespace that it is for; absent where it is the tenant's.
    pub namespace: Option<NamespaceId>,
    /// The name of the keys that it is for; absent where it is for all.
    pub key: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether it is asked beside the others, and decides nothing.
    pub shadow: bool,
    /// Whether the home itself had signed it.
    pub local: bool,
    /// The bundle.
    pub bundle: ByteBuf,
}

/// A rule on what is made, as far as it is looked at here: what it is for.
#[derive(Clone, Debug, Deserialize)]
struct Rule {
    scope: RuleScope,
}

/// What a rule is for: the tenant or a namespace, and a service in it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(super) struct RuleScope {
    pub(super) tenant: Option<String>,
    pub(super) namespace: Option<NamespaceId>,
    pub(super) service: Option<String>,
}

/// The last item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Items before it.
    pub items: u64,
}

/// What is in an archive of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamespaceSummary {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: NamespaceId,
    /// Its incarnation.
    pub incarnation: u32,
    /// The backend that makes its keys.
    pub backend: String,
    /// Objects: halves of keys, certificates, data.
    pub objects: u64,
    /// Users with a PIN, the security officer and the decoy among them.
    pub credentials: u64,
    /// Keys that were destroyed on schedule.
    pub tombstones: u64,
    /// Random tokens that stand for values.
    pub tokens: u64,
    /// Counters of the uses and bytes of keys that are rotated by them.
    pub counters: u64,
}

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What it says first.
    pub manifest: Manifest,
    /// Its namespaces.
    pub namespaces: Vec<NamespaceSummary>,
    /// The policies that were in force.
    pub policies: Vec<String>,
    /// What there were rules for on what is made.
    pub rules: Vec<String>,
    /// All items.
    pub items: u64,
}

/// What [`Summary::read`] has of a namespace while it reads.
#[derive(Default)]
struct Counting {
    namespaces: BTreeMap<NamespaceId, NamespaceSummary>,
    policies: Vec<String>,
    rules: Vec<String>,
    /// How often each place of an object or the like came, less how often it went: what is changed meanwhile comes twice.
    places: BTreeMap<String, (NamespaceId, ItemKind)>,
}

impl Summary {
    /// Reads an archive to its end, and holds what it says against itself. `see` is shown each item in its order.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::error::ErrorKind::Damaged) and those of reading, and what `see` says.
    pub fn read(
        header: &ArchiveHeader,
        items: &mut Items<'_>,
        see: &mut dyn FnMut(&Item) -> Result<()>,
    ) -> Result<Self> {
        let first = items.read()?.filter(|item| item.kind == ItemKind::Manifest);
        let manifest: Manifest = first.ok_or_else(|| damaged("its first item is not a manifest"))?.value()?;
        if manifest.tenant != header.tenant {
            return Err(damaged("header and manifest name different tenants"));
        }
        let (mut counting, mut count, mut said) = (Counting::default(), 1_u64, None);
        while let Some(item) = items.read()? {
            match item.kind {
                ItemKind::Manifest => return Err(damaged("it has two manifests")),
                ItemKind::End => said = Some(item.value::<Totals>()?.items),
                _ => {
                    counting.take(header, &item)?;
                    see(&item)?;
                    count = count.saturating_add(1);
                }
            }
        }
        if said != Some(count) {
            return Err(damaged("it does not hold as many items as it says"));
        }
        let Counting { mut namespaces, policies, rules, places } = counting;
        if namespaces.len() as u64 != manifest.namespaces {
            return Err(damaged("it does not hold as many namespaces as it says"));
        }
        for (id, kind) in places.values() {
            let of = namespaces.get_mut(id).ok_or_else(|| damaged("an item belongs to no namespace of it"))?;
            match kind {
                ItemKind::Entry => of.objects += 1,
                ItemKind::Credential => of.credentials += 1,
                ItemKind::Home => of.tombstones += 1,
                ItemKind::Vaulted => of.tokens += 1,
                ItemKind::Counted => of.counters += 1,
                _ => {}
            }
        }
        Ok(Self { manifest, namespaces: namespaces.into_values().collect(), policies, rules, items: count })
    }
}

impl Counting {
    fn take(&mut self, header: &ArchiveHeader, item: &Item) -> Result<()> {
        match item.kind {
            ItemKind::Namespace => {
                let namespace: Namespace = item.value()?;
                if namespace.tenant != header.tenant || item.place != format!("namespace/{}", namespace.id) {
                    return Err(damaged("a namespace is of another tenant, or in another place"));
                }
                let Namespace { id, name, incarnation, backend, .. } = namespace;
                let (objects, credentials, tombstones, tokens, counters) = (0, 0, 0, 0, 0);
                let summary = NamespaceSummary {
                    name,
                    id,
                    incarnation,
                    backend: backend.0.to_string(),
                    objects,
                    credentials,
                    tombstones,
                    tokens,
                    counters,
                };
                self.namespaces.insert(id, summary);
            }
            ItemKind::Policy => {
                let Policy { name, namespace, key, .. } = item.value()?;
                let of = namespace.and_then(|id| self.namespaces.get(&id)).map(|of| of.name.clone());
                let scope = of.into_iter().chain(key).collect::<Vec<_>>().join("/");
                self.policies.push(if scope.is_empty() { name } else { format!("{scope}: {name}") });
            }
            ItemKind::Rule => {
                let Rule { scope } = item.value()?;
                let place = match (&scope.tenant, scope.namespace) {
                    (Some(tenant), None) if *tenant == header.tenant => Some(format!("tenant {tenant}")),
                    (None, Some(id)) => self.namespaces.get(&id).map(|of| format!("token {}", of.name)),
                    _ => None,
                };
                let place = place.ok_or_else(|| damaged("a rule is for nothing that is in it"))?;
                let service = scope.service.map(|service| format!("service {service} in "));
                self.rules.push(format!("{}{place}", service.unwrap_or_default()));
            }
            _ => {
                let id = owner(&item.place).ok_or_else(|| damaged("an item has an impossible place"))?;
                if !self.namespaces.contains_key(&id) {
                    return Err(damaged("an item belongs to no namespace of it"));
                }
                let counts = match item.kind {
                    ItemKind::Entry => item.place.contains("/obj/"),
                    ItemKind::Credential | ItemKind::Home | ItemKind::Vaulted | ItemKind::Counted => true,
                    _ => false,
                };
                if item.kind == ItemKind::Removed {
                    self.places.remove(&item.place);
                } else if counts {
                    self.places.insert(item.place.clone(), (id, item.kind));
                }
            }
        }
        Ok(())
    }
}

/// The namespace that a place of the store belongs to.
pub(crate) fn owner(place: &str) -> Option<NamespaceId> {
    let of = |kind: &str| place.strip_prefix(kind);
    let rest = ["ns/", "auth/", "tomb/", "vault/", "quota/used/key/"].into_iter().find_map(of)?;
    rest.split('/').next()?.parse().ok()
}
