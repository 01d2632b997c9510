//! Segments that ended: which they are, and that their content is what was sealed.

use std::io::Read;
use std::path::Path;

use audit_proof::tile::WIDTH;
use audit_proof::{Edge, Hash};

use super::{Keeper, Stays, storage};
use crate::audit::chain::{Form, Head, Line, SegmentId};
use crate::audit::lines::{Lines, Piece};
use crate::audit::listing::{self, Listed};
use crate::audit::packed;
use crate::audit::record::RecordRemoval;
use crate::audit::registry::{self, Registration, State};
use crate::audit::seal::{Position, Range, TileNodes};
use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::store::Entry;

/// A segment that was closed and is sealed to its last record.
pub(super) struct Ended {
    pub(super) id: SegmentId,
    pub(super) form: Form,
    pub(super) registration: Registration,
    /// What the registration was read from.
    pub(super) entry: Entry,
    /// Which leaves its records are.
    pub(super) ranges: Vec<Range>,
    /// Times of the first and the last record.
    pub(super) times: (Timestamp, Timestamp),
}

/// What the content of a segment hashes to.
pub(super) struct Content {
    pub(super) tree: Hash,
}

impl Ended {
    pub(super) const fn records(&self) -> u64 {
        self.registration.seq.saturating_add(1)
    }

    /// First leaf, and last.
    pub(super) fn leaves(&self) -> (u64, u64) {
        let first = self.ranges.first().map_or(0, |range| range.leaf);
        let end = self.ranges.last().map_or(0, |range| range.leaf + range.count);
        (first, end.saturating_sub(1))
    }

    /// What stays of it in the record of its removal.
    pub(super) fn removal(&self, content: &Content) -> RecordRemoval {
        RecordRemoval {
            segment: self.id.clone(),
            ordinal: self.registration.ordinal,
            records: self.records(),
            bytes: self.registration.len,
            first: self.times.0,
            last: self.times.1,
            genesis: self.registration.genesis,
            head: self.registration.head,
            leaves: self.leaves(),
            tree: Head(content.tree.0),
        }
    }
}

impl Keeper<'_> {
    /// The segments in the home.
    pub(super) fn listed(&self) -> Result<Vec<Listed>> {
        listing::list(self.dir()).map_err(storage)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.sealer.dir
    }

    /// What is known of a segment that ended, or why it is to be left alone.
    pub(super) fn ended(&self, one: &Listed) -> Result<std::result::Result<Ended, Stays>> {
        let (id, form) = (&one.id, one.form);
        let contradicts = |e: crate::error::Error| match e.kind() {
            ErrorKind::Damaged => Ok(Err(Stays::Contradicts)),
            _ => Err(e),
        };
        let (registration, entry) = match registry::read(&*self.sealer.store, id) {
            Ok(Some(found)) => found,
            // Made by somebody who was killed before the first record.
            Ok(None) if one.meta.len() == 0 => return Ok(Err(Stays::Open)),
            Ok(None) => return Ok(Err(Stays::Contradicts)),
            Err(e) => return contradicts(e),
        };
        if registration.state == State::Open {
            return Ok(Err(Stays::Open));
        }
        let position = match self.sealer.records().position(id) {
            Ok(Some(position)) => position,
            Ok(None) => return Ok(Err(Stays::Unsealed)),
            Err(e) => return contradicts(e),
        };
        let records = registration.seq.saturating_add(1);
        if position.next < records {
            return Ok(Err(Stays::Unsealed));
        }
        if (position.next, position.head, position.len) != (records, registration.head, registration.len) {
            return Ok(Err(Stays::Contradicts));
        }
        let ranges = match self.ranges(id, &position) {
            Ok(ranges) => ranges,
            Err(e) => return contradicts(e),
        };
        let in_order = ranges.iter().try_fold(0, |next, range| (range.seq == next).then_some(next + range.count));
        if in_order != Some(records) {
            return Ok(Err(Stays::Contradicts));
        }
        let first = ranges.iter().map(|range| range.times.0).min().unwrap_or_default();
        let last = ranges.iter().map(|range| range.times.1).max().unwrap_or_default();
        Ok(Ok(Ended { id: id.clone(), form, registration, entry, ranges, times: (first, last) }))
    }

    /// Which leaves the records of a segment are.
    fn ranges(&self, id: &SegmentId, position: &Position) -> Result<Vec<Range>> {
        let mut found: Vec<Range> = Vec::new();
        for number in position.pieces.0..=position.pieces.1 {
            for range in self.sealer.records().piece(number)?.into_iter().filter(|range| range.segment == *id) {
                match found.last_mut() {
                    Some(last) if last.is_continued_by(&range) => {
                        last.count += range.count;
                        last.times.1 = last.times.1.max(range.times.1);
                    }
                    _ => found.push(range),
                }
            }
        }
        Ok(found)
    }

    /// Reads all of a segment from `source`: `None` where it is not, to the last byte, what its chain, the store and the tree
    /// say it is.
    pub(super) fn content(&self, ended: &Ended, source: impl Read) -> Result<Option<Content>> {
        let (suite, hash) = (self.sealer.suite, self.sealer.tree_hash());
        let (state, _) = self.sealer.sealed()?;
        let files = self.sealer.files();
        let mut nodes = TileNodes::new(&files, hash, state.size);
        let (mut next, mut head, mut bytes) = (0_u64, Head::start(suite, &ended.id), 0_u64);
        let mut tree = Edge::new(hash);
        let mut leaves = ended.ranges.iter().flat_map(|range| range.leaf..range.leaf + range.count);
        let mut lines = Lines::new(source);
        loop {
            let piece = match lines.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(e) if packed::is_damage(&e) => return Ok(None),
                Err(e) => return Err(storage(e)),
            };
            bytes += piece.len() as u64;
            if bytes > ended.registration.len {
                return Ok(None);
            }
            // What a failed write left behind is no leaf; whether it is what the record behind it says, was looked at when
            // that was sealed, and the length and the records to come hold it in its place.
            let Piece::Line(bytes) = piece else { continue };
            let follows = |line: &Line<'_>| line.seq == next && line.follows(suite, head);
            let Some(line) = Line::split(bytes).filter(follows) else { continue };
            if next == 0 && line.head != ended.registration.genesis {
                return Ok(None);
            }
            let Some(leaf) = leaves.next() else { return Ok(None) };
            let now = hash.leaf(bytes.strip_suffix(b"\n").unwrap_or(bytes));
            let place = usize::try_from(leaf % WIDTH).unwrap_or_default();
            let sealed = nodes.tile(0, leaf / WIDTH).map_err(storage)?.and_then(|tile| tile.get(place).copied());
            if sealed != Some(now) {
                return Ok(None);
            }
            tree.push(now);
            (next, head) = (next.saturating_add(1), line.head);
        }
        let known = &ended.registration;
        let whole = next == ended.records() && head == known.head && bytes == known.len;
        Ok(whole.then(|| Content { tree: tree.root() }))
    }
}
