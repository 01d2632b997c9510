//! Keeping a log for years: segments that ended are compressed, copied to archives, and removed when it is time.
//!
//! Only what was closed by its writer and is sealed to its last record is touched. The hashes of all records stay in the
//! tree, so that it goes on growing and what is elsewhere can still be proven. Each step can be interrupted at any moment:
//! what was begun is done again, and a file goes only when what replaces it, or the record that it went, is on the disk.

mod archive;
mod compress;
mod copy;
mod remove;
mod segment;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

pub use self::archive::{ArchiveOptions, Archived};
pub use self::compress::Compressed;
pub use self::remove::{Candidate, Pruned};
use super::chain::{Form, SegmentId};
use super::report::Progress;
use super::seal::Sealer;
use super::sink::SegmentSink;
use crate::error::{Error, ErrorKind, Result};

/// How the name of a file ends that is not finished.
const DRAFT: &str = ".new";
/// Locked by whoever compresses, archives or removes.
const LOCK: &str = "keeper";

/// Keeps the segments of a home.
#[derive(Clone, Copy)]
pub struct Keeper<'a> {
    /// Knows what is sealed.
    pub sealer: &'a Sealer,
    /// Records what is removed.
    pub sink: &'a SegmentSink,
    /// Where readers keep how far they are: a segment stays until all of them have read it.
    pub cursors: &'a Path,
    /// The anchors that must have a checkpoint over a segment before it may go.
    pub anchors: &'a [String],
    /// Who has it done.
    pub principal: &'a str,
}

/// Why a segment stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stays {
    /// A process writes it, or died doing so.
    Open,
    /// Another process has it in its hands.
    InUse,
    /// Not all of it is sealed.
    Unsealed,
    /// It is not old enough.
    Young,
    /// An anchor has no checkpoint over it yet.
    Unanchored {
        /// Its name.
        anchor: String,
    },
    /// Readers have not read all of it.
    Awaited {
        /// Their names.
        by: Vec<String>,
    },
    /// It is not what was sealed, or what tells of it is damaged.
    Contradicts,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("its writer has not closed it"),
            Self::InUse => f.write_str("another process uses it"),
            Self::Unsealed => f.write_str("not all of it is sealed: run `kmss audit seal`"),
            Self::Young => f.write_str("it is not old enough"),
            Self::Unanchored { anchor } => {
                write!(f, "the anchor `{anchor}` has no checkpoint over it: run `kmss audit anchor`")
            }
            Self::Awaited { by } => write!(f, "not all of it was delivered to: {}", by.join(", ")),
            Self::Contradicts => f.write_str("it is not what was sealed: run `kmss audit verify`"),
        }
    }
}

/// A segment that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The segment.
    pub segment: SegmentId,
    /// Why.
    #[serde(flatten)]
    pub stays: Stays,
}

impl Keeper<'_> {
    /// Keeps everybody else from doing the same; `None` where somebody does.
    fn lock(&self) -> Result<Option<File>> {
        self.sealer.files().lock_named(LOCK)
    }

    /// Closes what killed processes of this user left open, so that it is not left for ever. Once it is sealed it is as any
    /// other.
    fn close_left(&self) -> Result<()> {
        for one in self.listed()?.into_iter().filter(|one| one.form == Form::Plain) {
            match self.sink.close_left(&one.id) {
                // The verifier names it.
                Err(e) if e.kind() == ErrorKind::Damaged => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    fn is_old(&self, last: crate::clock::Timestamp, age: Duration) -> bool {
        u128::from(self.sealer.clock.now().0.saturating_sub(last.0)) >= age.as_millis()
    }
}

impl fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("sealer", self.sealer).finish_non_exhaustive()
    }
}

/// The segment of which a file with this name is not finished.
pub(super) fn of_draft(name: &str) -> Option<SegmentId> {
    name.strip_suffix(DRAFT).and_then(SegmentId::of_file).map(|(id, _)| id)
}

/// Tells how far the work is.
struct Told<'a> {
    progress: &'a mut dyn FnMut(&Progress),
    now: Progress,
}

impl Told<'_> {
    fn done(&mut self, bytes: u64, records: u64) {
        self.now.segments += 1;
        self.now.bytes = self.now.bytes.saturating_add(bytes);
        self.now.records = self.now.records.saturating_add(records);
        self.now.bytes_total = self.now.bytes_total.max(self.now.bytes);
        (self.progress)(&self.now);
    }
}

fn busy() -> Error {
    Error::new(ErrorKind::Busy, "another process compresses, archives or removes segments of this audit: try again")
}

fn storage(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "cannot read or write the audit segments").with_source(error)
}
