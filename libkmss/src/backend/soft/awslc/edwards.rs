//! Ed25519 (RFC 8032) and X25519 (RFC 7748).

use aws_lc_sys as sys;

use super::{Failed, check, failed};
use crate::secret::Secret;

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

    pub(in super::super) fn sign(&self, message: &[u8]) -> Result<[u8; 64], Failed> {
        let mut signature = [0; 64];
        // SAFETY: a signature has 64 bytes, the private form too; the slice is valid for its length.
        check(unsafe {
            sys::ED25519_sign(signature.as_mut_ptr(), message.as_ptr(), message.len(), self.private.expose().as_ptr())
        })?;
        Ok(signature)
    }
}

/// Checks a signature.
pub(in super::super) fn ed25519_verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Failed> {
    // SAFETY: signature and public key have 64 and 32 bytes; the slice is valid for its length.
    check(unsafe { sys::ED25519_verify(message.as_ptr(), message.len(), signature.as_ptr(), public.as_ptr()) })
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
