//! Key derivation from secret keys (RFC 5869; data encrypted under an AES key).

use super::{BlockCipher, Hash};

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
    /// The new key is data, encrypted under the base key.
    EncryptData {
        /// The cipher.
        cipher: BlockCipher,
        /// Initialisation vector of CBC; absent in ECB.
        iv: Option<[u8; 16]>,
        /// Whole blocks.
        data: Vec<u8>,
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
            Self::EncryptData { cipher: BlockCipher::Aes, iv: None, .. } => "AES_ECB_ENCRYPT_DATA",
            Self::EncryptData { cipher: BlockCipher::Aes, iv: Some(_), .. } => "AES_CBC_ENCRYPT_DATA",
            Self::EncryptData { cipher: BlockCipher::Sm4, iv: None, .. } => "SM4_ECB_ENCRYPT_DATA",
            Self::EncryptData { cipher: BlockCipher::Sm4, iv: Some(_), .. } => "SM4_CBC_ENCRYPT_DATA",
        }
    }
}
