//! Verifying signatures and MACs (PKCS#11 3.2, 5.15).

use std::sync::Arc;

use cryptoki_sys::*;
use libkmss::backend::{Verb, Verifying};
use libkmss::key::Object;
use libkmss::operation::{ObjectRef, Verify};
use libkmss::pipeline::Precedent;

use crate::module::active::Ongoing;
use crate::module::session::{self, Place, SessionView, Taken};
use crate::raw::mechanism::parse;
use crate::raw::pointers::{reference, slice};
use crate::rv::{InContext, Result, Rv};
use crate::verification;

pub(super) type Verification = Box<dyn Verifying>;

pub(super) const PLACE: Place<Verification> = |operations| &mut operations.verify;

/// C_VerifyInit (5.15.1). A NULL mechanism cancels.
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
    // SAFETY: the contract of this function.
    session::begin_after(session, PLACE, key, |view, key, precedent| unsafe { start(view, key, precedent, mechanism) })
}

/// Begins a verification, perhaps as an earlier one.
///
/// # Safety
/// `mechanism` is valid, with its parameter.
pub(super) unsafe fn start(
    view: &SessionView,
    key: Arc<Object>,
    precedent: Option<Precedent>,
    mechanism: &CK_MECHANISM,
) -> Result<Ongoing<Verification>> {
    // SAFETY: the mechanism is valid by the contract of this function.
    let how = unsafe { parse(mechanism, Verb::Verify, key.key(), view.profile()) }?;
    let two_halves = verification::ecdsa_len(&how.mechanism, &key);
    let private = key.private;
    let operation = Verify { key: ObjectRef::from(key), how };
    let unfinished = view.kms.begin_after(precedent, &view.caller, operation).for_key()?;
    let mut operation = Ongoing::with_key(unfinished, view, private);
    operation.two_halves = two_halves;
    Ok(operation)
}

/// C_Verify (5.15.2).
///
/// # Safety
/// `data` is NULL or valid for `data_len` bytes, `signature` for `signature_len`.
pub(crate) unsafe fn one_shot(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    let (data, signature) = unsafe { (slice(data, data_len)?, slice(signature, signature_len)?) };
    check_single(&operation)?;
    finish(operation, data, signature)
}

/// C_VerifyUpdate (5.15.3).
///
/// # Safety
/// `part` is NULL or valid for `part_len` bytes.
pub(crate) unsafe fn update(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    add(operation, unsafe { slice(part, part_len) }?)
}

/// C_VerifyFinal (5.15.4).
///
/// # Safety
/// `signature` is NULL or valid for `signature_len` bytes.
pub(crate) unsafe fn last(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG) -> Result<()> {
    let operation = session::take(session, PLACE)?;
    // SAFETY: the contract of this function.
    finish(operation, &[], unsafe { slice(signature, signature_len) }?)
}

/// Fails where parts were processed: a one-shot call cannot end them.
pub(super) fn check_single(operation: &Ongoing<Verification>) -> Result<()> {
    if operation.parts { Err(Rv(CKR_OPERATION_ACTIVE)) } else { Ok(()) }
}

/// Adds a part and puts the operation back.
pub(super) fn add(mut operation: Taken<Verification>, part: &[u8]) -> Result<()> {
    operation.check_unlocked()?;
    operation.parts = true;
    operation.unfinished.update(part, |verifying| verifying.update(part))?;
    operation.keep()
}

/// Checks the signature, which ends the operation in any case.
pub(super) fn finish(mut operation: Taken<Verification>, data: &[u8], signature: &[u8]) -> Result<()> {
    operation.check_unlocked()?;
    verification::finish(&mut operation, data, signature)?;
    operation.done();
    Ok(())
}
