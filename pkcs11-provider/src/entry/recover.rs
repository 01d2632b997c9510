//! Signatures that carry their data (PKCS#11 3.2, 5.14 and 5.15): single-part functions, for RSA.

use cryptoki_sys::*;
use libkmss::backend::Verb;
use libkmss::operation::{ObjectRef, SignRecover, VerifyRecover};

use super::sign::{self, Signature};
use crate::cipher::{self, Cipher, Length};
use crate::module::active::Ongoing;
use crate::module::session::{self, Place};
use crate::raw::mechanism::parse;
use crate::raw::pointers::{Input, Output, reference};
use crate::rv::{InContext, Result};

const SIGN: Place<Signature> = |operations| &mut operations.sign_recover;
const VERIFY: Place<Cipher> = |operations| &mut operations.verify_recover;

/// C_SignRecoverInit (5.14.1). A NULL mechanism cancels.
///
/// # Safety
/// `mechanism` is NULL or a valid mechanism.
pub(crate) unsafe fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    if mechanism.is_null() {
        return session::cancel(session, SIGN);
    }
    // SAFETY: the contract of this function.
    let mechanism = unsafe { reference(mechanism) }?;
    session::begin(session, SIGN, |view| {
        let key = view.token.objects.resolve_key(key, view)?;
        // SAFETY: the mechanism is valid by the contract of this function.
        let how = unsafe { parse(mechanism, Verb::SignRecover, key.key(), view.profile()) }?;
        let private = key.private;
        let unfinished = view.kms.begin(&view.caller, SignRecover { key: ObjectRef::from(key), how }).for_key()?;
        Ok(Ongoing::with_key(unfinished, view, private))
    })
}

/// C_SignRecover (5.14.2).
///
/// # Safety
/// `data` is NULL or valid for `data_len` bytes, `out_len` NULL or valid, `out` NULL or valid for `*out_len` bytes.
pub(crate) unsafe fn sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let operation = session::take(session, SIGN)?;
    // SAFETY: the contract of this function.
    let out = unsafe { Output::new(out, out_len) }?;
    // SAFETY: the contract of this function.
    let data = unsafe { Input::beside(data, data_len, &out) }?;
    sign::finish(operation, &data, out)
}

/// C_VerifyRecoverInit (5.15.5). A NULL mechanism cancels.
///
/// # Safety
/// `mechanism` is NULL or a valid mechanism.
pub(crate) unsafe fn verify_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    if mechanism.is_null() {
        return session::cancel(session, VERIFY);
    }
    // SAFETY: the contract of this function.
    let mechanism = unsafe { reference(mechanism) }?;
    session::begin(session, VERIFY, |view| {
        let key = view.token.objects.resolve_key(key, view)?;
        // SAFETY: the mechanism is valid by the contract of this function.
        let how = unsafe { parse(mechanism, Verb::VerifyRecover, key.key(), view.profile()) }?;
        let private = key.private;
        let unfinished = view.kms.begin(&view.caller, VerifyRecover { key: ObjectRef::from(key), how }).for_key()?;
        Ok(Ongoing::with_key(unfinished, view, private))
    })
}

/// C_VerifyRecover (5.15.6).
///
/// # Safety
/// `signature` is NULL or valid for `signature_len` bytes, `out_len` NULL or valid, `out` NULL or valid for `*out_len`
/// bytes.
pub(crate) unsafe fn verify(
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let operation = session::take(session, VERIFY)?;
    // SAFETY: the contract of this function.
    let out = unsafe { Output::new(out, out_len) }?;
    // SAFETY: the contract of this function.
    let signature = unsafe { Input::beside(signature, signature_len, &out) }?;
    cipher::whole(operation, &signature, out, Length::Bounded)
}
