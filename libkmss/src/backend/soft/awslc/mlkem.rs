//! ML-KEM (FIPS 203).

use std::os::raw::c_int;
use std::ptr::null_mut;

use aws_lc_sys as sys;

use super::owned::Owned;
use super::raw::{context, private_of, public_of};
use super::{Failed, check};
use crate::mechanism::MlKemSet;
use crate::os::apart_from_forks;
use crate::secret::Secret;

/// An ML-KEM public key, perhaps with its private key.
pub(in super::super) struct MlKem {
    pkey: Owned<sys::EVP_PKEY>,
    set: MlKemSet,
}

// SAFETY: encapsulation and decapsulation read the key through contexts of their own; nothing changes it after
// construction, and references to it are counted atomically.
unsafe impl Sync for MlKem {}

impl MlKem {
    /// From the seed d ‖ z (FIPS 203, 6.1).
    pub(in super::super) fn from_seed(set: MlKemSet, seed: &[u8]) -> Result<Self, Failed> {
        // SAFETY: a constructor; no engine.
        let ctx = unsafe { Owned::new(sys::EVP_PKEY_CTX_new_id(sys::EVP_PKEY_KEM, null_mut())) }?;
        let (mut new, mut len) = (null_mut(), seed.len());
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_keygen_init(ctx.as_ptr()) })?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_CTX_kem_set_params(ctx.as_ptr(), nid(set)) })?;
        // SAFETY: the context is alive; the seed is valid for its length, of which the function takes only the right one.
        let made = check(unsafe {
            sys::EVP_PKEY_keygen_deterministic(ctx.as_ptr(), &raw mut new, seed.as_ptr(), &raw mut len)
        });
        // SAFETY: what the function left there, also where it failed, is ours or null.
        let pkey = unsafe { Owned::new(new) };
        made.and(pkey).map(|pkey| Self { pkey, set })
    }

    /// From an expanded private key, which is checked (FIPS 203, 7.3) and must work with the public key in it.
    pub(in super::super) fn from_private(set: MlKemSet, key: &[u8]) -> Result<Self, Failed> {
        // FIPS 203, algorithm 16: dk = dkPKE ‖ ek ‖ H(ek) ‖ z, the last two of 32 bytes each.
        let end = key.len().checked_sub(64).ok_or(Failed)?;
        let start = end.checked_sub(set.public_len()).ok_or(Failed)?;
        let public = key.get(start..end).ok_or(Failed)?;
        // SAFETY: both slices are valid for their lengths; the function copies.
        let new =
            unsafe { sys::EVP_PKEY_kem_new_raw_key(nid(set), public.as_ptr(), public.len(), key.as_ptr(), key.len()) };
        // SAFETY: the function's result is ours.
        unsafe { Owned::new(new) }.and_then(|pkey| Self { pkey, set }.checked())
    }

    /// From an encoded public key, which is checked (FIPS 203, 7.2).
    pub(in super::super) fn from_public(set: MlKemSet, key: &[u8]) -> Result<Self, Failed> {
        // SAFETY: the slice is valid for its length; the function copies.
        let new = unsafe { sys::EVP_PKEY_kem_new_raw_public_key(nid(set), key.as_ptr(), key.len()) };
        // SAFETY: the function's result is ours.
        unsafe { Owned::new(new) }.and_then(|pkey| Self { pkey, set }.checked())
    }

    fn checked(self) -> Result<Self, Failed> {
        let ctx = context(&self.pkey)?;
        // SAFETY: the context is alive. Of a pair the function checks both halves, and that they work together.
        check(unsafe { sys::EVP_PKEY_public_check(ctx.as_ptr()) })?;
        Ok(self)
    }

    /// The encoded public key.
    pub(in super::super) fn public(&self) -> Result<Vec<u8>, Failed> {
        public_of(&self.pkey, self.set.public_len())
    }

    /// The expanded private key; fails for a public key.
    pub(in super::super) fn expanded(&self) -> Result<Secret, Failed> {
        private_of(&self.pkey, self.set.private_len())
    }

    /// A fresh shared secret and its ciphertext.
    pub(in super::super) fn encapsulate(&self) -> Result<(Secret, Vec<u8>), Failed> {
        let ctx = context(&self.pkey)?;
        let mut ciphertext = vec![0; self.set.ciphertext_len()];
        let mut ciphertext_len = ciphertext.len();
        let shared = Secret::filled(MlKemSet::SHARED, |shared| {
            let mut len = shared.len();
            // SAFETY: the context is alive; both buffers are valid for their lengths, which the function keeps to.
            check(apart_from_forks(|| unsafe {
                sys::EVP_PKEY_encapsulate(
                    ctx.as_ptr(),
                    ciphertext.as_mut_ptr(),
                    &raw mut ciphertext_len,
                    shared.as_mut_ptr(),
                    &raw mut len,
                )
            }))?;
            if len == shared.len() { Ok(()) } else { Err(Failed) }
        })?;
        if ciphertext_len == ciphertext.len() { Ok((shared, ciphertext)) } else { Err(Failed) }
    }

    /// The shared secret in a ciphertext of the right length; of a wrong one, a secret that nobody else has (implicit
    /// rejection).
    pub(in super::super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, Failed> {
        let ctx = context(&self.pkey)?;
        Secret::filled(MlKemSet::SHARED, |shared| {
            let mut len = shared.len();
            // SAFETY: the context is alive; both buffers are valid for their lengths, which the function keeps to.
            check(unsafe {
                sys::EVP_PKEY_decapsulate(
                    ctx.as_ptr(),
                    shared.as_mut_ptr(),
                    &raw mut len,
                    ciphertext.as_ptr(),
                    ciphertext.len(),
                )
            })?;
            if len == shared.len() { Ok(()) } else { Err(Failed) }
        })
    }
}

const fn nid(set: MlKemSet) -> c_int {
    match set {
        MlKemSet::MlKem512 => sys::NID_MLKEM512,
        MlKemSet::MlKem768 => sys::NID_MLKEM768,
        MlKemSet::MlKem1024 => sys::NID_MLKEM1024,
    }
}
