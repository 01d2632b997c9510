//! Random numbers (PKCS#11 3.2, 5.19).

use cryptoki_sys::*;
use libkmss::error::ErrorKind;
use libkmss::operation::{DrawRandom, SeedRandom};
use zeroize::Zeroize;

use crate::module;
use crate::raw::pointers::{slice, slice_mut};
use crate::rv::{Result, Rv};

/// C_SeedRandom (5.19.1).
///
/// # Safety
/// `seed` is NULL or valid for `seed_len` bytes.
pub(crate) unsafe fn seed(session: CK_SESSION_HANDLE, seed: *mut CK_BYTE, seed_len: CK_ULONG) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the contract of this function.
    let seed = unsafe { slice(seed, seed_len) }?;
    view.kms.perform(&view.caller, SeedRandom { seed }).map_err(|error| match error.kind() {
        ErrorKind::Unsupported => Rv(CKR_RANDOM_SEED_NOT_SUPPORTED),
        _ => error.into(),
    })
}

/// C_GenerateRandom (5.19.2).
///
/// # Safety
/// `random` is NULL or valid for `random_len` bytes.
pub(crate) unsafe fn generate(session: CK_SESSION_HANDLE, random: *mut CK_BYTE, random_len: CK_ULONG) -> Result<()> {
    let view = module::view(session)?;
    // SAFETY: the contract of this function.
    let out = unsafe { slice_mut(random, random_len) }?;
    let drawn = view.kms.perform(&view.caller, DrawRandom { out: &mut *out });
    if drawn.is_err() {
        out.zeroize();
    }
    Ok(drawn?)
}
