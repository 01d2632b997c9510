//! Message digests.

use aws_lc_sys as sys;

use super::owned::Owned;
use super::{Failed, check};
use crate::mechanism::Hash;

/// aws-lc's table entry of a hash; absent for SM3.
pub(super) fn md_of(hash: Hash) -> Result<*const sys::EVP_MD, Failed> {
    // SAFETY: these functions return pointers to static tables.
    Ok(unsafe {
        match hash {
            Hash::Sha1 => sys::EVP_sha1(),
            Hash::Sha224 => sys::EVP_sha224(),
            Hash::Sha256 => sys::EVP_sha256(),
            Hash::Sha384 => sys::EVP_sha384(),
            Hash::Sha512 => sys::EVP_sha512(),
            Hash::Sha512_224 => sys::EVP_sha512_224(),
            Hash::Sha512_256 => sys::EVP_sha512_256(),
            Hash::Sha3_224 => sys::EVP_sha3_224(),
            Hash::Sha3_256 => sys::EVP_sha3_256(),
            Hash::Sha3_384 => sys::EVP_sha3_384(),
            Hash::Sha3_512 => sys::EVP_sha3_512(),
            Hash::Sm3 => return Err(Failed),
        }
    })
}

/// The digest of a whole message, to the front of `out`; returns its length. Fails for SM3.
pub(in super::super) fn digest_at_once(hash: Hash, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
    if out.len() < hash.len() {
        return Err(Failed);
    }
    let (from, len, to) = (data.as_ptr(), data.len(), out.as_mut_ptr());
    // SAFETY: the slice is valid for its length, and `out` holds the digest's length, as just checked. The first five
    // cannot fail.
    unsafe {
        match hash {
            Hash::Sha1 => drop(sys::SHA1(from, len, to)),
            Hash::Sha224 => drop(sys::SHA224(from, len, to)),
            Hash::Sha256 => drop(sys::SHA256(from, len, to)),
            Hash::Sha384 => drop(sys::SHA384(from, len, to)),
            Hash::Sha512 => drop(sys::SHA512(from, len, to)),
            other => {
                let (md, none) = (md_of(other)?, std::ptr::null_mut());
                check(sys::EVP_Digest(from.cast(), len, to, std::ptr::null_mut(), md, none))?;
            }
        }
    }
    Ok(hash.len())
}

/// A digest under way.
pub(in super::super) struct Md {
    ctx: Owned<sys::EVP_MD_CTX>,
    len: usize,
}

impl Md {
    /// Starts a digest; fails for SM3.
    pub(in super::super) fn new(hash: Hash) -> Result<Self, Failed> {
        let md = md_of(hash)?;
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::EVP_MD_CTX_new()) }?;
        // SAFETY: the context is alive, the table entry static; no engine.
        check(unsafe { sys::EVP_DigestInit_ex(ctx.as_ptr(), md, std::ptr::null_mut()) })?;
        Ok(Self { ctx, len: hash.len() })
    }

    pub(in super::super) fn update(&mut self, data: &[u8]) -> Result<(), Failed> {
        // SAFETY: the context is alive and the slice is valid for its length.
        check(unsafe { sys::EVP_DigestUpdate(self.ctx.as_ptr(), data.as_ptr().cast(), data.len()) })
    }

    /// Writes the digest to the front of `out` and returns its length.
    pub(in super::super) fn finish(&mut self, out: &mut [u8]) -> Result<usize, Failed> {
        if out.len() < self.len {
            return Err(Failed);
        }
        // SAFETY: `out` holds the digest's length, as just checked; a null length pointer is allowed.
        check(unsafe { sys::EVP_DigestFinal_ex(self.ctx.as_ptr(), out.as_mut_ptr(), std::ptr::null_mut()) })?;
        Ok(self.len)
    }

    /// A second digest that goes on from here.
    pub(in super::super) fn fork(&self) -> Result<Self, Failed> {
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::EVP_MD_CTX_new()) }?;
        // SAFETY: both contexts are alive.
        check(unsafe { sys::EVP_MD_CTX_copy_ex(ctx.as_ptr(), self.ctx.as_ptr()) })?;
        Ok(Self { ctx, len: self.len })
    }
}
