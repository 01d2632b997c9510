//! Post-quantum algorithms: ML-KEM (FIPS 203), ML-DSA (FIPS 204), SLH-DSA (FIPS 205).

mod sign;

pub use sign::{Hedge, PqcHash, PqcInput, PqcSignature};

use super::KeyType;

/// A parameter set of ML-DSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MlDsaSet {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

impl MlDsaSet {
    /// Length of a seed in bytes.
    pub const SEED: usize = 32;

    /// Length of the public key in bytes (FIPS 204, table 2).
    #[must_use]
    pub const fn public_len(self) -> usize {
        match self {
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
            Self::MlDsa87 => 2592,
        }
    }

    /// Length of the expanded private key in bytes.
    #[must_use]
    pub const fn private_len(self) -> usize {
        match self {
            Self::MlDsa44 => 2560,
            Self::MlDsa65 => 4032,
            Self::MlDsa87 => 4896,
        }
    }

    /// Length of a signature in bytes.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
            Self::MlDsa87 => 4627,
        }
    }
}

/// A parameter set of ML-KEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MlKemSet {
    MlKem512,
    MlKem768,
    MlKem1024,
}

impl MlKemSet {
    /// Length of a seed (d ‖ z) in bytes.
    pub const SEED: usize = 64;
    /// Length of the shared secret in bytes.
    pub const SHARED: usize = 32;

    /// Length of the public (encapsulation) key in bytes (FIPS 203, table 3).
    #[must_use]
    pub const fn public_len(self) -> usize {
        match self {
            Self::MlKem512 => 800,
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
        }
    }

    /// Length of the expanded private (decapsulation) key in bytes.
    #[must_use]
    pub const fn private_len(self) -> usize {
        match self {
            Self::MlKem512 => 1632,
            Self::MlKem768 => 2400,
            Self::MlKem1024 => 3168,
        }
    }

    /// Length of a ciphertext in bytes.
    #[must_use]
    pub const fn ciphertext_len(self) -> usize {
        match self {
            Self::MlKem512 => 768,
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
        }
    }
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

impl SlhDsaSet {
    /// Every set, in the order of FIPS 205, table 2.
    pub const ALL: [Self; 12] = [
        Self::Sha2_128s,
        Self::Shake128s,
        Self::Sha2_128f,
        Self::Shake128f,
        Self::Sha2_192s,
        Self::Shake192s,
        Self::Sha2_192f,
        Self::Shake192f,
        Self::Sha2_256s,
        Self::Shake256s,
        Self::Sha2_256f,
        Self::Shake256f,
    ];

    /// The security parameter n in bytes (FIPS 205, table 2).
    #[must_use]
    pub const fn n(self) -> usize {
        match self {
            Self::Sha2_128s | Self::Shake128s | Self::Sha2_128f | Self::Shake128f => 16,
            Self::Sha2_192s | Self::Shake192s | Self::Sha2_192f | Self::Shake192f => 24,
            Self::Sha2_256s | Self::Shake256s | Self::Sha2_256f | Self::Shake256f => 32,
        }
    }

    /// Length of the public key in bytes.
    #[must_use]
    pub const fn public_len(self) -> usize {
        2 * self.n()
    }

    /// Length of the private key in bytes.
    #[must_use]
    pub const fn private_len(self) -> usize {
        4 * self.n()
    }

    /// Length of a signature in bytes (FIPS 205, table 2).
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::Sha2_128s | Self::Shake128s => 7856,
            Self::Sha2_128f | Self::Shake128f => 17_088,
            Self::Sha2_192s | Self::Shake192s => 16_224,
            Self::Sha2_192f | Self::Shake192f => 35_664,
            Self::Sha2_256s | Self::Shake256s => 29_792,
            Self::Sha2_256f | Self::Shake256f => 49_856,
        }
    }
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

    /// Every set.
    pub fn all() -> impl Iterator<Item = Self> {
        let dsa = [MlDsaSet::MlDsa44, MlDsaSet::MlDsa65, MlDsaSet::MlDsa87].map(Self::MlDsa);
        let kem = [MlKemSet::MlKem512, MlKemSet::MlKem768, MlKemSet::MlKem1024].map(Self::MlKem);
        dsa.into_iter().chain(kem).chain(SlhDsaSet::ALL.map(Self::SlhDsa))
    }

    /// Length of the public key in bytes.
    #[must_use]
    pub const fn public_len(self) -> usize {
        match self {
            Self::MlDsa(set) => set.public_len(),
            Self::MlKem(set) => set.public_len(),
            Self::SlhDsa(set) => set.public_len(),
        }
    }

    /// Length of the expanded private key in bytes.
    #[must_use]
    pub const fn private_len(self) -> usize {
        match self {
            Self::MlDsa(set) => set.private_len(),
            Self::MlKem(set) => set.private_len(),
            Self::SlhDsa(set) => set.private_len(),
        }
    }

    /// Length of the seed in bytes; SLH-DSA has none.
    #[must_use]
    pub const fn seed_len(self) -> Option<usize> {
        match self {
            Self::MlDsa(_) => Some(MlDsaSet::SEED),
            Self::MlKem(_) => Some(MlKemSet::SEED),
            Self::SlhDsa(_) => None,
        }
    }

    /// The object identifier of its keys, which is the whole algorithm identifier (RFC 9881, RFC 9935, RFC 9909).
    #[must_use]
    pub const fn oid(self) -> &'static str {
        match self {
            Self::MlDsa(set) => match set {
                MlDsaSet::MlDsa44 => "2.16.840.1.101.3.4.3.17",
                MlDsaSet::MlDsa65 => "2.16.840.1.101.3.4.3.18",
                MlDsaSet::MlDsa87 => "2.16.840.1.101.3.4.3.19",
            },
            Self::MlKem(set) => match set {
                MlKemSet::MlKem512 => "2.16.840.1.101.3.4.4.1",
                MlKemSet::MlKem768 => "2.16.840.1.101.3.4.4.2",
                MlKemSet::MlKem1024 => "2.16.840.1.101.3.4.4.3",
            },
            Self::SlhDsa(set) => match set {
                SlhDsaSet::Sha2_128s => "2.16.840.1.101.3.4.3.20",
                SlhDsaSet::Sha2_128f => "2.16.840.1.101.3.4.3.21",
                SlhDsaSet::Sha2_192s => "2.16.840.1.101.3.4.3.22",
                SlhDsaSet::Sha2_192f => "2.16.840.1.101.3.4.3.23",
                SlhDsaSet::Sha2_256s => "2.16.840.1.101.3.4.3.24",
                SlhDsaSet::Sha2_256f => "2.16.840.1.101.3.4.3.25",
                SlhDsaSet::Shake128s => "2.16.840.1.101.3.4.3.26",
                SlhDsaSet::Shake128f => "2.16.840.1.101.3.4.3.27",
                SlhDsaSet::Shake192s => "2.16.840.1.101.3.4.3.28",
                SlhDsaSet::Shake192f => "2.16.840.1.101.3.4.3.29",
                SlhDsaSet::Shake256s => "2.16.840.1.101.3.4.3.30",
                SlhDsaSet::Shake256f => "2.16.840.1.101.3.4.3.31",
            },
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
    /// ML-DSA and HashML-DSA signatures (FIPS 204, 5).
    MlDsa(PqcSignature),
    /// SLH-DSA and HashSLH-DSA signatures (FIPS 205, 10).
    SlhDsa(PqcSignature),
}

impl PqcMechanism {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::MlKem => "ML_KEM",
            Self::MlDsa(signature) => signature.input.names().0,
            Self::SlhDsa(signature) => signature.input.names().1,
        }
    }
}
