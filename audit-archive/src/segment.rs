//! One segment of an archive under the lamp: that its records are the leaves that they are said to be, all of them, in their
//! order, and from the first to the one that closed it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use audit_proof::archive::{Archived, INDEX, Leaves, MAX_INDEX, PACKED};
use audit_proof::note::MAX_NOTE;
use audit_proof::{Checkpoint, Hash, Lineage, Note, ProofError, TreeHash};
use sha2::{Digest as _, Sha256};

use crate::chain::{Chain, Genesis, Previous};
use crate::folder;
use crate::lines::{Line, Lines, Torn};
use crate::pack::Packed;
use crate::report::{Finding, Found, Progress, SegmentReport};
use crate::sealed::Sealed;

/// Longest segment that is read: those of a home end at 1 GiB, and little is added behind that.
const LARGEST: u64 = (1 << 30) + (64 << 20);
/// Most lines that were never sealed before the rest of a segment is not looked at.
const STRANGERS: u32 = 10_000;
/// Records between two calls of the progress callback.
const STEP: u64 = 4096;

/// A segment, and what the archive says of it and of those beside it.
pub(crate) struct Work<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) archived: &'a Archived,
    /// The segments with the numbers before its own, and after.
    pub(crate) before: Option<&'a Archived>,
    pub(crate) after: Option<&'a Archived>,
    pub(crate) lineage: &'a Lineage,
    pub(crate) at: &'a mut Progress,
    pub(crate) progress: &'a mut dyn FnMut(&Progress),
    pub(crate) report: &'a mut SegmentReport,
}

impl Work<'_> {
    /// Looks at all of it.
    ///
    /// # Errors
    /// A file cannot be read; whatever else is wrong is in the report.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let Some((leaves, checkpoint)) = self.leaves()? else { return Ok(()) };
        let file = match folder::open(&packed_path(self.folder, &self.archived.segment)) {
            Ok(Some(file)) => file,
            Ok(None) => {
                self.report.add(Finding::whole(Found::FileMissing));
                self.report.add_records(Found::RecordMissing, 0, self.archived.records);
                return Ok(());
            }
            Err(e) => return self.unpacks_not(e),
        };
        if !self.is_hashed(&file)? {
            self.report.add(Finding::whole(Found::FileChanged));
        }
        // A small file may claim to be large, and would be read for long.
        let most = self.archived.bytes.saturating_mul(2).saturating_add(1 << 20).min(LARGEST);
        match Packed::open(file) {
            Ok(packed) if packed.len() > most => self.unpacks_not(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it claims {} bytes, and the segment has {}", packed.len(), self.archived.bytes),
            )),
            Ok(packed) => self.walk(packed, &leaves, &checkpoint),
            Err(e) => self.unpacks_not(e),
        }
    }

    fn unpacks_not(&mut self, error: io::Error) -> io::Result<()> {
        if error.kind() != io::ErrorKind::InvalidData {
            return Err(error);
        }
        self.report.add(Finding::noted(Found::Damaged, error));
        self.report.add_records(Found::RecordMissing, 0, self.archived.records);
        Ok(())
    }

    /// Whether the compressed file is the one of the manifest.
    fn is_hashed(&self, file: &File) -> io::Result<bool> {
        let len = self.archived.file_bytes;
        Ok(len <= LARGEST && file.metadata()?.len() == len && sha256(file, len)? == self.archived.file_sha256)
    }

    /// Which leaves the records are, and the checkpoint that their tree has.
    fn leaves(&mut self) -> io::Result<Option<(Leaves, Checkpoint)>> {
        let path = self.folder.join(format!("{}{INDEX}", self.archived.segment));
        let text = match folder::read(&path, MAX_INDEX) {
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                self.report.add(Finding::noted(Found::IndexDamaged, e));
                return Ok(None);
            }
            other => other?,
        };
        let Some(text) = text else {
            self.report.add(Finding::noted(Found::FileMissing, INDEX));
            return Ok(None);
        };
        if hex(&Sha256::digest(&text)) != self.archived.leaves_sha256 {
            self.report.add(Finding::noted(Found::FileChanged, INDEX));
        }
        let leaves: Leaves = match serde_json::from_slice(&text) {
            Ok(leaves) => leaves,
            Err(e) => {
                self.report.add(Finding::noted(Found::IndexDamaged, e));
                return Ok(None);
            }
        };
        let note = Some(&leaves.checkpoint).filter(|note| note.len() <= MAX_NOTE).map(|note| Note::parse(note));
        let opened = note.unwrap_or(Err(ProofError::Note("it is too long"))).and_then(|note| self.lineage.open(&note));
        match opened {
            Ok((checkpoint, _)) => {
                if leaves.segment != self.archived.segment || !leaves.are_sound(self.archived.records, checkpoint.size)
                {
                    self.report.add(Finding::whole(Found::IndexDamaged));
                    return Ok(None);
                }
                self.report.size = checkpoint.size;
                Ok(Some((leaves, checkpoint)))
            }
            Err(e) => {
                self.report.add(Finding::noted(Found::CheckpointForged, e));
                Ok(None)
            }
        }
    }

    fn walk(&mut self, packed: Packed, leaves: &Leaves, checkpoint: &Checkpoint) -> io::Result<()> {
        let (total, from, counted) = (packed.len().max(1), self.at.bytes, self.at.records);
        let told = self.after.and_then(|after| read_genesis(self.folder, &after.segment)).and_then(|g| g.previous);
        let told = told.filter(|previous| previous.segment == self.archived.segment);
        let wanted = told.as_ref().and_then(|previous| previous.seq);
        let hash = self.lineage.tree_hash();
        let mut walk = Walk {
            hash,
            records: self.archived.records,
            sealed: Sealed::new(self.folder, hash, leaves, checkpoint),
            chain: Chain::new(hash, &self.archived.segment, wanted),
            genesis: None,
            torn: Torn::default(),
            place: 0,
            due: 0,
            strangers: 0,
        };
        let mut lines = Lines::new(packed);
        let (mut done, mut last) = (0_u64, 0_u64);
        let damage = loop {
            let line = match lines.next() {
                Ok(Some(line)) if walk.strangers < STRANGERS => line,
                Ok(_) => break None,
                // Nothing behind this place can be read.
                Err(e) if e.kind() == io::ErrorKind::InvalidData => break Some(e),
                Err(e) => return Err(e),
            };
            done += line.len() as u64;
            walk.take(line, self.report)?;
            if walk.place.saturating_sub(last) >= STEP {
                last = walk.place;
                self.at.bytes = from.saturating_add(scaled(self.archived.file_bytes, done, total));
                self.at.records = counted.saturating_add(self.report.records);
                (self.progress)(self.at);
            }
        };
        walk.skip_to(self.archived.records, self.report);
        if walk.torn.is_left() {
            self.report.add(Finding::whole(Found::Inserted));
        }
        self.judge_genesis(&walk);
        match damage {
            Some(e) => self.report.add(Finding::noted(Found::Damaged, e)),
            None => self.judge_ends(&walk, told.as_ref()),
        }
        Ok(())
    }

    /// The first record names the segment, its number, and the segment before it.
    fn judge_genesis(&mut self, walk: &Walk<'_>) {
        if walk.chain.first.is_none() {
            return;
        }
        let wrong = match &walk.genesis {
            None => Some("it is no genesis record".to_owned()),
            Some(genesis) => {
                let named = genesis.previous.as_ref().map(|previous| previous.segment.as_str());
                if (genesis.segment.as_str(), genesis.ordinal) != (&self.archived.segment, self.archived.ordinal) {
                    Some(format!("it is of segment {}, number {}", genesis.segment.escape_debug(), genesis.ordinal))
                } else {
                    let other = named.filter(|named| self.before.is_some_and(|before| before.segment != *named));
                    other.map(|named| format!("the segment before it is {}", named.escape_debug()))
                }
            }
        };
        if let Some(why) = wrong {
            self.report.add(Finding::noted(Found::Genesis, why));
        }
    }

    /// Where every record was found: that they end with the one that closed the segment, at which no later segment knows of
    /// more, and have the hashes that the manifest names.
    fn judge_ends(&mut self, walk: &Walk<'_>, told: Option<&Previous>) {
        if self.report.records != self.archived.records {
            return;
        }
        if !walk.chain.closed {
            self.report.add(Finding::whole(Found::EndMissing));
        }
        let (first, last, tree) = walk.chain.ends();
        let is = |hash: Option<Hash>, text: &str| hash.is_some_and(|hash| hash.to_string() == text);
        let claimed = self.archived;
        if !(is(first, &claimed.genesis) && is(last, &claimed.head) && is(Some(tree), &claimed.tree)) {
            self.report.add(Finding::noted(Found::IndexDamaged, "the manifest names other hashes"));
        }
        let Some(previous) = told else { return };
        if !is(first, &previous.genesis) {
            self.report.add_record(Found::RecordChanged, 0);
        }
        if let Some((seq, head)) = previous.seq.zip(previous.head.as_deref()) {
            if seq >= walk.due {
                let why = format!("the segment after it knows record {seq}");
                self.report.add(Finding::noted(Found::EndMissing, why));
            } else if !is(walk.chain.found, head) {
                self.report.add_record(Found::RecordChanged, seq);
            }
        }
    }
}

/// How far the lines of a segment are followed.
struct Walk<'a> {
    hash: TreeHash,
    /// Places there are.
    records: u64,
    sealed: Sealed<'a>,
    chain: Chain,
    genesis: Option<Genesis>,
    torn: Torn,
    /// The next of the places that the list of leaves has, which may lie.
    place: u64,
    /// The number of the next record.
    due: u64,
    strangers: u32,
}

impl Walk<'_> {
    fn take(&mut self, line: &[u8], report: &mut SegmentReport) -> io::Result<()> {
        let data = line.strip_suffix(b"\n").unwrap_or(line);
        let (record, leaf) = (Line::split(line), self.hash.leaf(data));
        let later = record.as_ref().map(|record| record.seq).filter(|n| *n > self.place && *n < self.records);
        // A genuine record of a later place: those between are gone.
        if let Some(later) = later
            && self.sealed.is(later, &leaf)?
        {
            self.skip_to(later, report);
        }
        let sealed = self.sealed.at(self.place, report)?;
        match (sealed, record) {
            (Some(Some(sealed)), Some(record)) if sealed == leaf => self.genuine(line, &record, leaf, report),
            // The tile that would prove it is named.
            (Some(None), Some(record)) if record.seq == self.due && self.chain.takes(&record) => {
                self.push(line, &record, leaf, report);
            }
            (Some(_), Some(record)) if record.seq == self.due => {
                report.add_record(Found::RecordChanged, self.due);
                self.chain.lose();
                self.due = self.due.saturating_add(1);
            }
            (sealed, _) => {
                if sealed.is_none() || !self.torn.take(line) {
                    report.add(Finding::whole(Found::Inserted));
                    self.strangers += 1;
                }
                return Ok(());
            }
        }
        self.place = self.place.saturating_add(1);
        Ok(())
    }

    /// A record of the log. Whether it is the one that is due here, its number and the chain tell.
    fn genuine(&mut self, line: &[u8], record: &Line<'_>, leaf: Hash, report: &mut SegmentReport) {
        if record.seq < self.due {
            report.add(Finding::whole(Found::Inserted));
            return;
        }
        if record.seq > self.due {
            report.add_records(Found::RecordMissing, self.due, record.seq - self.due);
            self.chain.lose();
            self.due = record.seq;
        }
        if self.chain.takes(record) {
            report.records = report.records.saturating_add(1);
            self.push(line, record, leaf, report);
        } else {
            // It is one of another segment.
            report.add_record(Found::RecordMissing, self.due);
            self.chain.lose();
            self.due = self.due.saturating_add(1);
        }
    }

    fn push(&mut self, line: &[u8], record: &Line<'_>, leaf: Hash, report: &mut SegmentReport) {
        if !self.torn.settle(self.hash, line.strip_suffix(b"\n").unwrap_or(line)) {
            report.add_record(Found::TornChanged, self.due);
        }
        if record.seq == 0 {
            self.genesis = Genesis::parse(line);
        }
        self.chain.push(record, leaf);
        self.due = record.seq.saturating_add(1);
    }

    /// Goes on at a later place; the records of those before it are gone.
    fn skip_to(&mut self, place: u64, report: &mut SegmentReport) {
        let Some(count) = place.checked_sub(self.place).filter(|count| *count > 0) else { return };
        report.add_records(Found::RecordMissing, self.due, count);
        self.chain.lose();
        self.place = place;
        self.due = self.due.saturating_add(count);
    }
}

/// The first record of a segment, where it can be read.
fn read_genesis(folder: &Path, segment: &str) -> Option<Genesis> {
    let file = folder::open(&packed_path(folder, segment)).ok()??;
    Lines::new(Packed::open(file).ok()?).next().ok()?.and_then(Genesis::parse)
}

fn packed_path(folder: &Path, segment: &str) -> std::path::PathBuf {
    folder.join(format!("{segment}{PACKED}"))
}

/// How much of `whole` is `part` of `of`.
fn scaled(whole: u64, part: u64, of: u64) -> u64 {
    let scaled = u128::from(whole) * u128::from(part.min(of)) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(whole)
}

/// SHA-256 of the first `len` bytes of a file, in hex digits.
fn sha256(file: &File, len: u64) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let (mut block, mut file) = (vec![0; 256 * 1024], file.take(len));
    loop {
        match file.read(&mut block)? {
            0 => break,
            read => hasher.update(block.get(..read).unwrap_or_default()),
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// Hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_segment_that_claims_to_be_endless_is_one_finding() {
        let (folder, hash, records) = (tempfile::tempdir().unwrap(), TreeHash::Sha256, 1 << 62);
        let checkpoint =
            Checkpoint { origin: "log".to_owned(), size: records, root: hash.empty(), extensions: Vec::new() };
        let leaves = Leaves { v: 1, segment: String::new(), checkpoint: String::new(), ranges: vec![(0, 0, records)] };
        assert!(leaves.are_sound(records, checkpoint.size));
        let mut report = SegmentReport::default();
        let mut walk = Walk {
            hash,
            records,
            sealed: Sealed::new(folder.path(), hash, &leaves, &checkpoint),
            chain: Chain::new(hash, "", None),
            genesis: None,
            torn: Torn::default(),
            place: 0,
            due: 0,
            strangers: 0,
        };
        walk.take(b"no record\n", &mut report).unwrap();
        walk.skip_to(records, &mut report);
        let missing = report.findings.iter().find(|f| f.found == Found::RecordMissing).unwrap();
        assert_eq!((missing.first, missing.last), (Some(0), Some(records - 1)));
    }
}
