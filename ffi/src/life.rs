//! The lives of keys: states, versions, names and ends.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::sync::Arc;

use libkmss::clock::Timestamp;
use libkmss::key::{Deletion, Description, KeyClass, Object, Purpose, RevocationReason, Transition};
use libkmss::operation::{Destroy, ObjectRef, Rename, Turn};

use crate::boundary::{Versioned, enter, options, text, word, words};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;

/// A change in the life of a key. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_life_change = u32;

/// It may be used (again).
pub const KMSS_LIFE_ENABLE: kmss_life_change = 1;
/// It protects nothing new, and still decrypts and verifies.
pub const KMSS_LIFE_DISABLE: kmss_life_change = 2;
/// It does nothing for the time being.
pub const KMSS_LIFE_SUSPEND: kmss_life_change = 3;
/// It protects nothing new, for good.
pub const KMSS_LIFE_ARCHIVE: kmss_life_change = 4;
/// It is known or feared to be in other hands: it protects nothing new, for good.
pub const KMSS_LIFE_COMPROMISE: kmss_life_change = 5;
/// It is revoked for `reason`.
pub const KMSS_LIFE_REVOKE: kmss_life_change = 6;
/// It is destroyed after `days`.
pub const KMSS_LIFE_SCHEDULE_DELETION: kmss_life_change = 7;
/// It is not destroyed after all.
pub const KMSS_LIFE_CANCEL_DELETION: kmss_life_change = 8;

/// No moment: `kmss_key_schedule`, `kmss_key_rotate`.
pub const KMSS_NEVER: u64 = u64::MAX;

/// What is said of a change. Set all of it to zero, then `size` to `sizeof(kmss_life_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_life_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_LIFE_SCHEDULE_DELETION: days, 7 to 30; 0 for 30.
    pub days: u32,
    /// KMSS_LIFE_REVOKE: the reason in the words of RFC 5280 (`superseded`, `cessation-of-operation`, …); NULL for `unspecified`.
    pub reason: *const c_char,
    /// A sentence of why, at most 500 bytes; NULL for none.
    pub why: *const c_char,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_life_options {}

/// Changes the life of the key `name`, of both halves of a pair together. For the security officer (`kmss_login_officer`).
/// `life_options` may be NULL.
///
/// Errors: KMSS_NOT_FOUND, KMSS_DENIED for anybody else, KMSS_KEY_STATE where the key's state does not allow it,
/// KMSS_INVALID_ARGUMENT, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `name` is NUL-terminated; `life_options` is NULL or points to its struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_change_life(
    session: *mut kmss_session,
    name: *const c_char,
    change: kmss_life_change,
    life_options: *const kmss_life_options,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, transition) = unsafe { (word(name, "name")?, transition(change, life_options)?) };
        change_life(&session, name, &transition)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// `given` is what C callers promise of it.
unsafe fn transition(change: kmss_life_change, given: *const kmss_life_options) -> Result<Transition, Failure> {
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_life_options") }?;
    // SAFETY: passed on.
    let (reason, why) = unsafe { (text(given.reason, "reason")?, text(given.why, "why")?) };
    let why = why.unwrap_or_default().to_owned();
    Ok(match change {
        KMSS_LIFE_ENABLE => Transition::Enable,
        KMSS_LIFE_DISABLE => Transition::Disable,
        KMSS_LIFE_SUSPEND => Transition::Suspend,
        KMSS_LIFE_ARCHIVE => Transition::Archive,
        KMSS_LIFE_COMPROMISE => Transition::Revoke { reason: RevocationReason::KeyCompromise, why },
        KMSS_LIFE_REVOKE => {
            let name = reason.unwrap_or(RevocationReason::Unspecified.name());
            let unknown = || Failure::argument("reason is none of those of RFC 5280");
            Transition::Revoke { reason: RevocationReason::from_name(name).ok_or_else(unknown)?, why }
        }
        KMSS_LIFE_SCHEDULE_DELETION => {
            let (_, usual, _) = Deletion::DAYS;
            let days = u16::try_from(given.days).map_err(|_| Failure::argument("days is too many"))?;
            Transition::Delete { days: if days == 0 { usual } else { days }, why }
        }
        KMSS_LIFE_CANCEL_DELETION => Transition::Keep,
        _ => return Err(Failure::argument("change is none of KMSS_LIFE_…")),
    })
}

/// Changes the life of the key of this name.
pub(crate) fn change_life(session: &LoggedIn, name: &str, transition: &Transition) -> Result<(), Failure> {
    let key = halves(session, name)?.first().map(ObjectRef::from).ok_or_else(|| missing(name))?;
    session.kms.change_life(&session.caller, key, transition)?;
    Ok(())
}

/// The secret key of this name, or both halves of the pair, the private one first.
pub(crate) fn halves(session: &LoggedIn, name: &str) -> Result<Vec<Arc<Object>>, Failure> {
    let mut found = Vec::new();
    for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
        found.extend(session.kms.key(&session.caller, name, class)?);
    }
    if found.is_empty() { Err(missing(name)) } else { Ok(found) }
}

fn missing(name: &str) -> Failure {
    Failure::not_found(format!("no key is named `{name}`"))
}

/// Says when the key `name` becomes active and is deactivated by itself, in milliseconds since 1970. 0 leaves a moment as it is,
/// KMSS_NEVER takes it away. For the security officer.
///
/// Errors: as `kmss_key_change_life`.
///
/// # Safety
/// `name` is NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_schedule(
    session: *mut kmss_session,
    name: *const c_char,
    activate_ms: u64,
    deactivate_ms: u64,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let moment = |ms| match ms {
        0 => None,
        KMSS_NEVER => Some(None),
        ms => Some(Some(Timestamp(ms))),
    };
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let name = unsafe { word(name, "name") }?;
        let (activation, deactivation) = (moment(activate_ms), moment(deactivate_ms));
        change_life(&session, name, &Transition::Schedule { activation, deactivation })
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// What is said of a key. Set all of it to zero, then `size` to `sizeof(kmss_key_metadata)`. What is NULL stays as it is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_key_metadata {
    /// Size of this struct in bytes.
    pub size: usize,
    /// Whose it is, at most 128 bytes; empty for nobody's.
    pub owner: *const c_char,
    /// What it is for, in a sentence of at most 1000 bytes.
    pub description: *const c_char,
    /// The one thing that it may be used for: `sign`, `encrypt`, `wrap`, `derive` or `encapsulate`; `any` for whatever its
    /// attributes allow.
    pub purpose: *const c_char,
    /// The service that it belongs to; empty for none.
    pub service: *const c_char,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_key_metadata {}

/// Says something else of the key `name`. For the security officer.
///
/// Errors: as `kmss_key_change_life`.
///
/// # Safety
/// `name` is NUL-terminated; `metadata` points to its struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_set_metadata(
    session: *mut kmss_session,
    name: *const c_char,
    metadata: *const kmss_key_metadata,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, description) = unsafe { (word(name, "name")?, description(metadata)?) };
        change_life(&session, name, &Transition::Describe(description))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// `given` is what C callers promise of it.
unsafe fn description(given: *const kmss_key_metadata) -> Result<Description, Failure> {
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_key_metadata") }?;
    // SAFETY: passed on.
    let (owner, description) = unsafe { (text(given.owner, "owner")?, text(given.description, "description")?) };
    // SAFETY: passed on.
    let (purpose, service) = unsafe { (text(given.purpose, "purpose")?, text(given.service, "service")?) };
    let unknown = || Failure::argument("purpose is none of sign, encrypt, wrap, derive, encapsulate and any");
    let purpose = match purpose {
        None => None,
        Some("any") => Some(None),
        Some(name) => Some(Some(Purpose::from_name(name).ok_or_else(unknown)?)),
    };
    let [owner, description, service] = [owner, description, service].map(|text| text.map(str::to_owned));
    Ok(Description { owner, description, purpose, service })
}

/// Gives the key `name` these tags and no others, at most 32, each of 1 to 64 letters, digits, `-`, `_`, `.`, `:` or `=`. For the
/// security officer.
///
/// Errors: as `kmss_key_change_life`.
///
/// # Safety
/// `name` is NUL-terminated; `tags` points to `tags_len` NUL-terminated strings, or `tags_len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_set_tags(
    session: *mut kmss_session,
    name: *const c_char,
    tags: *const *const c_char,
    tags_len: usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, tags) = unsafe { (word(name, "name")?, words(tags, tags_len, "tags")?) };
        let tags = tags.into_iter().map(str::to_owned).collect();
        change_life(&session, name, &Transition::Tag(tags))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Gives the alias `alias` to the key `name`, wherever it was before, in one commit; NULL takes the alias away.
///
/// Errors: KMSS_NOT_FOUND, KMSS_ALREADY_EXISTS where a key is named so, KMSS_INVALID_ARGUMENT, KMSS_DENIED.
///
/// # Safety
/// `alias` is NUL-terminated, `name` too or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_alias_set(
    session: *mut kmss_session,
    alias: *const c_char,
    name: *const c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (alias, name) = unsafe { (word(alias, "alias")?, text(name, "name")?) };
        session.kms.set_alias(&session.caller, alias, name)?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Gives the key `name`, both halves of a pair, another name.
///
/// Errors: KMSS_NOT_FOUND, KMSS_ALREADY_EXISTS, KMSS_DENIED; KMSS_INVALID_ARGUMENT for a key with versions, which keeps its name.
///
/// # Safety
/// `name` and `new_name` are NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_rename(
    session: *mut kmss_session,
    name: *const c_char,
    new_name: *const c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, new_name) = unsafe { (word(name, "name")?, word(new_name, "new_name")?) };
        let key = halves(&session, name)?.first().map(ObjectRef::from).ok_or_else(|| missing(name))?;
        session.kms.perform(&session.caller, Rename { key, name: new_name.to_owned() })?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Makes a new version of the key `name`. With `activate_ms` 0 it takes the name at once, and the former version goes on decrypting
/// and verifying as `name@n`; else at that moment (milliseconds since 1970), or with KMSS_NEVER when `kmss_key_activate` says so or
/// its certificate is imported.
///
/// `version` takes the number of the new version; it may be NULL.
///
/// Errors: KMSS_NOT_FOUND, KMSS_KEY_STATE where a version is pending already or the key has a certificate and is to be rotated at
/// once, KMSS_DENIED, KMSS_CONFLICT where somebody else changed the key at the same moment.
///
/// # Safety
/// `name` is NUL-terminated; `version` is NULL or points to a writable number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_rotate(
    session: *mut kmss_session,
    name: *const c_char,
    activate_ms: u64,
    version: *mut u32,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let name = unsafe { word(name, "name") }?;
        let turn = match activate_ms {
            0 => Turn::Now,
            KMSS_NEVER => Turn::Later(None),
            ms => Turn::Later(Some(Timestamp(ms))),
        };
        let made = session.kms.rotate(&session.caller, name, turn)?.made;
        let number = made.first().and_then(|object| object.key()).map_or(0, |key| key.version_number());
        if !version.is_null() {
            // SAFETY: not NULL, and writable.
            unsafe { version.write(number) };
        }
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Gives the name to the version of the key `name` that was made ahead.
///
/// Errors: KMSS_NOT_FOUND; KMSS_KEY_STATE where none is pending, or its certificate is missing while the key has one.
///
/// # Safety
/// `name` is NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_activate(
    session: *mut kmss_session,
    name: *const c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let name = unsafe { word(name, "name") }?;
        session.kms.activate(&session.caller, name)?;
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Destroys the key `name`, both halves of a pair, at once and for good. `kmss_key_change_life` with KMSS_LIFE_SCHEDULE_DELETION
/// leaves time to call it off.
///
/// Errors: KMSS_NOT_FOUND, KMSS_KEY_STATE for a key whose destruction is not due yet, KMSS_DENIED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `name` is NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_destroy(
    session: *mut kmss_session,
    name: *const c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let name = unsafe { word(name, "name") }?;
        for half in halves(&session, name)? {
            session.kms.perform(&session.caller, Destroy { object: ObjectRef::from(&half) })?;
        }
        Ok(())
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
