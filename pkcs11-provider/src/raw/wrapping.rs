//! Parameters of wrapping that say how a nonce comes about, and take it (PKCS#11 3.2, 6.13.3 and 6.13.5): CK_GCM_WRAP_PARAMS
//! and CK_CCM_WRAP_PARAMS of C_WrapKey and C_UnwrapKey.

use std::ffi::c_void;
use std::mem::size_of;

use cryptoki_sys::*;
use libkmss::mechanism::{BlockCipher, Ccm, CipherMode, Gcm, Mechanism};

use super::mechanism::MAX_BUFFER;
use super::pointers;
use crate::mechanisms::{Mode, Shape};
use crate::nonce::Generator;
use crate::rv::{Result, Rv};

const INVALID: Rv = Rv(CKR_MECHANISM_PARAM_INVALID);

/// The parameter of one call of C_WrapKey or C_UnwrapKey.
pub(crate) struct WrapParameter {
    // INVARIANT: not NULL, and valid for reads and writes of `nonce_len` bytes during the call that it was made in.
    nonce: *mut CK_BYTE,
    nonce_len: usize,
    aad: Vec<u8>,
    tag_len: usize,
    ccm: bool,
    function: CK_GENERATOR_FUNCTION,
    fixed_bits: CK_ULONG,
}

impl WrapParameter {
    /// Whether a parameter of this length can be one of the structures.
    pub(crate) const fn may_be(len: CK_ULONG) -> bool {
        len == size_of::<CK_GCM_WRAP_PARAMS>() as CK_ULONG || len == size_of::<CK_CCM_WRAP_PARAMS>() as CK_ULONG
    }

    /// The structure, where its length says that it is one of these; `None` for all others.
    ///
    /// # Safety
    /// `at` is NULL or readable for `len` bytes. The nonce that a structure names is valid for reads and writes of the
    /// length it says, as long as the value lives; its associated data is readable.
    pub(crate) unsafe fn read(shape: Shape, at: *mut c_void, len: CK_ULONG) -> Result<Option<Self>> {
        let Ok(len) = usize::try_from(len) else { return Ok(None) };
        if at.is_null() {
            return Ok(None);
        }
        // SAFETY: the contract of this function, for each structure.
        unsafe {
            match shape {
                Shape::Cipher(BlockCipher::Aes, Mode::Gcm) if len == size_of::<CK_GCM_WRAP_PARAMS>() => {
                    Self::gcm(at.cast::<CK_GCM_WRAP_PARAMS>().cast_const().read_unaligned()).map(Some)
                }
                Shape::Cipher(BlockCipher::Aes, Mode::Ccm) if len == size_of::<CK_CCM_WRAP_PARAMS>() => {
                    Self::ccm(at.cast::<CK_CCM_WRAP_PARAMS>().cast_const().read_unaligned()).map(Some)
                }
                _ => Ok(None),
            }
        }
    }

    /// # Safety
    /// As [`Self::read`].
    unsafe fn gcm(p: CK_GCM_WRAP_PARAMS) -> Result<Self> {
        let tag_len = match p.ulTagBits {
            bits @ (32 | 64 | 96 | 104 | 112 | 120 | 128) => usize::try_from(bits / 8).map_err(|_| INVALID)?,
            _ => return Err(INVALID),
        };
        Ok(Self {
            nonce: p.pIv,
            nonce_len: nonce_len(p.pIv, p.ulIvLen, 1..=256)?,
            // SAFETY: the contract of this function.
            aad: unsafe { associated_data(p.pAAD, p.ulAADLen) }?,
            tag_len,
            ccm: false,
            function: p.ivGenerator,
            fixed_bits: p.ulIvFixedBits,
        })
    }

    /// "Tokens SHALL ignore any value provided" for the length of the data (6.13.5).
    ///
    /// # Safety
    /// As [`Self::read`].
    unsafe fn ccm(p: CK_CCM_WRAP_PARAMS) -> Result<Self> {
        let tag_len = usize::try_from(p.ulMACLen).ok().filter(|len| matches!(len, 4 | 6 | 8 | 10 | 12 | 14 | 16));
        Ok(Self {
            nonce: p.pNonce,
            nonce_len: nonce_len(p.pNonce, p.ulNonceLen, 7..=13)?,
            // SAFETY: the contract of this function.
            aad: unsafe { associated_data(p.pAAD, p.ulAADLen) }?,
            tag_len: tag_len.ok_or(INVALID)?,
            ccm: true,
            function: p.nonceGenerator,
            fixed_bits: p.ulNonceFixedBits,
        })
    }

    /// How the nonce comes about; in unwrapping nobody asks.
    pub(crate) fn generator(&self) -> Result<Generator> {
        let len = CK_ULONG::try_from(self.nonce_len).map_err(|_| INVALID)?;
        Generator::new(self.function, self.fixed_bits, len)
    }

    /// The nonce as it stands in the caller's memory.
    pub(crate) fn nonce(&self) -> Vec<u8> {
        // SAFETY: by the invariant.
        unsafe { std::slice::from_raw_parts(self.nonce, self.nonce_len) }.to_vec()
    }

    /// Gives the caller the nonce that was used.
    pub(crate) fn tell_nonce(&mut self, nonce: &[u8]) {
        if nonce.len() == self.nonce_len {
            // SAFETY: by the invariant; the slice is memory of our own and does not overlap.
            unsafe { std::ptr::copy_nonoverlapping(nonce.as_ptr(), self.nonce, self.nonce_len) };
        }
    }

    /// The mechanism with this nonce.
    pub(crate) fn mechanism(&self, nonce: Vec<u8>) -> Mechanism {
        let (aad, tag_len) = (self.aad.clone(), self.tag_len);
        let mode = if self.ccm {
            CipherMode::Ccm(Ccm { nonce, aad, tag_len, data_len: None })
        } else {
            CipherMode::Gcm(Gcm { iv: nonce.into(), aad, tag_len })
        };
        Mechanism::Cipher(BlockCipher::Aes, mode)
    }
}

fn nonce_len(at: *mut CK_BYTE, len: CK_ULONG, allowed: std::ops::RangeInclusive<usize>) -> Result<usize> {
    let len = usize::try_from(len).ok().filter(|len| allowed.contains(len)).ok_or(INVALID)?;
    if at.is_null() { Err(INVALID) } else { Ok(len) }
}

/// # Safety
/// `at` is NULL or readable for `len` bytes.
unsafe fn associated_data(at: *mut CK_BYTE, len: CK_ULONG) -> Result<Vec<u8>> {
    if !usize::try_from(len).is_ok_and(|len| len <= MAX_BUFFER) {
        return Err(INVALID);
    }
    // SAFETY: the contract of this function.
    Ok(unsafe { pointers::slice(at.cast_const(), len) }.map_err(|_| INVALID)?.to_vec())
}
