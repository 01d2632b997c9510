//! Segments that were removed as they should be: the store has the record that says so, sealed, and the tree has its hash.

use std::path::PathBuf;

use super::RecordName;
use super::nodes::TileNodes;
use super::state::State;
use super::tiles::Files;
use super::{Sealer, unreadable};
use crate::audit::chain::SegmentId;
use crate::audit::encode::kind;
use crate::audit::places::Places;
use crate::audit::record::{Entry, RecordRemoval};
use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use audit_proof::tile::WIDTH;

/// The record of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Removal {
    /// Where it stands.
    pub(in crate::audit) name: RecordName,
    /// Its line, with its line feed.
    pub(in crate::audit) line: Vec<u8>,
    pub(in crate::audit) time: Timestamp,
    pub(in crate::audit) why: String,
    pub(in crate::audit) principal: String,
    pub(in crate::audit) file: String,
    pub(in crate::audit) removed: RecordRemoval,
}

impl Removal {
    /// What a line says that stands in `segment`; `None` for any other record.
    pub(in crate::audit) fn parse(segment: SegmentId, line: Vec<u8>) -> Option<Self> {
        let record = Entry::parse(&segment, &line).filter(|e| e.record.kind == kind::REMOVAL)?.record;
        Some(Self {
            name: RecordName { segment, seq: record.seq },
            line,
            time: record.time,
            why: record.why?,
            principal: record.principal.unwrap_or_default(),
            file: record.file.unwrap_or_default(),
            removed: record.removed?,
        })
    }
}

impl Sealer {
    /// What is recorded of the removal of a segment, if anything is.
    pub(in crate::audit) fn removal(&self, segment: &SegmentId) -> Result<Option<Removal>> {
        match self.records().removed(segment) {
            // Whoever cannot open the home wrote it: nothing is recorded.
            Err(e) if e.kind() == ErrorKind::Damaged => Ok(None),
            other => Ok(other?.filter(|removal| removal.removed.segment == *segment)),
        }
    }

    /// Keeps the record of a removal. From then on the segment is not missed.
    pub(in crate::audit) fn keep_removal(&self, removal: &Removal) -> Result<()> {
        self.put_unfenced(|| self.records().put_removed(&*self.random, removal))
    }

    /// Whether the record of a removal is in the tree; or in its segment, where it is not sealed yet.
    pub(super) fn is_recorded(
        &self,
        files: &Files,
        state: &State,
        removal: &Removal,
        archives: &[PathBuf],
    ) -> Result<bool> {
        let line = removal.line.strip_suffix(b"\n").unwrap_or(&removal.line);
        let leaf = match self.range_of(state, &removal.name) {
            Ok(range) => Some(range.leaf + (removal.name.seq - range.seq)).filter(|leaf| *leaf < state.size),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let hash = self.tree_hash();
        if let Some(leaf) = leaf {
            let mut nodes = TileNodes::new(files, hash, state.size);
            let place = usize::try_from(leaf % WIDTH).unwrap_or_default();
            let tile = nodes.tile(0, leaf / WIDTH).map_err(unreadable)?;
            if let Some(sealed) = tile.and_then(|tile| tile.get(place)) {
                return Ok(*sealed == hash.leaf(line));
            }
        }
        match self.line(&removal.name, archives) {
            Ok(found) => Ok(found == line),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// How much of a segment is sealed.
    pub(super) fn sealed_len(&self, segment: &SegmentId) -> Result<u64> {
        Ok(self.records().position(segment)?.map_or(0, |position| position.len))
    }

    /// Where segments are looked for.
    pub(super) fn places(&self, archives: &[PathBuf]) -> Places {
        Places::of(self.dir.clone()).with(archives.iter().cloned())
    }
}
