//! RSA mechanisms (RFC 8017).

use super::Hash;

/// RSA signatures and encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsaMechanism {
    /// PKCS #1 v1.5. Signing pads the data as it is given (a DER DigestInfo, by the caller); encryption is RSAES.
    Pkcs,
    /// Raw modular exponentiation, input left-padded with zeros to the modulus length.
    X509,
    /// RSASSA-PKCS1-v1_5 that hashes the message itself.
    PkcsHash(Hash),
    /// RSASSA-PSS. With `message` false the data is the ready hash, of `pss.hash`'s length.
    Pss {
        /// Parameters of the encoding.
        pss: Pss,
        /// Whether the mechanism hashes the message itself, with `pss.hash`.
        message: bool,
    },
    /// RSAES-OAEP.
    Oaep(Oaep),
    /// Wraps a key under a fresh AES key, and that one with RSAES-OAEP (PKCS#11 3.2, 6.1.21): the OAEP ciphertext, as long
    /// as the modulus, followed by the AES-KWP ciphertext.
    AesKeyWrap {
        /// Parameters of OAEP.
        oaep: Oaep,
        /// Length of the AES key in bytes: 16, 24 or 32.
        aes_len: usize,
    },
}

/// Parameters of EMSA-PSS (RFC 8017, 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pss {
    /// Hash of the message.
    pub hash: Hash,
    /// Hash of MGF1.
    pub mgf: Hash,
    /// Salt length in bytes.
    pub salt_len: usize,
}

/// Parameters of RSAES-OAEP (RFC 8017, 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oaep {
    /// Hash of the label.
    pub hash: Hash,
    /// Hash of MGF1.
    pub mgf: Hash,
    /// The label, empty by default.
    pub label: Vec<u8>,
}

impl RsaMechanism {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Pkcs => "RSA_PKCS",
            Self::X509 => "RSA_X_509",
            Self::PkcsHash(h) => pkcs_name(*h),
            Self::Pss { message: false, .. } => "RSA_PKCS_PSS",
            Self::Pss { pss, message: true } => pss_name(pss.hash),
            Self::Oaep(_) => "RSA_PKCS_OAEP",
            Self::AesKeyWrap { .. } => "RSA_AES_KEY_WRAP",
        }
    }
}

/// RSASSA-PKCS1-v1_5 with a hash.
const fn pkcs_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "SHA1_RSA_PKCS",
        Hash::Sha224 => "SHA224_RSA_PKCS",
        Hash::Sha256 => "SHA256_RSA_PKCS",
        Hash::Sha384 => "SHA384_RSA_PKCS",
        Hash::Sha512 => "SHA512_RSA_PKCS",
        Hash::Sha512_224 => "SHA512_224_RSA_PKCS",
        Hash::Sha512_256 => "SHA512_256_RSA_PKCS",
        Hash::Sha3_224 => "SHA3_224_RSA_PKCS",
        Hash::Sha3_256 => "SHA3_256_RSA_PKCS",
        Hash::Sha3_384 => "SHA3_384_RSA_PKCS",
        Hash::Sha3_512 => "SHA3_512_RSA_PKCS",
        Hash::Sm3 => "SM3_RSA_PKCS",
    }
}

/// RSASSA-PSS with a hash.
const fn pss_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "SHA1_RSA_PKCS_PSS",
        Hash::Sha224 => "SHA224_RSA_PKCS_PSS",
        Hash::Sha256 => "SHA256_RSA_PKCS_PSS",
        Hash::Sha384 => "SHA384_RSA_PKCS_PSS",
        Hash::Sha512 => "SHA512_RSA_PKCS_PSS",
        Hash::Sha512_224 => "SHA512_224_RSA_PKCS_PSS",
        Hash::Sha512_256 => "SHA512_256_RSA_PKCS_PSS",
        Hash::Sha3_224 => "SHA3_224_RSA_PKCS_PSS",
        Hash::Sha3_256 => "SHA3_256_RSA_PKCS_PSS",
        Hash::Sha3_384 => "SHA3_384_RSA_PKCS_PSS",
        Hash::Sha3_512 => "SHA3_512_RSA_PKCS_PSS",
        Hash::Sm3 => "SM3_RSA_PKCS_PSS",
    }
}
