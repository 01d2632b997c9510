//! Ed25519 (RFC 8032) and X25519 (RFC 7748).

use aws_lc_sys as sys;

use super::{Failed, check, failed};
use crate::secret::Secret;

/// The schemes of RFC 8032, 5.1.
#[derive(Clone, Copy)]
pub(in super::super) enum Ed25519Variant<'a> {
    /// Ed25519.
    Pure,
    /// Ed25519ctx with its context, 1 to 255 bytes.
    Context(&'a [u8]),
    /// Ed25519ph with its context, up to 255 bytes; the message is a ready SHA-512 digest.
    Prehashed(&'a [u8]),
}

/// Length of the prehash.
const PREHASH: usize = 64;

/// An Ed25519 key pair, expanded from its seed.
pub(in super::super) struct Ed25519Key {
    /// 64 bytes: the seed and the public key.
    private: Secret,
    public: [u8; 32],
}

impl Ed25519Key {
    pub(in super::super) fn from_seed(seed: &[u8; 32]) -> Self {
        let mut public = [0; 32];
        let private = Secret::of_len(64, |private| {
            // SAFETY: the three have the 32, 64 and 32 bytes that the function writes and reads.
            unsafe { sys::ED25519_keypair_from_seed(public.as_mut_ptr(), private.as_mut_ptr(), seed.as_ptr()) };
        });
        Self { private, public }
    }

    pub(in super::super) const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The seed: the first half of aws-lc's private form.
    pub(in super::super) fn seed(&self) -> Secret {
        Secret::copy_of(self.private.expose().first_chunk::<32>().map_or(&[], |seed| seed))
    }

    pub(in super::super) fn sign(&self, variant: Ed25519Variant<'_>, message: &[u8]) -> Result<[u8; 64], Failed> {
        let mut signature = [0; 64];
        let (out, private) = (signature.as_mut_ptr(), self.private.expose().as_ptr());
        let (data, len) = (message.as_ptr(), message.len());
        // SAFETY: a signature has 64 bytes, the private form too, and so has the digest where one is read, as is checked;
        // message and context are valid for their lengths.
        check(unsafe {
            match variant {
                Ed25519Variant::Pure => sys::ED25519_sign(out, data, len, private),
                Ed25519Variant::Context(c) => sys::ED25519ctx_sign(out, data, len, private, c.as_ptr(), c.len()),
                Ed25519Variant::Prehashed(_) if len != PREHASH => 0,
                Ed25519Variant::Prehashed(c) => sys::ED25519ph_sign_digest(out, data, private, c.as_ptr(), c.len()),
            }
        })?;
        Ok(signature)
    }
}

/// Checks a signature.
pub(in super::super) fn ed25519_verify(
    public: &[u8; 32],
    variant: Ed25519Variant<'_>,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), Failed> {
    let (sig, public) = (signature.as_ptr(), public.as_ptr());
    let (data, len) = (message.as_ptr(), message.len());
    // SAFETY: signature and public key have 64 and 32 bytes, the digest 64 where one is read, as is checked; message and
    // context are valid for their lengths.
    check(unsafe {
        match variant {
            Ed25519Variant::Pure => sys::ED25519_verify(data, len, sig, public),
            Ed25519Variant::Context(c) => sys::ED25519ctx_verify(data, len, sig, public, c.as_ptr(), c.len()),
            Ed25519Variant::Prehashed(_) if len != PREHASH => 0,
            Ed25519Variant::Prehashed(c) => sys::ED25519ph_verify_digest(data, sig, public, c.as_ptr(), c.len()),
        }
    })
}

/// The public value of a private one.
pub(in super::super) fn x25519_public(private: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    // SAFETY: both have 32 bytes.
    unsafe { sys::X25519_public_from_private(public.as_mut_ptr(), private.as_ptr()) };
    public
}

/// The shared secret; fails where it is all zero (a public value of small order).
pub(in super::super) fn x25519_agree(private: &[u8; 32], public: &[u8; 32]) -> Result<Secret, Failed> {
    Secret::filled(32, |out| {
        // SAFETY: all three have 32 bytes.
        let code = unsafe { sys::X25519(out.as_mut_ptr(), private.as_ptr(), public.as_ptr()) };
        if code == 1 { Ok(()) } else { Err(failed()) }
    })
}
