//! Wrapping and unwrapping keys.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::borrow::Cow;
use std::ffi::c_char;

use libkmss::error::{Error, ErrorKind};
use libkmss::key::{KeyClass, KeySpec};
use libkmss::mechanism::{Hash, KeyType};
use libkmss::operation::{Chosen, Expected, ObjectRef, Unwrap, Wrap, Wrapping};

use crate::boundary::{bytes, enter, text, word};
use crate::draft::{Wishes, kmss_key_options};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{KEYS, give, kmss_key};
use crate::out::Out;
use crate::session::{SESSIONS, kmss_session};
use crate::status::kmss_status;
use crate::wallet::new_type;

/// How keys are wrapped. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_wrapping = u32;

/// Key wrap (SP 800-38F KW, RFC 3394) under an AES or SM4 key: keys whose length is a multiple of 8 bytes.
pub const KMSS_WRAP_KW: kmss_wrapping = 1;
/// Key wrap with padding (SP 800-38F KWP, RFC 5649) under an AES or SM4 key.
pub const KMSS_WRAP_KWP: kmss_wrapping = 2;
/// RSAES-OAEP with SHA-256 and MGF1-SHA-256 under an RSA key: secret keys.
pub const KMSS_WRAP_RSA_OAEP_SHA256: kmss_wrapping = 3;
/// A fresh AES-256 key under RSAES-OAEP with SHA-256, followed by the key under that one by KWP (PKCS#11 3.2, 6.1.21).
pub const KMSS_WRAP_RSA_AES_SHA256: kmss_wrapping = 4;

/// How to wrap under keys of this type.
fn chosen(wrapping: kmss_wrapping, key_type: KeyType) -> Result<Chosen, Failure> {
    let wrapping = match wrapping {
        KMSS_WRAP_KW => Wrapping::Kw,
        KMSS_WRAP_KWP => Wrapping::Kwp,
        KMSS_WRAP_RSA_OAEP_SHA256 => Wrapping::RsaOaep(Hash::Sha256),
        KMSS_WRAP_RSA_AES_SHA256 => Wrapping::RsaAes { hash: Hash::Sha256, aes_len: 32 },
        _ => return Err(Failure::argument("wrapping is none of KMSS_WRAP_…")),
    };
    Ok(wrapping.chosen(key_type))
}

/// Wraps `key`, which must be extractable, under `wrapping_key`: a secret key, or the public half of an RSA pair. Private keys are
/// wrapped as PKCS #8. `*wrapped` is freed by `kmss_free`.
///
/// There is no two-call form: how long a wrapped private key is depends on the key, and asking would be a use of it.
///
/// Errors: KMSS_KEY_MISMATCH for a key that is not extractable or does not go with the mechanism, KMSS_KEY_STATE, KMSS_DENIED,
/// KMSS_UNSUPPORTED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `wrapped` and `wrapped_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_wrap_alloc(
    session: *mut kmss_session,
    wrapping_key: *mut kmss_key,
    wrapping: kmss_wrapping,
    key: *mut kmss_key,
    wrapped: *mut *mut u8,
    wrapped_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, under, key) = (SESSIONS.find(session)?, KEYS.find(wrapping_key)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let out = unsafe { Out::memory(wrapped, wrapped_len) }?;
        let how = chosen(wrapping, under.key_type)?;
        let (wrapping, key) = (ObjectRef::clone(&under.object), ObjectRef::clone(&key.object));
        out.put(&session.kms.perform(&session.caller, Wrap { wrapping, key, how })?)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Unwraps a key of type `type_` (as for `kmss_key_generate`; a seed has 16 to 64 bytes) under `unwrapping_key`: a secret key, or the
/// private half of an RSA pair. The new key is called `name` (which may be NULL with KMSS_KEY_SESSION), has `key_options`, which may be
/// NULL, and is where `unwrapping_key` is; `*out` becomes a handle of it that `kmss_key_free` frees.
///
/// Errors: KMSS_INVALID_DATA, the same for every way to be wrong; KMSS_ALREADY_EXISTS; KMSS_UNSUPPORTED also for another `backend` than
/// that of `unwrapping_key`; as `kmss_wrap_alloc`.
///
/// # Safety
/// `wrapped` points to `wrapped_len` bytes; `type_` is NUL-terminated, `name` too or NULL; `key_options` is NULL or points to its
/// struct; `out` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_unwrap(
    session: *mut kmss_session,
    unwrapping_key: *mut kmss_key,
    wrapping: kmss_wrapping,
    wrapped: *const u8,
    wrapped_len: usize,
    type_: *const c_char,
    name: *const c_char,
    key_options: *const kmss_key_options,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, under) = (SESSIONS.find(session)?, KEYS.find(unwrapping_key)?);
        // SAFETY: the caller's promise, passed on.
        let (wrapped, (spec, is_seed), name, wishes) = unsafe {
            let new_type = new_type(word(type_, "type_")?)?;
            (bytes(wrapped, wrapped_len, "wrapped")?, new_type, text(name, "name")?, Wishes::read(key_options)?)
        };
        let (expected, class) = expected(&spec, is_seed);
        if out.is_null() {
            return Err(Failure::argument("out is NULL"));
        }
        let mut draft = wishes.draft(&session, name, (spec.key_type(), class))?;
        if is_seed {
            draft.restrict_to_seed();
        }
        let how = chosen(wrapping, under.key_type)?;
        let unwrapping = ObjectRef::clone(&under.object);
        let operation = Unwrap { unwrapping, how, wrapped: Cow::Borrowed(wrapped), expected, draft };
        let key = session.kms.perform(&session.caller, operation)?;
        // SAFETY: as above.
        unsafe { give(&key, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// What unwrapping is to yield. Seeds of others are as long as those made them.
pub(crate) fn expected(spec: &KeySpec, is_seed: bool) -> (Expected, KeyClass) {
    let key_type = spec.key_type();
    match spec {
        KeySpec::Secret { .. } if is_seed => (Expected { key_type, len: None }, KeyClass::Secret),
        KeySpec::Secret { len, .. } => (Expected { key_type, len: Some(*len) }, KeyClass::Secret),
        _ => (Expected { key_type, len: None }, KeyClass::Private),
    }
}

/// What derivation and encapsulation are to yield: a secret key, and whether that is a seed.
pub(crate) fn secret(type_: &str) -> Result<(Expected, bool), Failure> {
    let (spec, is_seed) = new_type(type_)?;
    match expected(&spec, false) {
        (expected, KeyClass::Secret) => Ok((expected, is_seed)),
        _ => Err(Error::new(ErrorKind::Arguments, format!("`{type_}` is no type of secret keys")).into()),
    }
}
