//! Where segments are looked for: in the home, then in archives.

use std::io;
use std::path::{Path, PathBuf};

use super::chain::SegmentId;
use super::pending::Logical;

/// The directories, the home's first.
#[derive(Clone, Debug)]
pub(super) struct Places(Vec<PathBuf>);

impl Places {
    /// The home's directory alone.
    pub(super) fn of(dir: PathBuf) -> Self {
        Self(vec![dir])
    }

    /// As this, and then these archives.
    pub(super) fn with(mut self, archives: impl IntoIterator<Item = PathBuf>) -> Self {
        self.0.extend(archives);
        self
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }

    /// Opens a segment where it is first found.
    pub(super) fn open(&self, id: &SegmentId) -> io::Result<Logical> {
        let mut missing = io::Error::from(io::ErrorKind::NotFound);
        for dir in self.all() {
            match Logical::open(dir, id) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => missing = e,
                other => return other,
            }
        }
        Err(missing)
    }
}
