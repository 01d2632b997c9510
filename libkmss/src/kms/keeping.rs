//! The audit kept for years: compressed, archived, removed when it is time.

use std::path::PathBuf;
use std::time::Duration;

use super::Kms;
use crate::audit::Progress;
use crate::audit::keep::{ArchiveOptions, Archived, Compressed, Keeper, Pruned};
use crate::error::Result;
use crate::os::effective_ids;
use crate::principal::ProcessIdentity;

/// Where the agent keeps how far its destinations have read, below the home.
const CURSORS: &str = "agent";
const DAY: u64 = 86_400;

/// What was done of what the configuration asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Where segments are to be compressed.
    pub compressed: Option<Compressed>,
    /// Where segments are to be removed.
    pub pruned: Option<Pruned>,
}

impl Kms {
    /// Compresses the segments of the audit whose last record is at least so old.
    ///
    /// # Errors
    /// See [`Keeper::compress`].
    pub fn compress_audit(&self, age: Duration, progress: &mut dyn FnMut(&Progress)) -> Result<Compressed> {
        self.keeping(|keeper| keeper.compress(age, usize::MAX, progress))
    }

    /// Copies segments of the audit to an archive.
    ///
    /// # Errors
    /// See [`Keeper::archive`].
    pub fn archive_audit(&self, options: &ArchiveOptions, progress: &mut dyn FnMut(&Progress)) -> Result<Archived> {
        self.keeping(|keeper| keeper.archive(options, progress))
    }

    /// Removes the segments of the audit whose last record is at least so old; where not `for_good`, says which.
    ///
    /// # Errors
    /// See [`Keeper::prune`].
    pub fn prune_audit(&self, age: Duration, for_good: bool, progress: &mut dyn FnMut(&Progress)) -> Result<Pruned> {
        self.keeping(|keeper| keeper.prune(age, usize::MAX, for_good, progress))
    }

    /// Does what the configuration says of old segments, to at most `most` of each kind.
    ///
    /// # Errors
    /// See [`Keeper`].
    pub fn keep_audit(&self, most: usize) -> Result<Kept> {
        let audit = &self.config.audit;
        let days = |days: u32| Duration::from_secs(u64::from(days) * DAY);
        if audit.keep_days == 0 && !audit.compress {
            return Ok(Kept::default());
        }
        self.keeping(|keeper| {
            let mut kept = Kept::default();
            // First what goes, which need not be compressed.
            if audit.keep_days > 0 {
                kept.pruned = Some(keeper.prune(days(audit.keep_days), most, true, &mut |_| ())?);
            }
            if audit.compress {
                kept.compressed = Some(keeper.compress(days(audit.compress_days), most, &mut |_| ())?);
            }
            Ok(kept)
        })
    }

    fn keeping<R>(&self, work: impl FnOnce(&Keeper<'_>) -> Result<R>) -> Result<R> {
        let anchors = self.config.agent_sections()?.anchors;
        let anchors: Vec<String> = anchors.into_iter().map(|anchor| anchor.name).collect();
        let cursors: PathBuf = self.config.home.join(CURSORS);
        let principal = match self.config.principal(&ProcessIdentity::current(), "") {
            Ok(principal) => principal.name,
            Err(_) => format!("uid:{}", effective_ids().0),
        };
        let (sealer, sink) = (&*self.sealer, &*self.audit);
        work(&Keeper { sealer, sink, cursors: &cursors, anchors: &anchors, principal: &principal })
    }
}
