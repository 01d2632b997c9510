//! Digests: SHA-1, SHA-2 and SHA-3 by aws-lc, SM3 by RustCrypto.

use sm3::{Digest as _, Sm3};

use super::awslc::{Md, digest_at_once};
use super::buffer::front;
use crate::backend::Digesting;
use crate::error::Result;
use crate::mechanism::Hash;

/// A hash under way.
pub(super) enum Hasher {
    /// Of aws-lc, without a message so far: one that comes in one part needs no context.
    Fresh(Hash),
    /// Of aws-lc.
    Nist(Md),
    /// SM3.
    Sm3(Box<Sm3>),
}

impl Hasher {
    pub(super) fn new(hash: Hash) -> Self {
        match hash {
            Hash::Sm3 => Self::Sm3(Box::default()),
            nist => Self::Fresh(nist),
        }
    }

    pub(super) fn update(&mut self, data: &[u8]) -> Result<()> {
        if let Self::Fresh(hash) = self {
            *self = Self::Nist(Md::new(*hash)?);
        }
        match self {
            Self::Nist(md) => md.update(data)?,
            Self::Sm3(sm3) => sm3.update(data),
            Self::Fresh(_) => {}
        }
        Ok(())
    }

    /// Adds the last part (perhaps empty) and writes the digest to the front of `out`; returns its length.
    pub(super) fn finish(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        Ok(match self {
            Self::Fresh(hash) => digest_at_once(*hash, data, out)?,
            Self::Nist(md) => {
                md.update(data)?;
                md.finish(out)?
            }
            Self::Sm3(sm3) => {
                sm3.update(data);
                let digest = sm3.finalize_reset();
                front(out, digest.len())?.copy_from_slice(&digest);
                digest.len()
            }
        })
    }

    fn fork(&self) -> Result<Self> {
        Ok(match self {
            Self::Fresh(hash) => Self::Fresh(*hash),
            Self::Nist(md) => Self::Nist(md.fork()?),
            Self::Sm3(sm3) => Self::Sm3(sm3.clone()),
        })
    }
}

/// The digest of the concatenation of `parts`.
pub(super) fn digest(hash: Hash, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut hasher = Hasher::new(hash);
    for part in parts {
        hasher.update(part)?;
    }
    let mut out = vec![0; hash.len()];
    hasher.finish(&[], &mut out)?;
    Ok(out)
}

/// A digest operation.
pub(super) struct DigestOperation {
    hash: Hash,
    hasher: Hasher,
}

impl DigestOperation {
    pub(super) fn new(hash: Hash) -> Self {
        Self { hash, hasher: Hasher::new(hash) }
    }
}

impl Digesting for DigestOperation {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.hasher.update(data)
    }

    fn digest_len(&self) -> usize {
        self.hash.len()
    }

    fn finish(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        self.hasher.finish(data, front(out, self.hash.len())?)
    }

    fn fork(&self) -> Result<Box<dyn Digesting>> {
        Ok(Box::new(Self { hash: self.hash, hasher: self.hasher.fork()? }))
    }
}
