//! HMAC and CMAC. An HMAC that was keyed and never updated serves as a template: operations copy it.

use aws_lc_sys as sys;

use super::md::md_of;
use super::owned::Owned;
use super::{Failed, check};
use crate::mechanism::Hash;

/// HMAC (FIPS 198-1) with a hash of aws-lc.
pub(in super::super) struct Hmac {
    ctx: Owned<sys::HMAC_CTX>,
    hash: Hash,
}

// SAFETY: a shared reference only permits `copy`, which reads the context.
unsafe impl Sync for Hmac {}

impl Hmac {
    /// Keys a context; fails for SM3.
    pub(in super::super) fn new(hash: Hash, key: &[u8]) -> Result<Self, Failed> {
        let md = md_of(hash)?;
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::HMAC_CTX_new()) }?;
        // SAFETY: the context is alive, the slice valid for its length, the table entry static; no engine.
        check(unsafe { sys::HMAC_Init_ex(ctx.as_ptr(), key.as_ptr().cast(), key.len(), md, std::ptr::null_mut()) })?;
        Ok(Self { ctx, hash })
    }

    /// A context that goes on from here.
    pub(in super::super) fn copy(&self) -> Result<Self, Failed> {
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::HMAC_CTX_new()) }?;
        // SAFETY: both contexts are alive.
        check(unsafe { sys::HMAC_CTX_copy_ex(ctx.as_ptr(), self.ctx.as_ptr()) })?;
        Ok(Self { ctx, hash: self.hash })
    }

    /// Begins a new message under the same key.
    pub(in super::super) fn restart(&mut self) -> Result<(), Failed> {
        // SAFETY: the context is keyed; without key and hash it keeps both.
        check(unsafe {
            sys::HMAC_Init_ex(self.ctx.as_ptr(), std::ptr::null(), 0, std::ptr::null(), std::ptr::null_mut())
        })
    }

    /// Whether it computes this hash's HMAC.
    pub(in super::super) fn serves(&self, hash: Hash) -> bool {
        self.hash == hash
    }

    pub(in super::super) fn update(&mut self, data: &[u8]) -> Result<(), Failed> {
        // SAFETY: the context is alive and the slice is valid for its length.
        check(unsafe { sys::HMAC_Update(self.ctx.as_ptr(), data.as_ptr(), data.len()) })
    }

    /// Writes the whole MAC to the front of `out` and returns its length.
    pub(in super::super) fn finish(&mut self, out: &mut [u8]) -> Result<usize, Failed> {
        if out.len() < self.hash.len() {
            return Err(Failed);
        }
        let mut written = 0;
        // SAFETY: `out` holds the MAC's length, as just checked.
        check(unsafe { sys::HMAC_Final(self.ctx.as_ptr(), out.as_mut_ptr(), &raw mut written) })?;
        Ok(self.hash.len())
    }
}

/// AES-CMAC (SP 800-38B).
pub(in super::super) struct Cmac(Owned<sys::CMAC_CTX>);

impl Cmac {
    /// Length of a whole MAC in bytes.
    pub(in super::super) const LEN: usize = 16;

    /// Keys a context with an AES key.
    pub(in super::super) fn new(key: &[u8]) -> Result<Self, Failed> {
        // SAFETY: these functions return pointers to static tables.
        let cipher = unsafe {
            match key.len() {
                16 => sys::EVP_aes_128_cbc(),
                24 => sys::EVP_aes_192_cbc(),
                32 => sys::EVP_aes_256_cbc(),
                _ => return Err(Failed),
            }
        };
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::CMAC_CTX_new()) }?;
        // SAFETY: the context is alive, the slice valid for its length, the table entry static; no engine.
        check(unsafe { sys::CMAC_Init(ctx.as_ptr(), key.as_ptr().cast(), key.len(), cipher, std::ptr::null_mut()) })?;
        Ok(Self(ctx))
    }

    /// Begins a new message under the same key.
    pub(in super::super) fn restart(&mut self) -> Result<(), Failed> {
        // SAFETY: the context is alive and keyed.
        check(unsafe { sys::CMAC_Reset(self.0.as_ptr()) })
    }

    pub(in super::super) fn update(&mut self, data: &[u8]) -> Result<(), Failed> {
        // SAFETY: the context is alive and the slice is valid for its length.
        check(unsafe { sys::CMAC_Update(self.0.as_ptr(), data.as_ptr(), data.len()) })
    }

    /// The whole MAC.
    pub(in super::super) fn finish(&mut self) -> Result<[u8; Self::LEN], Failed> {
        let mut out = [0; Self::LEN];
        let mut written = 0;
        // SAFETY: a CMAC over AES has 16 bytes.
        check(unsafe { sys::CMAC_Final(self.0.as_ptr(), out.as_mut_ptr(), &raw mut written) })?;
        Ok(out)
    }
}
