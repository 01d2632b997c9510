//! The version.
#![expect(unsafe_code, reason = "an entry point of the C interface")]

use std::ffi::{CStr, c_char};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// The version of KMSS, for example "0.1.0". Static: never freed.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_version() -> *const c_char {
    VERSION.as_ptr()
}
