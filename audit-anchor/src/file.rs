//! A file on other storage.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::AnchorError;

/// Appends a checkpoint, in one write, and waits for the storage.
pub(crate) fn append(path: &Path, checkpoint: &str) -> Result<(), AnchorError> {
    let failed = |source| AnchorError::File { path: path.to_owned(), source };
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(path).map_err(failed)?;
    file.write_all(format!("{checkpoint}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
