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

    /// As many bytes as `fill` says that it wrote to the front of `most`.
    ///
    /// # Errors
    /// Whatever `fill` returns; the bytes are wiped then.
    pub fn filled_in_part<E>(most: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<Self, E> {
        let mut secret = Self(Guarded::zeroed(most));
        let len = fill(&mut secret.0)?;
        secret.0.shorten(len);
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

/// Overwrites `N` bytes of the stack below the caller: ciphers leave blocks there that they worked on.
#[inline(never)]
pub(crate) fn wipe_stack<const N: usize>() {
    std::hint::black_box(&mut [0_u8; N]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Secret::copy_of(b"1234")), "Secret(..)");
    }

    #[test]
    fn a_secret_that_is_shorter_than_its_room_is_what_was_written() {
        for most in [3, 40, 70_000] {
            let part = Secret::filled_in_part(most, |out| {
                out.fill(7);
                Ok::<_, ()>(2)
            });
            assert_eq!(part, Ok(Secret::copy_of(&[7, 7])));
        }
        assert_eq!(Secret::filled_in_part(4, |_| Err(3)), Err(3));
        assert_eq!(Secret::filled_in_part(2, |_| Ok::<_, ()>(9)), Ok(Secret::copy_of(&[0, 0])));
    }

    #[test]
    fn secrets_compare_by_content() {
        assert_eq!(Secret::copy_of(b"a"), Secret::new(b"a".to_vec()));
        assert_ne!(Secret::copy_of(b"a"), Secret::copy_of(b"ab"));
    }
}
