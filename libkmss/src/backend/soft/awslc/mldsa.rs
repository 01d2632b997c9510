//! ML-DSA (FIPS 204), on the message representative μ that its caller computes.

use std::os::raw::c_int;

use aws_lc_sys as sys;

use super::owned::Owned;
use super::raw::{context, private_of, public_of};
use super::{Failed, check};
use crate::mechanism::MlDsaSet;
use crate::os::apart_from_forks;
use crate::secret::Secret;

/// An ML-DSA public key, perhaps with its private key.
pub(in super::super) struct MlDsa {
    pkey: Owned<sys::EVP_PKEY>,
    set: MlDsaSet,
}

// SAFETY: signing and verifying read the key through contexts of their own; nothing changes it after construction, and
// references to it are counted atomically.
unsafe impl Sync for MlDsa {}

impl MlDsa {
    /// From a seed or an expanded private key, told apart by their lengths. An expanded key is checked: the public key is
    /// computed from it.
    pub(in super::super) fn from_private(set: MlDsaSet, key: &[u8]) -> Result<Self, Failed> {
        // SAFETY: the slice is valid for its length; the function copies.
        let new = unsafe { sys::EVP_PKEY_pqdsa_new_raw_private_key(nid(set), key.as_ptr(), key.len()) };
        // SAFETY: the function's result is ours.
        unsafe { Owned::new(new) }.map(|pkey| Self { pkey, set })
    }

    /// From an encoded public key. Every string of the right length is one.
    pub(in super::super) fn from_public(set: MlDsaSet, key: &[u8]) -> Result<Self, Failed> {
        // SAFETY: the slice is valid for its length; the function copies.
        let new = unsafe { sys::EVP_PKEY_pqdsa_new_raw_public_key(nid(set), key.as_ptr(), key.len()) };
        // SAFETY: the function's result is ours.
        unsafe { Owned::new(new) }.map(|pkey| Self { pkey, set })
    }

    /// The encoded public key.
    pub(in super::super) fn public(&self) -> Result<Vec<u8>, Failed> {
        public_of(&self.pkey, self.set.public_len())
    }

    /// The expanded private key; fails for a public key.
    pub(in super::super) fn expanded(&self) -> Result<Secret, Failed> {
        private_of(&self.pkey, self.set.private_len())
    }

    /// A hedged signature of μ into `out`, which has the length of a signature.
    pub(in super::super) fn sign(&self, mu: &[u8; 64], out: &mut [u8]) -> Result<(), Failed> {
        let ctx = context(&self.pkey)?;
        let mut len = out.len();
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_sign_init(ctx.as_ptr()) })?;
        // SAFETY: the context is alive; both buffers are valid for their lengths, which the function keeps to.
        check(apart_from_forks(|| unsafe {
            sys::EVP_PKEY_sign(ctx.as_ptr(), out.as_mut_ptr(), &raw mut len, mu.as_ptr(), mu.len())
        }))?;
        if len == out.len() { Ok(()) } else { Err(Failed) }
    }

    /// Checks a signature of μ.
    pub(in super::super) fn verify(&self, mu: &[u8; 64], signature: &[u8]) -> Result<(), Failed> {
        let ctx = context(&self.pkey)?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_verify_init(ctx.as_ptr()) })?;
        // SAFETY: the context is alive; both buffers are valid for their lengths.
        check(unsafe { sys::EVP_PKEY_verify(ctx.as_ptr(), signature.as_ptr(), signature.len(), mu.as_ptr(), mu.len()) })
    }
}

const fn nid(set: MlDsaSet) -> c_int {
    match set {
        MlDsaSet::MlDsa44 => sys::NID_MLDSA44,
        MlDsaSet::MlDsa65 => sys::NID_MLDSA65,
        MlDsaSet::MlDsa87 => sys::NID_MLDSA87,
    }
}
