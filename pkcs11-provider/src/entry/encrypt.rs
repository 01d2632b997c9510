//! Encryption (PKCS#11 3.2, 5.8).

use cryptoki_sys::*;
use libkmss::backend::Verb;
use libkmss::operation::{Encrypt, ObjectRef};

use crate::cipher::{self, Cipher, Length};
use crate::module::active::Ongoing;
use crate::module::session::{self, Place};
use crate::raw::mechanism::parse;
use crate::raw::pointers::{Input, Output, reference};
use crate::rv::{InContext, Result};

pub(super) const PLACE: Place<Cipher> = |operations| &mut operations.encrypt;

/// C_EncryptInit (5.8.1). A NULL mechanism cancels.
///
/// # Safety
/// `mechanism` is NULL or a valid mechanism.
pub(crate) unsafe fn init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    if mechanism.is_null() {
        return session::cancel(session, PLACE);
    }
    // SAFETY: the contract of this function.
    let mechanism = unsafe { reference(mechanism) }?;
    session::begin_after(session, PLACE, key, |view, key, precedent| {
        // SAFETY: the mechanism is valid by the contract of this function.
        let how = unsafe { parse(mechanism, Verb::Encrypt, key.key(), view.profile()) }?;
        let private = key.private;
        let operation = Encrypt { key: ObjectRef::from(key), how };
        let unfinished = view.kms.begin_after(precedent, &view.caller, operation).for_key()?;
        Ok(Ongoing::with_key(unfinished, view, private))
    })
}

/// C_Encrypt (5.8.2).
///
/// # Safety
/// `data` is NULL or valid for `data_len` bytes, `out_len` NULL or valid, `out` NULL or valid for `*out_len` bytes.
pub(crate) unsafe fn one_shot(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    let out = unsafe { Output::new(out, out_len) }?;
    // SAFETY: the contract of this function.
    let data = unsafe { Input::beside(data, data_len, &out) }?;
    cipher::whole(operation, &data, out, Length::Known)
}

/// C_EncryptUpdate (5.8.3).
///
/// # Safety
/// As [`one_shot`].
pub(crate) unsafe fn update(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    let mut out = unsafe { Output::new(out, out_len) }?;
    // SAFETY: the contract of this function.
    let part = unsafe { Input::beside(part, part_len, &out) }?;
    cipher::part(operation, &part, &mut out).map(|_| ())
}

/// C_EncryptFinal (5.8.4).
///
/// # Safety
/// `out_len` is NULL or valid, `out` is NULL or valid for `*out_len` bytes.
pub(crate) unsafe fn last(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    cipher::last(operation, &[], unsafe { Output::new(out, out_len) }?, Length::Known)
}
