//! Signing and verifying.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use libkmss::error::{Error, ErrorKind};
use libkmss::operation::{ObjectRef, Sign, Verify};

use crate::algorithm::{Signature, Wish, digest_len, kmss_algorithm};
use crate::boundary::{Versioned, bytes, enter, options};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{FoundKey, KEYS, kmss_key};
use crate::out::Out;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;

/// `data` is the digest that the algorithm is named with (of SM2 the value e), not the message.
pub const KMSS_SIGN_DIGEST: u32 = 1;
/// The signature is DER (SEQUENCE of r and s; RFC 3279, GM/T 0009), not r ‖ s: with ECDSA and SM2.
pub const KMSS_SIGN_DER: u32 = 2;

/// What is said of a signature beside its algorithm. Set all of it to zero, then `size` to `sizeof(kmss_sign_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_sign_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_SIGN_…, or-ed together.
    pub flags: u32,
    /// SM2 of a message: the signer's identity; NULL for the usual one, `1234567812345678`.
    pub user_id: *const u8,
    /// Its length in bytes.
    pub user_id_len: usize,
    /// Ed25519ctx, Ed448, ML-DSA and SLH-DSA: the context, at most 255 bytes; NULL for none.
    pub context: *const u8,
    /// Its length in bytes.
    pub context_len: usize,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_sign_options {}

/// What is said of a signature, read.
///
/// # Safety
/// `given` is what C callers promise of it; what is returned lives no longer than that.
pub(crate) unsafe fn wish<'a>(given: *const kmss_sign_options) -> Result<Wish<'a>, Failure> {
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_sign_options") }?;
    if given.flags & !(KMSS_SIGN_DIGEST | KMSS_SIGN_DER) != 0 {
        return Err(Failure::argument("flags is none of KMSS_SIGN_…"));
    }
    // SAFETY: passed on.
    let (user_id, context) = unsafe {
        (bytes(given.user_id, given.user_id_len, "user_id")?, bytes(given.context, given.context_len, "context")?)
    };
    Ok(Wish {
        digest: given.flags & KMSS_SIGN_DIGEST != 0,
        der: given.flags & KMSS_SIGN_DER != 0,
        user_id: (!given.user_id.is_null()).then_some(user_id),
        context,
    })
}

/// Signs `data`, the message or its digest, with a private key.
///
/// The signature goes to `signature` by the two-call pattern; asking for the size uses no key and is not recorded. DER signatures
/// may be some bytes shorter than that: `*signature_len` becomes what was written. `sign_options` may be NULL.
///
/// Errors: KMSS_BUFFER_TOO_SMALL, KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_NOT_FOUND (the key was destroyed),
/// KMSS_INVALID_DATA for a digest of another length, KMSS_AUDIT_UNAVAILABLE; KMSS_NOT_LOGGED_IN for a key that asks for its user's
/// PIN at each use, which only PKCS#11 programs can give.
///
/// # Safety
/// `sign_options` is NULL or points to its struct; `data` points to `data_len` bytes; `signature` is NULL or points to
/// `*signature_len` writable bytes; `signature_len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_sign(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_algorithm,
    sign_options: *const kmss_sign_options,
    data: *const u8,
    data_len: usize,
    signature: *mut u8,
    signature_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (wish, data, out) =
            unsafe { (wish(sign_options)?, bytes(data, data_len, "data")?, Out::buffer(signature, signature_len)?) };
        sign((&*SESSIONS.find(session)?, &*KEYS.find(key)?), (algorithm, &wish), data, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_sign`, into memory that `kmss_free` frees.
///
/// # Safety
/// As `kmss_sign`; `signature` and `signature_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_sign_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_algorithm,
    sign_options: *const kmss_sign_options,
    data: *const u8,
    data_len: usize,
    signature: *mut *mut u8,
    signature_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (wish, data, out) =
            unsafe { (wish(sign_options)?, bytes(data, data_len, "data")?, Out::memory(signature, signature_len)?) };
        sign((&*SESSIONS.find(session)?, &*KEYS.find(key)?), (algorithm, &wish), data, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn sign(
    (session, key): (&LoggedIn, &FoundKey),
    (algorithm, wish): (kmss_algorithm, &Wish<'_>),
    data: &[u8],
    out: Out<'_>,
) -> Result<(), Failure> {
    let object = key.now(session)?;
    if object.key().is_some_and(|key| key.protection.always_authenticate) {
        return Err(asks_each_time());
    }
    let how = Signature::of(&object, algorithm, wish)?;
    check_digest(algorithm, wish, data)?;
    if !out.takes(how.longest())? {
        return Ok(());
    }
    let raw = signed(session, ObjectRef::clone(&key.object), &how.mechanism, &how.input(data))?;
    if raw.len() > how.longest() {
        return Err(Error::new(ErrorKind::Internal, "the signature is longer than announced").into());
    }
    out.put(&how.shown(raw)?)
}

/// What a key makes of `data`: a signature or a MAC.
pub(crate) fn signed(
    session: &LoggedIn,
    key: ObjectRef,
    mechanism: &libkmss::mechanism::Mechanism,
    data: &[u8],
) -> Result<Vec<u8>, Failure> {
    let mut signing = session.kms.begin(&session.caller, Sign { key, how: mechanism.clone().into() })?;
    Ok(signing.finish(data, |running| {
        let mut made = vec![0; running.signature_len()];
        running.update(data)?;
        let len = running.finish(&mut made)?;
        made.truncate(len);
        Ok(made)
    })?)
}

/// Verifies a signature of `data` with a public key.
///
/// KMSS_OK: it is right. KMSS_SIGNATURE_INVALID: it is not. Anything else: it could not be checked.
///
/// # Safety
/// `verify_options` is NULL or points to its struct; `data` points to `data_len` bytes, `signature` to `signature_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_verify(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_algorithm,
    verify_options: *const kmss_sign_options,
    data: *const u8,
    data_len: usize,
    signature: *const u8,
    signature_len: usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (wish, data, signature) = unsafe {
            let signature = bytes(signature, signature_len, "signature")?;
            (wish(verify_options)?, bytes(data, data_len, "data")?, signature)
        };
        let object = key.now(&session)?;
        let how = Signature::of(&object, algorithm, &wish)?;
        check_digest(algorithm, &wish, data)?;
        let signature = how.read(signature)?;
        verified(&session, ObjectRef::clone(&key.object), &how.mechanism, (&how.input(data), &signature))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Whether `signature` is the key's, or its MAC, of `data`.
pub(crate) fn verified(
    session: &LoggedIn,
    key: ObjectRef,
    mechanism: &libkmss::mechanism::Mechanism,
    (data, signature): (&[u8], &[u8]),
) -> Result<(), Failure> {
    let mut verifying = session.kms.begin(&session.caller, Verify { key, how: mechanism.clone().into() })?;
    Ok(verifying.finish(data, |running| {
        running.update(data)?;
        running.finish(signature)
    })?)
}

/// Refuses a digest of another length than the algorithm's.
pub(crate) fn check_digest(algorithm: kmss_algorithm, wish: &Wish<'_>, data: &[u8]) -> Result<(), Failure> {
    if wish.digest && data.len() != digest_len(algorithm) {
        let why = format!("the digest of this algorithm has {} bytes", digest_len(algorithm));
        return Err(Error::new(ErrorKind::DataLength, why).into());
    }
    Ok(())
}

/// A key that no call of this interface can use.
pub(crate) fn asks_each_time() -> Failure {
    let sentence = "the key asks for its user's PIN at each use; only PKCS#11 programs can give it";
    Error::new(ErrorKind::NotLoggedIn, sentence).into()
}
