//! Versions of domain keys: new ones, sealing anew what old ones sealed, and the end of those.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Kms, MaterialSeal, home_domain};
use crate::auth::RewrapToken;
use crate::caller::Caller;
use crate::catalog::Catalog;
use crate::clock::Timestamp;
use crate::device::WrappingKey;
use crate::domain::{HOME_MARKERS, NAMESPACES, OF_HOME, Rewrapped, Site, named};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::sealed;
use crate::store::{Batch, Condition, Op, StoreKey};
use crate::tenant::Namespace;

/// Walks after which a domain that others change all the time is left for another day.
const WALKS: u32 = 64;

/// The versions of one domain key.
#[derive(Clone, Debug, Serialize)]
pub struct DomainStatus {
    /// The namespace; `None` for the home.
    pub namespace: Option<String>,
    /// Oldest first; the last one seals.
    pub versions: Vec<DomainVersionStatus>,
    /// Keys in HSMs that seal nothing any more and could not be destroyed yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_in_device: Vec<WrappingKey>,
}

/// One version of a domain key.
#[derive(Clone, Debug, Serialize)]
pub struct DomainVersionStatus {
    /// Its number.
    pub number: u32,
    /// When it was made; `None` for the one that came with the domain.
    pub created: Option<Timestamp>,
    /// Records that name it.
    pub records: u64,
    /// The key in an HSM that seals key material, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<WrappingKey>,
}

/// What sealing anew came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RewrapReport {
    /// The version under which everything lies now.
    pub version: u32,
    /// Records that were sealed anew.
    pub records: u64,
    /// Versions that were erased.
    pub erased: Vec<u32>,
    /// Old versions that stay because records still name them.
    pub kept: Vec<u32>,
    /// What does not open, and stays as it is: objects by their identity, other records by their key in the store.
    pub damaged: Vec<String>,
    /// Keys in HSMs that seal nothing any more and could not be destroyed yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_in_device: Vec<WrappingKey>,
}

impl DomainStatus {
    /// Records that do not name the newest version.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.versions.iter().rev().skip(1).map(|version| version.records).sum()
    }
}

impl Kms {
    /// The versions of the domain key of `namespace`, or of the home, and how many records name each.
    ///
    /// # Errors
    /// Those of the store and the seal.
    pub fn domain_status(&self, namespace: Option<&Namespace>) -> Result<DomainStatus> {
        let (known, counts) = match namespace {
            Some(namespace) => (self.auth.versions(namespace)?, self.named_in(namespace)?),
            None => (self.home_versions()?, self.named_in_home()?),
        };
        let versions = known.iter().map(|version| DomainVersionStatus {
            number: version.number,
            created: (version.created.0 != 0).then_some(version.created),
            records: counts.get(&version.number).copied().unwrap_or_default(),
            device: version.device.clone(),
        });
        Ok(DomainStatus {
            namespace: namespace.map(ToString::to_string),
            versions: versions.collect(),
            left_in_device: namespace.map(|namespace| self.auth.keys_over(namespace)).transpose()?.unwrap_or_default(),
        })
    }

    /// Gives the namespace of `officer`, who is logged in as its security officer, a new version of its domain key; its
    /// number. Every process seals under it from its next write on. Key material is sealed as `seal` says, otherwise as it was.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] for anybody else, [`ErrorKind::Arguments`] where there are too many versions,
    /// [`ErrorKind::BackendUnavailable`] where the device is not there that is to seal key material.
    pub fn rotate_domain(&self, officer: &Caller, seal: Option<&MaterialSeal>) -> Result<u32> {
        let namespace = &officer.namespace;
        let moves = seal.is_some();
        let seal = seal.map_or_else(|| self.material_seal(namespace), |seal| Ok(seal.clone()))?;
        let mut tags = vec!["domain rotate".to_owned()];
        tags.extend((moves || seal != MaterialSeal::InMemory).then(|| format!("key material {seal}")));
        self.pipeline.around_tagged(Some(officer), Action::Manage, tags, || {
            let rewrap = officer.keyring.officer.as_ref().and_then(|any| any.downcast_ref::<RewrapToken>());
            let rewrap = rewrap.ok_or_else(|| {
                Error::new(ErrorKind::NotLoggedIn, "only the security officer, logged in, rotates the domain key")
            })?;
            self.require_material(namespace, &seal, false)?;
            self.with_wrapping_key(&seal, |key| self.auth.rotate(namespace, rewrap, self.now(), key.cloned()))
        })
    }

    /// Gives the home a new version of its own domain key; its number. `caller` is who does it, from
    /// [`Self::administrator`].
    ///
    /// # Errors
    /// Those of the store and the seal.
    pub fn rotate_home_domain(&self, caller: &Caller) -> Result<u32> {
        self.pipeline.around_tagged(Some(caller), Action::Manage, vec!["home domain rotate".to_owned()], || {
            let (mut number, now) = (0, self.now());
            home_domain::change(self.store.as_ref(), self.seal.as_ref(), &mut |site, versions| {
                number = versions.add(site, self.random.as_ref(), (None, now), None)?;
                Ok(())
            })?;
            Ok(number)
        })
    }

    /// Seals everything in the caller's namespace anew that does not lie under the newest version of its domain key, and
    /// erases the versions that nothing names any more. `officer` came from [`Self::administer`], or from a login as user.
    /// May be stopped at any point and begun again.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Busy`] where others keep changing everything.
    pub fn rewrap_domain(&self, officer: &Caller, progress: &mut dyn FnMut(u64, u64)) -> Result<RewrapReport> {
        if officer.keyring.private.is_none() {
            let why = "private objects are sealed anew, too: log in first";
            return Err(Error::new(ErrorKind::NotLoggedIn, why));
        }
        let namespace = &officer.namespace;
        let known: Vec<u32> = self.auth.versions(namespace)?.iter().map(|version| version.number).collect();
        let (newest, old) = split(&known)?;
        if old.is_empty() {
            let left_in_device = self.destroy_over(officer, namespace)?;
            return Ok(RewrapReport { version: newest, left_in_device, ..RewrapReport::default() });
        }
        self.tell(officer, vec![format!("domain rewrap to version {newest}: begun")])?;
        let mut report = RewrapReport { version: newest, ..RewrapReport::default() };
        let walk = |report: &mut RewrapReport, progress: &mut dyn FnMut(u64, u64)| -> Result<bool> {
            let mut done = self.auth.rewrap(namespace)?;
            let before = report.records + done.anew;
            done.add(self.catalog().rewrap(officer, &mut |now| progress(now.seen, before + now.anew))?);
            Ok(report.take(done))
        };
        walk(&mut report, progress)?;
        for number in &old {
            let [public, private] = Catalog::markers(namespace, *number)?;
            self.fence_off(vec![public, private, self.auth.marker(namespace, *number)?])?;
        }
        // What was written under an old version before the fence stood.
        settle(|| walk(&mut report, progress))?;
        let names = self.named_in(namespace)?;
        (report.kept, report.erased) = old.iter().copied().partition(|number| names.contains_key(number));
        if !report.erased.is_empty() {
            self.auth.erase(namespace, &report.erased)?;
        }
        // Only now: until the commit above, others may hold records in memory that such a key opens.
        report.left_in_device = self.destroy_over(officer, namespace)?;
        self.tell(officer, ended("domain", &report))?;
        Ok(report)
    }

    /// As [`Self::rewrap_domain`], for the home's own domain key. `caller` is as for [`Self::rotate_home_domain`].
    ///
    /// # Errors
    /// As [`Self::rewrap_domain`].
    pub fn rewrap_home_domain(&self, caller: &Caller, progress: &mut dyn FnMut(u64, u64)) -> Result<RewrapReport> {
        let known: Vec<u32> = self.home_versions()?.iter().map(|version| version.number).collect();
        let (newest, old) = split(&known)?;
        let mut report = RewrapReport { version: newest, ..RewrapReport::default() };
        if old.is_empty() {
            return Ok(report);
        }
        self.tell(caller, vec![format!("home domain rewrap to version {newest}: begun")])?;
        // Key material that does not open does not say under which version it lies.
        let mut doubtful = false;
        let mut walk = |report: &mut RewrapReport, progress: &mut dyn FnMut(u64, u64)| -> Result<bool> {
            let mut done = self.catalog().rewrap_namespaces()?;
            // What holds key material of its own comes first: it must not lie under an older version than its record.
            doubtful = !self.reseal_inner(&mut done)?;
            for prefix in OF_HOME {
                self.rewrap_below(prefix, &mut done)?;
                progress(done.seen, report.records + done.anew);
            }
            Ok(report.take(done))
        };
        walk(&mut report, progress)?;
        for number in &old {
            self.fence_off(vec![StoreKey::new(format!("{HOME_MARKERS}{number:08x}"))?])?;
        }
        settle(|| walk(&mut report, progress))?;
        let names = self.named_in_home()?;
        let stays = |number: &u32| doubtful || names.contains_key(number);
        (report.kept, report.erased) = old.iter().copied().partition(stays);
        if !report.erased.is_empty() {
            let over = report.erased.clone();
            home_domain::change(self.store.as_ref(), self.seal.as_ref(), &mut |_, versions| {
                versions.erase(&over);
                Ok(())
            })?;
        }
        self.tell(caller, ended("home domain", &report))?;
        Ok(report)
    }

    /// Seals key material inside records of the home anew; whether all of it opens.
    fn reseal_inner(&self, done: &mut Rewrapped) -> Result<bool> {
        let (local, secrets) = (self.registry.reseal_local(), self.sealer.reseal_secrets());
        let mut opens = true;
        for (what, commits) in [("the home's publisher", local.map(Vec::from_iter)), ("the audit's keys", secrets)] {
            match commits {
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    opens = false;
                    done.damaged.push(what.to_owned());
                }
                other => other?.iter().for_each(|commit| done.count(commit)),
            }
        }
        Ok(opens)
    }

    /// Seals records of the home anew, whatever they hold.
    fn rewrap_below(&self, prefix: &str, done: &mut Rewrapped) -> Result<()> {
        const PAGE: usize = 256;
        let mut after: Option<StoreKey> = None;
        loop {
            let page = self.store.scan(prefix, after.as_ref(), PAGE)?;
            for (path, entry) in &page {
                let Some(named) = named(path, &entry.value) else { continue };
                done.seen += 1;
                if named.version == self.home_key.newest()?.number() {
                    continue;
                }
                let plain = match sealed::open(&self.home_key, path, &entry.value) {
                    Err(error) if error.kind() == ErrorKind::Damaged => {
                        done.damaged.push(path.as_str().to_owned());
                        continue;
                    }
                    other => other?,
                };
                let record = sealed::seal(&self.home_key, self.random.as_ref(), path, plain.expose())?;
                let batch = Batch {
                    conditions: vec![Condition::Version(path.clone(), entry.version)],
                    ops: vec![Op::Put(path.clone(), record)],
                    invalidates: false,
                };
                done.count(&self.store.commit(&batch)?);
            }
            if page.len() < PAGE {
                return Ok(());
            }
            after = page.into_iter().last().map(|(path, _)| path);
        }
    }

    fn fence_off(&self, markers: Vec<StoreKey>) -> Result<()> {
        let ops = markers.into_iter().map(|marker| Op::Put(marker, Vec::new())).collect();
        let _ = self.store.commit(&Batch { ops, ..Batch::default() })?;
        Ok(())
    }

    fn home_versions(&self) -> Result<Vec<crate::auth::VersionInfo>> {
        let found = home_domain::read(self.store.as_ref(), self.seal.as_ref(), &Site::home()?)?;
        let gone = || Error::new(ErrorKind::Damaged, "the home's domain key is gone");
        let (versions, _) = found.ok_or_else(gone)?;
        Ok(versions.all.iter().map(crate::domain::Version::info).collect())
    }

    /// How many records of `namespace` name each version.
    fn named_in(&self, namespace: &Namespace) -> Result<BTreeMap<u32, u64>> {
        let mut counts = self.catalog().named_versions(namespace)?;
        for version in self.auth.named_versions(namespace)? {
            *counts.entry(version).or_default() += 1;
        }
        Ok(counts)
    }

    fn named_in_home(&self) -> Result<BTreeMap<u32, u64>> {
        let mut counts = BTreeMap::new();
        for prefix in std::iter::once(NAMESPACES).chain(OF_HOME) {
            for (version, count) in self.catalog().count_versions(prefix)? {
                *counts.entry(version).or_default() += count;
            }
        }
        Ok(counts)
    }

    /// A record of its own in the audit.
    pub(super) fn tell(&self, caller: &Caller, what: Vec<String>) -> Result<()> {
        self.pipeline.around_tagged(Some(caller), Action::Manage, what, || Ok(()))
    }
}

impl RewrapReport {
    /// Takes in what a walk did; whether nothing is left to do.
    fn take(&mut self, done: Rewrapped) -> bool {
        let settled = done.is_settled();
        self.records += done.anew;
        self.damaged = done.damaged;
        settled
    }
}

/// The newest of `known`, and the others.
fn split(known: &[u32]) -> Result<(u32, Vec<u32>)> {
    let none = || Error::new(ErrorKind::Damaged, "a domain key has no version");
    let (newest, old) = known.split_last().ok_or_else(none)?;
    Ok((*newest, old.to_vec()))
}

/// Walks until there is nothing left to do.
fn settle(mut walk: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..WALKS {
        if walk()? {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Busy, "others change everything all the time: run `kmss domain rewrap` again later"))
}

/// What the audit says of it, in words that are short enough for it.
fn ended(what: &str, report: &RewrapReport) -> Vec<String> {
    let RewrapReport { version, records, erased, kept, damaged, left_in_device } = report;
    let (erased, kept, damaged) = (erased.len(), kept.len(), damaged.len());
    let mut words = vec![
        format!("{what} rewrap to version {version}: ended"),
        format!("records sealed anew: {records}"),
        format!("old versions erased: {erased}, kept: {kept}"),
        format!("records damaged: {damaged}"),
    ];
    if !left_in_device.is_empty() {
        words.push(format!("old keys left in HSMs: {}", left_in_device.len()));
    }
    words
}
