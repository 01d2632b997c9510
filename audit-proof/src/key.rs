//! Public keys of notes, as text: `<name>+<id>+<type and key>` (C2SP signed-note, "Verifier keys").

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64ct::{Base64, Encoding as _};
use sm2::dsa::signature::Verifier as _;

use crate::error::ProofError;
use crate::hash::TreeHash;

/// The signer's identity that enters SM2 digests (GM/T 0009, 10).
pub const SM2_IDENTITY: &str = "1234567812345678";
/// Length of a public key of Ed25519.
const ED25519_LEN: usize = 32;
/// Length of an uncompressed point of SM2.
const SM2_LEN: usize = 65;
/// Longest text of a key.
const MAX_TEXT: usize = 1024;

/// How a key signs notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 over the text (type 0x01).
    Ed25519,
    /// SM2 with SM3 and the default identity over the text, as r ‖ s. C2SP has no type of its own for it: 0xff and
    /// `kmss/sm2-sm3`.
    Sm2,
    /// Ed25519 over time and text, as witnesses sign (type 0x04; C2SP tlog-cosignature).
    Cosignature,
}

impl Algorithm {
    /// What stands before the key where it is encoded, and enters its number.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => &[0x01],
            Self::Sm2 => b"\xffkmss/sm2-sm3",
            Self::Cosignature => &[0x04],
        }
    }

    const fn key_len(self) -> usize {
        match self {
            Self::Ed25519 | Self::Cosignature => ED25519_LEN,
            Self::Sm2 => SM2_LEN,
        }
    }

    /// The hash of the trees whose checkpoints such keys sign.
    #[must_use]
    pub const fn tree_hash(self) -> TreeHash {
        match self {
            Self::Ed25519 | Self::Cosignature => TreeHash::Sha256,
            Self::Sm2 => TreeHash::Sm3,
        }
    }
}

/// A public key with its name; its point was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    algorithm: Algorithm,
    public: Vec<u8>,
}

impl VerifierKey {
    /// The key `public` under this name.
    ///
    /// # Errors
    /// [`ProofError::Key`].
    pub fn new(name: &str, algorithm: Algorithm, public: &[u8]) -> Result<Self, ProofError> {
        if !is_name(name) {
            return Err(ProofError::Key("its name is empty, or has spaces or a plus"));
        }
        let on_curve = match algorithm {
            Algorithm::Ed25519 | Algorithm::Cosignature => true,
            Algorithm::Sm2 => sm2::PublicKey::from_sec1_bytes(public).is_ok(),
        };
        if public.len() != algorithm.key_len() || !on_curve {
            return Err(ProofError::Key("the key itself is damaged"));
        }
        let digest = TreeHash::Sha256.of(&[name.as_bytes(), b"\n", algorithm.prefix(), public]);
        let id = digest.0.first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
        Ok(Self { name: name.to_owned(), id, algorithm, public: public.to_vec() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number among those with this name.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is its signature of a note with this text.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Ed25519 => self.ed25519(text.as_bytes(), signature),
            Algorithm::Sm2 => {
                let key = sm2::dsa::VerifyingKey::from_sec1_bytes(SM2_IDENTITY, &self.public).ok();
                let signature = sm2::dsa::Signature::from_slice(signature).ok();
                key.zip(signature).is_some_and(|(key, signature)| key.verify(text.as_bytes(), &signature).is_ok())
            }
            Algorithm::Cosignature => signature.split_first_chunk::<8>().is_some_and(|(time, signature)| {
                let time = u64::from_be_bytes(*time);
                self.ed25519(format!("cosignature/v1\ntime {time}\n{text}").as_bytes(), signature)
            }),
        }
    }

    fn ed25519(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = Base64::encode_string(&[self.algorithm.prefix(), &self.public].concat());
        write!(f, "{}+{:08x}+{encoded}", self.name, self.id)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for VerifierKey {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        if text.len() > MAX_TEXT {
            return Err(ProofError::Key("it is too long"));
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ProofError::Key("it has not the form name+number+key"));
        };
        let bytes = Base64::decode_vec(encoded).map_err(|_| ProofError::Key("the key itself is damaged"))?;
        let known = [Algorithm::Ed25519, Algorithm::Sm2, Algorithm::Cosignature];
        let found = known.into_iter().find_map(|a| Some((a, bytes.strip_prefix(a.prefix())?)));
        let (algorithm, public) = found.ok_or(ProofError::Key("its type is unknown"))?;
        let key = Self::new(name, algorithm, public)?;
        if format!("{:08x}", key.id) != id {
            return Err(ProofError::Key("its number is not that of this key"));
        }
        Ok(key)
    }
}

/// Whether a key may have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // From golang.org/x/mod/sumdb/note, which C2SP signed-note is drawn from.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_key_is_read_and_written() {
        let key: VerifierKey = PETER.parse().unwrap();
        assert_eq!((key.name(), key.id(), key.algorithm()), ("PeterNeumann", 0xc74f_20a3, Algorithm::Ed25519));
        assert_eq!(key.to_string(), PETER);
        assert!(signed_note::StandardVerifier::new(PETER).is_ok());
    }

    #[test]
    fn its_signature_is_that_of_the_example() {
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let note = format!(
            "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        );
        let note = crate::Note::parse(&note).unwrap();
        let key: VerifierKey = PETER.parse().unwrap();
        assert_eq!(note.signed_by(&[&key]).unwrap(), [0]);
        let other = crate::Note::parse(&note.to_string().replace("think", "thank")).unwrap();
        assert_eq!(other.signed_by(&[&key]).unwrap_err(), ProofError::BadSignature);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in [
            "",
            "++",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+Axpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy",
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
        assert!(VerifierKey::new("k", Algorithm::Sm2, &[4; SM2_LEN]).is_err());
    }
}
