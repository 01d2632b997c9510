//! Error objects: why one call failed. Each belongs to whoever asked for it; nothing is kept for threads.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::{CStr, CString, c_char};

use crate::failure::Failure;
use crate::guard::freeing;
use crate::handle::Registry;
use crate::status::kmss_status;

/// Why a call failed. Made by the call that failed, freed by `kmss_error_free`.
pub struct kmss_error {
    _opaque: [u8; 0],
}

/// What an error object says.
pub(crate) struct Said {
    status: kmss_status,
    message: CString,
    cause: CString,
    rule: CString,
}

impl From<Failure> for Said {
    fn from(failure: Failure) -> Self {
        let Failure { status, message, cause, rule } = failure;
        Self { status, message: c_text(message), cause: c_text(cause), rule: c_text(rule) }
    }
}

pub(crate) static ERRORS: Registry<Said> = Registry::new();

/// `text` as C has it: up to its first NUL, of which sentences have none.
pub(crate) fn c_text(text: String) -> CString {
    let mut bytes = text.into_bytes();
    bytes.retain(|byte| *byte != 0);
    CString::new(bytes).unwrap_or_default()
}

/// A text of an error object, or the empty one where there is no such object.
fn shown(error: *const kmss_error, which: fn(&Said) -> &CStr) -> *const c_char {
    // The object is in the table until it is freed, and its texts do not move.
    ERRORS.find(error).map_or(c"".as_ptr(), |said| which(&said).as_ptr())
}

/// The status that the call returned. KMSS_INVALID_HANDLE for NULL and for what is no error object.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_error_status(error: *const kmss_error) -> kmss_status {
    ERRORS.find(error).map_or(kmss_status::KMSS_INVALID_HANDLE, |said| said.status)
}

/// What went wrong: one sentence for people, in lower case and without a final period, that holds no key material, PIN or
/// plaintext. UTF-8, valid until the object is freed; empty for NULL. Never parse it: `kmss_error_status` is for programs.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_error_message(error: *const kmss_error) -> *const c_char {
    shown(error, |said| &said.message)
}

/// What that came of, for people and logs; mostly empty. Valid as `kmss_error_message` says.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_error_cause(error: *const kmss_error) -> *const c_char {
    shown(error, |said| &said.cause)
}

/// With KMSS_DENIED and KMSS_QUOTA_EXCEEDED: what names the rule, quota or block that refused; else empty. Valid as
/// `kmss_error_message` says.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_error_rule(error: *const kmss_error) -> *const c_char {
    shown(error, |said| &said.rule)
}

/// Frees an error object. NULL is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_error_free(error: *mut kmss_error) {
    freeing(|| drop(ERRORS.remove(error)));
}
