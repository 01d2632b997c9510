//! Parameters of mechanisms on elliptic curves (PKCS#11 3.2, 6.3), SM2 included.

use cryptoki_sys::{
    CK_ECDH1_DERIVE_PARAMS, CK_EDDSA_PARAMS, CK_FALSE, CK_ULONG, CKD_NULL, CKD_SHA1_KDF, CKD_SHA3_224_KDF,
    CKD_SHA3_256_KDF, CKD_SHA3_384_KDF, CKD_SHA3_512_KDF, CKD_SHA224_KDF, CKD_SHA256_KDF, CKD_SHA384_KDF,
    CKD_SHA512_KDF,
};
use libkmss::mechanism::{EcMechanism, EcdhKdf, Hash, Mechanism, Sm2Mechanism};

use super::{INVALID, MAX_BUFFER, Parameter, Plain, bounded};
use crate::raw::octet_string;
use crate::rv::Result;

/// Longest SM2 identity (GB/T 32918.2, 5.5: its bit length is two bytes).
const MAX_SM2_ID: usize = 8191;

impl Parameter {
    /// No parameter, or one that asks for the pure scheme without context.
    pub(super) fn eddsa(&self) -> Result<Mechanism> {
        if self.len != 0 {
            let p: CK_EDDSA_PARAMS = self.structure()?;
            if p.phFlag != CK_FALSE || p.ulContextDataLen != 0 {
                return Err(INVALID);
            }
        }
        Ok(Mechanism::Ec(EcMechanism::EdDsa))
    }

    pub(super) fn ecdh(&self) -> Result<Mechanism> {
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
