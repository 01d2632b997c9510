//! Message authentication codes (FIPS 198-1, SP 800-38B).

use std::borrow::Cow;

use super::{BlockCipher, Hash};

/// A MAC with its output length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacMechanism {
    /// HMAC, output truncated to `len` (1 to the hash's length).
    Hmac {
        /// The hash.
        hash: Hash,
        /// Output length.
        len: usize,
    },
    /// CMAC, output truncated to `len` (1 to 16).
    Cmac {
        /// The block cipher.
        cipher: BlockCipher,
        /// Output length.
        len: usize,
    },
}

impl MacMechanism {
    /// Output length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the length of an output, which is never empty")]
    pub const fn len(&self) -> usize {
        match self {
            Self::Hmac { len, .. } | Self::Cmac { len, .. } => *len,
        }
    }

    pub(super) fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Hmac { hash, .. } => format!("{}_HMAC", hash.name()).into(),
            Self::Cmac { cipher, .. } => format!("{}_CMAC", cipher.name()).into(),
        }
    }
}
