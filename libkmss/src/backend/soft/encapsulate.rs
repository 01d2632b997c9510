//! Key encapsulation: shared secrets as keys.

use super::keys::Parsed;
use super::pqc::PqcKey;
use super::{material, unfit, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{KeyType, Mechanism, MlKemSet, PqcMechanism};
use crate::secret::Secret;

/// A secret key that the holder of `key`'s private half can make, too, and the ciphertext that tells which.
pub(super) fn encapsulate(
    key: &Parsed,
    mechanism: &Mechanism,
    key_type: KeyType,
    len: Option<usize>,
) -> Result<(Parsed, Vec<u8>)> {
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
    let key = fitting(key, mechanism)?;
    let len = length(key_type, len)?;
    leading(&key.decapsulate(ciphertext)?, key_type, len)
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
