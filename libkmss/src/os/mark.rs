//! A mark by which two copies of this library in one process find each other.
//!
//! POSIX record locks belong to the process: when one copy of SQLite closes a file, the locks of the other are gone and
//! commits get lost. So each copy holds an open-file-description lock, which belongs to the copy, on one byte that
//! belongs to the process. Other processes lock other bytes and are never in the way.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};

/// The marks of this copy. Only touched while a lock of [`Rank::Store`](super::Rank::Store) is held, so never locked while
/// another thread forks.
static MARKS: Mutex<Vec<Held>> = Mutex::new(Vec::new());

struct Held {
    device: u64,
    inode: u64,
    users: usize,
    // INVARIANT: closed before a fork; a child that inherited it would hold the mark of a process that may be gone.
    file: OwnedFd,
}

/// Held as long as this copy uses the home.
#[derive(Debug)]
pub struct ProcessMark {
    device: u64,
    inode: u64,
}

impl ProcessMark {
    /// Marks the file `path` for this process and copy, or shares the mark that this copy holds already. The caller
    /// holds a lock of [`Rank::Store`](super::Rank::Store), here and when the mark is dropped, which is before a fork.
    ///
    /// # Errors
    /// [`ErrorKind::HomeUnsafe`] when another copy in this process holds it, or the file cannot be locked.
    pub fn take(path: &Path) -> Result<Self> {
        let failed = |e| Error::new(ErrorKind::HomeUnsafe, "the home cannot be marked as in use").with_source(e);
        let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let (device, inode) = (meta.dev(), meta.ino());
        let mut marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = marks.iter_mut().find(|h| (h.device, h.inode) == (device, inode)) {
            held.users += 1;
            return Ok(Self { device, inode });
        }
        let file = OwnedFd::from(file);
        match lock_byte(&file, process_number()) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                let what = "another copy of kmss in this process uses the home: load one library file, by one path";
                return Err(Error::new(ErrorKind::HomeUnsafe, what));
            }
            other => other.map_err(failed)?,
        }
        marks.push(Held { device, inode, users: 1, file });
        Ok(Self { device, inode })
    }

    /// Whether no other process has marked the file just now. The caller holds a lock of
    /// [`Rank::Store`](super::Rank::Store).
    #[must_use]
    pub fn is_only(&self) -> bool {
        let marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
        let held = marks.iter().find(|h| (h.device, h.inode) == (self.device, self.inode));
        held.is_some_and(|held| is_free_of_others(&held.file))
    }
}

impl Drop for ProcessMark {
    fn drop(&mut self) {
        let mut marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = marks.iter_mut().find(|h| (h.device, h.inode) == (self.device, self.inode)) {
            held.users -= 1;
        }
        // Closing under the lock: whoever takes a mark next finds it held or free, nothing between.
        marks.retain(|h| h.users > 0);
    }
}

/// An offset that no other living process has: process id and pid namespace (containers may share a home).
fn process_number() -> i64 {
    let namespace = std::fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino() & 0x3FFF_FFFF);
    i64::try_from((namespace << 32) | u64::from(std::process::id())).unwrap_or(0)
}

/// A lock for writing from `start` on, `len` bytes; 0 for all that there may ever be.
fn range(start: i64, len: i64) -> libc::flock {
    // SAFETY: a zeroed flock is a valid value of this C structure (l_pid must be zero for these locks).
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    #[expect(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
    {
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
    }
    (range.l_start, range.l_len) = (start, len);
    range
}

fn lock_byte(file: &OwnedFd, offset: i64) -> io::Result<()> {
    let range = range(offset, 1);
    // SAFETY: the descriptor is open and `range` is a filled structure that outlives the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether nobody but whoever has `file` open has a lock on it.
fn is_free_of_others(file: &OwnedFd) -> bool {
    let mut found = range(0, 0);
    // SAFETY: the descriptor is open and `found` is a filled structure that outlives the call, which writes into it.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut found) };
    asked == 0 && i32::from(found.l_type) == libc::F_UNLCK
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::os::{Lock, Rank};

    #[test]
    fn one_copy_shares_its_mark_and_a_second_copy_is_refused() {
        let store = Lock::new(Rank::Store, ());
        let _held = store.lock();
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = ProcessMark::take(file.path()).unwrap();
        let second = ProcessMark::take(file.path()).unwrap();
        // A second copy has statics of its own; here its lock is all there is of it.
        let other = OpenOptions::new().read(true).write(true).open(file.path()).unwrap().into();
        assert!(lock_byte(&other, process_number()).is_err());
        drop(first);
        assert!(lock_byte(&other, process_number()).is_err());
        drop(second);
        lock_byte(&other, process_number()).unwrap();
        assert_eq!(ProcessMark::take(file.path()).unwrap_err().kind(), ErrorKind::HomeUnsafe);
        drop(other);
        drop(ProcessMark::take(file.path()).unwrap());
    }

    #[test]
    fn another_process_is_not_in_the_way() {
        let store = Lock::new(Rank::Store, ());
        let _held = store.lock();
        let file = tempfile::NamedTempFile::new().unwrap();
        let other = OpenOptions::new().read(true).write(true).open(file.path()).unwrap().into();
        lock_byte(&other, process_number() + 1).unwrap();
        let mark = ProcessMark::take(file.path()).unwrap();
        assert!(!mark.is_only());
        drop(other);
        assert!(mark.is_only());
    }
}
