//! Message authentication codes, digests and random bytes.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use libkmss::mechanism::{BlockCipher, Hash, MacMechanism, Mechanism};
use libkmss::operation::{Digest, DrawRandom, ObjectRef};
use zeroize::Zeroizing;

use crate::boundary::{bytes, enter};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{FoundKey, KEYS, kmss_key};
use crate::out::Out;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::sign::{asks_each_time, signed, verified};
use crate::status::kmss_status;

/// A MAC. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_mac_algorithm = u32;

/// HMAC with SHA-256 (FIPS 198-1): 32 bytes.
pub const KMSS_HMAC_SHA256: kmss_mac_algorithm = 1;
/// HMAC with SHA-384: 48 bytes.
pub const KMSS_HMAC_SHA384: kmss_mac_algorithm = 2;
/// HMAC with SHA-512: 64 bytes.
pub const KMSS_HMAC_SHA512: kmss_mac_algorithm = 3;
/// HMAC with SM3: 32 bytes.
pub const KMSS_HMAC_SM3: kmss_mac_algorithm = 4;
/// AES-CMAC (SP 800-38B): 16 bytes.
pub const KMSS_AES_CMAC: kmss_mac_algorithm = 5;
/// SM4-CMAC: 16 bytes.
pub const KMSS_SM4_CMAC: kmss_mac_algorithm = 6;
/// HMAC with SHA3-256: 32 bytes.
pub const KMSS_HMAC_SHA3_256: kmss_mac_algorithm = 7;
/// HMAC with SHA3-384: 48 bytes.
pub const KMSS_HMAC_SHA3_384: kmss_mac_algorithm = 8;
/// HMAC with SHA3-512: 64 bytes.
pub const KMSS_HMAC_SHA3_512: kmss_mac_algorithm = 9;

/// A hash function. Plain numbers in C, so that any other value is an error and not undefined behaviour.
pub type kmss_hash_algorithm = u32;

/// SHA-256 (FIPS 180-4): 32 bytes.
pub const KMSS_SHA256: kmss_hash_algorithm = 1;
/// SHA-384: 48 bytes.
pub const KMSS_SHA384: kmss_hash_algorithm = 2;
/// SHA-512: 64 bytes.
pub const KMSS_SHA512: kmss_hash_algorithm = 3;
/// SM3 (GB/T 32905): 32 bytes.
pub const KMSS_SM3: kmss_hash_algorithm = 4;
/// SHA3-256 (FIPS 202): 32 bytes.
pub const KMSS_SHA3_256: kmss_hash_algorithm = 5;
/// SHA3-384: 48 bytes.
pub const KMSS_SHA3_384: kmss_hash_algorithm = 6;
/// SHA3-512: 64 bytes.
pub const KMSS_SHA3_512: kmss_hash_algorithm = 7;

/// Most random bytes of one call.
pub const KMSS_RANDOM_MAX: usize = 1_048_576;

/// The MAC of a number.
pub(crate) fn mac_of(algorithm: kmss_mac_algorithm) -> Result<MacMechanism, Failure> {
    let hmac = |hash: Hash| MacMechanism::Hmac { hash, len: hash.len() };
    let cmac = |cipher| MacMechanism::Cmac { cipher, len: 16 };
    Ok(match algorithm {
        KMSS_HMAC_SHA256 => hmac(Hash::Sha256),
        KMSS_HMAC_SHA384 => hmac(Hash::Sha384),
        KMSS_HMAC_SHA512 => hmac(Hash::Sha512),
        KMSS_HMAC_SM3 => hmac(Hash::Sm3),
        KMSS_AES_CMAC => cmac(BlockCipher::Aes),
        KMSS_SM4_CMAC => cmac(BlockCipher::Sm4),
        KMSS_HMAC_SHA3_256 => hmac(Hash::Sha3_256),
        KMSS_HMAC_SHA3_384 => hmac(Hash::Sha3_384),
        KMSS_HMAC_SHA3_512 => hmac(Hash::Sha3_512),
        _ => return Err(Failure::argument("algorithm is none of the KMSS_… MAC algorithms")),
    })
}

/// The hash function of a number.
pub(crate) fn hash_of(algorithm: kmss_hash_algorithm) -> Result<Hash, Failure> {
    Ok(match algorithm {
        KMSS_SHA256 => Hash::Sha256,
        KMSS_SHA384 => Hash::Sha384,
        KMSS_SHA512 => Hash::Sha512,
        KMSS_SM3 => Hash::Sm3,
        KMSS_SHA3_256 => Hash::Sha3_256,
        KMSS_SHA3_384 => Hash::Sha3_384,
        KMSS_SHA3_512 => Hash::Sha3_512,
        _ => return Err(Failure::argument("algorithm is none of the KMSS_… hash functions")),
    })
}

/// Computes the MAC of `data` with a secret key.
///
/// It goes to `mac` by the two-call pattern; asking for the size uses no key and is not recorded.
///
/// Errors: as `kmss_sign`.
///
/// # Safety
/// `data` points to `data_len` bytes; `mac` is NULL or points to `*mac_len` writable bytes; `mac_len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_mac(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_mac_algorithm,
    data: *const u8,
    data_len: usize,
    mac: *mut u8,
    mac_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (data, out) = unsafe { (bytes(data, data_len, "data")?, Out::buffer(mac, mac_len)?) };
        compute((&*SESSIONS.find(session)?, &*KEYS.find(key)?), algorithm, data, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// As `kmss_mac`, into memory that `kmss_free` frees.
///
/// # Safety
/// As `kmss_mac`; `mac` and `mac_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_mac_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_mac_algorithm,
    data: *const u8,
    data_len: usize,
    mac: *mut *mut u8,
    mac_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        // SAFETY: the caller's promise, passed on.
        let (data, out) = unsafe { (bytes(data, data_len, "data")?, Out::memory(mac, mac_len)?) };
        compute((&*SESSIONS.find(session)?, &*KEYS.find(key)?), algorithm, data, out)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn compute(
    (session, key): (&LoggedIn, &FoundKey),
    algorithm: kmss_mac_algorithm,
    data: &[u8],
    out: Out<'_>,
) -> Result<(), Failure> {
    let mac = mac_of(algorithm)?;
    if !out.takes(mac.len())? {
        return Ok(());
    }
    if key.now(session)?.key().is_some_and(|key| key.protection.always_authenticate) {
        return Err(asks_each_time());
    }
    out.put(&signed(session, ObjectRef::clone(&key.object), &Mechanism::Mac(mac), data)?)
}

/// Checks the MAC of `data` with a secret key.
///
/// KMSS_OK: it is right. KMSS_SIGNATURE_INVALID: it is not. Anything else: it could not be checked.
///
/// # Safety
/// `data` points to `data_len` bytes, `mac` to `mac_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_verify_mac(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_mac_algorithm,
    data: *const u8,
    data_len: usize,
    mac: *const u8,
    mac_len: usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, key) = (SESSIONS.find(session)?, KEYS.find(key)?);
        // SAFETY: the caller's promise, passed on.
        let (data, mac) = unsafe { (bytes(data, data_len, "data")?, bytes(mac, mac_len, "mac")?) };
        let mechanism = Mechanism::Mac(mac_of(algorithm)?);
        verified(&session, ObjectRef::clone(&key.object), &mechanism, (data, mac))
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Computes the digest of `data`, which goes to `digest` by the two-call pattern.
///
/// # Safety
/// `data` points to `data_len` bytes; `digest` is NULL or points to `*digest_len` writable bytes; `digest_len` points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_hash(
    session: *mut kmss_session,
    algorithm: kmss_hash_algorithm,
    data: *const u8,
    data_len: usize,
    digest: *mut u8,
    digest_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (data, out) = unsafe { (bytes(data, data_len, "data")?, Out::buffer(digest, digest_len)?) };
        let hash = hash_of(algorithm)?;
        if !out.takes(hash.len())? {
            return Ok(());
        }
        let mut digesting = session.kms.begin(&session.caller, Digest::new(hash))?;
        let made = digesting.finish(data, |running| {
            let mut made = vec![0; hash.len()];
            let _ = running.finish(data, &mut made)?;
            Ok(made)
        })?;
        out.put(&made)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Fills `buffer` with `len` random bytes of the generator that makes keys, at most KMSS_RANDOM_MAX.
///
/// # Safety
/// `buffer` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_random(
    session: *mut kmss_session,
    buffer: *mut u8,
    len: usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        if len == 0 {
            return Ok(());
        }
        if buffer.is_null() || len > KMSS_RANDOM_MAX {
            return Err(Failure::argument("buffer is NULL, or len more than KMSS_RANDOM_MAX"));
        }
        let (mut drawn, mut room) = (Zeroizing::new(vec![0; len]), len);
        session.kms.perform(&session.caller, DrawRandom { out: &mut drawn })?;
        // SAFETY: it has room for `len` bytes.
        unsafe { Out::buffer(buffer, &raw mut room) }?.put(&drawn)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}
