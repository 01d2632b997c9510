//! The bytes of applied bundles, in pieces that a store takes.
//!
//! Pieces are written before the entry that names them, under an identity nothing else uses; a mark says that they are
//! not in use yet, so that what a process left behind that died in between is cleared away.

use super::Registry;
use super::entry::InForce;
use super::path::{self, BlobId, STAGED};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::bundle::{BUNDLE_MAX, Bundle};
use crate::sealed;
use crate::store::{Batch, Commit, Condition, Op, Revision};

/// Bytes of a bundle in one piece.
const PIECE: usize = 240 << 10;
/// Pieces of the largest bundle; beside what else it asks for, a batch has room to ask for them all.
const MOST: usize = BUNDLE_MAX.div_ceil(PIECE);
const _: () = assert!(MOST + 8 < Batch::MAX_OPS);
/// After how many milliseconds pieces that nobody came to use are cleared away.
const ABANDONED: u64 = 600_000;
/// Marks that are looked at in one go.
const MARKS: usize = 64;

/// Pieces that are written and not yet used.
pub(super) struct Staged {
    pub(super) id: BlobId,
    revisions: Vec<Revision>,
}

impl Staged {
    /// What must hold when they are taken into use, and what takes the mark away.
    pub(super) fn take(&self, batch: &mut Batch) -> Result<()> {
        for (number, revision) in self.revisions.iter().enumerate() {
            batch.conditions.push(Condition::Version(path::piece(&self.id, number)?, *revision));
        }
        batch.ops.push(Op::Delete(path::staged(&self.id)?));
        Ok(())
    }
}

impl Registry {
    /// Writes the pieces of `bytes`.
    pub(super) fn stage(&self, bytes: &[u8], now: Timestamp) -> Result<Staged> {
        self.clear_abandoned(now)?;
        let mut id = BlobId::default();
        self.random.fill(&mut id)?;
        let mut staged = Staged { id, revisions: Vec::new() };
        let mark = path::staged(&id)?;
        self.write(&Batch {
            conditions: vec![Condition::Absent(mark.clone())],
            ops: vec![Op::Put(mark.clone(), self.seal(&mark, &now)?)],
            invalidates: false,
        })?;
        for (number, piece) in bytes.chunks(PIECE).enumerate() {
            let place = path::piece(&id, number)?;
            let sealed = sealed::seal(&self.home, &*self.random, &place, piece)?;
            staged.revisions.push(self.write(&Batch {
                conditions: vec![Condition::Absent(place.clone())],
                ops: vec![Op::Put(place, sealed)],
                invalidates: false,
            })?);
        }
        Ok(staged)
    }

    /// Marks the pieces of `bundle` as abandoned long ago.
    pub(super) fn discard(&self, bundle: &InForce, batch: &mut Batch) -> Result<()> {
        let mark = path::staged(&bundle.blob)?;
        let sealed = self.seal(&mark, &Timestamp(0))?;
        batch.ops.push(Op::Put(mark, sealed));
        Ok(())
    }

    /// The bytes of an applied bundle, for [`Bundle::parse`].
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when they are not what was applied, [`ErrorKind::Conflict`] when the bundle was replaced
    /// meanwhile.
    pub fn load(&self, bundle: &InForce) -> Result<Vec<u8>> {
        let damaged = || Error::new(ErrorKind::Damaged, "an applied policy is not what was applied");
        let places = (0..pieces(bundle.size)).map(|number| path::piece(&bundle.blob, number));
        let places = places.collect::<Result<Vec<_>>>()?;
        let mut bytes = Vec::new();
        for (place, entry) in places.iter().zip(self.store.get_many(&places)?) {
            let gone = || Error::new(ErrorKind::Conflict, "the policy was replaced or removed meanwhile");
            let piece = sealed::open(&self.home, place, &entry.ok_or_else(gone)?.value)?;
            bytes.extend_from_slice(piece.expose());
        }
        let read = Bundle::parse(&bytes).map_err(|e| damaged().with_source(e))?;
        if read.digest() != bundle.digest || bytes.len() as u64 != u64::from(bundle.size) {
            return Err(damaged());
        }
        Ok(bytes)
    }

    /// Clears away the pieces of bundles that were replaced or removed, or whose process died while it applied them.
    ///
    /// # Errors
    /// Those of the store. What could not be cleared away is tried again with the next change.
    pub fn clear_abandoned(&self, now: Timestamp) -> Result<()> {
        for (mark, entry) in self.store.scan(STAGED, None, MARKS)? {
            // One that cannot be read keeps its pieces, and nobody from applying policies.
            let Ok(made) = sealed::open_value::<Timestamp>(&self.home, &mark, &entry.value) else { continue };
            let id = mark.as_str().strip_prefix(STAGED).unwrap_or_default();
            if now.0.saturating_sub(made.0) < ABANDONED || id.is_empty() {
                continue;
            }
            let pieces = (0..MOST).map(|number| Ok(Op::Delete(path::piece_of(id, number)?)));
            let mut ops = pieces.collect::<Result<Vec<_>>>()?;
            ops.push(Op::Delete(mark.clone()));
            let conditions = vec![Condition::Version(mark, entry.version)];
            // Somebody else may be clearing away, too.
            let _ = self.store.commit(&Batch { conditions, ops, invalidates: false })?;
        }
        Ok(())
    }

    fn write(&self, batch: &Batch) -> Result<Revision> {
        match self.store.commit(batch)? {
            Commit::Committed(revision) => Ok(revision),
            Commit::Conflict => Err(super::conflict()),
        }
    }
}

fn pieces(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX).min(BUNDLE_MAX).div_ceil(PIECE)
}
