//! Telling C why a call failed.
#![expect(unsafe_code, reason = "an entry point of the C interface")]

use std::ffi::c_char;

use crate::boundary::{deliver, enter_unremembered};
use crate::failure::Failure;
use crate::status::kmss_status;

/// Copies the sentence of the calling thread's last failure, NUL-terminated, into `buffer` of `*len` bytes; `*len`
/// becomes its size with the NUL. Empty where nothing failed yet. A buffer too small leaves the sentence in place.
///
/// # Safety
/// `buffer` is NULL or points to `*len` writable bytes; `len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_last_error(buffer: *mut c_char, len: *mut usize) -> kmss_status {
    let mut sentence = Failure::last().into_bytes();
    sentence.retain(|b| *b != 0);
    sentence.push(0);
    // SAFETY: the caller's promise, passed on.
    enter_unremembered(|| unsafe { deliver(buffer.cast(), len, &sentence) })
}
