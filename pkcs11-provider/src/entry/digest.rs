//! Digests (PKCS#11 3.2, 5.12).

use cryptoki_sys::*;
use libkmss::backend::{Digesting, Verb};
use libkmss::mechanism::Mechanism;
use libkmss::operation::Digest;

use crate::module;
use crate::module::active::Ongoing;
use crate::module::session::{self, Place, Taken};
use crate::raw::mechanism::parse;
use crate::raw::pointers::{Input, Output, reference, slice};
use crate::rv::{Result, Rv};

pub(super) type Hashing = Box<dyn Digesting>;

pub(super) const PLACE: Place<Hashing> = |operations| &mut operations.digest;

/// C_DigestInit (5.12.1). A NULL mechanism cancels.
///
/// # Safety
/// `mechanism` is NULL or a valid mechanism.
pub(crate) unsafe fn init(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM) -> Result<()> {
    if mechanism.is_null() {
        return session::cancel(session, PLACE);
    }
    // SAFETY: the contract of this function.
    let mechanism = unsafe { reference(mechanism) }?;
    session::begin_digest(session, PLACE, |view, precedent| {
        // SAFETY: the mechanism is valid by the contract of this function.
        let Mechanism::Digest(hash) = unsafe { parse(mechanism, Verb::Digest, None, view.profile()) }?.mechanism else {
            return Err(Rv(CKR_MECHANISM_INVALID));
        };
        Ok(Ongoing::digest(view.kms.begin_after(precedent, &view.caller, Digest::new(hash))?, hash))
    })
}

/// C_Digest (5.12.2).
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

/// C_DigestUpdate (5.12.3).
///
/// # Safety
/// `part` is NULL or valid for `part_len` bytes.
pub(crate) unsafe fn update(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    add(operation, unsafe { slice(part, part_len) }?)
}

/// Adds a part and puts the operation back.
pub(super) fn add(mut operation: Taken<Hashing>, part: &[u8]) -> Result<()> {
    operation.parts = true;
    operation.unfinished.update(part, |digesting| digesting.update(part))?;
    operation.keep()
}

/// C_DigestKey (5.12.4): keys do not enter digests here, whose results anybody may read.
///
/// # Safety
/// None.
pub(crate) unsafe fn key(session: CK_SESSION_HANDLE, _key: CK_OBJECT_HANDLE) -> Result<()> {
    module::with_session(session, |_| ())?;
    Err(Rv(CKR_KEY_INDIGESTIBLE))
}

/// C_DigestFinal (5.12.5).
///
/// # Safety
/// `out_len` is NULL or valid, `out` is NULL or valid for `*out_len` bytes.
pub(crate) unsafe fn last(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    finish(operation, &[], unsafe { Output::new(out, out_len) }?)
}

fn finish(mut operation: Taken<Hashing>, data: &[u8], mut out: Output<'_>) -> Result<()> {
    let len = operation.unfinished.running().digest_len();
    out.tell(len);
    if out.is_query() {
        return operation.keep();
    }
    let Some(space) = out.space(len) else {
        operation.keep()?;
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    };
    match operation.unfinished.finish(data, |digesting| digesting.finish(data, space)) {
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
