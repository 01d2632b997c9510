//! Logging in and out.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::sync::Arc;

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::error::{Error, ErrorKind};
use libkmss::kms::Kms;

use crate::boundary::{enter, put, secret, text};
use crate::failure::Failure;
use crate::handle::Registry;
use crate::home::{HOMES, kmss};
use crate::status::kmss_status;

/// A user logged in to one token. Freed by `kmss_logout`.
pub struct kmss_session {
    _opaque: [u8; 0],
}

pub(crate) struct LoggedIn {
    pub(crate) kms: Arc<Kms>,
    pub(crate) caller: Caller,
}

pub(crate) static SESSIONS: Registry<LoggedIn> = Registry::new();

/// Logs in to the token labelled `token` as its user.
///
/// `pin` has `pin_len` bytes and need not be terminated; it is copied into memory that is wiped. `*out` becomes a handle
/// that `kmss_logout` frees.
///
/// Errors: KMSS_NOT_FOUND, KMSS_PIN_INCORRECT, KMSS_PIN_LOCKED, KMSS_PIN_NOT_SET, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `token` is a NUL-terminated string, `pin` points to `pin_len` bytes, `out` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_login(
    home: *mut kmss,
    token: *const c_char,
    pin: *const u8,
    pin_len: usize,
    out: *mut *mut kmss_session,
) -> kmss_status {
    enter(|| {
        let kms = HOMES.find(home)?;
        // SAFETY: the caller's promise.
        let label = unsafe { text(token, "token") }?.ok_or_else(|| Failure::argument("token is NULL"))?;
        // SAFETY: the caller's promise.
        let pin = unsafe { secret(pin, pin_len, "pin") }?;
        if out.is_null() {
            return Err(Failure::argument("out is NULL"));
        }
        let mut found = kms.namespaces()?.into_iter().filter(|n| n.name == label);
        let namespace = match (found.next(), found.next()) {
            (Some(one), None) => one,
            (None, _) => return Err(Error::new(ErrorKind::NotFound, format!("no token is labelled `{label}`")).into()),
            (Some(_), Some(_)) => {
                return Err(Error::new(ErrorKind::Conflict, format!("several tokens are labelled `{label}`")).into());
            }
        };
        let caller = kms.enter(&namespace, 0)?;
        let caller = kms.login(&caller, &Credential::UserPin { name: "user", pin: &pin })?;
        // SAFETY: the caller's promise.
        unsafe { put(out, SESSIONS.insert(LoggedIn { kms, caller }), "out") }
    })
}

/// Logs out and frees the session. Key handles found through it are of no use afterwards. NULL is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_logout(session: *mut kmss_session) {
    let _ = enter(|| {
        if let Some(session) = SESSIONS.remove(session) {
            session.kms.logout(&session.caller)?;
        }
        Ok(())
    });
}
