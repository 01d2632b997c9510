//! What goes into a backend to make a key, and what comes out.

use super::object::{HeldKey, KeyVersion, PublicComponents};
use crate::mechanism::{Curve, DhGroup, KeyType, PqcSet};
use crate::secret::Secret;

/// What to generate. Type and size always fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// An RSA pair.
    Rsa {
        /// Modulus size in bits.
        bits: u32,
        /// Public exponent, big-endian without leading zeros.
        exponent: Vec<u8>,
    },
    /// A pair on a curve (Weierstrass, Edwards, Montgomery or SM2).
    Ec(Curve),
    /// A Diffie-Hellman pair.
    Dh {
        /// The group.
        group: DhGroup,
        /// Bits of the private value; absent for [`DhGroup::private_bits`].
        private_bits: Option<u32>,
    },
    /// A post-quantum pair.
    Pqc(PqcSet),
    /// A secret key.
    Secret {
        /// AES, SM4, generic, HMAC or HKDF.
        key_type: KeyType,
        /// Length in bytes.
        len: usize,
    },
}

impl KeySpec {
    /// What makes another key like this version of one; `None` where that is not known of it.
    #[must_use]
    pub fn of(key_type: KeyType, version: &KeyVersion) -> Option<Self> {
        Some(match &version.public {
            PublicComponents::Rsa { exponent, .. } => Self::Rsa { bits: version.bits, exponent: exponent.clone() },
            PublicComponents::Ec { curve, .. } => Self::Ec(*curve),
            PublicComponents::Dh { group, .. } => Self::Dh { group: *group, private_bits: None },
            PublicComponents::Pqc { set, .. } => Self::Pqc(*set),
            PublicComponents::None => {
                let len = usize::try_from(version.bits / 8).ok().filter(|len| *len > 0)?;
                Self::Secret { key_type, len }
            }
        })
    }

    /// The type of the key to be made.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::Rsa { .. } => KeyType::Rsa,
            Self::Ec(curve) => curve.key_type(),
            Self::Dh { .. } => KeyType::Dh,
            Self::Pqc(set) => set.key_type(),
            Self::Secret { key_type, .. } => *key_type,
        }
    }
}

/// A key in clear, on its way in or out of a backend. Integers are big-endian without leading zeros, except scalars,
/// which have the full length of their curve's field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyComponents {
    /// An RSA private key (RFC 8017, 3.2). The CRT values may be empty on import; all are filled on export.
    RsaPrivate {
        /// n
        modulus: Vec<u8>,
        /// e; may be empty on import when p and q are given
        exponent: Vec<u8>,
        /// d
        private_exponent: Secret,
        /// p
        prime_1: Secret,
        /// q
        prime_2: Secret,
        /// d mod (p − 1)
        exponent_1: Secret,
        /// d mod (q − 1)
        exponent_2: Secret,
        /// q⁻¹ mod p
        coefficient: Secret,
    },
    /// A private key on a curve: scalar, or the 32-byte seed of Ed25519 and X25519.
    EcPrivate {
        /// The curve.
        curve: Curve,
        /// Scalar or seed.
        scalar: Secret,
    },
    /// A Diffie-Hellman private key.
    DhPrivate {
        /// The group.
        group: DhGroup,
        /// The private value x, big-endian.
        value: Secret,
    },
    /// A post-quantum private key.
    PqcPrivate {
        /// The parameter set.
        set: PqcSet,
        /// The seed it was expanded from (FIPS 203, 7.1; FIPS 204, 6.1); may be empty on import when `value` is given, and
        /// is on export where it is not known. SLH-DSA has none.
        seed: Secret,
        /// The expanded private key of the standard; may be empty on import when `seed` is given.
        value: Secret,
    },
    /// A secret key's bytes.
    Secret {
        /// Its type.
        key_type: KeyType,
        /// Its bytes.
        value: Secret,
    },
    /// A public key.
    Public(PublicComponents),
}

impl KeyComponents {
    /// The type of the key.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::RsaPrivate { .. } => KeyType::Rsa,
            Self::EcPrivate { curve, .. } | Self::Public(PublicComponents::Ec { curve, .. }) => curve.key_type(),
            Self::DhPrivate { .. } | Self::Public(PublicComponents::Dh { .. }) => KeyType::Dh,
            Self::PqcPrivate { set, .. } | Self::Public(PublicComponents::Pqc { set, .. }) => set.key_type(),
            Self::Secret { key_type, .. } => *key_type,
            Self::Public(PublicComponents::Rsa { .. } | PublicComponents::None) => KeyType::Rsa,
        }
    }
}

/// What a backend made or took in: the opaque locator to store, and what may be known of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// Type of the key.
    pub key_type: KeyType,
    /// Opaque bytes that only this backend reads; empty for public keys.
    pub locator: Vec<u8>,
    /// Modulus or field size, or length of a secret, in bits.
    pub bits: u32,
    /// The public part; of private keys too.
    pub public: PublicComponents,
    /// Key check value (PKCS#11 3.2, CKA_CHECK_VALUE): 3 bytes for secret keys, empty otherwise, and where the key is held.
    pub check_value: Vec<u8>,
    /// The key itself, of a secret key of this process alone; the locator is empty then.
    pub held: HeldKey,
}

/// The kind of key that unwrapping or derivation is to yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its type.
    pub key_type: KeyType,
    /// Length in bytes of a secret key, where the caller states one.
    pub len: Option<usize>,
}

/// What a derivation yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The keys, in the order in which they were asked for.
    pub keys: Vec<Material>,
    /// What the mechanism gives out in clear beside them: versions, initialisation vectors. Mostly empty.
    pub public: Vec<u8>,
}
