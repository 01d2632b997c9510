//! SHAKE128 and SHAKE256 (FIPS 202).

use std::ptr::null_mut;

use aws_lc_sys as sys;

use super::owned::Owned;
use super::{Failed, check};

/// An extendable output under way.
pub(in super::super) struct Xof(Owned<sys::EVP_MD_CTX>);

impl Xof {
    pub(in super::super) fn shake128() -> Result<Self, Failed> {
        // SAFETY: returns a pointer to a static table.
        Self::new(unsafe { sys::EVP_shake128() })
    }

    pub(in super::super) fn shake256() -> Result<Self, Failed> {
        // SAFETY: returns a pointer to a static table.
        Self::new(unsafe { sys::EVP_shake256() })
    }

    fn new(md: *const sys::EVP_MD) -> Result<Self, Failed> {
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::EVP_MD_CTX_new()) }?;
        // SAFETY: the context is alive, the table entry static; no engine.
        check(unsafe { sys::EVP_DigestInit_ex(ctx.as_ptr(), md, null_mut()) })?;
        Ok(Self(ctx))
    }

    pub(in super::super) fn update(&mut self, data: &[u8]) -> Result<(), Failed> {
        // SAFETY: the context is alive and the slice is valid for its length.
        check(unsafe { sys::EVP_DigestUpdate(self.0.as_ptr(), data.as_ptr().cast(), data.len()) })
    }

    /// Fills `out` and ends.
    pub(in super::super) fn finish(&mut self, out: &mut [u8]) -> Result<(), Failed> {
        // SAFETY: the context is alive and the slice is valid for its length.
        check(unsafe { sys::EVP_DigestFinalXOF(self.0.as_ptr(), out.as_mut_ptr(), out.len()) })
    }
}
