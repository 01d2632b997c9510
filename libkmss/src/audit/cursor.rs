//! How far a reader came in each segment, kept on the disk: what it has not read yet is its queue.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::chain::{Head, SegmentId};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::os::FileMode;

/// Version of the file.
const VERSION: u32 = 1;
/// How the names of files with cursors end.
const SUFFIX: &str = ".cursor";
/// Largest file that is read.
const LARGEST: u64 = 64 << 20;

/// A place behind a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes of the segment up to and including the record.
    pub offset: u64,
    /// The record's number.
    pub seq: u64,
    /// Its time.
    pub time: Timestamp,
    /// Its hash, by which is noticed that the segment was changed.
    pub h: Head,
    /// Whether it closed the segment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// How far a reader came. Segments that it does not name were not begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last record that was read of each segment.
    pub segments: BTreeMap<SegmentId, Position>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    segments: BTreeMap<String, Position>,
}

impl Cursor {
    /// Name of the file for the cursor `name`.
    #[must_use]
    pub fn file_name(name: &str) -> String {
        format!("{name}{SUFFIX}")
    }

    /// Reads a cursor; `None` where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for a file that no agent wrote, [`ErrorKind::TooNew`], [`ErrorKind::Storage`].
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let text = match fs::metadata(path).and_then(|meta| match meta.len() > LARGEST {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => fs::read(path),
        }) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| unreadable(path, e))?,
        };
        let damaged = |e: Option<serde_json::Error>| {
            let error = Error::new(ErrorKind::Damaged, format!("`{}` is no cursor", path.display()));
            match e {
                Some(e) => error.with_source(e),
                None => error,
            }
        };
        let stored: Stored = serde_json::from_slice(&text).map_err(|e| damaged(Some(e)))?;
        if stored.v > VERSION {
            return Err(Error::new(ErrorKind::TooNew, format!("`{}` is of a newer version", path.display())));
        }
        let parsed = stored.segments.into_iter().map(|(id, position)| id.parse().map(|id| (id, position)));
        let segments = parsed.collect::<Result<_>>().map_err(|_| damaged(None))?;
        Ok(Some(Self { segments }))
    }

    /// Writes the cursor; whoever reads it sees the old one or the new one.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub fn store(&self, path: &Path, mode: FileMode) -> Result<()> {
        let segments = self.segments.iter().map(|(id, position)| (id.to_string(), *position)).collect();
        let text = serde_json::to_vec(&Stored { v: VERSION, segments })
            .map_err(|e| Error::new(ErrorKind::Internal, "a cursor cannot be written").with_source(e))?;
        replace(path, mode, &text)
            .map_err(|e| Error::new(ErrorKind::Storage, format!("cannot write `{}`", path.display())).with_source(e))
    }

    /// Whether everything in `segment`, which is `len` bytes long with what waits beside it, was read.
    #[must_use]
    pub fn has_all(&self, segment: &SegmentId, len: u64) -> bool {
        self.segments.get(segment).is_some_and(|position| position.offset >= len) || len == 0
    }
}

/// The readers, of those with cursors in `directory`, that have not read all `len` bytes of `segment` yet: it must stay
/// until they have. A cursor that cannot be read counts as one of those.
///
/// # Errors
/// [`ErrorKind::Storage`].
pub fn awaited_by(directory: &Path, segment: &SegmentId, len: u64) -> Result<Vec<String>> {
    let behind = |cursor: Result<Option<Cursor>>| match cursor {
        Ok(Some(cursor)) => !cursor.has_all(segment, len),
        Ok(None) => false,
        Err(_) => true,
    };
    let names = cursor_names(directory)?;
    Ok(names.into_iter().filter(|name| behind(Cursor::load(&directory.join(Cursor::file_name(name))))).collect())
}

/// The names of the cursors in `directory`.
///
/// # Errors
/// [`ErrorKind::Storage`].
pub fn cursor_names(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| unreadable(directory, e))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| unreadable(directory, e))?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Puts a file with `content` in the place of `path`.
///
/// # Errors
/// Those of the file system; the old file stays then.
pub fn replace(path: &Path, mode: FileMode, content: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    mode.apply(&file)?;
    file.sync_data()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot read `{}`", path.display())).with_source(error)
}
