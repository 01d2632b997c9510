//! Format-preserving encryption by FF1 (NIST SP 800-38G revision 1): text goes in, text of the same format comes out.
//!
//! The format says which characters are encrypted and which stay, and brings check digits in order. FF3-1 is not offered: NIST
//! has withdrawn it.

mod alphabet;
mod checksum;
mod format;
mod text;

pub use self::format::Format;
pub use self::text::Template;

use super::BlockCipher;
use crate::error::{Error, ErrorKind, Result};

/// FF1 with one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ff1 {
    /// AES or SM4.
    pub cipher: BlockCipher,
    /// What values look like.
    pub format: Format,
    /// What tells uses of one key apart. Not secret.
    tweak: Vec<u8>,
    /// Decrypting: most of the value is hidden before it is given out.
    masked: bool,
    /// Which version of its key.
    version: Option<u32>,
}

impl Ff1 {
    /// Longest tweak in bytes.
    pub const MAX_TWEAK: usize = 256;
    /// Longest value in bytes.
    pub const MAX_VALUE: usize = 1024;
    /// Fewest values that a format must tell apart where it encrypts: with fewer, tokens can be guessed or listed (SP 800-38G
    /// revision 1, section 5.2).
    pub const MIN_DOMAIN: u128 = 1_000_000;

    /// FF1 of values in `format`.
    ///
    /// # Errors
    /// [`ErrorKind::MechanismParameter`] for tweaks that are too long.
    pub fn new(cipher: BlockCipher, format: Format, tweak: Vec<u8>) -> Result<Self> {
        if tweak.len() > Self::MAX_TWEAK {
            return Err(Error::new(ErrorKind::MechanismParameter, "a tweak of FF1 has at most 256 bytes"));
        }
        Ok(Self { cipher, format, tweak, masked: false, version: None })
    }

    /// The same, decrypting to what may be shown to many.
    #[must_use]
    pub fn masked(self) -> Self {
        Self { masked: true, ..self }
    }

    /// The same by this version of its key and no other. Tokens do not say which one made them, and every text is the token of
    /// something: a key that was rotated is used by whoever says so.
    #[must_use]
    pub const fn by_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Which version of its key it asks for.
    #[must_use]
    pub const fn version(&self) -> Option<u32> {
        self.version
    }

    /// Whether it shows only parts of what it decrypts.
    #[must_use]
    pub const fn is_masked(&self) -> bool {
        self.masked
    }

    /// What tells uses of one key apart.
    #[must_use]
    pub fn tweak(&self) -> &[u8] {
        &self.tweak
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.cipher {
            BlockCipher::Aes => "AES_FF1",
            BlockCipher::Sm4 => "SM4_FF1",
        }
    }
}
