//! Algorithms of JSON Web Signatures.

use crate::error::{Error, ErrorKind, Result};
use crate::key::PublicComponents;
use crate::mechanism::{Curve, EcMechanism, Hash, Mechanism, Pss, RsaMechanism};

/// Fewest bytes of an RSA modulus (RFC 7518, 3.3 and 3.5).
const SHORTEST_RSA: usize = 256;

/// An algorithm of JSON Web Signatures: those of RFC 7518, 8037 and 8812 that sign with a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum JwsAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    Es256K,
    EdDsa,
}

impl JwsAlgorithm {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Es256K,
        Self::EdDsa,
    ];

    /// The name in headers (`alg`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Es256K => "ES256K",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name, which is written in one way only.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The algorithm that a key signs by: the one of its curve; of RSA keys `wanted`, or PS256.
    ///
    /// # Errors
    /// [`ErrorKind::KeyType`] for keys that sign no tokens, and where `wanted` is not for the key; [`ErrorKind::KeySize`] for RSA keys
    /// of less than 2048 bits.
    pub fn of_key(public: &PublicComponents, wanted: Option<Self>) -> Result<Self> {
        let usual = match public {
            PublicComponents::Rsa { modulus, .. } if modulus.len() < SHORTEST_RSA => {
                return Err(Error::new(ErrorKind::KeySize, "RSA keys that sign tokens have at least 2048 bits"));
            }
            PublicComponents::Rsa { .. } => match wanted {
                Some(wanted) if wanted.is_rsa() => wanted,
                _ => Self::Ps256,
            },
            PublicComponents::Ec { curve: Curve::P256, .. } => Self::Es256,
            PublicComponents::Ec { curve: Curve::P384, .. } => Self::Es384,
            PublicComponents::Ec { curve: Curve::P521, .. } => Self::Es512,
            PublicComponents::Ec { curve: Curve::Secp256k1, .. } => Self::Es256K,
            PublicComponents::Ec { curve: Curve::Ed25519 | Curve::Ed448, .. } => Self::EdDsa,
            _ => {
                let why =
                    "tokens are signed by RSA keys, and by keys on P-256, P-384, P-521, secp256k1, Ed25519 and Ed448";
                return Err(Error::new(ErrorKind::KeyType, why));
            }
        };
        match wanted {
            Some(wanted) if wanted != usual => {
                let why = format!("the key does not sign by {}: it signs by {}", wanted.name(), usual.name());
                Err(Error::new(ErrorKind::KeyType, why))
            }
            _ => Ok(usual),
        }
    }

    /// Whether RSA keys sign by it, which have a choice.
    #[must_use]
    pub const fn is_rsa(self) -> bool {
        matches!(self, Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512)
    }

    /// How it is computed. Signatures of ECDSA are r and s one after the other (RFC 7518, 3.4), as our mechanisms have them.
    #[must_use]
    pub const fn mechanism(self) -> Mechanism {
        const fn pss(hash: Hash) -> Mechanism {
            Mechanism::Rsa(RsaMechanism::Pss { pss: Pss { hash, mgf: hash, salt_len: hash.len() }, message: true })
        }
        const fn ecdsa(hash: Hash) -> Mechanism {
            Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) })
        }
        match self {
            Self::Rs256 => Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha256)),
            Self::Rs384 => Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha384)),
            Self::Rs512 => Mechanism::Rsa(RsaMechanism::PkcsHash(Hash::Sha512)),
            Self::Ps256 => pss(Hash::Sha256),
            Self::Ps384 => pss(Hash::Sha384),
            Self::Ps512 => pss(Hash::Sha512),
            Self::Es256 | Self::Es256K => ecdsa(Hash::Sha256),
            Self::Es384 => ecdsa(Hash::Sha384),
            Self::Es512 => ecdsa(Hash::Sha512),
            Self::EdDsa => Mechanism::Ec(EcMechanism::PURE_EDDSA),
        }
    }

    /// The standard's number of that mechanism (PKCS#11 3.2, pkcs11t.h), for keys that are restricted to some.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Rs256 => 0x40,
            Self::Rs384 => 0x41,
            Self::Rs512 => 0x42,
            Self::Ps256 => 0x43,
            Self::Ps384 => 0x44,
            Self::Ps512 => 0x45,
            Self::Es256 | Self::Es256K => 0x1044,
            Self::Es384 => 0x1045,
            Self::Es512 => 0x1046,
            Self::EdDsa => 0x1057,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rsa(bytes: usize) -> PublicComponents {
        PublicComponents::Rsa { modulus: vec![0xc1; bytes], exponent: vec![1, 0, 1] }
    }

    fn ec(curve: Curve) -> PublicComponents {
        PublicComponents::Ec { curve, point: vec![4; curve.point_len()] }
    }

    #[test]
    fn a_key_has_one_algorithm_unless_it_is_an_rsa_key() {
        for (curve, algorithm) in [
            (Curve::P256, JwsAlgorithm::Es256),
            (Curve::P384, JwsAlgorithm::Es384),
            (Curve::P521, JwsAlgorithm::Es512),
            (Curve::Secp256k1, JwsAlgorithm::Es256K),
            (Curve::Ed25519, JwsAlgorithm::EdDsa),
            (Curve::Ed448, JwsAlgorithm::EdDsa),
        ] {
            assert_eq!(JwsAlgorithm::of_key(&ec(curve), None).unwrap(), algorithm);
            for other in JwsAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                assert_eq!(JwsAlgorithm::of_key(&ec(curve), Some(other)).unwrap_err().kind(), ErrorKind::KeyType);
            }
        }
        for algorithm in JwsAlgorithm::ALL {
            assert_eq!(JwsAlgorithm::of_key(&rsa(256), Some(algorithm)).is_ok(), algorithm.is_rsa());
            assert_eq!(JwsAlgorithm::of_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(JwsAlgorithm::of_key(&rsa(256), None).unwrap(), JwsAlgorithm::Ps256);
    }

    #[test]
    fn short_keys_and_keys_that_sign_no_tokens_are_refused() {
        assert_eq!(JwsAlgorithm::of_key(&rsa(255), None).unwrap_err().kind(), ErrorKind::KeySize);
        for other in [PublicComponents::None, ec(Curve::Sm2), ec(Curve::X25519)] {
            assert_eq!(JwsAlgorithm::of_key(&other, None).unwrap_err().kind(), ErrorKind::KeyType);
        }
        for none in ["none", "None", "HS256", "es256", ""] {
            assert_eq!(JwsAlgorithm::of_name(none), None);
        }
    }
}
