//! AES key wrap (SP 800-38F KW and KWP, RFC 3394 and 5649).

use std::os::raw::c_int;

use aws_lc_sys as sys;
use zeroize::Zeroize;

use super::owned::Owned;
use super::{Failed, check, failed};

/// Which direction of AES a schedule serves.
type Expand = unsafe extern "C" fn(*const u8, std::os::raw::c_uint, *mut sys::AES_KEY) -> c_int;

/// An expanded AES key, in memory of aws-lc's, which goes where that is wanted and is wiped when it is freed.
struct Schedule(Owned<sys::AES_KEY>);

// SAFETY: nothing changes after it was made.
unsafe impl Sync for Schedule {}

impl Schedule {
    fn new(expand: Expand, key: &[u8]) -> Result<Self, Failed> {
        let bits = match key.len() {
            16 => 128,
            24 => 192,
            32 => 256,
            _ => return Err(Failed),
        };
        // SAFETY: a plain allocation of the size of the struct, aligned for anything; all zeros are a value of it.
        let schedule = unsafe { Owned::new(sys::OPENSSL_zalloc(size_of::<sys::AES_KEY>()).cast::<sys::AES_KEY>()) }?;
        // SAFETY: `expand` is one of aws-lc's two functions of this shape, which read `bits` bits of the key.
        if unsafe { expand(key.as_ptr(), bits, schedule.as_ptr()) } != 0 {
            return Err(failed());
        }
        Ok(Self(schedule))
    }

    const fn as_ptr(&self) -> *const sys::AES_KEY {
        self.0.as_ptr()
    }
}

/// An AES key that wraps.
pub(in super::super) struct WrapKey(Schedule);

impl WrapKey {
    pub(in super::super) fn new(key: &[u8]) -> Result<Self, Failed> {
        Ok(Self(Schedule::new(sys::AES_set_encrypt_key, key)?))
    }

    /// KW: wraps `input` (a multiple of 8 bytes, at least 16) to `out`, 8 bytes longer.
    pub(in super::super) fn kw(&self, iv: &[u8; 8], input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
        if out.len().checked_sub(8) != Some(input.len()) {
            return Err(Failed);
        }
        // SAFETY: the IV has 8 bytes, and `out` the 8 bytes more than `input` that the function writes.
        let n =
            unsafe { sys::AES_wrap_key(self.0.as_ptr(), iv.as_ptr(), out.as_mut_ptr(), input.as_ptr(), input.len()) };
        if n < 0 { Err(failed()) } else { Ok(()) }
    }

    /// KWP: wraps `input` (any length from 1) to the front of `out`; returns the length.
    pub(in super::super) fn kwp(&self, input: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        let mut written = 0;
        // SAFETY: the slices are valid for the lengths given, which the function keeps to.
        check(unsafe {
            sys::AES_wrap_key_padded(
                self.0.as_ptr(),
                out.as_mut_ptr(),
                &raw mut written,
                out.len(),
                input.as_ptr(),
                input.len(),
            )
        })?;
        Ok(written)
    }
}

/// An AES key that unwraps.
pub(in super::super) struct UnwrapKey(Schedule);

impl UnwrapKey {
    pub(in super::super) fn new(key: &[u8]) -> Result<Self, Failed> {
        Ok(Self(Schedule::new(sys::AES_set_decrypt_key, key)?))
    }

    /// KW: unwraps `input` (a multiple of 8 bytes, at least 24) to `out`, 8 bytes shorter; wipes it on failure.
    pub(in super::super) fn kw(&self, iv: &[u8; 8], input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
        if input.len().checked_sub(8) != Some(out.len()) {
            return Err(Failed);
        }
        // SAFETY: the IV has 8 bytes, and `out` the 8 bytes less than `input` that the function writes.
        let n =
            unsafe { sys::AES_unwrap_key(self.0.as_ptr(), iv.as_ptr(), out.as_mut_ptr(), input.as_ptr(), input.len()) };
        if n < 0 {
            out.zeroize();
            return Err(failed());
        }
        Ok(())
    }

    /// KWP: unwraps to the front of `out`, which is wiped on failure; returns the length.
    pub(in super::super) fn kwp(&self, input: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        let mut written = 0;
        // SAFETY: as in `WrapKey::kwp`.
        let code = unsafe {
            sys::AES_unwrap_key_padded(
                self.0.as_ptr(),
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
}
