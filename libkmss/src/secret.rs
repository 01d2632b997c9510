//! Bytes that must not be seen: zeroized on drop, compared in constant time, never printed.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::os::Guarded;

/// Secret bytes of any length (key material, PINs, plaintext held back), in memory that stays out of core dumps.
///
/// Growing would leave copies behind, so the length is fixed at creation.
pub struct Secret(Guarded);

impl Secret {
    /// Takes the bytes over; the vector is wiped.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let secret = Self::copy_of(&bytes);
        bytes.zeroize();
        secret
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Guarded::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        Self(copy)
    }

    /// `len` bytes written by `fill`, which cannot fail.
    #[must_use]
    pub fn of_len(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut secret = Self(Guarded::zeroed(len));
        fill(&mut secret.0);
        secret
    }

    /// `len` bytes written by `fill`.
    ///
    /// # Errors
    /// Whatever `fill` returns; the bytes are wiped then.
    pub fn filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Guarded::zeroed(len));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The bytes, for the one call that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes (not secret).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self::copy_of(&self.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Secret::copy_of(b"1234")), "Secret(..)");
    }

    #[test]
    fn secrets_compare_by_content() {
        assert_eq!(Secret::copy_of(b"a"), Secret::new(b"a".to_vec()));
        assert_ne!(Secret::copy_of(b"a"), Secret::copy_of(b"ab"));
    }
}
