//! CK_MECHANISM and its parameter structures → mechanisms of the core.
//!
//! Parameters are copied out of the caller's memory once, by [`Parameter`]; everything after that works on copies. A
//! length that is not exactly the structure's, a pointer that is null where bytes are announced, and sizes that no
//! mechanism needs are CKR_MECHANISM_PARAM_INVALID before anything is allocated.

use std::mem::{MaybeUninit, size_of};

use cryptoki_sys::{
    CK_AES_CTR_PARAMS, CK_BYTE, CK_ECDH1_DERIVE_PARAMS, CK_EDDSA_PARAMS, CK_FALSE, CK_GCM_PARAMS, CK_HKDF_PARAMS,
    CK_MECHANISM, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS, CK_ULONG, CKD_NULL, CKD_SHA1_KDF, CKD_SHA3_224_KDF,
    CKD_SHA3_256_KDF, CKD_SHA3_384_KDF, CKD_SHA3_512_KDF, CKD_SHA224_KDF, CKD_SHA256_KDF, CKD_SHA384_KDF,
    CKD_SHA512_KDF, CKF_HKDF_SALT_DATA, CKF_HKDF_SALT_NULL, CKG_MGF1_SHA1, CKG_MGF1_SHA3_224, CKG_MGF1_SHA3_256,
    CKG_MGF1_SHA3_384, CKG_MGF1_SHA3_512, CKG_MGF1_SHA224, CKG_MGF1_SHA256, CKG_MGF1_SHA384, CKG_MGF1_SHA512,
    CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKZ_DATA_SPECIFIED,
};
use libkmss::backend::Verb;
use libkmss::key::Key;
use libkmss::mechanism::{
    BlockCipher, CipherMode, Ctr, EcMechanism, EcdhKdf, Gcm, Hash, HkdfSalt, KdfMechanism, MacMechanism, Mechanism,
    Oaep, Pss, RsaMechanism, Sm2Mechanism,
};
use libkmss::operation::Chosen;

use crate::mechanisms::{self, Length, Mode, Shape};
use crate::rv::{Result, Rv};

use super::octet_string;
use super::template::u64_of;

/// Longest buffer that a parameter may point to (additional data of GCM, labels, info): 16 MiB.
const MAX_BUFFER: usize = 1 << 24;
/// Longest PSS salt: the largest modulus.
const MAX_SALT: usize = 1024;
/// Longest SM2 identity (GB/T 32918.2, 5.5: its bit length is two bytes).
const MAX_SM2_ID: usize = 8191;
const DEFAULT_KW_IV: [u8; 8] = [0xA6; 8];
const DEFAULT_KWP_IV: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];

/// Parses the mechanism that a caller gave for `verb`, with `key` where it uses one (PKCS#11 3.2, 3.5 and the
/// mechanisms' own sections).
///
/// CKR_MECHANISM_INVALID where it is not offered for the verb, CKR_KEY_TYPE_INCONSISTENT where the key does not fit it,
/// CKR_MECHANISM_PARAM_INVALID for parameters that it cannot have.
///
/// # Safety
/// The parameter, and every buffer that the parameter names, is readable for the length given with it.
pub(crate) unsafe fn parse(raw: &CK_MECHANISM, verb: Verb, key: Option<&Key>) -> Result<Chosen> {
    let row = mechanisms::row(raw.mechanism).filter(|r| r.offers(verb)).ok_or(Rv(CKR_MECHANISM_INVALID))?;
    if key.is_some_and(|k| !row.shape.takes(k.key_type)) {
        return Err(Rv(CKR_KEY_TYPE_INCONSISTENT));
    }
    let parameter = Parameter::new(raw)?;
    let mechanism = match row.shape {
        Shape::Generate(key_type) => parameter.absent(Mechanism::Generate(key_type)),
        Shape::Digest(hash) => parameter.absent(Mechanism::Digest(hash)),
        Shape::RsaPkcs => parameter.absent(Mechanism::Rsa(RsaMechanism::Pkcs)),
        Shape::RsaX509 => parameter.absent(Mechanism::Rsa(RsaMechanism::X509)),
        Shape::RsaPkcsHash(hash) => parameter.absent(Mechanism::Rsa(RsaMechanism::PkcsHash(hash))),
        Shape::Pss(hash) => parameter.pss(hash),
        Shape::Oaep => parameter.oaep(),
        Shape::Ecdsa(hash) => parameter.absent(Mechanism::Ec(EcMechanism::Ecdsa { hash })),
        Shape::EdDsa => parameter.eddsa(),
        Shape::Ecdh => parameter.ecdh(),
        Shape::Hkdf => parameter.hkdf(),
        Shape::Sm2Digest => parameter.absent(Mechanism::Sm2(Sm2Mechanism::SignDigest)),
        Shape::Sm2Message => parameter.sm2_identity(),
        Shape::Sm2Encrypt => parameter.absent(Mechanism::Sm2(Sm2Mechanism::Encrypt)),
        Shape::Cipher(cipher, mode) => parameter.cipher(mode).map(|m| Mechanism::Cipher(cipher, m)),
        Shape::Hmac(hash, length) => {
            parameter.mac_length(length, hash.len()).map(|len| Mechanism::Mac(MacMechanism::Hmac { hash, len }))
        }
        Shape::Cmac(length) => parameter
            .mac_length(length, BlockCipher::BLOCK)
            .map(|len| Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len })),
    }?;
    Ok(Chosen { mechanism, number: Some(u64_of(raw.mechanism)) })
}

const INVALID: Rv = Rv(CKR_MECHANISM_PARAM_INVALID);

/// The parameter of a mechanism, still in the caller's memory.
///
/// INVARIANT: made by [`parse`] alone, whose contract says that the parameter and the buffers it names are readable.
struct Parameter {
    at: *const CK_BYTE,
    len: usize,
}

impl Parameter {
    fn new(raw: &CK_MECHANISM) -> Result<Self> {
        let len = usize::try_from(raw.ulParameterLen).map_err(|_| INVALID)?;
        if (raw.pParameter.is_null() && len != 0) || len > MAX_BUFFER {
            return Err(INVALID);
        }
        Ok(Self { at: raw.pParameter.cast_const().cast(), len })
    }

    /// `value`, where no parameter was given.
    fn absent<T>(&self, value: T) -> Result<T> {
        if self.len == 0 { Ok(value) } else { Err(INVALID) }
    }

    /// A copy of the parameter's bytes.
    fn bytes(&self) -> Result<Vec<u8>> {
        self.buffer(self.at, self.len)
    }

    /// A copy of the parameter as one of the structures of PKCS#11.
    fn structure<T: Plain>(&self) -> Result<T> {
        if self.at.is_null() || self.len != size_of::<T>() {
            return Err(INVALID);
        }
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: the parameter is readable for `len` bytes by the contract of `parse`, `len` is the size of T, and a
        // fresh local does not overlap it. T is `Plain`: every bit pattern of its fields is a value of its type.
        unsafe {
            std::ptr::copy_nonoverlapping(self.at, copy.as_mut_ptr().cast::<CK_BYTE>(), size_of::<T>());
            Ok(copy.assume_init())
        }
    }

    /// A copy of a buffer that the parameter names (or of itself); `len` was bounded before.
    #[expect(clippy::unused_self, reason = "the receiver is the proof that `parse` was given readable buffers")]
    fn buffer(&self, at: *const CK_BYTE, len: usize) -> Result<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        if at.is_null() {
            return Err(INVALID);
        }
        // SAFETY: not null, and readable for `len` bytes by the contract of `parse` (see the type's invariant); bytes
        // need no alignment.
        Ok(unsafe { std::slice::from_raw_parts(at, len) }.to_vec())
    }

    fn pss(&self, fixed: Option<Hash>) -> Result<Mechanism> {
        let p: CK_RSA_PKCS_PSS_PARAMS = self.structure()?;
        let hash = mechanisms::hash(p.hashAlg).ok_or(INVALID)?;
        if fixed.is_some_and(|h| h != hash) {
            return Err(INVALID);
        }
        let salt_len = bounded(p.sLen, MAX_SALT)?;
        let pss = Pss { hash, mgf: mgf(p.mgf).ok_or(INVALID)?, salt_len };
        Ok(Mechanism::Rsa(RsaMechanism::Pss { pss, message: fixed.is_some() }))
    }

    /// A hash of 0 is SHA-1 and a MGF of 0 follows the hash: OpenSSL's pkcs11-provider leaves them out where its caller
    /// named none, meaning the defaults of RFC 8017, A.2.1.
    fn oaep(&self) -> Result<Mechanism> {
        let p: CK_RSA_PKCS_OAEP_PARAMS = self.structure()?;
        let hash = if p.hashAlg == 0 { Some(Hash::Sha1) } else { mechanisms::hash(p.hashAlg) }.ok_or(INVALID)?;
        let mgf = if p.mgf == 0 { Some(hash) } else { mgf(p.mgf) }.ok_or(INVALID)?;
        let label = self.buffer(p.pSourceData.cast_const().cast(), bounded(p.ulSourceDataLen, MAX_BUFFER)?)?;
        if p.source != CKZ_DATA_SPECIFIED && !(p.source == 0 && label.is_empty()) {
            return Err(INVALID);
        }
        Ok(Mechanism::Rsa(RsaMechanism::Oaep(Oaep { hash, mgf, label })))
    }

    /// No parameter, or one that asks for the pure scheme without context.
    fn eddsa(&self) -> Result<Mechanism> {
        if self.len != 0 {
            let p: CK_EDDSA_PARAMS = self.structure()?;
            if p.phFlag != CK_FALSE || p.ulContextDataLen != 0 {
                return Err(INVALID);
            }
        }
        Ok(Mechanism::Ec(EcMechanism::EdDsa))
    }

    fn ecdh(&self) -> Result<Mechanism> {
        let p: CK_ECDH1_DERIVE_PARAMS = self.structure()?;
        let kdf = kdf(p.kdf).ok_or(INVALID)?;
        let shared_info = self.buffer(p.pSharedData, bounded(p.ulSharedDataLen, MAX_BUFFER)?)?;
        if kdf == EcdhKdf::Null && !shared_info.is_empty() {
            return Err(INVALID);
        }
        let public = self.buffer(p.pPublicData, bounded(p.ulPublicDataLen, 1024)?)?;
        if public.is_empty() {
            return Err(INVALID);
        }
        Ok(Mechanism::Ec(EcMechanism::Ecdh { kdf, public: octet_string::unwrapped(public), shared_info }))
    }

    /// CK_HKDF_PARAMS (PKCS#11 3.2, 6.62.3). A salt that is a key is not offered.
    fn hkdf(&self) -> Result<Mechanism> {
        let p: CK_HKDF_PARAMS = self.structure()?;
        let (extract, expand) = (p.bExtract != CK_FALSE, p.bExpand != CK_FALSE);
        let hash = mechanisms::hash(p.prfHashMechanism).ok_or(INVALID)?;
        if !extract && !expand {
            return Err(INVALID);
        }
        let salt = match p.ulSaltType {
            CKF_HKDF_SALT_NULL => HkdfSalt::Zeros,
            CKF_HKDF_SALT_DATA => HkdfSalt::Bytes(self.buffer(p.pSalt, bounded(p.ulSaltLen, MAX_BUFFER)?)?),
            // An expansion alone looks at no salt, and callers leave the type at 0 then.
            0 if !extract => HkdfSalt::Zeros,
            _ => return Err(INVALID),
        };
        let info = self.buffer(p.pInfo, bounded(p.ulInfoLen, MAX_BUFFER)?)?;
        Ok(Mechanism::Kdf(KdfMechanism::Hkdf { hash, extract, expand, salt, info }))
    }

    fn sm2_identity(&self) -> Result<Mechanism> {
        if self.len > MAX_SM2_ID {
            return Err(INVALID);
        }
        let given = self.bytes()?;
        let id = if given.is_empty() { Sm2Mechanism::DEFAULT_ID.to_vec() } else { given };
        Ok(Mechanism::Sm2(Sm2Mechanism::SignSm3 { id }))
    }

    fn cipher(&self, mode: Mode) -> Result<CipherMode> {
        let iv = || self.bytes()?.try_into().map_err(|_| INVALID);
        Ok(match mode {
            Mode::Ecb => self.absent(CipherMode::Ecb)?,
            Mode::Cbc => CipherMode::Cbc { iv: iv()? },
            Mode::CbcPad => CipherMode::CbcPad { iv: iv()? },
            Mode::Ctr => self.ctr()?,
            Mode::Gcm => self.gcm()?,
            Mode::KeyWrap if self.len == 0 => CipherMode::KeyWrap { iv: DEFAULT_KW_IV },
            Mode::KeyWrap => CipherMode::KeyWrap { iv: self.bytes()?.try_into().map_err(|_| INVALID)? },
            Mode::KeyWrapPad if self.len == 0 || self.bytes()? == DEFAULT_KWP_IV => CipherMode::KeyWrapPad,
            Mode::KeyWrapPad => return Err(INVALID),
        })
    }

    fn ctr(&self) -> Result<CipherMode> {
        let p: CK_AES_CTR_PARAMS = self.structure()?;
        let counter_bits = u32::try_from(p.ulCounterBits).map_err(|_| INVALID)?;
        if !(1..=128).contains(&counter_bits) {
            return Err(INVALID);
        }
        Ok(CipherMode::Ctr(Ctr { counter_bits, block: p.cb }))
    }

    /// CK_GCM_PARAMS; `ulIvBits` may be 0 or say the same as `ulIvLen`.
    fn gcm(&self) -> Result<CipherMode> {
        let p: CK_GCM_PARAMS = self.structure()?;
        let iv_len = bounded(p.ulIvLen, 256)?;
        let tag_bits = bounded(p.ulTagBits, 128)?;
        let tag_fits = matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128);
        let bits_agree = p.ulIvBits == 0 || p.ulIvBits == p.ulIvLen.saturating_mul(8);
        if iv_len == 0 || !tag_fits || !bits_agree {
            return Err(INVALID);
        }
        let aad = self.buffer(p.pAAD, bounded(p.ulAADLen, MAX_BUFFER)?)?;
        Ok(CipherMode::Gcm(Gcm { iv: self.buffer(p.pIv, iv_len)?, aad, tag_len: tag_bits / 8 }))
    }

    fn mac_length(&self, length: Length, full: usize) -> Result<usize> {
        match length {
            Length::Full => self.absent(full),
            Length::General => {
                let len = bounded(self.structure::<CK_ULONG>()?, full)?;
                if len == 0 { Err(INVALID) } else { Ok(len) }
            }
        }
    }
}

/// Structures whose fields are integers, bytes and raw pointers only, so that any bytes make a value.
trait Plain: Copy {}
impl Plain for CK_ULONG {}
impl Plain for CK_RSA_PKCS_PSS_PARAMS {}
impl Plain for CK_RSA_PKCS_OAEP_PARAMS {}
impl Plain for CK_EDDSA_PARAMS {}
impl Plain for CK_ECDH1_DERIVE_PARAMS {}
impl Plain for CK_HKDF_PARAMS {}
impl Plain for CK_AES_CTR_PARAMS {}
impl Plain for CK_GCM_PARAMS {}

fn bounded(value: CK_ULONG, max: usize) -> Result<usize> {
    usize::try_from(value).ok().filter(|v| *v <= max).ok_or(INVALID)
}

const fn mgf(number: CK_ULONG) -> Option<Hash> {
    Some(match number {
        CKG_MGF1_SHA1 => Hash::Sha1,
        CKG_MGF1_SHA224 => Hash::Sha224,
        CKG_MGF1_SHA256 => Hash::Sha256,
        CKG_MGF1_SHA384 => Hash::Sha384,
        CKG_MGF1_SHA512 => Hash::Sha512,
        CKG_MGF1_SHA3_224 => Hash::Sha3_224,
        CKG_MGF1_SHA3_256 => Hash::Sha3_256,
        CKG_MGF1_SHA3_384 => Hash::Sha3_384,
        CKG_MGF1_SHA3_512 => Hash::Sha3_512,
        _ => return None,
    })
}

const fn kdf(number: CK_ULONG) -> Option<EcdhKdf> {
    Some(EcdhKdf::X963(match number {
        CKD_NULL => return Some(EcdhKdf::Null),
        CKD_SHA1_KDF => Hash::Sha1,
        CKD_SHA224_KDF => Hash::Sha224,
        CKD_SHA256_KDF => Hash::Sha256,
        CKD_SHA384_KDF => Hash::Sha384,
        CKD_SHA512_KDF => Hash::Sha512,
        CKD_SHA3_224_KDF => Hash::Sha3_224,
        CKD_SHA3_256_KDF => Hash::Sha3_256,
        CKD_SHA3_384_KDF => Hash::Sha3_384,
        CKD_SHA3_512_KDF => Hash::Sha3_512,
        _ => return None,
    }))
}

#[cfg(test)]
#[path = "mechanism_tests.rs"]
mod tests;
