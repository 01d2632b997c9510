//! aws-lc's memory: what it allocates while a key is made or parsed goes into the vault ([`crate::os`]).
//!
//! aws-lc keeps numbers of private keys in memory that it allocates itself. While [`in_vault`] runs, that memory is taken
//! from the vault, so that keys stay out of core dumps; everything else comes from the C library, with the length in front
//! as aws-lc keeps it, so that what was allocated before [`install`] can be freed after it. All of it is wiped when it is
//! freed, as aws-lc does.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::Once;

use aws_lc_sys as sys;

use crate::os::vault;

/// Bytes in front of what comes from the C library: its length.
const PREFIX: usize = size_of::<usize>();

thread_local! {
    static IN_VAULT: Cell<bool> = const { Cell::new(false) };
}

/// Gives aws-lc these functions; once for the process.
pub(in super::super) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: the functions below keep the contracts of malloc, realloc and free, also for memory that aws-lc
        // allocated before. It refuses where others were set before, and goes on without the vault then.
        unsafe { sys::CRYPTO_set_mem_functions(Some(allocate), Some(reallocate), Some(release)) };
    });
}

/// Runs `f`; what aws-lc allocates meanwhile on this thread is taken from the vault.
pub(in super::super) fn in_vault<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_VAULT.set(self.0);
        }
    }
    let _restore = Restore(IN_VAULT.replace(true));
    f()
}

unsafe extern "C" fn allocate(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    if IN_VAULT.try_with(Cell::get).unwrap_or(false)
        && let Some(at) = vault::take(size)
    {
        return at.as_ptr().cast();
    }
    let Some(whole) = size.checked_add(PREFIX) else {
        return null_mut();
    };
    // SAFETY: a plain allocation.
    let start = unsafe { libc::malloc(whole) };
    if start.is_null() {
        return null_mut();
    }
    // SAFETY: the allocation has room for the length in front, and malloc aligns for it.
    unsafe {
        start.cast::<usize>().write(size);
        start.byte_add(PREFIX)
    }
}

/// Length of an allocation that is not in the vault.
///
/// # Safety
/// `at` came from [`allocate`] or aws-lc's own allocator, and is not in the vault.
unsafe fn length(at: *mut c_void) -> usize {
    // SAFETY: by the contract the length lies in front.
    unsafe { at.byte_sub(PREFIX).cast::<usize>().read() }
}

unsafe extern "C" fn reallocate(at: *mut c_void, size: usize, file: *const c_char, line: c_int) -> *mut c_void {
    let Some(old) = NonNull::new(at.cast::<u8>()) else {
        // SAFETY: a plain allocation.
        return unsafe { allocate(size, file, line) };
    };
    // SAFETY: what is not in the vault has its length in front, by the contract of realloc.
    let had = vault::size_of(old).unwrap_or_else(|| unsafe { length(at) });
    // SAFETY: a plain allocation.
    let fresh = unsafe { allocate(size, file, line) };
    if !fresh.is_null() {
        // SAFETY: both hold at least the smaller of the lengths and do not overlap; the old one is not used any more.
        unsafe {
            std::ptr::copy_nonoverlapping(at.cast::<u8>(), fresh.cast::<u8>(), had.min(size));
            release(at, file, line);
        }
    }
    fresh
}

unsafe extern "C" fn release(at: *mut c_void, _: *const c_char, _: c_int) {
    let Some(start) = NonNull::new(at.cast::<u8>()) else {
        return;
    };
    // SAFETY: aws-lc frees what it allocated, once.
    if unsafe { vault::give_back(start) } {
        return;
    }
    // SAFETY: not in the vault, so the length lies in front, and the C library allocated both together.
    unsafe {
        let len = length(at);
        libc::explicit_bzero(at, len);
        libc::free(at.byte_sub(PREFIX));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks)]
    use super::*;
    use std::ptr::null;

    fn vaulted(at: *mut c_void) -> bool {
        vault::size_of(NonNull::new(at.cast()).unwrap()).is_some()
    }

    #[test]
    fn what_is_allocated_for_a_key_is_in_the_vault_and_nothing_else_is() {
        unsafe {
            let outside = allocate(100, null(), 0);
            let inside = in_vault(|| allocate(100, null(), 0));
            assert!(!vaulted(outside) && vaulted(inside));
            // Both may grow on either side.
            inside.cast::<u8>().write_bytes(7, 100);
            outside.cast::<u8>().write_bytes(8, 100);
            let inside = reallocate(inside, 5000, null(), 0);
            let outside = in_vault(|| reallocate(outside, 5000, null(), 0));
            assert!(!vaulted(inside) && vaulted(outside));
            assert_eq!(inside.cast::<u8>().add(99).read(), 7);
            assert_eq!(outside.cast::<u8>().add(99).read(), 8);
            release(inside, null(), 0);
            release(outside, null(), 0);
            release(null_mut(), null(), 0);
            assert!(allocate(usize::MAX, null(), 0).is_null());
        }
    }

    #[test]
    fn a_key_that_is_made_in_the_vault_lies_there() {
        install();
        let key = in_vault(|| super::super::EcKey::generate(crate::mechanism::Curve::P256)).unwrap();
        assert_eq!(key.scalar().unwrap().len(), 32);
        assert!(!IN_VAULT.get());
    }
}
