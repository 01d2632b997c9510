//! AES in ECB, CBC, CTR, OFB and CFB mode. Padding and buffering are done outside, the same for every block cipher.

use std::os::raw::c_int;

use aws_lc_sys as sys;

use super::owned::Owned;
use super::{Failed, check};

/// A mode of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AesMode {
    /// Whole blocks.
    Ecb,
    /// Whole blocks, chained.
    Cbc,
    /// A key stream of any length from a 128-bit counter.
    Ctr,
    /// A key stream of any length.
    Ofb,
    /// Feedback of single bits; any number of bytes.
    Cfb1,
    /// Feedback of bytes.
    Cfb8,
    /// Feedback of blocks; any number of bytes.
    Cfb128,
}

impl AesMode {
    /// Whether input of any length is processed at once.
    const fn is_stream(self) -> bool {
        !matches!(self, Self::Ecb | Self::Cbc)
    }
}

/// AES in one direction.
pub(in super::super) struct AesBlocks {
    ctx: Owned<sys::EVP_CIPHER_CTX>,
    mode: AesMode,
    encrypt: bool,
}

impl AesBlocks {
    /// Keys a context; the IV (or counter block) is not used by ECB.
    pub(in super::super) fn new(mode: AesMode, key: &[u8], iv: &[u8; 16], encrypt: bool) -> Result<Self, Failed> {
        // SAFETY: these functions return pointers to static tables.
        let cipher = unsafe {
            match (mode, key.len()) {
                (AesMode::Ecb, 16) => sys::EVP_aes_128_ecb(),
                (AesMode::Ecb, 24) => sys::EVP_aes_192_ecb(),
                (AesMode::Ecb, 32) => sys::EVP_aes_256_ecb(),
                (AesMode::Cbc, 16) => sys::EVP_aes_128_cbc(),
                (AesMode::Cbc, 24) => sys::EVP_aes_192_cbc(),
                (AesMode::Cbc, 32) => sys::EVP_aes_256_cbc(),
                (AesMode::Ctr, 16) => sys::EVP_aes_128_ctr(),
                (AesMode::Ctr, 24) => sys::EVP_aes_192_ctr(),
                (AesMode::Ctr, 32) => sys::EVP_aes_256_ctr(),
                (AesMode::Ofb, 16) => sys::EVP_aes_128_ofb(),
                (AesMode::Ofb, 24) => sys::EVP_aes_192_ofb(),
                (AesMode::Ofb, 32) => sys::EVP_aes_256_ofb(),
                (AesMode::Cfb1, 16) => sys::EVP_aes_128_cfb1(),
                (AesMode::Cfb1, 24) => sys::EVP_aes_192_cfb1(),
                (AesMode::Cfb1, 32) => sys::EVP_aes_256_cfb1(),
                (AesMode::Cfb8, 16) => sys::EVP_aes_128_cfb8(),
                (AesMode::Cfb8, 24) => sys::EVP_aes_192_cfb8(),
                (AesMode::Cfb8, 32) => sys::EVP_aes_256_cfb8(),
                (AesMode::Cfb128, 16) => sys::EVP_aes_128_cfb128(),
                (AesMode::Cfb128, 24) => sys::EVP_aes_192_cfb128(),
                (AesMode::Cfb128, 32) => sys::EVP_aes_256_cfb128(),
                _ => return Err(Failed),
            }
        };
        // SAFETY: a constructor.
        let ctx = unsafe { Owned::new(sys::EVP_CIPHER_CTX_new()) }?;
        // SAFETY: the key has the cipher's length (matched above), the IV the 16 bytes of every AES mode; no engine.
        check(unsafe {
            sys::EVP_CipherInit_ex(
                ctx.as_ptr(),
                cipher,
                std::ptr::null_mut(),
                key.as_ptr(),
                iv.as_ptr(),
                c_int::from(encrypt),
            )
        })?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_CIPHER_CTX_set_padding(ctx.as_ptr(), 0) })?;
        Ok(Self { ctx, mode, encrypt })
    }

    /// Whether it serves this mode and direction.
    pub(in super::super) fn serves(&self, mode: AesMode, encrypt: bool) -> bool {
        self.mode == mode && self.encrypt == encrypt
    }

    /// Begins a new message under the same key.
    pub(in super::super) fn restart(&mut self, iv: &[u8; 16]) -> Result<(), Failed> {
        // SAFETY: the context is keyed; without cipher and key only the IV is taken, and what is left of the last message
        // is dropped. -1 keeps the direction.
        check(unsafe {
            sys::EVP_CipherInit_ex(
                self.ctx.as_ptr(),
                std::ptr::null(),
                std::ptr::null_mut(),
                std::ptr::null(),
                iv.as_ptr(),
                -1,
            )
        })
    }

    /// Processes `input` (whole blocks, except where the mode is a stream) to the front of `out`, which is at least as long.
    pub(in super::super) fn process(&mut self, input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
        if out.len() < input.len() || (!self.mode.is_stream() && !input.len().is_multiple_of(16)) {
            return Err(Failed);
        }
        // SAFETY: without padding and without a partial block in the context (all input so far was whole blocks, or the
        // mode is a stream) exactly as many bytes are written as are read, and `out` has room for them.
        unsafe { update_all(&self.ctx, input, out) }
    }
}

/// Feeds all of `input` in pieces that fit a C `int`.
///
/// # Safety
/// The context writes one byte for each byte it reads, and `out` is at least as long as `input`.
pub(super) unsafe fn update_all(ctx: &Owned<sys::EVP_CIPHER_CTX>, input: &[u8], out: &mut [u8]) -> Result<(), Failed> {
    const PIECE: usize = 1 << 30;
    for (input, out) in input.chunks(PIECE).zip(out.chunks_mut(PIECE)) {
        let len = c_int::try_from(input.len()).map_err(|_| Failed)?;
        let mut written = 0;
        // SAFETY: by the contract; both pieces start at the same offset.
        check(unsafe { sys::EVP_CipherUpdate(ctx.as_ptr(), out.as_mut_ptr(), &raw mut written, input.as_ptr(), len) })?;
        if written != len {
            return Err(Failed);
        }
    }
    Ok(())
}
