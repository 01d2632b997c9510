//! Placeholder until the real file is merged.
#![allow(missing_docs)]

use cryptoki_sys::*;

use crate::rv::{Result, Rv};

pub(crate) unsafe fn generate(
    _session: CK_SESSION_HANDLE,
    _mechanism: *mut CK_MECHANISM,
    _template: *mut CK_ATTRIBUTE,
    _count: CK_ULONG,
    _key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn generate_pair(
    _session: CK_SESSION_HANDLE,
    _mechanism: *mut CK_MECHANISM,
    _public: *mut CK_ATTRIBUTE,
    _public_count: CK_ULONG,
    _private: *mut CK_ATTRIBUTE,
    _private_count: CK_ULONG,
    _public_key: *mut CK_OBJECT_HANDLE,
    _private_key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn wrap(
    _session: CK_SESSION_HANDLE,
    _mechanism: *mut CK_MECHANISM,
    _wrapping: CK_OBJECT_HANDLE,
    _key: CK_OBJECT_HANDLE,
    _wrapped: *mut CK_BYTE,
    _wrapped_len: *mut CK_ULONG,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn unwrap(
    _session: CK_SESSION_HANDLE,
    _mechanism: *mut CK_MECHANISM,
    _unwrapping: CK_OBJECT_HANDLE,
    _wrapped: *mut CK_BYTE,
    _wrapped_len: CK_ULONG,
    _template: *mut CK_ATTRIBUTE,
    _count: CK_ULONG,
    _key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}

pub(crate) unsafe fn derive(
    _session: CK_SESSION_HANDLE,
    _mechanism: *mut CK_MECHANISM,
    _base: CK_OBJECT_HANDLE,
    _template: *mut CK_ATTRIBUTE,
    _count: CK_ULONG,
    _key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    Err(Rv(CKR_FUNCTION_NOT_SUPPORTED))
}
