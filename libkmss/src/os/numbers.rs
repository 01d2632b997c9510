//! Numbers shared by every process of a home: a file of fixed size, mapped.
//!
//! What is said of the generation page holds here too: the file never shrinks and is never replaced by us, and write
//! access to the home is trusted with availability. The file has its blocks before it is mapped, so that a full disk is an
//! error when it is made or opened, and no signal later.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use super::files::{FileMode, create_file};
use super::shared::{allocate, largest_file};
use crate::error::{Error, ErrorKind, Result};

/// A mapped file of 64-bit numbers in the machine's byte order.
pub struct SharedNumbers {
    // INVARIANT: a shared, writable mapping of `count` numbers of `file`, unmapped by `drop`.
    map: NonNull<AtomicU64>,
    count: usize,
    file: File,
}

// SAFETY: the mapping is only reached through atomics and stays until `drop`.
unsafe impl Send for SharedNumbers {}
// SAFETY: as above.
unsafe impl Sync for SharedNumbers {}

impl SharedNumbers {
    /// Opens the file at `path`; where it is missing it is made with `initial`.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] where it cannot be written, [`ErrorKind::HomeUnsafe`] where it is something else than a file
    /// with room for as many numbers, [`ErrorKind::Storage`] where there is no room for it.
    pub fn open(path: &Path, mode: FileMode, initial: &[u64]) -> Result<Self> {
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
        let bytes: Vec<u8> = initial.iter().flat_map(|number| number.to_ne_bytes()).collect();
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
        let map = map_shared(&file, bytes.len()).map_err(refused)?;
        Ok(Self { map, count: initial.len(), file })
    }

    /// The numbers. Any process of the home may change them at any time.
    #[must_use]
    pub const fn numbers(&self) -> &[AtomicU64] {
        // SAFETY: by the invariant of the fields; the mapping is aligned and any bit pattern is a number.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.count) }
    }

    /// Whether the file was deleted, so that other processes will not see these numbers. One system call.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.file.metadata().map_or(true, |m| m.nlink() == 0)
    }
}

impl Drop for SharedNumbers {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `open`, and references to it borrow `self`.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}

impl std::fmt::Debug for SharedNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedNumbers").field("count", &self.count).finish_non_exhaustive()
    }
}

fn map_shared(file: &File, len: usize) -> io::Result<NonNull<AtomicU64>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping of an open file at an address of the kernel's choice touches nothing that exists.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::os::testing::{ended_well, fork};

    fn open(dir: &tempfile::TempDir, initial: &[u64]) -> Result<SharedNumbers> {
        SharedNumbers::open(&dir.path().join("numbers"), FileMode::of_home(dir.path()).unwrap(), initial)
    }

    #[test]
    fn a_number_is_seen_in_every_mapping_and_every_process() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, other) = (open(&dir, &[7, 0]).unwrap(), open(&dir, &[9, 9]).unwrap());
        assert_eq!(other.numbers().iter().map(|n| n.load(Ordering::SeqCst)).collect::<Vec<_>>(), [7, 0]);
        assert!(ended_well(fork(|| other.numbers().last().unwrap().fetch_add(5, Ordering::SeqCst) == 0)));
        assert_eq!(mine.numbers().last().unwrap().load(Ordering::SeqCst), 5);
    }

    #[test]
    fn a_file_of_another_size_or_kind_is_refused_and_a_deleted_one_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let numbers = open(&dir, &[1]).unwrap();
        assert_eq!(open(&dir, &[1, 2]).unwrap_err().kind(), ErrorKind::HomeUnsafe);
        assert!(!numbers.is_deleted());
        std::fs::remove_file(dir.path().join("numbers")).unwrap();
        assert!(numbers.is_deleted());
        std::fs::create_dir(dir.path().join("numbers")).unwrap();
        assert_eq!(open(&dir, &[1]).unwrap_err().kind(), ErrorKind::HomeUnsafe);
    }
}
