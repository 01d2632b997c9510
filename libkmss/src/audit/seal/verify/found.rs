//! What is said of the seal.

use serde::{Deserialize, Serialize};

use crate::audit::chain::SegmentId;

/// Most findings that are kept.
const FINDINGS: usize = 100;

/// What was found of the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealFound {
    /// Records are not those that were sealed.
    RecordChanged,
    /// Records that were sealed are gone.
    RecordMissing,
    /// Among these leaves are records that are not those that were sealed, and what tells which was changed too.
    RecordsUnknown,
    /// The records, or the tree, are not what the newest checkpoint signed.
    RootWrong,
    /// The hashes in a file of the log are not those of the records.
    TileChanged,
    /// A file of the log is gone.
    TileMissing,
    /// The store's part of the seal cannot be trusted.
    StateDamaged,
    /// The store knows no seal although there was one.
    SealMissing,
    /// A checkpoint was not signed by a key of this log, or by one that was handed over before.
    CheckpointForged,
    /// The seal knows fewer records than a checkpoint that it signed.
    SealRolledBack,
    /// A checkpoint kept elsewhere is of another history.
    Forked,
    /// The log has another root key than the auditor knows.
    KeyReplaced,
    /// The anchor is of another log.
    AnchorForeign,
    /// A segment was removed, and no record of that is in the log.
    RemovalUnrecorded,
    /// The record of a removal is about other records than those that were sealed.
    RemovalFalse,
}

impl SealFound {
    const fn sentence(self) -> &'static str {
        match self {
            Self::RecordChanged => "not what was sealed",
            Self::RecordMissing => "sealed, and gone",
            Self::RecordsUnknown => {
                "among them are records that are not what was sealed; what tells which was changed too"
            }
            Self::RootWrong => "the records are not those that the newest checkpoint signed",
            Self::TileChanged => "their hashes in the files of the log were changed; the records are what was sealed",
            Self::TileMissing => "their hashes are gone from the files of the log; the records are what was sealed",
            Self::StateDamaged => "the store's part of the seal was changed",
            Self::SealMissing => "the store knows nothing of the seal that there was",
            Self::CheckpointForged => {
                "a checkpoint was not signed by a key of this log in its time: forged, or the store was set back"
            }
            Self::SealRolledBack => "the seal was set back: a checkpoint tells of more records",
            Self::Forked => "the records are not those of a checkpoint that was kept elsewhere",
            Self::RemovalUnrecorded => "removed, and the log has no record of that",
            Self::RemovalFalse => "removed, and what the record of that says is not what was sealed",
            Self::KeyReplaced => "the log has another root key than the one given",
            Self::AnchorForeign => {
                "a checkpoint kept elsewhere is of another log, or by a later key: this log began anew, or was set back, or it is the wrong file"
            }
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealFinding {
    /// What.
    pub found: SealFound,
    /// The segment, where it is about records of one.
    pub segment: Option<SegmentId>,
    /// First record of the segment, or first leaf of the tree.
    pub first: Option<u64>,
    /// The last.
    pub last: Option<u64>,
    /// Further words, such as the anchor's name.
    pub note: Option<String>,
}

impl SealFinding {
    pub(super) const fn whole(found: SealFound) -> Self {
        Self { found, segment: None, first: None, last: None, note: None }
    }

    pub(super) fn noted(found: SealFound, note: impl ToString) -> Self {
        Self { note: Some(note.to_string()), ..Self::whole(found) }
    }
}

impl std::fmt::Display for SealFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.segment.is_some() { "record" } else { "leave" };
        if let Some(segment) = &self.segment {
            write!(f, "segment {segment}: ")?;
        }
        match (self.first, self.last) {
            (Some(first), Some(last)) if first != last => write!(f, "{what}s {first} to {last}: ")?,
            (Some(first), _) if self.segment.is_some() => write!(f, "record {first}: ")?,
            (Some(first), _) => write!(f, "leaf {first}: ")?,
            _ => (),
        }
        f.write_str(self.found.sentence())?;
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

/// What an anchor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorReport {
    /// Its name.
    pub name: String,
    /// Checkpoints in it that are of this log, and agree with the records.
    pub agree: u64,
    /// Records of the largest of them.
    pub size: u64,
    /// When that was signed.
    pub time: Option<u64>,
}

/// What is known of the seal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealReport {
    /// The log's name.
    pub origin: String,
    /// Its root key.
    pub key: String,
    /// The epoch whose key signs.
    pub epoch: u64,
    /// Records in the tree.
    pub size: u64,
    /// When the newest checkpoint was signed.
    pub time: Option<u64>,
    /// Records that were held against the tree.
    pub checked: u64,
    /// Records whose segments were removed as they should be, of which the tree has the hashes.
    pub removed: u64,
    /// Records in the log that are not sealed yet.
    pub unsealed: u64,
    /// Whether all of the tree was looked at.
    pub complete: bool,
    /// What anchors say.
    pub anchors: Vec<AnchorReport>,
    /// What is wrong, at most 100 findings.
    pub findings: Vec<SealFinding>,
    /// Findings beyond those.
    pub more_findings: u64,
}

impl SealReport {
    pub(super) fn add(&mut self, finding: SealFinding) {
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }
}
