//! Wrapping keys under keys.

use super::{Chosen, Hall, ObjectRef, Operation, Request, Target, apart};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Key, KeyClass, PublicComponents};
use crate::mechanism::{BlockCipher, CipherMode, EcMechanism, Hash, KeyType, Mechanism, Oaep, RsaMechanism};
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

/// How keys are wrapped that travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Key wrap under an AES or SM4 key (SP 800-38F KW, RFC 3394): keys whose length is a multiple of 8 bytes.
    Kw,
    /// Key wrap with padding under an AES or SM4 key (SP 800-38F KWP, RFC 5649).
    Kwp,
    /// RSAES-OAEP, with this hash and MGF1 with it: secret keys.
    RsaOaep(Hash),
    /// A fresh AES key under RSAES-OAEP, followed by the key under that one by KWP (PKCS#11 3.2, 6.1.21).
    RsaAes {
        /// The hash of OAEP and of MGF1.
        hash: Hash,
        /// Length of the AES key in bytes.
        aes_len: usize,
    },
}

impl Wrapping {
    /// The number of CKM_RSA_AES_KEY_WRAP.
    pub const RSA_AES: u64 = 0x1054;

    /// What is usual under keys of this type: KWP, and for RSA keys the AES key between.
    #[must_use]
    pub const fn usual(key_type: KeyType) -> Self {
        match key_type {
            KeyType::Rsa => Self::RsaAes { hash: Hash::Sha256, aes_len: 32 },
            _ => Self::Kwp,
        }
    }

    /// The mechanism under a key of this type, with the number of PKCS#11, which a key may be restricted to.
    #[must_use]
    pub fn chosen(self, key_type: KeyType) -> Chosen {
        let cipher = match key_type {
            KeyType::Sm4 => BlockCipher::Sm4,
            _ => BlockCipher::Aes,
        };
        let (mechanism, number) = match self {
            // CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_KWP and CKM_RSA_PKCS_OAEP.
            Self::Kw => (Mechanism::Cipher(cipher, CipherMode::KeyWrap { iv: [0xA6; 8] }), 0x2109),
            Self::Kwp => (Mechanism::Cipher(cipher, CipherMode::KeyWrapPad), 0x210B),
            Self::RsaOaep(hash) => (Mechanism::Rsa(RsaMechanism::Oaep(oaep(hash))), 0x0009),
            Self::RsaAes { hash, aes_len } => {
                (Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep: oaep(hash), aes_len }), Self::RSA_AES)
            }
        };
        // The numbers of SM4 are their vendors'.
        Chosen { number: Some(number).filter(|_| key_type != KeyType::Sm4), mechanism }
    }
}

const fn oaep(hash: Hash) -> Oaep {
    Oaep { hash, mgf: hash, label: Vec::new() }
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
