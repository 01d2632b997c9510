//! What version 3.2 adds: verification that takes the signature first (PKCS#11 3.2, 5.16), and validation flags.

use cryptoki_sys::*;
use zeroize::Zeroizing;

use super::verify::{self, Verification};
use crate::module;
use crate::module::session::{self, Place};
use crate::raw::pointers::{reference, slice, write};
use crate::rv::{Result, Rv};

const PLACE: Place<Verification> = |operations| &mut operations.verify_signature;

/// Longest signature that is kept; none of any mechanism comes near.
const MAX_SIGNATURE: usize = 1 << 20;

/// C_VerifySignatureInit (5.16.1). A NULL mechanism cancels.
///
/// # Safety
/// `mechanism` is NULL or a valid mechanism, `signature` is NULL or valid for `signature_len` bytes.
pub(crate) unsafe fn verify_signature_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    if mechanism.is_null() {
        return session::cancel(session, PLACE);
    }
    // SAFETY: the contract of this function.
    let (mechanism, signature) = unsafe { (reference(mechanism)?, slice(signature, signature_len)?) };
    if signature.len() > MAX_SIGNATURE {
        return Err(Rv(CKR_SIGNATURE_LEN_RANGE));
    }
    session::begin_after(session, PLACE, key, |view, key, precedent| {
        // SAFETY: the contract of this function.
        let mut operation = unsafe { verify::start(view, key, precedent, mechanism) }?;
        operation.held = Some(Zeroizing::new(signature.to_vec()));
        Ok(operation)
    })
}

/// C_VerifySignature (5.16.2).
///
/// # Safety
/// `data` is NULL or valid for `data_len` bytes.
pub(crate) unsafe fn verify_signature(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
) -> Result<()> {
    let mut operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    let data = unsafe { slice(data, data_len) }?;
    verify::check_single(&operation)?;
    let signature = operation.held.take().unwrap_or_default();
    verify::finish(operation, data, &signature)
}

/// C_VerifySignatureUpdate (5.16.3).
///
/// # Safety
/// `part` is NULL or valid for `part_len` bytes.
pub(crate) unsafe fn verify_signature_update(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    verify::add(operation, unsafe { slice(part, part_len) }?)
}

/// C_VerifySignatureFinal (5.16.4).
///
/// # Safety
/// None.
pub(crate) unsafe fn verify_signature_final(session: CK_SESSION_HANDLE) -> Result<()> {
    let mut operation = session::take(session, PLACE)?;
    let signature = operation.held.take().unwrap_or_default();
    verify::finish(operation, &[], &signature)
}

/// C_GetSessionValidationFlags (5.6.12): nothing here is validated.
///
/// # Safety
/// `flags` is NULL or valid for writes.
pub(crate) unsafe fn session_validation_flags(
    session: CK_SESSION_HANDLE,
    kind: CK_SESSION_VALIDATION_FLAGS_TYPE,
    flags: *mut CK_FLAGS,
) -> Result<()> {
    module::with_session(session, |_| ())?;
    if kind != CKS_LAST_VALIDATION_OK {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    // SAFETY: the contract of this function.
    unsafe { write(flags, 0) }
}
