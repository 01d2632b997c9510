//! Messages in our own format (docs/ciphertext.md): ciphertexts that name their key.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::sync::Arc;

use libkmss::error::{Error, ErrorKind};
use libkmss::mechanism::{EncryptionContext, Native, NativeAlgorithm, NativeHeader};
use libkmss::operation::{DecryptMessage, EncryptMessage, ObjectRef};

use crate::boundary::{bytes, context, enter, kmss_pair};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{FoundKey, KEYS, kmss_key};
use crate::out::Out;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;

/// What encrypts a message. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_message_algorithm = u32;

/// The usual one of the key's type: AES-256-GCM, SM4-GCM, or ChaCha20-Poly1305 with ChaCha20 keys.
pub const KMSS_MESSAGE_USUAL: kmss_message_algorithm = 0;
/// AES-256-GCM, with AES keys of 256 bits.
pub const KMSS_MESSAGE_AES_256_GCM: kmss_message_algorithm = 1;
/// ChaCha20-Poly1305, with AES keys of 256 bits and ChaCha20 keys.
pub const KMSS_MESSAGE_CHACHA20_POLY1305: kmss_message_algorithm = 2;
/// SM4-GCM, with SM4 keys.
pub const KMSS_MESSAGE_SM4_GCM: kmss_message_algorithm = 3;
/// AES-SIV (RFC 5297), with AES keys of 256 bits: equal plaintexts in equal contexts give equal ciphertexts, which can be searched
/// for and tell everybody that they are equal.
pub const KMSS_MESSAGE_DETERMINISTIC_AES_SIV: kmss_message_algorithm = 4;

/// How many bytes a ciphertext is longer than its plaintext.
pub const KMSS_MESSAGE_OVERHEAD: usize = 90;
/// Longest plaintext of one message in bytes. What is longer is encrypted under a data key, or sealed as a file.
pub const KMSS_MESSAGE_MAX: usize = 65536;

const _: () = assert!(KMSS_MESSAGE_OVERHEAD == NativeHeader::OVERHEAD && KMSS_MESSAGE_MAX == Native::MAX);

/// How a key encrypts messages.
pub(crate) fn native(
    key: &FoundKey,
    algorithm: kmss_message_algorithm,
    context: EncryptionContext,
) -> Result<Native, Failure> {
    let label = match algorithm {
        KMSS_MESSAGE_USUAL => None,
        KMSS_MESSAGE_AES_256_GCM => Some(NativeAlgorithm::Aes256Gcm.label()),
        KMSS_MESSAGE_CHACHA20_POLY1305 => Some(NativeAlgorithm::ChaCha20Poly1305.label()),
        KMSS_MESSAGE_SM4_GCM => Some(NativeAlgorithm::Sm4Gcm.label()),
        KMSS_MESSAGE_DETERMINISTIC_AES_SIV => Some(NativeAlgorithm::DeterministicAesSiv.label()),
        _ => return Err(Failure::argument("algorithm is none of KMSS_MESSAGE_…")),
    };
    let found = match label {
        None => NativeAlgorithm::usual(key.key_type),
        Some(label) => NativeAlgorithm::of_label(label, key.key_type),
    };
    let unfit = || {
        let why = format!("keys of type {} do not encrypt messages so", key.key_type.name());
        Error::new(ErrorKind::KeyType, why)
    };
    Ok(Native { algorithm: found.ok_or_else(unfit)?, context })
}

/// Encrypts a message with `key`, a secret key, and authenticates `context` with it.
///
/// `plaintext` has at most KMSS_MESSAGE_MAX bytes. The ciphertext has KMSS_MESSAGE_OVERHEAD bytes more and goes to `ciphertext` by
/// the two-call pattern; asking for its size uses no key and is not recorded. It says itself which key it needs (`kmss_inspect`).
/// `context` has `context_len` pairs, at most 64, in any order, with 8 KiB of names and values; they are not in the ciphertext,
/// and who decrypts has to give the same ones. Policies and the audit see their names.
///
/// Errors: KMSS_KEY_MISMATCH for a key that `algorithm` is not for, KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED,
/// KMSS_INVALID_DATA for a plaintext that is too long, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `context` points to `context_len` pairs, `plaintext` to `plaintext_len` bytes; `ciphertext` is NULL or points to
/// `*ciphertext_len` writable bytes; `ciphertext_len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_encrypt(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_message_algorithm,
    context: *const kmss_pair,
    context_len: usize,
    plaintext: *const u8,
    plaintext_len: usize,
    ciphertext: *mut u8,
    ciphertext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (out, plaintext) =
            unsafe { (Out::buffer(ciphertext, ciphertext_len)?, bytes(plaintext, plaintext_len, "plaintext")?) };
        // SAFETY: as above.
        unsafe { encrypt((session, key), algorithm, (context, context_len), plaintext, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_encrypt`, into memory that `kmss_free` frees.
///
/// # Safety
/// As `kmss_encrypt`; `ciphertext` and `ciphertext_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_encrypt_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_message_algorithm,
    context: *const kmss_pair,
    context_len: usize,
    plaintext: *const u8,
    plaintext_len: usize,
    ciphertext: *mut *mut u8,
    ciphertext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (out, plaintext) =
            unsafe { (Out::memory(ciphertext, ciphertext_len)?, bytes(plaintext, plaintext_len, "plaintext")?) };
        // SAFETY: as above.
        unsafe { encrypt((session, key), algorithm, (context, context_len), plaintext, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// As [`context`].
unsafe fn encrypt(
    (session, key): (*const kmss_session, *const kmss_key),
    algorithm: kmss_message_algorithm,
    (pairs, pairs_len): (*const kmss_pair, usize),
    plaintext: &[u8],
    out: Out<'_>,
) -> Result<(), Failure> {
    let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
    // SAFETY: passed on.
    let Native { algorithm, context } = native(&key, algorithm, unsafe { context(pairs, pairs_len) }?)?;
    if !out.takes(plaintext.len().saturating_add(KMSS_MESSAGE_OVERHEAD))? {
        return Ok(());
    }
    let operation = EncryptMessage::new(ObjectRef::clone(&key.object), algorithm, context, plaintext);
    out.put(&session.kms.perform(&session.caller, operation)?)
}

/// Decrypts a message that `kmss_encrypt` made. The key is the one that the ciphertext names, whatever it is called today.
///
/// `context` is the one that it was encrypted with, in any order. The plaintext goes to `plaintext` by the two-call pattern;
/// asking for its size uses no key and is not recorded.
///
/// Errors: KMSS_INVALID_DATA, the same for whatever is wrong with a ciphertext or its context; KMSS_NOT_FOUND for one whose key
/// is not in this token; KMSS_KEY_STATE, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// As `kmss_encrypt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_decrypt(
    session: *mut kmss_session,
    context: *const kmss_pair,
    context_len: usize,
    ciphertext: *const u8,
    ciphertext_len: usize,
    plaintext: *mut u8,
    plaintext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (out, ciphertext) =
            unsafe { (Out::buffer(plaintext, plaintext_len)?, bytes(ciphertext, ciphertext_len, "ciphertext")?) };
        // SAFETY: as above.
        unsafe { decrypt(session, (context, context_len), ciphertext, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_decrypt`, into memory that `kmss_free` wipes and frees.
///
/// # Safety
/// As `kmss_decrypt`; `plaintext` and `plaintext_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_decrypt_alloc(
    session: *mut kmss_session,
    context: *const kmss_pair,
    context_len: usize,
    ciphertext: *const u8,
    ciphertext_len: usize,
    plaintext: *mut *mut u8,
    plaintext_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (out, ciphertext) =
            unsafe { (Out::memory(plaintext, plaintext_len)?, bytes(ciphertext, ciphertext_len, "ciphertext")?) };
        // SAFETY: as above.
        unsafe { decrypt(session, (context, context_len), ciphertext, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// # Safety
/// As [`context`].
unsafe fn decrypt(
    session: *const kmss_session,
    (pairs, pairs_len): (*const kmss_pair, usize),
    ciphertext: &[u8],
    out: Out<'_>,
) -> Result<(), Failure> {
    let session = SESSIONS.find(session)?;
    // SAFETY: passed on.
    let context = unsafe { context(pairs, pairs_len) }?;
    if !out.takes(ciphertext.len().saturating_sub(KMSS_MESSAGE_OVERHEAD))? {
        return Ok(());
    }
    out.put(&session.kms.perform(&session.caller, DecryptMessage::new(ciphertext, context))?)
}

/// Decrypts a message and encrypts it anew under `key`, by `algorithm`, with `new_context`: the plaintext is shown to nobody. Both
/// are decided and recorded as operations of their own.
///
/// The new ciphertext is as long as the old one and goes to `out` by the two-call pattern.
///
/// Errors: as `kmss_decrypt` and `kmss_encrypt`.
///
/// # Safety
/// As `kmss_encrypt`; `out` is NULL or points to `*out_len` writable bytes, `out_len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_reencrypt(
    session: *mut kmss_session,
    context: *const kmss_pair,
    context_len: usize,
    ciphertext: *const u8,
    ciphertext_len: usize,
    key: *mut kmss_key,
    algorithm: kmss_message_algorithm,
    new_context: *const kmss_pair,
    new_context_len: usize,
    out: *mut u8,
    out_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (out, ciphertext) =
            unsafe { (Out::buffer(out, out_len)?, bytes(ciphertext, ciphertext_len, "ciphertext")?) };
        // SAFETY: as above.
        let contexts = unsafe {
            (crate::boundary::context(context, context_len)?, crate::boundary::context(new_context, new_context_len)?)
        };
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        reencrypt(&session, ciphertext, contexts, (&key, algorithm), out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_reencrypt`, into memory that `kmss_free` frees.
///
/// # Safety
/// As `kmss_reencrypt`; `out` and `out_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_reencrypt_alloc(
    session: *mut kmss_session,
    context: *const kmss_pair,
    context_len: usize,
    ciphertext: *const u8,
    ciphertext_len: usize,
    key: *mut kmss_key,
    algorithm: kmss_message_algorithm,
    new_context: *const kmss_pair,
    new_context_len: usize,
    out: *mut *mut u8,
    out_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (out, ciphertext) =
            unsafe { (Out::memory(out, out_len)?, bytes(ciphertext, ciphertext_len, "ciphertext")?) };
        // SAFETY: as above.
        let contexts = unsafe {
            (crate::boundary::context(context, context_len)?, crate::boundary::context(new_context, new_context_len)?)
        };
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        reencrypt(&session, ciphertext, contexts, (&key, algorithm), out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn reencrypt(
    session: &LoggedIn,
    ciphertext: &[u8],
    (from, to): (EncryptionContext, EncryptionContext),
    (key, algorithm): (&Arc<FoundKey>, kmss_message_algorithm),
    out: Out<'_>,
) -> Result<(), Failure> {
    let native = native(key, algorithm, to)?;
    if !out.takes(ciphertext.len())? {
        return Ok(());
    }
    let to = (ObjectRef::clone(&key.object), native);
    out.put(&session.kms.reencrypt_message(&session.caller, ciphertext, from, to)?)
}
