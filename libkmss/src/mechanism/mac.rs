//! Message authentication codes (FIPS 198-1, SP 800-38B and D).

use super::{BlockCipher, Hash};

/// A MAC with its output length in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacMechanism {
    /// HMAC, output truncated to `len` (1 to the hash's length).
    Hmac {
        /// The hash.
        hash: Hash,
        /// Output length.
        len: usize,
    },
    /// CMAC, output truncated to `len` (1 to 16).
    Cmac {
        /// The block cipher.
        cipher: BlockCipher,
        /// Output length.
        len: usize,
    },
    /// GMAC with AES, output truncated to `len` (4, 8, or 12 to 16).
    Gmac {
        /// Initialisation vector, 1 to 256 bytes; never the same twice under a key.
        iv: Vec<u8>,
        /// Output length.
        len: usize,
    },
}

impl MacMechanism {
    /// Output length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the length of an output, which is never empty")]
    pub const fn len(&self) -> usize {
        match self {
            Self::Hmac { len, .. } | Self::Cmac { len, .. } | Self::Gmac { len, .. } => *len,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Hmac { hash, .. } => hmac_name(*hash),
            Self::Cmac { cipher: BlockCipher::Aes, .. } => "AES_CMAC",
            Self::Cmac { cipher: BlockCipher::Sm4, .. } => "SM4_CMAC",
            Self::Gmac { .. } => "AES_GMAC",
        }
    }
}

/// HMAC with a hash.
const fn hmac_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "SHA1_HMAC",
        Hash::Sha224 => "SHA224_HMAC",
        Hash::Sha256 => "SHA256_HMAC",
        Hash::Sha384 => "SHA384_HMAC",
        Hash::Sha512 => "SHA512_HMAC",
        Hash::Sha512_224 => "SHA512_224_HMAC",
        Hash::Sha512_256 => "SHA512_256_HMAC",
        Hash::Sha3_224 => "SHA3_224_HMAC",
        Hash::Sha3_256 => "SHA3_256_HMAC",
        Hash::Sha3_384 => "SHA3_384_HMAC",
        Hash::Sha3_512 => "SHA3_512_HMAC",
        Hash::Sm3 => "SM3_HMAC",
    }
}
