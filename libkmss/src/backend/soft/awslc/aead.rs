//! AES-GCM and ChaCha20-Poly1305: a keyed context that seals and opens whole messages, and one that encrypts in parts.

use std::os::raw::c_int;
use std::ptr::{null, null_mut};

use aws_lc_sys as sys;

use super::cipher::update_all;
use super::owned::Owned;
use super::{Failed, check};

/// An algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AeadKind {
    /// AES-GCM (SP 800-38D).
    AesGcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

/// An algorithm with a fixed tag length, for whole messages. Never changes after it was keyed.
pub(in super::super) struct Aead {
    ctx: Owned<sys::EVP_AEAD_CTX>,
    tag_len: usize,
}

// SAFETY: sealing and opening take a constant context and are documented as safe from several threads at once.
unsafe impl Sync for Aead {}

impl Aead {
    /// Keys a context.
    pub(in super::super) fn new(kind: AeadKind, key: &[u8], tag_len: usize) -> Result<Self, Failed> {
        // SAFETY: these functions return pointers to static tables.
        let aead = unsafe {
            match (kind, key.len()) {
                (AeadKind::AesGcm, 16) => sys::EVP_aead_aes_128_gcm(),
                (AeadKind::AesGcm, 24) => sys::EVP_aead_aes_192_gcm(),
                (AeadKind::AesGcm, 32) => sys::EVP_aead_aes_256_gcm(),
                (AeadKind::ChaCha20Poly1305, 32) => sys::EVP_aead_chacha20_poly1305(),
                _ => return Err(Failed),
            }
        };
        // SAFETY: the slice is valid for its length, the table entry static.
        let ctx = unsafe { Owned::new(sys::EVP_AEAD_CTX_new(aead, key.as_ptr(), key.len(), tag_len)) }?;
        Ok(Self { ctx, tag_len })
    }

    /// Encrypts `input` to `out` (of the same length) and writes the tag to `tag` (of the context's tag length).
    pub(in super::super) fn seal(
        &self,
        iv: &[u8],
        aad: &[u8],
        input: &[u8],
        out: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Failed> {
        if out.len() != input.len() || tag.len() != self.tag_len {
            return Err(Failed);
        }
        let mut written = 0;
        // SAFETY: every slice is valid for its length; `out` takes as many bytes as `input` has; no extra input.
        check(unsafe {
            sys::EVP_AEAD_CTX_seal_scatter(
                self.ctx.as_ptr(),
                out.as_mut_ptr(),
                tag.as_mut_ptr(),
                &raw mut written,
                tag.len(),
                iv.as_ptr(),
                iv.len(),
                input.as_ptr(),
                input.len(),
                null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        })
    }

    /// Decrypts `input` to `out` (of the same length) if `tag` is right; otherwise `out` is wiped.
    pub(in super::super) fn open(
        &self,
        iv: &[u8],
        aad: &[u8],
        input: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> Result<(), Failed> {
        if out.len() != input.len() {
            return Err(Failed);
        }
        // SAFETY: every slice is valid for its length; `out` takes as many bytes as `input` has.
        let code = unsafe {
            sys::EVP_AEAD_CTX_open_gather(
                self.ctx.as_ptr(),
                out.as_mut_ptr(),
                iv.as_ptr(),
                iv.len(),
                input.as_ptr(),
                input.len(),
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        check(code).inspect_err(|_| zeroize::Zeroize::zeroize(out))
    }
}

/// Encryption in parts.
pub(in super::super) struct AeadEncrypt(Owned<sys::EVP_CIPHER_CTX>);

impl AeadEncrypt {
    /// Keys a context and takes the associated data in.
    pub(in super::super) fn new(kind: AeadKind, key: &[u8], iv: &[u8], aad: &[u8]) -> Result<Self, Failed> {
        // SAFETY: these functions return pointers to static tables.
        let cipher = unsafe {
            match (kind, key.len()) {
                (AeadKind::AesGcm, 16) => sys::EVP_aes_128_gcm(),
                (AeadKind::AesGcm, 24) => sys::EVP_aes_192_gcm(),
                (AeadKind::AesGcm, 32) => sys::EVP_aes_256_gcm(),
                (AeadKind::ChaCha20Poly1305, 32) if iv.len() == 12 => sys::EVP_chacha20_poly1305(),
                _ => return Err(Failed),
            }
        };
        let iv_len = c_int::try_from(iv.len()).map_err(|_| Failed)?;
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::EVP_CIPHER_CTX_new()) }?;
        // SAFETY: the context is alive and the table entry static; key and IV come later; no engine.
        check(unsafe { sys::EVP_CipherInit_ex(ctx.as_ptr(), cipher, null_mut(), null(), null(), 1) })?;
        // SAFETY: sets the length of the IV that the next call reads.
        check(unsafe { sys::EVP_CIPHER_CTX_ctrl(ctx.as_ptr(), sys::EVP_CTRL_AEAD_SET_IVLEN, iv_len, null_mut()) })?;
        // SAFETY: the key has the cipher's length (matched above) and the IV the length just set.
        check(unsafe { sys::EVP_CipherInit_ex(ctx.as_ptr(), null(), null_mut(), key.as_ptr(), iv.as_ptr(), 1) })?;
        let mut this = Self(ctx);
        this.authenticate(aad)?;
        Ok(this)
    }

    /// Takes associated data in; more of it may follow until the first [`Self::update`].
    pub(in super::super) fn authenticate(&mut self, aad: &[u8]) -> Result<(), Failed> {
        for piece in aad.chunks(1 << 30) {
            let mut read = 0;
            let len = c_int::try_from(piece.len()).map_err(|_| Failed)?;
            // SAFETY: a null output takes associated data in; the slice is valid for its length.
            check(unsafe { sys::EVP_CipherUpdate(self.0.as_ptr(), null_mut(), &raw mut read, piece.as_ptr(), len) })?;
        }
        Ok(())
    }

    /// Encrypts a part to the front of `out`, which is at least as long.
    pub(in super::super) fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
        if out.len() < input.len() {
            return Err(Failed);
        }
        // SAFETY: both are streams: they write as many bytes as they read.
        unsafe { update_all(&self.0, input, out) }
    }

    /// The whole tag.
    pub(in super::super) fn finish(&mut self) -> Result<[u8; 16], Failed> {
        let mut tag = [0_u8; 16];
        let mut written = 0;
        // SAFETY: finishing a stream writes no data, but 16 bytes would be there for it.
        check(unsafe { sys::EVP_CipherFinal_ex(self.0.as_ptr(), tag.as_mut_ptr(), &raw mut written) })?;
        // SAFETY: writes the 16 bytes that are asked for.
        check(unsafe {
            sys::EVP_CIPHER_CTX_ctrl(self.0.as_ptr(), sys::EVP_CTRL_AEAD_GET_TAG, 16, tag.as_mut_ptr().cast())
        })?;
        Ok(tag)
    }
}
