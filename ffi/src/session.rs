//! Logging in and out.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::sync::Arc;

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::error::{Error, ErrorKind};
use libkmss::kms::Kms;
use libkmss::secret::Secret;

use crate::boundary::{enter, put, secret, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::guard::freeing;
use crate::handle::Registry;
use crate::home::{HOMES, kmss};
use crate::status::kmss_status;

/// A user, or the security officer, logged in to one token. Freed by `kmss_logout`.
pub struct kmss_session {
    _opaque: [u8; 0],
}

pub(crate) struct LoggedIn {
    pub(crate) kms: Arc<Kms>,
    pub(crate) caller: Caller,
}

pub(crate) static SESSIONS: Registry<LoggedIn> = Registry::new();

/// Who logs in.
enum Who<'a> {
    User(&'a str),
    Officer,
}

/// The user whom nobody names.
const USER: &str = "user";

/// Logs in to the token labelled `token` (or `tenant/token`) as its user.
///
/// `pin` has `pin_len` bytes and need not be terminated; it is copied into memory that is wiped. With a token that asks nobody for
/// a PIN it may be NULL. `*out` becomes a handle that `kmss_logout` frees; threads may share it.
///
/// Errors: KMSS_NOT_FOUND, KMSS_CONFLICT for a label that several tokens have, KMSS_PIN_INCORRECT, KMSS_PIN_LOCKED,
/// KMSS_PIN_NOT_SET, KMSS_DENIED, KMSS_AUDIT_UNAVAILABLE.
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
    error: *mut *mut kmss_error,
) -> kmss_status {
    // SAFETY: the caller's promise, passed on.
    let body = || unsafe { login(home, token, Who::User(USER), (pin, pin_len), out) };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_login`, as the user called `user`, whose name and roles policies see.
///
/// # Safety
/// As `kmss_login`; `user` is a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_login_user(
    home: *mut kmss,
    token: *const c_char,
    user: *const c_char,
    pin: *const u8,
    pin_len: usize,
    out: *mut *mut kmss_session,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let user = unsafe { word(user, "user") }?;
        // SAFETY: as above.
        unsafe { login(home, token, Who::User(user), (pin, pin_len), out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_login`, as the token's security officer, who changes the lives of keys and the policies of the token, and uses no key.
///
/// # Safety
/// As `kmss_login`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_login_officer(
    home: *mut kmss,
    token: *const c_char,
    pin: *const u8,
    pin_len: usize,
    out: *mut *mut kmss_session,
    error: *mut *mut kmss_error,
) -> kmss_status {
    // SAFETY: the caller's promise, passed on.
    let body = || unsafe { login(home, token, Who::Officer, (pin, pin_len), out) };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// As [`kmss_login`].
unsafe fn login(
    home: *const kmss,
    token: *const c_char,
    who: Who<'_>,
    (pin, pin_len): (*const u8, usize),
    out: *mut *mut kmss_session,
) -> Result<(), Failure> {
    let kms = HOMES.find(home)?;
    // SAFETY: passed on.
    let (label, pin) = unsafe { (word(token, "token")?, secret(pin, pin_len, "pin")?) };
    if out.is_null() {
        return Err(Failure::argument("out is NULL"));
    }
    let caller = logged_in(&kms, label, &who, &pin)?;
    // SAFETY: passed on.
    unsafe { put(out, SESSIONS.insert(LoggedIn { kms, caller }), "out") }
}

fn logged_in(kms: &Kms, label: &str, who: &Who<'_>, pin: &Secret) -> Result<Caller, Failure> {
    let mut found = kms.namespaces()?.into_iter().filter(|n| n.name == label || n.to_string() == label);
    let namespace = match (found.next(), found.next()) {
        (Some(one), None) => one,
        (None, _) => return Err(Failure::not_found(format!("no token is labelled `{label}`"))),
        (Some(_), Some(_)) => {
            return Err(Error::new(ErrorKind::Conflict, format!("several tokens are labelled `{label}`")).into());
        }
    };
    let caller = kms.enter(&namespace, 0)?;
    Ok(match who {
        Who::User(USER) if namespace.settings.pinless && pin.is_empty() => caller,
        Who::User(name) => kms.login(&caller, &Credential::UserPin { name, pin })?,
        Who::Officer => kms.administer(&caller, pin)?,
    })
}

/// Logs out and frees the session. Key handles found through it are of no use afterwards. NULL is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_logout(session: *mut kmss_session) {
    freeing(|| {
        if let Some(session) = SESSIONS.remove(session) {
            // The record of it may fail; the session is gone all the same.
            let _ = session.kms.logout(&session.caller);
        }
    });
}
