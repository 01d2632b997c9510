//! AES-256-XTS (SP 800-38E) of one data unit. aws-lc has no XTS with 128-bit keys.

use std::os::raw::c_int;
use std::ptr::null_mut;

use aws_lc_sys as sys;

use super::owned::Owned;
use super::{Failed, check};

/// Encrypts or decrypts `input` (16 bytes to 16 MiB) to `out`, of the same length. Fails where both halves of the 64-byte
/// key are the same.
pub(in super::super) fn xts(
    key: &[u8],
    tweak: &[u8; 16],
    input: &[u8],
    out: &mut [u8],
    encrypt: bool,
) -> Result<(), Failed> {
    let len = c_int::try_from(input.len()).map_err(|_| Failed)?;
    if key.len() != 64 || out.len() != input.len() || input.len() < 16 {
        return Err(Failed);
    }
    // SAFETY: a constructor.
    let ctx = unsafe { Owned::new(sys::EVP_CIPHER_CTX_new()) }?;
    // SAFETY: the key has 64 bytes, as checked, and the tweak the 16 of an IV; the table entry is static; no engine.
    check(unsafe {
        sys::EVP_CipherInit_ex(
            ctx.as_ptr(),
            sys::EVP_aes_256_xts(),
            null_mut(),
            key.as_ptr(),
            tweak.as_ptr(),
            c_int::from(encrypt),
        )
    })?;
    // SAFETY: the context is alive.
    check(unsafe { sys::EVP_CIPHER_CTX_set_padding(ctx.as_ptr(), 0) })?;
    let mut written = 0;
    // SAFETY: XTS writes as many bytes as it reads, and `out` is as long as `input`.
    check(unsafe { sys::EVP_CipherUpdate(ctx.as_ptr(), out.as_mut_ptr(), &raw mut written, input.as_ptr(), len) })?;
    if written == len { Ok(()) } else { Err(Failed) }
}
