//! Proofs that a record is in the log (C2SP tlog-proof): the record, its place, the path to the root, and the checkpoint.

use base64ct::{Base64, Encoding as _};

use crate::checkpoint::number;
use crate::epoch::Lineage;
use crate::error::ProofError;
use crate::hash::{Hash, TreeHash};
use crate::note::{MAX_NOTE, Note};
use crate::path::{MAX_PATH, check_inclusion};

/// First line of a proof in a tree of SHA-256.
const SHA256: &str = "c2sp.org/tlog-proof@v1";
/// First line of a proof in a tree of SM3, which C2SP does not have.
const SM3: &str = "kmss/tlog-proof-sm3@v1";
/// Longest record in bytes.
const MAX_RECORD: usize = 64 << 10;
/// Longest proof in bytes.
pub const MAX_PROOF: usize = 2 * MAX_RECORD + MAX_NOTE;

/// A proof that a record is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProof {
    /// The tree's hash.
    pub hash: TreeHash,
    /// The record, where the proof brings it along (tlog-proof's extra data).
    pub record: Option<Vec<u8>>,
    /// Its place in the log, from 0.
    pub index: u64,
    /// The hashes from its sibling up.
    pub path: Vec<Hash>,
    /// The checkpoint of the tree.
    pub checkpoint: Note,
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The record.
    pub record: Vec<u8>,
    /// The log.
    pub origin: String,
    /// Its place in it, from 0.
    pub index: u64,
    /// Records in the log when the checkpoint was signed.
    pub size: u64,
    /// Epoch of the key that signed.
    pub epoch: u64,
    /// When it was signed, as the signer says.
    pub time: Option<u64>,
}

impl RecordProof {
    /// Reads a proof. Nothing of it is verified yet.
    ///
    /// # Errors
    /// [`ProofError::Proof`], [`ProofError::Note`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > MAX_PROOF {
            return Err(ProofError::Proof("it is too long"));
        }
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Proof("it has no checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        let hash = match lines.next() {
            Some(SHA256) => TreeHash::Sha256,
            Some(SM3) => TreeHash::Sm3,
            _ => return Err(ProofError::Proof("its first line is not that of a proof")),
        };
        let extra = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let record = extra.map(Base64::decode_vec).transpose();
        let record = record.map_err(|_| ProofError::Proof("the record in it is damaged"))?;
        if record.as_ref().is_some_and(|r| r.len() > MAX_RECORD) {
            return Err(ProofError::Proof("the record in it is too long"));
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(number);
        let index = index.ok_or(ProofError::Proof("it does not say which record"))?;
        let path =
            lines.take(MAX_PATH + 1).map(|line| Hash::from_base64(line).ok_or(ProofError::Proof("a hash is damaged")));
        let path = path.collect::<Result<Vec<_>, _>>()?;
        if path.len() > MAX_PATH {
            return Err(ProofError::Proof("it has too many hashes"));
        }
        Ok(Self { hash, record, index, path, checkpoint: Note::parse(note)? })
    }

    /// Verifies it: `record`, or the one that it brings along, is in the log of `lineage`.
    ///
    /// # Errors
    /// [`ProofError::Proof`] where there is no record; [`ProofError::WrongRecord`] where the one given is not the one
    /// brought along; those of [`Lineage::open`] and [`check_inclusion`].
    pub fn verify(&self, record: Option<&[u8]>, lineage: &Lineage) -> Result<Verified, ProofError> {
        let record = match (record, self.record.as_deref()) {
            (Some(given), Some(brought)) if given != brought => return Err(ProofError::WrongRecord),
            (given, brought) => given.or(brought).ok_or(ProofError::Proof("it does not bring the record along"))?,
        };
        if self.hash != lineage.tree_hash() {
            return Err(ProofError::Proof("its tree has another hash than the log"));
        }
        let (checkpoint, epoch) = lineage.open(&self.checkpoint)?;
        let leaf = self.hash.leaf(record);
        check_inclusion(self.hash, &leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok(Verified {
            record: record.to_vec(),
            time: checkpoint.time(),
            origin: checkpoint.origin,
            index: self.index,
            size: checkpoint.size,
            epoch,
        })
    }
}

impl std::fmt::Display for RecordProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let title = match self.hash {
            TreeHash::Sha256 => SHA256,
            TreeHash::Sm3 => SM3,
        };
        writeln!(f, "{title}")?;
        if let Some(record) = &self.record {
            writeln!(f, "extra {}", Base64::encode_string(record))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests;
