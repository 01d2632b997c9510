//! The access key of a namespace: what each PIN opens, and what opens the private secret of every version.
//!
//! So a rotation reaches users who are not there: their credentials stay what they are, and open the new version, too.

use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::{Aead, NONCE_LEN, Suite, TAG_LEN};

/// The access key, ready for use.
pub(crate) struct Access {
    aead: Aead,
    /// The key of the private index.
    pub(super) index: Secret,
    /// The secret itself, where it is also that of the first version.
    first: Option<Secret>,
}

impl Access {
    /// Length of a sealed secret in bytes.
    pub(super) const SEALED_LEN: usize = NONCE_LEN + DomainKey::SECRET_LEN + TAG_LEN;

    /// Expands `secret`, which a credential opened. Where it `is_first`, it is the first version's secret as well.
    ///
    /// # Errors
    /// A secret of another length.
    pub(crate) fn new(suite: Suite, secret: &Secret, is_first: bool) -> Result<Self> {
        Ok(Self {
            aead: Aead::new(suite, &suite.expand(secret, b"kmss/1 domain access", suite.aead_key_len())?)?,
            index: DomainKey::index_of(suite, secret)?,
            first: is_first.then(|| secret.clone()),
        })
    }

    pub(super) fn seal(&self, random: &dyn Random, context: &str, secret: &Secret) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let mut out = Vec::with_capacity(Self::SEALED_LEN);
        out.extend_from_slice(&nonce);
        self.aead.seal(&nonce, context.as_bytes(), secret.expose(), &mut out)?;
        Ok(out)
    }

    pub(super) fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret> {
        let damaged = || Error::new(ErrorKind::Damaged, "a private domain key is damaged");
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        self.aead.open(nonce, context.as_bytes(), body).map_err(|e| damaged().with_source(e))
    }

    /// The secret of the first version, where it is the access key's.
    pub(super) fn first(&self) -> Result<Secret> {
        self.first.clone().ok_or_else(|| Error::new(ErrorKind::Damaged, "a domain key lacks its first version"))
    }
}
