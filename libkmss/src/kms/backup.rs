//! Archives of a tenant: what goes in (docs/backup.md).

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::Kms;
use crate::auth::{Departure, PinAuthenticator};
use crate::backup::{
    ArchiveHeader, ArchiveKey, ArchiveTerms, ArchiveWriter, Item, ItemKind, Manifest, Policy, Share, Totals,
};
use crate::backup::{owner, split};
use crate::caller::Caller;
use crate::catalog::Catalog;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::policy::registry::{LOCAL, Place, PolicyRole};
use crate::quota::Book;
use crate::rules::{KeyRule, RuleScope, RuleSet};
use crate::sealed;
use crate::store::{Revision, StoreKey};
use crate::tenant::{BackendId, Namespace};
use crate::vault::Vault;

/// Entries of the store read at once.
const PAGE: usize = 256;
/// Changes looked at at once.
const CHANGES: usize = 4096;
/// How often what others change meanwhile is looked at again.
const ROUNDS: u32 = 256;

/// What is to be backed up, and who shall be able to open it.
#[derive(Clone, Copy, Debug)]
pub struct BackupPlan<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// Who gets a share of the key.
    pub custodians: &'a [String],
    /// How many of them open the archive.
    pub needed: u8,
}

/// An archive that was written.
#[derive(Debug, Serialize)]
pub struct Backup {
    /// Which it is.
    pub archive: String,
    /// Its epoch.
    pub epoch: u64,
    /// When it was begun.
    pub created: Timestamp,
    /// Namespaces in it.
    pub namespaces: u64,
    /// Items in it.
    pub items: u64,
    /// Keys in it whose material is in an HSM, and not in it.
    pub in_devices: u64,
    /// HSMs and servers that hold what is not in it.
    pub elsewhere: Vec<String>,
    /// The shares of its key, in the order of the custodians. They are nowhere else.
    #[serde(skip)]
    pub shares: Vec<Share>,
}

/// An archive that is being written.
struct Packing<'a> {
    kms: &'a Kms,
    namespaces: &'a [Namespace],
    rules: Arc<RuleSet>,
    writer: ArchiveWriter<'a>,
    items: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Kms {
    /// Writes an archive of everything of a tenant to `out`, under a fresh key that it splits; while others go on working.
    /// `progress` is told how many items have been written. What was written before an error is no archive.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for whoever is neither root, nor the home's owner, nor an admin of the configuration;
    /// [`ErrorKind::NotFound`] for a tenant without namespaces; [`ErrorKind::Arguments`]; [`ErrorKind::Conflict`] where
    /// namespaces, policies or rules were changed meanwhile, and [`ErrorKind::Busy`] where keys were all the time: it is begun anew
    /// then; those of the store and of writing.
    pub fn back_up(
        &self,
        caller: &Caller,
        plan: &BackupPlan<'_>,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Backup> {
        let BackupPlan { tenant, custodians, needed } = *plan;
        let shares = u8::try_from(custodians.len()).unwrap_or(u8::MAX);
        let said = ArchiveTerms { suite: self.suite, needed, shares, epoch: 0, created: self.now(), tenant };
        let mut header = ArchiveHeader::new(said, self.random.as_ref())?;
        let (archive, created) = (header.archive.to_string(), header.created);
        let mut tags = vec![format!("backup tenant {}", tenant.escape_debug()), format!("archive {archive}")];
        tags.push(format!("shares {shares}, needed {needed}"));
        self.pipeline.around_tagged(Some(caller), Action::Export, tags, || {
            self.may_carry(caller)?;
            let mut namespaces: Vec<Namespace> = self.of_tenant(tenant)?;
            if namespaces.is_empty() {
                let why = format!("the tenant `{}` has no tokens", tenant.escape_debug());
                return Err(Error::new(ErrorKind::NotFound, why));
            }
            let (policies, rules) = (self.policies()?, self.pipeline.hall.rules.current()?);
            for namespace in &mut namespaces {
                // Where the policies cannot be put in force, everything is denied in place of nothing.
                namespace.policy_required = policies.requires(namespace);
            }
            header.epoch = self.next_epoch(tenant)?;
            let key = ArchiveKey::fresh(self.random.as_ref())?;
            let shares = split(&mut header, &key, custodians, self.random.as_ref())?;
            let in_devices = self.catalog().in_devices(&namespaces)?.len() as u64;
            let elsewhere = self.elsewhere(&namespaces)?;
            let manifest = Manifest {
                writer: format!("kmss {}", env!("CARGO_PKG_VERSION")),
                tenant: tenant.to_owned(),
                namespaces: namespaces.len() as u64,
                audit_checkpoint: self.audit_checkpoint()?,
                in_devices,
                elsewhere: elsewhere.clone(),
            };
            let writer = ArchiveWriter::begin(&header, &key, out)?;
            let mut packing = Packing { kms: self, namespaces: &namespaces, rules, writer, items: 0, progress };
            packing.put(&Item::of(ItemKind::Manifest, "", &manifest)?)?;
            packing.everything(policies.edition)?;
            let items = packing.finish()?;
            let (epoch, namespaces) = (header.epoch, namespaces.len() as u64);
            self.tell(caller, vec![format!("backup archive {archive}"), format!("epoch {epoch}, items {items}")])?;
            Ok(Backup { archive, epoch, created, namespaces, items, in_devices, elsewhere, shares })
        })
    }

    /// Whether `caller` may take a tenant out of this home as an archive, or put one in.
    pub(super) fn may_carry(&self, caller: &Caller) -> Result<()> {
        if self.is_owner(caller) || self.is_admin(caller)? {
            return Ok(());
        }
        let why = "tenants are backed up and restored by root, the home's owner, or an admin of the configuration";
        Err(Error::new(ErrorKind::Denied, why))
    }

    fn of_tenant(&self, tenant: &str) -> Result<Vec<Namespace>> {
        Ok(self.namespaces()?.into_iter().filter(|namespace| namespace.tenant == tenant).collect())
    }

    /// HSMs and servers that hold what is not in an archive of `namespaces`, as far as it shows.
    fn elsewhere(&self, namespaces: &[Namespace]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for namespace in namespaces {
            names.extend((namespace.backend != BackendId::soft()).then(|| namespace.backend.0.to_string()));
            names.extend(self.auth.depart(namespace)?.devices());
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

impl Packing<'_> {
    fn put(&mut self, item: &Item) -> Result<()> {
        item.put(&mut self.writer)?;
        self.items = self.items.saturating_add(1);
        if self.items.is_multiple_of(1024) {
            (self.progress)(self.items);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        let items = self.items;
        Item::of(ItemKind::End, "", &Totals { items })?.put(&mut self.writer)?;
        (self.progress)(items);
        self.writer.finish()?;
        Ok(items)
    }

    /// Everything as it is at one moment: read once, and then again what was changed meanwhile.
    fn everything(&mut self, policies: u64) -> Result<()> {
        let (kms, namespaces) = (self.kms, self.namespaces);
        let mut seen = kms.store.wait(Revision(0), Duration::ZERO)?;
        for namespace in namespaces {
            let place = format!("namespace/{}", namespace.id);
            self.put(&Item::of(ItemKind::Namespace, &place, namespace)?)?;
        }
        for namespace in namespaces {
            self.namespace(namespace)?;
        }
        for _ in 0..ROUNDS {
            let changes = kms.store.changes(seen, CHANGES).map_err(|e| match e.kind() {
                ErrorKind::NotFound => {
                    Error::new(ErrorKind::Busy, "the home was changed too much meanwhile: try again")
                }
                _ => e,
            })?;
            let more = changes.len() >= CHANGES;
            seen = changes.last().map_or(seen, |last| last.revision);
            let changed = changes.into_iter().map(|change| change.key);
            let mut keys: Vec<StoreKey> = changed.filter(|key| self.carries(key)).collect();
            if keys.is_empty() && !more {
                self.counts()?;
                self.rules()?;
                self.policies(policies)?;
                return self.settled(policies);
            }
            keys.sort_unstable();
            keys.dedup();
            for namespace in namespaces {
                self.again(namespace, &keys)?;
            }
        }
        Err(Error::new(ErrorKind::Busy, "others change keys of the tenant all the time: try again when it is calmer"))
    }

    /// Whether what is at `key` is read again when it changes. What is counted changes with every use, and is read at the end.
    fn carries(&self, key: &StoreKey) -> bool {
        let of = owner(key.as_str()).filter(|id| self.namespaces.iter().any(|namespace| namespace.id == *id));
        of.is_some_and(|id| !key.as_str().starts_with(&Book::belongings(id)))
    }

    /// That namespaces, policies and rules are what they were in the beginning.
    fn settled(&self, policies: u64) -> Result<()> {
        let tenant = self.namespaces.first().map(|of| of.tenant.clone()).unwrap_or_default();
        let now = self.kms.of_tenant(&tenant)?;
        let entries = self.kms.policies()?;
        let same = now.len() == self.namespaces.len()
            && now
                .iter()
                .zip(self.namespaces)
                .all(|(now, then)| *then == Namespace { policy_required: entries.requires(now), ..now.clone() });
        let rules = self.kms.pipeline.hall.rules.current()?.edition();
        if same && entries.edition == policies && rules == self.rules.edition() {
            return Ok(());
        }
        let why = "tokens, policies or rules on what is made were changed meanwhile: back the tenant up again";
        Err(Error::new(ErrorKind::Conflict, why))
    }

    fn namespace(&mut self, namespace: &Namespace) -> Result<()> {
        let departure = self.kms.auth.depart(namespace)?;
        let (records, tombs) = Catalog::belongings(namespace);
        self.domain(namespace, &departure)?;
        let domain = domain_of(namespace)?;
        for prefix in [PinAuthenticator::belongings(namespace), records, tombs, Vault::belongings(namespace)] {
            let mut after: Option<StoreKey> = None;
            loop {
                let page = self.kms.store.scan(&prefix, after.as_ref(), PAGE)?;
                for (key, entry) in page.iter().filter(|(key, _)| *key != domain) {
                    if let Some(item) = self.pack(namespace, &departure, (key, &entry.value))? {
                        self.put(&item)?;
                    }
                }
                if page.len() < PAGE {
                    break;
                }
                after = page.into_iter().last().map(|(key, _)| key);
            }
        }
        Ok(())
    }

    fn domain(&mut self, namespace: &Namespace, departure: &Departure<'_>) -> Result<()> {
        let key = domain_of(namespace)?;
        let gone = || Error::new(ErrorKind::Conflict, "a token was removed meanwhile: back the tenant up again");
        let entry = self.kms.store.get(&key)?.ok_or_else(gone)?;
        let item = departure.pack(&key, &entry.value)?.ok_or_else(gone)?;
        self.put(&item)
    }

    /// What is now at those of `keys` that belong to `namespace`.
    fn again(&mut self, namespace: &Namespace, keys: &[StoreKey]) -> Result<()> {
        let ours = |key: &&StoreKey| owner(key.as_str()) == Some(namespace.id);
        let keys: Vec<&StoreKey> = keys.iter().filter(ours).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let (departure, domain) = (self.kms.auth.depart(namespace)?, domain_of(namespace)?);
        self.domain(namespace, &departure)?;
        for key in keys.into_iter().filter(|key| **key != domain) {
            let item = match self.kms.store.get(key)? {
                Some(entry) => self.pack(namespace, &departure, (key, &entry.value))?,
                None if key.as_str().starts_with("auth/") && !departure.owns(key) => None,
                None => Some(Item::bytes(ItemKind::Removed, key, Zeroizing::default())),
            };
            if let Some(item) = item {
                self.put(&item)?;
            }
        }
        Ok(())
    }

    /// What to carry of the record `value` at `key`.
    fn pack(
        &self,
        namespace: &Namespace,
        departure: &Departure<'_>,
        (key, value): (&StoreKey, &[u8]),
    ) -> Result<Option<Item>> {
        let (_, tombs) = Catalog::belongings(namespace);
        let place = key.as_str();
        if place.starts_with("auth/") {
            return departure.pack(key, value);
        }
        if place.starts_with(&Vault::belongings(namespace)) {
            let (store, vault) = (&self.kms.store, &self.kms.pipeline.hall.vault);
            return vault.pack(key, value, |object| Ok(store.get(&Catalog::place_of(namespace, object)?)?.is_some()));
        }
        if place.starts_with(&tombs) {
            let opened = sealed::open(&self.kms.home_key, key, value)?;
            return Ok(Some(Item::bytes(ItemKind::Home, key, Zeroizing::new(opened.expose().to_vec()))));
        }
        let carried = Catalog::admits(namespace, place);
        Ok(carried.then(|| Item::bytes(ItemKind::Entry, key, Zeroizing::new(value.to_vec()))))
    }

    /// What is counted of keys. Last, for it grows with every use: so it is no less than it was at the moment of the archive.
    fn counts(&mut self) -> Result<()> {
        for namespace in self.namespaces {
            for (key, entry) in self.kms.store.scan_all(&Book::belongings(namespace.id))? {
                self.put(&self.kms.book.pack(&key, &entry.value)?)?;
            }
        }
        Ok(())
    }

    /// The rules on what is made in the tenant.
    fn rules(&mut self) -> Result<()> {
        let rules = Arc::clone(&self.rules);
        let ours = |scope: &RuleScope| match scope.namespace {
            Some(id) => self.namespaces.iter().any(|of| of.id == id),
            None => self.namespaces.first().is_some_and(|of| scope.tenant.as_ref() == Some(&of.tenant)),
        };
        let ours: Vec<&KeyRule> = rules.rules().iter().filter(|rule| ours(&rule.scope)).collect();
        ours.into_iter().try_for_each(|rule| self.put(&Item::of(ItemKind::Rule, "", rule)?))
    }

    /// The policies that are in force in the tenant.
    fn policies(&mut self, edition: u64) -> Result<()> {
        let entries = self.kms.policies()?;
        if entries.edition != edition {
            return Ok(());
        }
        for entry in entries.entries() {
            let namespace = match entry.place {
                Some(place) => match self.namespaces.iter().find(|of| Place::of(of) == place) {
                    Some(namespace) => Some(namespace.id),
                    None => continue,
                },
                None if self.namespaces.first().is_some_and(|of| entry.scope.tenant() == Some(&of.tenant)) => None,
                None => continue,
            };
            let key = match &entry.scope {
                crate::policy::Scope::Key { key, .. } => Some(key.clone()),
                _ => None,
            };
            for role in [PolicyRole::Active, PolicyRole::Shadow] {
                let Some(in_force) = entry.in_role(role) else { continue };
                let policy = Policy {
                    namespace,
                    key: key.clone(),
                    name: entry.name.clone(),
                    shadow: role == PolicyRole::Shadow,
                    local: in_force.anchor == LOCAL,
                    bundle: ByteBuf::from(self.kms.policy_bundle(in_force)?),
                };
                self.put(&Item::of(ItemKind::Policy, "", &policy)?)?;
            }
        }
        Ok(())
    }
}

fn domain_of(namespace: &Namespace) -> Result<StoreKey> {
    Ok(crate::domain::Site::of(namespace)?.key)
}
