//! What is said of an archive.

use std::fmt;

use serde::Serialize;

/// Most findings that are kept of a segment.
const FINDINGS: usize = 100;

/// The judgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum Verdict {
    /// Every record of the archive is the one that was sealed.
    Whole,
    /// Somebody changed the archive.
    Tampered,
    /// Something could not be read; what could be read holds.
    #[default]
    Unverified,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// A file that the manifest names is gone.
    FileMissing,
    /// A file is not the one of the manifest.
    FileChanged,
    /// The compressed file cannot be unpacked.
    Damaged,
    /// Records are not those that were sealed.
    RecordChanged,
    /// Records that were sealed are not there.
    RecordMissing,
    /// Lines that were never sealed, or not there.
    Inserted,
    /// The end of a segment is not there: its last record did not close it, or a later segment knows of more.
    EndMissing,
    /// The first record is that of another segment, or names another one as the one before.
    Genesis,
    /// The remains of a failed write are not those that the record behind them describes.
    TornChanged,
    /// Hashes that prove records are gone.
    TileMissing,
    /// Hashes that prove records were changed.
    TileChanged,
    /// The checkpoint was not signed by a key of this log.
    CheckpointForged,
    /// The list of leaves, or the manifest, is not sound.
    IndexDamaged,
    /// The archive has another root key than the one given.
    KeyReplaced,
    /// The manifest has not the hash that was given.
    ManifestReplaced,
}

impl Found {
    const fn sentence(self) -> &'static str {
        match self {
            Self::FileMissing => "the file is gone",
            Self::FileChanged => "the file is not the one of the manifest",
            Self::Damaged => "the file cannot be unpacked: it was cut or changed",
            Self::RecordChanged => "not what was sealed",
            Self::RecordMissing => "sealed, and not there",
            Self::Inserted => "a line that was never sealed",
            Self::EndMissing => "records are missing at its end",
            Self::Genesis => "its first record is that of another segment, or of another place",
            Self::TornChanged => "recovered from a failed write whose remains were changed",
            Self::TileMissing => "the hashes that prove them are gone",
            Self::TileChanged => "the hashes that prove them were changed",
            Self::CheckpointForged => "its checkpoint was not signed by a key of this log in its time",
            Self::IndexDamaged => "what says which leaves its records are is not sound",
            Self::KeyReplaced => "the archive has another root key than the one given",
            Self::ManifestReplaced => "the manifest is not the one whose hash was given",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub found: Found,
    /// First record concerned.
    pub first: Option<u64>,
    /// Last record concerned.
    pub last: Option<u64>,
    /// The cause, where there is more to say.
    pub note: Option<String>,
}

impl Finding {
    pub(crate) const fn whole(found: Found) -> Self {
        Self { found, first: None, last: None, note: None }
    }

    pub(crate) fn noted(found: Found, note: impl ToString) -> Self {
        Self { note: Some(note.to_string()), ..Self::whole(found) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (Some(first), Some(last)) if first != last => write!(f, "records {first} to {last}: ")?,
            (Some(first), _) => write!(f, "record {first}: ")?,
            _ => (),
        }
        f.write_str(self.found.sentence())?;
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

/// What is known of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// Its name.
    pub segment: String,
    /// Its number among all of the home, as the manifest says.
    pub ordinal: u64,
    /// Records that are what was sealed.
    pub records: u64,
    /// Records of the log that were sealed when it was copied, as its checkpoint says.
    pub size: u64,
    /// Time of the first, in milliseconds, as the manifest says.
    pub first: u64,
    /// Time of the last.
    pub last: u64,
    /// What is wrong, at most 100 findings.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more_findings: u64,
    /// Why it could not be read.
    pub error: Option<String>,
}

impl SegmentReport {
    /// Adds a finding about one record, or to the one about its neighbour.
    pub(crate) fn add_record(&mut self, found: Found, seq: u64) {
        self.add_records(found, seq, 1);
    }

    /// As [`Self::add_record`], about `count` records from `first` on; nothing for none.
    pub(crate) fn add_records(&mut self, found: Found, first: u64, count: u64) {
        let Some(last) = count.checked_sub(1).map(|more| first.saturating_add(more)) else { return };
        if let Some(before) = self.findings.last_mut()
            && before.found == found
            && before.last.is_some_and(|before| before.checked_add(1) == Some(first))
        {
            before.last = Some(last);
            return;
        }
        self.add(Finding { first: Some(first), last: Some(last), ..Finding::whole(found) });
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings = self.more_findings.saturating_add(1);
        }
    }
}

/// What is known of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The judgement.
    pub verdict: Verdict,
    /// Name of the log.
    pub origin: String,
    /// The root key that it was verified with.
    pub key: String,
    /// Whether the auditor gave that key; else it is the archive's own, which proves nothing against who wrote the archive.
    pub key_given: bool,
    /// SHA-256 of the manifest, in hex digits.
    pub manifest: String,
    /// Whether the auditor gave that; else nothing tells whether the archive had more segments, or the newest a later end.
    pub manifest_given: bool,
    /// Segments of the archive, oldest first.
    pub segments: Vec<SegmentReport>,
    /// What is wrong with the archive as a whole.
    pub findings: Vec<Finding>,
    /// Records that are what was sealed.
    pub records: u64,
    /// Records that were sealed when the archive was written last, by its checkpoints and the manifest: those beyond `records`
    /// are elsewhere.
    pub size: u64,
    /// Numbers of segments that are between those of the archive and not in it.
    pub absent: Vec<u64>,
    /// Segments in the folder that the manifest does not name: an archive that is not finished.
    pub unlisted: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            for finding in &segment.findings {
                writeln!(f, "segment {}: {finding}", segment.segment.escape_debug())?;
            }
            if segment.more_findings > 0 {
                writeln!(f, "segment {}: {} more findings", segment.segment.escape_debug(), segment.more_findings)?;
            }
            if let Some(error) = &segment.error {
                writeln!(f, "segment {}: {error}", segment.segment.escape_debug())?;
            }
        }
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for segment in &self.unlisted {
            writeln!(f, "segment {segment}: the manifest does not name it, and it was not verified")?;
        }
        if !self.key_given {
            writeln!(f, "The root key is the archive's own: give the one that you know with `--key`.")?;
        }
        if let (Some(first), Some(last)) = (self.absent.first(), self.absent.last()) {
            let count = self.absent.len();
            writeln!(f, "{count} segments between those of the archive are not in it (numbers {first} to {last}).")?;
        }
        let (records, segments, size) = (self.records, self.segments.len(), self.size);
        let s = if segments == 1 { "" } else { "s" };
        let counts = format!("{records} records in {segments} segment{s}, of {size} that the log {} has", self.origin);
        match self.verdict {
            Verdict::Whole => writeln!(f, "The archive is whole: {counts}."),
            Verdict::Tampered => writeln!(f, "The archive was TAMPERED WITH: {counts}."),
            Verdict::Unverified => writeln!(f, "The archive could not be verified in full: {counts}."),
        }
    }
}

/// How far the verifier is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done, of compressed files.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Records done.
    pub records: u64,
}
