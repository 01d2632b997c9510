//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use std::ffi::c_void;

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn slot_list(_present: CK_BBOOL, _slots: *mut CK_SLOT_ID, _count: *mut CK_ULONG) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn slot_info(_slot: CK_SLOT_ID, _info: *mut CK_SLOT_INFO) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn token_info(_slot: CK_SLOT_ID, _info: *mut CK_TOKEN_INFO) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn mechanism_list(
    _slot: CK_SLOT_ID,
    _mechanisms: *mut CK_MECHANISM_TYPE,
    _count: *mut CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn mechanism_info(
    _slot: CK_SLOT_ID,
    _mechanism: CK_MECHANISM_TYPE,
    _info: *mut CK_MECHANISM_INFO,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn init_token(
    _slot: CK_SLOT_ID,
    _pin: *mut CK_UTF8CHAR,
    _pin_len: CK_ULONG,
    _label: *mut CK_UTF8CHAR,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn init_pin(_session: CK_SESSION_HANDLE, _pin: *mut CK_UTF8CHAR, _pin_len: CK_ULONG) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn set_pin(
    _session: CK_SESSION_HANDLE,
    _old: *mut CK_UTF8CHAR,
    _old_len: CK_ULONG,
    _new: *mut CK_UTF8CHAR,
    _new_len: CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn wait_for_slot_event(
    _flags: CK_FLAGS,
    _slot: *mut CK_SLOT_ID,
    _reserved: *mut c_void,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
