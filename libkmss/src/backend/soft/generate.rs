//! Making keys: generation and derivation.

use std::sync::Arc;

use super::awslc::{EcKey, Rsa};
use super::keys::Parsed;
use super::pqc::PqcKey;
use super::rng::Generator;
use super::secp256k1::K256Key;
use super::sm2::Sm2Key;
use super::{ec, kdf, material, unfit, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeySpec;
use crate::mechanism::{Curve, EcMechanism, KdfMechanism, KeyType, Mechanism};
use crate::random::Random;
use crate::secret::Secret;

/// A secret key.
pub(super) fn secret(spec: &KeySpec) -> Result<Parsed> {
    let KeySpec::Secret { key_type, len } = *spec else {
        return Err(unfit(false));
    };
    if !material::length_fits(key_type, len) {
        return Err(size());
    }
    material::from_secret(key_type, Secret::filled(len, |out| Generator.fill(out))?)
}

/// A key pair.
pub(super) fn pair(spec: &KeySpec) -> Result<Parsed> {
    Ok(match spec {
        KeySpec::Rsa { bits, exponent } => Parsed::Rsa(Arc::new(rsa(*bits, exponent)?)),
        KeySpec::Ec(Curve::Sm2) => Parsed::Sm2(Arc::new(Sm2Key::generate()?)),
        KeySpec::Ec(Curve::Secp256k1) => Parsed::K256(Arc::new(K256Key::generate()?)),
        KeySpec::Ec(curve @ (Curve::Ed25519 | Curve::X25519 | Curve::Ed448 | Curve::X448)) => {
            material::from_scalar(*curve, &Secret::filled(curve.field_len(), |out| Generator.fill(out))?)?
        }
        KeySpec::Ec(nist) => Parsed::Ec(Arc::new(EcKey::generate(*nist)?)),
        KeySpec::Pqc(set) => Parsed::Pqc(PqcKey::generate(*set)?),
        KeySpec::Dh(_) | KeySpec::Secret { .. } => return Err(unfit(false)),
    })
}

fn rsa(bits: u32, exponent: &[u8]) -> Result<Rsa> {
    // aws-lc makes moduli of multiples of 128 bits.
    if !material::RSA_BITS.contains(&bits) || !bits.is_multiple_of(128) {
        return Err(Error::new(ErrorKind::KeySize, "RSA keys have 2048 to 8192 bits in steps of 128"));
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || exponent.len() > 4 || exponent == [1] {
        return Err(Error::new(ErrorKind::AttributeValue, "the public exponent is odd, at least 3 and below 2^32"));
    }
    Ok(Rsa::generate(bits, exponent)?)
}

/// A secret key derived from `key`.
pub(super) fn derived(key: &Parsed, mechanism: &Mechanism, key_type: KeyType, len: Option<usize>) -> Result<Parsed> {
    if key_type.is_asymmetric() {
        return Err(Error::new(ErrorKind::TemplateInconsistent, "only secret keys can be derived"));
    }
    let fixed = match key_type {
        KeyType::Sm4 => Some(16),
        KeyType::ChaCha20 => Some(32),
        KeyType::AesXts => Some(64),
        _ => None,
    };
    let len = len.or(fixed);
    if len.is_some_and(|len| !material::length_fits(key_type, len)) {
        return Err(size());
    }
    let value = match (key, mechanism) {
        (key, Mechanism::Ec(EcMechanism::Ecdh { kdf, public, shared_info })) => {
            kdf::after_agreement(*kdf, &ec::agreed(key, public)?, shared_info, len)?
        }
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::EncryptData { cipher, iv, data })) => {
            kdf::encrypt_data(key, *cipher, iv.as_ref(), data, len)?
        }
        (Parsed::Secret(key), Mechanism::Kdf(m)) if key.key_type.is_generic() => kdf::derive(m, &key.value, len)?,
        (_, Mechanism::Kdf(_)) => return Err(wrong_key()),
        _ => return Err(unfit(false)),
    };
    if !material::length_fits(key_type, value.len()) {
        return Err(size());
    }
    material::from_secret(key_type, value)
}

fn size() -> Error {
    Error::new(ErrorKind::KeySize, "keys of this type do not have this length")
}
