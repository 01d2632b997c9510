//! AES-CCM of whole messages: aws-lc wants the length before anything else, and the text in one piece.

use std::os::raw::c_int;
use std::ptr::{null, null_mut};

use aws_lc_sys as sys;
use zeroize::Zeroize;

use super::owned::Owned;
use super::{Failed, check};

/// Encrypts `input` to `out` (of the same length) and writes the tag to `tag` (of an even length from 4 to 16).
pub(in super::super) fn ccm_seal(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    input: &[u8],
    out: &mut [u8],
    tag: &mut [u8],
) -> Result<(), Failed> {
    let tag_len = c_int::try_from(tag.len()).map_err(|_| Failed)?;
    let ctx = start(key, nonce, aad, input, Tag::Make(tag_len))?;
    update(&ctx, input, out)?;
    // SAFETY: writes as many bytes as `tag` has, the length that the context was told.
    check(unsafe {
        sys::EVP_CIPHER_CTX_ctrl(ctx.as_ptr(), sys::EVP_CTRL_AEAD_GET_TAG, tag_len, tag.as_mut_ptr().cast())
    })
}

/// Decrypts `input` to `out` (of the same length) if `tag` is right; otherwise `out` is wiped.
pub(in super::super) fn ccm_open(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    input: &[u8],
    tag: &[u8],
    out: &mut [u8],
) -> Result<(), Failed> {
    let ctx = start(key, nonce, aad, input, Tag::Check(tag))?;
    update(&ctx, input, out).inspect_err(|_| out.zeroize())
}

enum Tag<'a> {
    Make(c_int),
    Check(&'a [u8]),
}

/// A context that has everything but the text.
fn start(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    input: &[u8],
    tag: Tag<'_>,
) -> Result<Owned<sys::EVP_CIPHER_CTX>, Failed> {
    // SAFETY: these functions return pointers to static tables.
    let cipher = unsafe {
        match key.len() {
            16 => sys::EVP_aes_128_ccm(),
            24 => sys::EVP_aes_192_ccm(),
            32 => sys::EVP_aes_256_ccm(),
            _ => return Err(Failed),
        }
    };
    let length = |bytes: &[u8]| c_int::try_from(bytes.len()).map_err(|_| Failed);
    let (nonce_len, aad_len, input_len) = (length(nonce)?, length(aad)?, length(input)?);
    let (tag_at, tag_len, encrypt) = match tag {
        Tag::Make(len) => (null_mut(), len, 1),
        Tag::Check(tag) => (tag.as_ptr().cast_mut(), length(tag)?, 0),
    };
    // SAFETY: a constructor.
    let ctx = unsafe { Owned::new(sys::EVP_CIPHER_CTX_new()) }?;
    let raw = ctx.as_ptr();
    // SAFETY: the context is alive and the table entry static; key and nonce come later; no engine.
    check(unsafe { sys::EVP_CipherInit_ex(raw, cipher, null_mut(), null(), null(), encrypt) })?;
    // SAFETY: sets the length of the nonce that is read below; lengths that CCM does not have fail.
    check(unsafe { sys::EVP_CIPHER_CTX_ctrl(raw, sys::EVP_CTRL_AEAD_SET_IVLEN, nonce_len, null_mut()) })?;
    // SAFETY: reads `tag_len` bytes where a tag is given, although its pointer is not to const; only its length is kept
    // where it is null.
    check(unsafe { sys::EVP_CIPHER_CTX_ctrl(raw, sys::EVP_CTRL_AEAD_SET_TAG, tag_len, tag_at.cast()) })?;
    // SAFETY: the key has the cipher's length (matched above) and the nonce the length just set.
    check(unsafe { sys::EVP_CipherInit_ex(raw, null(), null_mut(), key.as_ptr(), nonce.as_ptr(), encrypt) })?;
    let mut read = 0;
    // SAFETY: both pointers null announce the length of the text.
    check(unsafe { sys::EVP_CipherUpdate(raw, null_mut(), &raw mut read, null(), input_len) })?;
    if aad_len > 0 {
        // SAFETY: a null output takes associated data in; the slice is valid for its length.
        check(unsafe { sys::EVP_CipherUpdate(raw, null_mut(), &raw mut read, aad.as_ptr(), aad_len) })?;
    }
    Ok(ctx)
}

/// The whole text, which may be empty: the tag is made or checked here.
fn update(ctx: &Owned<sys::EVP_CIPHER_CTX>, input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
    let len = c_int::try_from(input.len()).map_err(|_| Failed)?;
    if out.len() != input.len() {
        return Err(Failed);
    }
    let mut written = 0;
    // SAFETY: CCM writes as many bytes as it reads, and `out` is as long as `input`; pointers of empty slices are not
    // null.
    check(unsafe { sys::EVP_CipherUpdate(ctx.as_ptr(), out.as_mut_ptr(), &raw mut written, input.as_ptr(), len) })?;
    if written == len { Ok(()) } else { Err(Failed) }
}
