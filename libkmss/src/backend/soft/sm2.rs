//! SM2 signatures and encryption (GB/T 32918.2 and .4) by RustCrypto.
//!
//! `sm2` wipes its `SecretKey` but not its `SigningKey` and `DecryptingKey`: those are made for each operation, which
//! costs one multiplication of the base point, and do not live in the cache.

use std::sync::Arc;

use der::{Decode, Encode};
use sm2::dsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::Generate;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use sm2::pke::{DecryptingKey, EncryptingKey};
use sm2::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::buffer::{Transform, Whole, front};
use super::digest::Hasher;
use super::rng::CryptoRng;
use super::signature::{Input, Scheme, SignatureOperation, invalid};
use super::{parameter, wrong_key};
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Curve, Hash, Sm2Mechanism};
use crate::secret::Secret;

/// Bytes that a ciphertext has more than its plaintext: C1 (an uncompressed point) and C3 (an SM3 digest).
const OVERHEAD: usize = 65 + 32;

/// Longest plaintext. The standard allows 2³² blocks of 32 bytes; nobody encrypts more than keys with SM2.
const MAX_PLAIN: usize = 1 << 30;

/// a ‖ b ‖ xG ‖ yG of sm2p256v1 (GB/T 32918.5), as they enter Z.
const DOMAIN: [[u8; 32]; 4] = [
    [
        0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc,
    ],
    [
        0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09, 0xa7, 0xf3, 0x97,
        0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93,
    ],
    [
        0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19, 0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39, 0xc9, 0x94, 0x8f, 0xe3,
        0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1, 0x71, 0x5a, 0x45, 0x89, 0x33, 0x4c, 0x74, 0xc7,
    ],
    [
        0xbc, 0x37, 0x36, 0xa2, 0xf4, 0xf6, 0x77, 0x9c, 0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69, 0x21, 0x53, 0xd0, 0xa9,
        0x87, 0x7c, 0xc6, 0x2a, 0x47, 0x40, 0x02, 0xdf, 0x32, 0xe5, 0x21, 0x39, 0xf0, 0xa0,
    ],
];

/// An SM2 key.
pub(super) struct Sm2Key {
    secret: Option<SecretKey>,
    public: PublicKey,
}

impl Sm2Key {
    pub(super) fn generate() -> Result<Self> {
        let secret = SecretKey::try_generate_from_rng(&mut CryptoRng)
            .map_err(|e| Error::new(ErrorKind::BackendUnavailable, "no SM2 key could be made").with_source(e))?;
        Ok(Self::from_secret(secret))
    }

    pub(super) fn from_scalar(scalar: &Secret) -> Result<Self> {
        let bad = |_| Error::new(ErrorKind::AttributeValue, "the scalar is not an SM2 private key");
        SecretKey::from_slice(scalar.expose()).map(Self::from_secret).map_err(bad)
    }

    pub(super) fn from_point(point: &[u8]) -> Result<Self> {
        let bad = || Error::new(ErrorKind::AttributeValue, "the point is not on the SM2 curve");
        if point.len() != Curve::Sm2.point_len() {
            return Err(bad());
        }
        let public = PublicKey::from_sec1_bytes(point).map_err(|_| bad())?;
        Ok(Self { secret: None, public })
    }

    /// From PKCS #8.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self> {
        SecretKey::from_pkcs8_der(der)
            .map(Self::from_secret)
            .map_err(|_| Error::new(ErrorKind::AttributeValue, "this is not an SM2 private key"))
    }

    fn from_secret(secret: SecretKey) -> Self {
        Self { public: secret.public_key(), secret: Some(secret) }
    }

    pub(super) fn point(&self) -> Vec<u8> {
        self.public.to_sec1_point(false).as_bytes().to_vec()
    }

    pub(super) fn scalar(&self) -> Result<Secret> {
        Ok(Secret::copy_of(Zeroizing::new(<[u8; 32]>::from(self.secret()?.to_bytes())).as_slice()))
    }

    pub(super) fn to_pkcs8(&self) -> Result<Secret> {
        let der = self.secret()?.to_pkcs8_der();
        let der = der.map_err(|_| Error::new(ErrorKind::Internal, "an SM2 key could not be encoded"))?;
        Ok(Secret::copy_of(der.as_bytes()))
    }

    pub(super) const fn is_private(&self) -> bool {
        self.secret.is_some()
    }

    fn secret(&self) -> Result<&SecretKey> {
        self.secret.as_ref().ok_or_else(wrong_key)
    }

    /// A hasher that has taken in Z, which binds the signer's identity and public key (GB/T 32918.2, 5.5).
    fn identity(&self, id: &[u8]) -> Result<Hasher> {
        let bits = id.len().checked_mul(8).and_then(|bits| u16::try_from(bits).ok());
        let bits = bits.ok_or_else(|| parameter("the signer's identity is too long"))?;
        let mut z = Hasher::new(Hash::Sm3);
        z.update(&bits.to_be_bytes())?;
        z.update(id)?;
        for number in &DOMAIN {
            z.update(number)?;
        }
        z.update(self.point().get(1..).unwrap_or_default())?;
        let mut digest = [0; 32];
        z.finish(&[], &mut digest)?;
        let mut hasher = Hasher::new(Hash::Sm3);
        hasher.update(&digest)?;
        Ok(hasher)
    }
}

/// A signer or verifier.
pub(super) struct Signer {
    key: Arc<Sm2Key>,
    /// Whether signatures are DER rather than r ‖ s.
    der: bool,
}

/// Longest signature as DER: two numbers of 32 bytes, each with a zero before it.
const DER_LEN: usize = 2 + 2 * (2 + 33);

/// A signature as DER (GM/T 0009, 7.3).
#[derive(der::Sequence)]
struct DerSignature {
    r: der::asn1::Uint,
    s: der::asn1::Uint,
}

impl DerSignature {
    fn of(raw: &[u8; 64]) -> der::Result<Self> {
        let (r, s) = raw.split_at(32);
        Ok(Self { r: der::asn1::Uint::new(r)?, s: der::asn1::Uint::new(s)? })
    }

    fn raw(&self) -> Option<[u8; 64]> {
        let mut raw = [0; 64];
        for (half, number) in raw.chunks_exact_mut(32).zip([self.r.as_bytes(), self.s.as_bytes()]) {
            half.get_mut(32_usize.checked_sub(number.len())?..)?.copy_from_slice(number);
        }
        Some(raw)
    }
}

/// Starts a signature (`private`) or a verification.
pub(super) fn signature(
    key: Arc<Sm2Key>,
    mechanism: &Sm2Mechanism,
    private: bool,
) -> Result<SignatureOperation<Signer>> {
    if private && !key.is_private() {
        return Err(wrong_key());
    }
    let input = match mechanism {
        Sm2Mechanism::SignDigest => Input::kept(Hash::Sm3.len()),
        Sm2Mechanism::SignSm3 { id } | Sm2Mechanism::SignSm3Der { id } => Input::Hashed(key.identity(id)?),
        Sm2Mechanism::Encrypt => return Err(unsupported()),
    };
    let der = matches!(mechanism, Sm2Mechanism::SignSm3Der { .. });
    Ok(SignatureOperation::new(Signer { key, der }, input))
}

impl Scheme for Signer {
    fn len(&self) -> usize {
        if self.der { DER_LEN } else { 64 }
    }

    fn fits(&self, len: usize) -> bool {
        if self.der { (8..=DER_LEN).contains(&len) } else { len == 64 }
    }

    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        digest_length(data)?;
        let failed = |_| Error::new(ErrorKind::Internal, "the SM2 signature failed");
        // The identity only enters digests that the crate computes, which is not done here.
        let key = SigningKey::new("", self.key.secret()?).map_err(failed)?;
        let signature: Signature = key.sign_prehash_with_rng(&mut CryptoRng, data).map_err(failed)?;
        let raw = signature.to_bytes();
        if self.der {
            let encoded = DerSignature::of(&raw.into()).and_then(|s| s.encode_to_slice(out).map(<[u8]>::len));
            return encoded.map_err(|e| Error::new(ErrorKind::Internal, "the SM2 signature has no DER").with_source(e));
        }
        out.copy_from_slice(&raw);
        Ok(out.len())
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        digest_length(data)?;
        let raw = if self.der { DerSignature::from_der(signature).ok().and_then(|s| s.raw()) } else { None };
        let signature = match (&raw, self.der) {
            (Some(raw), _) => raw.as_slice(),
            (None, false) => signature,
            (None, true) => return Err(invalid()),
        };
        let signature = Signature::from_slice(signature).map_err(|_| invalid())?;
        let key = VerifyingKey::new("", self.key.public).map_err(|_| invalid())?;
        key.verify_prehash(data, &signature).map_err(|_| invalid())
    }
}

/// SM2 encryption or decryption of a message.
struct Sm2Crypt {
    key: Arc<Sm2Key>,
    decrypt: bool,
}

/// Starts an encryption or decryption.
pub(super) fn cipher(key: Arc<Sm2Key>, mechanism: &Sm2Mechanism, decrypt: bool) -> Result<Box<dyn Ciphering>> {
    if *mechanism != Sm2Mechanism::Encrypt {
        return Err(unsupported());
    }
    if decrypt && !key.is_private() {
        return Err(wrong_key());
    }
    Ok(Box::new(Whole::new(Sm2Crypt { key, decrypt })))
}

impl Sm2Crypt {
    fn encrypt(&self, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        if input.is_empty() {
            return Err(Error::new(ErrorKind::DataLength, "SM2 does not encrypt an empty message"));
        }
        EncryptingKey::new(self.key.public)
            .encrypt(&mut CryptoRng, input)
            .map(Zeroizing::new)
            .map_err(|_| Error::new(ErrorKind::Internal, "the SM2 encryption failed"))
    }

    fn decrypt(&self, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        if input.len() <= OVERHEAD {
            return Err(Error::new(ErrorKind::EncryptedDataLength, "the ciphertext is too short for SM2"));
        }
        let bad = || Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt");
        if input.first() != Some(&4) {
            return Err(bad());
        }
        DecryptingKey::new(self.key.secret()?.clone()).decrypt(input).map(Zeroizing::new).map_err(|_| bad())
    }
}

impl Transform for Sm2Crypt {
    fn limit(&self) -> (usize, ErrorKind) {
        if self.decrypt {
            (MAX_PLAIN + OVERHEAD, ErrorKind::EncryptedDataLength)
        } else {
            (MAX_PLAIN, ErrorKind::DataLength)
        }
    }

    fn output_len(&self, input: usize) -> usize {
        if self.decrypt { input.saturating_sub(OVERHEAD) } else { input.saturating_add(OVERHEAD) }
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let result = if self.decrypt { self.decrypt(input)? } else { self.encrypt(input)? };
        front(out, result.len())?.copy_from_slice(&result);
        Ok(result.len())
    }
}

fn digest_length(data: &[u8]) -> Result<()> {
    if data.len() == Hash::Sm3.len() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::DataLength, "SM2 signs digests of 32 bytes"))
}

fn unsupported() -> Error {
    Error::new(ErrorKind::MechanismUnsupported, "the SM2 mechanism is not offered for this verb")
}
