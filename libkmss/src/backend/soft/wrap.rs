//! Wrapping keys and unwrapping them.

use std::sync::Arc;

use der::{AnyRef, Decode as _};
use zeroize::Zeroizing;

use super::awslc::{PrivateKey, ec_to_pkcs8, parse_pkcs8, rsa_to_pkcs8, seed_to_pkcs8};
use super::buffer::Transform;
use super::goldilocks;
use super::hybrid::{self, Agreement};
use super::keys::Parsed;
use super::sm2::Sm2Key;
use super::{aead, cipher, dh_pkcs8, keywrap, material, pqc_pkcs8, rsa, wrong_key};
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{BlockCipher, CipherMode, Curve, EcMechanism, KeyType, Mechanism, RsaMechanism};
use crate::secret::Secret;

/// Wraps `target` under `key`.
pub(super) fn wrap(key: &Parsed, mechanism: &Mechanism, target: &Parsed) -> Result<Vec<u8>> {
    let plain = plaintext(target)?;
    let plain = plain.expose();
    let is_secret = matches!(target, Parsed::Secret(_));
    match (key, mechanism) {
        (Parsed::Rsa(rsa), Mechanism::Rsa(mechanism @ (RsaMechanism::Pkcs | RsaMechanism::Oaep(_)))) => {
            let crypt = rsa::crypt(Arc::clone(rsa), mechanism, false)?;
            if !is_secret || plain.len() > crypt.capacity() {
                return Err(not_wrappable());
            }
            let mut out = vec![0; rsa.len()];
            let len = crypt.run(plain, &mut out)?;
            out.truncate(len);
            Ok(out)
        }
        (Parsed::Rsa(rsa), Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep, aes_len })) => {
            hybrid::rsa_wrap(rsa, oaep, *aes_len, plain)
        }
        (key, Mechanism::Ec(EcMechanism::AesKeyWrap { kdf, shared_info, aes_len })) => {
            hybrid::ec_wrap(key, &Agreement { kdf: *kdf, shared_info, aes_len: *aes_len }, plain)
        }
        (Parsed::Secret(secret), Mechanism::Cipher(block, mode)) => {
            // Nothing says where a PKCS #8 structure ends in a ciphertext that was filled up.
            if !is_secret && matches!(mode, CipherMode::Ecb | CipherMode::Cbc { .. }) {
                return Err(not_wrappable());
            }
            sealed(cipher::start(secret, *block, mode, true)?, plain)
        }
        (Parsed::Secret(secret), Mechanism::ChaCha20Poly1305(m)) => sealed(aead::chacha(secret, m, true)?, plain),
        (_, mechanism) if wraps(mechanism) => Err(wrong_key()),
        _ => Err(unsupported()),
    }
}

/// PKCS #8 of a private key (RFC 5958, DER).
pub(super) fn pkcs8(key: &Parsed) -> Result<Secret> {
    Ok(Secret::copy_of(plaintext(key)?.expose()))
}

/// Unwraps a key of type `key_type` (a secret of `len` bytes, where that is known) with `key`.
pub(super) fn unwrap(
    key: &Parsed,
    mechanism: &Mechanism,
    wrapped: &[u8],
    key_type: KeyType,
    len: Option<usize>,
) -> Result<Parsed> {
    let plain = match (key, mechanism) {
        (Parsed::Rsa(rsa), Mechanism::Rsa(mechanism @ (RsaMechanism::Pkcs | RsaMechanism::Oaep(_)))) => {
            let crypt = rsa::crypt(Arc::clone(rsa), mechanism, true)?;
            let mut out = Zeroizing::new(vec![0; crypt.capacity()]);
            crypt.run(wrapped, &mut out).map(|n| Secret::copy_of(out.get(..n).unwrap_or_default()))
        }
        (Parsed::Rsa(rsa), Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep, aes_len })) => {
            hybrid::rsa_unwrap(rsa, oaep, *aes_len, wrapped)
        }
        (key, Mechanism::Ec(EcMechanism::AesKeyWrap { kdf, shared_info, aes_len })) => {
            hybrid::ec_unwrap(key, &Agreement { kdf: *kdf, shared_info, aes_len: *aes_len }, wrapped)
        }
        (Parsed::Secret(secret), Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad))
            if secret.key_type == KeyType::Aes =>
        {
            keywrap::unwrap_padded(secret, wrapped)
        }
        (Parsed::Secret(secret), Mechanism::Cipher(block, mode)) => {
            opened(cipher::start(secret, *block, mode, false)?, wrapped)
        }
        (Parsed::Secret(secret), Mechanism::ChaCha20Poly1305(m)) => opened(aead::chacha(secret, m, false)?, wrapped),
        (_, mechanism) if wraps(mechanism) => return Err(wrong_key()),
        _ => return Err(unsupported()),
    }
    .map_err(|e| match e.kind() {
        ErrorKind::EncryptedDataLength => {
            Error::new(ErrorKind::WrappedKeyLength, "the wrapped key has a length that the mechanism never yields")
        }
        ErrorKind::EncryptedDataInvalid => invalid(),
        _ => e,
    })?;
    // From here on every error is the same one: what was wrong inside would tell about the plaintext.
    if key_type.is_asymmetric() { private(&plain, key_type) } else { secret(plain, mechanism, key_type, len) }
        .map_err(|_| invalid())
}

/// Whether the mechanism wraps with some key.
const fn wraps(mechanism: &Mechanism) -> bool {
    matches!(
        mechanism,
        Mechanism::Rsa(RsaMechanism::Pkcs | RsaMechanism::Oaep(_) | RsaMechanism::AesKeyWrap { .. })
            | Mechanism::Cipher(..)
            | Mechanism::ChaCha20Poly1305(_)
    )
}

/// The secret key in `plain`. In ECB and CBC mode zeros may follow it (PKCS#11 3.1, 6.10.5).
fn secret(plain: Secret, mechanism: &Mechanism, key_type: KeyType, len: Option<usize>) -> Result<Parsed> {
    let Some(len) = len.filter(|len| *len != plain.len()) else {
        return material::from_secret(key_type, plain);
    };
    if !matches!(mechanism, Mechanism::Cipher(_, CipherMode::Ecb | CipherMode::Cbc { .. })) {
        return Err(invalid());
    }
    let (value, filling) = plain.expose().split_at_checked(len).ok_or_else(invalid)?;
    if filling.len() >= 16 || filling.iter().any(|byte| *byte != 0) {
        return Err(invalid());
    }
    material::from_secret(key_type, Secret::copy_of(value))
}

/// The private key that `plain` is the PKCS #8 form of.
fn private(plain: &Secret, key_type: KeyType) -> Result<Parsed> {
    let plain = without_padding(plain.expose());
    let parsed = if key_type == KeyType::Sm2 {
        Parsed::Sm2(Arc::new(Sm2Key::from_pkcs8(plain)?))
    } else if matches!(key_type, KeyType::MlDsa | KeyType::MlKem | KeyType::SlhDsa) {
        Parsed::Pqc(pqc_pkcs8::decode(plain, key_type)?)
    } else if key_type == KeyType::Dh {
        Parsed::Dh(Arc::new(dh_pkcs8::decode(plain)?))
    } else if let Some((curve, seed)) = goldilocks::seed_from_pkcs8(plain) {
        material::from_scalar(curve, &seed)?
    } else {
        match parse_pkcs8(plain)? {
            PrivateKey::Rsa(rsa) if material::RSA_BITS.contains(&rsa.bits()) => Parsed::Rsa(Arc::new(rsa)),
            PrivateKey::Rsa(_) => return Err(invalid()),
            PrivateKey::Ec(curve, scalar) => material::from_scalar(curve, &scalar)?,
        }
    };
    if parsed.key_type() == key_type { Ok(parsed) } else { Err(invalid()) }
}

/// The DER element without the zeros that some (SoftHSM2) fill it up with to whole blocks of a key wrap. What its own length
/// does not cover is not part of it (PKCS#11 3.2, 5.18.3 on wrapping private keys).
fn without_padding(plain: &[u8]) -> &[u8] {
    const BLOCK: usize = 8;
    let Ok((_, rest)) = AnyRef::from_der_partial(plain) else { return plain };
    let filled = rest.len() < BLOCK && rest.iter().all(|b| *b == 0);
    if filled { plain.get(..plain.len() - rest.len()).unwrap_or(plain) } else { plain }
}

/// What is wrapped: the bytes of a secret, PKCS #8 of a private key.
fn plaintext(target: &Parsed) -> Result<Plain<'_>> {
    if !material::is_private(target) {
        return Err(not_wrappable());
    }
    Ok(Plain::Encoded(match target {
        Parsed::Dh(dh) => dh_pkcs8::encode(dh)?,
        Parsed::Secret(secret) => return Ok(Plain::Bytes(secret.value.expose())),
        Parsed::Rsa(rsa) => rsa_to_pkcs8(rsa)?,
        Parsed::Ec(ec) => ec_to_pkcs8(ec)?,
        Parsed::K256(ec) => ec.to_pkcs8()?,
        Parsed::Ed(ed) => {
            let seed = ed.pair.as_ref().ok_or_else(not_wrappable)?.seed();
            seed_to_pkcs8(Curve::Ed25519, seed.expose())?
        }
        Parsed::Ed448(ed) => goldilocks::seed_to_pkcs8(Curve::Ed448, &ed.seed()?)?,
        Parsed::X448(x) => goldilocks::seed_to_pkcs8(Curve::X448, x.private()?)?,
        Parsed::X(x) => seed_to_pkcs8(Curve::X25519, x.private.as_ref().ok_or_else(not_wrappable)?.expose())?,
        Parsed::Sm2(sm2) => sm2.to_pkcs8()?,
        Parsed::Pqc(key) => pqc_pkcs8::encode(key)?,
    }))
}

/// What is wrapped, without a copy where it is there as it is.
enum Plain<'a> {
    Bytes(&'a [u8]),
    Encoded(Secret),
}

impl Plain<'_> {
    fn expose(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Encoded(secret) => secret.expose(),
        }
    }
}

/// Encrypts a key.
fn sealed(mut operation: Box<dyn Ciphering>, plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = vec![0; operation.finish_len(plain.len())];
    let len = operation.finish(plain, &mut out).map_err(|e| match e.kind() {
        ErrorKind::DataLength => not_wrappable(),
        _ => e,
    })?;
    out.truncate(len);
    Ok(out)
}

/// Decrypts a key.
fn opened(mut operation: Box<dyn Ciphering>, wrapped: &[u8]) -> Result<Secret> {
    let most = operation.finish_len(wrapped.len());
    Secret::filled_in_part(most, |out| operation.finish(wrapped, out))
}

fn not_wrappable() -> Error {
    Error::new(ErrorKind::KeyNotWrappable, "the mechanism cannot wrap this key")
}

fn invalid() -> Error {
    Error::new(ErrorKind::WrappedKeyInvalid, "the wrapped key does not unwrap")
}

fn unsupported() -> Error {
    Error::new(ErrorKind::MechanismUnsupported, "the mechanism is not offered for wrapping")
}
