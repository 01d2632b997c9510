//! Records as leaves, in any order of segments: what stands in the files now, whoever wrote it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

use audit_proof::{Hash, TreeHash};

use super::super::chain::{Line, SegmentId};
use super::super::lines::{Lines, Piece};
use super::super::pending::Logical;

/// Segments that are open at once.
const OPEN: usize = 64;
/// Records looked at behind one that is not where it should be.
const AHEAD: usize = 64;

/// Reads leaves; quickest where the records of a segment are asked for in their order.
pub(super) struct Leaves<'a> {
    dir: &'a Path,
    hash: TreeHash,
    cursors: BTreeMap<SegmentId, Cursor>,
    /// Bytes read.
    pub(super) bytes: u64,
}

struct Cursor {
    lines: Option<Lines<Logical>>,
    /// Number of the record asked for last, and one.
    next: u64,
    /// What came too early.
    ahead: VecDeque<(u64, Hash)>,
}

impl<'a> Leaves<'a> {
    pub(super) const fn new(dir: &'a Path, hash: TreeHash) -> Self {
        Self { dir, hash, cursors: BTreeMap::new(), bytes: 0 }
    }

    /// The hash of record `seq`; `None` where it is gone.
    pub(super) fn read(&mut self, segment: &SegmentId, seq: u64) -> io::Result<Option<Hash>> {
        let (hash, bytes) = (self.hash, &mut self.bytes);
        if let Some(cursor) = self.cursors.get_mut(segment).filter(|c| c.next <= seq) {
            return cursor.read(hash, seq, bytes);
        }
        if self.cursors.len() >= OPEN {
            // The oldest is most likely done.
            self.cursors.pop_first();
        }
        let lines = match Logical::open(self.dir, segment) {
            Ok(segment) => Some(Lines::new(segment)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let cursor = Cursor { lines, next: 0, ahead: VecDeque::new() };
        self.cursors.entry(segment.clone()).insert_entry(cursor).get_mut().read(hash, seq, bytes)
    }
}

impl Cursor {
    fn read(&mut self, hash: TreeHash, seq: u64, bytes: &mut u64) -> io::Result<Option<Hash>> {
        self.next = seq.saturating_add(1);
        self.ahead.retain(|(early, _)| *early >= seq);
        if let Some(at) = self.ahead.iter().position(|(early, _)| *early == seq) {
            return Ok(self.ahead.remove(at).map(|(_, hash)| hash));
        }
        let Some(lines) = &mut self.lines else { return Ok(None) };
        while self.ahead.len() < AHEAD {
            let Some(piece) = lines.next()? else { break };
            *bytes += piece.len() as u64;
            let Piece::Line(line) = piece else { continue };
            let Some(found) = Line::split(line).map(|l| l.seq) else { continue };
            if found < seq {
                continue;
            }
            let leaf = hash.leaf(line.strip_suffix(b"\n").unwrap_or(line));
            if found == seq {
                return Ok(Some(leaf));
            }
            self.ahead.push_back((found, leaf));
        }
        Ok(None)
    }
}
