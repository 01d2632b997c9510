//! What ML-DSA and SLH-DSA signatures have in common: context strings, hedging, and messages hashed beforehand
//! (FIPS 204, 5.2 to 5.4; FIPS 205, 10.2).

use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::Hash;

/// How a signature is to be randomised. Verification does not look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hedge {
    /// With fresh randomness where that can be had.
    #[default]
    Preferred,
    /// With fresh randomness or not at all.
    Required,
    /// Without any: the same message gives the same signature.
    Deterministic,
}

/// A function that messages are hashed with beforehand; the ones that have an identifier for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PqcHash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
    Shake128,
    Shake256,
}

impl PqcHash {
    /// Every one of them.
    pub const ALL: [Self; 12] = [
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha512_224,
        Self::Sha512_256,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Shake128,
        Self::Shake256,
    ];

    /// The hash, where it is not one of the two functions of extendable output.
    #[must_use]
    pub const fn hash(self) -> Option<Hash> {
        Some(match self {
            Self::Sha224 => Hash::Sha224,
            Self::Sha256 => Hash::Sha256,
            Self::Sha384 => Hash::Sha384,
            Self::Sha512 => Hash::Sha512,
            Self::Sha512_224 => Hash::Sha512_224,
            Self::Sha512_256 => Hash::Sha512_256,
            Self::Sha3_224 => Hash::Sha3_224,
            Self::Sha3_256 => Hash::Sha3_256,
            Self::Sha3_384 => Hash::Sha3_384,
            Self::Sha3_512 => Hash::Sha3_512,
            Self::Shake128 | Self::Shake256 => return None,
        })
    }

    /// The function for a hash; SHA-1 and SM3 are none.
    #[must_use]
    pub fn of(hash: Hash) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.hash() == Some(hash))
    }

    /// Length of its output in bytes (FIPS 204, algorithm 4; FIPS 205, algorithm 23).
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the length of an output, which is never empty")]
    pub const fn len(self) -> usize {
        match (self, self.hash()) {
            (_, Some(hash)) => hash.len(),
            (Self::Shake256, None) => 64,
            (_, None) => 32,
        }
    }

    /// Its object identifier, DER-encoded: 2.16.840.1.101.3.4.2 and a last number.
    #[must_use]
    pub const fn oid(self) -> [u8; 11] {
        let last = match self {
            Self::Sha224 => 4,
            Self::Sha256 => 1,
            Self::Sha384 => 2,
            Self::Sha512 => 3,
            Self::Sha512_224 => 5,
            Self::Sha512_256 => 6,
            Self::Sha3_224 => 7,
            Self::Sha3_256 => 8,
            Self::Sha3_384 => 9,
            Self::Sha3_512 => 10,
            Self::Shake128 => 11,
            Self::Shake256 => 12,
        };
        [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last]
    }
}

/// What is given to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PqcInput {
    /// The message.
    Message,
    /// The message, hashed here before it is signed (HashML-DSA, HashSLH-DSA).
    Hashed(PqcHash),
    /// The hash of the message, ready.
    Digest(PqcHash),
}

impl PqcInput {
    /// The names with ML-DSA and with SLH-DSA.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Message => ("ML_DSA", "SLH_DSA"),
            Self::Digest(_) => ("HASH_ML_DSA", "HASH_SLH_DSA"),
            Self::Hashed(hash) => match hash {
                PqcHash::Sha224 => ("HASH_ML_DSA_SHA224", "HASH_SLH_DSA_SHA224"),
                PqcHash::Sha256 => ("HASH_ML_DSA_SHA256", "HASH_SLH_DSA_SHA256"),
                PqcHash::Sha384 => ("HASH_ML_DSA_SHA384", "HASH_SLH_DSA_SHA384"),
                PqcHash::Sha512 => ("HASH_ML_DSA_SHA512", "HASH_SLH_DSA_SHA512"),
                PqcHash::Sha512_224 => ("HASH_ML_DSA_SHA512_224", "HASH_SLH_DSA_SHA512_224"),
                PqcHash::Sha512_256 => ("HASH_ML_DSA_SHA512_256", "HASH_SLH_DSA_SHA512_256"),
                PqcHash::Sha3_224 => ("HASH_ML_DSA_SHA3_224", "HASH_SLH_DSA_SHA3_224"),
                PqcHash::Sha3_256 => ("HASH_ML_DSA_SHA3_256", "HASH_SLH_DSA_SHA3_256"),
                PqcHash::Sha3_384 => ("HASH_ML_DSA_SHA3_384", "HASH_SLH_DSA_SHA3_384"),
                PqcHash::Sha3_512 => ("HASH_ML_DSA_SHA3_512", "HASH_SLH_DSA_SHA3_512"),
                PqcHash::Shake128 => ("HASH_ML_DSA_SHAKE128", "HASH_SLH_DSA_SHAKE128"),
                PqcHash::Shake256 => ("HASH_ML_DSA_SHAKE256", "HASH_SLH_DSA_SHAKE256"),
            },
        }
    }
}

/// How a message is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PqcSignature {
    /// What is given.
    pub input: PqcInput,
    /// Its randomness.
    pub hedge: Hedge,
    context: Vec<u8>,
}

impl PqcSignature {
    /// Longest context string in bytes.
    pub const MAX_CONTEXT: usize = 255;

    /// A way to sign.
    ///
    /// # Errors
    /// [`ErrorKind::MechanismParameter`] for a context of more than 255 bytes.
    pub fn new(input: PqcInput, hedge: Hedge, context: Vec<u8>) -> Result<Self> {
        if context.len() > Self::MAX_CONTEXT {
            return Err(Error::new(ErrorKind::MechanismParameter, "a context string has at most 255 bytes"));
        }
        Ok(Self { input, hedge, context })
    }

    /// A message without context, hedged: what no parameter means.
    #[must_use]
    pub const fn plain(input: PqcInput) -> Self {
        Self { input, hedge: Hedge::Preferred, context: Vec::new() }
    }

    /// The context string.
    #[must_use]
    pub fn context(&self) -> &[u8] {
        &self.context
    }

    /// What comes before the message (or the digest) in what is signed: the domain separator, the context's length, the
    /// context, and the hash's identifier where there is one.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        let (domain, oid) = match self.input {
            PqcInput::Message => (0, None),
            PqcInput::Hashed(hash) | PqcInput::Digest(hash) => (1, Some(hash.oid())),
        };
        let mut prefix = vec![domain, u8::try_from(self.context.len()).unwrap_or(u8::MAX)];
        prefix.extend_from_slice(&self.context);
        prefix.extend(oid.into_iter().flatten());
        prefix
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_context_of_255_bytes_is_the_longest() {
        let with = |len| PqcSignature::new(PqcInput::Message, Hedge::Preferred, vec![7; len]);
        assert_eq!(with(255).unwrap().prefix().get(..3), Some([0, 255, 7].as_slice()));
        assert_eq!(with(256).unwrap_err().kind(), ErrorKind::MechanismParameter);
    }

    #[test]
    fn a_hash_puts_its_identifier_behind_the_context() {
        let signature = PqcSignature::new(PqcInput::Hashed(PqcHash::Sha256), Hedge::Preferred, b"ab".to_vec()).unwrap();
        let oid = [6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
        assert_eq!(signature.prefix(), [[1, 2, b'a', b'b'].as_slice(), &oid].concat());
    }

    #[test]
    fn names_say_which_hash() {
        for hash in PqcHash::ALL {
            let (ml, slh) = PqcInput::Hashed(hash).names();
            let word = hash.hash().map_or(if hash.len() == 32 { "SHAKE128" } else { "SHAKE256" }, Hash::name);
            assert_eq!((ml, slh), (&*format!("HASH_ML_DSA_{word}"), &*format!("HASH_SLH_DSA_{word}")));
        }
    }
}
