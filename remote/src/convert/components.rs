//! Key specifications, public parts, and keys in clear.

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{KeyComponents, KeySpec, PublicComponents};
use libkmss::secret::Secret;

use super::{Numbered, argument, size, small};
use crate::proto::{self, key_components, key_spec, public_key};

/// Longest integer of an RSA or Diffie-Hellman key in bytes.
const MAX_INTEGER: usize = 2048;
/// Longest key of FIPS 203 to 205, and longest secret key, in bytes.
const MAX_KEY: usize = 1 << 16;
/// 65537, big-endian.
const F4: [u8; 3] = [1, 0, 1];

/// `bytes`, unless they are longer than any key has them.
fn bounded(bytes: Vec<u8>, most: usize) -> Result<Vec<u8>> {
    if bytes.len() <= most {
        return Ok(bytes);
    }
    // Whatever it is, it may be secret.
    drop(Secret::new(bytes));
    Err(Error::new(ErrorKind::AttributeValue, "a part of the key is longer than it can be"))
}

fn integer(bytes: Vec<u8>) -> Result<Vec<u8>> {
    bounded(bytes, MAX_INTEGER)
}

fn secret(bytes: Vec<u8>) -> Result<Secret> {
    bounded(bytes, MAX_KEY).map(Secret::new)
}

fn absent() -> Error {
    argument("the key is missing, or of a kind that is not known here")
}

impl From<&KeySpec> for proto::KeySpec {
    fn from(spec: &KeySpec) -> Self {
        use key_spec::Kind;
        let kind = match spec {
            KeySpec::Rsa { bits, exponent } => Kind::Rsa(proto::RsaSpec { bits: *bits, exponent: exponent.clone() }),
            KeySpec::Ec(curve) => Kind::Ec(curve.number()),
            KeySpec::Dh { group, private_bits } => {
                Kind::Dh(proto::DhSpec { group: group.number(), private_bits: *private_bits })
            }
            KeySpec::Pqc(set) => Kind::Pqc(set.number()),
            KeySpec::Secret { key_type, len } => {
                Kind::Secret(proto::SecretSpec { key_type: key_type.number(), len: small(*len) })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::KeySpec> for KeySpec {
    type Error = Error;

    fn try_from(spec: proto::KeySpec) -> Result<Self> {
        use key_spec::Kind;
        Ok(match spec.kind.ok_or_else(|| argument("it is not said what key to make"))? {
            Kind::Rsa(rsa) => {
                let exponent = if rsa.exponent.is_empty() { F4.to_vec() } else { integer(rsa.exponent)? };
                Self::Rsa { bits: rsa.bits, exponent }
            }
            Kind::Ec(curve) => Self::Ec(Numbered::of(curve)?),
            Kind::Dh(dh) => Self::Dh { group: Numbered::of(dh.group)?, private_bits: dh.private_bits },
            Kind::Pqc(set) => Self::Pqc(Numbered::of(set)?),
            Kind::Secret(secret) if size(secret.len) <= MAX_KEY => {
                Self::Secret { key_type: Numbered::of(secret.key_type)?, len: size(secret.len) }
            }
            Kind::Secret(_) => return Err(Error::new(ErrorKind::KeySize, "the key is longer than any may be")),
        })
    }
}

/// The public part, where there is one.
#[must_use]
pub fn public_key(public: &PublicComponents) -> Option<proto::PublicKey> {
    use public_key::Kind;
    let kind = match public {
        PublicComponents::None => return None,
        PublicComponents::Rsa { modulus, exponent } => {
            Kind::Rsa(proto::RsaPublic { modulus: modulus.clone(), exponent: exponent.clone() })
        }
        PublicComponents::Ec { curve, point } => {
            Kind::Ec(proto::EcPublic { curve: curve.number(), point: point.clone() })
        }
        PublicComponents::Dh { group, value } => {
            Kind::Dh(proto::DhPublic { group: group.number(), value: value.clone() })
        }
        PublicComponents::Pqc { set, value } => Kind::Pqc(proto::PqcPublic { set: set.number(), value: value.clone() }),
    };
    Some(proto::PublicKey { kind: Some(kind) })
}

impl TryFrom<proto::PublicKey> for PublicComponents {
    type Error = Error;

    fn try_from(public: proto::PublicKey) -> Result<Self> {
        use public_key::Kind;
        Ok(match public.kind.ok_or_else(absent)? {
            Kind::Rsa(rsa) => Self::Rsa { modulus: integer(rsa.modulus)?, exponent: integer(rsa.exponent)? },
            Kind::Ec(ec) => Self::Ec { curve: Numbered::of(ec.curve)?, point: integer(ec.point)? },
            Kind::Dh(dh) => Self::Dh { group: Numbered::of(dh.group)?, value: integer(dh.value)? },
            Kind::Pqc(pqc) => Self::Pqc { set: Numbered::of(pqc.set)?, value: bounded(pqc.value, MAX_KEY)? },
        })
    }
}

impl From<&KeyComponents> for proto::KeyComponents {
    fn from(components: &KeyComponents) -> Self {
        use key_components::Kind;
        let clear = |secret: &Secret| secret.expose().to_vec();
        let kind = match components {
            KeyComponents::RsaPrivate {
                modulus,
                exponent,
                private_exponent,
                prime_1,
                prime_2,
                exponent_1,
                exponent_2,
                coefficient,
            } => Kind::RsaPrivate(proto::RsaPrivate {
                modulus: modulus.clone(),
                exponent: exponent.clone(),
                private_exponent: clear(private_exponent),
                prime_1: clear(prime_1),
                prime_2: clear(prime_2),
                exponent_1: clear(exponent_1),
                exponent_2: clear(exponent_2),
                coefficient: clear(coefficient),
            }),
            KeyComponents::EcPrivate { curve, scalar } => {
                Kind::EcPrivate(proto::EcPrivate { curve: curve.number(), scalar: clear(scalar) })
            }
            KeyComponents::DhPrivate { group, value } => {
                Kind::DhPrivate(proto::DhPrivate { group: group.number(), value: clear(value) })
            }
            KeyComponents::PqcPrivate { set, seed, value } => {
                Kind::PqcPrivate(proto::PqcPrivate { set: set.number(), seed: clear(seed), value: clear(value) })
            }
            KeyComponents::Secret { key_type, value } => {
                Kind::Secret(proto::SecretKey { key_type: key_type.number(), value: clear(value) })
            }
            KeyComponents::Public(public) => Kind::Public(public_key(public).unwrap_or_default()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<proto::KeyComponents> for KeyComponents {
    type Error = Error;

    fn try_from(components: proto::KeyComponents) -> Result<Self> {
        use key_components::Kind;
        Ok(match components.kind.ok_or_else(absent)? {
            Kind::RsaPrivate(rsa) => Self::RsaPrivate {
                modulus: integer(rsa.modulus)?,
                exponent: integer(rsa.exponent)?,
                private_exponent: secret(rsa.private_exponent)?,
                prime_1: secret(rsa.prime_1)?,
                prime_2: secret(rsa.prime_2)?,
                exponent_1: secret(rsa.exponent_1)?,
                exponent_2: secret(rsa.exponent_2)?,
                coefficient: secret(rsa.coefficient)?,
            },
            Kind::EcPrivate(ec) => Self::EcPrivate { curve: Numbered::of(ec.curve)?, scalar: secret(ec.scalar)? },
            Kind::DhPrivate(dh) => Self::DhPrivate { group: Numbered::of(dh.group)?, value: secret(dh.value)? },
            Kind::PqcPrivate(pqc) => {
                Self::PqcPrivate { set: Numbered::of(pqc.set)?, seed: secret(pqc.seed)?, value: secret(pqc.value)? }
            }
            Kind::Secret(key) => Self::Secret { key_type: Numbered::of(key.key_type)?, value: secret(key.value)? },
            Kind::Public(public) => Self::Public(public.try_into()?),
        })
    }
}
