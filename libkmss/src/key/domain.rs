//! Domain keys: the keys under which a namespace's records and key material are sealed.

use std::any::Any;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::{Secret, wipe_stack};
use crate::suite::{Aead, HASH_LEN, NONCE_LEN, Suite};

/// How much of the stack may hold plaintext after the cipher, which works on several blocks at once.
const STACK: usize = 16 << 10;

/// One version of a domain key, expanded into the keys for its three uses: key material, records, index.
///
/// Each use has a key of its own (HKDF-Expand of the domain secret), so that ciphertext of one can never be taken for
/// another. Nonces are random, which bounds one version to 2^32 seals of a use.
pub struct DomainKey {
    suite: Suite,
    version: u32,
    material: Aead,
    record: Aead,
    index: Secret,
}

impl DomainKey {
    /// Length of a domain secret in bytes.
    pub const SECRET_LEN: usize = 32;

    /// Expands `secret`, [`Self::SECRET_LEN`] uniformly random bytes.
    ///
    /// # Errors
    /// A secret of another length.
    pub fn expand(suite: Suite, version: u32, secret: &Secret) -> Result<Self> {
        if secret.len() != Self::SECRET_LEN {
            return Err(Error::new(ErrorKind::Damaged, "a domain key has a wrong length"));
        }
        let aead = |info: &[u8]| Aead::new(suite, &suite.expand(secret, info, suite.aead_key_len())?);
        Ok(Self {
            suite,
            version,
            material: aead(b"kmss/1 key material")?,
            record: aead(b"kmss/1 record")?,
            index: suite.expand(secret, b"kmss/1 index", HASH_LEN)?,
        })
    }

    /// A fresh domain key that exists only in this process, for session objects.
    ///
    /// # Errors
    /// The random source fails.
    pub fn ephemeral(suite: Suite, random: &dyn Random) -> Result<Self> {
        Self::expand(suite, 0, &Secret::filled(Self::SECRET_LEN, |b| random.fill(b))?)
    }

    /// The suite it seals with.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Its version, written into everything sealed under it.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Seals key material; `context` (object and version) must be given again to open it.
    ///
    /// # Errors
    /// The random source fails.
    pub fn seal_material(&self, random: &dyn Random, context: &[u8], plain: &Secret) -> Result<Vec<u8>> {
        let sealed = seal(&self.material, random, context, plain.expose());
        wipe_stack::<STACK>();
        sealed
    }

    /// Opens what [`Self::seal_material`] made.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when it was changed, moved to another object, or sealed under another key.
    pub fn open_material(&self, context: &[u8], sealed: &[u8]) -> Result<Secret> {
        let opened = open(&self.material, context, sealed);
        wipe_stack::<STACK>();
        opened
    }

    /// Seals a store record; `context` is its path and edition.
    ///
    /// # Errors
    /// The random source fails.
    pub fn seal_record(&self, random: &dyn Random, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        seal(&self.record, random, context, plain)
    }

    /// Opens what [`Self::seal_record`] made.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when it was changed, moved or sealed under another key.
    pub fn open_record(&self, context: &[u8], sealed: &[u8]) -> Result<Secret> {
        open(&self.record, context, sealed)
    }

    /// The index term of `value` in the index `name`: equal for equal values, meaningless without the key.
    ///
    /// # Errors
    /// None in practice.
    pub fn index_term(&self, name: &str, value: &[u8]) -> Result<[u8; HASH_LEN]> {
        self.suite.mac(&self.index, &[name.as_bytes(), &[0], value])
    }
}

impl std::fmt::Debug for DomainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DomainKey({} v{})", self.suite.name(), self.version)
    }
}

fn seal(aead: &Aead, random: &dyn Random, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    let mut out = Vec::with_capacity(NONCE_LEN + plain.len() + crate::suite::TAG_LEN);
    out.extend_from_slice(&nonce);
    aead.seal(&nonce, context, plain, &mut out)?;
    Ok(out)
}

fn open(aead: &Aead, context: &[u8], sealed: &[u8]) -> Result<Secret> {
    let (nonce, body) = sealed
        .split_first_chunk::<NONCE_LEN>()
        .ok_or_else(|| Error::new(ErrorKind::Damaged, "a sealed record is too short"))?;
    aead.open(nonce, context, body)
}

/// The domain keys a caller holds for one namespace.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// For what everybody may see.
    pub public: Arc<DomainKey>,
    /// For private objects; present only after authentication.
    pub private: Option<Arc<DomainKey>>,
    /// For session objects; never leaves the process.
    pub ephemeral: Arc<DomainKey>,
    /// Proof of the security officer's login, which only the authenticator reads.
    pub officer: Option<Arc<dyn Any + Send + Sync>>,
}
