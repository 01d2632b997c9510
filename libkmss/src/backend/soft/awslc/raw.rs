//! Keys as the bare bytes that their standards define.

use aws_lc_sys as sys;

use super::owned::Owned;
use super::{Failed, check};
use crate::secret::Secret;

/// The encoded public key, which has `len` bytes.
pub(super) fn public_of(pkey: &Owned<sys::EVP_PKEY>, len: usize) -> Result<Vec<u8>, Failed> {
    let (mut out, mut written) = (vec![0; len], len);
    // SAFETY: the key is alive; the buffer is valid for the length given, which the function keeps to.
    check(unsafe { sys::EVP_PKEY_get_raw_public_key(pkey.as_ptr(), out.as_mut_ptr(), &raw mut written) })?;
    if written == len { Ok(out) } else { Err(Failed) }
}

/// The encoded private key, which has `len` bytes.
pub(super) fn private_of(pkey: &Owned<sys::EVP_PKEY>, len: usize) -> Result<Secret, Failed> {
    Secret::filled(len, |out| {
        let mut written = out.len();
        // SAFETY: the key is alive; the buffer is valid for the length given, which the function keeps to.
        check(unsafe { sys::EVP_PKEY_get_raw_private_key(pkey.as_ptr(), out.as_mut_ptr(), &raw mut written) })?;
        if written == out.len() { Ok(()) } else { Err(Failed) }
    })
}

/// A context to use a key in; the key outlives it, because the context counts its reference.
pub(super) fn context(pkey: &Owned<sys::EVP_PKEY>) -> Result<Owned<sys::EVP_PKEY_CTX>, Failed> {
    // SAFETY: the key is alive; no engine.
    unsafe { Owned::new(sys::EVP_PKEY_CTX_new(pkey.as_ptr(), std::ptr::null_mut())) }
}
