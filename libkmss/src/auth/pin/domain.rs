//! The domain of a namespace as a login sees it: its public key, and what its PINs open.

use std::sync::Arc;

use super::{Private, RewrapToken};
use crate::device::WrappingKey;
use crate::domain::{Access, Site, Surroundings, Versions};
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::seal::Seal;
use crate::store::{Revision, StoreKey};
use crate::suite::HASH_LEN;
use crate::tenant::Namespace;

/// A namespace's public domain key and what identifies it.
pub(super) struct Domain {
    pub(super) public: Arc<DomainKey>,
    /// Names the edition of the namespace: differs after each initialisation.
    pub(super) edition: [u8; HASH_LEN],
    /// When the record was written; 0 for one that is not in the store yet.
    pub(super) revision: Revision,
    pub(super) site: Site,
    pub(super) versions: Versions,
    /// Generation of the store at which the record was read.
    generation: u64,
}

/// Where the record is.
pub(super) fn key(namespace: &Namespace) -> Result<StoreKey> {
    Ok(Site::of(namespace)?.key)
}

impl Domain {
    /// A fresh one, whose private keys `private` opens, and its record. `device` seals its key material; `over` are keys in devices
    /// that are to be destroyed.
    pub(super) fn fresh(
        seal: &dyn Seal,
        random: &dyn Random,
        namespace: &Namespace,
        private: &Private,
        (device, over): (Option<WrappingKey>, Vec<WrappingKey>),
    ) -> Result<(Self, Vec<u8>)> {
        let site = Site::of(namespace)?;
        let access = Access::new(seal.suite(), &private.secret, false)?;
        // The namespace itself tells when it was made.
        let made = (Some(&access), crate::clock::Timestamp(0));
        let versions = Versions { over, ..Versions::fresh(&site, seal.suite(), random, made, device)? };
        let record = site.encode(seal, &versions)?;
        let first = versions.all.first().ok_or_else(missing)?;
        let public = DomainKey::fixed(seal.suite(), versions.index.clone(), first.number, &first.public)?;
        Ok((Self::of(Arc::new(public), site, versions, (0, Revision(0)))?, record))
    }

    pub(super) fn open(surroundings: Surroundings<'_>, namespace: &Namespace) -> Result<Self> {
        let site = Site::of(namespace)?;
        let generation = surroundings.store.generation();
        let entry = surroundings.store.get(&site.key)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("the namespace `{namespace}` is not initialised"))
        })?;
        let versions = site.decode(surroundings.seal.as_ref(), &entry.value)?;
        let public = Arc::new(surroundings.key(&site, None, (generation, &versions))?);
        Self::of(public, site, versions, (generation, entry.version))
    }

    fn of(
        public: Arc<DomainKey>,
        site: Site,
        versions: Versions,
        (generation, revision): (u64, Revision),
    ) -> Result<Self> {
        let edition = public.index_term("auth edition", &[])?;
        Ok(Self { public, edition, revision, site, versions, generation })
    }

    /// What opens the private secrets.
    pub(super) fn access(&self, private: &Private) -> Result<Access> {
        Access::new(self.versions.suite, &private.secret, self.versions.first_is_access())
    }

    /// The private domain key, which a credential opened.
    pub(super) fn private(&self, surroundings: Surroundings<'_>, private: &Private) -> Result<Arc<DomainKey>> {
        let access = self.access(private)?;
        surroundings.key(&self.site, Some(access), (self.generation, &self.versions)).map(Arc::new)
    }

    /// Refuses an officer of another namespace or edition.
    pub(super) fn admits(&self, namespace: &Namespace, officer: &RewrapToken) -> Result<()> {
        if officer.namespace == namespace.id && officer.edition == self.edition {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotLoggedIn,
            format!("the security officer is not logged in to `{namespace}` as it is now: log in again"),
        ))
    }
}

/// The error for a record that another version wrote.
pub(super) fn other_format(format: u8, newest: u8, what: &str) -> Error {
    if format > newest {
        return Error::new(
            ErrorKind::TooNew,
            format!("a {what} has format {format}, and this KMSS reads up to {newest}: use the newer KMSS"),
        );
    }
    Error::new(ErrorKind::Damaged, format!("a {what} has an impossible format"))
}

fn missing() -> Error {
    Error::new(ErrorKind::Internal, "a fresh domain has no version")
}
