//! What the verifier says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::chain::SegmentId;
use super::seal::SealReport;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};

/// The judgement on a whole log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum Verdict {
    /// Nothing was found that a writer would not have done.
    Whole,
    /// Somebody other than a writer changed the log, or what the store knows of it.
    Tampered,
    /// Something could not be read; what could be read holds.
    Unverified,
}

/// How a segment ends, or what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Ended by its writer, and whole.
    Closed,
    /// Whole up to its last record: its writer works, or was killed.
    Open,
    /// As [`Status::Open`], with an unfinished record behind the last whole one.
    TornTail,
    /// Made, and without any record: its writer was killed or refused before the first.
    Empty,
    /// Changed by somebody; see the findings.
    Broken,
    /// The store knows it and the file is gone.
    Missing,
    /// Removed, as a record says, after it was copied to an archive; known by its hashes.
    Archived,
    /// Removed, as a record says, because it was old; known by its hashes.
    Expired,
    /// The store does not know it.
    Unregistered,
    /// It could not be read.
    Unreadable,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// A record does not follow from its predecessor: it was changed, or its predecessor was and got a new hash.
    Edited,
    /// Records are gone from the middle.
    Removed,
    /// A genuine record stands in another place.
    Reordered,
    /// A genuine record stands there once more.
    Duplicated,
    /// A line that no writer made.
    Inserted,
    /// Records are gone from the end.
    Truncated,
    /// A record is not the one that the store, or the next segment, knows under its number.
    Rewritten,
    /// Records stand behind the end that the store knows.
    Extended,
    /// The bytes of a failed write are not those that the recovery record describes.
    TornChanged,
    /// The file beside the segment, where its newest records wait, is none that a writer makes.
    PendingDamaged,
    /// The compressed file cannot be unpacked.
    PackedDamaged,
    /// The genesis record speaks of another segment, suite or number.
    Genesis,
    /// The file is gone.
    Missing,
    /// The file is gone, and what is recorded of its removal speaks of another segment than the one that was there.
    RemovalFalse,
    /// The store does not know the segment.
    Unregistered,
    /// The store's entry of a segment is gone, although other entries count it.
    RegistrationRemoved,
    /// The store's entry of a segment cannot be read.
    RegistrationDamaged,
    /// The store knows less than the log: it was set back.
    StoreRolledBack,
}

impl Found {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Edited => "changed (or its predecessor was, with a new hash)",
            Self::Removed => "removed",
            Self::Reordered => "moved to another place",
            Self::Duplicated => "repeated",
            Self::Inserted => "added by somebody who is no writer",
            Self::Truncated => "cut off the end",
            Self::Rewritten => "replaced, with all that follow",
            Self::Extended => "added behind the registered end",
            Self::TornChanged => "recovered from a failed write whose remains were changed",
            Self::PendingDamaged => "followed by others that cannot be read: their file was changed",
            Self::PackedDamaged => "lost with the compressed file, which cannot be unpacked: it was cut or changed",
            Self::Genesis => "taken from another segment or home",
            Self::Missing => "deleted with the file of the segment",
            Self::RemovalFalse => "removed, and the record of that speaks of others",
            Self::Unregistered => "never registered in the store",
            Self::RegistrationRemoved => "left without the store's entry for the segment",
            Self::RegistrationDamaged => "left with a damaged entry in the store",
            Self::StoreRolledBack => "written after the state to which the store was set back",
        }
    }
}

/// One finding: what became of the records `first` to `last` of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub found: Found,
    /// First record concerned; `None` where numbers say nothing.
    pub first: Option<u64>,
    /// Last record concerned.
    pub last: Option<u64>,
    /// The line of the file, starting at 1, where there is one.
    pub line: Option<u64>,
}

impl Finding {
    pub(super) const fn whole(found: Found) -> Self {
        Self { found, first: None, last: None, line: None }
    }

    pub(super) const fn records(found: Found, first: u64, last: u64, line: Option<u64>) -> Self {
        Self { found, first: Some(first), last: Some(last), line }
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
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// What is recorded of the removal of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Name of the record: `SEGMENT:SEQ`.
    pub record: String,
    /// When.
    pub time: Timestamp,
    /// Who had it removed.
    pub principal: String,
    /// Records that were removed.
    pub records: u64,
    /// SHA-256 of the file in the archive, in hex digits; empty where there was none.
    pub file: String,
}

/// What is known of one segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentReport {
    /// The segment.
    pub segment: SegmentId,
    /// Its number among the segments of the home, from the store or its genesis record.
    pub ordinal: Option<u64>,
    /// How it ends.
    pub status: Status,
    /// Records that are in the chain.
    pub records: u64,
    /// Time of the first of them.
    pub first: Option<Timestamp>,
    /// Time of the last of them.
    pub last: Option<Timestamp>,
    /// Processes that wrote it, one after the other.
    pub writers: u64,
    /// Failed writes that later records account for.
    pub recoveries: u64,
    /// Operations refused because their records could not be written.
    pub lost: u64,
    /// What is wrong, at most 100 findings.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more_findings: u64,
    /// Why it could not be read.
    pub error: Option<String>,
    /// The archive in which it was read.
    pub archive: Option<String>,
    /// How it was removed, where it is not there and should not be.
    pub removed: Option<Removed>,
}

impl SegmentReport {
    pub(super) const fn new(segment: SegmentId, status: Status) -> Self {
        Self {
            segment,
            ordinal: None,
            status,
            records: 0,
            first: None,
            last: None,
            writers: 0,
            recoveries: 0,
            lost: 0,
            findings: Vec::new(),
            more_findings: 0,
            error: None,
            archive: None,
            removed: None,
        }
    }

    /// Adds a finding; the list stays bounded whatever a file holds.
    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() < 100 {
            self.findings.push(finding);
        } else {
            self.more_findings = self.more_findings.saturating_add(1);
        }
    }
}

/// What is known of a whole log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The judgement.
    pub verdict: Verdict,
    /// Whether the store was asked; without it, what was cut off the end or deleted is hardly missed.
    pub store_consulted: bool,
    /// All segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// What is wrong with the store's knowledge as a whole.
    pub findings: Vec<Finding>,
    /// What could not be read.
    pub errors: Vec<String>,
    /// Names in the directory that are no segments.
    pub other_files: Vec<String>,
    /// Records in all chains.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What the seal says; absent where it was not asked, or nothing was sealed.
    pub seal: Option<SealReport>,
}

/// How far the verifier is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segments done.
    pub segments: u64,
    /// Segments in all.
    pub segments_total: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Records done.
    pub records: u64,
}

/// Why there is no verdict where nobody waits for one.
pub(super) fn given_up() -> Error {
    Error::new(ErrorKind::OperationInactive, "the verification was given up")
}
