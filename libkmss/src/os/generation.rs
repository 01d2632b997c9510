//! The generation page: one counter in a file of the home, mapped into every process that uses it.
//!
//! A sequence lock without data: odd while a write transaction that makes caches stale is under way, even after it.
//! Whoever keeps something remembers the number it was read at; while the number stands, nothing was revoked. Only the
//! holder of the store's write lock moves it, so that an odd number left behind by a killed process is known to be a
//! leftover by the next writer, which repairs it. Until then readers look at the store itself.
//!
//! Behind the counter stands the number of the newest commit that was acknowledged: a store that ends before it has lost
//! some, whatever it says itself. (The page is written back when the system likes, so after a power failure it may know
//! less than the store, never more.)
//!
//! The file never shrinks and is never replaced by us. Whoever may write to the home can cut it to nothing, and readers
//! would then get SIGBUS, as they would from the store's own shared memory: write access to the home is trusted with
//! availability, never with secrets. Deleting it is noticed by its users within [`CHECK_EVERY`] reads.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::files::{FileMode, create_file};
use super::mapping::Mapping;
use crate::error::{Error, ErrorKind, Result};

/// Size of the file and the mapping.
const SIZE: usize = 4096;
/// The same in numbers.
const NUMBERS: usize = SIZE / size_of::<AtomicU64>();
/// How many reads may pass before one makes sure that the file was not deleted.
const CHECK_EVERY: u32 = 256;

thread_local! {
    /// Reads of this thread, of any page.
    static READS: Cell<u32> = const { Cell::new(0) };
}

/// The mapped counter. Reading costs about a nanosecond and takes no lock.
pub struct GenerationPage {
    map: Mapping<NUMBERS>,
    file: File,
    path: PathBuf,
    writable: bool,
    /// Numbers handed out while there is nothing to trust; odd and each of them once.
    unstable: AtomicU64,
    lost: AtomicU32,
}

impl GenerationPage {
    /// Opens the page at `path` and makes it where it is missing. Where the home is read-only, it can be read.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] when it is missing and cannot be made, [`ErrorKind::HomeUnsafe`] when it is something else
    /// than a file of 4096 bytes or cannot be opened.
    pub fn open(path: &Path, mode: FileMode) -> Result<Self> {
        let refused = |e| Error::new(ErrorKind::HomeUnsafe, "the generation page cannot be used").with_source(e);
        match create_file(path, mode, &[0; SIZE]) {
            Err(e) if is_read_only(&e) && !path.exists() => {
                return Err(Error::new(ErrorKind::ReadOnly, "the generation page cannot be made").with_source(e));
            }
            Err(e) if !is_read_only(&e) => return Err(refused(e)),
            _ => {}
        }
        let open = |write| {
            let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
            OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
        };
        let (file, writable) = match open(true) {
            Err(e) if is_read_only(&e) => (open(false).map_err(refused)?, false),
            other => (other.map_err(refused)?, true),
        };
        let meta = file.metadata().map_err(refused)?;
        if !meta.is_file() || meta.len() < SIZE as u64 {
            return Err(refused(io::Error::other("it has a wrong type or size; stop all users and delete it")));
        }
        let rights = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let map = Mapping::new(&file, rights, 0).map_err(refused)?;
        let path = path.to_owned();
        let (unstable, lost) = (AtomicU64::new(UNSTABLE), AtomicU32::new(0));
        Ok(Self { map, file, path, writable, unstable, lost })
    }

    /// The generation. Even numbers compare equal as long as nothing became stale; odd ones are never returned twice.
    #[must_use]
    pub fn read(&self) -> u64 {
        // Each thread counts for itself: a shared counter would wander between processors at every read.
        let reads = READS.try_with(|reads| reads.replace(reads.get().wrapping_add(1))).unwrap_or(0);
        if reads.is_multiple_of(CHECK_EVERY) && self.file.metadata().map_or(true, |m| m.nlink() == 0) {
            self.lost.store(1, Ordering::Relaxed);
        }
        let number = self.counter().load(Ordering::SeqCst);
        if number.is_multiple_of(2) && self.lost.load(Ordering::Relaxed) == 0 {
            return number;
        }
        self.unstable.fetch_add(2, Ordering::Relaxed)
    }

    /// Makes the number odd until the returned value is dropped. The caller holds the store's write lock and drops the
    /// value after its transaction was committed or rolled back.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`]; [`ErrorKind::HomeUnsafe`] when the file was deleted or replaced, so that other processes
    /// would not learn of the change.
    pub fn invalidate(&self) -> Result<Invalidation<'_>> {
        if !self.writable {
            return Err(Error::new(ErrorKind::ReadOnly, "the home is read-only"));
        }
        let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        match (std::fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(named), Ok(mapped)) if same(&named, &mapped) => {}
            _ => {
                let what = "the generation page was deleted or replaced while in use: restart every process that uses this home";
                return Err(Error::new(ErrorKind::HomeUnsafe, what));
            }
        }
        let now = self.counter().load(Ordering::SeqCst);
        let odd = if now.is_multiple_of(2) { now.wrapping_add(1) } else { now.wrapping_add(2) };
        self.counter().store(odd, Ordering::SeqCst);
        Ok(Invalidation { page: self, odd })
    }

    /// Remembers that a commit with this number was acknowledged.
    pub fn acknowledge(&self, commit: u64) {
        if self.writable {
            self.second().fetch_max(commit, Ordering::Release);
        }
    }

    /// The highest number of a commit that was acknowledged, as far as this page knows.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.second().load(Ordering::Acquire)
    }

    /// Ends what a killed process left behind. The caller holds the store's write lock.
    pub fn repair(&self) {
        let now = self.counter().load(Ordering::SeqCst);
        if self.writable && !now.is_multiple_of(2) {
            self.end(now);
        }
    }

    /// Moves from `odd` to the next even number, unless a later writer did more already: the write lock is free between
    /// a writer's commit and this call.
    fn end(&self, odd: u64) {
        let _ = self.counter().compare_exchange(odd, odd.wrapping_add(1), Ordering::SeqCst, Ordering::SeqCst);
    }

    const fn counter(&self) -> &AtomicU64 {
        let [counter, ..] = self.map.numbers();
        counter
    }

    const fn second(&self) -> &AtomicU64 {
        let [_, second, ..] = self.map.numbers();
        second
    }
}

/// Where the numbers for an unstable page start: far from what a counter reaches.
const UNSTABLE: u64 = (1 << 63) | 1;

impl std::fmt::Debug for GenerationPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GenerationPage").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A change under way: the page is odd until this is dropped.
#[derive(Debug)]
pub struct Invalidation<'a> {
    page: &'a GenerationPage,
    odd: u64,
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        self.page.end(self.odd);
    }
}

fn is_read_only(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::os::testing::{ended_well, fork};

    fn page(dir: &tempfile::TempDir) -> GenerationPage {
        GenerationPage::open(&dir.path().join("generation"), FileMode::of_home(dir.path()).unwrap()).unwrap()
    }

    #[test]
    fn a_change_in_one_mapping_is_seen_in_another_and_odd_numbers_never_compare_equal() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reader) = (page(&dir), page(&dir));
        let before = reader.read();
        assert_eq!(before, reader.read());
        let change = writer.invalidate().unwrap();
        assert_ne!(reader.read(), before);
        assert_ne!(reader.read(), reader.read());
        drop(change);
        assert_ne!(reader.read(), before);
        assert_eq!(reader.read(), reader.read());
    }

    #[test]
    fn an_odd_number_left_behind_is_repaired_to_one_that_was_never_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (dead, next) = (page(&dir), page(&dir));
        let before = next.read();
        std::mem::forget(dead.invalidate().unwrap());
        assert_ne!(next.read(), next.read());
        next.repair();
        assert_eq!(next.read(), next.read());
        assert_ne!(next.read(), before);
    }

    #[test]
    fn a_slow_writer_does_not_end_the_change_of_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let page = page(&dir);
        let slow = page.invalidate().unwrap();
        let next = page.invalidate().unwrap();
        drop(slow);
        assert_ne!(page.read(), page.read());
        drop(next);
        assert_eq!(page.read(), page.read());
    }

    #[test]
    fn a_deleted_page_is_noticed_and_never_trusted_again() {
        let dir = tempfile::tempdir().unwrap();
        let old = page(&dir);
        std::fs::remove_file(dir.path().join("generation")).unwrap();
        let _new = page(&dir);
        assert_eq!(old.invalidate().unwrap_err().kind(), ErrorKind::HomeUnsafe);
        for _ in 0..CHECK_EVERY {
            let _ = old.read();
        }
        assert_ne!(old.read(), old.read());
    }

    #[test]
    fn a_file_of_another_size_or_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("generation");
        let mode = FileMode::of_home(dir.path()).unwrap();
        std::fs::write(&path, b"").unwrap();
        assert_eq!(GenerationPage::open(&path, mode).unwrap_err().kind(), ErrorKind::HomeUnsafe);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(GenerationPage::open(&path, mode).unwrap_err().kind(), ErrorKind::HomeUnsafe);
    }

    #[test]
    fn a_forked_child_moves_the_number_its_parent_sees() {
        let dir = tempfile::tempdir().unwrap();
        let page = page(&dir);
        let before = page.read();
        let child = fork(|| page.invalidate().map(drop).is_ok());
        assert!(ended_well(child));
        assert_eq!(page.read(), before + 2);
    }
}
