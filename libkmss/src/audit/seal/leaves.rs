//! Records as leaves, in any order of segments: what stands in the files now, whoever wrote it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;

use audit_proof::{Hash, TreeHash};

use super::super::chain::{Line, SegmentId};
use super::super::lines::{Lines, Piece};
use super::super::packed;
use super::super::pending::Logical;
use super::super::places::Places;
use super::Sealer;

/// Segments that are open at once.
const OPEN: usize = 64;
/// Records looked at behind one that is not where it should be.
const AHEAD: usize = 64;

/// What there is of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// It hashes to this.
    Is(Hash),
    /// It should be there, and is not.
    Gone,
    /// Its segment was removed as it should be.
    Removed,
}

/// Reads leaves; quickest where the records of a segment are asked for in their order.
pub(super) struct Leaves<'a> {
    sealer: &'a Sealer,
    places: Places,
    hash: TreeHash,
    cursors: BTreeMap<SegmentId, Cursor>,
    /// Bytes read.
    pub(super) bytes: u64,
}

/// Where the lines of a segment come from.
enum Source {
    Lines(Box<Lines<Logical>>),
    Gone,
    Removed,
}

struct Cursor {
    source: Source,
    /// Number of the record asked for last, and one.
    next: u64,
    /// What came too early.
    ahead: VecDeque<(u64, Hash)>,
}

impl<'a> Leaves<'a> {
    /// Those of the home, and of archives.
    pub(super) fn new(sealer: &'a Sealer, archives: &[PathBuf]) -> Self {
        let (places, hash) = (sealer.places(archives), sealer.tree_hash());
        Self { sealer, places, hash, cursors: BTreeMap::new(), bytes: 0 }
    }

    /// What there is of record `seq`.
    pub(super) fn read(&mut self, segment: &SegmentId, seq: u64) -> io::Result<Leaf> {
        let (hash, bytes) = (self.hash, &mut self.bytes);
        if let Some(cursor) = self.cursors.get_mut(segment).filter(|c| c.next <= seq) {
            return cursor.read(hash, seq, bytes);
        }
        if self.cursors.len() >= OPEN {
            // The oldest is most likely done.
            self.cursors.pop_first();
        }
        let source = match self.places.open(segment) {
            Ok(found) if found.is_bloated(self.sealer.sealed_len(segment).map_err(io::Error::other)?) => Source::Gone,
            Ok(found) => Source::Lines(Box::new(Lines::new(found))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                match self.sealer.removal(segment).map_err(io::Error::other)? {
                    Some(_) => Source::Removed,
                    None => Source::Gone,
                }
            }
            Err(e) if packed::is_damage(&e) => Source::Gone,
            Err(e) => return Err(e),
        };
        let cursor = Cursor { source, next: 0, ahead: VecDeque::new() };
        self.cursors.entry(segment.clone()).insert_entry(cursor).get_mut().read(hash, seq, bytes)
    }
}

impl Cursor {
    fn read(&mut self, hash: TreeHash, seq: u64, bytes: &mut u64) -> io::Result<Leaf> {
        self.next = seq.saturating_add(1);
        self.ahead.retain(|(early, _)| *early >= seq);
        if let Some(at) = self.ahead.iter().position(|(early, _)| *early == seq) {
            return Ok(self.ahead.remove(at).map_or(Leaf::Gone, |(_, hash)| Leaf::Is(hash)));
        }
        let lines = match &mut self.source {
            Source::Lines(lines) => lines,
            Source::Gone => return Ok(Leaf::Gone),
            Source::Removed => return Ok(Leaf::Removed),
        };
        while self.ahead.len() < AHEAD {
            let piece = match lines.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(e) if packed::is_damage(&e) => {
                    self.source = Source::Gone;
                    break;
                }
                Err(e) => return Err(e),
            };
            *bytes += piece.len() as u64;
            let Piece::Line(line) = piece else { continue };
            let Some(found) = Line::split(line).map(|l| l.seq) else { continue };
            if found < seq {
                continue;
            }
            let leaf = hash.leaf(line.strip_suffix(b"\n").unwrap_or(line));
            if found == seq {
                return Ok(Leaf::Is(leaf));
            }
            self.ahead.push_back((found, leaf));
        }
        Ok(Leaf::Gone)
    }
}
