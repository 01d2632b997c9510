//! Numbers shared by every process of a home: a file of fixed size, mapped.
//!
//! What is said of the generation page holds here too: the file never shrinks and is never replaced by us, and write
//! access to the home is trusted with availability. The file has its blocks before it is mapped, so that a full disk is an
//! error when it is made or opened, and no signal later.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::files::{FileMode, create_file};
use super::mapping::Mapping;
use super::shared::{allocate, largest_file};
use crate::error::{Error, ErrorKind, Result};

/// A mapped file of `N` 64-bit numbers in the machine's byte order.
pub struct SharedNumbers<const N: usize> {
    map: Mapping<N>,
    file: File,
}

impl<const N: usize> SharedNumbers<N> {
    /// Opens the file at `path`; where it is missing it is made, beginning with `first`, with zeros behind.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] where it cannot be written, [`ErrorKind::HomeUnsafe`] where it is something else than a file
    /// of that many numbers, [`ErrorKind::Storage`] where there is no room for it.
    pub fn open(path: &Path, mode: FileMode, first: &[u64]) -> Result<Self> {
        let what = || format!("the shared numbers in `{}` cannot be used", path.display());
        let refused = |e: io::Error| match e.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::new(ErrorKind::ReadOnly, what()).with_source(e)
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                let what = format!("there is no room for the shared numbers in `{}`", path.display());
                Error::new(ErrorKind::Storage, what).with_source(e)
            }
            _ => Error::new(ErrorKind::HomeUnsafe, what()).with_source(e),
        };
        let numbers = first.iter().copied().chain(std::iter::repeat(0)).take(N);
        let bytes: Vec<u8> = numbers.flat_map(u64::to_ne_bytes).collect();
        let len = bytes.len() as u64;
        if !path.exists() && largest_file() < len {
            // Writing would end the process (SIGXFSZ).
            return Err(refused(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        create_file(path, mode, &bytes).map_err(refused)?;
        let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).map_err(refused)?;
        let meta = file.metadata().map_err(refused)?;
        if !meta.is_file() || meta.len() != bytes.len() as u64 {
            return Err(refused(io::Error::other("it has a wrong type or size; stop all users and delete it")));
        }
        // A copy may have left its zeros out.
        match allocate(&file, len) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            allocated => allocated.map_err(refused)?,
        }
        let map = Mapping::new(&file, libc::PROT_READ | libc::PROT_WRITE, 0).map_err(refused)?;
        Ok(Self { map, file })
    }

    /// The numbers. Any process of the home may change them at any time.
    #[must_use]
    pub const fn numbers(&self) -> &[AtomicU64; N] {
        self.map.numbers()
    }

    /// Whether the file was deleted, so that other processes will not see these numbers. One system call.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.file.metadata().map_or(true, |m| m.nlink() == 0)
    }
}

impl<const N: usize> std::fmt::Debug for SharedNumbers<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedNumbers").field("count", &N).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::os::testing::{ended_well, fork};

    fn open<const N: usize>(dir: &tempfile::TempDir, first: &[u64]) -> Result<SharedNumbers<N>> {
        SharedNumbers::open(&dir.path().join("numbers"), FileMode::of_home(dir.path()).unwrap(), first)
    }

    #[test]
    fn a_number_is_seen_in_every_mapping_and_every_process() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, other) = (open::<2>(&dir, &[7]).unwrap(), open::<2>(&dir, &[9, 9]).unwrap());
        assert_eq!(other.numbers().iter().map(|n| n.load(Ordering::SeqCst)).collect::<Vec<_>>(), [7, 0]);
        assert!(ended_well(fork(|| other.numbers().last().unwrap().fetch_add(5, Ordering::SeqCst) == 0)));
        assert_eq!(mine.numbers().last().unwrap().load(Ordering::SeqCst), 5);
    }

    #[test]
    fn a_file_of_another_size_or_kind_is_refused_and_a_deleted_one_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let numbers = open::<1>(&dir, &[1]).unwrap();
        assert_eq!(open::<2>(&dir, &[1]).unwrap_err().kind(), ErrorKind::HomeUnsafe);
        assert!(!numbers.is_deleted());
        std::fs::remove_file(dir.path().join("numbers")).unwrap();
        assert!(numbers.is_deleted());
        std::fs::create_dir(dir.path().join("numbers")).unwrap();
        assert_eq!(open::<1>(&dir, &[1]).unwrap_err().kind(), ErrorKind::HomeUnsafe);
    }
}
