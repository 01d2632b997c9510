//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn init(
    _session: CK_SESSION_HANDLE,
    _mechanism: *mut CK_MECHANISM,
    _key: CK_OBJECT_HANDLE,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn one_shot(
    _session: CK_SESSION_HANDLE,
    _data: *mut CK_BYTE,
    _data_len: CK_ULONG,
    _signature: *mut CK_BYTE,
    _signature_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn update(_session: CK_SESSION_HANDLE, _part: *mut CK_BYTE, _part_len: CK_ULONG) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn last(
    _session: CK_SESSION_HANDLE,
    _signature: *mut CK_BYTE,
    _signature_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
