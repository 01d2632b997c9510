//! What all signature schemes share: collecting or hashing the message, then one computation.

use sha3::{Digest as _, Keccak256};

use super::buffer::{Buffer, front};
use super::digest::Hasher;
use super::goldilocks::Shake;
use crate::backend::{Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::Hash;

/// A signature scheme with its key, working on what [`Input`] collected.
pub(super) trait Scheme: Send {
    /// Length of every signature in bytes, or of the longest where lengths differ.
    fn len(&self) -> usize;

    /// Whether a signature may have `len` bytes.
    fn fits(&self, len: usize) -> bool {
        len == self.len()
    }

    /// Signs to `out`, which has [`Self::len`] bytes.
    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize>;

    /// Checks a signature of a length that [fits](Self::fits).
    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()>;
}

/// What becomes of the message while it comes in.
pub(super) enum Input {
    /// It is hashed.
    Hashed(Hasher),
    /// It is hashed by Keccak-256.
    Keccak(Box<Keccak256>),
    /// It is hashed for Ed448ph.
    Shake(Box<Shake>),
    /// It is kept; more than `max` bytes are refused.
    Kept { held: Buffer, max: usize },
    /// Only its leading bytes count and are kept.
    Leading { held: Buffer, count: usize },
}

impl Input {
    pub(super) fn hashed(hash: Hash) -> Self {
        Self::Hashed(Hasher::new(hash))
    }

    pub(super) fn kept(max: usize) -> Self {
        Self::Kept { held: Buffer::default(), max }
    }

    pub(super) fn leading(count: usize) -> Self {
        Self::Leading { held: Buffer::default(), count }
    }

    fn update(&mut self, data: &[u8]) -> Result<()> {
        match self {
            Self::Hashed(hasher) => hasher.update(data),
            Self::Keccak(keccak) => {
                keccak.update(data);
                Ok(())
            }
            Self::Shake(shake) => {
                shake.update(data);
                Ok(())
            }
            Self::Kept { held, max } => held.push(data, *max, ErrorKind::DataLength),
            Self::Leading { held, count } => {
                let wanted = count.saturating_sub(held.len()).min(data.len());
                held.push(data.get(..wanted).unwrap_or_default(), *count, ErrorKind::DataLength)
            }
        }
    }

    /// Gives what is to be signed to `f`.
    fn finish<R>(&mut self, f: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        match self {
            Self::Hashed(hasher) => {
                let mut digest = [0; 64];
                let len = hasher.finish(&[], &mut digest)?;
                f(digest.get(..len).unwrap_or_default())
            }
            Self::Keccak(keccak) => f(&keccak.finalize_reset()),
            Self::Shake(shake) => f(&shake.finish()),
            Self::Kept { held, .. } | Self::Leading { held, .. } => f(held.as_slice()),
        }
    }
}

/// A signature or verification under way.
pub(super) struct SignatureOperation<S> {
    scheme: S,
    input: Input,
}

impl<S: Scheme> SignatureOperation<S> {
    pub(super) const fn new(scheme: S, input: Input) -> Self {
        Self { scheme, input }
    }
}

impl<S: Scheme> Signing for SignatureOperation<S> {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.input.update(data)
    }

    fn signature_len(&self) -> usize {
        self.scheme.len()
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let out = front(out, self.scheme.len())?;
        self.input.finish(|data| self.scheme.sign(data, out))
    }
}

impl<S: Scheme> Verifying for SignatureOperation<S> {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.input.update(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        if !self.scheme.fits(signature.len()) {
            return Err(Error::new(ErrorKind::SignatureLength, "the signature has a wrong length"));
        }
        self.input.finish(|data| self.scheme.verify(data, signature))
    }
}

/// The error for every signature that does not verify.
pub(super) fn invalid() -> Error {
    Error::new(ErrorKind::SignatureInvalid, "the signature does not verify")
}
