//! Parameters of key derivation (PKCS#11 3.2, 6.62).

use cryptoki_sys::{CK_FALSE, CK_HKDF_PARAMS, CKF_HKDF_SALT_DATA, CKF_HKDF_SALT_NULL};
use libkmss::mechanism::{HkdfSalt, KdfMechanism, Mechanism};

use super::{INVALID, MAX_BUFFER, Parameter, Plain, bounded};
use crate::rv::Result;

impl Parameter {
    /// CK_HKDF_PARAMS (PKCS#11 3.2, 6.62.3). A salt that is a key is not offered.
    pub(super) fn hkdf(&self) -> Result<Mechanism> {
        let p: CK_HKDF_PARAMS = self.structure()?;
        let (extract, expand) = (p.bExtract != CK_FALSE, p.bExpand != CK_FALSE);
        let hash = self.hash(p.prfHashMechanism)?;
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
}

impl Plain for CK_HKDF_PARAMS {}
