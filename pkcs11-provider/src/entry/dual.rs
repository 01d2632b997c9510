//! Dual-function cryptography (PKCS#11 3.2, 5.17): one part, two operations.

use cryptoki_sys::*;

use super::{decrypt, digest, encrypt, sign, verify};
use crate::cipher::{self, Cipher, Part};
use crate::module::session::{self, Place, Taken};
use crate::raw::pointers::{Input, Output};
use crate::rv::{Result, Rv};

/// C_DigestEncryptUpdate (5.17.1).
///
/// # Safety
/// `part` is NULL or valid for `part_len` bytes, `out_len` NULL or valid, `out` NULL or valid for `*out_len` bytes.
pub(crate) unsafe fn digest_encrypt(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let digest = session::take(session, digest::PLACE)?;
    // SAFETY: the contract of this function.
    let call = unsafe { Call::new(session, part, part_len, out, out_len) };
    call.and_then(|call| call.encrypt(digest, digest::add))
}

/// C_DecryptDigestUpdate (5.17.2).
///
/// # Safety
/// As [`digest_encrypt`].
pub(crate) unsafe fn decrypt_digest(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let digest = session::take(session, digest::PLACE)?;
    // SAFETY: the contract of this function.
    let call = unsafe { Call::new(session, part, part_len, out, out_len) };
    call.and_then(|call| call.decrypt(digest, digest::add))
}

/// C_SignEncryptUpdate (5.17.3).
///
/// # Safety
/// As [`digest_encrypt`].
pub(crate) unsafe fn sign_encrypt(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let signature = session::take(session, sign::PLACE)?;
    // SAFETY: the contract of this function.
    let call = unsafe { Call::new(session, part, part_len, out, out_len) };
    call.and_then(|call| call.encrypt(signature, sign::add))
}

/// C_DecryptVerifyUpdate (5.17.4).
///
/// # Safety
/// As [`digest_encrypt`].
pub(crate) unsafe fn decrypt_verify(
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let verification = session::take(session, verify::PLACE)?;
    // SAFETY: the contract of this function.
    let call = unsafe { Call::new(session, part, part_len, out, out_len) };
    call.and_then(|call| call.decrypt(verification, verify::add))
}

struct Call<'a> {
    session: CK_SESSION_HANDLE,
    part: Input<'a>,
    out: Output<'a>,
}

impl Call<'_> {
    /// # Safety
    /// As [`digest_encrypt`].
    unsafe fn new(
        session: CK_SESSION_HANDLE,
        part: *mut CK_BYTE,
        part_len: CK_ULONG,
        out: *mut CK_BYTE,
        out_len: *mut CK_ULONG,
    ) -> Result<Self> {
        // SAFETY: the contract of this function.
        let out = unsafe { Output::new(out, out_len) }?;
        // SAFETY: the contract of this function.
        let part = unsafe { Input::beside(part, part_len, &out) }?;
        Ok(Self { session, part, out })
    }

    /// Encrypts the part and shows the other operation its plaintext.
    fn encrypt<R>(mut self, other: Taken<R>, add: fn(Taken<R>, &[u8]) -> Result<()>) -> Result<()> {
        match self.cipher(encrypt::PLACE) {
            Ok(Part::Processed(_)) => add(other, &self.part),
            untouched => keep(other, untouched),
        }
    }

    /// Decrypts the part and shows the other operation its plaintext.
    fn decrypt<R>(mut self, other: Taken<R>, add: fn(Taken<R>, &[u8]) -> Result<()>) -> Result<()> {
        match self.cipher(decrypt::PLACE) {
            Ok(Part::Processed(len)) => add(other, self.out.space(len).unwrap_or_default()),
            untouched => keep(other, untouched),
        }
    }

    fn cipher(&mut self, place: Place<Cipher>) -> Result<Part> {
        cipher::part(session::take(self.session, place)?, &self.part, &mut self.out)
    }
}

/// A question for a length, or a buffer too small: the other operation goes on as well. Other errors end both.
fn keep<R>(other: Taken<R>, result: Result<Part>) -> Result<()> {
    if matches!(result, Ok(_) | Err(Rv(CKR_BUFFER_TOO_SMALL))) {
        other.keep()?;
    }
    result.map(|_| ())
}
