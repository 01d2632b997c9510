//! Parameters of mechanisms on elliptic curves (PKCS#11 3.2, 6.3), SM2 included.

use cryptoki_sys::{
    CK_ECDH_AES_KEY_WRAP_PARAMS, CK_ECDH1_DERIVE_PARAMS, CK_EDDSA_PARAMS, CK_FALSE, CK_ULONG, CKD_NULL, CKD_SHA1_KDF,
    CKD_SHA1_KDF_SP800, CKD_SHA3_224_KDF, CKD_SHA3_224_KDF_SP800, CKD_SHA3_256_KDF, CKD_SHA3_256_KDF_SP800,
    CKD_SHA3_384_KDF, CKD_SHA3_384_KDF_SP800, CKD_SHA3_512_KDF, CKD_SHA3_512_KDF_SP800, CKD_SHA224_KDF,
    CKD_SHA224_KDF_SP800, CKD_SHA256_KDF, CKD_SHA256_KDF_SP800, CKD_SHA384_KDF, CKD_SHA384_KDF_SP800, CKD_SHA512_KDF,
    CKD_SHA512_KDF_SP800,
};
use libkmss::backend::Verb;
use libkmss::mechanism::{EcMechanism, EcdhKdf, Hash, Mechanism, Sm2Mechanism};

use super::{INVALID, MAX_BUFFER, Parameter, Plain, aes_len, bounded};
use crate::raw::octet_string;
use crate::rv::Result;

/// Longest SM2 identity (GB/T 32918.2, 5.5: its bit length is two bytes).
const MAX_SM2_ID: usize = 8191;

impl Parameter {
    /// CK_EDDSA_PARAMS (6.3.16). Without it, or with one that says nothing, the scheme is the pure one without context, of
    /// Ed448 too, for which the standard wants the parameter.
    pub(super) fn eddsa(&self) -> Result<Mechanism> {
        if self.len == 0 {
            return Ok(Mechanism::Ec(EcMechanism::PURE_EDDSA));
        }
        let p: CK_EDDSA_PARAMS = self.structure()?;
        let context = self.buffer(p.pContextData, bounded(p.ulContextDataLen, EcMechanism::MAX_CONTEXT)?)?;
        Ok(Mechanism::Ec(EcMechanism::EdDsa { prehash: p.phFlag != CK_FALSE, context }))
    }

    /// CK_ECDH_AES_KEY_WRAP_PARAMS (6.3.21).
    pub(super) fn ecdh_aes_key_wrap(&self) -> Result<Mechanism> {
        let p: CK_ECDH_AES_KEY_WRAP_PARAMS = self.structure()?;
        let (kdf, shared_info) = self.derivation(p.kdf, p.pSharedData, p.ulSharedDataLen)?;
        Ok(Mechanism::Ec(EcMechanism::AesKeyWrap { kdf, shared_info, aes_len: aes_len(p.ulAESKeyBits)? }))
    }

    /// CK_ECDH1_DERIVE_PARAMS (6.3.16). Where keys are encapsulated it names no point: "must be set to NULL and 0" (6.3.17).
    pub(super) fn ecdh(&self, verb: Verb) -> Result<Mechanism> {
        let p: CK_ECDH1_DERIVE_PARAMS = self.structure()?;
        let (kdf, shared_info) = self.derivation(p.kdf, p.pSharedData, p.ulSharedDataLen)?;
        if verb != Verb::Derive {
            if !p.pPublicData.is_null() || p.ulPublicDataLen != 0 {
                return Err(INVALID);
            }
            return Ok(Mechanism::Ec(EcMechanism::Ecdh { kdf, public: Vec::new(), shared_info }));
        }
        let public = self.buffer(p.pPublicData, bounded(p.ulPublicDataLen, 1024)?)?;
        if public.is_empty() {
            return Err(INVALID);
        }
        Ok(Mechanism::Ec(EcMechanism::Ecdh { kdf, public: octet_string::unwrapped(public), shared_info }))
    }

    /// A key derivation function and its shared data, which the bare shared secret has none of.
    fn derivation(&self, number: CK_ULONG, data: *const u8, len: CK_ULONG) -> Result<(EcdhKdf, Vec<u8>)> {
        let kdf = kdf(number).ok_or(INVALID)?;
        let shared_info = self.buffer(data, bounded(len, MAX_BUFFER)?)?;
        if kdf == EcdhKdf::Null && !shared_info.is_empty() { Err(INVALID) } else { Ok((kdf, shared_info)) }
    }

    pub(super) fn sm2_identity(&self) -> Result<Vec<u8>> {
        if self.len > MAX_SM2_ID {
            return Err(INVALID);
        }
        let given = self.bytes()?;
        Ok(if given.is_empty() { Sm2Mechanism::DEFAULT_ID.to_vec() } else { given })
    }
}

impl Plain for CK_EDDSA_PARAMS {}
impl Plain for CK_ECDH1_DERIVE_PARAMS {}
impl Plain for CK_ECDH_AES_KEY_WRAP_PARAMS {}

const fn kdf(number: CK_ULONG) -> Option<EcdhKdf> {
    Some(match number {
        CKD_NULL => EcdhKdf::Null,
        CKD_SHA1_KDF => EcdhKdf::X963(Hash::Sha1),
        CKD_SHA224_KDF => EcdhKdf::X963(Hash::Sha224),
        CKD_SHA256_KDF => EcdhKdf::X963(Hash::Sha256),
        CKD_SHA384_KDF => EcdhKdf::X963(Hash::Sha384),
        CKD_SHA512_KDF => EcdhKdf::X963(Hash::Sha512),
        CKD_SHA3_224_KDF => EcdhKdf::X963(Hash::Sha3_224),
        CKD_SHA3_256_KDF => EcdhKdf::X963(Hash::Sha3_256),
        CKD_SHA3_384_KDF => EcdhKdf::X963(Hash::Sha3_384),
        CKD_SHA3_512_KDF => EcdhKdf::X963(Hash::Sha3_512),
        CKD_SHA1_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha1),
        CKD_SHA224_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha224),
        CKD_SHA256_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha256),
        CKD_SHA384_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha384),
        CKD_SHA512_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha512),
        CKD_SHA3_224_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha3_224),
        CKD_SHA3_256_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha3_256),
        CKD_SHA3_384_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha3_384),
        CKD_SHA3_512_KDF_SP800 => EcdhKdf::Concatenation(Hash::Sha3_512),
        _ => return None,
    })
}
