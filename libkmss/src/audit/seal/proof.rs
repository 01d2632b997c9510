//! Proofs for auditors: that a record is in the tree, and that one tree is the beginning of another.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use audit_proof::path::{consistency, inclusion};
use audit_proof::{Checkpoint, Note, RecordProof};

use super::nodes::TileNodes;
use super::state::{Range, State};
use super::{Sealer, unreadable, unsound};
use crate::audit::chain::{Line, SegmentId};
use crate::audit::lines::{Lines, Piece};
use crate::error::{Error, ErrorKind, Result};

/// Names a record: `SEGMENT:SEQ`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordName {
    /// Its segment.
    pub segment: SegmentId,
    /// Its number there.
    pub seq: u64,
}

impl FromStr for RecordName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = text.split_once(':').and_then(|(segment, seq)| {
            let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
            Some(Self { segment: segment.parse().ok()?, seq: seq.parse().ok().filter(|_| digits)? })
        });
        named.ok_or_else(|| {
            let text = text.escape_debug();
            let why = format!("`{text}` does not name a record: give SEGMENT:SEQ, as `kmss audit tail --ids` shows it");
            Error::new(ErrorKind::Arguments, why)
        })
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.seq)
    }
}

impl Sealer {
    /// The proof that a record is in the log, with the newest checkpoint; the record is in it unless it is `detached`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where it is not sealed yet, or never was; [`ErrorKind::Damaged`] where it is not the record that
    /// was sealed, or the seal is damaged.
    pub fn prove(&self, name: &RecordName, detached: bool) -> Result<RecordProof> {
        self.prove_from(name, detached, &[])
    }

    /// As [`Self::prove`], of a record that may be in one of these archives.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn prove_from(&self, name: &RecordName, detached: bool, archives: &[PathBuf]) -> Result<RecordProof> {
        let (state, lineage) = self.sealed()?;
        let range = self.range_of(&state, name)?;
        let index = range.leaf + (name.seq - range.seq);
        let record = self.line(name, archives)?;
        let files = self.files();
        let hash = self.tree_hash();
        let path = inclusion(hash, &mut TileNodes::new(&files, hash, state.size), index, state.size);
        let checkpoint = Note::parse(&state.checkpoint).map_err(|e| unsound().with_source(e))?;
        let mut proof = RecordProof { hash, record: None, index, path: path.map_err(unreadable)?, checkpoint };
        proof.verify(Some(&record), &lineage).map_err(|e| {
            let why =
                format!("the record `{name}` is not what was sealed, or the seal is damaged: run `kmss audit verify`");
            Error::new(ErrorKind::Damaged, why).with_source(e)
        })?;
        proof.record = (!detached).then_some(record);
        Ok(proof)
    }

    /// The newest checkpoint, and the proof that the tree of the first `old` records is the beginning of its own.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] before the first sealing, [`ErrorKind::Arguments`] for more records than are sealed,
    /// [`ErrorKind::Storage`].
    pub fn growth(&self, old: u64) -> Result<(Note, Vec<audit_proof::Hash>)> {
        let (state, _) = self.sealed()?;
        if old > state.size {
            let why = format!("{old} records are not sealed yet, only {}", state.size);
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let (files, hash) = (self.files(), self.tree_hash());
        let path = consistency(hash, &mut TileNodes::new(&files, hash, state.size), old, state.size);
        let checkpoint = Note::parse(&state.checkpoint).map_err(|e| unsound().with_source(e))?;
        Ok((checkpoint, path.map_err(unreadable)?))
    }

    /// As [`Self::growth`], with a signature by the key that witnesses know the log by, beside that of the epoch.
    ///
    /// # Errors
    /// As [`Self::growth`].
    pub fn submission(&self, old: u64) -> Result<(Note, Vec<audit_proof::Hash>)> {
        let (mut note, path) = self.growth(old)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|e| unsound().with_source(e))?;
        let signed = self.lasting(&checkpoint.origin)?.sign(&checkpoint)?;
        signed.signatures().iter().for_each(|signature| note.add(signature.clone()));
        Ok((note, path))
    }

    /// The key that witnesses know the log by.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] before the first sealing.
    pub fn lasting_key(&self) -> Result<audit_proof::VerifierKey> {
        let (_, lineage) = self.sealed()?;
        Ok(self.lasting(lineage.origin())?.public().clone())
    }

    pub(in crate::audit) fn sealed(&self) -> Result<(State, audit_proof::Lineage)> {
        let records = self.records();
        let found = records.state()?.map(|(state, _)| state).zip(records.lineage()?);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "nothing is sealed yet: run `kmss audit seal`"))
    }

    /// The range that a record is in.
    pub(super) fn range_of(&self, state: &State, name: &RecordName) -> Result<Range> {
        let unsealed = || {
            let why = format!("there is no sealed record `{name}`: run `kmss audit seal` where it is there");
            Error::new(ErrorKind::NotFound, why)
        };
        let position = self.records().position(&name.segment)?.filter(|p| name.seq < p.next).ok_or_else(unsealed)?;
        for number in position.pieces.0..=position.pieces.1.min(state.pieces) {
            let mut ranges = self.records().piece(number)?.into_iter();
            let holds =
                |r: &Range| r.segment == name.segment && (r.seq..r.seq.saturating_add(r.count)).contains(&name.seq);
            if let Some(range) = ranges.find(holds) {
                return Ok(range);
            }
        }
        Err(unsealed())
    }

    /// The line of a record, without its line feed.
    pub(super) fn line(&self, name: &RecordName, archives: &[PathBuf]) -> Result<Vec<u8>> {
        let segment = match self.places(archives).open(&name.segment) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.gone(name)?),
            other => other.map_err(unreadable)?,
        };
        let mut lines = Lines::new(segment);
        while let Some(piece) = lines.next().map_err(unreadable)? {
            if let Piece::Line(line) = piece
                && Line::split(line).is_some_and(|l| l.seq == name.seq)
            {
                return Ok(line.strip_suffix(b"\n").unwrap_or(line).to_vec());
            }
        }
        Err(Error::new(ErrorKind::NotFound, format!("the record `{name}` is gone: run `kmss audit verify`")))
    }

    /// Why there is no file of a segment.
    fn gone(&self, name: &RecordName) -> Result<Error> {
        let why = match self.removal(&name.segment)? {
            None => format!("the segment of the record `{name}` is gone: run `kmss audit verify`"),
            Some(removal) if removal.file.is_empty() => format!(
                "the record `{name}` was removed because of its age, as the record `{}` says: only a copy of its segment, given \
                 with `--archive`, proves it",
                removal.name
            ),
            Some(_) => format!("the record `{name}` is in an archive: give its folder with `--archive`"),
        };
        Ok(Error::new(ErrorKind::NotFound, why))
    }
}
