//! Finding keys.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::sync::Arc;

use libkmss::key::{KeyClass, Object};
use libkmss::mechanism::KeyType;
use libkmss::operation::ObjectRef;

use crate::boundary::{enter, put, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::guard::freeing;
use crate::handle::Registry;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;

/// A key found in a token, or a session key. Freed by `kmss_key_free`.
pub struct kmss_key {
    _opaque: [u8; 0],
}

/// Which part of a key. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_key_class = u32;

/// A secret (symmetric) key.
pub const KMSS_KEY_SECRET: kmss_key_class = 1;
/// The private half of a pair.
pub const KMSS_KEY_PRIVATE: kmss_key_class = 2;
/// The public half of a pair.
pub const KMSS_KEY_PUBLIC: kmss_key_class = 3;

/// What a handle of a key stands for: which object, and what of it never changes.
pub(crate) struct FoundKey {
    pub(crate) object: ObjectRef,
    pub(crate) key_type: KeyType,
}

pub(crate) static KEYS: Registry<FoundKey> = Registry::new();

impl FoundKey {
    pub(crate) fn of(object: &Arc<Object>) -> Result<Self, Failure> {
        let key = object.key().ok_or_else(|| Failure::argument("the object is no key"))?;
        Ok(Self { object: ObjectRef::from(object), key_type: key.key_type })
    }

    /// The object as it is now.
    pub(crate) fn now(&self, session: &LoggedIn) -> Result<Arc<Object>, Failure> {
        Ok(match &self.object {
            ObjectRef::Stored(id) => session.kms.object(&session.caller, *id)?,
            ObjectRef::Ephemeral(object) => Arc::clone(object),
        })
    }
}

/// The class of a number.
pub(crate) fn class(number: kmss_key_class) -> Result<KeyClass, Failure> {
    match number {
        KMSS_KEY_SECRET => Ok(KeyClass::Secret),
        KMSS_KEY_PRIVATE => Ok(KeyClass::Private),
        KMSS_KEY_PUBLIC => Ok(KeyClass::Public),
        _ => Err(Failure::argument("class_ is none of KMSS_KEY_SECRET, _PRIVATE, _PUBLIC")),
    }
}

/// Finds the key named `name` of class `class_` (KMSS_KEY_…): its name, an alias of it, or `name@n` for one of its versions. `*out`
/// becomes a handle that `kmss_key_free` frees. It goes on meaning the same version when the key is rotated.
///
/// Errors: KMSS_NOT_FOUND, KMSS_INVALID_ARGUMENT.
///
/// # Safety
/// `name` is a NUL-terminated string; `out` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_find_key(
    session: *mut kmss_session,
    name: *const c_char,
    class_: kmss_key_class,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise.
        let name = unsafe { word(name, "name") }?;
        let class = class(class_)?;
        let missing = || Failure::not_found(format!("no such key is named `{name}`"));
        let key = session.kms.key(&session.caller, name, class)?.ok_or_else(missing)?;
        // SAFETY: the caller's promise.
        unsafe { give(&key, out) }
    };
    // SAFETY: the caller's promise.
    unsafe { enter(error, body) }
}

/// Makes a handle of a key.
///
/// # Safety
/// `out` is NULL or points to a writable pointer.
pub(crate) unsafe fn give(key: &Arc<Object>, out: *mut *mut kmss_key) -> Result<(), Failure> {
    if out.is_null() {
        return Err(Failure::argument("out is NULL"));
    }
    // SAFETY: passed on.
    unsafe { put(out, KEYS.insert(FoundKey::of(key)?), "out") }
}

/// Frees a key handle. A key of the token is untouched; a session key goes with its last handle. NULL is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_key_free(key: *mut kmss_key) {
    freeing(|| drop(KEYS.remove(key)));
}
