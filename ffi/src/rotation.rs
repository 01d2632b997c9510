//! When keys are rotated by themselves, and doing what is due.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::key::{Rotation, Transition};
use serde_json::Value;

use crate::boundary::{Versioned, enter, options, text, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::life::change_life;
use crate::out::put_text;
use crate::session::{SESSIONS, kmss_session};
use crate::status::kmss_status;

/// `uses` and `bytes` are bounds as well: what goes beyond them is refused until the key is rotated.
pub const KMSS_ROTATION_STRICT: u32 = 1;
/// `kmss_rotate_due`: nothing is changed, only told what would be.
pub const KMSS_ROTATE_DRY_RUN: u32 = 1;

/// When a key is rotated by itself: by whatever of it comes first. Set all of it to zero, then `size` to
/// `sizeof(kmss_rotation)`; what is 0 does not count.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_rotation {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_ROTATION_…, or-ed together.
    pub flags: u32,
    /// So many days after a version took the name, at most 36500.
    pub days: u32,
    /// After so many uses that protect something.
    pub uses: u64,
    /// After so many bytes of data in such uses.
    pub bytes: u64,
}

// SAFETY: `repr(C)`, begins with its size, and holds numbers alone.
unsafe impl Versioned for kmss_rotation {}

/// Says when the key `name` is rotated by itself: this is its whole rule from now on; a NULL `rotation` takes it away. For the
/// security officer (`kmss_login_officer`). Whoever calls `kmss_rotate_due`, a kmssd or `kmss rotate due` does what is due.
///
/// Errors: KMSS_NOT_FOUND, KMSS_DENIED for anybody else, KMSS_KEY_STATE, KMSS_INVALID_ARGUMENT for a rule that says nothing or
/// cannot be meant, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `name` is NUL-terminated; `rotation` is NULL or points to its struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_set_rotation(
    session: *mut kmss_session,
    name: *const c_char,
    rotation: *const kmss_rotation,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, rule) = unsafe { (word(name, "name")?, rule(rotation)?) };
        change_life(&session, name, &Transition::Rotate(rule))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// `given` is what C callers promise of it.
unsafe fn rule(given: *const kmss_rotation) -> Result<Option<Rotation>, Failure> {
    if given.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_rotation") }?;
    if given.flags & !KMSS_ROTATION_STRICT != 0 {
        return Err(Failure::argument("flags of kmss_rotation are none of KMSS_ROTATION_…"));
    }
    let counted = |number: u64| (number != 0).then_some(number);
    Ok(Some(Rotation {
        days: given.days,
        uses: counted(given.uses),
        bytes: counted(given.bytes),
        strict: given.flags & KMSS_ROTATION_STRICT != 0,
    }))
}

/// Does what is due about the rotation of every key of the token, or of the key `name` where that is not NULL: each step once,
/// whoever else tries it at the same moment. Keys that a kmssd keeps are rotated there.
///
/// `*json` becomes an array with an element for each key that has a rule: `name`, `version`, `due_ms` (or null), `uses` and `bytes`
/// (`{"used": …, "limit": …}`, or null where they are not counted) and `step`: `waits`, `pending`, `rotate`, `prepare` and
/// `activate` for what was done, or is due in a dry run; `held: …` and `failed: …` with the reason. A key that could not be rotated
/// is told of here and is no error. `json` may be NULL; else `kmss_free` frees it.
///
/// Errors: KMSS_INVALID_ARGUMENT, KMSS_DENIED for whoever may not list the token, KMSS_STORAGE.
///
/// # Safety
/// `name` is NULL or NUL-terminated; `json` is NULL or points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_rotate_due(
    session: *mut kmss_session,
    name: *const c_char,
    flags: u32,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let name = unsafe { text(name, "name") }?;
        if flags & !KMSS_ROTATE_DRY_RUN != 0 {
            return Err(Failure::argument("flags is none of KMSS_ROTATE_…"));
        }
        let keys = session.kms.rotate_due(&session.caller, name, flags & KMSS_ROTATE_DRY_RUN != 0)?;
        if json.is_null() {
            return Ok(());
        }
        let said: Vec<Value> = keys.iter().map(report::json::rotation).collect();
        // SAFETY: as above.
        unsafe { put_text(json, &Value::Array(said).to_string()) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Says which versions of the key `name` are there, the oldest first, as a JSON array whose elements are as `kmss_key_describe`
/// says keys: the secret key or the private half of each, else the public one. `*json` is freed by `kmss_free`.
///
/// Errors: KMSS_NOT_FOUND, KMSS_DENIED.
///
/// # Safety
/// `name` is NUL-terminated; `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_versions(
    session: *mut kmss_session,
    name: *const c_char,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let name = unsafe { word(name, "name") }?;
        let (versions, now) = (session.kms.versions(&session.caller, name)?, Some(session.kms.now()));
        let said: Vec<Value> = versions.iter().map(|version| report::json::key(version, now)).collect();
        // SAFETY: as above.
        unsafe { put_text(json, &Value::Array(said).to_string()) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
