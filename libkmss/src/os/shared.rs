//! Bytes that are in the kernel without a system call: a small file, mapped, whose first word says how many of them count.
//!
//! Bytes are copied behind those that count, and then counted by one atomic store: whoever dies in between has added
//! nothing, whoever dies behind it has added all. From then on they survive the process, as after `write(2)`, and not a
//! power failure. [`SharedBuffer::flush`] moves them to the file they are for.
//!
//! Layout: the word (in the machine's byte order; the base in the upper 37 bits, the count in the lower 27), from byte 64 a
//! title, from byte 4096 the bytes.
//!
//! The file's blocks are there before it is mapped, and only file systems that write in place are used: elsewhere a full
//! disk would answer a store with SIGBUS. Whoever may write to the home can cut the file, and its writer would then get that signal, as
//! with the store's own shared memory: write access to the home is trusted with availability.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::directory::{Directory, Opening};
use super::mapping::Region;

/// Where the title begins.
const TITLE: usize = 64;
/// Where the bytes begin.
const BYTES: usize = 4096;
/// Bits of the word that hold the count.
const COUNT_BITS: u32 = 27;
/// The most bytes that any buffer has room for.
const LARGEST: usize = SharedBuffer::CAPACITY + SharedBuffer::LARGEST_RESERVE;
/// How often a reader looks for a moment without change.
const LOOKS: u32 = 10_000;

/// A file of [`SharedBuffer::FILE_LEN`] bytes and a reserve, mapped by the one process that adds to it.
///
/// A forked child shares the mapping: it must do nothing but drop the value.
pub struct SharedBuffer {
    map: Region,
    file: File,
    /// How many bytes there is room for where nothing else has any.
    reserve: usize,
    /// What the word says: where the bytes belong, and how many there are.
    base: u64,
    count: usize,
    /// How many of them a flush that failed has moved already.
    moved: usize,
}

/// What stands in the file of a [`SharedBuffer`], read by anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBytes {
    /// The first bytes of the title, to its end or its first zero.
    pub title: Vec<u8>,
    /// Length of the file they belong to, without them.
    pub base: u64,
    /// The bytes that count.
    pub bytes: Vec<u8>,
}

impl SharedBuffer {
    /// How many bytes there is room for, without the reserve.
    pub const CAPACITY: usize = 64 * 1024;
    /// Length of the file, without the reserve.
    pub const FILE_LEN: u64 = (BYTES + Self::CAPACITY) as u64;
    /// The largest reserve.
    pub const LARGEST_RESERVE: usize = 64 << 20;

    /// Makes the file `name`, which must not exist, with the given title and a reserve of so many bytes (up to
    /// [`Self::LARGEST_RESERVE`]), and maps it. `prepare` gives it owner and mode.
    ///
    /// # Errors
    /// Those of the system, and `Unsupported` on file systems that may ask for space when a mapped byte is written: nothing
    /// is left behind then.
    pub fn create(
        dir: &Directory,
        name: &OsStr,
        title: &[u8],
        reserve: usize,
        prepare: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<Self> {
        let file = dir.file(name, Opening::New)?;
        Self::of_file(file, title, reserve, prepare).inspect_err(|_| drop(dir.remove(name)))
    }

    fn of_file(
        file: File,
        title: &[u8],
        reserve: usize,
        prepare: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<Self> {
        let reserve = reserve.min(Self::LARGEST_RESERVE).next_multiple_of(BYTES);
        let len = Self::FILE_LEN.saturating_add(reserve as u64);
        if !writes_in_place(&file)? || largest_file() < len || title.len() > BYTES - TITLE {
            return Err(io::ErrorKind::Unsupported.into());
        }
        prepare(&file)?;
        allocate(&file, len)?;
        file.write_all_at(title, TITLE as u64)?;
        let map = Region::new(&file, BYTES + Self::CAPACITY + reserve)?;
        Ok(Self { map, file, reserve, base: 0, count: 0, moved: 0 })
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds `bytes`, all or none; false where there is no room. `base` is the length of the file that the bytes are for,
    /// without those that wait.
    #[must_use]
    pub fn push(&mut self, base: u64, bytes: &[u8]) -> bool {
        self.push_within(Self::CAPACITY, base, bytes)
    }

    /// As [`Self::push`], with the reserve.
    #[must_use]
    pub fn push_into_reserve(&mut self, base: u64, bytes: &[u8]) -> bool {
        self.push_within(Self::CAPACITY + self.reserve, base, bytes)
    }

    fn push_within(&mut self, capacity: usize, base: u64, bytes: &[u8]) -> bool {
        if bytes.len() > capacity.saturating_sub(self.count) {
            return false;
        }
        let base = if self.is_empty() { base } else { self.base };
        let Some(word) = pack(base, self.count + bytes.len()) else { return false };
        // A reader that sees any of these bytes also sees the word that was stored before them.
        fence(Ordering::Release);
        // SAFETY: the mapping is writable and has `capacity` bytes or more from BYTES on, of which so many are free from `count`
        // on; nobody in this process refers to them.
        unsafe {
            let to = self.map.as_ptr().add(BYTES + self.count);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        self.word().store(word, Ordering::Release);
        (self.base, self.count) = (base, self.count + bytes.len());
        true
    }

    /// Moves what waits to the end of `to`. What was not moved goes on waiting, and the next call goes on there.
    ///
    /// # Errors
    /// Those of `write(2)`; `EFAULT` where the file of the buffer was cut.
    pub fn flush(&mut self, to: &File) -> io::Result<()> {
        self.flush_and(to, || Ok(()))
    }

    /// As [`Self::flush`], and calls `moved` before the file says that nothing waits in it.
    ///
    /// # Errors
    /// As [`Self::flush`], and those of `moved`: what was moved then stands in both files.
    pub fn flush_and(&mut self, to: &File, moved: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        while self.moved < self.count {
            // SAFETY: the first `count` bytes from BYTES on are mapped and written; where the file was cut, the kernel answers
            // EFAULT.
            let written = unsafe {
                let from = self.map.as_ptr().add(BYTES + self.moved);
                libc::write(to.as_raw_fd(), from.cast(), self.count - self.moved)
            };
            match usize::try_from(written) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.moved += written,
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        moved()?;
        if self.count > 0 && self.is_whole()? {
            self.base = self.base.saturating_add(self.count as u64);
            self.word().store(pack(self.base, 0).unwrap_or_default(), Ordering::Release);
        }
        (self.count, self.moved) = (0, 0);
        Ok(())
    }

    /// Whether the file still has its name and its length, so that what is added survives this process.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.nlink() > 0 && meta.len() >= self.file_len())
    }

    fn is_whole(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() >= self.file_len())
    }

    const fn file_len(&self) -> u64 {
        Self::FILE_LEN.saturating_add(self.reserve as u64)
    }

    /// The file, for whoever waits until what is in it is on the disk.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    const fn word(&self) -> &AtomicU64 {
        self.map.word()
    }
}

impl std::fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBuffer").field("base", &self.base).field("count", &self.count).finish_non_exhaustive()
    }
}

impl SharedBytes {
    /// Reads the file of a buffer, which may be in use, or hold anything. `None` where nothing waits in it.
    ///
    /// # Errors
    /// Those of `pread(2)`; `InvalidData` where no buffer looks like that.
    pub fn read(file: &File) -> io::Result<Option<Self>> {
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let meta = file.metadata()?;
        // Whoever makes one gives it its length in one step.
        if meta.is_file() && meta.len() == 0 {
            return Ok(None);
        }
        let room = meta.len().checked_sub(BYTES as u64).and_then(|room| usize::try_from(room).ok());
        // Every reserve is whole pages.
        let made = |room: &usize| (SharedBuffer::CAPACITY..=LARGEST).contains(room) && room.is_multiple_of(BYTES);
        let Some(room) = room.filter(|room| made(room) && meta.is_file()) else {
            return Err(damaged());
        };
        for _ in 0..LOOKS {
            let word = read_word(file)?;
            let (base, count) = unpack(word);
            if count == 0 {
                return Ok(None);
            }
            if count > room {
                return Err(damaged());
            }
            let mut bytes = vec![0; count];
            file.read_exact_at(&mut bytes, BYTES as u64)?;
            fence(Ordering::Acquire);
            let (base_now, count_now) = unpack(read_word(file)?);
            // More may have been added behind them; what was moved may be overwritten by now.
            if base_now == base && count_now >= count {
                let mut title = vec![0; BYTES - TITLE];
                file.read_exact_at(&mut title, TITLE as u64)?;
                title.truncate(title.iter().position(|b| *b == 0).unwrap_or(title.len()));
                return Ok(Some(Self { title, base, bytes }));
            }
            std::hint::spin_loop();
        }
        Err(damaged())
    }
}

/// The word. Read, not mapped, because a reader must not die where the file is cut; twice, because nobody promises that
/// the kernel copies eight bytes at once.
fn read_word(file: &File) -> io::Result<u64> {
    let read = || {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, 0)?;
        fence(Ordering::Acquire);
        Ok::<_, io::Error>(u64::from_ne_bytes(word))
    };
    let mut before = read()?;
    for _ in 0..LOOKS {
        let now = read()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn pack(base: u64, count: usize) -> Option<u64> {
    let count = u64::try_from(count).ok().filter(|count| count >> COUNT_BITS == 0)?;
    (base >> (u64::BITS - COUNT_BITS) == 0).then_some(base << COUNT_BITS | count)
}

fn unpack(word: u64) -> (u64, usize) {
    (word >> COUNT_BITS, usize::try_from(word & ((1 << COUNT_BITS) - 1)).unwrap_or_default())
}

/// File systems that write into blocks they gave once (by their magic numbers, statfs(2)): ext2 to ext4, XFS, tmpfs.
const IN_PLACE: [u32; 3] = [0xEF53, 0x5846_5342, 0x0102_1994];

fn writes_in_place(file: &File) -> io::Result<bool> {
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open and `stat` has room for what fstatfs writes.
    if unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fstatfs succeeded, so the structure is filled.
    let magic = unsafe { stat.assume_init() }.f_type;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers have 32 bits")]
    Ok(IN_PLACE.contains(&(magic as u32)))
}

/// The length a file may have in this process; beyond it SIGXFSZ would come.
pub(super) fn largest_file() -> u64 {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: `limit` has room for what getrlimit writes.
    if unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, limit.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: getrlimit succeeded, so the structure is filled.
    unsafe { limit.assume_init() }.rlim_cur
}

/// Gives the file the blocks of its first `len` bytes. (`posix_fallocate` would write into each where the file system cannot.)
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(io::Error::other)?;
    loop {
        // SAFETY: the descriptor is open.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::path::Path;

    use super::*;

    fn buffer(dir: &Path) -> SharedBuffer {
        let home = Directory::open(dir).unwrap();
        SharedBuffer::create(&home, "buffer".as_ref(), b"title", 0, |_| Ok(())).unwrap()
    }

    fn look(dir: &Path) -> io::Result<Option<SharedBytes>> {
        SharedBytes::read(&File::open(dir.join("buffer")).unwrap())
    }

    fn target(dir: &Path) -> File {
        File::options().append(true).create(true).open(dir.join("target")).unwrap()
    }

    #[test]
    fn bytes_count_whole_until_they_are_moved() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = buffer(dir.path());
        assert_eq!(look(dir.path()).unwrap(), None);
        assert!(buffer.push(7, b"one ") && buffer.push(99, b"two"));
        let found = look(dir.path()).unwrap().unwrap();
        assert_eq!((found.title.as_slice(), found.base, found.bytes.as_slice()), (&b"title"[..], 7, &b"one two"[..]));
        buffer.flush(&target(dir.path())).unwrap();
        assert!(buffer.is_empty() && look(dir.path()).unwrap().is_none());
        assert_eq!(std::fs::read(dir.path().join("target")).unwrap(), b"one two");
        assert!(buffer.push(14, b"three"));
        assert_eq!(look(dir.path()).unwrap().unwrap().base, 14);
    }

    #[test]
    fn a_reserve_is_room_for_what_is_put_there_alone_and_is_moved_with_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let home = Directory::open(dir.path()).unwrap();
        let mut buffer = SharedBuffer::create(&home, "buffer".as_ref(), b"title", 5000, |_| Ok(())).unwrap();
        assert!(buffer.push(0, &[1; SharedBuffer::CAPACITY]) && !buffer.push(0, b"x"));
        // Whole pages.
        assert!(buffer.push_into_reserve(0, &[2; 8000]) && !buffer.push_into_reserve(0, &[2; 193]));
        assert_eq!(look(dir.path()).unwrap().unwrap().bytes.len(), SharedBuffer::CAPACITY + 8000);
        assert!(buffer.flush_and(&target(dir.path()), || Err(io::ErrorKind::Other.into())).is_err());
        // It is in both files.
        assert_eq!(look(dir.path()).unwrap().unwrap().bytes.len(), SharedBuffer::CAPACITY + 8000);
        buffer.flush(&target(dir.path())).unwrap();
        assert!(buffer.is_empty() && look(dir.path()).unwrap().is_none());
        assert_eq!(std::fs::read(dir.path().join("target")).unwrap().len(), SharedBuffer::CAPACITY + 8000);
    }

    #[test]
    fn a_full_buffer_takes_nothing_more_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = buffer(dir.path());
        assert!(!buffer.push(0, &[1; SharedBuffer::CAPACITY + 1]) && !buffer.push(1 << 37, b"x"));
        assert!(buffer.push(0, &[1; SharedBuffer::CAPACITY]) && !buffer.push(0, b"x"));
        let read_only = File::open(dir.path().join("buffer")).unwrap();
        assert!(buffer.flush(&read_only).is_err());
        assert_eq!(look(dir.path()).unwrap().unwrap().bytes.len(), SharedBuffer::CAPACITY);
        buffer.flush(&target(dir.path())).unwrap();
        assert!(buffer.push(0, b"x"));
    }

    #[test]
    fn whoever_dies_with_it_takes_nothing_away() {
        let dir = tempfile::tempdir().unwrap();
        let mut dying = buffer(dir.path());
        assert!(dying.push(3, b"left"));
        drop(dying);
        assert_eq!(look(dir.path()).unwrap().unwrap().bytes, b"left");
        let home = Directory::open(dir.path()).unwrap();
        let taken = SharedBuffer::create(&home, "buffer".as_ref(), b"title", 0, |_| Ok(()));
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(look(dir.path()).unwrap().unwrap().bytes, b"left");
    }

    #[test]
    fn any_other_file_is_refused_and_never_read_beyond_its_end() {
        let dir = tempfile::tempdir().unwrap();
        drop(buffer(dir.path()));
        let path = dir.path().join("buffer");
        let whole = std::fs::read(&path).unwrap();
        let with = |word: u64| [&word.to_ne_bytes(), &whole[8..]].concat();
        std::fs::write(&path, with(1 << COUNT_BITS)).unwrap();
        assert_eq!(look(dir.path()).unwrap(), None);
        std::fs::write(&path, with(u64::MAX)).unwrap();
        assert_eq!(look(dir.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, with(SharedBuffer::CAPACITY as u64)).unwrap();
        assert_eq!(look(dir.path()).unwrap().unwrap().bytes.len(), SharedBuffer::CAPACITY);
        for len in [1, 8, 64, BYTES, whole.len() - 1] {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(look(dir.path()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{len}");
        }
        std::fs::write(&path, b"").unwrap();
        assert_eq!(look(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_file_that_was_cut_or_deleted_is_noticed_and_kills_nobody_that_moves_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut cut = buffer(dir.path());
        assert!(cut.is_there() && cut.push(0, b"gone"));
        File::options().write(true).open(dir.path().join("buffer")).unwrap().set_len(0).unwrap();
        assert!(!cut.is_there());
        assert_eq!(cut.flush(&target(dir.path())).unwrap_err().raw_os_error(), Some(libc::EFAULT));
        std::fs::remove_file(dir.path().join("buffer")).unwrap();
        let mut deleted = buffer(dir.path());
        assert!(deleted.push(0, b"kept"));
        std::fs::remove_file(dir.path().join("buffer")).unwrap();
        assert!(!deleted.is_there());
        deleted.flush(&target(dir.path())).unwrap();
        assert_eq!(std::fs::read(dir.path().join("target")).unwrap(), b"kept");
    }

    #[test]
    fn a_reader_never_sees_bytes_of_two_fillings() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = buffer(dir.path());
        let to = target(dir.path());
        let path = dir.path().to_owned();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                let mut base = 0;
                for filling in 0..2000_u64 {
                    for _ in 0..8 {
                        assert!(buffer.push(base, &[filling as u8; 8000]));
                    }
                    buffer.flush(&to).unwrap();
                    base += 64_000;
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let Some(found) = look(&path).unwrap() else { continue };
                let filling = (found.base / 64_000) as u8;
                assert!(found.base % 64_000 == 0 && found.bytes.len() % 8000 == 0);
                assert!(found.bytes.iter().all(|b| *b == filling));
            }
        });
    }
}
