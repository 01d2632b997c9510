//! Operation state (PKCS#11 3.2, 5.6.6 and 5.6.7), for digests: what cloning a message digest in Java asks for.
//!
//! A saved state never leaves the process. What the caller gets is a random reference to it, good for as long as it is
//! among the newest [`KEPT`]; to another process it means nothing (`CKR_SAVED_STATE_INVALID`).

use std::collections::VecDeque;

use cryptoki_sys::*;
use libkmss::backend::Digesting;
use libkmss::error::ErrorKind;
use libkmss::mechanism::Hash;
use libkmss::operation::{Digest, DrawRandom};
use libkmss::os::{Lock, Rank};
use once_cell::race::OnceBox;

use super::digest::PLACE;
use crate::module;
use crate::module::active::Ongoing;
use crate::module::session;
use crate::raw::pointers::{Output, slice};
use crate::rv::{Result, Rv};

/// How many states are kept; the oldest goes first. Callers restore within moments of saving.
const KEPT: usize = 256;

/// Length of the reference a caller gets.
const REFERENCE_LEN: usize = 32;

struct Saved {
    reference: [u8; REFERENCE_LEN],
    hash: Hash,
    digest: Box<dyn Digesting>,
}

static SAVED: OnceBox<Lock<VecDeque<Saved>>> = OnceBox::new();

fn saved() -> &'static Lock<VecDeque<Saved>> {
    SAVED.get_or_init(|| Box::new(Lock::new(Rank::DoorShard, VecDeque::new())))
}

/// Forgets all saved states, for C_Finalize.
pub(crate) fn forget() {
    let states = std::mem::take(&mut *saved().lock());
    drop(states);
}

/// C_GetOperationState (5.6.6). `CKR_STATE_UNSAVEABLE` while anything with a key is under way.
///
/// # Safety
/// `state_len` is NULL or valid, `state` is NULL or valid for `*state_len` bytes.
pub(crate) unsafe fn save(session: CK_SESSION_HANDLE, state: *mut CK_BYTE, state_len: *mut CK_ULONG) -> Result<()> {
    let view = module::view(session)?;
    if module::with_session(session, |s| s.operations.has_keyed())? {
        return Err(Rv(CKR_STATE_UNSAVEABLE));
    }
    let operation = session::take(session, PLACE)?;
    let forked = operation.unfinished.running().fork();
    let hash = operation.hash;
    // Whatever comes of saving, the digest itself goes on.
    operation.keep()?;
    // SAFETY: the contract of this function.
    let mut out = unsafe { Output::new(state, state_len) }?;
    out.tell(REFERENCE_LEN);
    if out.is_query() {
        return Ok(());
    }
    if out.capacity() < REFERENCE_LEN {
        return Err(Rv(CKR_BUFFER_TOO_SMALL));
    }
    let digest = forked.map_err(|error| match error.kind() {
        ErrorKind::Unsupported => Rv(CKR_STATE_UNSAVEABLE),
        _ => error.into(),
    })?;
    let hash = hash.ok_or(Rv(CKR_STATE_UNSAVEABLE))?;
    let mut reference = [0; REFERENCE_LEN];
    view.kms.perform(&view.caller, DrawRandom { out: &mut reference })?;
    let oldest = {
        let mut states = saved().lock();
        states.push_back(Saved { reference, hash, digest });
        if states.len() > KEPT { states.pop_front() } else { None }
    };
    drop(oldest);
    out.put(&reference);
    Ok(())
}

/// C_SetOperationState (5.6.7). A digest under way in the session gives way.
///
/// # Safety
/// `state` is NULL or valid for `state_len` bytes.
pub(crate) unsafe fn restore(
    session: CK_SESSION_HANDLE,
    state: *mut CK_BYTE,
    state_len: CK_ULONG,
    encryption_key: CK_OBJECT_HANDLE,
    authentication_key: CK_OBJECT_HANDLE,
) -> Result<()> {
    module::with_session(session, |_| ())?;
    if encryption_key != CK_INVALID_HANDLE || authentication_key != CK_INVALID_HANDLE {
        return Err(Rv(CKR_KEY_NOT_NEEDED));
    }
    // SAFETY: the contract of this function.
    let reference = unsafe { slice(state, state_len) }?;
    let found = saved().lock().iter().find(|s| s.reference == reference).map(|s| (s.hash, s.digest.fork()));
    let (hash, digest) = found.ok_or(Rv(CKR_SAVED_STATE_INVALID))?;
    let digest = digest?;
    match session::cancel(session, PLACE) {
        Ok(()) | Err(Rv(CKR_OPERATION_NOT_INITIALIZED)) => {}
        Err(other) => return Err(other),
    }
    session::begin(session, PLACE, |view| {
        let mut operation = Ongoing::digest(view.kms.begin(&view.caller, Digest::new(hash))?, hash);
        operation.unfinished.resume(|running| {
            *running = digest;
            Ok(())
        })?;
        operation.parts = true;
        Ok(operation)
    })
}
