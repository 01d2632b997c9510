//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn digest_encrypt(
    _session: CK_SESSION_HANDLE,
    _part: *mut CK_BYTE,
    _part_len: CK_ULONG,
    _out: *mut CK_BYTE,
    _out_len: *mut CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn decrypt_digest(
    _session: CK_SESSION_HANDLE,
    _part: *mut CK_BYTE,
    _part_len: CK_ULONG,
    _out: *mut CK_BYTE,
    _out_len: *mut CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn sign_encrypt(
    _session: CK_SESSION_HANDLE,
    _part: *mut CK_BYTE,
    _part_len: CK_ULONG,
    _out: *mut CK_BYTE,
    _out_len: *mut CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn decrypt_verify(
    _session: CK_SESSION_HANDLE,
    _part: *mut CK_BYTE,
    _part_len: CK_ULONG,
    _out: *mut CK_BYTE,
    _out_len: *mut CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
