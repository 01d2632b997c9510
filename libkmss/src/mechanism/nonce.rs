//! Nonces.

use std::fmt;
use std::ops::Deref;

/// A nonce or initialisation vector. One of usual length lies in place, so that copying it costs nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Bytes);

/// Bytes that lie in place.
const SHORT: usize = 16;

#[derive(Clone, PartialEq, Eq)]
enum Bytes {
    // INVARIANT: at most SHORT bytes count; those behind them are zero, so that equal nonces are equal.
    Short(u8, [u8; SHORT]),
    Long(Vec<u8>),
}

impl From<&[u8]> for Nonce {
    fn from(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match (short.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(bytes);
                Self(Bytes::Short(len, short))
            }
            _ => Self(Bytes::Long(bytes.to_vec())),
        }
    }
}

impl From<Vec<u8>> for Nonce {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl Deref for Nonce {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_of_any_length_is_what_it_was_made_of() {
        for len in [0, 1, 12, 15, 16, 17, 256] {
            let bytes: Vec<u8> = (1..=u8::MAX).cycle().take(len).collect();
            let nonce = Nonce::from(bytes.clone());
            assert_eq!(*nonce, *bytes);
            assert_eq!(nonce, Nonce::from(bytes.as_slice()));
        }
        assert_ne!(Nonce::from(vec![0; 12]), Nonce::from(vec![0; 13]));
    }
}
