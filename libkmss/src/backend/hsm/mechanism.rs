//! What each mechanism is in a device: one table for each verb. What is in none of them is not offered.
//!
//! Where a device signs ready digests it gets digests, hashed here: messages need not travel, and a session is held for one
//! call only. Where it lacks that, it gets the whole message for the mechanism that hashes itself.

use std::borrow::Cow;
use std::ffi::c_ulong;

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::ekdf::AesCbcDeriveParams;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism as Theirs, MechanismType};

use der::Encode as _;
use der::asn1::OctetStringRef;

use crate::device::{Entered, Quirks};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{
    BlockCipher, CipherMode, EcMechanism, EcdhKdf, Hash, KdfMechanism, KeyType, MacMechanism, Mechanism, Oaep, Pss,
    RsaMechanism,
};

/// What the device is given to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The data as it is, a message of any length.
    Message,
    /// The data as it is, a digest of exactly so many bytes.
    Exactly(usize),
    /// The data as it is, at most so many bytes fewer than the modulus has.
    Padded(usize),
    /// The data, as long as the modulus with zeros before it.
    Filled,
    /// The data, of which the device sees no more bytes than the order of the curve has.
    Truncated,
    /// Its digest.
    Digest(Hash),
    /// Its digest in a DigestInfo (RFC 8017, 9.2).
    DigestInfo(Hash),
}

/// How the device signs. Plain values: the crate's own mechanisms hold pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    Pkcs,
    Raw,
    Pss(Pss),
    PkcsHash(Hash),
    PssHash(Pss),
    Ecdsa,
    EcdsaHash(Hash),
    EdDsa,
    Hmac(Hash),
    Cmac,
}

impl Signer {
    /// As the crate knows it.
    pub(super) fn theirs(self) -> Result<Theirs<'static>> {
        Ok(match self {
            Self::Pkcs => Theirs::RsaPkcs,
            Self::Raw => Theirs::RsaX509,
            Self::Pss(pss) => Theirs::RsaPkcsPss(pss_params(pss)?),
            Self::PkcsHash(Hash::Sha1) => Theirs::Sha1RsaPkcs,
            Self::PkcsHash(Hash::Sha224) => Theirs::Sha224RsaPkcs,
            Self::PkcsHash(Hash::Sha256) => Theirs::Sha256RsaPkcs,
            Self::PkcsHash(Hash::Sha384) => Theirs::Sha384RsaPkcs,
            Self::PkcsHash(Hash::Sha512) => Theirs::Sha512RsaPkcs,
            Self::PssHash(pss) => match pss.hash {
                Hash::Sha1 => Theirs::Sha1RsaPkcsPss(pss_params(pss)?),
                Hash::Sha256 => Theirs::Sha256RsaPkcsPss(pss_params(pss)?),
                Hash::Sha384 => Theirs::Sha384RsaPkcsPss(pss_params(pss)?),
                Hash::Sha512 => Theirs::Sha512RsaPkcsPss(pss_params(pss)?),
                _ => return Err(unsupported()),
            },
            Self::Ecdsa => Theirs::Ecdsa,
            Self::EcdsaHash(Hash::Sha1) => Theirs::EcdsaSha1,
            Self::EcdsaHash(Hash::Sha224) => Theirs::EcdsaSha224,
            Self::EcdsaHash(Hash::Sha256) => Theirs::EcdsaSha256,
            Self::EcdsaHash(Hash::Sha384) => Theirs::EcdsaSha384,
            Self::EcdsaHash(Hash::Sha512) => Theirs::EcdsaSha512,
            Self::EdDsa => Theirs::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
            Self::Hmac(Hash::Sha1) => Theirs::Sha1Hmac,
            Self::Hmac(Hash::Sha224) => Theirs::Sha224Hmac,
            Self::Hmac(Hash::Sha256) => Theirs::Sha256Hmac,
            Self::Hmac(Hash::Sha384) => Theirs::Sha384Hmac,
            Self::Hmac(Hash::Sha512) => Theirs::Sha512Hmac,
            Self::Cmac => Theirs::AesCMac,
            Self::PkcsHash(_) | Self::EcdsaHash(_) | Self::Hmac(_) => return Err(unsupported()),
        })
    }

    fn is_offered(self, by: &Entered) -> bool {
        self.theirs().is_ok_and(|mechanism| by.offers(mechanism.mechanism_type()))
    }
}

/// How `mechanism` signs with a key of this type: the first way that the device offers.
pub(super) fn signer(mechanism: &Mechanism, key_type: KeyType, device: &Entered) -> Result<(Signer, Input)> {
    check(mechanism, &device.quirks)?;
    use Input as I;
    use Signer as S;
    let ways: [Option<(S, I)>; 2] = match (mechanism, key_type) {
        (Mechanism::Rsa(m), KeyType::Rsa) => match m {
            RsaMechanism::Pkcs => [Some((S::Pkcs, I::Padded(11))), None],
            RsaMechanism::X509 => [Some((S::Raw, I::Filled)), None],
            RsaMechanism::PkcsHash(hash) => {
                let raw = hash.digest_info().is_some().then_some((S::Pkcs, I::DigestInfo(*hash)));
                [raw, Some((S::PkcsHash(*hash), I::Message))]
            }
            RsaMechanism::Pss { pss, message: false } => [Some((S::Pss(*pss), I::Exactly(pss.hash.len()))), None],
            RsaMechanism::Pss { pss, message: true } => {
                [Some((S::Pss(*pss), I::Digest(pss.hash))), Some((S::PssHash(*pss), I::Message))]
            }
            RsaMechanism::Oaep(_) | RsaMechanism::AesKeyWrap { .. } => [None, None],
        },
        (Mechanism::Ec(EcMechanism::Ecdsa { hash: None }), KeyType::Ec) => [Some((S::Ecdsa, I::Truncated)), None],
        (Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) }), KeyType::Ec) => {
            [Some((S::Ecdsa, I::Digest(*hash))), Some((S::EcdsaHash(*hash), I::Message))]
        }
        (Mechanism::Ec(EcMechanism::EdDsa { prehash, context }), KeyType::EcEdwards) => {
            [(!prehash && context.is_empty()).then_some((S::EdDsa, I::Message)), None]
        }
        (Mechanism::Mac(MacMechanism::Hmac { hash, .. }), key) if key.is_generic() => {
            [Some((S::Hmac(*hash), I::Message)), None]
        }
        (Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, .. }), KeyType::Aes) => {
            [Some((S::Cmac, I::Message)), None]
        }
        (Mechanism::Mac(MacMechanism::Gmac { .. }), KeyType::Aes) => [None, None],
        (Mechanism::Rsa(_) | Mechanism::Ec(_) | Mechanism::Mac(_), _) => return Err(wrong_key()),
        _ => [None, None],
    };
    ways.into_iter().flatten().find(|(signer, _)| signer.is_offered(device)).ok_or_else(unsupported)
}

/// The hash itself.
fn hash_type(hash: Hash) -> Result<MechanismType> {
    Ok(match hash {
        Hash::Sha1 => MechanismType::SHA1,
        Hash::Sha224 => MechanismType::SHA224,
        Hash::Sha256 => MechanismType::SHA256,
        Hash::Sha384 => MechanismType::SHA384,
        Hash::Sha512 => MechanismType::SHA512,
        _ => return Err(unsupported()),
    })
}

fn mgf(hash: Hash) -> Result<PkcsMgfType> {
    Ok(match hash {
        Hash::Sha1 => PkcsMgfType::MGF1_SHA1,
        Hash::Sha224 => PkcsMgfType::MGF1_SHA224,
        Hash::Sha256 => PkcsMgfType::MGF1_SHA256,
        Hash::Sha384 => PkcsMgfType::MGF1_SHA384,
        Hash::Sha512 => PkcsMgfType::MGF1_SHA512,
        _ => return Err(unsupported()),
    })
}

fn pss_params(pss: Pss) -> Result<PkcsPssParams> {
    let s_len = pss.salt_len.try_into().map_err(|_| unsupported())?;
    Ok(PkcsPssParams { hash_alg: hash_type(pss.hash)?, mgf: mgf(pss.mgf)?, s_len })
}

fn oaep_params(oaep: &Oaep) -> Result<PkcsOaepParams<'_>> {
    let source =
        if oaep.label.is_empty() { PkcsOaepSource::empty() } else { PkcsOaepSource::data_specified(&oaep.label) };
    Ok(PkcsOaepParams::new(hash_type(oaep.hash)?, mgf(oaep.mgf)?, source))
}

/// CK_AES_CTR_PARAMS (PKCS#11 3.1, 6.13.7).
#[repr(C)]
struct CtrParams {
    bits: c_ulong,
    block: [u8; 16],
}

/// Refuses parameters that the device is known not to take: it would say all kinds of things of them, or do something else.
pub(super) fn check(mechanism: &Mechanism, quirks: &Quirks) -> Result<()> {
    let takes = match mechanism {
        Mechanism::Rsa(RsaMechanism::Oaep(Oaep { hash, mgf, label })) => {
            quirks.takes_oaep(*hash, *mgf, !label.is_empty())
        }
        Mechanism::Rsa(RsaMechanism::Pss { pss, .. }) => quirks.takes_pss(pss.hash, pss.mgf, pss.salt_len),
        Mechanism::Cipher(_, CipherMode::Gcm(_)) => quirks.takes_gcm_iv(),
        Mechanism::Ec(EcMechanism::Ecdh { kdf, .. }) => *kdf == EcdhKdf::Null || quirks.ecdh_kdf != Some(false),
        _ => true,
    };
    if takes { Ok(()) } else { Err(unsupported()) }
}

/// The mechanism as the device wants it.
pub(super) fn adapted<'m>(mechanism: &'m Mechanism, quirks: &Quirks) -> Result<Cow<'m, Mechanism>> {
    check(mechanism, quirks)?;
    match mechanism {
        Mechanism::Ec(EcMechanism::Ecdh { kdf, public, shared_info }) if quirks.gives_der_points() => {
            let point = OctetStringRef::new(public).and_then(|point| point.to_der()).map_err(|_| unsupported())?;
            let (kdf, shared_info) = (*kdf, shared_info.clone());
            Ok(Cow::Owned(Mechanism::Ec(EcMechanism::Ecdh { kdf, public: point, shared_info })))
        }
        other => Ok(Cow::Borrowed(other)),
    }
}

/// What a mechanism is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Data,
    Keys,
    Derivation,
}

/// Calls `f` with what `mechanism` is in the device for data, other keys or derivation with a key of this type.
pub(super) fn with<R, E: From<Error>>(
    mechanism: &Mechanism,
    key_type: KeyType,
    what: For,
    f: impl FnOnce(&Theirs<'_>) -> Result<R, E>,
) -> Result<R, E> {
    match (mechanism, key_type) {
        (Mechanism::Rsa(m), KeyType::Rsa) => match (m, what) {
            (RsaMechanism::Pkcs, For::Data | For::Keys) => f(&Theirs::RsaPkcs),
            (RsaMechanism::X509, For::Data) => f(&Theirs::RsaX509),
            (RsaMechanism::Oaep(oaep), For::Data | For::Keys) => f(&Theirs::RsaPkcsOaep(oaep_params(oaep)?)),
            _ => Err(unsupported().into()),
        },
        (Mechanism::Cipher(BlockCipher::Aes, mode), KeyType::Aes) => with_aes(mode, what, f),
        (Mechanism::Ec(EcMechanism::Ecdh { kdf, public, shared_info }), KeyType::Ec | KeyType::EcMontgomery) => {
            if what != For::Derivation {
                return Err(unsupported().into());
            }
            f(&Theirs::Ecdh1Derive(Ecdh1DeriveParams::new(agreed(*kdf, shared_info)?, public)))
        }
        (Mechanism::Kdf(KdfMechanism::EncryptData { cipher: BlockCipher::Aes, iv: Some(iv), data }), KeyType::Aes) => {
            f(&Theirs::AesCbcEncryptData(AesCbcDeriveParams::new(*iv, data)))
        }
        (Mechanism::Rsa(_) | Mechanism::Cipher(BlockCipher::Aes, _) | Mechanism::Ec(EcMechanism::Ecdh { .. }), _) => {
            Err(wrong_key().into())
        }
        _ => Err(unsupported().into()),
    }
}

fn with_aes<R, E: From<Error>>(
    mode: &CipherMode,
    what: For,
    f: impl FnOnce(&Theirs<'_>) -> Result<R, E>,
) -> Result<R, E> {
    match (mode, what) {
        (CipherMode::Ecb, For::Data) => f(&Theirs::AesEcb),
        (CipherMode::Cbc { iv }, For::Data) => f(&Theirs::AesCbc(*iv)),
        (CipherMode::CbcPad { iv }, For::Data | For::Keys) => f(&Theirs::AesCbcPad(*iv)),
        (CipherMode::Ctr(ctr), For::Data) => {
            let params = CtrParams { bits: c_ulong::from(ctr.counter_bits), block: ctr.block };
            f(&Theirs::VendorDefined(VendorDefinedMechanism::new(MechanismType::AES_CTR, Some(&params))))
        }
        (CipherMode::Gcm(gcm), For::Data) => {
            let mut iv = gcm.iv.to_vec();
            let bits = c_ulong::try_from(gcm.tag_len * 8).map_err(|_| unsupported())?;
            let params = GcmParams::new(&mut iv, &gcm.aad, bits.into()).map_err(|_| unsupported())?;
            f(&Theirs::AesGcm(params))
        }
        (CipherMode::KeyWrap { iv: [0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6] }, For::Keys) => {
            f(&Theirs::AesKeyWrap)
        }
        (CipherMode::KeyWrapPad, For::Keys) => f(&Theirs::AesKeyWrapPad),
        _ => Err(unsupported().into()),
    }
}

/// The KDF of an ECDH.
fn agreed(kdf: EcdhKdf, info: &[u8]) -> Result<EcKdf<'_>> {
    Ok(match kdf {
        EcdhKdf::Null => EcKdf::null(),
        EcdhKdf::X963(Hash::Sha1) => EcKdf::sha1(info),
        EcdhKdf::X963(Hash::Sha224) => EcKdf::sha224(info),
        EcdhKdf::X963(Hash::Sha256) => EcKdf::sha256(info),
        EcdhKdf::X963(Hash::Sha384) => EcKdf::sha384(info),
        EcdhKdf::X963(Hash::Sha512) => EcKdf::sha512(info),
        EcdhKdf::Concatenation(Hash::Sha256) => EcKdf::sha256_sp800(info),
        EcdhKdf::Concatenation(Hash::Sha384) => EcKdf::sha384_sp800(info),
        EcdhKdf::Concatenation(Hash::Sha512) => EcKdf::sha512_sp800(info),
        _ => return Err(unsupported()),
    })
}

/// The error for what the device does not do.
pub(super) fn unsupported() -> Error {
    Error::new(ErrorKind::MechanismUnsupported, "the HSM does not offer the mechanism for this")
}

pub(super) fn wrong_key() -> Error {
    Error::new(ErrorKind::KeyType, "the key does not fit the mechanism")
}
