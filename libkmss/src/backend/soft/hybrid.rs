//! Wrapping under an AES key that nobody keeps: encrypted to the receiver by RSA-OAEP, or agreed on with an ephemeral pair
//! (PKCS#11 3.2, 6.1.21 and 6.3.21). The target itself is wrapped by AES-KWP (RFC 5649).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::awslc::{Rsa, UnwrapKey, WrapKey};
use super::buffer::Transform;
use super::keys::Parsed;
use super::rng::Generator;
use super::{ec, generate, kdf, material, parameter, rsa, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, PublicComponents};
use crate::mechanism::{Curve, EcdhKdf, Oaep, RsaMechanism};
use crate::random::Random;
use crate::secret::Secret;

/// Length of a semiblock, by which KWP counts.
const SEMIBLOCK: usize = 8;

/// RSA-OAEP of a fresh AES key, and `plain` under that key.
pub(super) fn rsa_wrap(key: &Arc<Rsa>, oaep: &Oaep, aes_len: usize, plain: &[u8]) -> Result<Vec<u8>> {
    let crypt = rsa::crypt(Arc::clone(key), &RsaMechanism::Oaep(oaep.clone()), false)?;
    if aes_len > crypt.capacity() {
        return Err(parameter("the hash is too long for the key"));
    }
    let kek = fresh(aes_len)?;
    let mut first = vec![0; key.len()];
    crypt.run(kek.expose(), &mut first)?;
    sealed(first, &kek, plain)
}

/// What [`rsa_wrap`] wrapped.
///
/// Where the AES key does not decrypt, a random one takes its place, so that both failures are one to whoever measures.
pub(super) fn rsa_unwrap(key: &Arc<Rsa>, oaep: &Oaep, aes_len: usize, wrapped: &[u8]) -> Result<Secret> {
    let crypt = rsa::crypt(Arc::clone(key), &RsaMechanism::Oaep(oaep.clone()), true)?;
    let (first, rest) = split(wrapped, key.len())?;
    let decoy = fresh(aes_len)?;
    let mut out = Zeroizing::new(vec![0; crypt.capacity()]);
    let kek = crypt.run(first, &mut out).ok().filter(|n| *n == aes_len).and_then(|n| out.get(..n));
    opened(kek.unwrap_or_else(|| decoy.expose()), rest)
}

/// Parameters of wrapping by key agreement.
pub(super) struct Agreement<'a> {
    pub(super) kdf: EcdhKdf,
    pub(super) shared_info: &'a [u8],
    pub(super) aes_len: usize,
}

/// An ephemeral public point, and `plain` under the AES key agreed on with it.
pub(super) fn ec_wrap(key: &Parsed, how: &Agreement<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    let (curve, point) = point_of(key)?;
    let ephemeral = generate::pair(&KeySpec::Ec(curve))?;
    let kek = how.kek(&ec::agreed(&ephemeral, &point)?)?;
    sealed(point_of(&ephemeral)?.1, &kek, plain)
}

/// What [`ec_wrap`] wrapped.
pub(super) fn ec_unwrap(key: &Parsed, how: &Agreement<'_>, wrapped: &[u8]) -> Result<Secret> {
    let (curve, _) = point_of(key)?;
    let (point, rest) = split(wrapped, curve.point_len())?;
    let shared = ec::agreed(key, point).map_err(|e| match e.kind() {
        ErrorKind::MechanismParameter => damaged(),
        _ => e,
    })?;
    opened(how.kek(&shared)?.expose(), rest)
}

impl Agreement<'_> {
    /// The AES key: the first bytes of what is derived (6.3.21). Of a bare shared secret that differs from derivation, where
    /// the last bytes stay.
    fn kek(&self, shared: &Secret) -> Result<Secret> {
        if self.kdf != EcdhKdf::Null {
            return kdf::after_agreement(self.kdf, shared, self.shared_info, Some(self.aes_len));
        }
        let first = shared.expose().get(..self.aes_len);
        first.map(Secret::copy_of).ok_or_else(|| parameter("the curve is too small for the AES key without a KDF"))
    }
}

/// Curve and public point of a key that agrees on secrets.
pub(super) fn point_of(key: &Parsed) -> Result<(Curve, Vec<u8>)> {
    let agrees = matches!(key, Parsed::Ec(_) | Parsed::K256(_) | Parsed::X(_) | Parsed::X448(_));
    match material::public_of(key)? {
        PublicComponents::Ec { curve, point } if agrees => Ok((curve, point)),
        _ => Err(wrong_key()),
    }
}

/// `plain` under `kek`, behind what gets `kek` across.
fn sealed(mut out: Vec<u8>, kek: &Secret, plain: &[u8]) -> Result<Vec<u8>> {
    let start = out.len();
    out.resize(start + SEMIBLOCK * (plain.len().div_ceil(SEMIBLOCK) + 1), 0);
    WrapKey::new(kek.expose())?.kwp(plain, out.get_mut(start..).unwrap_or_default())?;
    Ok(out)
}

fn opened(kek: &[u8], wrapped: &[u8]) -> Result<Secret> {
    let mut out = Zeroizing::new(vec![0; wrapped.len()]);
    let len = UnwrapKey::new(kek)?.kwp(wrapped, &mut out).map_err(|_| damaged())?;
    Ok(Secret::copy_of(out.get(..len).unwrap_or_default()))
}

/// The two halves, the second of a length that KWP yields.
fn split(wrapped: &[u8], first: usize) -> Result<(&[u8], &[u8])> {
    wrapped
        .split_at_checked(first)
        .filter(|(_, rest)| rest.len() >= 2 * SEMIBLOCK && rest.len().is_multiple_of(SEMIBLOCK))
        .ok_or_else(|| Error::new(ErrorKind::EncryptedDataLength, "the wrapped key is too short"))
}

fn fresh(len: usize) -> Result<Secret> {
    Secret::filled(len, |out| Generator.fill(out))
}

fn damaged() -> Error {
    Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt")
}
