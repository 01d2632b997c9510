//! Deriving keys, and agreeing on them.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::key::KeyClass;
use libkmss::mechanism::{EcMechanism, EcdhKdf, Hkdf, HkdfSalt, Kbkdf, KdfMechanism, Mechanism};
use libkmss::operation::{Decapsulate, Derive, Draft, Encapsulate, Expected, ObjectRef};

use crate::boundary::{Versioned, bytes, enter, options, text, word};
use crate::draft::{Wishes, kmss_key_options};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{KEYS, give, kmss_key};
use crate::mac::{KMSS_SHA256, hash_of, kmss_hash_algorithm};
use crate::out::Out;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;
use crate::wrap::secret;

/// A key-derivation function. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_derivation = u32;

/// HKDF (RFC 5869), extract and expand, with `salt` and `info`.
pub const KMSS_DERIVE_HKDF: kmss_derivation = 1;
/// SP 800-108 in counter mode with HMAC: a counter of 32 bits in front of `info`, which is label, zero byte and context.
pub const KMSS_DERIVE_KBKDF_COUNTER: kmss_derivation = 2;
/// ECDH (SP 800-56A, RFC 7748) with `public_key`, and the X9.63 KDF with `info`.
pub const KMSS_DERIVE_ECDH_X963: kmss_derivation = 3;

/// What goes into a derivation. Set all of it to zero, then `size` to `sizeof(kmss_derive_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_derive_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// The hash function; 0 for SHA-256.
    pub hash: kmss_hash_algorithm,
    /// The salt of HKDF; NULL for zeros.
    pub salt: *const u8,
    /// Its length in bytes.
    pub salt_len: usize,
    /// The info.
    pub info: *const u8,
    /// Its length in bytes.
    pub info_len: usize,
    /// ECDH: the other side's public point (uncompressed SEC 1, or the bytes of RFC 7748).
    pub public_key: *const u8,
    /// Its length in bytes.
    pub public_key_len: usize,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_derive_options {}

/// # Safety
/// `given` is what C callers promise of it.
unsafe fn mechanism(derivation: kmss_derivation, given: *const kmss_derive_options) -> Result<Mechanism, Failure> {
    // SAFETY: passed on.
    let given = unsafe { options(given, "kmss_derive_options") }?;
    // SAFETY: passed on.
    let (salt, info, public) = unsafe {
        (
            bytes(given.salt, given.salt_len, "salt")?,
            bytes(given.info, given.info_len, "info")?.to_vec(),
            bytes(given.public_key, given.public_key_len, "public_key")?,
        )
    };
    let hash = hash_of(if given.hash == 0 { KMSS_SHA256 } else { given.hash })?;
    Ok(match derivation {
        KMSS_DERIVE_HKDF => {
            let salt = if salt.is_empty() { HkdfSalt::Zeros } else { HkdfSalt::Bytes(salt.to_vec()) };
            Mechanism::Kdf(KdfMechanism::Hkdf(Hkdf { hash, extract: true, expand: true, salt, info }))
        }
        KMSS_DERIVE_KBKDF_COUNTER => Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf::counter(hash, info))),
        KMSS_DERIVE_ECDH_X963 => {
            let (kdf, public) = (EcdhKdf::X963(hash), public.to_vec());
            Mechanism::Ec(EcMechanism::Ecdh { kdf, public, shared_info: info })
        }
        _ => return Err(Failure::argument("derivation is none of KMSS_DERIVE_…")),
    })
}

/// Derives a secret key of type `type_` (as for `kmss_key_generate`) from `base`. It is called `name` (which may be NULL with
/// KMSS_KEY_SESSION), has `key_options`, which may be NULL, and is where `base` is; `*out` becomes a handle of it that
/// `kmss_key_free` frees.
///
/// Errors: KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_ALREADY_EXISTS, KMSS_UNSUPPORTED, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `derive_options` and `key_options` are NULL or point to their structs; `type_` is NUL-terminated, `name` too or NULL; `out`
/// points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_derive(
    session: *mut kmss_session,
    base: *mut kmss_key,
    derivation: kmss_derivation,
    derive_options: *const kmss_derive_options,
    type_: *const c_char,
    name: *const c_char,
    key_options: *const kmss_key_options,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, base) = (SESSIONS.find(session)?, KEYS.find(base)?);
        // SAFETY: the caller's promise, passed on.
        let (how, wanted, name, wishes) = unsafe {
            let wanted = secret(word(type_, "type_")?)?;
            (mechanism(derivation, derive_options)?, wanted, text(name, "name")?, Wishes::read(key_options)?)
        };
        if out.is_null() {
            return Err(Failure::argument("out is NULL"));
        }
        let (expected, draft) = drafted(&session, name, &wishes, wanted)?;
        let operation = Derive::one(ObjectRef::clone(&base.object), how.into(), expected, draft);
        let missing = || Failure::new(kmss_status::KMSS_INTERNAL, "nothing was derived");
        let key = session.kms.perform(&session.caller, operation)?.keys.pop().ok_or_else(missing)?;
        // SAFETY: as above.
        unsafe { give(&key, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// What is to be made, and its draft.
fn drafted(
    session: &LoggedIn,
    name: Option<&str>,
    wishes: &Wishes<'_>,
    (expected, is_seed): (Expected, bool),
) -> Result<(Expected, Draft), Failure> {
    let mut draft = wishes.draft(session, name, (expected.key_type, KeyClass::Secret))?;
    if is_seed {
        draft.restrict_to_seed();
    }
    Ok((expected, draft))
}

/// Makes a secret key of type `type_` that whoever has the private half of `public_key` can make of `*ciphertext` too: by ML-KEM
/// (FIPS 203), or by ECDH with an ephemeral key and the X9.63 KDF with SHA-256. `*ciphertext` is freed by `kmss_free`; the rest as
/// `kmss_derive`.
///
/// # Safety
/// As `kmss_derive`; `ciphertext` and `ciphertext_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_encapsulate_alloc(
    session: *mut kmss_session,
    public_key: *mut kmss_key,
    type_: *const c_char,
    name: *const c_char,
    key_options: *const kmss_key_options,
    ciphertext: *mut *mut u8,
    ciphertext_len: *mut usize,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, public) = (SESSIONS.find(session)?, KEYS.find(public_key)?);
        // SAFETY: the caller's promise, passed on.
        let (wanted, name, wishes, made) = unsafe {
            let made = Out::memory(ciphertext, ciphertext_len)?;
            (secret(word(type_, "type_")?)?, text(name, "name")?, Wishes::read(key_options)?, made)
        };
        if out.is_null() {
            return Err(Failure::argument("out is NULL"));
        }
        let (expected, draft) = drafted(&session, name, &wishes, wanted)?;
        let (key, how) = (ObjectRef::clone(&public.object), Encapsulate::usual(public.key_type)?.into());
        let (key, ciphertext) = session.kms.perform(&session.caller, Encapsulate { key, how, expected, draft })?;
        made.put(&ciphertext)?;
        // SAFETY: as above.
        unsafe { give(&key, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Makes the secret key that `kmss_encapsulate_alloc` made, of its ciphertext and `private_key`; the rest as `kmss_derive`.
///
/// # Safety
/// As `kmss_derive`; `ciphertext` points to `ciphertext_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_decapsulate(
    session: *mut kmss_session,
    private_key: *mut kmss_key,
    ciphertext: *const u8,
    ciphertext_len: usize,
    type_: *const c_char,
    name: *const c_char,
    key_options: *const kmss_key_options,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, private) = (SESSIONS.find(session)?, KEYS.find(private_key)?);
        // SAFETY: the caller's promise, passed on.
        let (wanted, name, wishes, ciphertext) = unsafe {
            let ciphertext = bytes(ciphertext, ciphertext_len, "ciphertext")?.to_vec();
            (secret(word(type_, "type_")?)?, text(name, "name")?, Wishes::read(key_options)?, ciphertext)
        };
        if out.is_null() {
            return Err(Failure::argument("out is NULL"));
        }
        let (expected, draft) = drafted(&session, name, &wishes, wanted)?;
        let (key, how) = (ObjectRef::clone(&private.object), Encapsulate::usual(private.key_type)?.into());
        let key = session.kms.perform(&session.caller, Decapsulate { key, how, ciphertext, expected, draft })?;
        // SAFETY: as above.
        unsafe { give(&key, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
