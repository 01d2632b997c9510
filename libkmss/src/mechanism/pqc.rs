//! Post-quantum algorithms: ML-KEM (FIPS 203), ML-DSA (FIPS 204), SLH-DSA (FIPS 205).

use super::KeyType;

/// A parameter set of ML-DSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MlDsaSet {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

/// A parameter set of ML-KEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MlKemSet {
    MlKem512,
    MlKem768,
    MlKem1024,
}

/// A parameter set of SLH-DSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SlhDsaSet {
    Sha2_128s,
    Shake128s,
    Sha2_128f,
    Shake128f,
    Sha2_192s,
    Shake192s,
    Sha2_192f,
    Shake192f,
    Sha2_256s,
    Shake256s,
    Sha2_256f,
    Shake256f,
}

/// A parameter set of any of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PqcSet {
    MlDsa(MlDsaSet),
    MlKem(MlKemSet),
    SlhDsa(SlhDsaSet),
}

impl PqcSet {
    /// The type of its keys.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::MlDsa(_) => KeyType::MlDsa,
            Self::MlKem(_) => KeyType::MlKem,
            Self::SlhDsa(_) => KeyType::SlhDsa,
        }
    }

    /// The standard's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MlDsa(set) => match set {
                MlDsaSet::MlDsa44 => "ML-DSA-44",
                MlDsaSet::MlDsa65 => "ML-DSA-65",
                MlDsaSet::MlDsa87 => "ML-DSA-87",
            },
            Self::MlKem(set) => match set {
                MlKemSet::MlKem512 => "ML-KEM-512",
                MlKemSet::MlKem768 => "ML-KEM-768",
                MlKemSet::MlKem1024 => "ML-KEM-1024",
            },
            Self::SlhDsa(set) => match set {
                SlhDsaSet::Sha2_128s => "SLH-DSA-SHA2-128s",
                SlhDsaSet::Shake128s => "SLH-DSA-SHAKE-128s",
                SlhDsaSet::Sha2_128f => "SLH-DSA-SHA2-128f",
                SlhDsaSet::Shake128f => "SLH-DSA-SHAKE-128f",
                SlhDsaSet::Sha2_192s => "SLH-DSA-SHA2-192s",
                SlhDsaSet::Shake192s => "SLH-DSA-SHAKE-192s",
                SlhDsaSet::Sha2_192f => "SLH-DSA-SHA2-192f",
                SlhDsaSet::Shake192f => "SLH-DSA-SHAKE-192f",
                SlhDsaSet::Sha2_256s => "SLH-DSA-SHA2-256s",
                SlhDsaSet::Shake256s => "SLH-DSA-SHAKE-256s",
                SlhDsaSet::Sha2_256f => "SLH-DSA-SHA2-256f",
                SlhDsaSet::Shake256f => "SLH-DSA-SHAKE-256f",
            },
        }
    }
}

/// Signatures and key encapsulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PqcMechanism {
    /// ML-KEM key encapsulation (FIPS 203, 7.2 and 7.3).
    MlKem,
}

impl PqcMechanism {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::MlKem => "ML_KEM",
        }
    }
}
