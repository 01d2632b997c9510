//! The boundary to C: no panic crosses it, no pointer passes it unchecked.
#![expect(unsafe_code, reason = "turns raw pointers of C callers into typed values")]

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use libkmss::error::{Error, ErrorKind};
use libkmss::secret::Secret;

use crate::failure::Failure;
use crate::status::kmss_status;

/// Longest output and input a C caller may name, in bytes; larger sizes are mistakes.
const MAX_LEN: usize = isize::MAX as usize;

/// Runs an entry point: its failure is remembered for `kmss_last_error`, a panic becomes `KMSS_INTERNAL`.
pub(crate) fn enter(body: impl FnOnce() -> Result<(), Failure>) -> kmss_status {
    match guarded(body) {
        Ok(()) => kmss_status::KMSS_OK,
        Err(failure) => {
            let status = failure.status;
            failure.remember();
            status
        }
    }
}

/// As [`enter`], for questions about the last failure: theirs takes the place of no other.
pub(crate) fn enter_unremembered(body: impl FnOnce() -> Result<(), Failure>) -> kmss_status {
    guarded(body).map_or_else(|failure| failure.status, |()| kmss_status::KMSS_OK)
}

fn guarded(body: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // Dropping a payload may panic again; a few leaked bytes per bug may not.
        std::mem::forget(payload);
        Err(Failure { status: kmss_status::KMSS_INTERNAL, sentence: "a bug in KMSS was caught".to_owned() })
    })
}

/// A NUL-terminated UTF-8 string; `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that lives for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and terminated by the contract above.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes.to_str().map(Some).map_err(|_| Failure::argument(&format!("{what} is not UTF-8")))
}

/// A byte range; NULL is allowed for length 0.
///
/// # Safety
/// `data` points to `len` readable bytes that live for `'a`, or `len` is 0.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize, what: &str) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > MAX_LEN {
        return Err(Failure::argument(&format!("{what} is NULL or has an impossible length")));
    }
    // SAFETY: not NULL, and readable for `len` bytes by the contract above.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// A secret, copied into memory that is wiped.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn secret(data: *const u8, len: usize, what: &str) -> Result<Secret, Failure> {
    // SAFETY: passed on.
    unsafe { bytes(data, len, what) }.map(Secret::copy_of)
}

/// Writes `value` through an out pointer.
///
/// # Safety
/// `out` is NULL or points to writable, aligned memory for a `T`.
pub(crate) unsafe fn put<T>(out: *mut T, value: T, what: &str) -> Result<(), Failure> {
    if out.is_null() {
        return Err(Failure::argument(&format!("{what} is NULL")));
    }
    // SAFETY: not NULL, and writable by the contract above.
    unsafe { out.write(value) };
    Ok(())
}

/// Delivers `value` by the two-call pattern; see the header.
///
/// # Safety
/// `len` is NULL or points to a readable, writable `size_t`; `buffer` is NULL or points to `*len` writable bytes.
pub(crate) unsafe fn deliver(buffer: *mut u8, len: *mut usize, value: &[u8]) -> Result<(), Failure> {
    // SAFETY: passed on.
    let room = unsafe { room(buffer, len, value.len()) }?;
    if let Some(room) = room {
        // SAFETY: `room` says that `buffer` takes `value.len()` bytes; the two cannot overlap, `value` being ours.
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), room, value.len()) };
    }
    Ok(())
}

/// Checks the buffer of the two-call pattern for `needed` bytes and writes `*len`. `None` where only the size was asked.
///
/// # Safety
/// As [`deliver`].
pub(crate) unsafe fn room(buffer: *mut u8, len: *mut usize, needed: usize) -> Result<Option<*mut u8>, Failure> {
    if len.is_null() {
        return Err(Failure::argument("the length pointer is NULL"));
    }
    // SAFETY: not NULL, and readable by the contract above.
    let given = unsafe { len.read() };
    // SAFETY: as above.
    unsafe { len.write(needed) };
    if buffer.is_null() {
        return Ok(None);
    }
    if given < needed {
        let error = Error::new(ErrorKind::BufferTooSmall, format!("the buffer needs {needed} bytes"));
        return Err(error.into());
    }
    Ok(Some(buffer))
}
