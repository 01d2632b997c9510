//! The boundary to C: no panic crosses it, no pointer passes it unchecked.
#![expect(unsafe_code, reason = "turns raw pointers of C callers into typed values")]

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use libkmss::error::{Error, ErrorKind};
use libkmss::mechanism::EncryptionContext;
use libkmss::secret::Secret;

use crate::error::{ERRORS, Said, kmss_error};
use crate::failure::Failure;
use crate::guard::guarded;
use crate::status::kmss_status;

/// Longest output and input a C caller may name, in bytes; larger sizes are mistakes.
const MAX_LEN: usize = isize::MAX as usize;
/// Largest struct of options that any KMSS will have, in bytes.
const LARGEST_OPTIONS: usize = 4096;

/// Runs an entry point. A failure becomes an error object where the caller wants one; a panic becomes `KMSS_INTERNAL`.
///
/// # Safety
/// `error` is NULL or points to a writable pointer.
pub(crate) unsafe fn enter(error: *mut *mut kmss_error, body: impl FnOnce() -> Result<(), Failure>) -> kmss_status {
    let (status, made) = match guarded(body) {
        Ok(()) => (kmss_status::KMSS_OK, std::ptr::null_mut()),
        Err(failure) if error.is_null() => (failure.status, std::ptr::null_mut()),
        Err(failure) => (failure.status, ERRORS.insert(Said::from(failure))),
    };
    if !error.is_null() {
        // SAFETY: not NULL, and writable by the contract above.
        unsafe { error.write(made) };
    }
    status
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

/// A string that has to be there.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn word<'a>(given: *const c_char, what: &str) -> Result<&'a str, Failure> {
    // SAFETY: passed on.
    unsafe { text(given, what) }?.ok_or_else(|| Failure::argument(&format!("{what} is NULL")))
}

/// The elements of an array; NULL is allowed for length 0.
///
/// # Safety
/// `data` points to `len` readable, aligned elements that live for `'a`, or `len` is 0.
pub(crate) unsafe fn elements<'a, T>(data: *const T, len: usize, what: &str) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || !data.is_aligned() || len > MAX_LEN / size_of::<T>().max(1) {
        return Err(Failure::argument(&format!("{what} is NULL or has an impossible length")));
    }
    // SAFETY: not NULL, and readable for `len` elements by the contract above.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// The texts of an array.
///
/// # Safety
/// `given` points to `len` NUL-terminated strings that live for `'a`, or `len` is 0.
pub(crate) unsafe fn words<'a>(given: *const *const c_char, len: usize, what: &str) -> Result<Vec<&'a str>, Failure> {
    // SAFETY: passed on.
    let given = unsafe { elements(given, len, what) }?;
    // SAFETY: as above.
    given.iter().map(|one| unsafe { word(*one, what) }).collect()
}

/// An encryption context.
///
/// # Safety
/// `pairs` points to `len` pairs of NUL-terminated strings, or `len` is 0.
pub(crate) unsafe fn context(pairs: *const kmss_pair, len: usize) -> Result<EncryptionContext, Failure> {
    if len > EncryptionContext::MOST {
        return Err(Failure::argument("an encryption context has at most 64 pairs"));
    }
    // SAFETY: passed on.
    let pairs = unsafe { elements(pairs, len, "context") }?;
    let mut owned = Vec::with_capacity(pairs.len());
    for pair in pairs {
        // SAFETY: the strings of a pair are as the contract says.
        let (name, value) =
            unsafe { (word(pair.name, "a name of the context")?, word(pair.value, "a value of the context")?) };
        owned.push((name.to_owned(), value.to_owned()));
    }
    Ok(EncryptionContext::new(owned)?)
}

/// A name and a value. Both are NUL-terminated UTF-8 and stay the caller's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_pair {
    /// The name.
    pub name: *const c_char,
    /// The value.
    pub value: *const c_char,
}

/// Options that begin with their own size in bytes, so that programs made for another KMSS than this one are understood.
///
/// # Safety
/// The type is `repr(C)`, its first field is a `usize`, and all of its bytes may be zero.
pub(crate) unsafe trait Versioned: Copy {}

/// The options that a caller gave; all zeros for NULL. What its struct lacks is zero; what it has beyond ours must be.
///
/// # Safety
/// `given` is NULL, or points to a struct that begins with its size and has as many readable bytes.
pub(crate) unsafe fn options<T: Versioned>(given: *const T, what: &str) -> Result<T, Failure> {
    let mut known = MaybeUninit::<T>::zeroed();
    if given.is_null() {
        // SAFETY: all bytes may be zero.
        return Ok(unsafe { known.assume_init() });
    }
    // SAFETY: it begins with its size; nothing is presumed of its alignment.
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if !(size_of::<usize>()..=LARGEST_OPTIONS).contains(&size) {
        return Err(Failure::argument(&format!("the size of {what} is not set: it is sizeof of its struct")));
    }
    let ours = size_of::<T>();
    // SAFETY: it has `size` readable bytes.
    let beyond = unsafe { bytes(given.cast::<u8>().wrapping_add(ours), size.saturating_sub(ours), what) }?;
    if beyond.iter().any(|byte| *byte != 0) {
        let why = format!("{what} asks for what only a newer KMSS knows");
        return Err(Error::new(ErrorKind::Unsupported, why).into());
    }
    // SAFETY: both have so many bytes, and a struct of ours overlaps nobody's.
    unsafe { std::ptr::copy_nonoverlapping(given.cast::<u8>(), known.as_mut_ptr().cast::<u8>(), size.min(ours)) };
    // SAFETY: all bytes are zero or were the caller's, of whom its kind of struct takes any.
    Ok(unsafe { known.assume_init() })
}

/// Fills a struct of a caller that begins with its size: what it has no room for is left out, what it has beyond ours is zeroed.
///
/// # Safety
/// `to` is NULL, or points to a struct that begins with its size and has as many writable bytes.
pub(crate) unsafe fn answer<T: Versioned>(to: *mut T, value: T, what: &str) -> Result<(), Failure> {
    if to.is_null() {
        return Err(Failure::argument(&format!("{what} is NULL")));
    }
    let header = size_of::<usize>();
    // SAFETY: it begins with its size; nothing is presumed of its alignment.
    let size = unsafe { to.cast::<usize>().read_unaligned() };
    if !(header..=LARGEST_OPTIONS).contains(&size) {
        return Err(Failure::argument(&format!("the size of {what} is not set: it is sizeof of its struct")));
    }
    let known = size.min(size_of::<T>());
    let (from, into) = ((&raw const value).cast::<u8>(), to.cast::<u8>());
    // SAFETY: both have so many bytes behind their sizes, which stay as they are; `value` is ours and overlaps nobody's.
    unsafe {
        std::ptr::copy_nonoverlapping(from.wrapping_add(header), into.wrapping_add(header), known - header);
        std::ptr::write_bytes(into.wrapping_add(known), 0, size - known);
    }
    Ok(())
}
