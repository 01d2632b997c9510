//! Signing and MACs (PKCS#11 3.2, 5.13).

use cryptoki_sys::*;
use libkmss::backend::{Signing, Verb, within};
use libkmss::operation::{ObjectRef, Sign};

use crate::module::active::Ongoing;
use crate::module::session::{self, Place, Taken};
use crate::raw::mechanism::parse;
use crate::raw::pointers::{Input, Output, reference, slice};
use crate::rv::{InContext, Result, Rv};

pub(super) type Signature = Box<dyn Signing>;

pub(super) const PLACE: Place<Signature> = |operations| &mut operations.sign;

/// C_SignInit (5.13.1). A NULL mechanism cancels.
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
        let how = unsafe { parse(mechanism, Verb::Sign, key.key(), view.profile()) }?;
        let private = key.private;
        let operation = Sign { key: ObjectRef::from(key), how };
        let unfinished = view.kms.begin_after(precedent, &view.caller, operation).for_key()?;
        Ok(Ongoing::with_key(unfinished, view, private))
    })
}

/// C_Sign (5.13.2).
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
    if operation.parts {
        return Err(Rv(CKR_OPERATION_ACTIVE));
    }
    finish(operation, &data, out)
}

/// C_SignUpdate (5.13.3).
///
/// # Safety
/// `part` is NULL or valid for `part_len` bytes.
pub(crate) unsafe fn update(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    add(operation, unsafe { slice(part, part_len) }?)
}

/// C_SignFinal (5.13.4).
///
/// # Safety
/// `out_len` is NULL or valid, `out` is NULL or valid for `*out_len` bytes.
pub(crate) unsafe fn last(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    let out = unsafe { Output::new(out, out_len) }?;
    finish(operation, &[], out)
}

/// Adds a part and puts the operation back.
pub(super) fn add(mut operation: Taken<Signature>, part: &[u8]) -> Result<()> {
    operation.check_unlocked()?;
    operation.parts = true;
    operation.unfinished.update(part, |signing| signing.update(part))?;
    operation.keep()
}

/// Signs what was added and `data`, which ends the operation unless only the length was asked for or does not fit.
pub(super) fn finish(mut operation: Taken<Signature>, data: &[u8], mut out: Output<'_>) -> Result<()> {
    let len = operation.unfinished.running().signature_len();
    out.tell(len);
    if out.is_query() {
        return operation.keep();
    }
    let Some(space) = out.space(len) else {
        operation.keep()?;
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    };
    operation.check_unlocked()?;
    let written = operation.unfinished.finish(data, |signing| {
        if !data.is_empty() {
            signing.update(data)?;
        }
        within(len, signing.finish(space))
    });
    match written {
        Ok(written) => {
            out.tell(written);
            operation.done();
            Ok(())
        }
        Err(error) => {
            out.wipe(len);
            Err(error.into())
        }
    }
}
