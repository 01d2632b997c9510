//! Bytes in the vault, as a safe type.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::vault;

/// Bytes of a fixed length: out of core dumps, locked into RAM where the system allows it, wiped on drop.
///
/// Where the vault has no room they are on the ordinary heap, and wiped all the same.
pub struct Guarded {
    // INVARIANT: a block of the vault with at least `len` bytes, or `len` bytes of the heap (`heap`), of this value alone.
    at: NonNull<u8>,
    len: usize,
    heap: bool,
}

// SAFETY: the bytes belong to this value alone and are tied to no thread.
unsafe impl Send for Guarded {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Guarded {}

impl Guarded {
    /// `len` bytes of zero.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        if let Some(at) = vault::take(len) {
            return Self { at, len, heap: false };
        }
        let Ok(layout) = Layout::array::<u8>(len) else {
            handle_alloc_error(Layout::new::<u8>());
        };
        if len == 0 {
            return Self { at: NonNull::dangling(), len, heap: true };
        }
        // SAFETY: the layout is not empty.
        match NonNull::new(unsafe { alloc_zeroed(layout) }) {
            Some(at) => Self { at, len, heap: true },
            None => handle_alloc_error(layout),
        }
    }
}

impl Guarded {
    /// Keeps the first `len` bytes, or all where there are fewer.
    pub fn shorten(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        if self.heap {
            // What is given back has the length that was taken.
            let mut shorter = Self::zeroed(len);
            shorter.iter_mut().zip(self.iter()).for_each(|(to, from)| *to = *from);
            *self = shorter;
        } else {
            // The whole block is wiped when it is given back.
            self.len = len;
        }
    }
}

impl Deref for Guarded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: by the invariant; zeroed when it was taken, so initialised.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !self.heap {
            // SAFETY: by the invariant the block is this value's alone.
            unsafe { vault::give_back(self.at) };
        } else if let (true, Ok(layout)) = (self.len > 0, Layout::array::<u8>(self.len)) {
            // SAFETY: allocated with this layout by `zeroed`, `len` bytes long.
            unsafe {
                libc::explicit_bzero(self.at.as_ptr().cast(), self.len);
                dealloc(self.at.as_ptr(), layout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_can_be_written_and_read() {
        for len in [0, 1, 31, 32, 65_536, 65_537, 200_000] {
            let mut bytes = Guarded::zeroed(len);
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|b| *b == 0));
            bytes.fill(0xAB);
            assert!(bytes.iter().all(|b| *b == 0xAB));
        }
    }
}
