//! Parameters of post-quantum signatures (PKCS#11 3.2, 6.67 and 6.69).

use cryptoki_sys::{
    CK_BYTE, CK_HASH_SIGN_ADDITIONAL_CONTEXT, CK_SIGN_ADDITIONAL_CONTEXT, CK_ULONG, CKH_DETERMINISTIC_REQUIRED,
    CKH_HEDGE_PREFERRED, CKH_HEDGE_REQUIRED,
};
use libkmss::mechanism::{Hedge, PqcHash, PqcInput, PqcSignature};

use super::{INVALID, Parameter, Plain, bounded};
use crate::mechanisms::Given;
use crate::rv::{Result, Rv};

impl Parameter {
    /// CK_SIGN_ADDITIONAL_CONTEXT or none; CK_HASH_SIGN_ADDITIONAL_CONTEXT for ready digests.
    pub(super) fn pqc_signature(&self, given: Given) -> Result<PqcSignature> {
        let input = match given {
            Given::Message => PqcInput::Message,
            Given::Hashed(hash) => PqcInput::Hashed(hash),
            Given::Digest => {
                let p: CK_HASH_SIGN_ADDITIONAL_CONTEXT = self.structure()?;
                let hash = PqcHash::of(self.hash(p.hash)?).ok_or(INVALID)?;
                return self.with_context(PqcInput::Digest(hash), p.hedgeVariant, p.pContext, p.ulContextLen);
            }
        };
        if self.len == 0 {
            return Ok(PqcSignature::plain(input));
        }
        let p: CK_SIGN_ADDITIONAL_CONTEXT = self.structure()?;
        self.with_context(input, p.hedgeVariant, p.pContext, p.ulContextLen)
    }

    fn with_context(
        &self,
        input: PqcInput,
        hedge: CK_ULONG,
        at: *const CK_BYTE,
        len: CK_ULONG,
    ) -> Result<PqcSignature> {
        let hedge = match hedge {
            CKH_HEDGE_PREFERRED => Hedge::Preferred,
            CKH_HEDGE_REQUIRED => Hedge::Required,
            CKH_DETERMINISTIC_REQUIRED => Hedge::Deterministic,
            _ => return Err(INVALID),
        };
        let context = self.buffer(at, bounded(len, PqcSignature::MAX_CONTEXT)?)?;
        PqcSignature::new(input, hedge, context).map_err(Rv::from)
    }
}

impl Plain for CK_SIGN_ADDITIONAL_CONTEXT {}
impl Plain for CK_HASH_SIGN_ADDITIONAL_CONTEXT {}
