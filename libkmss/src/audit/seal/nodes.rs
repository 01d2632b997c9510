//! Roots of subtrees from the files of tiles, and tiles made anew from records.

use std::collections::BTreeMap;
use std::io;

use audit_proof::path::{Nodes, check_inclusion, inclusion};
use audit_proof::tile::{self, HEIGHT, Tile, WIDTH};
use audit_proof::{Checkpoint, Edge, Hash, TreeHash};

use super::leaves::{Leaf, Leaves};
use super::state::{Range, State};
use super::tiles::{Files, Rim};
use super::{Sealer, unreadable, unsound};
use crate::error::Result;

/// Tiles kept in memory.
const KEPT: usize = 64;

/// Reads tiles of a tree of a certain size.
pub(in crate::audit) struct TileNodes<'a> {
    files: &'a Files,
    hash: TreeHash,
    size: u64,
    kept: BTreeMap<(u32, u64), Vec<Hash>>,
}

impl<'a> TileNodes<'a> {
    pub(in crate::audit) const fn new(files: &'a Files, hash: TreeHash, size: u64) -> Self {
        Self { files, hash, size, kept: BTreeMap::new() }
    }

    /// The hashes of a tile; `None` where there is none, or its file is not as long as it should be.
    pub(in crate::audit) fn tile(&mut self, level: u32, index: u64) -> io::Result<Option<&[Hash]>> {
        if !self.kept.contains_key(&(level, index)) {
            let Some(tile) = Tile::of(level, index, self.size) else { return Ok(None) };
            let Some(hashes) = self.files.read(&tile)? else { return Ok(None) };
            if self.kept.len() >= KEPT {
                // The lowest levels come first, and of them the oldest.
                self.kept.pop_first();
            }
            self.kept.insert((level, index), hashes);
        }
        Ok(self.kept.get(&(level, index)).map(Vec::as_slice))
    }

    /// The hashes of a lowest tile, where they belong to the tree of the checkpoint.
    pub(in crate::audit) fn proven(&mut self, number: u64, checkpoint: &Checkpoint) -> Option<Vec<Hash>> {
        // The path of its first leaf goes through all its hashes.
        let tile = self.tile(0, number).ok()??.to_vec();
        let (hash, first, size) = (self.hash, number * WIDTH, checkpoint.size);
        let path = inclusion(hash, self, first, size).ok()?;
        check_inclusion(hash, tile.first()?, first, size, &path, &checkpoint.root).ok()?;
        Some(tile)
    }
}

impl Nodes for TileNodes<'_> {
    type Error = io::Error;

    fn node(&mut self, level: u32, index: u64) -> io::Result<Hash> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "a tile of the audit's tree is missing");
        let (tile_level, inside) = (level / HEIGHT, level % HEIGHT);
        let first = index.checked_shl(inside).ok_or_else(missing)?;
        let (at, count) = (usize::try_from(first % WIDTH).unwrap_or(usize::MAX), 1_usize << inside);
        let hash = self.hash;
        let hashes = self.tile(tile_level, first / WIDTH)?.ok_or_else(missing)?;
        let wanted = at.checked_add(count).and_then(|end| hashes.get(at..end));
        wanted.and_then(|hashes| tile::root(hash, hashes)).ok_or_else(missing)
    }
}

impl Sealer {
    /// Makes the tiles at the right end anew, from the full ones and from records.
    pub(super) fn rebuild(&self, files: &Files, state: &State, edge: &Edge) -> Result<Rim> {
        let hash = self.tree_hash();
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        for tile in Tile::partial(state.size) {
            let level = usize::try_from(tile.level).unwrap_or_default();
            levels.resize(level, Vec::new());
            let first = tile.index * WIDTH;
            let hashes = (first..first + tile.width).map(|n| self.subtree(files, state, tile.level, n));
            levels.push(hashes.collect::<Result<_>>()?);
        }
        let rim = Rim::new(hash, state.size, levels);
        if rim.edge() == *edge { Ok(rim) } else { Err(unsound()) }
    }

    /// Writes all tiles that are not those of the records anew; how many. Nothing is touched where the records are not what was
    /// sealed.
    pub(super) fn repair(&self, files: &Files, state: &State) -> Result<u64> {
        let edge = state.edge(self.tree_hash()).ok_or_else(unsound)?;
        let ranges = self.ranges(state)?;
        let rim = self.regrow((files, state.size), &ranges, &mut |_| Ok(()))?;
        if rim.edge() != edge {
            return Err(unsound());
        }
        let mut repaired = 0;
        let mut compare = |tiles: Vec<(Tile, Vec<Hash>)>| {
            for (tile, hashes) in tiles {
                if files.read(&tile).map_err(unreadable)?.as_deref() != Some(&hashes) {
                    files.write(&[(tile, hashes)])?;
                    repaired += 1;
                }
            }
            Ok(())
        };
        let mut rim = self.regrow((files, state.size), &ranges, &mut compare)?;
        compare(rim.take())?;
        Ok(repaired)
    }

    /// The tree of the records, as they are now.
    fn regrow(
        &self,
        (files, size): (&Files, u64),
        ranges: &[Range],
        visit: &mut dyn FnMut(Vec<(Tile, Vec<Hash>)>) -> Result<()>,
    ) -> Result<Rim> {
        let mut leaves = Leaves::new(self, &[]);
        let mut rim = Rim::new(self.tree_hash(), 0, Vec::new());
        let mut nodes = TileNodes::new(files, self.tree_hash(), size);
        for range in ranges {
            for n in 0..range.count {
                let leaf = match leaves.read(&range.segment, range.seq + n).map_err(unreadable)? {
                    Leaf::Is(leaf) => Some(leaf),
                    Leaf::Gone => None,
                    // Only the tile still tells; that it is right, the root of all of them shows.
                    Leaf::Removed => {
                        let leaf = range.leaf + n;
                        let place = usize::try_from(leaf % WIDTH).unwrap_or_default();
                        let tile = nodes.tile(0, leaf / WIDTH).map_err(unreadable)?;
                        tile.and_then(|tile| tile.get(place).copied())
                    }
                };
                rim.push(leaf.ok_or_else(unsound)?);
                let full = rim.take_full();
                if !full.is_empty() {
                    visit(full)?;
                }
            }
        }
        Ok(rim)
    }

    /// Hash `index` of the tiles of `level`.
    fn subtree(&self, files: &Files, state: &State, level: u32, index: u64) -> Result<Hash> {
        let Some(below) = level.checked_sub(1) else { return self.leaf(state, index) };
        let tile = Tile { level: below, index, width: WIDTH };
        let hashes = match files.read(&tile).map_err(unreadable)? {
            Some(hashes) => hashes,
            None => {
                let first = index * WIDTH;
                (first..first + WIDTH).map(|n| self.subtree(files, state, below, n)).collect::<Result<_>>()?
            }
        };
        tile::root(self.tree_hash(), &hashes).ok_or_else(unsound)
    }

    fn leaf(&self, state: &State, index: u64) -> Result<Hash> {
        let mut leaves = Leaves::new(self, &[]);
        for number in (0..state.pieces).rev() {
            for range in self.records().piece(number)?.iter().rev() {
                if (range.leaf..range.leaf.saturating_add(range.count)).contains(&index) {
                    let seq = range.seq + (index - range.leaf);
                    return match leaves.read(&range.segment, seq).map_err(unreadable)? {
                        Leaf::Is(leaf) => Ok(leaf),
                        Leaf::Gone | Leaf::Removed => Err(unsound()),
                    };
                }
            }
        }
        Err(unsound())
    }
}
