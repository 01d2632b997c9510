//! HKDF (RFC 5869).

use aws_lc_sys as sys;

use super::md::md_of;
use super::{Failed, check};
use crate::mechanism::Hash;
use crate::secret::Secret;

/// HKDF-Extract; fails for SM3.
pub(in super::super) fn hkdf_extract(hash: Hash, salt: &[u8], secret: &[u8]) -> Result<Secret, Failed> {
    let md = md_of(hash)?;
    let mut len = 0;
    Secret::filled(hash.len(), |out| {
        // SAFETY: the pseudorandom key has the hash's length, which `out` has; the slices are valid for their lengths.
        check(unsafe {
            sys::HKDF_extract(
                out.as_mut_ptr(),
                &raw mut len,
                md,
                secret.as_ptr(),
                secret.len(),
                salt.as_ptr(),
                salt.len(),
            )
        })
    })
}

/// HKDF-Expand; fails for SM3 and for more than 255 hashes.
pub(in super::super) fn hkdf_expand(hash: Hash, prk: &[u8], info: &[u8], len: usize) -> Result<Secret, Failed> {
    let md = md_of(hash)?;
    Secret::filled(len, |out| {
        // SAFETY: all slices are valid for their lengths.
        check(unsafe {
            sys::HKDF_expand(out.as_mut_ptr(), out.len(), md, prk.as_ptr(), prk.len(), info.as_ptr(), info.len())
        })
    })
}
