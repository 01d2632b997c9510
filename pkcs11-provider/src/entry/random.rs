//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn seed(_session: CK_SESSION_HANDLE, _seed: *mut CK_BYTE, _seed_len: CK_ULONG) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn generate(_session: CK_SESSION_HANDLE, _random: *mut CK_BYTE, _random_len: CK_ULONG) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
