//! Finding keys.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::error::{Error, ErrorKind};
use libkmss::key::KeyClass;
use libkmss::operation::ObjectRef;

use crate::boundary::{enter, put, text};
use crate::failure::Failure;
use crate::handle::Registry;
use crate::session::{SESSIONS, kmss_session};
use crate::status::kmss_status;

/// A key found in a token. Freed by `kmss_key_free`.
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

pub(crate) static KEYS: Registry<ObjectRef> = Registry::new();

/// Finds the key named `name` of class `class_` (KMSS_KEY_…). `*out` becomes a handle that `kmss_key_free` frees.
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
) -> kmss_status {
    enter(|| {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "name") }?.ok_or_else(|| Failure::argument("name is NULL"))?;
        let class = match class_ {
            KMSS_KEY_SECRET => KeyClass::Secret,
            KMSS_KEY_PRIVATE => KeyClass::Private,
            KMSS_KEY_PUBLIC => KeyClass::Public,
            _ => return Err(Failure::argument("class_ is none of KMSS_KEY_SECRET, _PRIVATE, _PUBLIC")),
        };
        let missing = || Error::new(ErrorKind::NotFound, format!("no such key is named `{name}`"));
        let key = session.kms.key(&session.caller, name, class)?.ok_or_else(missing)?;
        if out.is_null() {
            return Err(Failure::argument("out is NULL"));
        }
        // SAFETY: the caller's promise.
        unsafe { put(out, KEYS.insert(ObjectRef::from(&key)), "out") }
    })
}

/// Frees a key handle; the key itself is untouched. NULL is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn kmss_key_free(key: *mut kmss_key) {
    let _ = enter(|| {
        drop(KEYS.remove(key));
        Ok(())
    });
}
