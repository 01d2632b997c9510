//! Post-quantum keys of all three kinds: taken in, sealed, given out.

use std::sync::Arc;

use super::mldsa::{self, MlDsaKey};
use super::mlkem::MlKemKey;
use super::rng::Generator;
use super::slhdsa::{self, SlhDsaKey};
use super::{unfit, wrong_key};
use crate::backend::{Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyComponents, PublicComponents};
use crate::mechanism::{PqcMechanism, PqcSet};
use crate::random::Random;
use crate::secret::Secret;

/// A post-quantum key. Cloning shares it.
#[derive(Clone)]
pub(super) enum PqcKey {
    MlDsa(Arc<MlDsaKey>),
    MlKem(Arc<MlKemKey>),
    SlhDsa(Arc<SlhDsaKey>),
}

impl PqcKey {
    pub(super) fn generate(set: PqcSet) -> Result<Self> {
        match (set, set.seed_len()) {
            (PqcSet::SlhDsa(set), _) => Ok(Self::SlhDsa(Arc::new(SlhDsaKey::generate(set)?))),
            (_, len) => Self::from_seed(set, &Secret::filled(len.unwrap_or_default(), |out| Generator.fill(out))?),
        }
    }

    fn from_seed(set: PqcSet, seed: &Secret) -> Result<Self> {
        match set {
            PqcSet::MlDsa(set) => Ok(Self::MlDsa(Arc::new(MlDsaKey::from_seed(set, seed)?))),
            PqcSet::MlKem(set) => Ok(Self::MlKem(Arc::new(MlKemKey::from_seed(set, seed)?))),
            PqcSet::SlhDsa(_) => Err(bad("SLH-DSA keys have no seed")),
        }
    }

    /// A private key that somebody brings: its seed, its expanded form, or both, which must agree.
    pub(super) fn from_private(set: PqcSet, seed: &Secret, value: &Secret) -> Result<Self> {
        if seed.is_empty() && value.is_empty() {
            return Err(Error::new(ErrorKind::TemplateIncomplete, "the private key is missing"));
        }
        if !seed.is_empty() {
            let key = Self::from_seed(set, seed)?;
            return if value.is_empty() || key.value()? == *value {
                Ok(key)
            } else {
                Err(bad("the private key does not come of its seed"))
            };
        }
        Ok(match set {
            PqcSet::MlDsa(set) => Self::MlDsa(Arc::new(MlDsaKey::from_expanded(set, value)?)),
            PqcSet::MlKem(set) => Self::MlKem(Arc::new(MlKemKey::from_expanded(set, value)?)),
            PqcSet::SlhDsa(set) => Self::SlhDsa(Arc::new(SlhDsaKey::from_private(set, value)?)),
        })
    }

    pub(super) fn from_public(set: PqcSet, value: &[u8]) -> Result<Self> {
        if value.is_empty() {
            return Err(Error::new(ErrorKind::TemplateIncomplete, "the public key is missing"));
        }
        Ok(match set {
            PqcSet::MlDsa(set) => Self::MlDsa(Arc::new(MlDsaKey::from_public(set, value)?)),
            PqcSet::MlKem(set) => Self::MlKem(Arc::new(MlKemKey::from_public(set, value)?)),
            PqcSet::SlhDsa(set) => Self::SlhDsa(Arc::new(SlhDsaKey::from_public(set, value)?)),
        })
    }

    pub(super) fn set(&self) -> PqcSet {
        match self {
            Self::MlDsa(key) => PqcSet::MlDsa(key.set),
            Self::MlKem(key) => PqcSet::MlKem(key.set),
            Self::SlhDsa(key) => PqcSet::SlhDsa(key.set),
        }
    }

    pub(super) fn is_private(&self) -> bool {
        match self {
            Self::MlDsa(key) => key.is_private,
            Self::MlKem(key) => key.is_private,
            Self::SlhDsa(key) => key.private.is_some(),
        }
    }

    pub(super) fn public(&self) -> PublicComponents {
        let value = match self {
            Self::MlDsa(key) => &key.public,
            Self::MlKem(key) => &key.public,
            Self::SlhDsa(key) => &key.public,
        };
        PublicComponents::Pqc { set: self.set(), value: value.clone() }
    }

    /// The seed, where there is one and it is known.
    pub(super) fn seed(&self) -> Option<&Secret> {
        match self {
            Self::MlDsa(key) => key.seed.as_ref(),
            Self::MlKem(key) => key.seed.as_ref(),
            Self::SlhDsa(_) => None,
        }
    }

    /// The expanded private key.
    pub(super) fn value(&self) -> Result<Secret> {
        match self {
            Self::MlDsa(key) => key.expanded(),
            Self::MlKem(key) => key.expanded(),
            Self::SlhDsa(key) => key.private.clone().ok_or_else(wrong_key),
        }
    }

    pub(super) fn components(&self) -> Result<KeyComponents> {
        let seed = self.seed().cloned().unwrap_or_else(|| Secret::copy_of(&[]));
        Ok(KeyComponents::PqcPrivate { set: self.set(), seed, value: self.value()? })
    }

    /// The form that is sealed: two bytes that name set and form, and the seed, or the expanded key where no seed is known.
    pub(super) fn encode(&self) -> Result<Secret> {
        let set = self.set();
        let (number, _) = SETS.iter().find(|(_, known)| *known == set).ok_or_else(damaged)?;
        let (form, bytes) = match self.seed() {
            Some(seed) => (FORM_SEED, seed.clone()),
            None => (FORM_VALUE, self.value()?),
        };
        Ok(Secret::new([&[*number, form], bytes.expose()].concat()))
    }

    /// The key in a form that was sealed.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let [number, form, key @ ..] = bytes else {
            return Err(damaged());
        };
        let (_, set) = SETS.iter().find(|(known, _)| known == number).ok_or_else(damaged)?;
        let (key, none) = (Secret::copy_of(key), Secret::copy_of(&[]));
        match (*form, *set) {
            (FORM_SEED, set) => Self::from_seed(set, &key),
            // Its root was checked when it came in.
            (FORM_VALUE, PqcSet::SlhDsa(set)) => Ok(Self::SlhDsa(Arc::new(SlhDsaKey::trusted(set, key)?))),
            (FORM_VALUE, set) => Self::from_private(set, &none, &key),
            _ => Err(damaged()),
        }
    }

    /// Starts a signature.
    pub(super) fn sign(self, mechanism: &PqcMechanism) -> Result<Box<dyn Signing>> {
        Ok(match (self, mechanism) {
            (Self::MlDsa(key), PqcMechanism::MlDsa(how)) => Box::new(mldsa::signature(key, how, true)?),
            (Self::SlhDsa(key), PqcMechanism::SlhDsa(how)) => Box::new(slhdsa::signature(key, how, true)?),
            (_, mechanism) => return Err(unfit(signs(mechanism))),
        })
    }

    /// Starts a verification.
    pub(super) fn verify(self, mechanism: &PqcMechanism) -> Result<Box<dyn Verifying>> {
        Ok(match (self, mechanism) {
            (Self::MlDsa(key), PqcMechanism::MlDsa(how)) => Box::new(mldsa::signature(key, how, false)?),
            (Self::SlhDsa(key), PqcMechanism::SlhDsa(how)) => Box::new(slhdsa::signature(key, how, false)?),
            (_, mechanism) => return Err(unfit(signs(mechanism))),
        })
    }
}

/// Whether the mechanism makes signatures.
pub(super) const fn signs(mechanism: &PqcMechanism) -> bool {
    matches!(mechanism, PqcMechanism::MlDsa(_) | PqcMechanism::SlhDsa(_))
}

const FORM_SEED: u8 = 1;
const FORM_VALUE: u8 = 2;

/// Numbers of the parameter sets in sealed keys.
const SETS: [(u8, PqcSet); 18] = {
    use crate::mechanism::{MlDsaSet as D, MlKemSet as K, SlhDsaSet as S};
    [
        (1, PqcSet::MlDsa(D::MlDsa44)),
        (2, PqcSet::MlDsa(D::MlDsa65)),
        (3, PqcSet::MlDsa(D::MlDsa87)),
        (16, PqcSet::MlKem(K::MlKem512)),
        (17, PqcSet::MlKem(K::MlKem768)),
        (18, PqcSet::MlKem(K::MlKem1024)),
        (32, PqcSet::SlhDsa(S::Sha2_128s)),
        (33, PqcSet::SlhDsa(S::Shake128s)),
        (34, PqcSet::SlhDsa(S::Sha2_128f)),
        (35, PqcSet::SlhDsa(S::Shake128f)),
        (36, PqcSet::SlhDsa(S::Sha2_192s)),
        (37, PqcSet::SlhDsa(S::Shake192s)),
        (38, PqcSet::SlhDsa(S::Sha2_192f)),
        (39, PqcSet::SlhDsa(S::Shake192f)),
        (40, PqcSet::SlhDsa(S::Sha2_256s)),
        (41, PqcSet::SlhDsa(S::Shake256s)),
        (42, PqcSet::SlhDsa(S::Sha2_256f)),
        (43, PqcSet::SlhDsa(S::Shake256f)),
    ]
};

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::AttributeValue, message)
}

fn damaged() -> Error {
    Error::new(ErrorKind::Damaged, "key material has an unknown form")
}
