//! Signatures that carry their data.

use cryptoki_sys::*;

use super::{Mech, Res, Session, call};

impl Session {
    /// C_SignRecoverInit.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_recover_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Res<()> {
        // SAFETY: the mechanism outlives the call.
        mechanism.into().with(|m| unsafe { call!(self.module.list, C_SignRecoverInit(self.handle, m, key)) }).ok()
    }

    /// Init and C_SignRecover.
    ///
    /// # Errors
    /// As the module says.
    pub fn sign_recover(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, data: &[u8]) -> Res<Vec<u8>> {
        self.sign_recover_init(mechanism, key)?;
        self.one_shot(self.entry(|l| l.C_SignRecover), data)
    }

    /// C_VerifyRecoverInit.
    ///
    /// # Errors
    /// As the module says.
    pub fn verify_recover_init(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE) -> Res<()> {
        // SAFETY: the mechanism outlives the call.
        mechanism.into().with(|m| unsafe { call!(self.module.list, C_VerifyRecoverInit(self.handle, m, key)) }).ok()
    }

    /// Init and C_VerifyRecover.
    ///
    /// # Errors
    /// As the module says.
    pub fn verify_recover(&self, mechanism: impl Into<Mech>, key: CK_OBJECT_HANDLE, signature: &[u8]) -> Res<Vec<u8>> {
        self.verify_recover_init(mechanism, key)?;
        self.one_shot(self.entry(|l| l.C_VerifyRecover), signature)
    }
}
