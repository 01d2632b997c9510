//! What anchors were told, and what they answered. Nothing here speaks to them: whoever does is no guest in a host process.

use serde::{Deserialize, Serialize};

use super::Sealer;
use super::state::anchor_key;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Batch, Commit, Op};

/// How often a commit that a fence refused is tried again.
const ATTEMPTS: u32 = 16;

/// What an anchor was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchored {
    /// Records of the checkpoint.
    pub size: u64,
    /// When.
    pub time: Timestamp,
}

/// What an anchor answered: kept beside the tiles, for auditors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The checkpoint, with the anchor's signature where it gives one.
    pub checkpoint: String,
    /// Its answer, where that is more than a signature: how the file's name ends, and the bytes.
    pub token: Option<(&'static str, Vec<u8>)>,
}

impl Sealer {
    /// What the anchor `name` was told last.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn anchored(&self, name: &str) -> Result<Option<Anchored>> {
        self.records().anchored(name)
    }

    /// Keeps what the anchor `name` was told, and what it answered.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] and those of the store.
    pub fn keep_anchored(&self, name: &str, told: Anchored, receipt: Option<&Receipt>) -> Result<()> {
        anchor_key(name)?;
        if let Some(receipt) = receipt {
            let files = self.files();
            let path = |end: &str| ["receipt".to_owned(), name.to_owned(), format!("{:020}.{end}", told.size)];
            files.keep(&path("checkpoint"), receipt.checkpoint.as_bytes())?;
            if let Some((end, bytes)) = &receipt.token {
                files.keep(&path(end), bytes)?;
            }
        }
        self.put_unfenced(|| self.records().put_anchored(&*self.random, name, &told))
    }

    /// Writes what `seal` sealed under the newest version of the home's domain key, and again where that was over by then.
    pub(super) fn put_unfenced(&self, seal: impl Fn() -> Result<Op>) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let batch = Batch { ops: vec![seal()?], ..Batch::default() };
            if let Commit::Committed(_) = self.records().store.commit(&batch)? {
                return Ok(());
            }
        }
        // Only the fence of a version of the domain key that is over can be in the way.
        Err(Error::new(ErrorKind::Busy, "the home's domain key was rotated at the same time: try again"))
    }

    /// Seals the private keys of the seal anew that do not lie under the newest version of the home's domain key; what
    /// became of each of those.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub(crate) fn reseal_secrets(&self) -> Result<Vec<Commit>> {
        let batches = self.records().reseal_secrets(&*self.random)?;
        batches.iter().map(|batch| self.records().store.commit(batch)).collect()
    }
}
