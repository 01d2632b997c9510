//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use std::ffi::c_void;

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn open(
    _slot: CK_SLOT_ID,
    _flags: CK_FLAGS,
    _application: *mut c_void,
    _notify: CK_NOTIFY,
    _session: *mut CK_SESSION_HANDLE,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn close(_session: CK_SESSION_HANDLE) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn close_all(_slot: CK_SLOT_ID) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn info(_session: CK_SESSION_HANDLE, _info: *mut CK_SESSION_INFO) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn login(
    _session: CK_SESSION_HANDLE,
    _user: CK_USER_TYPE,
    _pin: *mut CK_UTF8CHAR,
    _pin_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn logout(_session: CK_SESSION_HANDLE) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn login_user(
    _session: CK_SESSION_HANDLE,
    _user: CK_USER_TYPE,
    _pin: *mut CK_UTF8CHAR,
    _pin_len: CK_ULONG,
    _name: *mut CK_UTF8CHAR,
    _name_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn cancel(_session: CK_SESSION_HANDLE, _flags: CK_FLAGS) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
