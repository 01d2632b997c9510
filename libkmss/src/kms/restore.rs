//! Archives of a tenant: what comes out (docs/backup.md).
//!
//! An archive is read twice: first to its end, so that nothing is written of one that is not whole, and then to write. Records of a
//! namespace are written where nobody finds them, since the namespace itself has no record; that comes last, with the domain key, in
//! one commit. So a namespace is there whole or not at all, and whoever was killed begins again.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Serialize;

use super::restore_rules::RuleFate;
use super::{ATTEMPTS, Kms};
use crate::auth::{Arrival, PinAuthenticator};
use crate::backup::{ArchiveHeader, ArchiveKey, ArchiveReader, Item, ItemKind, Items, Policy, Summary, owner};
use crate::caller::Caller;
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::policy::Scope;
use crate::policy::bundle::{Bundle, Content, Terms};
use crate::policy::registry::{PolicyRole, Site};
use crate::quota::Book;
use crate::rules::KeyRule;
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Op, Revision, StoreKey};
use crate::tenant::{Namespace, NamespaceId};
use crate::vault::Vault;

/// Records written at once; there are conditions beside them.
const MOST: usize = Batch::MAX_OPS - 8;
/// Bytes written at once; a record that is larger goes alone.
const MOST_BYTES: usize = Batch::MAX_BYTES / 4;
/// Records read at once to remove them.
const PAGE: usize = Batch::MAX_OPS - 8;

/// Opens the archive anew, from its beginning.
pub(super) type Reopen<'a> = dyn FnMut() -> Result<Box<dyn Read>> + 'a;

/// How an archive is to be restored.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestorePlan {
    /// Nothing is changed; only told what would be.
    pub dry_run: bool,
    /// An archive of a lower epoch is refused, whatever the home knows: for a home that knows nothing yet.
    pub least_epoch: Option<u64>,
}

/// What became of a namespace of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum NamespaceFate {
    /// It is there now, or would be.
    Restored,
    /// It was there, and stays as it is: what was destroyed or changed since stays so.
    Kept {
        /// Objects of the archive that are there.
        there: u64,
        /// Objects of the archive that were destroyed when they were due: there is a tombstone.
        buried: u64,
        /// Objects of the archive that are gone otherwise.
        gone: u64,
    },
    /// It was removed here, or initialised anew, after the archive: it does not come back.
    Over,
    /// Another namespace of the tenant has its name.
    NameTaken,
}

/// A namespace of the archive.
#[derive(Clone, Debug, Serialize)]
pub struct RestoredNamespace {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: NamespaceId,
    /// What became of it.
    #[serde(flatten)]
    pub fate: NamespaceFate,
    /// Objects in the archive.
    pub objects: u64,
}

/// What became of a policy of the archive.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyFate {
    /// Its name.
    pub name: String,
    /// Why it is not in force; absent where it is. Where it is not, its namespace denies everything.
    pub refused: Option<String>,
}

/// What a restore came to.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// Which archive it was.
    pub archive: String,
    /// The tenant.
    pub tenant: String,
    /// The archive's epoch.
    pub epoch: u64,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Its namespaces.
    pub namespaces: Vec<RestoredNamespace>,
    /// Its rules on what is made.
    pub rules: Vec<RuleFate>,
    /// Its policies; empty in a dry run.
    pub policies: Vec<PolicyFate>,
    /// Keys whose material is in an HSM, and not in the archive.
    pub in_devices: u64,
    /// HSMs and servers that hold what is not in it.
    pub elsewhere: Vec<String>,
}

impl RestoreReport {
    /// Whether something of the archive is not there now, and did not have to stay away.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.namespaces.iter().any(|of| of.fate == NamespaceFate::NameTaken)
            || self.rules.iter().any(RuleFate::is_outvoted)
            || self.policies.iter().any(|policy| policy.refused.is_some())
    }
}

/// What the first reading finds.
#[derive(Default)]
pub(super) struct Found {
    /// The last record of each namespace, and what is to become of it.
    pub(super) namespaces: BTreeMap<NamespaceId, (Namespace, NamespaceFate)>,
    pub(super) rules: Vec<KeyRule>,
    policies: Vec<Policy>,
}

/// A namespace that is written.
struct Landing<'a> {
    namespace: &'a Namespace,
    arrival: Option<Arrival<'a>>,
    claim: StoreKey,
    claimed: Revision,
    batch: Batch,
    bytes: usize,
}

impl Kms {
    /// Restores what `key` opens: namespaces that this home does not have, with everything in them and the rules on what is made
    /// there, and policies that it does not know.
    /// `reopen` gives the archive from its beginning, as often as it is asked. `progress` is told how many items have been
    /// written.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for whoever is neither root, nor the home's owner, nor an admin of the configuration, and for an
    /// archive that is older than what was restored or is allowed; [`ErrorKind::Damaged`] and
    /// [`ErrorKind::EncryptedDataInvalid`] for an archive that is not whole, or of another key: nothing was changed then;
    /// [`ErrorKind::Arguments`] for one of another suite; [`ErrorKind::Conflict`] where somebody else restores the same;
    /// those of the store, after which it may be begun again.
    pub fn restore(
        &self,
        caller: &Caller,
        key: &ArchiveKey,
        reopen: &mut Reopen<'_>,
        plan: RestorePlan,
        progress: &mut dyn FnMut(u64),
    ) -> Result<RestoreReport> {
        let mut archive = reopen()?;
        let header = ArchiveHeader::read(archive.as_mut())?;
        let (id, tenant) = (header.archive.to_string(), header.tenant.escape_debug().to_string());
        let mode = if plan.dry_run { " (dry run)" } else { "" };
        let tags = vec![format!("restore tenant {tenant}{mode}"), format!("archive {id}, epoch {}", header.epoch)];
        self.pipeline.around_tagged(Some(caller), Action::Import, tags, || {
            self.may_carry(caller)?;
            self.admit_archive(&header, plan)?;
            let mut found = Found::default();
            let mut items = Items::of(ArchiveReader::begin(&header, key, archive.as_mut())?);
            let summary = Summary::read(&header, &mut items, &mut |item| found.take(self, item))?;
            drop(items);
            let fates: Vec<RestoredNamespace> = summary
                .namespaces
                .iter()
                .filter_map(|of| {
                    let fate = found.namespaces.get(&of.id)?.1.clone();
                    Some(RestoredNamespace { name: of.name.clone(), id: of.id, fate, objects: of.objects })
                })
                .collect();
            let (rules, fates_of_rules) = self.plan_rules(&found)?;
            let mut report = RestoreReport {
                archive: id.clone(),
                tenant: header.tenant.clone(),
                epoch: header.epoch,
                dry_run: plan.dry_run,
                namespaces: fates,
                rules: fates_of_rules,
                policies: Vec::new(),
                in_devices: summary.manifest.in_devices,
                elsewhere: summary.manifest.elsewhere,
            };
            if plan.dry_run {
                return Ok(report);
            }
            let mut again = reopen()?;
            if ArchiveHeader::read(again.as_mut())? != header {
                return Err(Error::new(ErrorKind::Conflict, "the archive was replaced while it was read"));
            }
            let mut items = Items::of(ArchiveReader::begin(&header, key, again.as_mut())?);
            self.land((&found, &mut items), (caller, &rules), progress)?;
            report.policies = self.restore_policies(caller, &found)?;
            self.reach_epoch(&header.tenant, header.epoch)?;
            let restored = report.namespaces.iter().filter(|of| of.fate == NamespaceFate::Restored).count();
            self.tell(caller, vec![format!("restored archive {id}"), format!("tokens restored: {restored}")])?;
            Ok(report)
        })
    }

    /// Whether this home takes the archive.
    fn admit_archive(&self, header: &ArchiveHeader, plan: RestorePlan) -> Result<()> {
        if header.suite != self.suite {
            let (of, here) = (header.suite.name(), self.suite.name());
            let why = format!("the archive is of a home of the suite `{of}`, and this one has `{here}`");
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let least = self.backup_epochs(&header.tenant)?.least.max(plan.least_epoch.unwrap_or_default());
        if header.epoch < least {
            let why = format!(
                "the archive has epoch {}, and nothing below {least} is restored: keys that were revoked since would come back",
                header.epoch
            );
            return Err(Error::new(ErrorKind::Denied, why));
        }
        Ok(())
    }

    /// What is to become of a namespace.
    fn fate(&self, namespace: &Namespace) -> Result<NamespaceFate> {
        if self.catalog().is_over(namespace)? {
            return Ok(NamespaceFate::Over);
        }
        let all = self.namespaces()?;
        if let Some(known) = all.iter().find(|known| known.id == namespace.id) {
            let same = known.incarnation == namespace.incarnation;
            let kept = NamespaceFate::Kept { there: 0, buried: 0, gone: 0 };
            return Ok(if same { kept } else { NamespaceFate::Over });
        }
        let named = |known: &Namespace| (&known.tenant, &known.name) == (&namespace.tenant, &namespace.name);
        Ok(if all.iter().any(named) { NamespaceFate::NameTaken } else { NamespaceFate::Restored })
    }

    /// Writes the namespaces that are to be restored, and `rules`.
    fn land(
        &self,
        (found, items): (&Found, &mut Items<'_>),
        (caller, rules): (&Caller, &[KeyRule]),
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut landings: BTreeMap<NamespaceId, Landing<'_>> = BTreeMap::new();
        for (id, (namespace, fate)) in &found.namespaces {
            if *fate == NamespaceFate::Restored {
                landings.insert(*id, self.claim(namespace)?);
            }
        }
        let mut count = 0_u64;
        while let Some(item) = items.read()? {
            count = count.saturating_add(1);
            if count.is_multiple_of(1024) {
                progress(count);
            }
            let Some(landing) = owner(&item.place).and_then(|id| landings.get_mut(&id)) else { continue };
            for op in self.unpack(landing, &item)? {
                self.queue(landing, op)?;
            }
        }
        progress(count);
        // Before the first namespace shows: none is ever there without its rules.
        self.restore_rules(caller, rules, found)?;
        for landing in landings.into_values() {
            self.settle_landing(landing)?;
        }
        Ok(())
    }

    /// Claims the place of a namespace that is not here, and clears away what a restore left there that did not end.
    fn claim<'a>(&self, namespace: &'a Namespace) -> Result<Landing<'a>> {
        let claim = StoreKey::new(format!("restore/{}", namespace.id))?;
        let mut token = vec![0; 16];
        self.random.fill(&mut token)?;
        let record = StoreKey::new(format!("namespace/{}", namespace.id))?;
        let batch = Batch {
            conditions: vec![Condition::Absent(record)],
            ops: vec![Op::Put(claim.clone(), token)],
            invalidates: false,
        };
        let Commit::Committed(claimed) = self.store.commit(&batch)? else { return Err(overtaken()) };
        let (records, _) = Catalog::belongings(namespace);
        let (credentials, counts) = (PinAuthenticator::belongings(namespace), Book::belongings(namespace.id));
        for prefix in [records, credentials, Vault::belongings(namespace), counts] {
            loop {
                let page = self.store.scan(&prefix, None, PAGE)?;
                if page.is_empty() {
                    break;
                }
                let ops = page.into_iter().map(|(key, _)| Op::Delete(key)).collect();
                let conditions = vec![Condition::Version(claim.clone(), claimed)];
                let Commit::Committed(_) = self.store.commit(&Batch { conditions, ops, invalidates: false })? else {
                    return Err(overtaken());
                };
            }
        }
        Ok(Landing { namespace, arrival: None, claim, claimed, batch: Batch::default(), bytes: 0 })
    }

    /// What writes an item of a namespace.
    fn unpack<'a>(&'a self, landing: &mut Landing<'a>, item: &Item) -> Result<Vec<Op>> {
        let namespace = landing.namespace;
        let foreign =
            || Error::new(ErrorKind::Damaged, "the archive cannot be trusted: an item has no place in its namespace");
        let (_, tombs) = Catalog::belongings(namespace);
        if item.kind == ItemKind::Domain {
            landing.arrival = Some(self.auth.arrive(namespace, item)?);
            return Ok(Vec::new());
        }
        let place = item.place.as_str();
        if place.starts_with("auth/") {
            return Ok(vec![landing.arrival.as_ref().ok_or_else(foreign)?.unpack(item)?]);
        }
        match item.kind {
            ItemKind::Namespace => Ok(Vec::new()),
            ItemKind::Entry if Catalog::admits(namespace, place) => {
                Ok(vec![Op::Put(item.key()?, item.content.to_vec())])
            }
            ItemKind::Home if place.starts_with(&tombs) => {
                let key = item.key()?;
                let sealed = sealed::seal(&self.home_key, self.random.as_ref(), &key, &item.content)?;
                Ok(vec![Op::Put(key, sealed)])
            }
            ItemKind::Counted => Ok(vec![self.book.unpack(namespace.id, item)?]),
            ItemKind::Vaulted => self.pipeline.hall.vault.unpack(namespace, item),
            // What is cleared away of the vault has expired.
            ItemKind::Removed if place.starts_with(&Vault::belongings(namespace)) => Ok(Vec::new()),
            ItemKind::Removed if Catalog::admits(namespace, place) || place.starts_with(&tombs) => {
                Ok(vec![Op::Delete(item.key()?)])
            }
            _ => Err(foreign()),
        }
    }

    fn queue(&self, landing: &mut Landing<'_>, op: Op) -> Result<()> {
        let bytes = if let Op::Put(_, value) = &op { value.len() } else { 0 };
        if landing.batch.ops.len() >= MOST || (landing.bytes > 0 && landing.bytes + bytes > MOST_BYTES) {
            self.flush(landing)?;
        }
        landing.bytes += bytes;
        landing.batch.ops.push(op);
        Ok(())
    }

    fn flush(&self, landing: &mut Landing<'_>) -> Result<()> {
        let mut batch = std::mem::take(&mut landing.batch);
        landing.bytes = 0;
        if batch.ops.is_empty() {
            return Ok(());
        }
        batch.conditions.push(Condition::Version(landing.claim.clone(), landing.claimed));
        match self.store.commit(&batch)? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict => Err(overtaken()),
        }
    }

    /// Lets a namespace appear that is written whole.
    fn settle_landing(&self, mut landing: Landing<'_>) -> Result<()> {
        self.flush(&mut landing)?;
        let Landing { namespace, arrival, claim, claimed, .. } = landing;
        let none = || Error::new(ErrorKind::Damaged, "the archive cannot be trusted: a namespace has no domain key");
        let domain = arrival.ok_or_else(none)?.domain()?;
        let mut namespace = namespace.clone();
        for _ in 0..ATTEMPTS {
            let with = Batch {
                conditions: vec![Condition::Version(claim.clone(), claimed)],
                ops: vec![domain.clone(), Op::Delete(claim.clone())],
                invalidates: true,
            };
            match self.catalog().put_namespace(None, &namespace, with) {
                // Its position may be taken; that of a slot is of no more weight than the namespace.
                Err(e) if e.kind() == ErrorKind::Conflict => {
                    if self.store.get(&claim)?.map(|entry| entry.version) != Some(claimed) {
                        return Err(overtaken());
                    }
                    namespace.ordinal = self.catalog().next_ordinal()?;
                }
                done => return done,
            }
        }
        Err(Error::new(ErrorKind::Busy, "others make tokens all the time: restore again"))
    }

    /// Puts the policies in force that this home does not know in their places.
    fn restore_policies(&self, caller: &Caller, found: &Found) -> Result<Vec<PolicyFate>> {
        let mut fates = Vec::new();
        for policy in &found.policies {
            let Some(site) = self.site_of(policy, found)? else { continue };
            let role = if policy.shadow { PolicyRole::Shadow } else { PolicyRole::Active };
            let known = self.registry.find(&site, &policy.name)?.filter(|entry| entry.place == site.place());
            if known.is_some_and(|entry| entry.seen.is_some() || entry.in_role(role).is_some()) {
                continue;
            }
            let applied = self.apply_carried(caller, policy, &site, role);
            fates.push(PolicyFate { name: policy.name.clone(), refused: applied.err().map(|e| e.sentence()) });
        }
        Ok(fates)
    }

    /// Where a policy goes; `None` where its namespace is not here as it was.
    fn site_of(&self, policy: &Policy, found: &Found) -> Result<Option<Site>> {
        let Some(id) = policy.namespace else {
            let tenant = found.namespaces.values().next().map(|(of, _)| of.tenant.clone()).unwrap_or_default();
            return Ok(Site::wide(Scope::Tenant { tenant }));
        };
        let here = self.namespaces()?.into_iter().find(|known| known.id == id);
        let then = found.namespaces.get(&id).map(|(of, _)| of.incarnation);
        let here = here.filter(|known| Some(known.incarnation) == then);
        Ok(here.map(|namespace| Site::within(&namespace, policy.key.as_deref())))
    }

    /// Puts a policy in force under this home's trust: what its publisher signed as it is, and what the other home had signed
    /// itself under this one's signature.
    fn apply_carried(&self, caller: &Caller, policy: &Policy, site: &Site, role: PolicyRole) -> Result<()> {
        let (by, now) = (&caller.principal.name, self.now());
        let bytes = if policy.local {
            let bundle = Bundle::parse(&policy.bundle)?;
            let content = Content {
                module: bundle.module().to_vec(),
                data: Some(bundle.data().to_vec()).filter(|data| !data.is_empty()),
                source: Some(bundle.source().to_owned()).filter(|source| !source.is_empty()),
            };
            let terms = Terms { scope: site.scope().clone(), ..bundle.manifest().terms.clone() };
            self.registry.sign_locally(terms, content, by, now)?
        } else {
            policy.bundle.to_vec()
        };
        if let Some(prepared) = self.registry.prepare_apply(&bytes, site, role, by, now)? {
            self.modules.check(&Bundle::parse(&bytes)?)?;
            self.commit_policy(site, role, prepared.batch)?;
        }
        Ok(())
    }
}

impl Found {
    fn take(&mut self, kms: &Kms, item: &Item) -> Result<()> {
        match item.kind {
            ItemKind::Namespace => {
                let namespace: Namespace = item.value()?;
                let fate = kms.fate(&namespace)?;
                self.namespaces.insert(namespace.id, (namespace, fate));
            }
            ItemKind::Rule => self.rules.push(item.value::<KeyRule>()?.validated()?),
            ItemKind::Policy => self.policies.push(item.value()?),
            ItemKind::Entry if item.place.contains("/obj/") => {
                let of = owner(&item.place).and_then(|id| self.namespaces.get_mut(&id));
                let Some((namespace, NamespaceFate::Kept { there, buried, gone })) = of else { return Ok(()) };
                let object = item.place.rsplit('/').next().unwrap_or_default();
                let (_, tombs) = Catalog::belongings(namespace);
                let stone = StoreKey::new(format!("{tombs}{object}"))?;
                let read = kms.store.get_many(&[item.key()?, stone])?;
                *match read.as_slice() {
                    [Some(_), _] => there,
                    [None, Some(_)] => buried,
                    _ => gone,
                } += 1;
            }
            _ => {}
        }
        Ok(())
    }
}

fn overtaken() -> Error {
    Error::new(ErrorKind::Conflict, "somebody else restores, or made, the same token: look again")
}
