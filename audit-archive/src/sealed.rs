//! The leaves of a segment, from tiles that belong to the tree of a checkpoint.

use std::io;
use std::path::Path;

use audit_proof::archive::Leaves;
use audit_proof::tile::WIDTH;
use audit_proof::{Checkpoint, Hash, TreeHash};

use crate::folder::Tiles;
use crate::report::{Finding, Found, SegmentReport};

/// A tile by its number, with its hashes where it is genuine.
type Held = Option<(u64, Option<Vec<Hash>>)>;

/// The leaves that the records of a segment are said to be.
pub(crate) struct Sealed<'a> {
    tiles: Tiles<'a>,
    checkpoint: &'a Checkpoint,
    /// In the order of places, as [`Leaves::are_sound`] has seen to.
    ranges: &'a [(u64, u64, u64)],
    /// The tile at hand.
    here: Held,
    /// The tile of a place further on.
    ahead: Held,
}

impl<'a> Sealed<'a> {
    pub(crate) fn new(folder: &'a Path, hash: TreeHash, leaves: &'a Leaves, checkpoint: &'a Checkpoint) -> Self {
        let tiles = Tiles::new(folder, hash, checkpoint.size);
        Self { tiles, checkpoint, ranges: &leaves.ranges, here: None, ahead: None }
    }

    /// The leaf at `place`, and how many follow it in its stretch, itself included.
    fn leaf(&self, place: u64) -> Option<(u64, u64)> {
        let behind = self.ranges.partition_point(|(_, first, _)| *first <= place);
        let (leaf, first, count) = self.ranges.get(behind.checked_sub(1)?)?;
        let within = place - first;
        (within < *count).then(|| (leaf + within, count - within))
    }

    /// Whether this was sealed at `place`.
    pub(crate) fn is(&mut self, place: u64, hash: &Hash) -> io::Result<bool> {
        let Some((leaf, _)) = self.leaf(place) else { return Ok(false) };
        let number = leaf / WIDTH;
        if self.ahead.as_ref().is_none_or(|(known, _)| *known != number) {
            self.ahead = Some((number, self.tiles.proven(number, self.checkpoint)?.ok()));
        }
        Ok(within(&self.ahead, leaf) == Some(*hash))
    }

    /// What was sealed at `place`, if there is such a place; the inner `None` where its tile proves nothing.
    pub(crate) fn at(&mut self, place: u64, report: &mut SegmentReport) -> io::Result<Option<Option<Hash>>> {
        let Some((leaf, left)) = self.leaf(place) else { return Ok(None) };
        let number = leaf / WIDTH;
        if self.here.as_ref().is_none_or(|(known, _)| *known != number) {
            let proven = self.tiles.proven(number, self.checkpoint)?;
            if let Err(there) = proven {
                let last = place + (WIDTH - leaf % WIDTH).min(left) - 1;
                let found = if there { Found::TileChanged } else { Found::TileMissing };
                report.add(Finding { first: Some(place), last: Some(last), ..Finding::whole(found) });
            }
            self.here = Some((number, proven.ok()));
        }
        Ok(Some(within(&self.here, leaf)))
    }
}

fn within(held: &Held, leaf: u64) -> Option<Hash> {
    let place = usize::try_from(leaf % WIDTH).ok()?;
    held.as_ref().and_then(|(_, tile)| tile.as_ref()?.get(place).copied())
}
