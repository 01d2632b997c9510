//! AES key wrap (SP 800-38F KW and KWP, RFC 3394 and 5649).

use std::mem::MaybeUninit;
use std::os::raw::c_int;

use aws_lc_sys as sys;
use zeroize::Zeroize;

use super::{Failed, check, failed};

/// An expanded AES key on the stack, wiped when dropped.
struct Schedule(sys::AES_KEY);

/// Which direction of AES a schedule serves.
type Expand = unsafe extern "C" fn(*const u8, std::os::raw::c_uint, *mut sys::AES_KEY) -> c_int;

impl Schedule {
    fn new(expand: Expand, key: &[u8]) -> Result<Self, Failed> {
        let bits = match key.len() {
            16 => 128,
            24 => 192,
            32 => 256,
            _ => return Err(Failed),
        };
        let mut schedule = MaybeUninit::<sys::AES_KEY>::zeroed();
        // SAFETY: `expand` is one of aws-lc's two functions of this shape, which read `bits` bits of the key.
        if unsafe { expand(key.as_ptr(), bits, schedule.as_mut_ptr()) } != 0 {
            return Err(failed());
        }
        // SAFETY: all bytes were zero before, which is a valid value of this plain struct.
        Ok(Self(unsafe { schedule.assume_init() }))
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.rd_key.zeroize();
    }
}

/// KW: wraps `input` (a multiple of 8 bytes, at least 16) to `out`, 8 bytes longer.
pub(in super::super) fn kw_wrap(key: &[u8], iv: &[u8; 8], input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
    if out.len() != input.len() + 8 {
        return Err(Failed);
    }
    let schedule = Schedule::new(sys::AES_set_encrypt_key, key)?;
    // SAFETY: the IV has 8 bytes, and `out` the 8 bytes more than `input` that the function writes.
    let n =
        unsafe { sys::AES_wrap_key(&raw const schedule.0, iv.as_ptr(), out.as_mut_ptr(), input.as_ptr(), input.len()) };
    if n < 0 { Err(failed()) } else { Ok(()) }
}

/// KW: unwraps `input` (a multiple of 8 bytes, at least 24) to `out`, 8 bytes shorter; wipes it on failure.
pub(in super::super) fn kw_unwrap(key: &[u8], iv: &[u8; 8], input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
    if out.len() + 8 != input.len() {
        return Err(Failed);
    }
    let schedule = Schedule::new(sys::AES_set_decrypt_key, key)?;
    // SAFETY: the IV has 8 bytes, and `out` the 8 bytes less than `input` that the function writes.
    let n = unsafe {
        sys::AES_unwrap_key(&raw const schedule.0, iv.as_ptr(), out.as_mut_ptr(), input.as_ptr(), input.len())
    };
    if n < 0 {
        out.zeroize();
        return Err(failed());
    }
    Ok(())
}

/// KWP: wraps `input` (any length from 1) to the front of `out`; returns the length.
pub(in super::super) fn kwp_wrap(key: &[u8], input: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
    let schedule = Schedule::new(sys::AES_set_encrypt_key, key)?;
    let mut written = 0;
    // SAFETY: the slices are valid for the lengths given, which the function keeps to.
    check(unsafe {
        sys::AES_wrap_key_padded(
            &raw const schedule.0,
            out.as_mut_ptr(),
            &raw mut written,
            out.len(),
            input.as_ptr(),
            input.len(),
        )
    })?;
    Ok(written)
}

/// KWP: unwraps to the front of `out`, which is wiped on failure; returns the length.
pub(in super::super) fn kwp_unwrap(key: &[u8], input: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
    let schedule = Schedule::new(sys::AES_set_decrypt_key, key)?;
    let mut written = 0;
    // SAFETY: as in `kwp_wrap`.
    let code = unsafe {
        sys::AES_unwrap_key_padded(
            &raw const schedule.0,
            out.as_mut_ptr(),
            &raw mut written,
            out.len(),
            input.as_ptr(),
            input.len(),
        )
    };
    check(code).inspect_err(|_| out.zeroize())?;
    Ok(written)
}
