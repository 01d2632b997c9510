//! Key derivation from secret keys (RFC 5869).

use super::Hash;

/// A key-derivation function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KdfMechanism {
    /// HKDF; at least one of `extract` and `expand` is true.
    Hkdf {
        /// The hash.
        hash: Hash,
        /// Whether to extract.
        extract: bool,
        /// Whether to expand.
        expand: bool,
        /// Salt of the extraction.
        salt: HkdfSalt,
        /// Info of the expansion.
        info: Vec<u8>,
    },
}

/// Salt of HKDF-Extract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HkdfSalt {
    /// A string of zeros of the hash's length.
    Zeros,
    /// Public bytes.
    Bytes(Vec<u8>),
}

impl KdfMechanism {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Hkdf { .. } => "HKDF_DERIVE",
        }
    }
}
