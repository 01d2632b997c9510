//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn verify_signature_init(
    _session: CK_SESSION_HANDLE,
    _mechanism: *mut CK_MECHANISM,
    _key: CK_OBJECT_HANDLE,
    _signature: *mut CK_BYTE,
    _signature_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn verify_signature(
    _session: CK_SESSION_HANDLE,
    _data: *mut CK_BYTE,
    _data_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn verify_signature_update(
    _session: CK_SESSION_HANDLE,
    _part: *mut CK_BYTE,
    _part_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn verify_signature_final(_session: CK_SESSION_HANDLE) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn session_validation_flags(
    _session: CK_SESSION_HANDLE,
    _kind: CK_SESSION_VALIDATION_FLAGS_TYPE,
    _flags: *mut CK_FLAGS,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
