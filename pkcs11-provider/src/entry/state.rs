//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn save(_session: CK_SESSION_HANDLE, _state: *mut CK_BYTE, _state_len: *mut CK_ULONG) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn restore(
    _session: CK_SESSION_HANDLE,
    _state: *mut CK_BYTE,
    _state_len: CK_ULONG,
    _encryption_key: CK_OBJECT_HANDLE,
    _authentication_key: CK_OBJECT_HANDLE,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
