//! Derivation of keys and data: which mechanism goes with which keys, and how what it yields is cut.

use super::keys::Parsed;
use super::rng::Generator;
use super::{generate, kbkdf, kdf, material, tls, unfit, wrong_key};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Expected;
use crate::mechanism::{KdfMechanism, KeyType, Mechanism, TlsMechanism};
use crate::random::Random;
use crate::secret::Secret;

/// What a derivation yields, still in clear.
pub(super) struct Yield {
    pub(super) keys: Vec<Parsed>,
    /// What is given out beside the keys.
    pub(super) public: Vec<u8>,
}

/// Derives the keys that are wanted from `key` and `others`.
pub(super) fn keys(key: &Parsed, others: &[Parsed], mechanism: &Mechanism, wanted: &[Expected]) -> Result<Yield> {
    if wanted.iter().any(|expected| expected.key_type.is_asymmetric()) {
        return Err(Error::new(ErrorKind::TemplateInconsistent, "only secret keys can be derived"));
    }
    match (key, mechanism) {
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::Kbkdf(m))) => {
            let lengths = wanted.iter().map(|expected| demanded(*expected)).collect::<Result<Vec<_>>>()?;
            let values = kbkdf::derive(m, key, &secrets(others)?, &lengths)?;
            let keys = values.into_iter().zip(wanted);
            let keys = keys.map(|(value, expected)| material::from_secret(expected.key_type, value));
            Ok(Yield { keys: keys.collect::<Result<_>>()?, public: Vec::new() })
        }
        (Parsed::Secret(key), Mechanism::Tls(m @ TlsMechanism::KeyBlock { .. })) if is_secret(key.key_type) => {
            tls::key_block(m, &key.value, wanted)
        }
        (_, Mechanism::Kdf(KdfMechanism::Kbkdf(_)) | Mechanism::Tls(TlsMechanism::KeyBlock { .. })) => Err(wrong_key()),
        _ => {
            let [expected] = wanted else {
                return Err(Error::new(ErrorKind::TemplateInconsistent, "the mechanism derives one key"));
            };
            one(key, others, mechanism, *expected)
        }
    }
}

fn one(key: &Parsed, others: &[Parsed], mechanism: &Mechanism, expected: Expected) -> Result<Yield> {
    let Expected { key_type, len } = expected;
    let value = match (key, mechanism) {
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::Hkdf(m))) if key.key_type.is_generic() => {
            kdf::hkdf(m, &key.value, &secrets(others)?, stated(expected)?)?
        }
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::ConcatenateKey)) => {
            let [other] = secrets(others)?[..] else {
                return Err(wrong_key());
            };
            kdf::joined(&key.value, other, natural(expected)?)?
        }
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::AppendData(data))) => {
            kdf::joined(&key.value, data, natural(expected)?)?
        }
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::PrependData(data))) => {
            kdf::joined(data, &key.value, natural(expected)?)?
        }
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::Xor(data))) => {
            kdf::xored(&key.value, data, natural(expected)?)?
        }
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::Extract { first_bit })) => {
            kdf::extracted(&key.value, *first_bit, demanded(expected)?)?
        }
        (Parsed::Secret(key), Mechanism::Tls(m @ TlsMechanism::Master { .. })) if is_secret(key.key_type) => {
            let (master, public) = tls::master(m, &key.value, len)?;
            return Ok(Yield { keys: vec![material::from_secret(key_type, master)?], public });
        }
        (Parsed::Secret(key), Mechanism::Tls(m @ TlsMechanism::Export { .. })) if is_secret(key.key_type) => {
            tls::export(m, &key.value, demanded(expected)?)?
        }
        (_, Mechanism::Kdf(KdfMechanism::HkdfData(_) | KdfMechanism::PublicKey | KdfMechanism::Pbkdf2(_)))
        | (_, Mechanism::Tls(TlsMechanism::Premaster { .. } | TlsMechanism::Finished { .. })) => {
            return Err(unfit(false));
        }
        (_, Mechanism::Kdf(m)) if !matches!(m, KdfMechanism::EncryptData { .. }) => return Err(wrong_key()),
        (_, Mechanism::Tls(_)) => return Err(wrong_key()),
        _ => {
            let key = generate::derived(key, mechanism, key_type, len)?;
            return Ok(Yield { keys: vec![key], public: Vec::new() });
        }
    };
    if !material::length_fits(key_type, value.len()) {
        return Err(size());
    }
    Ok(Yield { keys: vec![material::from_secret(key_type, value)?], public: Vec::new() })
}

/// Derives data.
pub(super) fn data(key: &Parsed, others: &[Parsed], mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
    match (key, mechanism) {
        (Parsed::Secret(key), Mechanism::Kdf(KdfMechanism::HkdfData(m))) if key.key_type.is_generic() => {
            kdf::hkdf(m, &key.value, &secrets(others)?, len)
        }
        (_, Mechanism::Kdf(KdfMechanism::HkdfData(_))) => Err(wrong_key()),
        _ => Err(unfit(false)),
    }
}

/// Makes a key by a mechanism that uses no other key.
pub(super) fn made(mechanism: &Mechanism, expected: Expected) -> Result<Parsed> {
    let value = match mechanism {
        Mechanism::Kdf(KdfMechanism::Pbkdf2(m)) => kdf::pbkdf2(m, demanded(expected)?)?,
        Mechanism::Tls(TlsMechanism::Premaster { version }) => {
            if expected.len.is_some_and(|len| len != TlsMechanism::MASTER_LEN) {
                return Err(Error::new(ErrorKind::TemplateInconsistent, "a premaster secret has 48 bytes"));
            }
            Secret::filled(TlsMechanism::MASTER_LEN, |out| {
                Generator.fill(out)?;
                out.iter_mut().zip(version).for_each(|(byte, version)| *byte = *version);
                Ok::<_, Error>(())
            })?
        }
        _ => return Err(unfit(false)),
    };
    material::from_secret(expected.key_type, value)
}

/// Whether TLS takes keys of this type for its secrets.
fn is_secret(key_type: KeyType) -> bool {
    key_type == KeyType::GenericSecret
}

fn secrets(others: &[Parsed]) -> Result<Vec<&Secret>> {
    others
        .iter()
        .map(|key| match key {
            Parsed::Secret(key) => Ok(&key.value),
            _ => Err(wrong_key()),
        })
        .collect()
}

/// The length asked for, or that of the key type.
fn stated(expected: Expected) -> Result<Option<usize>> {
    let len = expected.len.or(match expected.key_type {
        KeyType::Sm4 => Some(16),
        KeyType::ChaCha20 => Some(32),
        KeyType::AesXts => Some(64),
        _ => None,
    });
    if len.is_some_and(|len| !material::length_fits(expected.key_type, len)) {
        return Err(size());
    }
    Ok(len)
}

/// As [`stated`], where a generic secret may have the mechanism's natural length, and other types need one (PKCS#11 3.2,
/// 6.43).
fn natural(expected: Expected) -> Result<Option<usize>> {
    match stated(expected)? {
        None if !expected.key_type.is_generic() => Err(no_length()),
        len => Ok(len),
    }
}

/// As [`stated`], where the mechanism has no natural length.
fn demanded(expected: Expected) -> Result<usize> {
    stated(expected)?.ok_or_else(no_length)
}

fn no_length() -> Error {
    Error::new(ErrorKind::TemplateIncomplete, "the length of the key is missing")
}

pub(super) fn size() -> Error {
    Error::new(ErrorKind::KeySize, "keys of this type do not have this length")
}
