//! Elliptic-curve mechanisms (FIPS 186-5, SP 800-56A, RFC 7748, RFC 8032).

use super::Hash;

/// A named curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Curve {
    /// NIST P-256 (secp256r1).
    P256,
    /// NIST P-384 (secp384r1).
    P384,
    /// NIST P-521 (secp521r1).
    P521,
    /// Edwards curve of Ed25519.
    Ed25519,
    /// Montgomery curve of X25519.
    X25519,
    /// sm2p256v1 (GB/T 32918.5).
    Sm2,
}

impl Curve {
    /// Size of the field in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::P256 | Self::Sm2 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
            Self::Ed25519 | Self::X25519 => 255,
        }
    }

    /// Length of a scalar or coordinate in bytes.
    #[must_use]
    pub const fn field_len(self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    /// Length of an encoded public point: uncompressed SEC 1 (0x04 ‖ X ‖ Y), or the 32 bytes of RFC 7748 and RFC 8032.
    #[must_use]
    pub const fn point_len(self) -> usize {
        match self {
            Self::Ed25519 | Self::X25519 => 32,
            _ => 1 + 2 * self.field_len(),
        }
    }

    /// The usual name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
            Self::Sm2 => "SM2",
        }
    }
}

/// Signatures and key agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EcMechanism {
    /// ECDSA; `hash` absent: the data is a ready hash of any length (truncated to the order as FIPS 186-5 says).
    /// Signatures are r ‖ s, each of the order's length.
    Ecdsa {
        /// The hash applied to the message, if any.
        hash: Option<Hash>,
    },
    /// Pure Ed25519 (RFC 8032, 5.1).
    EdDsa,
    /// ECDH (SP 800-56A, 5.7.1.2; RFC 7748 on X25519): the shared secret is the x coordinate.
    Ecdh {
        /// What is applied to the shared secret.
        kdf: EcdhKdf,
        /// The other side's public point, as [`Curve::point_len`] describes it.
        public: Vec<u8>,
        /// SharedInfo of the X9.63 KDF.
        shared_info: Vec<u8>,
    },
}

/// Key derivation applied to an ECDH shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcdhKdf {
    /// None: the shared secret, of which leading bytes are removed where fewer are asked for.
    Null,
    /// ANSI X9.63 with a hash.
    X963(Hash),
}

impl EcMechanism {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ecdsa { hash: None } => "ECDSA",
            Self::Ecdsa { hash: Some(h) } => ecdsa_name(*h),
            Self::EdDsa => "EDDSA",
            Self::Ecdh { .. } => "ECDH1_DERIVE",
        }
    }
}

/// ECDSA with a hash.
const fn ecdsa_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "ECDSA_SHA1",
        Hash::Sha224 => "ECDSA_SHA224",
        Hash::Sha256 => "ECDSA_SHA256",
        Hash::Sha384 => "ECDSA_SHA384",
        Hash::Sha512 => "ECDSA_SHA512",
        Hash::Sha3_224 => "ECDSA_SHA3_224",
        Hash::Sha3_256 => "ECDSA_SHA3_256",
        Hash::Sha3_384 => "ECDSA_SHA3_384",
        Hash::Sha3_512 => "ECDSA_SHA3_512",
        Hash::Sm3 => "ECDSA_SM3",
    }
}
