//! Files that processes share as memory.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// The first `N` 64-bit numbers of a file, mapped and shared. The mapping stays when the file is closed or deleted; where
/// it is cut, whoever reaches for what is gone gets SIGBUS.
pub(super) struct Mapping<const N: usize> {
    // INVARIANT: a shared mapping of `N` numbers, this value's alone within the process, unmapped by `drop`.
    at: NonNull<AtomicU64>,
}

// SAFETY: the mapping stays until `drop` wherever the value goes; it is reached through atomics, or by whoever answers for
// what they do with the pointer.
unsafe impl<const N: usize> Send for Mapping<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Mapping<N> {}

impl<const N: usize> Mapping<N> {
    const LEN: usize = N * size_of::<AtomicU64>();

    /// Maps `file`, which has at least that length, with these rights (`PROT_…`) and, beside `MAP_SHARED`, these flags.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(super) fn new(file: &File, rights: libc::c_int, flags: libc::c_int) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | flags;
        // SAFETY: a fresh mapping of an open file at an address of the kernel's choice touches nothing that exists.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), Self::LEN, rights, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { at })
    }

    /// The numbers, in the machine's byte order. Any process that shares them may change them at any time; without the right
    /// to write they can only be loaded.
    pub(super) const fn numbers(&self) -> &[AtomicU64; N] {
        // SAFETY: by the invariant; a mapping begins on a page and any bit pattern is a number.
        unsafe { self.at.cast().as_ref() }
    }
}

impl<const N: usize> Drop for Mapping<N> {
    fn drop(&mut self) {
        // SAFETY: by the invariant; references to it borrow `self`.
        unsafe { libc::munmap(self.at.as_ptr().cast(), Self::LEN) };
    }
}

/// A mapping whose length is known when it is made: that of a file that this process alone writes.
pub(super) struct Region {
    // INVARIANT: a shared, writable mapping of `len` bytes, at least those of a number, this value's alone within the process,
    // unmapped by `drop`.
    at: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: as of `Mapping`.
unsafe impl Send for Region {}
// SAFETY: as of `Mapping`.
unsafe impl Sync for Region {}

impl Region {
    /// Maps the first `len` bytes of `file`, which has at least that length, and has all of them in memory.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(super) fn new(file: &File, len: usize) -> io::Result<Self> {
        if len < size_of::<AtomicU64>() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        // SAFETY: a fresh mapping of an open file at an address of the kernel's choice touches nothing that exists.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { at, len })
    }

    /// The first number, in the machine's byte order.
    pub(super) const fn word(&self) -> &AtomicU64 {
        // SAFETY: by the invariant; a mapping begins on a page and any bit pattern is a number.
        unsafe { self.at.as_ref() }
    }

    /// Where it begins.
    pub(super) const fn as_ptr(&self) -> *mut u8 {
        self.at.as_ptr().cast()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: by the invariant; references to it borrow `self`.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}
