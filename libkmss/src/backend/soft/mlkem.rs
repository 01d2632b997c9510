//! ML-KEM (FIPS 203) by aws-lc.

use super::awslc::MlKem;
use super::wrong_key;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::MlKemSet;
use crate::secret::Secret;

/// An ML-KEM key.
pub(super) struct MlKemKey {
    pub(super) set: MlKemSet,
    /// What the private key was expanded from, where that is known.
    pub(super) seed: Option<Secret>,
    pub(super) public: Vec<u8>,
    pub(super) is_private: bool,
    key: MlKem,
}

impl MlKemKey {
    pub(super) fn from_seed(set: MlKemSet, seed: &Secret) -> Result<Self> {
        if seed.len() != MlKemSet::SEED {
            return Err(bad("an ML-KEM seed has 64 bytes"));
        }
        Self::new(set, MlKem::from_seed(set, seed.expose())?, Some(seed.clone()), true)
    }

    pub(super) fn from_expanded(set: MlKemSet, key: &Secret) -> Result<Self> {
        if key.len() != set.private_len() {
            return Err(bad("the private key does not have the length of its parameter set"));
        }
        let key = MlKem::from_private(set, key.expose()).map_err(|_| bad("this is no ML-KEM private key"))?;
        Self::new(set, key, None, true)
    }

    pub(super) fn from_public(set: MlKemSet, key: &[u8]) -> Result<Self> {
        if key.len() != set.public_len() {
            return Err(bad("the public key does not have the length of its parameter set"));
        }
        let key = MlKem::from_public(set, key).map_err(|_| bad("this is no ML-KEM public key"))?;
        Self::new(set, key, None, false)
    }

    fn new(set: MlKemSet, key: MlKem, seed: Option<Secret>, is_private: bool) -> Result<Self> {
        Ok(Self { set, seed, public: key.public()?, is_private, key })
    }

    pub(super) fn expanded(&self) -> Result<Secret> {
        if self.is_private { Ok(self.key.expanded()?) } else { Err(wrong_key()) }
    }

    /// A fresh shared secret and its ciphertext.
    pub(super) fn encapsulate(&self) -> Result<(Secret, Vec<u8>)> {
        Ok(self.key.encapsulate()?)
    }

    /// The shared secret of a ciphertext. A wrong one of the right length gives another secret, not an error.
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret> {
        if !self.is_private {
            return Err(wrong_key());
        }
        if ciphertext.len() != self.set.ciphertext_len() {
            return Err(Error::new(
                ErrorKind::WrappedKeyLength,
                "the ciphertext does not have the length of the key's",
            ));
        }
        Ok(self.key.decapsulate(ciphertext)?)
    }
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::AttributeValue, message)
}
