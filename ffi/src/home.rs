//! Opening and closing a home.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::config::Config;
use libkmss::kms::Kms;

use crate::boundary::{enter, put, text};
use crate::failure::Failure;
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
///
/// Errors: KMSS_CONFIG, KMSS_NOT_FOUND where there is no home, KMSS_STORAGE, KMSS_DAMAGED.
///
/// # Safety
/// `home` is NULL or a NUL-terminated string; `out` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_open(home: *const c_char, out: *mut *mut kmss) -> kmss_status {
    enter(|| {
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
        let kms = Kms::open_with(&config, remote::client::backends(&config)?)?.ok_or_else(|| Failure {
            status: kmss_status::KMSS_NOT_FOUND,
            sentence: format!("there is no home at `{}`; make a token with `kmss token init`", config.home.display()),
        })?;
        // SAFETY: the caller's promise.
        unsafe { put(out, HOMES.insert(kms), "out") }
    })
}

/// Closes a home. Sessions opened on it stay usable until they are freed. NULL is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_close(home: *mut kmss) {
    let _ = enter(|| {
        drop(HOMES.remove(home));
        Ok(())
    });
}
