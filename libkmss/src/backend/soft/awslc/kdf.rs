//! HKDF (RFC 5869), PBKDF2 (RFC 8018) and the pseudorandom function of TLS 1.2 (RFC 5246).

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

/// PBKDF2 with HMAC; fails for SM3 and for no iterations.
pub(in super::super) fn pbkdf2(
    hash: Hash,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    len: usize,
) -> Result<Secret, Failed> {
    let md = md_of(hash)?;
    Secret::filled(len, |out| {
        // SAFETY: all slices are valid for their lengths, the table entry is static.
        check(unsafe {
            sys::PKCS5_PBKDF2_HMAC(
                password.as_ptr().cast(),
                password.len(),
                salt.as_ptr(),
                salt.len(),
                iterations,
                md,
                out.len(),
                out.as_mut_ptr(),
            )
        })
    })
}

/// The pseudorandom function of TLS 1.2 (RFC 5246, section 5) over `label` and the seeds one after the other; fails for
/// SM3.
pub(in super::super) fn tls12_prf(
    hash: Hash,
    secret: &[u8],
    label: &[u8],
    seeds: (&[u8], &[u8]),
    len: usize,
) -> Result<Secret, Failed> {
    let md = md_of(hash)?;
    Secret::filled(len, |out| {
        // SAFETY: all slices are valid for their lengths, the table entry is static.
        check(unsafe {
            sys::CRYPTO_tls1_prf(
                md,
                out.as_mut_ptr(),
                out.len(),
                secret.as_ptr(),
                secret.len(),
                label.as_ptr().cast(),
                label.len(),
                seeds.0.as_ptr(),
                seeds.0.len(),
                seeds.1.as_ptr(),
                seeds.1.len(),
            )
        })
    })
}
