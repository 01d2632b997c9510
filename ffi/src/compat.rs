//! Business keys and user keys in the formats of other products (docs/compat-formats.md): for compatibility alone.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::compat::{Application, Business};
use libkmss::kms::{BusinessForm, UserKey, UserKeyKind};

use crate::boundary::{bytes, enter, text, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{KEYS, kmss_key};
use crate::out::{Out, put_text};
use crate::session::{SESSIONS, kmss_session};
use crate::status::kmss_status;

/// What a user key is for. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_user_key_kind = u32;

/// Encrypting by SM4-CBC.
pub const KMSS_USER_KEY_SM4: kmss_user_key_kind = 1;
/// MACs by HMAC with SM3.
pub const KMSS_USER_KEY_HMAC_SM3: kmss_user_key_kind = 2;
/// MACs by HMAC with SHA-256.
pub const KMSS_USER_KEY_HMAC_SHA256: kmss_user_key_kind = 3;

/// Length of the id of a user key in bytes.
pub const KMSS_USER_KEY_ID_LEN: usize = 16;

fn kind_of(number: kmss_user_key_kind) -> Result<UserKeyKind, Failure> {
    match number {
        KMSS_USER_KEY_SM4 => Ok(UserKeyKind::Sm4),
        KMSS_USER_KEY_HMAC_SM3 => Ok(UserKeyKind::HmacSm3),
        KMSS_USER_KEY_HMAC_SHA256 => Ok(UserKeyKind::HmacSha256),
        _ => Err(Failure::argument("kind is none of KMSS_USER_KEY_…")),
    }
}

/// A user key as its user keeps it.
///
/// # Safety
/// `id` is NULL or points to 16 bytes, `wrapped` is NULL or NUL-terminated.
unsafe fn user_key(id: *const u8, wrapped: *const c_char) -> Result<Option<UserKey>, Failure> {
    if id.is_null() && wrapped.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    let (id, wrapped) = unsafe { (bytes(id, KMSS_USER_KEY_ID_LEN, "id")?, word(wrapped, "wrapped")?) };
    let id = id.try_into().map_err(|_| Failure::argument("the id of a user key has 16 bytes"))?;
    Ok(Some(UserKey { id, wrapped: Business::parse(wrapped.as_bytes())? }))
}

/// Makes a user key under the business key `business`, an SM4 key with a CKA_ID of 8 bytes, for the application with the eight
/// digits `application`. It is nowhere but in what is given out: `id` takes KMSS_USER_KEY_ID_LEN bytes, `*wrapped` the wrapped key
/// as text, which `kmss_free` frees. Keep both together.
///
/// Errors: KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `application` is NUL-terminated; `id` points to 16 writable bytes, `wrapped` to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_user_key_make(
    session: *mut kmss_session,
    business: *mut kmss_key,
    kind: kmss_user_key_kind,
    application: *const c_char,
    id: *mut u8,
    wrapped: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        let business = KEYS.find(business)?.now(&session)?;
        // SAFETY: the caller's promise, passed on.
        let application = Application::parse(unsafe { word(application, "application") }?)?;
        if id.is_null() || wrapped.is_null() {
            return Err(Failure::argument("an output pointer is NULL"));
        }
        let made = session.kms.make_user_key(&session.caller, &business, kind_of(kind)?, application)?;
        let mut room = KMSS_USER_KEY_ID_LEN;
        // SAFETY: as above.
        unsafe {
            Out::buffer(id, &raw mut room)?.put(&made.id)?;
            put_text(wrapped, &made.wrapped.to_text()?)
        }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Encrypts under a business key by SM4-CBC: in the long form for `application`, or with NULL in the short form under the vector
/// with the number `iv_number`. Nothing authenticates the ciphertext, and in the short form equal plaintexts have equal
/// ciphertexts: for compatibility alone. `*ciphertext` is text, which `kmss_free` frees.
///
/// # Safety
/// `application` is NULL or NUL-terminated; `plaintext` points to `plaintext_len` bytes; `ciphertext` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_business_encrypt(
    session: *mut kmss_session,
    business: *mut kmss_key,
    application: *const c_char,
    iv_number: u32,
    plaintext: *const u8,
    plaintext_len: usize,
    ciphertext: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        let business = KEYS.find(business)?.now(&session)?;
        // SAFETY: the caller's promise, passed on.
        let (application, plaintext) =
            unsafe { (text(application, "application")?, bytes(plaintext, plaintext_len, "plaintext")?) };
        let form = match application {
            Some(application) => BusinessForm::Long(Application::parse(application)?),
            None => BusinessForm::Short(iv_number),
        };
        let made = session.kms.encrypt_business(&session.caller, &business, form, plaintext)?;
        // SAFETY: as above.
        unsafe { put_text(ciphertext, &made) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Encrypts under a user key by SM4-CBC: in the long form, which carries the user key, for `application`, or with NULL in the short
/// form. What `kmss_business_encrypt` says of its ciphertexts holds for these.
///
/// # Safety
/// `id` points to 16 bytes; `wrapped` is NUL-terminated; the rest as `kmss_business_encrypt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_user_encrypt(
    session: *mut kmss_session,
    id: *const u8,
    wrapped: *const c_char,
    application: *const c_char,
    plaintext: *const u8,
    plaintext_len: usize,
    ciphertext: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (user, application, plaintext) = unsafe {
            let plaintext = bytes(plaintext, plaintext_len, "plaintext")?;
            (user_key(id, wrapped)?.ok_or_else(missing)?, text(application, "application")?, plaintext)
        };
        let application = application.map(Application::parse).transpose()?;
        let made = session.kms.encrypt_user(&session.caller, &user, application, plaintext)?;
        // SAFETY: as above.
        unsafe { put_text(ciphertext, &made) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Decrypts a ciphertext of any of these forms. The key is found from the ciphertext alone, but for the short form of user keys,
/// which wants `id` and `wrapped`; both may be NULL otherwise. `*plaintext` is freed by `kmss_free`.
///
/// Errors: KMSS_INVALID_DATA, the same for everything that is wrong with a ciphertext, its key or its padding; KMSS_KEY_STATE,
/// KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `ciphertext` points to `ciphertext_len` bytes; `id` is NULL or points to 16 bytes, `wrapped` is NULL or NUL-terminated;
/// `plaintext` and `plaintext_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_compat_decrypt_alloc(
    session: *mut kmss_session,
    ciphertext: *const u8,
    ciphertext_len: usize,
    id: *const u8,
    wrapped: *const c_char,
    plaintext: *mut *mut u8,
    plaintext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (ciphertext, user, out) = unsafe {
            let out = Out::memory(plaintext, plaintext_len)?;
            (bytes(ciphertext, ciphertext_len, "ciphertext")?, user_key(id, wrapped)?, out)
        };
        out.put(&session.kms.decrypt_compat(&session.caller, ciphertext, user.as_ref())?)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// The MAC of `data` under a user key for HMAC, by the two-call pattern: 32 bytes.
///
/// # Safety
/// `id` points to 16 bytes; `wrapped` is NUL-terminated; `data` points to `data_len` bytes; `mac` is NULL or points to `*mac_len`
/// writable bytes; `mac_len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_user_mac(
    session: *mut kmss_session,
    id: *const u8,
    wrapped: *const c_char,
    kind: kmss_user_key_kind,
    data: *const u8,
    data_len: usize,
    mac: *mut u8,
    mac_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    const LEN: usize = 32;
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (user, data, out) = unsafe {
            let out = Out::buffer(mac, mac_len)?;
            (user_key(id, wrapped)?.ok_or_else(missing)?, bytes(data, data_len, "data")?, out)
        };
        let kind = kind_of(kind)?;
        if !out.takes(LEN)? {
            return Ok(());
        }
        out.put(&session.kms.mac_user(&session.caller, &user, kind, data)?)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn missing() -> Failure {
    Failure::argument("id and wrapped are NULL")
}
