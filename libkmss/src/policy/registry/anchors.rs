//! Trust anchors: whose bundles are taken, and for what. One of them, `local`, is the home's own publisher: what the
//! security officer applies without a signature is signed by it, so that everything stored is a signed bundle.

use super::path::{self, ANCHORS};
use super::{Registry, Site, conflict};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Scope;
use crate::policy::bundle::{Content, Draft, PublisherKey, PublisherSecret, Terms, TrustAnchor};
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Op, Revision, StoreKey};
use crate::tenant::NamespaceId;

/// Name of the home's own publisher.
pub const LOCAL: &str = "local";
/// Longest name of an anchor in bytes.
const NAME_MAX: usize = 128;
/// Tries to settle the local key with other processes.
const ATTEMPTS: u32 = 8;

/// A trust anchor as it is stored.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    anchor: TrustAnchor,
    /// The namespace that its scope names.
    namespace: Option<NamespaceId>,
}

/// The home's own publisher as it is stored.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Local {
    /// Whether it may publish.
    enabled: bool,
    anchor: TrustAnchor,
    /// The private key, sealed as key material is.
    #[serde(with = "serde_bytes")]
    secret: Vec<u8>,
}

/// An anchor with the record it stands in.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) anchor: TrustAnchor,
    pub(super) record: (StoreKey, Revision),
    namespace: Option<NamespaceId>,
}

impl Registry {
    /// Every trust anchor of the home, in the order of their scopes.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn anchors(&self) -> Result<Vec<TrustAnchor>> {
        let mut anchors: Vec<TrustAnchor> = self.known_anchors()?.into_iter().map(|known| known.anchor).collect();
        anchors.sort_by(|a, b| (&a.scope, &a.name).cmp(&(&b.scope, &b.name)));
        Ok(anchors)
    }

    /// The anchors that may publish for `site`.
    pub(super) fn anchors_for(&self, site: &Site) -> Result<Vec<Known>> {
        let mut known = self.known_anchors()?;
        known.retain(|k| {
            k.anchor.scope.contains(site.scope()) && (k.namespace.is_none() || k.namespace == site.namespace())
        });
        Ok(known)
    }

    fn known_anchors(&self) -> Result<Vec<Known>> {
        let mut known = Vec::new();
        for (path, entry) in self.store.scan_all(ANCHORS)? {
            let stored: Stored = sealed::open_value(&self.home, &path, &entry.value)?;
            known.push(Known { anchor: stored.anchor, namespace: stored.namespace, record: (path, entry.version) });
        }
        if let Some((local, revision)) = self.local()?
            && local.enabled
        {
            known.push(Known { anchor: local.anchor, namespace: None, record: (path::local()?, revision) });
        }
        Ok(known)
    }

    /// Takes the bundles of `key` for `site` and what lies within, from now on.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where the name is taken in this scope, [`ErrorKind::Arguments`] for an impossible one.
    pub fn add_anchor(&self, site: &Site, name: &str, key: PublisherKey, by: &str, now: Timestamp) -> Result<()> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(word) || name == LOCAL {
            let name = name.escape_debug();
            return Err(Error::new(
                ErrorKind::Arguments,
                format!("`{name}` is no name of a trust anchor: use letters, digits and `-_.@`, and not `{LOCAL}`"),
            ));
        }
        site.scope().validate()?;
        let path = path::anchor(&self.home, site.scope(), site.namespace(), name)?;
        let (scope, name, added_by) = (site.scope().clone(), name.to_owned(), by.to_owned());
        let anchor = TrustAnchor { name, scope, key, added: now, added_by };
        let sealed = self.seal(&path, &Stored { anchor, namespace: site.namespace() })?;
        let conditions = vec![Condition::Absent(path.clone())];
        let batch = self.changing(Batch { conditions, ops: vec![Op::Put(path, sealed)], invalidates: true })?;
        match self.store.commit(&batch)? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict => Err(Error::new(
                ErrorKind::AlreadyExists,
                "there is a trust anchor of this name already: remove it first, or choose another name",
            )),
        }
    }

    /// Takes no bundle of the anchor `name` of `site` any more; without the home's own publisher, which belongs to the
    /// platform and may never have signed anything, takes signed bundles only.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Denied`] while bundles it signed are in force; [`ErrorKind::Conflict`].
    pub fn remove_anchor(&self, site: &Site, name: &str, by: &str, now: Timestamp) -> Result<()> {
        if name == LOCAL && *site.scope() == Scope::Platform {
            self.settle_local(by, now)?;
        }
        let edition = self.edition()?;
        let known = self.anchors_for(site)?;
        let of_this = |k: &&Known| k.anchor.name == name && k.anchor.scope == *site.scope();
        let known = known.iter().find(of_this).ok_or_else(|| {
            let name = name.escape_debug();
            Error::new(ErrorKind::NotFound, format!("there is no trust anchor `{name}` for {}", site.scope()))
        })?;
        self.refuse_in_use(&known.anchor)?;
        let (path, revision) = known.record.clone();
        let op = if name == LOCAL {
            let (local, _) = self.local()?.ok_or_else(conflict)?;
            Op::Put(path.clone(), self.seal_local(Local { enabled: false, ..local })?)
        } else {
            Op::Delete(path.clone())
        };
        let mut batch =
            Batch { conditions: vec![Condition::Version(path, revision)], ops: vec![op], invalidates: true };
        // Nothing signed by it was applied in between.
        batch.conditions.push(self.is_still(edition)?);
        self.commit(&self.changing(batch)?)
    }

    fn refuse_in_use(&self, anchor: &TrustAnchor) -> Result<()> {
        let id = anchor.key.id()?;
        let set = self.current()?;
        let used = set.entries().iter().find(|entry| {
            let signed = |f: &Option<super::InForce>| {
                f.as_ref().is_some_and(|f| f.anchor == anchor.name && f.manifest.publisher == id)
            };
            anchor.scope.contains(&entry.scope) && (signed(&entry.active) || signed(&entry.shadow))
        });
        match used {
            None => Ok(()),
            Some(entry) => Err(Error::new(
                ErrorKind::Denied,
                format!(
                    "policy `{}` for {} is signed by `{}`: remove or replace it first",
                    entry.name, entry.scope, anchor.name
                ),
            )),
        }
    }

    /// Lets the home's own publisher publish (again).
    ///
    /// # Errors
    /// Those of the store.
    pub fn allow_local(&self, by: &str, now: Timestamp) -> Result<()> {
        self.settle_local(by, now)?;
        let Some((local, revision)) = self.local()?.filter(|(local, _)| !local.enabled) else { return Ok(()) };
        let path = path::local()?;
        let sealed = self.seal_local(Local { enabled: true, ..local })?;
        let conditions = vec![Condition::Version(path.clone(), revision)];
        self.commit(&self.changing(Batch { conditions, ops: vec![Op::Put(path, sealed)], invalidates: true })?)
    }

    /// A bundle signed by the home's own publisher, which is made where there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] where the home takes signed bundles only, and those of [`Draft::new`].
    pub fn sign_locally(&self, terms: Terms, content: Content, by: &str, now: Timestamp) -> Result<Vec<u8>> {
        let local = self.settle_local(by, now)?;
        if !local.enabled {
            return Err(Error::new(
                ErrorKind::Denied,
                "this home takes signed bundles only: sign it with `kmss policy sign`, or let its own publisher sign \
                 again with `kmss policy trust add local`",
            ));
        }
        let opened = self.home.open_material(path::LOCAL.as_bytes(), &local.secret)?;
        let secret = PublisherSecret::new(local.anchor.key.algorithm(), opened)?;
        Draft::new(terms, content, &local.anchor.key)?.sign(&secret)
    }

    /// The home's own publisher; made by whoever comes first.
    fn settle_local(&self, by: &str, now: Timestamp) -> Result<Local> {
        for _ in 0..ATTEMPTS {
            if let Some((local, _)) = self.local()? {
                return Ok(local);
            }
            let secret = PublisherSecret::generate(self.home.suite(), &*self.random)?;
            let version = self.home.newest()?;
            let sealed = version.seal_material(&*self.random, path::LOCAL.as_bytes(), secret.secret())?;
            let (key, added_by) = (secret.public()?, by.to_owned());
            let anchor = TrustAnchor { name: LOCAL.to_owned(), scope: Scope::Platform, key, added: now, added_by };
            let path = path::local()?;
            let local = Local { enabled: true, anchor, secret: sealed };
            let record = sealed::seal_value_under(&version, &*self.random, &path, &local)?;
            let conditions = vec![Condition::Absent(path.clone())];
            let batch = self.changing(Batch { conditions, ops: vec![Op::Put(path, record)], invalidates: true })?;
            // Whoever was faster, theirs is the one that counts.
            let _ = self.store.commit(&batch)?;
        }
        Err(Error::new(ErrorKind::Busy, "the home's publisher could not be settled with other processes"))
    }

    /// Seals the private key of the home's own publisher anew, where it does not lie under the newest version of the
    /// domain key; what became of that, `None` where it lies there.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub(crate) fn reseal_local(&self) -> Result<Option<Commit>> {
        let Some((local, seen)) = self.local()? else { return Ok(None) };
        let version = self.home.newest()?;
        let secret = self.home.reseal_material(&*self.random, path::LOCAL.as_bytes(), &local.secret, &version)?;
        if secret.is_none() {
            return Ok(None);
        }
        let path = path::local()?;
        let conditions = vec![Condition::Version(path.clone(), seen)];
        let batch = Batch { conditions, ops: vec![Op::Put(path, self.seal_local(local)?)], invalidates: false };
        self.store.commit(&batch).map(Some)
    }

    /// The record of the home's own publisher. Its private key is sealed anew with it: it must not lie under an older version
    /// than the record names, or nothing would tell that this is needed still.
    fn seal_local(&self, local: Local) -> Result<Vec<u8>> {
        let version = self.home.newest()?;
        let anew = self.home.reseal_material(&*self.random, path::LOCAL.as_bytes(), &local.secret, &version)?;
        let local = Local { secret: anew.unwrap_or(local.secret), ..local };
        sealed::seal_value_under(&version, &*self.random, &path::local()?, &local)
    }

    fn local(&self) -> Result<Option<(Local, Revision)>> {
        let path = path::local()?;
        let Some(entry) = self.store.get(&path)? else { return Ok(None) };
        Ok(Some((sealed::open_value(&self.home, &path, &entry.value)?, entry.version)))
    }
}
