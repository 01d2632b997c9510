//! Elliptic-curve mechanisms (FIPS 186-5, SP 800-56A, RFC 7748, RFC 8032).

use super::{Hash, KeyType};

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
    /// secp256k1 (SEC 2).
    Secp256k1,
    /// Edwards curve of Ed25519.
    Ed25519,
    /// Montgomery curve of X25519.
    X25519,
    /// Edwards curve of Ed448.
    Ed448,
    /// Montgomery curve of X448.
    X448,
    /// sm2p256v1 (GB/T 32918.5).
    Sm2,
}

impl Curve {
    /// Size of the field in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::P256 | Self::Secp256k1 | Self::Sm2 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
            Self::Ed25519 | Self::X25519 => 255,
            Self::Ed448 | Self::X448 => 448,
        }
    }

    /// Length of a scalar, seed or coordinate in bytes.
    #[must_use]
    pub const fn field_len(self) -> usize {
        match self {
            // RFC 8032, 5.2.5: seeds have a byte more than the field.
            Self::Ed448 => 57,
            _ => self.bits().div_ceil(8) as usize,
        }
    }

    /// The type of its keys.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Ed25519 | Self::Ed448 => KeyType::EcEdwards,
            Self::X25519 | Self::X448 => KeyType::EcMontgomery,
            Self::Sm2 => KeyType::Sm2,
            Self::P256 | Self::P384 | Self::P521 | Self::Secp256k1 => KeyType::Ec,
        }
    }

    /// Length of an encoded public point: uncompressed SEC 1 (0x04 ‖ X ‖ Y), or the bytes of RFC 7748 and RFC 8032.
    #[must_use]
    pub const fn point_len(self) -> usize {
        match self {
            Self::Ed25519 | Self::X25519 | Self::Ed448 | Self::X448 => self.field_len(),
            _ => 1 + 2 * self.field_len(),
        }
    }

    /// The object identifier (RFC 5480, SEC 2, RFC 8410, GB/T 33560).
    #[must_use]
    pub const fn oid(self) -> &'static str {
        match self {
            Self::P256 => "1.2.840.10045.3.1.7",
            Self::P384 => "1.3.132.0.34",
            Self::P521 => "1.3.132.0.35",
            Self::Secp256k1 => "1.3.132.0.10",
            Self::Ed25519 => "1.3.101.112",
            Self::X25519 => "1.3.101.110",
            Self::Ed448 => "1.3.101.113",
            Self::X448 => "1.3.101.111",
            Self::Sm2 => "1.2.156.10197.1.301",
        }
    }

    /// Every curve, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Secp256k1,
        Self::Ed25519,
        Self::X25519,
        Self::Ed448,
        Self::X448,
        Self::Sm2,
    ];

    /// The usual name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
            Self::Ed448 => "Ed448",
            Self::X448 => "X448",
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
    /// ECDSA on secp256k1 as ledgers take it: r ‖ s with the lower of s and n − s, and where the public key is to be recoverable
    /// v behind them, from 0 to 3 (SEC 1, 4.1.6): whether y of the nonce's point is odd, and 2 more where its x was reduced.
    EcdsaLedger {
        /// What is between a message and its signature.
        digest: LedgerDigest,
        /// Whether v is there.
        recoverable: bool,
    },
    /// EdDSA (RFC 8032): Ed25519 and Ed448, pure where `prehash` is false and `context` is empty.
    EdDsa {
        /// Whether the message is hashed before (Ed25519ph, Ed448ph).
        prehash: bool,
        /// The context, at most [`Self::MAX_CONTEXT`] bytes: that of Ed25519ctx, Ed25519ph, Ed448 and Ed448ph.
        context: Vec<u8>,
    },
    /// ECDH (SP 800-56A, 5.7.1.2; RFC 7748 on X25519 and X448): the shared secret is the x coordinate. All curves have
    /// cofactor 1, or multiply by it anyway, so that cofactor ECDH is the same.
    Ecdh {
        /// What is applied to the shared secret.
        kdf: EcdhKdf,
        /// The other side's public point, as [`Curve::point_len`] describes it. Empty in encapsulation and decapsulation,
        /// where the ciphertext is an ephemeral one.
        public: Vec<u8>,
        /// SharedInfo of the X9.63 KDF, FixedInfo of the concatenation KDF.
        shared_info: Vec<u8>,
    },
    /// Wraps a key under an AES key that is agreed on with an ephemeral pair (PKCS#11 3.2, 6.3.21): the ephemeral public
    /// point, as [`Curve::point_len`] describes it, followed by the AES-KWP ciphertext.
    AesKeyWrap {
        /// What is applied to the shared secret.
        kdf: EcdhKdf,
        /// SharedInfo of the KDF.
        shared_info: Vec<u8>,
        /// Length of the AES key in bytes: 16, 24 or 32.
        aes_len: usize,
    },
}

/// What [`EcMechanism::EcdsaLedger`] does to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerDigest {
    /// Keccak-256 as it was before FIPS 202 gave SHA-3 another padding.
    Keccak256,
    /// SHA-256.
    Sha256,
    /// Nothing: the data is a digest of 32 bytes.
    Ready,
}

/// Key derivation applied to an ECDH shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcdhKdf {
    /// None: the shared secret, of which leading bytes are removed where fewer are asked for.
    Null,
    /// ANSI X9.63 with a hash.
    X963(Hash),
    /// The one-step concatenation KDF of SP 800-56C (4.1, option 1) with a hash.
    Concatenation(Hash),
}

impl EcMechanism {
    /// Longest context of EdDSA (RFC 8032, 5.1: its length is one byte).
    pub const MAX_CONTEXT: usize = 255;

    /// EdDSA without prehash and context.
    pub const PURE_EDDSA: Self = Self::EdDsa { prehash: false, context: Vec::new() };

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ecdsa { hash: None } => "ECDSA",
            Self::Ecdsa { hash: Some(h) } => ecdsa_name(*h),
            Self::EcdsaLedger { digest, recoverable: false } => match digest {
                LedgerDigest::Keccak256 => "ECDSA_LOW_S_KECCAK256",
                LedgerDigest::Sha256 => "ECDSA_LOW_S_SHA256",
                LedgerDigest::Ready => "ECDSA_LOW_S",
            },
            Self::EcdsaLedger { digest, recoverable: true } => match digest {
                LedgerDigest::Keccak256 => "ECDSA_RECOVERABLE_KECCAK256",
                LedgerDigest::Sha256 => "ECDSA_RECOVERABLE_SHA256",
                LedgerDigest::Ready => "ECDSA_RECOVERABLE",
            },
            Self::EdDsa { prehash: false, .. } => "EDDSA",
            Self::EdDsa { prehash: true, .. } => "EDDSA_PH",
            Self::Ecdh { .. } => "ECDH1_DERIVE",
            Self::AesKeyWrap { .. } => "ECDH_AES_KEY_WRAP",
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
        Hash::Sha512_224 => "ECDSA_SHA512_224",
        Hash::Sha512_256 => "ECDSA_SHA512_256",
        Hash::Sha3_224 => "ECDSA_SHA3_224",
        Hash::Sha3_256 => "ECDSA_SHA3_256",
        Hash::Sha3_384 => "ECDSA_SHA3_384",
        Hash::Sha3_512 => "ECDSA_SHA3_512",
        Hash::Sm3 => "ECDSA_SM3",
    }
}
