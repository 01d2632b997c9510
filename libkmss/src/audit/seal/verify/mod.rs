//! Holds the records against the seal: what the tree says of each, who signed its root, and what others kept of it.
//!
//! The leaves are hashed again in the order in which they were sealed. Where what results is the root that was signed, every
//! record is what it was. Where it is not, the files of tiles, which say what each leaf was, tell which records are not; and
//! where those were changed too, the tile above each of them, or the store, tells which of the two to believe.

mod found;
mod judge;
mod part;
mod walk;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use audit_proof::note::split_notes;
use audit_proof::{Checkpoint, Edge, Lineage, Note, ProofError, VerifierKey};

use self::judge::judge;
use self::walk::{Mark, Told};
use super::state::{Range, State};
use super::tiles::Files;
use super::{Sealer, Span};
use crate::audit::chain::SegmentId;
use crate::audit::report::{Progress, Report, SegmentReport, Status, Verdict};
use crate::error::{Error, ErrorKind, Result};

/// How often the store is read again because somebody sealed meanwhile.
const READS: u32 = 16;

pub use self::found::{AnchorReport, SealFinding, SealFound, SealReport};

/// What an auditor brings along.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Checkpoints kept elsewhere: a name, and notes one after the other.
    pub anchors: Vec<(String, String)>,
    /// The root key that the log must have.
    pub key: Option<VerifierKey>,
    /// Only these records.
    pub only: Option<Span>,
    /// Archives with segments that are no longer in the home.
    pub archives: Vec<PathBuf>,
    /// Turns true where nobody waits for the report any more: it is ended, unverified, with what was found by then.
    pub stop: Arc<AtomicBool>,
}

impl Sealer {
    /// Adds to the report of segments what the seal says.
    pub fn verify(&self, report: &mut Report, demands: &Demands, progress: &mut dyn FnMut(&Progress)) {
        let mut found = SealReport::default();
        match self.check(report, &mut found, demands, progress) {
            Ok(known) => {
                if !found.findings.is_empty() {
                    report.verdict = Verdict::Tampered;
                }
                report.seal = (known || !found.findings.is_empty()).then_some(found);
            }
            Err(error) => {
                report.errors.push(format!("cannot read the audit's seal: {}", error.sentence()));
                if report.verdict == Verdict::Whole {
                    report.verdict = Verdict::Unverified;
                }
                report.seal = (!found.findings.is_empty()).then_some(found);
            }
        }
    }

    /// False where nothing was sealed.
    fn check(
        &self,
        report: &Report,
        found: &mut SealReport,
        demands: &Demands,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<bool> {
        let files = self.files();
        // First: a sealer at work tells the store before it publishes.
        let published = files.published().map_err(super::unreadable)?;
        let known = self.steady();
        let (state, lineage) = match known {
            Ok(Some(known)) => known,
            Ok(None) => {
                never_sealed(report, &[], found);
                if published.is_some() || !demands.anchors.is_empty() || demands.key.is_some() {
                    found.add(SealFinding::whole(SealFound::SealMissing));
                }
                return Ok(false);
            }
            Err(e) if e.kind() == ErrorKind::Damaged => {
                found.add(SealFinding::noted(SealFound::StateDamaged, e.sentence()));
                return Ok(true);
            }
            Err(e) => return Err(e),
        };
        found.origin = lineage.origin().to_owned();
        found.key = lineage.root().to_string();
        found.size = state.size;
        if demands.key.as_ref().is_some_and(|key| key != lineage.root()) {
            found.add(SealFinding::whole(SealFound::KeyReplaced));
        }
        let Some(checkpoint) = newest(&state, &lineage, found) else { return Ok(true) };
        let mut marks = Vec::new();
        if let Some(text) = &published {
            held_against_file(text, &lineage, &state, found, &mut marks);
        }
        for certificate in lineage.certificates() {
            let Checkpoint { size, root, .. } = certificate.checkpoint;
            if size > state.size {
                found.add(SealFinding::noted(SealFound::SealRolledBack, format!("{size} when a key was handed over")));
            } else {
                marks.push(Mark { size, root, time: certificate.checkpoint.time(), anchor: None });
            }
        }
        for (place, (name, text)) in demands.anchors.iter().enumerate() {
            found.anchors.push(AnchorReport { name: name.clone(), agree: 0, size: 0, time: None });
            anchor(place, name, text, &lineage, &state, found, &mut marks);
        }
        marks.sort_by_key(|mark| mark.size);
        let ranges = match self.ranges(&state) {
            Err(e) if e.kind() == ErrorKind::Damaged => {
                found.add(SealFinding::noted(SealFound::StateDamaged, e.sentence()));
                return Ok(true);
            }
            other => other?,
        };
        never_sealed(report, &ranges, found);
        let mut at = Told { progress, now: base(report), leaves: 0, stop: &demands.stop };
        if let Some(span) = &demands.only {
            let known = (&checkpoint, marks.as_slice());
            self.check_part((&files, &demands.archives), &state, (span, &ranges), known, found, &mut at)?;
            return Ok(true);
        }
        let places = (&files, demands.archives.as_slice());
        let walk = self.believe(places, &state, &ranges, &checkpoint, &marks, &mut at)?;
        found.removed = walk.removed.values().map(Edge::size).sum();
        found.checked = state.size.saturating_sub(found.removed);
        found.complete = true;
        found.unsealed = report.records.saturating_sub(found.checked);
        judge(&walk, &ranges, &state, &checkpoint, &marks, found);
        for (segment, tree) in &walk.removed {
            self.judge_removal(places, &state, segment, Some(tree), found)?;
        }
        if walk.root != checkpoint.root {
            self.narrow(&files, &state, &walk, found)?;
        }
        Ok(true)
    }

    /// Holds the record of a removal against the log: that it is in it, and that it is about the records that were sealed.
    fn judge_removal(
        &self,
        (files, archives): (&Files, &[PathBuf]),
        state: &State,
        segment: &SegmentId,
        tree: Option<&Edge>,
        found: &mut SealReport,
    ) -> Result<()> {
        let of = |found| SealFinding { segment: Some(segment.clone()), ..SealFinding::whole(found) };
        let Some(removal) = self.removal(segment)? else {
            found.add(of(SealFound::RecordMissing));
            return Ok(());
        };
        if !self.is_recorded(files, state, &removal, archives)? {
            found.add(of(SealFound::RemovalUnrecorded));
        }
        let told = &removal.removed;
        if tree.is_some_and(|tree| (tree.size(), tree.root().0) != (told.records, told.tree.0)) {
            found.add(of(SealFound::RemovalFalse));
        }
        Ok(())
    }

    /// State and keys that belong together, although a sealer may be at work; `None` before the first sealing.
    fn steady(&self) -> Result<Option<(State, Lineage)>> {
        let records = self.records();
        for _ in 0..READS {
            let before = records.state()?;
            let lineage = records.lineage()?;
            let after = records.state()?;
            if before.map(|(_, revision)| revision) != after.as_ref().map(|(_, revision)| *revision) {
                continue;
            }
            return match (after, lineage) {
                (Some((state, _)), Some(lineage)) => Ok(Some((state, lineage))),
                (None, None) => Ok(None),
                _ => Err(super::unsound()),
            };
        }
        Err(Error::new(ErrorKind::Busy, "the audit is sealed all the time: try again"))
    }

    /// Which records the leaves are; they must be all that the tree has.
    pub(super) fn ranges(&self, state: &State) -> Result<Vec<Range>> {
        let mut ranges: Vec<Range> = Vec::new();
        let mut leaf = 0;
        for number in 0..state.pieces {
            for mut range in self.records().piece(number)? {
                if range.leaf != leaf {
                    return Err(Error::new(ErrorKind::Damaged, "the list of sealed records has a gap"));
                }
                // A sealer may be at work.
                range.count = range.count.min(state.size.saturating_sub(leaf));
                leaf += range.count;
                if range.count > 0 {
                    ranges.push(range);
                }
            }
        }
        if leaf == state.size {
            return Ok(ranges);
        }
        Err(Error::new(ErrorKind::Damaged, "the list of sealed records is not complete"))
    }
}

/// Names segments that were removed without ever having been sealed: no keeper does so, and no tree tells what was in them.
fn never_sealed(report: &Report, ranges: &[Range], found: &mut SealReport) {
    let sealed: BTreeSet<&SegmentId> = ranges.iter().map(|range| &range.segment).collect();
    for one in report.segments.iter().filter(|one| one.removed.is_some() && !sealed.contains(&one.segment)) {
        let finding = SealFinding::noted(SealFound::RemovalFalse, "it was never sealed");
        found.add(SealFinding { segment: Some(one.segment.clone()), ..finding });
    }
}

/// The newest checkpoint, where a key of this log signed it and it is that of the store's tree.
fn newest(state: &State, lineage: &Lineage, found: &mut SealReport) -> Option<Checkpoint> {
    let opened = Note::parse(&state.checkpoint).and_then(|note| lineage.open(&note));
    let edge = state.edge(lineage.tree_hash());
    match (opened, edge) {
        (Ok((checkpoint, epoch)), Some(edge)) => {
            (found.epoch, found.time) = (epoch, checkpoint.time());
            if (checkpoint.size, checkpoint.root) == (edge.size(), edge.root()) {
                return Some(checkpoint);
            }
            found.add(SealFinding::whole(SealFound::StateDamaged));
        }
        (Err(e), _) => found.add(SealFinding::noted(SealFound::CheckpointForged, e)),
        (_, None) => found.add(SealFinding::whole(SealFound::StateDamaged)),
    }
    None
}

/// The checkpoint in the files of the log.
fn held_against_file(text: &str, lineage: &Lineage, state: &State, found: &mut SealReport, marks: &mut Vec<Mark>) {
    match Note::parse(text).and_then(|note| lineage.open(&note)) {
        Ok((checkpoint, _)) if checkpoint.size > state.size => {
            let note = format!("{} in the file `log/checkpoint`", checkpoint.size);
            found.add(SealFinding::noted(SealFound::SealRolledBack, note));
        }
        Ok((checkpoint, _)) => {
            let (size, root, time) = (checkpoint.size, checkpoint.root, checkpoint.time());
            marks.push(Mark { size, root, time, anchor: None });
        }
        Err(e) => found.add(SealFinding::noted(SealFound::CheckpointForged, format!("the file `log/checkpoint`: {e}"))),
    }
}

/// The checkpoints that an anchor kept.
fn anchor(
    place: usize,
    name: &str,
    text: &str,
    lineage: &Lineage,
    state: &State,
    found: &mut SealReport,
    marks: &mut Vec<Mark>,
) {
    let mut beyond: Option<u64> = None;
    let mut foreign: Option<ProofError> = None;
    for note in split_notes(text) {
        match Note::parse(note).and_then(|note| lineage.open(&note)) {
            Ok((checkpoint, _)) if checkpoint.size > state.size => beyond = beyond.max(Some(checkpoint.size)),
            Ok((checkpoint, _)) => {
                let (size, root, time) = (checkpoint.size, checkpoint.root, checkpoint.time());
                marks.push(Mark { size, root, time, anchor: Some(place) });
            }
            // A line that was being written when the system stopped.
            Err(ProofError::Note(_)) if !note.ends_with('\n') => {}
            Err(e) => foreign = foreign.or(Some(e)),
        }
    }
    if let Some(size) = beyond {
        found.add(SealFinding::noted(SealFound::SealRolledBack, format!("{size} in the anchor `{name}`")));
    }
    match foreign {
        Some(ProofError::Unsigned) => found.add(SealFinding::noted(SealFound::AnchorForeign, name)),
        Some(e) => found.add(SealFinding::noted(SealFound::CheckpointForged, format!("the anchor `{name}`: {e}"))),
        None => {}
    }
}

/// Where the progress of the segments ended; the seal reads all of them once more.
fn base(report: &Report) -> Progress {
    let there = |s: &&SegmentReport| s.status != Status::Missing && s.removed.is_none();
    let segments = report.segments.iter().filter(there).count() as u64;
    Progress {
        segments,
        segments_total: segments,
        bytes: report.bytes,
        bytes_total: report.bytes.saturating_mul(2),
        records: report.records,
    }
}
