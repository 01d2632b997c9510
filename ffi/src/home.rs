//! Opening and closing a home.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::config::Config;
use libkmss::kms::Kms;

use crate::boundary::{enter, put, text};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::guard::freeing;
use crate::handle::Registry;
use crate::status::kmss_status;

/// An open home. Freed by `kmss_close`.
pub struct kmss {
    _opaque: [u8; 0],
}

pub(crate) static HOMES: Registry<Kms> = Registry::new();

/// Opens a home.
///
/// `home` is the path of the home directory, or NULL to take it from the configuration as the PKCS#11 module does
/// (KMSS_CONF, KMSS_HOME, ~/.config/kmss/kmss.toml, /etc/kmss/kmss.toml). `*out` becomes a handle that `kmss_close` frees.
/// Tokens of the home whose keys an HSM or a kmssd keeps work as all others.
///
/// Errors: KMSS_CONFIG, KMSS_NOT_FOUND where there is no home, KMSS_STORAGE, KMSS_DAMAGED.
///
/// # Safety
/// `home` is NULL or a NUL-terminated string; `out` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_open(
    home: *const c_char,
    out: *mut *mut kmss,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise.
        let config = match unsafe { text(home, "home") }? {
            Some(path) => {
                Config::load()?.at(std::path::absolute(path).map_err(|_| Failure::argument("home is no path"))?)
            }
            None => Config::load()?,
        };
        if out.is_null() {
            return Err(Failure::argument("out is NULL"));
        }
        let missing = || {
            let home = config.home.display();
            Failure::not_found(format!("there is no home at `{home}`; make a token with `kmss token init`"))
        };
        let kms = Kms::open_with(&config, remote::client::backends(&config)?)?.ok_or_else(missing)?;
        // SAFETY: the caller's promise.
        unsafe { put(out, HOMES.insert(kms), "out") }
    };
    // SAFETY: the caller's promise.
    unsafe { enter(error, body) }
}

/// Closes a home: its audit segment ends cleanly, and what was leased of quotas goes back. Sessions opened on it stay usable until
/// they are freed; nothing of the home is left when the last of them is. NULL is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_close(home: *mut kmss) {
    freeing(|| {
        if let Some(home) = HOMES.remove(home) {
            // Where that fails, the segment is left open as after a crash, and nothing is lost.
            let _ = home.close();
        }
    });
}
