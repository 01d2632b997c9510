//! Parameters of RSA mechanisms (PKCS#11 3.2, 6.1).

use cryptoki_sys::{
    CK_RSA_AES_KEY_WRAP_PARAMS, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS, CK_ULONG, CKG_MGF1_SHA1,
    CKG_MGF1_SHA3_224, CKG_MGF1_SHA3_256, CKG_MGF1_SHA3_384, CKG_MGF1_SHA3_512, CKG_MGF1_SHA224, CKG_MGF1_SHA256,
    CKG_MGF1_SHA384, CKG_MGF1_SHA512, CKZ_DATA_SPECIFIED,
};
use libkmss::mechanism::{Hash, Mechanism, Oaep, Pss, RsaMechanism};

use super::{INVALID, MAX_BUFFER, Parameter, Plain, aes_len, bounded};
use crate::rv::Result;

/// Longest PSS salt: the largest modulus.
const MAX_SALT: usize = 1024;

impl Parameter {
    pub(super) fn pss(&self, fixed: Option<Hash>) -> Result<Mechanism> {
        let p: CK_RSA_PKCS_PSS_PARAMS = self.structure()?;
        let hash = self.hash(p.hashAlg)?;
        if fixed.is_some_and(|h| h != hash) {
            return Err(INVALID);
        }
        let salt_len = bounded(p.sLen, MAX_SALT)?;
        let pss = Pss { hash, mgf: mgf(p.mgf).ok_or(INVALID)?, salt_len };
        Ok(Mechanism::Rsa(RsaMechanism::Pss { pss, message: fixed.is_some() }))
    }

    /// A hash of 0 is SHA-1 and a MGF of 0 follows the hash: OpenSSL's pkcs11-provider leaves them out where its caller
    /// named none, meaning the defaults of RFC 8017, A.2.1.
    pub(super) fn oaep(&self) -> Result<Mechanism> {
        self.oaep_parameters().map(|oaep| Mechanism::Rsa(RsaMechanism::Oaep(oaep)))
    }

    /// CK_RSA_AES_KEY_WRAP_PARAMS (6.1.21).
    pub(super) fn rsa_aes_key_wrap(&self) -> Result<Mechanism> {
        let p: CK_RSA_AES_KEY_WRAP_PARAMS = self.structure()?;
        let oaep = self.behind(p.pOAEPParams.cast_const()).oaep_parameters()?;
        Ok(Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep, aes_len: aes_len(p.ulAESKeyBits)? }))
    }

    fn oaep_parameters(&self) -> Result<Oaep> {
        let p: CK_RSA_PKCS_OAEP_PARAMS = self.structure()?;
        let hash = if p.hashAlg == 0 { Hash::Sha1 } else { self.hash(p.hashAlg)? };
        let mgf = if p.mgf == 0 { Some(hash) } else { mgf(p.mgf) }.ok_or(INVALID)?;
        let label = self.buffer(p.pSourceData.cast_const().cast(), bounded(p.ulSourceDataLen, MAX_BUFFER)?)?;
        if p.source != CKZ_DATA_SPECIFIED && !(p.source == 0 && label.is_empty()) {
            return Err(INVALID);
        }
        Ok(Oaep { hash, mgf, label })
    }
}

impl Plain for CK_RSA_AES_KEY_WRAP_PARAMS {}
impl Plain for CK_RSA_PKCS_PSS_PARAMS {}
impl Plain for CK_RSA_PKCS_OAEP_PARAMS {}

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
