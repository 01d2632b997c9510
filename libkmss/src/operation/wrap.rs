//! Wrapping keys under keys.

use super::{Chosen, Hall, ObjectRef, Operation, Request, Target, apart};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Key, KeyClass, PublicComponents};
use crate::mechanism::{CipherMode, EcMechanism, KeyType, Mechanism, RsaMechanism};
use crate::permit::Permit;

/// Wraps one key under another.
#[derive(Debug)]
pub struct Wrap {
    /// The wrapping key.
    pub wrapping: ObjectRef,
    /// The key to be wrapped.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Wrap {
    type Running = Vec<u8>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Export, Target::Object(self.key.clone()))),
            ..self.how.request(Action::Wrap, &self.wrapping)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<u8>> {
        let (wrapping, target) = (permit.key()?, permit.second_key()?);
        if !target.key.protection.extractable {
            return Err(Error::new(ErrorKind::KeyUnextractable, "the key to be wrapped is not extractable"));
        }
        if target.key.protection.wrap_with_trusted && !wrapping.key.protection.trusted {
            return Err(Error::new(ErrorKind::KeyNotWrappable, "the key may only be wrapped by a trusted key"));
        }
        // A public key is in its record, so that it works wherever the other key is.
        if wrapping.version.backend != target.version.backend && wrapping.key.class != KeyClass::Public {
            let why = apart(&wrapping.version.backend, &target.version.backend);
            return Err(Error::new(ErrorKind::KeyNotWrappable, why));
        }
        hall.backend(&target.version.backend)?.wrap(permit, &self.how.mechanism)
    }
}

/// Length of a wrapped key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedLength {
    /// Bytes, at most.
    pub most: usize,
    /// Whether it is exactly that.
    pub exact: bool,
}

/// How long `key` will be, wrapped under `wrapping`: what follows from the keys' public properties, so that whoever asks needs
/// no permit. `None` where that is not known.
///
/// Secrets have their own length. Private keys are PKCS #8 (RFC 5958), whose length depends on the leading bits of secret
/// numbers; what is said of them is an upper bound.
#[must_use]
pub fn wrapped_length(wrapping: &Key, key: &Key, mechanism: &Mechanism) -> Option<WrappedLength> {
    const BLOCK: usize = 16;
    let bytes = |key: &Key| Some(usize::try_from(key.primary().ok()?.bits).ok()?.div_ceil(8));
    let exact = key.class == KeyClass::Secret;
    let plain = if exact { bytes(key)? } else { pkcs8_bound(key.key_type, bytes(key)?) };
    let filled = |unit: usize| plain.div_ceil(unit).saturating_mul(unit);
    // RFC 3394 and RFC 5649: whole semiblocks and one more.
    let key_wrapped = filled(8).saturating_add(8);
    let most = match mechanism {
        Mechanism::Cipher(_, mode) => match mode {
            CipherMode::Ecb | CipherMode::Cbc { .. } => filled(BLOCK),
            CipherMode::CbcPad { .. } => (plain / BLOCK + 1).saturating_mul(BLOCK),
            CipherMode::Gcm(gcm) => plain.saturating_add(gcm.tag_len),
            CipherMode::Ccm(ccm) => plain.saturating_add(ccm.tag_len),
            CipherMode::KeyWrap { .. } | CipherMode::KeyWrapPad => key_wrapped,
            _ => return None,
        },
        Mechanism::ChaCha20Poly1305(_) => plain.saturating_add(BLOCK),
        Mechanism::Rsa(RsaMechanism::Pkcs | RsaMechanism::Oaep(_)) if exact => bytes(wrapping)?,
        // The wrapped AES key, or the point it is agreed on with, goes before.
        Mechanism::Rsa(RsaMechanism::AesKeyWrap { .. }) => bytes(wrapping)?.saturating_add(key_wrapped),
        Mechanism::Ec(EcMechanism::AesKeyWrap { .. }) => match &wrapping.primary().ok()?.public {
            PublicComponents::Ec { curve, .. } => curve.point_len().saturating_add(key_wrapped),
            _ => return None,
        },
        _ => return None,
    };
    Some(WrappedLength { most, exact })
}

/// An upper bound for the PKCS #8 form of a private key of `len` bytes.
const fn pkcs8_bound(key_type: KeyType, len: usize) -> usize {
    match key_type {
        // Modulus and private exponent, five numbers of half the length, a public exponent of up to the whole.
        KeyType::Rsa => 6 * len + 128,
        // A seed and an expanded key; the longest is that of ML-DSA-87.
        KeyType::MlDsa | KeyType::MlKem | KeyType::SlhDsa => 8192,
        // Parameters, private value and public point.
        _ => 5 * len + 160,
    }
}
