//! Key encapsulation: shared secrets as keys.

use super::hybrid::point_of;
use super::keys::Parsed;
use super::pqc::PqcKey;
use super::{generate, material, parameter, unfit, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::key::KeySpec;
use crate::mechanism::{EcMechanism, KeyType, Mechanism, MlKemSet, PqcMechanism};
use crate::secret::Secret;

/// A secret key that the holder of `key`'s private half can make, too, and the ciphertext that tells which.
pub(super) fn encapsulate(
    key: &Parsed,
    mechanism: &Mechanism,
    key_type: KeyType,
    len: Option<usize>,
) -> Result<(Parsed, Vec<u8>)> {
    if let Mechanism::Ec(ecdh @ EcMechanism::Ecdh { .. }) = mechanism {
        return agree(key, ecdh, key_type, len);
    }
    let key = fitting(key, mechanism)?;
    let len = length(key_type, len)?;
    let (shared, ciphertext) = key.encapsulate()?;
    Ok((leading(&shared, key_type, len)?, ciphertext))
}

/// The secret key of a ciphertext.
pub(super) fn decapsulate(
    key: &Parsed,
    mechanism: &Mechanism,
    ciphertext: &[u8],
    key_type: KeyType,
    len: Option<usize>,
) -> Result<Parsed> {
    if let Mechanism::Ec(ecdh @ EcMechanism::Ecdh { .. }) = mechanism {
        return agreed(key, ecdh, ciphertext, key_type, len);
    }
    let key = fitting(key, mechanism)?;
    let len = length(key_type, len)?;
    leading(&key.decapsulate(ciphertext)?, key_type, len)
}

/// ECDH with an ephemeral pair, whose public point is the ciphertext (PKCS#11 3.2, 6.3.17); the key is what derivation with
/// that pair's private half would make.
fn agree(key: &Parsed, ecdh: &EcMechanism, key_type: KeyType, len: Option<usize>) -> Result<(Parsed, Vec<u8>)> {
    let (curve, point) = point_of(key)?;
    let ephemeral = generate::pair(&KeySpec::Ec(curve))?;
    let secret = generate::derived(&ephemeral, &with_point(ecdh, &point)?, key_type, len)?;
    Ok((secret, point_of(&ephemeral)?.1))
}

/// What [`agree`] made, from its ephemeral point.
fn agreed(key: &Parsed, ecdh: &EcMechanism, point: &[u8], key_type: KeyType, len: Option<usize>) -> Result<Parsed> {
    let (curve, _) = point_of(key)?;
    if point.len() != curve.point_len() {
        return Err(Error::new(
            ErrorKind::WrappedKeyLength,
            "the ciphertext does not have the length of the key's points",
        ));
    }
    generate::derived(key, &with_point(ecdh, point)?, key_type, len).map_err(|e| match e.kind() {
        ErrorKind::MechanismParameter => {
            Error::new(ErrorKind::WrappedKeyInvalid, "the ciphertext is not a point on the key's curve")
        }
        _ => e,
    })
}

/// The derivation that a point completes.
fn with_point(ecdh: &EcMechanism, point: &[u8]) -> Result<Mechanism> {
    match ecdh {
        EcMechanism::Ecdh { kdf, public, shared_info } if public.is_empty() => {
            let (kdf, public, shared_info) = (*kdf, point.to_vec(), shared_info.clone());
            Ok(Mechanism::Ec(EcMechanism::Ecdh { kdf, public, shared_info }))
        }
        EcMechanism::Ecdh { .. } => Err(parameter("the other side's point is the ciphertext")),
        _ => Err(unfit(false)),
    }
}

fn fitting<'a>(key: &'a Parsed, mechanism: &Mechanism) -> Result<&'a super::mlkem::MlKemKey> {
    match (key, mechanism) {
        (Parsed::Pqc(PqcKey::MlKem(key)), Mechanism::Pqc(PqcMechanism::MlKem)) => Ok(key),
        (_, Mechanism::Pqc(PqcMechanism::MlKem)) => Err(wrong_key()),
        _ => Err(unfit(false)),
    }
}

/// How many bytes of the shared secret the new key takes: all, where the caller does not say and its type allows it.
fn length(key_type: KeyType, len: Option<usize>) -> Result<usize> {
    if key_type.is_asymmetric() {
        return Err(Error::new(ErrorKind::TemplateInconsistent, "only secret keys can be encapsulated"));
    }
    let natural = if key_type == KeyType::Sm4 { 16 } else { MlKemSet::SHARED };
    let len = len.unwrap_or(natural);
    if len > MlKemSet::SHARED || !material::length_fits(key_type, len) {
        return Err(Error::new(ErrorKind::KeySize, "the mechanism cannot yield a key of this length"));
    }
    Ok(len)
}

fn leading(shared: &Secret, key_type: KeyType, len: usize) -> Result<Parsed> {
    material::from_secret(key_type, Secret::copy_of(shared.expose().get(..len).unwrap_or_default()))
}
