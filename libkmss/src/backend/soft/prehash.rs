//! Hashing messages before they are signed (HashML-DSA, HashSLH-DSA).

use super::awslc::Xof;
use super::digest::Hasher;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Hash, PqcHash};

/// A hash under way.
pub(super) enum Prehash {
    Hash(Hasher, Hash),
    /// An extendable output, of which so many bytes are taken.
    Xof(Xof, usize),
}

impl Prehash {
    pub(super) fn new(function: PqcHash) -> Result<Self> {
        Ok(match (function, function.hash()) {
            (_, Some(hash)) => Self::Hash(Hasher::new(hash), hash),
            (PqcHash::Shake256, None) => Self::Xof(Xof::shake256()?, function.len()),
            (_, None) => Self::Xof(Xof::shake128()?, function.len()),
        })
    }

    pub(super) fn update(&mut self, data: &[u8]) -> Result<()> {
        match self {
            Self::Hash(hasher, _) => hasher.update(data),
            Self::Xof(xof, _) => Ok(xof.update(data)?),
        }
    }

    pub(super) fn finish(&mut self) -> Result<Vec<u8>> {
        match self {
            Self::Hash(hasher, hash) => {
                let mut out = vec![0; hash.len()];
                hasher.finish(&[], &mut out)?;
                Ok(out)
            }
            Self::Xof(xof, len) => {
                let mut out = vec![0; *len];
                xof.finish(&mut out)?;
                Ok(out)
            }
        }
    }
}

/// The error for a ready digest whose length is not its hash's.
pub(super) fn not_a_digest() -> Error {
    Error::new(ErrorKind::DataLength, "the data does not have the length of the hash")
}
