//! How much stack the calling thread has left: code that is given a budget of it must know that the host has as much.

use std::cell::Cell;
use std::mem::MaybeUninit;

thread_local! {
    /// Lowest and highest address of this thread's stack, once looked up; both 0 where that failed.
    static BOUNDS: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Bytes of stack below the caller, without the guard; `None` where the thread runs on a stack that is not its own (a
/// coroutine's) or the system does not say.
#[must_use]
pub fn stack_left() -> Option<usize> {
    let here = std::ptr::from_ref(&MaybeUninit::<u8>::uninit()).addr();
    let (low, high) = BOUNDS
        .try_with(|bounds| match bounds.get() {
            Some(known) => known,
            None => {
                let found = bounds_of_this_thread().unwrap_or((0, 0));
                bounds.set(Some(found));
                found
            }
        })
        .ok()?;
    (low..high).contains(&here).then(|| here - low)
}

fn bounds_of_this_thread() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the place is valid for writes; the thread is this one.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut low, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes were filled by the call that succeeded, and the places are valid for writes.
    let found = unsafe {
        let stack = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size);
        let guarded = libc::pthread_attr_getguardsize(attributes.as_ptr(), &raw mut guard);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        stack == 0 && guarded == 0
    };
    // Some versions of glibc count the guard as part of the stack, others do not: the smaller number is safe.
    found.then(|| (low.addr().saturating_add(guard), low.addr().saturating_add(size)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_thread_has_less_than_its_stack_and_less_the_deeper_it_is() {
        fn deeper() -> usize {
            let room = std::hint::black_box([0_u8; 4096]);
            let left = stack_left().unwrap();
            std::hint::black_box(&room);
            left
        }
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(|| (stack_left().unwrap(), deeper()));
        let (left, below) = thread.unwrap().join().unwrap();
        assert!(left < 256 << 10 && left > 64 << 10, "{left}");
        assert!(below + 4096 <= left, "{below} {left}");
    }
}
