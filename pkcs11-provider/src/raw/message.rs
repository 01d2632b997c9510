//! Parameters of messages (PKCS#11 3.2, 5.9 and 6.13): they say how a nonce comes about, and where nonce and tag lie. The
//! same structures serve C_WrapKeyAuthenticated (5.18.6).

use std::ffi::c_void;
use std::mem::size_of;

use cryptoki_sys::*;
use libkmss::mechanism::{BlockCipher, Ccm, ChaCha20Poly1305, CipherMode, Gcm, Mechanism};
use zeroize::Zeroizing;

use super::mechanism::MAX_BUFFER;
use super::pointers;
use crate::mechanisms::{Mode, Shape};
use crate::nonce::Generator;
use crate::rv::{Result, Rv};

const INVALID: Rv = Rv(CKR_MECHANISM_PARAM_INVALID);

/// The parameter of one message.
pub(crate) struct MessageParameter {
    // INVARIANT: valid for reads and writes of `nonce_len` bytes during the call that it was made in.
    nonce: *mut CK_BYTE,
    nonce_len: usize,
    // INVARIANT: valid for reads and writes of `tag_len` bytes during the call that it was made in.
    tag: *mut CK_BYTE,
    tag_len: usize,
    shape: Shape,
    data_len: Option<u64>,
    function: CK_GENERATOR_FUNCTION,
    fixed_bits: CK_ULONG,
}

impl MessageParameter {
    /// The structure that belongs to a mechanism; `CKR_MECHANISM_PARAM_INVALID` for others, and for values out of range.
    ///
    /// # Safety
    /// `at` is NULL or readable for `len` bytes. The nonce and the tag that a structure names are valid for reads and
    /// writes of the lengths it says, as long as the value lives.
    pub(crate) unsafe fn read(shape: Shape, at: *mut c_void, len: CK_ULONG) -> Result<Self> {
        // SAFETY: the contract of this function, for each structure.
        unsafe {
            match shape {
                Shape::Cipher(BlockCipher::Aes, Mode::Gcm) => Self::gcm(shape, structure(at, len)?),
                Shape::Cipher(BlockCipher::Aes, Mode::Ccm) => Self::ccm(shape, structure(at, len)?),
                Shape::ChaCha20Poly1305 => Self::chacha(shape, structure(at, len)?),
                _ => Err(INVALID),
            }
        }
    }

    fn gcm(shape: Shape, p: CK_GCM_MESSAGE_PARAMS) -> Result<Self> {
        let tag_len = match p.ulTagBits {
            bits @ (32 | 64 | 96 | 104 | 112 | 120 | 128) => bits / 8,
            _ => return Err(INVALID),
        };
        let (function, fixed_bits) = (p.ivGenerator, p.ulIvFixedBits);
        Self { nonce: p.pIv, nonce_len: 0, tag: p.pTag, tag_len: 0, shape, data_len: None, function, fixed_bits }
            .with_lengths(p.ulIvLen, 1..=256, tag_len)
    }

    fn ccm(shape: Shape, p: CK_CCM_MESSAGE_PARAMS) -> Result<Self> {
        if !matches!(p.ulMACLen, 4 | 6 | 8 | 10 | 12 | 14 | 16) {
            return Err(INVALID);
        }
        let (function, fixed_bits) = (p.nonceGenerator, p.ulNonceFixedBits);
        let data_len = Some(super::template::u64_of(p.ulDataLen));
        Self { nonce: p.pNonce, nonce_len: 0, tag: p.pMAC, tag_len: 0, shape, data_len, function, fixed_bits }
            .with_lengths(p.ulNonceLen, 7..=13, p.ulMACLen)
    }

    /// The nonce has 12 bytes; the standard counts it in bits here.
    fn chacha(shape: Shape, p: CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS) -> Result<Self> {
        let nonce_len = if p.ulNonceLen == 96 { 12 } else { p.ulNonceLen };
        let (function, fixed_bits) = (CKG_NO_GENERATE, 0);
        Self { nonce: p.pNonce, nonce_len: 0, tag: p.pTag, tag_len: 0, shape, data_len: None, function, fixed_bits }
            .with_lengths(nonce_len, 12..=12, 16)
    }

    fn with_lengths(
        self,
        nonce_len: CK_ULONG,
        allowed: std::ops::RangeInclusive<usize>,
        tag_len: CK_ULONG,
    ) -> Result<Self> {
        let nonce_len = usize::try_from(nonce_len).ok().filter(|len| allowed.contains(len)).ok_or(INVALID)?;
        let tag_len = usize::try_from(tag_len).map_err(|_| INVALID)?;
        if self.nonce.is_null() || self.tag.is_null() {
            return Err(INVALID);
        }
        Ok(Self { nonce_len, tag_len, ..self })
    }

    /// How the nonce comes about; where a message is decrypted nobody asks (6.13.3: "ignored").
    pub(crate) fn generator(&self) -> Result<Generator> {
        let len = CK_ULONG::try_from(self.nonce_len).map_err(|_| INVALID)?;
        Generator::new(self.function, self.fixed_bits, len)
    }

    /// The nonce as it stands in the caller's memory.
    pub(crate) fn nonce(&self) -> Vec<u8> {
        // SAFETY: by the invariant, and not NULL (`with_lengths`).
        unsafe { std::slice::from_raw_parts(self.nonce, self.nonce_len) }.to_vec()
    }

    /// Gives the caller the nonce that was used.
    pub(crate) fn tell_nonce(&mut self, nonce: &[u8]) {
        if nonce.len() == self.nonce_len {
            // SAFETY: by the invariant, and not NULL; the slice is memory of our own and does not overlap.
            unsafe { std::ptr::copy_nonoverlapping(nonce.as_ptr(), self.nonce, self.nonce_len) };
        }
    }

    /// The tag as it stands in the caller's memory (or only its length, where it is yet to be made).
    pub(crate) fn tag(&self) -> Zeroizing<Vec<u8>> {
        // SAFETY: by the invariant, and not NULL (`with_lengths`).
        Zeroizing::new(unsafe { std::slice::from_raw_parts(self.tag, self.tag_len) }.to_vec())
    }

    /// Gives the caller the tag.
    pub(crate) fn tell_tag(&mut self, tag: &[u8]) {
        if tag.len() == self.tag_len {
            // SAFETY: as in `tell_nonce`.
            unsafe { std::ptr::copy_nonoverlapping(tag.as_ptr(), self.tag, self.tag_len) };
        }
    }

    /// Length of the tag in bytes.
    pub(crate) const fn tag_len(&self) -> usize {
        self.tag_len
    }

    /// The mechanism of a message with this nonce. Where it wraps a key, whose length the caller cannot always know, an
    /// announced length of 0 is none.
    pub(crate) fn mechanism(&self, nonce: Vec<u8>, aad: Vec<u8>, wraps: bool) -> Result<Mechanism> {
        let tag_len = self.tag_len;
        Ok(match self.shape {
            Shape::Cipher(cipher, Mode::Gcm) => {
                Mechanism::Cipher(cipher, CipherMode::Gcm(Gcm { iv: nonce.into(), aad, tag_len }))
            }
            Shape::Cipher(cipher, Mode::Ccm) => {
                let data_len = self.data_len.filter(|len| !wraps || *len != 0);
                Mechanism::Cipher(cipher, CipherMode::Ccm(Ccm { nonce, aad, tag_len, data_len }))
            }
            _ => {
                let nonce = nonce.try_into().map_err(|_| INVALID)?;
                Mechanism::ChaCha20Poly1305(ChaCha20Poly1305 { nonce, aad })
            }
        })
    }
}

/// Associated data: a copy, because the operation may outlive the call.
///
/// # Safety
/// `at` is NULL or readable for `len` bytes.
pub(crate) unsafe fn associated_data(at: *mut CK_BYTE, len: CK_ULONG) -> Result<Vec<u8>> {
    if usize::try_from(len).is_ok_and(|len| len <= MAX_BUFFER) {
        // SAFETY: the contract of this function.
        return Ok(unsafe { pointers::slice(at.cast_const(), len) }?.to_vec());
    }
    Err(Rv(CKR_ARGUMENTS_BAD))
}

/// A copy of a structure whose fields are integers and pointers.
///
/// # Safety
/// `at` is NULL or readable for `len` bytes. Any bytes make a `T`.
unsafe fn structure<T: Copy>(at: *mut c_void, len: CK_ULONG) -> Result<T> {
    if at.is_null() || usize::try_from(len) != Ok(size_of::<T>()) {
        return Err(INVALID);
    }
    // SAFETY: not NULL and readable for the size of T, as checked; nothing is known of the alignment.
    Ok(unsafe { at.cast::<T>().cast_const().read_unaligned() })
}
