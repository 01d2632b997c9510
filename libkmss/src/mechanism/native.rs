//! Ciphertexts of our own format: their header, and the encryption context that is authenticated with them. docs/ciphertext.md
//! has every byte.

use std::sync::Arc;

use super::KeyType;
use crate::error::{Error, ErrorKind, Result};
use crate::tenant::ObjectId;

/// What every ciphertext begins with: `KMSC`.
pub const MAGIC: [u8; 4] = [0x4b, 0x4d, 0x53, 0x43];
/// The version of the format that is written, and the only one there is.
const FORMAT: u8 = 1;
/// What in the number of a vendor's mechanism names ours (PKCS#11 3.2: CKM_VENDOR_DEFINED).
const NUMBERS: u64 = 0x8000_0000 | 0x4b4d_5300;

/// Encryption in our own format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// How.
    pub algorithm: NativeAlgorithm,
    /// What is authenticated beside the plaintext.
    pub context: EncryptionContext,
}

impl Native {
    /// Longest plaintext in bytes; what is longer is encrypted under a data key.
    pub const MAX: usize = 64 << 10;

    /// The door's number of the mechanism, for the list of those that a key may be restricted to: ours among the vendors'.
    #[must_use]
    pub const fn number(&self) -> u64 {
        NUMBERS | self.algorithm.code() as u64
    }
}

/// How the key of a message is derived, and what encrypts under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NativeAlgorithm {
    /// AES-256-GCM, its keys derived by AES-CMAC from an AES key of 256 bits.
    Aes256Gcm,
    /// ChaCha20-Poly1305, its keys derived by AES-CMAC from an AES key of 256 bits.
    ChaCha20Poly1305,
    /// SM4-GCM, its keys derived by SM4-CMAC from an SM4 key.
    Sm4Gcm,
    /// AES-SIV (RFC 5297) under one key for all messages: equal plaintexts in equal contexts give equal ciphertexts, which can be
    /// searched for, and tell everybody that they are equal. Its key is derived by AES-CMAC from an AES key of 256 bits.
    DeterministicAesSiv,
    /// ChaCha20-Poly1305, its keys derived by HMAC-SHA-256 from a ChaCha20 key.
    ChaCha20OfChaCha20,
}

impl NativeAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::Sm4Gcm, Self::DeterministicAesSiv, Self::ChaCha20OfChaCha20];

    /// The byte in the header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
            Self::Sm4Gcm => 3,
            Self::DeterministicAesSiv => 4,
            Self::ChaCha20OfChaCha20 => 5,
        }
    }

    /// The algorithm of a byte in a header.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.code() == code)
    }

    /// The name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 | Self::ChaCha20OfChaCha20 => "chacha20-poly1305",
            Self::Sm4Gcm => "sm4-gcm",
            Self::DeterministicAesSiv => "deterministic-aes-siv",
        }
    }

    /// The name that audit and policies show.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "NATIVE_AES_256_GCM",
            Self::ChaCha20Poly1305 | Self::ChaCha20OfChaCha20 => "NATIVE_CHACHA20_POLY1305",
            Self::Sm4Gcm => "NATIVE_SM4_GCM",
            Self::DeterministicAesSiv => "NATIVE_DETERMINISTIC_AES_SIV",
        }
    }

    /// The algorithm of this label for keys of a type.
    #[must_use]
    pub fn of_label(label: &str, key_type: KeyType) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.label() == label && algorithm.key_type() == key_type)
    }

    /// What is used with keys of a type where nobody says by which; `None` of types that it is not offered with.
    #[must_use]
    pub const fn usual(key_type: KeyType) -> Option<Self> {
        match key_type {
            KeyType::Aes => Some(Self::Aes256Gcm),
            KeyType::Sm4 => Some(Self::Sm4Gcm),
            KeyType::ChaCha20 => Some(Self::ChaCha20OfChaCha20),
            _ => None,
        }
    }

    /// The type of the keys that it works with.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::DeterministicAesSiv => KeyType::Aes,
            Self::Sm4Gcm => KeyType::Sm4,
            Self::ChaCha20OfChaCha20 => KeyType::ChaCha20,
        }
    }

    /// Whether equal plaintexts give equal ciphertexts.
    #[must_use]
    pub const fn is_deterministic(self) -> bool {
        matches!(self, Self::DeterministicAesSiv)
    }
}

/// The header of a ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeHeader {
    /// How it was encrypted.
    pub algorithm: NativeAlgorithm,
    /// The key: the identity of its object.
    pub key: ObjectId,
    /// The version of the key.
    pub version: u32,
    /// What the message's key is derived with; zeros where that is one for all messages.
    pub salt: [u8; 16],
    /// What fits one derived key only.
    pub commitment: [u8; 32],
}

impl NativeHeader {
    /// Its length in bytes.
    pub const LEN: usize = 74;
    /// Length of the tag.
    pub const TAG: usize = 16;
    /// How much longer a ciphertext is than its plaintext.
    pub const OVERHEAD: usize = Self::LEN + Self::TAG;
    /// Where the commitment begins; everything from the format's version to there goes into the derivation.
    const COMMITMENT: usize = 42;

    /// Takes the header from the front of a ciphertext. What follows it is there, tag included.
    ///
    /// # Errors
    /// [`ErrorKind::EncryptedDataInvalid`] for what is no such ciphertext, with the error of those that do not decrypt.
    pub fn parse(ciphertext: &[u8]) -> Result<(Self, &[u8])> {
        let (bytes, body) = ciphertext.split_first_chunk::<{ Self::LEN }>().ok_or_else(undecipherable)?;
        if !(Self::TAG..=Native::MAX + Self::TAG).contains(&body.len()) {
            return Err(undecipherable());
        }
        Self::of(bytes).map(|header| (header, body)).ok_or_else(undecipherable)
    }

    fn of(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let ([format, algorithm], rest) = rest.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (salt, rest) = rest.split_first_chunk::<16>()?;
        let algorithm = NativeAlgorithm::of_code(*algorithm)?;
        let known = *magic == MAGIC && *format == FORMAT && (!algorithm.is_deterministic() || *salt == [0; 16]);
        known.then_some(Self {
            algorithm,
            key: ObjectId(*key),
            version: u32::from_be_bytes(*version),
            salt: *salt,
            commitment: *rest.first_chunk()?,
        })
    }

    /// The header as bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; Self::LEN] {
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &[FORMAT, self.algorithm.code()],
            &self.key.0,
            &self.version.to_be_bytes(),
            &self.salt,
            &self.commitment,
        ];
        let mut bytes = [0; Self::LEN];
        let mut rest = bytes.as_mut_slice();
        for part in parts {
            // They are as long together as all of it.
            let Some((to, behind)) = rest.split_at_mut_checked(part.len()) else { break };
            to.copy_from_slice(part);
            rest = behind;
        }
        bytes
    }

    /// What goes into the derivation of the message's key: everything but the magic and the commitment.
    #[must_use]
    pub fn derivation(bytes: &[u8; Self::LEN]) -> &[u8] {
        bytes.get(MAGIC.len()..Self::COMMITMENT).unwrap_or_default()
    }
}

/// What a caller says of its data: names and values, authenticated with it and not part of the ciphertext. The order in which they
/// are given does not matter. Copies are cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(Arc<[(String, String)]>);

impl EncryptionContext {
    /// Most pairs.
    pub const MOST: usize = 64;
    /// Longest name in bytes.
    pub const LONGEST_NAME: usize = 128;
    /// Most bytes of all names and values together.
    pub const LONGEST: usize = 8 << 10;

    /// Takes names and values.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for a name that is empty, too long or there twice, and for more than there may be.
    pub fn new(mut pairs: Vec<(String, String)>) -> Result<Self> {
        let wrong = |why: &'static str| Err(Error::new(ErrorKind::Arguments, why));
        if pairs.len() > Self::MOST
            || pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > Self::LONGEST
        {
            return wrong("the encryption context is too long: it has at most 64 names, and 8 KiB with its values");
        }
        if pairs.iter().any(|(name, _)| name.is_empty() || name.len() > Self::LONGEST_NAME) {
            return wrong("a name in the encryption context has 1 to 128 bytes");
        }
        pairs.sort_unstable();
        if pairs.windows(2).any(|two| matches!(two, [(one, _), (other, _)] if one == other)) {
            return wrong("a name is twice in the encryption context");
        }
        Ok(Self(pairs.into()))
    }

    /// What the core itself tells policies and the audit of an operation.
    pub(crate) fn told(mut pairs: Vec<(String, String)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup_by(|one, other| one.0 == other.0);
        Self(pairs.into())
    }

    /// The same with what the core itself tells in the place of whatever a caller says under that name.
    pub(crate) fn with_told(&self, name: &str, value: String) -> Self {
        let others = self.0.iter().filter(|(other, _)| other != name).cloned();
        Self::told(others.chain([(name.to_owned(), value)]).collect())
    }

    /// Names and values, sorted by the bytes of the names.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// Appends the one encoding that it has: how many pairs, then the length and the bytes of each name and value. Numbers have 4
    /// bytes, the highest first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(&number(self.0.len()));
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            out.extend_from_slice(&number(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Length of the encoding in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        4 + self.0.iter().map(|(name, value)| 8 + name.len() + value.len()).sum::<usize>()
    }
}

/// What records tell of an encryption context: its names, and of each value a mark that tells whether two are equal.
#[derive(Clone, Debug)]
pub struct MarkedContext {
    context: EncryptionContext,
    /// In the order of the pairs.
    marks: Vec<[u8; 16]>,
}

impl MarkedContext {
    /// Marks each value of `context` by `mark`, which is given its name too.
    #[must_use]
    pub fn new(context: &EncryptionContext, mark: impl Fn(&str, &str) -> [u8; 16]) -> Self {
        let marks = context.pairs().iter().map(|(name, value)| mark(name, value)).collect();
        Self { context: context.clone(), marks }
    }

    /// Names with the marks of their values, sorted by the bytes of the names.
    pub fn each(&self) -> impl ExactSizeIterator<Item = (&str, &[u8; 16])> {
        self.context.pairs().iter().map(|(name, _)| name.as_str()).zip(&self.marks)
    }
}

/// The one error of ciphertexts that do not decrypt, whatever is wrong with them.
#[must_use]
pub fn undecipherable() -> Error {
    Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_context_has_one_encoding_in_whatever_order_it_is_given() {
        let encoded = |given: &[(&str, &str)]| {
            let context = EncryptionContext::new(pairs(given)).unwrap();
            let mut out = Vec::new();
            context.encode(&mut out);
            assert_eq!(out.len(), context.encoded_len());
            out
        };
        let (one, other) = (encoded(&[("b", "2"), ("a", "")]), encoded(&[("a", ""), ("b", "2")]));
        assert_eq!(one, other);
        assert_eq!(one, b"\0\0\0\x02\0\0\0\x01a\0\0\0\0\0\0\0\x01b\0\0\0\x012");
        assert_eq!(encoded(&[]), [0; 4]);
        assert_ne!(encoded(&[("a", "bc")]), encoded(&[("ab", "c")]));
    }

    #[test]
    fn a_context_says_nothing_twice_and_not_too_much() {
        let long = "x".repeat(EncryptionContext::LONGEST_NAME + 1);
        let value = "x".repeat(EncryptionContext::LONGEST);
        for wrong in
            [pairs(&[("a", "1"), ("a", "2")]), pairs(&[("", "1")]), pairs(&[(&long, "")]), pairs(&[("a", &value)])]
        {
            assert_eq!(EncryptionContext::new(wrong).unwrap_err().kind(), ErrorKind::Arguments);
        }
        let many = (0..=EncryptionContext::MOST).map(|n| (n.to_string(), String::new())).collect();
        assert!(EncryptionContext::new(many).is_err());
    }

    #[test]
    fn a_header_is_what_it_was_made_of_and_any_other_is_refused() {
        let header = NativeHeader {
            algorithm: NativeAlgorithm::Sm4Gcm,
            key: ObjectId([7; 16]),
            version: 0x0102_0304,
            salt: [9; 16],
            commitment: [3; 32],
        };
        let mut ciphertext = header.bytes().to_vec();
        ciphertext.extend_from_slice(&[0; NativeHeader::TAG]);
        let (parsed, body) = NativeHeader::parse(&ciphertext).unwrap();
        assert_eq!((parsed, body.len()), (header, NativeHeader::TAG));
        assert_eq!(NativeHeader::derivation(&header.bytes()).len(), 38);
        for (place, wrong) in [(0, b'k'), (4, 0), (4, 2), (5, 0), (5, 6), (5, 255)] {
            let mut other = ciphertext.clone();
            other[place] = wrong;
            assert!(NativeHeader::parse(&other).is_err());
        }
        // Deterministic ones have no salt.
        ciphertext[5] = NativeAlgorithm::DeterministicAesSiv.code();
        assert!(NativeHeader::parse(&ciphertext).is_err());
        assert!(NativeHeader::parse(&ciphertext[..ciphertext.len() - 1]).is_err());
    }

    #[test]
    fn each_algorithm_has_its_own_code_and_goes_by_type_and_label() {
        for algorithm in NativeAlgorithm::ALL {
            assert_eq!(NativeAlgorithm::of_code(algorithm.code()), Some(algorithm));
            assert_eq!(NativeAlgorithm::of_label(algorithm.label(), algorithm.key_type()), Some(algorithm));
        }
        assert_eq!(NativeAlgorithm::usual(KeyType::Rsa), None);
    }
}
