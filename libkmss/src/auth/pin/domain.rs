//! The public domain key of a namespace, as the store keeps it: wrapped by the seal.

use std::sync::Arc;

use super::RewrapToken;
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::seal::Seal;
use crate::secret::Secret;
use crate::store::{Revision, Store, StoreKey};
use crate::suite::HASH_LEN;
use crate::tenant::Namespace;

/// Format of the record; its first byte.
const FORMAT: u8 = 1;
/// Version of a fresh domain key.
pub(super) const FIRST_VERSION: u32 = 1;

/// A namespace's public domain key and what identifies it.
pub(super) struct Domain {
    pub(super) public: Arc<DomainKey>,
    /// Names the edition of the namespace: differs after each initialisation.
    pub(super) edition: [u8; HASH_LEN],
    /// When the record was written; 0 for one that is not in the store yet.
    pub(super) revision: Revision,
}

/// Where the record is.
pub(super) fn key(namespace: &Namespace) -> Result<StoreKey> {
    StoreKey::new(format!("auth/{}/domain", namespace.id))
}

impl Domain {
    /// A fresh one and its record: format, incarnation, version, wrapped secret.
    pub(super) fn fresh(seal: &dyn Seal, random: &dyn Random, namespace: &Namespace) -> Result<(Self, Vec<u8>)> {
        let secret = Secret::filled(DomainKey::SECRET_LEN, |b| random.fill(b))?;
        let mut record = vec![FORMAT];
        record.extend_from_slice(&namespace.incarnation.to_be_bytes());
        record.extend_from_slice(&FIRST_VERSION.to_be_bytes());
        record.extend_from_slice(&seal.wrap(&context(namespace, FIRST_VERSION), &secret)?);
        Ok((Self::expand(seal, FIRST_VERSION, &secret, Revision(0))?, record))
    }

    pub(super) fn open(store: &dyn Store, seal: &dyn Seal, namespace: &Namespace) -> Result<Self> {
        let entry = store.get(&key(namespace)?)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("the namespace `{namespace}` is not initialised"))
        })?;
        let damaged = || Error::new(ErrorKind::Damaged, format!("the domain key of `{namespace}` is damaged"));
        let (format, rest) = entry.value.split_first().ok_or_else(damaged)?;
        let (incarnation, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (version, wrapped) = rest.split_first_chunk().ok_or_else(damaged)?;
        if *format != FORMAT {
            return Err(other_format(*format, FORMAT, "domain key"));
        }
        let (incarnation, version) = (u32::from_be_bytes(*incarnation), u32::from_be_bytes(*version));
        // Proved by the wrapping's context before anybody is told to look again.
        let claimed = Namespace { incarnation, ..namespace.clone() };
        let secret = seal.unwrap(&context(&claimed, version), wrapped)?;
        if incarnation != namespace.incarnation {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("the namespace `{namespace}` has been initialised anew: open it again"),
            ));
        }
        Self::expand(seal, version, &secret, entry.version)
    }

    fn expand(seal: &dyn Seal, version: u32, secret: &Secret, revision: Revision) -> Result<Self> {
        let public = Arc::new(DomainKey::expand(seal.suite(), version, secret)?);
        let edition = public.index_term("auth edition", &[])?;
        Ok(Self { public, edition, revision })
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

fn context(namespace: &Namespace, version: u32) -> String {
    format!("domain/{}/{}/{version}/public", namespace.id, namespace.incarnation)
}
