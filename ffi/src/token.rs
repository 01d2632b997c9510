//! Tokens in the place of values: computed by FF1, or random and kept in the vault (docs/tokenization.md).
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::error::{Error, ErrorKind};
use libkmss::mechanism::{BlockCipher, Ff1, Format, KeyType, Mechanism};
use libkmss::operation::{Decrypt, Detokenize, Encrypt, ObjectRef, Tokenize};
use zeroize::Zeroizing;

use crate::boundary::{Versioned, bytes, enter, options, word};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{FoundKey, KEYS, kmss_key};
use crate::out::Out;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;

/// Random tokens, which the vault keeps, instead of computed ones.
pub const KMSS_TOKEN_VAULT: u32 = 1;
/// `kmss_detokenize`: most of the value is hidden, as its format says; a permission of its own.
pub const KMSS_TOKEN_MASKED: u32 = 2;

/// What values and tokens look like. Set all of it to zero, then `size` to `sizeof(kmss_token_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_token_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_TOKEN_…, or-ed together.
    pub flags: u32,
    /// The format: `card`, `card-bin`, `id-number`, `mobile`, `account`, `date`, `email`, `digits(first=2)`, …
    pub format: *const c_char,
    /// Computed tokens: what tells uses of one key apart, at most 256 bytes; NULL for nothing.
    pub tweak: *const u8,
    /// Its length in bytes.
    pub tweak_len: usize,
    /// Random tokens: for how many seconds the token stands for the value; 0 for ever.
    pub expires_s: u64,
    /// Computed tokens: the version that the key is to be, which is the one that its handle stands for; 0: not said. A key that was
    /// rotated is refused without it, except by a handle of a former version: tokens do not say which version made them, and any
    /// other gives a value that is wrong and looks right.
    pub key_version: u32,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_token_options {}

/// How values become tokens.
struct How {
    flags: u32,
    cipher: BlockCipher,
    format: Format,
    tweak: Vec<u8>,
    life: Option<u64>,
    version: Option<u32>,
}

impl How {
    /// # Safety
    /// `given` is what C callers promise of it.
    unsafe fn read(given: *const kmss_token_options, key: &FoundKey) -> Result<Self, Failure> {
        // SAFETY: passed on.
        let given = unsafe { options(given, "kmss_token_options") }?;
        if given.flags & !(KMSS_TOKEN_VAULT | KMSS_TOKEN_MASKED) != 0 {
            return Err(Failure::argument("flags is none of KMSS_TOKEN_…"));
        }
        // SAFETY: passed on.
        let (format, tweak) =
            unsafe { (word(given.format, "format")?, bytes(given.tweak, given.tweak_len, "tweak")?.to_vec()) };
        let cipher = match key.key_type {
            KeyType::Aes => BlockCipher::Aes,
            KeyType::Sm4 => BlockCipher::Sm4,
            _ => return Err(Error::new(ErrorKind::KeyType, "tokens are made with keys of AES or SM4").into()),
        };
        let life = (given.expires_s != 0).then_some(given.expires_s);
        let version = (given.key_version != 0).then_some(given.key_version);
        let how = Self { flags: given.flags, cipher, format: format.parse()?, tweak, life, version };
        let computed = !how.tweak.is_empty() || how.version.is_some();
        let unused = if how.has(KMSS_TOKEN_VAULT) { computed } else { how.life.is_some() };
        if unused {
            let why = "a tweak and key_version are for computed tokens, and expires_s for those of the vault";
            return Err(Failure::argument(why));
        }
        Ok(how)
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn ff1(self) -> Result<Mechanism, Failure> {
        let masked = self.has(KMSS_TOKEN_MASKED);
        let how = Ff1::new(self.cipher, self.format, self.tweak)?;
        let how = match self.version {
            Some(version) => how.by_version(version),
            None => how,
        };
        Ok(Mechanism::Ff1(if masked { how.masked() } else { how }))
    }
}

/// Puts a token in the place of a value (UTF-8, not terminated), with a key of AES or SM4.
///
/// The token goes to `token` by the two-call pattern; the size that is asked for is the largest that a token of such a value has,
/// and the same length for all formats of ASCII.
///
/// Errors: KMSS_INVALID_DATA for a value that the format does not have, KMSS_INVALID_ARGUMENT for an unknown format, too small a
/// domain, another `key_version` than the handle's, or none where the key was rotated, KMSS_KEY_MISMATCH, KMSS_KEY_STATE also for
/// computed tokens by a former version, KMSS_DENIED, KMSS_QUOTA_EXCEEDED, KMSS_CONFLICT where the vault is full,
/// KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `token_options` points to its struct, `value` to `value_len` bytes; `token` is NULL or points to `*token_len` writable bytes;
/// `token_len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_tokenize(
    session: *mut kmss_session,
    key: *mut kmss_key,
    token_options: *const kmss_token_options,
    value: *const u8,
    value_len: usize,
    token: *mut u8,
    token_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (how, value, out) = unsafe {
            let value = bytes(value, value_len, "value")?;
            (How::read(token_options, &key)?, value, Out::buffer(token, token_len)?)
        };
        tokenize((&session, &key), how, value, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_tokenize`, into memory that `kmss_free` frees, with a NUL behind it.
///
/// # Safety
/// As `kmss_tokenize`; `token` and `token_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_tokenize_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    token_options: *const kmss_token_options,
    value: *const u8,
    value_len: usize,
    token: *mut *mut u8,
    token_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (how, value, out) = unsafe {
            let value = bytes(value, value_len, "value")?;
            (How::read(token_options, &key)?, value, Out::memory(token, token_len)?)
        };
        tokenize((&session, &key), how, value, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn tokenize((session, key): (&LoggedIn, &FoundKey), how: How, value: &[u8], out: Out<'_>) -> Result<(), Failure> {
    if how.has(KMSS_TOKEN_MASKED) {
        return Err(Failure::argument("KMSS_TOKEN_MASKED is for reading values"));
    }
    if !out.takes(how.format.longest(value.len()))? {
        return Ok(());
    }
    let object = ObjectRef::clone(&key.object);
    if how.has(KMSS_TOKEN_VAULT) {
        let How { cipher, format, life, .. } = how;
        let value = Zeroizing::new(value.to_vec());
        let made = session.kms.perform(&session.caller, Tokenize { key: object, cipher, format, value, life })?;
        return out.put(made.as_bytes());
    }
    let operation = Encrypt { key: object, how: how.ff1()?.into() };
    let made = session.kms.begin(&session.caller, operation)?.finish(value, |running| {
        let mut made = Zeroizing::new(vec![0; running.finish_len(value.len())]);
        let len = running.finish(value, &mut made)?;
        made.truncate(len);
        Ok(made)
    })?;
    out.put(&made)
}

/// Gets the value of a token back; with KMSS_TOKEN_MASKED the part of it that many may see. The rest as `kmss_tokenize`.
///
/// Errors: KMSS_INVALID_DATA for what stands for nothing; as `kmss_tokenize`.
///
/// # Safety
/// As `kmss_tokenize`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_detokenize(
    session: *mut kmss_session,
    key: *mut kmss_key,
    token_options: *const kmss_token_options,
    token: *const u8,
    token_len: usize,
    value: *mut u8,
    value_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (how, token, out) = unsafe {
            let token = bytes(token, token_len, "token")?;
            (How::read(token_options, &key)?, token, Out::buffer(value, value_len)?)
        };
        detokenize((&session, &key), how, token, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_detokenize`, into memory that `kmss_free` wipes and frees, with a NUL behind it.
///
/// # Safety
/// As `kmss_detokenize`; `value` and `value_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_detokenize_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    token_options: *const kmss_token_options,
    token: *const u8,
    token_len: usize,
    value: *mut *mut u8,
    value_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (how, token, out) = unsafe {
            let token = bytes(token, token_len, "token")?;
            (How::read(token_options, &key)?, token, Out::memory(value, value_len)?)
        };
        detokenize((&session, &key), how, token, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn detokenize((session, key): (&LoggedIn, &FoundKey), how: How, token: &[u8], out: Out<'_>) -> Result<(), Failure> {
    if !out.takes(how.format.longest(token.len()))? {
        return Ok(());
    }
    let object = ObjectRef::clone(&key.object);
    if how.has(KMSS_TOKEN_VAULT) {
        let masked = how.has(KMSS_TOKEN_MASKED);
        let How { cipher, format, .. } = how;
        let operation = Detokenize { key: object, cipher, format, token: token.to_vec(), masked };
        return out.put(session.kms.perform(&session.caller, operation)?.as_bytes());
    }
    let operation = Decrypt { key: object, how: how.ff1()?.into() };
    let made = session.kms.begin(&session.caller, operation)?.finish(token, |running| {
        let mut made = Zeroizing::new(vec![0; running.finish_len(token.len())]);
        let len = running.finish(token, &mut made)?;
        made.truncate(len);
        Ok(made)
    })?;
    out.put(&made)
}
