//! Data keys: given out in clear for whoever encrypts on its own, and encrypted under a key of ours.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::error::{Error, ErrorKind};
use libkmss::key::KeySpec;
use libkmss::mechanism::Native;
use libkmss::operation::{DataKey, GenerateDataKey, GenerateDataKeyPair, ObjectRef};

use crate::boundary::{context, enter, kmss_pair, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{KEYS, kmss_key};
use crate::message::{KMSS_MESSAGE_OVERHEAD, kmss_message_algorithm, native};
use crate::out::Out;
use crate::session::{SESSIONS, kmss_session};
use crate::status::kmss_status;

/// Makes a data key of `len` bytes, 16 to 1024 (32 is usual), encrypted under `key` with `context` as `kmss_encrypt` does it.
///
/// `plaintext` takes the key itself and has room for `len` bytes; NULL for a data key that is to be used later or elsewhere. Wipe
/// it when it was used. `ciphertext` takes what `kmss_decrypt` makes the same key of, by the two-call pattern; it has `len` +
/// KMSS_MESSAGE_OVERHEAD bytes. Asking for the size makes no key.
///
/// Errors: KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `plaintext` is NULL or points to `len` writable bytes; the rest as `kmss_encrypt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_data_key(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_message_algorithm,
    context: *const kmss_pair,
    context_len: usize,
    len: usize,
    plaintext: *mut u8,
    ciphertext: *mut u8,
    ciphertext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let out = unsafe { Out::buffer(ciphertext, ciphertext_len) }?;
        if !out.takes(len.saturating_add(KMSS_MESSAGE_OVERHEAD))? {
            return Ok(());
        }
        // SAFETY: as above.
        let made = unsafe { data_key((session, key), algorithm, (context, context_len), len) }?;
        let mut room = len;
        if !plaintext.is_null() {
            // SAFETY: it has room for `len` bytes, and `room` lives as long as that is looked at.
            unsafe { Out::buffer(plaintext, &raw mut room) }?.put(made.plaintext.expose())?;
        }
        out.put(&made.ciphertext)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_data_key`, into memory that `kmss_free` wipes and frees; `*plaintext` has `len` bytes then. A NULL `plaintext` leaves
/// the key itself out.
///
/// # Safety
/// `plaintext` is NULL or points to a writable pointer; `ciphertext` and `ciphertext_len` point to writable values; the rest as
/// `kmss_encrypt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_data_key_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_message_algorithm,
    context: *const kmss_pair,
    context_len: usize,
    len: usize,
    plaintext: *mut *mut u8,
    ciphertext: *mut *mut u8,
    ciphertext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let out = unsafe { Out::memory(ciphertext, ciphertext_len) }?;
        // SAFETY: as above.
        let made = unsafe { data_key((session, key), algorithm, (context, context_len), len) }?;
        let mut written = 0;
        if !plaintext.is_null() {
            // SAFETY: both are writable.
            unsafe { Out::memory(plaintext, &raw mut written) }?.put(made.plaintext.expose())?;
        }
        out.put(&made.ciphertext)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// As [`context`].
unsafe fn data_key(
    (session, key): (*const kmss_session, *const kmss_key),
    algorithm: kmss_message_algorithm,
    (pairs, pairs_len): (*const kmss_pair, usize),
    len: usize,
) -> Result<DataKey, Failure> {
    let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
    // SAFETY: passed on.
    let Native { algorithm, context } = native(&key, algorithm, unsafe { context(pairs, pairs_len) }?)?;
    let operation = GenerateDataKey::new(ObjectRef::clone(&key.object), algorithm, context, len);
    Ok(session.kms.perform(&session.caller, operation)?)
}

/// Makes a key pair of type `type_` (as for `kmss_key_generate`) for whoever uses its private half on its own, encrypted under
/// `key` with `context`. Nothing of it is kept here.
///
/// `public_key` takes the public half (SubjectPublicKeyInfo, DER), `private_key` the private half (PKCS #8, DER; NULL leaves it
/// out), `ciphertext` what `kmss_decrypt` makes the private half of. All three are freed by `kmss_free`.
///
/// Errors: as `kmss_data_key`; KMSS_UNSUPPORTED for types whose public half no standard encodes so.
///
/// # Safety
/// `type_` is NUL-terminated; the outputs point to writable values, or are NULL in pairs where that is said; the rest as
/// `kmss_encrypt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_data_key_pair_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_message_algorithm,
    context: *const kmss_pair,
    context_len: usize,
    type_: *const c_char,
    public_key: *mut *mut u8,
    public_key_len: *mut usize,
    private_key: *mut *mut u8,
    private_key_len: *mut usize,
    ciphertext: *mut *mut u8,
    ciphertext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (public_out, out) =
            unsafe { (Out::memory(public_key, public_key_len)?, Out::memory(ciphertext, ciphertext_len)?) };
        // SAFETY: as above.
        let private_out =
            (!private_key.is_null()).then(|| unsafe { Out::memory(private_key, private_key_len) }).transpose()?;
        // SAFETY: as above.
        let (context, type_) = unsafe { (crate::boundary::context(context, context_len)?, word(type_, "type_")?) };
        let Native { algorithm, context } = native(&key, algorithm, context)?;
        let spec: KeySpec = type_.parse()?;
        if !spec.key_type().is_asymmetric() {
            return Err(Error::new(ErrorKind::Arguments, format!("`{type_}` is no type of key pairs")).into());
        }
        let operation = GenerateDataKeyPair::new(ObjectRef::clone(&key.object), algorithm, context, spec);
        let made = session.kms.perform(&session.caller, operation)?;
        public_out.put(&made.public)?;
        if let Some(private_out) = private_out {
            private_out.put(made.private.expose())?;
        }
        out.put(&made.ciphertext)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
