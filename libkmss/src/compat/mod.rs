//! The wire formats of business keys and user keys, which other products of this country's banks read and write: as they say,
//! byte by byte, for compatibility. CBC has no authentication, and the short forms give equal ciphertexts for equal plaintexts.
//!
//! A business key is kept here and known by its id. A user key is made here, wrapped under a business key, and kept by whoever
//! uses it: there is no record of it.

mod inspect;
#[cfg(test)]
mod tests;
mod wire;

use base64ct::{Base64, Encoding as _};
use sm3::{Digest as _, Sm3};

pub use self::inspect::{Inspection, inspect};
use crate::error::{Error, ErrorKind, Result};

/// SM4 in CBC mode (GM/T 0006).
pub const SM4_CBC: u32 = 0x0402;
/// Longest text that is looked at, in bytes.
pub const MAX_TEXT: usize = 512 << 10;
/// Bytes of an initialisation vector, and of a block.
pub const BLOCK: usize = 16;

/// What was encrypted, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The algorithm (GM/T 0006).
    pub algorithm: u32,
    /// Whether the plaintext was padded (PKCS #7).
    pub padded: bool,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The initialisation vector.
    pub iv: [u8; BLOCK],
}

/// A ciphertext under a business key, in the long form. User keys are wrapped so, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Business {
    /// What was encrypted.
    pub sealed: Sealed,
    /// The id of the key: its CKA_ID.
    pub key: [u8; 8],
    /// By what people tell another key of the same id apart: too short to decide anything by.
    pub check: [u8; 4],
    /// Whose it is.
    pub application: Application,
}

/// A ciphertext of the formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Under a business key, long.
    Business(Business),
    /// Under a user key.
    User {
        /// What was encrypted.
        sealed: Sealed,
        /// The id of the user key.
        key: [u8; 16],
        /// In the long form: whose it is, and the user key, wrapped.
        long: Option<(Application, Box<Business>)>,
    },
    /// Under a business key, short: padded SM4-CBC under a vector that is known by its number.
    Short {
        /// The number of the key: its id as a number.
        key: u64,
        /// The version of the key; the first is 0.
        version: u32,
        /// The number of the vector.
        iv: u32,
        /// The ciphertext.
        ciphertext: Vec<u8>,
    },
}

/// An application: eight digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application(String);

impl Application {
    /// Reads the id of an application.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for what is not eight digits.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Arguments, "the id of an application is eight digits"))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The one error of everything that cannot be decrypted: what was wrong would tell about the plaintext.
#[must_use]
pub fn refused() -> Error {
    Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext cannot be decrypted")
}

impl Business {
    /// Reads a wrapped user key.
    ///
    /// # Errors
    /// See [`Message::parse`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        match Message::parse(text)? {
            Message::Business(business) => Ok(business),
            _ => Err(refused()),
        }
    }

    /// As it is given out: Base64.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where it is too long to be encoded.
    pub fn to_text(&self) -> Result<String> {
        Ok(Base64::encode_string(&wire::business(self)?))
    }
}

impl Message {
    /// Reads a ciphertext: Base64 of DER, DER itself, or the dotted short form. Nothing of it is proven.
    ///
    /// # Errors
    /// That of [`refused`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_TEXT {
            return Err(refused());
        }
        // Base64 of a sequence begins with another letter, and a key number with this digit has no other.
        if text.first() == Some(&0x30) && text.get(1) != Some(&b'.') {
            return wire::parse(text);
        }
        let text = std::str::from_utf8(text).map_err(|_| refused())?.trim_ascii();
        if text.contains('.') {
            return short(text);
        }
        wire::parse(&Base64::decode_vec(text).map_err(|_| refused())?)
    }

    /// As it is given out.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where it is too long to be encoded.
    pub fn to_text(&self) -> Result<String> {
        match self {
            Self::Business(business) => business.to_text(),
            Self::User { sealed, key, long } => {
                Ok(Base64::encode_string(&wire::user(sealed, key, long.as_ref().map(|(a, b)| (a, &**b)))?))
            }
            Self::Short { key, version, iv, ciphertext } => {
                Ok(format!("{key}.{version}.{iv}.{}", Base64::encode_string(ciphertext)))
            }
        }
    }
}

fn short(text: &str) -> Result<Message> {
    let mut parts = text.split('.');
    let mut part = || parts.next().ok_or_else(refused);
    let (key, version, iv, ciphertext) = (number(part()?)?, number(part()?)?, number(part()?)?, part()?);
    if parts.next().is_some() {
        return Err(refused());
    }
    let ciphertext = whole(Base64::decode_vec(ciphertext).map_err(|_| refused())?)?;
    let small = |number: u64| u32::try_from(number).map_err(|_| refused());
    Ok(Message::Short { key, version: small(version)?, iv: small(iv)?, ciphertext })
}

/// A decimal number as it is written, without sign and zeros in front.
fn number(text: &str) -> Result<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| refused()) } else { Err(refused()) }
}

/// A ciphertext of whole blocks, at least one.
fn whole(ciphertext: Vec<u8>) -> Result<Vec<u8>> {
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(BLOCK) { Err(refused()) } else { Ok(ciphertext) }
}

/// The vector of the short form of a user key: the same for the same key and algorithm.
#[must_use]
pub fn user_iv(key: &[u8; 16], algorithm: u32) -> [u8; BLOCK] {
    first(&[b"kmss/1 user key iv", key, &algorithm.to_be_bytes()])
}

/// The vector with a number, of a business key: the same for the same key, algorithm and number.
#[must_use]
pub fn business_iv(key: u64, algorithm: u32, number: u32) -> [u8; BLOCK] {
    first(&[b"kmss/1 business key iv", &key.to_be_bytes(), &algorithm.to_be_bytes(), &number.to_be_bytes()])
}

/// What the long form says of a key beside its id, made of its check value (PKCS#11, CKA_CHECK_VALUE).
#[must_use]
pub fn key_check(key: &[u8; 8], check_value: &[u8]) -> [u8; 4] {
    first(&[b"kmss/1 business key check", key, check_value])
}

/// The leading bytes of an SM3 digest.
fn first<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hash = Sm3::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut leading = [0; N];
    leading.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    leading
}
