//! Verifies an archive with a public key alone: each record is the leaf that it is said to be, by its tile, which belongs to
//! the tree whose root a key of the log signed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use audit_proof::archive::{Archived, INDEX, KEYS, Leaves, MANIFEST, Manifest, PACKED, VERSION};
use audit_proof::note::MAX_NOTE;
use audit_proof::tile::WIDTH;
use audit_proof::{Checkpoint, Hash, Lineage, Note, ProofError, TreeHash};
use sha2::{Digest as _, Sha256};

use crate::folder::{self, Tiles};
use crate::lines::{Lines, Torn, seq};
use crate::pack::Packed;
use crate::report::{Finding, Found, Progress, Report, SegmentReport, Verdict};

/// Largest manifest, and list of leaves.
const LARGEST: u64 = 512 << 20;
/// Largest file of keys.
const LARGEST_KEYS: u64 = 256 << 20;
/// Segments that are named where they are absent.
const NAMED: usize = 1000;
/// Most lines that were never sealed before the rest of a segment is not looked at.
const STRANGERS: u32 = 10_000;
/// Records between two calls of the progress callback.
const STEP: u64 = 4096;

/// Why an archive cannot be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of it cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is no archive.
    #[error("`{}` is no archive of an audit: it has no `{MANIFEST}`", .0.display())]
    NoArchive(PathBuf),
    /// A newer program wrote it.
    #[error("`{}` was written by a newer kmss", .0.display())]
    TooNew(PathBuf),
    /// The keys are none.
    #[error("the public keys cannot be used")]
    Keys(#[source] ProofError),
}

/// Verifies the archive in `folder`. `known` are the keys that the auditor knows: the root key at least; certificates that it
/// lacks are taken from the archive, which cannot forge them.
///
/// # Errors
/// The folder is no archive, or not for this version; everything else is in the report.
pub fn check(folder: &Path, known: Option<&Lineage>, progress: &mut dyn FnMut(&Progress)) -> Result<Report, Error> {
    let mut report = Report { key_given: known.is_some(), ..Report::default() };
    let manifest = manifest(folder, &mut report)?;
    let lineage = lineage(folder, known, &mut report)?;
    (report.origin, report.key) = (lineage.origin().to_owned(), lineage.root().to_string());
    report.size = manifest.size;
    if manifest.origin != lineage.origin() || manifest.key != lineage.root().to_string() {
        report.findings.push(Finding::noted(Found::KeyReplaced, "the manifest"));
    }
    let bytes_total = manifest.segments.iter().fold(0_u64, |sum, one| sum.saturating_add(one.file_bytes));
    let mut at = Progress { bytes_total, ..Progress::default() };
    for archived in &manifest.segments {
        let segment = one(folder, archived, &lineage, &mut at, progress);
        report.records += segment.records;
        report.segments.push(segment);
    }
    report.bytes = at.bytes;
    unlisted(folder, &manifest, &mut report)?;
    absent(&manifest, &mut report);
    let wrong = !report.findings.is_empty() || report.segments.iter().any(|s| !s.findings.is_empty());
    let unread = report.segments.iter().any(|s| s.error.is_some());
    report.verdict = match (wrong, unread) {
        (true, _) => Verdict::Tampered,
        (false, true) => Verdict::Unverified,
        (false, false) => Verdict::Whole,
    };
    Ok(report)
}

fn load(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Error> {
    folder::read(path, most).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn manifest(folder: &Path, report: &mut Report) -> Result<Manifest, Error> {
    let path = folder.join(MANIFEST);
    let text = load(&path, LARGEST)?.ok_or_else(|| Error::NoArchive(folder.to_owned()))?;
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u32,
    }
    if serde_json::from_slice::<Versioned>(&text).is_ok_and(|found| found.v > VERSION) {
        return Err(Error::TooNew(folder.to_owned()));
    }
    Ok(serde_json::from_slice(&text).unwrap_or_else(|e| {
        report.findings.push(Finding::noted(Found::IndexDamaged, format!("the manifest: {e}")));
        Manifest { v: VERSION, origin: String::new(), key: String::new(), size: 0, segments: Vec::new() }
    }))
}

/// The auditor's keys, with the certificates of the archive.
fn lineage(folder: &Path, known: Option<&Lineage>, report: &mut Report) -> Result<Lineage, Error> {
    let text = load(&folder.join(KEYS), LARGEST_KEYS)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let own = Lineage::parse(text.as_deref().unwrap_or_default());
    let Some(known) = known else { return own.map_err(Error::Keys) };
    match own {
        // Both grew from one root, and each certificate is signed by the key before it: the longer one has the other in it.
        Ok(own) if own.root() == known.root() => {
            let longer = if own.certificates().len() > known.certificates().len() { &own } else { known };
            let shorter = if own.certificates().len() > known.certificates().len() { known } else { &own };
            if !shorter.certificates().zip(longer.certificates()).all(|(a, b)| a.key == b.key) {
                report.findings.push(Finding::noted(Found::KeyReplaced, "the certificates of its keys differ"));
                return Ok(known.clone());
            }
            Ok(longer.clone())
        }
        Ok(_) => {
            report.findings.push(Finding::whole(Found::KeyReplaced));
            Ok(known.clone())
        }
        Err(e) => {
            report.findings.push(Finding::noted(Found::KeyReplaced, format!("the file `{KEYS}`: {e}")));
            Ok(known.clone())
        }
    }
}

fn one(
    folder: &Path,
    archived: &Archived,
    lineage: &Lineage,
    at: &mut Progress,
    progress: &mut dyn FnMut(&Progress),
) -> SegmentReport {
    let mut report = SegmentReport {
        segment: archived.segment.clone(),
        ordinal: archived.ordinal,
        first: archived.first,
        last: archived.last,
        ..SegmentReport::default()
    };
    if !folder::is_segment(&archived.segment) {
        report.add(Finding::noted(Found::IndexDamaged, "the name of the segment is none"));
        return report;
    }
    let from = at.bytes;
    let mut work = Work { folder, archived, lineage, at, progress, report: &mut report };
    if let Err(e) = work.run() {
        report.error = Some(e.to_string());
    }
    at.bytes = from.saturating_add(archived.file_bytes);
    progress(at);
    report
}

/// One segment under the lamp.
struct Work<'a> {
    folder: &'a Path,
    archived: &'a Archived,
    lineage: &'a Lineage,
    at: &'a mut Progress,
    progress: &'a mut dyn FnMut(&Progress),
    report: &'a mut SegmentReport,
}

impl Work<'_> {
    fn run(&mut self) -> io::Result<()> {
        let Some((leaves, checkpoint)) = self.leaves()? else { return Ok(()) };
        let path = self.folder.join(format!("{}{PACKED}", self.archived.segment));
        let file = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.report.add(Finding::whole(Found::FileMissing));
                self.all(Found::RecordMissing);
                return Ok(());
            }
            other => other?,
        };
        if sha256(&file)? != self.archived.file_sha256 {
            self.report.add(Finding::whole(Found::FileChanged));
        }
        match Packed::open(file) {
            // A small file may claim to be large, and would be read for long.
            Ok(packed) if packed.len() > self.archived.bytes.saturating_mul(2).saturating_add(1 << 20) => self
                .unpacks_not(&io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("it claims {} bytes, and the segment has {}", packed.len(), self.archived.bytes),
                )),
            Ok(packed) => self.walk(packed, &leaves, &checkpoint),
            Err(e) => self.unpacks_not(&e),
        }
    }

    fn unpacks_not(&mut self, error: &io::Error) -> io::Result<()> {
        if error.kind() != io::ErrorKind::InvalidData {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        self.report.add(Finding::noted(Found::Damaged, error));
        self.all(Found::RecordMissing);
        Ok(())
    }

    /// Names all records from the first that was not found on.
    fn all(&mut self, found: Found) {
        if let Some(last) = self.archived.records.checked_sub(1).filter(|last| *last >= self.report.records) {
            let first = Some(self.report.records);
            self.report.add(Finding { first, last: Some(last), ..Finding::whole(found) });
        }
    }

    /// Which leaves the records are, and the checkpoint that their tree has.
    fn leaves(&mut self) -> io::Result<Option<(Leaves, Checkpoint)>> {
        let path = self.folder.join(format!("{}{INDEX}", self.archived.segment));
        let Some(text) = folder::read(&path, LARGEST)? else {
            self.report.add(Finding::noted(Found::FileMissing, INDEX));
            return Ok(None);
        };
        if format!("{:x}", Hex(&Sha256::digest(&text))) != self.archived.leaves_sha256 {
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
                Ok(Some((leaves, checkpoint)))
            }
            Err(e) => {
                self.report.add(Finding::noted(Found::CheckpointForged, e));
                Ok(None)
            }
        }
    }

    fn walk(&mut self, packed: Packed, leaves: &Leaves, checkpoint: &Checkpoint) -> io::Result<()> {
        let hash = self.lineage.tree_hash();
        let mut sealed = Sealed::new(self.folder, hash, leaves, checkpoint);
        let (total, from) = (packed.len().max(1), self.at.bytes);
        let mut lines = Lines::new(packed);
        let (mut torn, mut done, mut next) = (Torn::default(), 0_u64, 0_u64);
        let mut expected = sealed.next(self.report)?;
        let mut strangers = 0;
        while strangers < STRANGERS {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(e) => {
                    // Nothing behind this place can be read.
                    while expected.is_some() {
                        self.report.add_record(Found::RecordMissing, next);
                        (next, expected) = (next + 1, sealed.next(self.report)?);
                    }
                    if e.kind() != io::ErrorKind::InvalidData {
                        return Err(e);
                    }
                    self.report.add(Finding::noted(Found::Damaged, e));
                    return Ok(());
                }
            };
            done += line.len() as u64;
            let data = line.strip_suffix(b"\n").unwrap_or(line);
            // A genuine record of a later number: those between are gone.
            if let Some(number) = seq(line).filter(|n| *n > next && *n < self.archived.records)
                && expected.is_some()
                && sealed.is(number, &hash.leaf(data))?
            {
                while next < number && expected.is_some() {
                    self.report.add_record(Found::RecordMissing, next);
                    (next, expected) = (next + 1, sealed.next(self.report)?);
                }
            }
            let Some(leaf) = expected else {
                self.report.add(Finding::whole(Found::Inserted));
                strangers += 1;
                continue;
            };
            if leaf.is_some_and(|leaf| hash.leaf(data) == leaf) || (leaf.is_none() && seq(line) == Some(next)) {
                if !torn.settle(hash, data) {
                    self.report.add_record(Found::TornChanged, next);
                }
                self.report.records += u64::from(leaf.is_some());
            } else if seq(line) == Some(next) {
                self.report.add_record(Found::RecordChanged, next);
            } else {
                if !torn.take(line) {
                    self.report.add(Finding::whole(Found::Inserted));
                    strangers += 1;
                }
                continue;
            }
            (next, expected) = (next + 1, sealed.next(self.report)?);
            if next.is_multiple_of(STEP) {
                self.at.bytes = from.saturating_add(scaled(self.archived.file_bytes, done, total));
                self.at.records += STEP;
                (self.progress)(self.at);
            }
        }
        while expected.is_some() {
            self.report.add_record(Found::RecordMissing, next);
            (next, expected) = (next + 1, sealed.next(self.report)?);
        }
        if torn.is_left() {
            self.report.add(Finding::whole(Found::Inserted));
        }
        Ok(())
    }
}

/// How much of `whole` is `part` of `of`.
fn scaled(whole: u64, part: u64, of: u64) -> u64 {
    let scaled = u128::from(whole) * u128::from(part.min(of)) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(whole)
}

/// The leaves of a segment, from tiles that belong to the tree.
struct Sealed<'a> {
    tiles: Tiles<'a>,
    checkpoint: &'a Checkpoint,
    all: &'a [(u64, u64, u64)],
    ranges: std::slice::Iter<'a, (u64, u64, u64)>,
    /// Leaf, record and how many are left of a stretch.
    at: (u64, u64, u64),
    /// The tile at hand, where it is genuine.
    open: Option<(u64, Option<Vec<Hash>>)>,
    /// The tile of a record further on.
    ahead: Option<(u64, Option<Vec<Hash>>)>,
}

impl<'a> Sealed<'a> {
    fn new(folder: &'a Path, hash: TreeHash, leaves: &'a Leaves, checkpoint: &'a Checkpoint) -> Self {
        let tiles = Tiles::new(folder, hash, checkpoint.size);
        let all = leaves.ranges.as_slice();
        Self { tiles, checkpoint, all, ranges: all.iter(), at: (0, 0, 0), open: None, ahead: None }
    }

    /// Whether this was sealed as record `seq`.
    fn is(&mut self, seq: u64, hash: &Hash) -> io::Result<bool> {
        let within = |(_, first, count): &&(u64, u64, u64)| seq >= *first && seq - *first < *count;
        let Some((leaf, first, _)) = self.all.iter().find(within) else { return Ok(false) };
        let leaf = leaf + (seq - first);
        let number = leaf / WIDTH;
        if self.ahead.as_ref().is_none_or(|(known, _)| *known != number) {
            self.ahead = Some((number, self.tiles.proven(number, self.checkpoint)?.ok()));
        }
        let place = usize::try_from(leaf % WIDTH).unwrap_or_default();
        Ok(self.ahead.as_ref().and_then(|(_, tile)| tile.as_ref()?.get(place)) == Some(hash))
    }

    /// What was sealed of the next record; the inner `None` where its tile proves nothing.
    fn next(&mut self, report: &mut SegmentReport) -> io::Result<Option<Option<Hash>>> {
        while self.at.2 == 0 {
            let Some(range) = self.ranges.next() else { return Ok(None) };
            self.at = *range;
        }
        let (leaf, seq, left) = self.at;
        self.at = (leaf + 1, seq + 1, left - 1);
        let number = leaf / WIDTH;
        if self.open.as_ref().is_none_or(|(known, _)| *known != number) {
            let proven = self.tiles.proven(number, self.checkpoint)?;
            if let Err(there) = proven {
                let in_tile = (WIDTH - leaf % WIDTH).min(left);
                let (first, last) = (Some(seq), Some(seq + in_tile - 1));
                let found = if there { Found::TileChanged } else { Found::TileMissing };
                report.add(Finding { first, last, ..Finding::whole(found) });
            }
            self.open = Some((number, proven.ok()));
        }
        let place = usize::try_from(leaf % WIDTH).unwrap_or_default();
        Ok(Some(self.open.as_ref().and_then(|(_, tile)| tile.as_ref()?.get(place).copied())))
    }
}

/// SHA-256 of a file, in hex digits.
fn sha256(mut file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => break,
            read => hasher.update(block.get(..read).unwrap_or_default()),
        }
    }
    Ok(format!("{:x}", Hex(&hasher.finalize())))
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Segments in the folder that the manifest does not name. A copy that was never finished has another name.
fn unlisted(folder: &Path, manifest: &Manifest, report: &mut Report) -> Result<(), Error> {
    let failed = |source| Error::File { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(segment) = name.to_str().and_then(|name| name.strip_suffix(PACKED)) else { continue };
        if !manifest.segments.iter().any(|one| one.segment == segment) {
            report.unlisted.push(segment.escape_debug().to_string());
        }
    }
    Ok(())
}

fn absent(manifest: &Manifest, report: &mut Report) {
    let mut ordinals: Vec<u64> = manifest.segments.iter().map(|one| one.ordinal).collect();
    ordinals.sort_unstable();
    for pair in ordinals.windows(2) {
        let [a, b] = *pair else { continue };
        let room = NAMED.saturating_sub(report.absent.len());
        report.absent.extend((a.saturating_add(1)..b).take(room));
    }
}
