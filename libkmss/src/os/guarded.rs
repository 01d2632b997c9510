//! Bytes and values in the vault, as safe types.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::vault;

/// The alignment of all guarded bytes; blocks of the vault have a larger one.
const ALIGN: usize = 16;

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
        let Ok(layout) = Layout::from_size_align(len, ALIGN) else {
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
        } else if let (true, Ok(layout)) = (self.len > 0, Layout::from_size_align(self.len, ALIGN)) {
            // SAFETY: allocated with this layout by `zeroed`, `len` bytes long.
            unsafe {
                libc::explicit_bzero(self.at.as_ptr().cast(), self.len);
                dealloc(self.at.as_ptr(), layout);
            }
        }
    }
}

/// A value in guarded memory. What it owns elsewhere is where it is.
pub struct Kept<T> {
    // INVARIANT: holds a `T`, from `new` to `drop`.
    at: Guarded,
    value: PhantomData<T>,
}

impl<T> Kept<T> {
    const FITS: () = assert!(align_of::<T>() <= ALIGN, "guarded memory is not aligned for it");

    /// Moves a value there. Where it was made, its bytes stay until something else is put there.
    #[must_use]
    pub fn new(value: T) -> Self {
        const { Self::FITS };
        let mut at = Guarded::zeroed(size_of::<T>());
        // SAFETY: as many bytes as it has, aligned for it, of this value alone.
        unsafe { at.as_mut_ptr().cast::<T>().write(value) };
        Self { at, value: PhantomData }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the invariant.
        unsafe { &*self.at.as_ptr().cast::<T>() }
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant, and nobody looks at it afterwards.
        unsafe { self.at.as_mut_ptr().cast::<T>().drop_in_place() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_it_was_and_is_dropped_once() {
        let counted = std::sync::Arc::new(());
        let kept = Kept::new((7_u64, std::sync::Arc::clone(&counted), [9_u8; 70_000]));
        assert_eq!((kept.0, kept.2), (7, [9; 70_000]));
        assert_eq!(std::sync::Arc::strong_count(&counted), 2);
        drop(kept);
        assert_eq!(std::sync::Arc::strong_count(&counted), 1);
    }

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
