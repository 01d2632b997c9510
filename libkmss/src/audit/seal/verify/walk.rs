//! Hashes all leaves again, and decides where records and tiles disagree.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use audit_proof::tile::{self, Tile, WIDTH};
use audit_proof::{Checkpoint, Edge, Hash, TreeHash};

use super::found::{SealFinding, SealFound, SealReport};
use crate::audit::chain::SegmentId;
use crate::audit::report::{Progress, given_up};
use crate::audit::seal::leaves::{Leaf, Leaves};
use crate::audit::seal::nodes::TileNodes;
use crate::audit::seal::state::{Range, State};
use crate::audit::seal::tiles::Files;
use crate::audit::seal::{Sealer, unreadable};
use crate::error::Result;

/// Most leaves that are remembered because they disagree with their tile.
const SUSPECTS: usize = 10_000;
/// Leaves between two calls of the progress callback.
const STEP: u64 = 4096;

/// A checkpoint that the tree must have had.
pub(super) struct Mark {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) time: Option<u64>,
    /// The anchor that kept it, by its place; `None` for what the home itself keeps.
    pub(super) anchor: Option<usize>,
}

/// A leaf that disagrees with its tile.
pub(super) struct Suspect {
    pub(super) leaf: u64,
    pub(super) segment: SegmentId,
    pub(super) seq: u64,
    /// It is not there at all.
    pub(super) gone: bool,
}

/// Which to believe where records and tiles disagree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    /// What the tile above says.
    Parent,
    Records,
    Tiles,
}

/// What became of hashing all leaves.
pub(super) struct Walk {
    pub(super) root: Hash,
    pub(super) suspects: Vec<Suspect>,
    pub(super) more_suspects: bool,
    /// Tiles with how they were judged: `true` where the tile was believed.
    pub(super) judged: BTreeMap<u64, bool>,
    /// Tiles whose file is gone.
    pub(super) gone: Vec<u64>,
    /// For each mark, whether the tree agreed.
    pub(super) agreed: Vec<bool>,
    /// The trees of segments that were removed, of the hashes that stayed.
    pub(super) removed: BTreeMap<SegmentId, Edge>,
}

/// How far the verifier is.
pub(super) struct Told<'a> {
    pub(super) progress: &'a mut dyn FnMut(&Progress),
    pub(super) now: Progress,
    pub(super) leaves: u64,
    /// Nobody waits any more.
    pub(super) stop: &'a AtomicBool,
}

impl Told<'_> {
    pub(super) fn tell(&mut self, leaves: u64, bytes: u64) -> Result<()> {
        self.leaves += leaves;
        if self.leaves >= STEP {
            self.leaves = 0;
            let done = self.now.bytes.saturating_add(bytes);
            (self.progress)(&Progress { bytes: done, bytes_total: self.now.bytes_total.max(done), ..self.now });
        }
        if self.stop.load(Ordering::Relaxed) { Err(given_up()) } else { Ok(()) }
    }
}

impl Sealer {
    /// Hashes the leaves until the root is the one that was signed, or nothing is left to believe.
    pub(super) fn believe(
        &self,
        (files, archives): (&Files, &[PathBuf]),
        state: &State,
        ranges: &[Range],
        checkpoint: &Checkpoint,
        marks: &[Mark],
        at: &mut Told<'_>,
    ) -> Result<Walk> {
        let places = (files, archives);
        let mut walk = self.walk(places, state, ranges, marks, Belief::Parent, at)?;
        for belief in [Belief::Records, Belief::Tiles] {
            if walk.root == checkpoint.root || walk.judged.is_empty() {
                break;
            }
            let other = self.walk(places, state, ranges, marks, belief, at)?;
            if other.root == checkpoint.root {
                walk = other;
            }
        }
        Ok(walk)
    }

    fn walk(
        &self,
        (files, archives): (&Files, &[PathBuf]),
        state: &State,
        ranges: &[Range],
        marks: &[Mark],
        belief: Belief,
        at: &mut Told<'_>,
    ) -> Result<Walk> {
        let hash = self.tree_hash();
        let mut leaves = Leaves::new(self, archives);
        let mut nodes = TileNodes::new(files, hash, state.size);
        let mut edge = Edge::new(hash);
        let mut walk = Walk {
            root: hash.empty(),
            suspects: Vec::new(),
            more_suspects: false,
            judged: BTreeMap::new(),
            gone: Vec::new(),
            agreed: Vec::with_capacity(marks.len()),
            removed: BTreeMap::new(),
        };
        let mut records = ranges.iter().flat_map(|r| (0..r.count).map(move |n| (r, r.seq + n)));
        let mut tile: Vec<(Leaf, &SegmentId, u64)> = Vec::new();
        for number in 0..state.size.div_ceil(WIDTH) {
            tile.clear();
            for (range, seq) in records.by_ref().take(usize::try_from(WIDTH).unwrap_or_default()) {
                tile.push((leaves.read(&range.segment, seq).map_err(unreadable)?, &range.segment, seq));
            }
            at.tell(tile.len() as u64, leaves.bytes)?;
            let stored = Tile::of(0, number, state.size).map(|tile| files.read(&tile)).transpose();
            let stored = stored.map_err(unreadable)?.flatten();
            let chosen = choose(&tile, stored.as_deref(), (state, hash, number), belief, &mut nodes, &edge, &mut walk);
            for (leaf, (there, segment, _)) in chosen.into_iter().zip(&tile) {
                self.pass(&mut walk, marks, &edge);
                edge.push(leaf);
                if *there == Leaf::Removed {
                    match walk.removed.get_mut(*segment) {
                        Some(tree) => tree.push(leaf),
                        None => walk.removed.entry((*segment).clone()).or_insert_with(|| Edge::new(hash)).push(leaf),
                    }
                }
            }
        }
        self.pass(&mut walk, marks, &edge);
        walk.root = edge.root();
        Ok(walk)
    }

    /// Compares the tree with the marks of its size.
    fn pass(&self, walk: &mut Walk, marks: &[Mark], edge: &Edge) {
        while let Some(mark) = marks.get(walk.agreed.len()).filter(|mark| mark.size <= edge.size()) {
            walk.agreed.push(mark.size == edge.size() && mark.root == edge.root());
        }
    }

    /// Where neither records nor tiles have the root that was signed: tiles that the tile above them contradicts.
    pub(super) fn narrow(&self, files: &Files, state: &State, walk: &Walk, found: &mut SealReport) -> Result<()> {
        let hash = self.tree_hash();
        let mut nodes = TileNodes::new(files, hash, state.size);
        for number in 0..state.size / WIDTH {
            let stored = nodes.tile(0, number).map_err(unreadable)?.and_then(|tile| tile::root(hash, tile));
            let place = usize::try_from(number % WIDTH).unwrap_or_default();
            let above = nodes.tile(1, number / WIDTH).map_err(unreadable)?;
            let above = above.and_then(|tile| tile.get(place).copied());
            if stored != above || walk.judged.contains_key(&number) {
                let (first, last) = (Some(number * WIDTH), Some(number * WIDTH + WIDTH - 1));
                found.add(SealFinding { first, last, ..SealFinding::whole(SealFound::RecordsUnknown) });
            }
        }
        Ok(())
    }
}

/// The leaves of a tile, as `belief` has it. Of what was removed the tile alone tells.
fn choose(
    tile: &[(Leaf, &SegmentId, u64)],
    stored: Option<&[Hash]>,
    (state, hash, number): (&State, TreeHash, u64),
    belief: Belief,
    nodes: &mut TileNodes<'_>,
    edge: &Edge,
    walk: &mut Walk,
) -> Vec<Hash> {
    let sealed = |place: usize| stored.and_then(|stored| stored.get(place)).copied();
    let recorded = || {
        let of = |(place, (leaf, ..)): (usize, &(Leaf, _, _))| match leaf {
            Leaf::Is(leaf) => *leaf,
            Leaf::Gone => Hash::default(),
            Leaf::Removed => sealed(place).unwrap_or_default(),
        };
        tile.iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let mut differs = false;
    for (place, (leaf, segment, seq)) in tile.iter().enumerate() {
        let same = match leaf {
            Leaf::Is(leaf) => stored.is_none() || sealed(place) == Some(*leaf),
            Leaf::Gone => false,
            Leaf::Removed => true,
        };
        if same {
            continue;
        }
        differs = true;
        if walk.suspects.len() < SUSPECTS {
            let leaf_number = number * WIDTH + place as u64;
            let (segment, seq) = ((*segment).clone(), *seq);
            walk.suspects.push(Suspect { leaf: leaf_number, segment, seq, gone: *leaf == Leaf::Gone });
        } else {
            walk.more_suspects = true;
        }
    }
    let Some(stored) = stored else {
        walk.gone.push(number);
        walk.judged.insert(number, false);
        return recorded();
    };
    if !differs {
        return recorded();
    }
    let believed = match belief {
        Belief::Records => false,
        Belief::Tiles => true,
        Belief::Parent => is_genuine(stored, (state, hash, number), nodes, edge),
    };
    walk.judged.insert(number, believed);
    if believed { stored.to_vec() } else { recorded() }
}

/// Whether what is above a tile agrees with it.
fn is_genuine(
    stored: &[Hash],
    (state, hash, number): (&State, TreeHash, u64),
    nodes: &mut TileNodes<'_>,
    edge: &Edge,
) -> bool {
    if stored.len() as u64 == WIDTH {
        let above = nodes.tile(1, number / WIDTH).ok().flatten();
        let place = usize::try_from(number % WIDTH).unwrap_or_default();
        return above.and_then(|above| above.get(place).copied()) == tile::root(hash, stored);
    }
    // The last tile: the store has the tree's edge.
    let mut edge = edge.clone();
    stored.iter().for_each(|leaf| edge.push(*leaf));
    let small = (state.size % WIDTH).count_ones() as usize;
    let of_store = state.edge(hash);
    let of_store = of_store.as_ref().map(|e| e.peaks().iter().rev().take(small));
    of_store.is_some_and(|peaks| peaks.eq(edge.peaks().iter().rev().take(small)))
}
