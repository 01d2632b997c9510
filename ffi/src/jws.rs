//! Tokens of the web: JSON Web Tokens and Signatures, and the sets of keys that verify them (docs/jwt.md).
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;

use libkmss::jose::{Content, Expected, Jws, JwsAlgorithm, Life, Wanted};

use crate::boundary::{Versioned, bytes, elements, enter, options, text};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{FoundKey, KEYS, kmss_key};
use crate::out::{Out, put_text};
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::sign::asks_each_time;
use crate::status::kmss_status;

/// What is signed is any bytes, not claims.
pub const KMSS_JWS_PAYLOAD: u32 = 1;
/// Claims may hold for ever.
pub const KMSS_JWS_ENDLESS: u32 = 2;

/// How a token is signed, or must have been signed. Set all of it to zero, then `size` to `sizeof(kmss_jws_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_jws_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_JWS_…, or-ed together.
    pub flags: u32,
    /// Verifying: by how many seconds clocks may differ, at most 600.
    pub leeway_s: u32,
    /// Signing claims: they hold for so many seconds from now on (`exp` is added); 0 where they say themselves until when.
    pub lifetime_s: u64,
    /// The algorithm (`PS256`, `RS256`, `ES256`, …) where a key has a choice; NULL for what is usual: PS256 with RSA keys.
    pub algorithm: *const c_char,
    /// The type in the header (`typ`); NULL for `JWT` with claims, and for none with other payloads.
    pub type_: *const c_char,
    /// Verifying claims: who must have made them (`iss`); NULL for anybody.
    pub issuer: *const c_char,
    /// Verifying claims: whom they must be for (`aud`); with NULL claims that name anybody are refused.
    pub audience: *const c_char,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_jws_options {}

/// What a caller says of a token, read.
struct Said {
    flags: u32,
    lifetime: u64,
    how: Jws,
    expected: Expected,
}

impl Said {
    /// # Safety
    /// `given` is what C callers promise of it.
    unsafe fn read(given: *const kmss_jws_options) -> Result<Self, Failure> {
        // SAFETY: passed on.
        let given = unsafe { options(given, "kmss_jws_options") }?;
        if given.flags & !(KMSS_JWS_PAYLOAD | KMSS_JWS_ENDLESS) != 0 {
            return Err(Failure::argument("flags of kmss_jws_options are none of KMSS_JWS_…"));
        }
        // SAFETY: passed on.
        let (algorithm, typ, issuer, audience) = unsafe {
            let typ = text(given.type_, "type_")?;
            let issuer = text(given.issuer, "issuer")?;
            (text(given.algorithm, "algorithm")?, typ, issuer, text(given.audience, "audience")?)
        };
        let [typ, issuer, audience] = [typ, issuer, audience].map(|text| text.map(str::to_owned));
        let endless = given.flags & KMSS_JWS_ENDLESS != 0;
        Ok(Self {
            flags: given.flags,
            lifetime: given.lifetime_s,
            how: Jws { algorithm: algorithm.map(named).transpose()?, typ },
            expected: Expected { issuer, audience, leeway: given.leeway_s, endless },
        })
    }

    const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// What of it is for claims alone was said of something else.
    fn speaks_of_claims(&self) -> bool {
        let Expected { issuer, audience, leeway, endless } = &self.expected;
        self.lifetime != 0 || issuer.is_some() || audience.is_some() || *leeway != 0 || *endless
    }

    /// What is signed.
    fn content<'a>(&self, content: &'a [u8]) -> Result<Content<'a>, Failure> {
        let Expected { issuer, audience, leeway, endless } = &self.expected;
        if issuer.is_some() || audience.is_some() || *leeway != 0 {
            return Err(Failure::argument(
                "issuer, audience and leeway_s are for verifying; claims say them themselves",
            ));
        }
        match (self.has(KMSS_JWS_PAYLOAD), self.lifetime) {
            (true, _) if self.speaks_of_claims() => Err(misplaced()),
            (true, _) => Ok(Content::Bytes(content)),
            (false, 0) => Ok(Content::Claims(content, if *endless { Life::Endless } else { Life::Stated })),
            (false, _) if *endless => Err(Failure::argument("claims have a lifetime, or hold for ever")),
            (false, seconds) => Ok(Content::Claims(content, Life::Seconds(seconds))),
        }
    }

    /// What is to be in a token, and how it must have been signed.
    fn wanted(self) -> Result<(Jws, Wanted), Failure> {
        if self.lifetime != 0 {
            return Err(Failure::argument("lifetime_s is for signing"));
        }
        match self.has(KMSS_JWS_PAYLOAD) {
            true if self.speaks_of_claims() => Err(misplaced()),
            true => Ok((self.how, Wanted::Bytes)),
            false => Ok((self.how, Wanted::Claims(self.expected))),
        }
    }
}

fn misplaced() -> Failure {
    Failure::argument("with KMSS_JWS_PAYLOAD nothing is said of claims")
}

/// The algorithm of this name.
fn named(name: &str) -> Result<JwsAlgorithm, Failure> {
    let unknown = || Failure::argument("algorithm is none of those that sign tokens: RS256, PS256, ES256, EdDSA, …");
    JwsAlgorithm::of_name(name).ok_or_else(unknown)
}

/// Signs a JSON Web Token (RFC 7519), or with KMSS_JWS_PAYLOAD any bytes (RFC 7515), with a private key. The header names the version
/// of the key (`kid`), so that the token verifies after rotations, too.
///
/// `content` is one JSON object of at most 64 KiB that says nothing twice; `iat` is added where it is missing, and `exp` as
/// `lifetime_s` says. `jws_options` may be NULL. `*token` becomes the token in the compact serialization, which `kmss_free` frees.
///
/// Errors: KMSS_INVALID_DATA for what are no claims; KMSS_INVALID_ARGUMENT where nobody says until when they hold, or both do;
/// KMSS_KEY_MISMATCH for keys that do not sign so; as `kmss_sign`.
///
/// # Safety
/// `jws_options` is NULL or points to its struct; `content` points to `content_len` bytes; `token` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_jws_sign(
    session: *mut kmss_session,
    key: *mut kmss_key,
    jws_options: *const kmss_jws_options,
    content: *const u8,
    content_len: usize,
    token: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (said, content) = unsafe { (Said::read(jws_options)?, bytes(content, content_len, "content")?) };
        let content = said.content(content)?;
        if token.is_null() {
            return Err(Failure::argument("token is NULL"));
        }
        let object = key.now(&session)?;
        if object.key().is_some_and(|key| key.protection.always_authenticate) {
            return Err(asks_each_time());
        }
        let signed = session.kms.sign_jws(&session.caller, &object, &said.how, content)?;
        // SAFETY: as above.
        unsafe { put_text(token, &signed.token) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Verifies a token with the version of a key that its header names, or with the one that has the name where it names none, and
/// holds its claims against what `jws_options` say, which may be NULL. `key` is any half and version of that key, whose public half
/// is in the token of the session. What a token says of algorithms and keys otherwise decides nothing.
///
/// `token` has `token_len` bytes and need not be terminated. `*payload` becomes what it holds, which `kmss_free` frees; both
/// pointers may be NULL where nobody wants to know. Nothing is given out of a token that is wrong.
///
/// KMSS_OK: it is right, and holds now. KMSS_SIGNATURE_INVALID: no version of the key signed it. KMSS_INVALID_DATA: it was signed,
/// and its claims are not as they are wanted, have expired or have yet to begin. Anything else: it could not be verified.
///
/// # Safety
/// `jws_options` is NULL or points to its struct; `token` points to `token_len` bytes; `payload` and `payload_len` point to writable
/// values, or both are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_jws_verify_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    jws_options: *const kmss_jws_options,
    token: *const u8,
    token_len: usize,
    payload: *mut *mut u8,
    payload_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (said, token) = unsafe { (Said::read(jws_options)?, bytes(token, token_len, "token")?) };
        let unwanted = payload.is_null() && payload_len.is_null();
        // SAFETY: as above.
        let out = (!unwanted).then(|| unsafe { Out::memory(payload, payload_len) }).transpose()?;
        let held = verified(&session, &key, said, token)?;
        out.map_or(Ok(()), |out| out.put(&held))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// What a token holds that is right.
fn verified(session: &LoggedIn, key: &FoundKey, said: Said, token: &[u8]) -> Result<Vec<u8>, Failure> {
    let (how, wanted) = said.wanted()?;
    // What is no text is no token: it is refused as one, and so recorded.
    let (token, object) = (std::str::from_utf8(token).unwrap_or_default(), key.now(session)?);
    Ok(session.kms.verify_jws(&session.caller, &object, &how, &wanted, token)?.payload)
}

/// Gives out the set (RFC 7517, section 5) of all versions of `keys` that verify now, the one that was made ahead included, as JSON.
/// Each of `keys` is any half and version of a key whose public half is in the token. `algorithm` is that of RSA keys; NULL for
/// PS256. `*json` is freed by `kmss_free`.
///
/// Errors: KMSS_KEY_MISMATCH for keys that sign no tokens, KMSS_NOT_FOUND where a public half is not there, KMSS_INVALID_ARGUMENT.
///
/// # Safety
/// `keys` points to `keys_len` handles; `algorithm` is NULL or NUL-terminated; `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_jwks(
    session: *mut kmss_session,
    keys: *const *mut kmss_key,
    keys_len: usize,
    algorithm: *const c_char,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (keys, algorithm) = unsafe { (elements(keys, keys_len, "keys")?, text(algorithm, "algorithm")?) };
        let algorithm = algorithm.map(named).transpose()?;
        let objects = keys.iter().map(|key| KEYS.find(*key)?.now(&session)).collect::<Result<Vec<_>, _>>()?;
        let set = session.kms.jwks(&session.caller, &objects, algorithm)?;
        // SAFETY: as above.
        unsafe { put_text(json, &set.to_string()) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
