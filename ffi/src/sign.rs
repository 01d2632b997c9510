//! Signing and verifying.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::sync::Arc;

use libkmss::error::{Error, ErrorKind};
use libkmss::key::{Object, PublicComponents};
use libkmss::mechanism::{BlockCipher, EcMechanism, Hash, MacMechanism, Mechanism, Pss, RsaMechanism, Sm2Mechanism};
use libkmss::operation::{ObjectRef, Sign, Verify};

use crate::boundary::{bytes, enter, room};
use crate::failure::Failure;
use crate::key::{KEYS, kmss_key};
use crate::session::{SESSIONS, kmss_session};
use crate::status::kmss_status;

/// A signature or MAC algorithm over the message (not over its digest). Plain numbers in C, so that any other value is an
/// error and not undefined behaviour.
pub type kmss_algorithm = u32;

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2).
pub const KMSS_RSA_PKCS1_SHA256: kmss_algorithm = 1;
/// RSASSA-PKCS1-v1_5 with SHA-384.
pub const KMSS_RSA_PKCS1_SHA384: kmss_algorithm = 2;
/// RSASSA-PKCS1-v1_5 with SHA-512.
pub const KMSS_RSA_PKCS1_SHA512: kmss_algorithm = 3;
/// RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (RFC 8017, 8.1).
pub const KMSS_RSA_PSS_SHA256: kmss_algorithm = 4;
/// RSASSA-PSS with SHA-384, MGF1-SHA-384 and a salt of 48 bytes.
pub const KMSS_RSA_PSS_SHA384: kmss_algorithm = 5;
/// RSASSA-PSS with SHA-512, MGF1-SHA-512 and a salt of 64 bytes.
pub const KMSS_RSA_PSS_SHA512: kmss_algorithm = 6;
/// ECDSA with SHA-256 (FIPS 186-5); the signature is r ‖ s.
pub const KMSS_ECDSA_SHA256: kmss_algorithm = 7;
/// ECDSA with SHA-384; the signature is r ‖ s.
pub const KMSS_ECDSA_SHA384: kmss_algorithm = 8;
/// ECDSA with SHA-512; the signature is r ‖ s.
pub const KMSS_ECDSA_SHA512: kmss_algorithm = 9;
/// Ed25519 (RFC 8032).
pub const KMSS_ED25519: kmss_algorithm = 10;
/// SM2 with SM3 and the default identity (GB/T 32918.2, GB/T 35276); the signature is r ‖ s.
pub const KMSS_SM2_SM3: kmss_algorithm = 11;
/// HMAC with SHA-256 (FIPS 198-1).
pub const KMSS_HMAC_SHA256: kmss_algorithm = 12;
/// HMAC with SHA-384.
pub const KMSS_HMAC_SHA384: kmss_algorithm = 13;
/// HMAC with SHA-512.
pub const KMSS_HMAC_SHA512: kmss_algorithm = 14;
/// HMAC with SM3.
pub const KMSS_HMAC_SM3: kmss_algorithm = 15;
/// AES-CMAC (SP 800-38B).
pub const KMSS_AES_CMAC: kmss_algorithm = 16;

fn mechanism(algorithm: kmss_algorithm) -> Result<Mechanism, Failure> {
    let pkcs1 = |hash| Mechanism::Rsa(RsaMechanism::PkcsHash(hash));
    let pss = |hash: Hash| {
        Mechanism::Rsa(RsaMechanism::Pss { pss: Pss { hash, mgf: hash, salt_len: hash.len() }, message: true })
    };
    let ecdsa = |hash| Mechanism::Ec(EcMechanism::Ecdsa { hash: Some(hash) });
    let hmac = |hash: Hash| Mechanism::Mac(MacMechanism::Hmac { hash, len: hash.len() });
    Ok(match algorithm {
        KMSS_RSA_PKCS1_SHA256 => pkcs1(Hash::Sha256),
        KMSS_RSA_PKCS1_SHA384 => pkcs1(Hash::Sha384),
        KMSS_RSA_PKCS1_SHA512 => pkcs1(Hash::Sha512),
        KMSS_RSA_PSS_SHA256 => pss(Hash::Sha256),
        KMSS_RSA_PSS_SHA384 => pss(Hash::Sha384),
        KMSS_RSA_PSS_SHA512 => pss(Hash::Sha512),
        KMSS_ECDSA_SHA256 => ecdsa(Hash::Sha256),
        KMSS_ECDSA_SHA384 => ecdsa(Hash::Sha384),
        KMSS_ECDSA_SHA512 => ecdsa(Hash::Sha512),
        KMSS_ED25519 => Mechanism::Ec(EcMechanism::PURE_EDDSA),
        KMSS_SM2_SM3 => Mechanism::Sm2(Sm2Mechanism::SignSm3 { id: Sm2Mechanism::DEFAULT_ID.to_vec() }),
        KMSS_HMAC_SHA256 => hmac(Hash::Sha256),
        KMSS_HMAC_SHA384 => hmac(Hash::Sha384),
        KMSS_HMAC_SHA512 => hmac(Hash::Sha512),
        KMSS_HMAC_SM3 => hmac(Hash::Sm3),
        KMSS_AES_CMAC => Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: 16 }),
        _ => return Err(Failure::argument("algorithm is none of the KMSS_… algorithms")),
    })
}

/// Signs `data` (or computes a MAC) with a private or secret key.
///
/// The signature goes to `signature` by the two-call pattern; asking for the size with a NULL buffer is free and is not
/// recorded.
///
/// Errors: KMSS_BUFFER_TOO_SMALL, KMSS_KEY_MISMATCH, KMSS_KEY_STATE, KMSS_DENIED, KMSS_NOT_FOUND (the key was destroyed),
/// KMSS_AUDIT_UNAVAILABLE; KMSS_NOT_LOGGED_IN for a key that asks for its user's PIN at each use, which only PKCS#11
/// programs can give.
///
/// # Safety
/// `data` points to `data_len` bytes; `signature` is NULL or points to `*signature_len` writable bytes; `signature_len`
/// points to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_sign(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_algorithm,
    data: *const u8,
    data_len: usize,
    signature: *mut u8,
    signature_len: *mut usize,
) -> kmss_status {
    enter(|| {
        let session = SESSIONS.find(session)?;
        let key = KEYS.find(key)?;
        // SAFETY: the caller's promise.
        let data = unsafe { bytes(data, data_len, "data") }?;
        let mechanism = mechanism(algorithm)?;
        let object = match &*key {
            ObjectRef::Stored(id) => session.kms.object(&session.caller, *id)?,
            ObjectRef::Ephemeral(object) => Arc::clone(object),
        };
        if object.key().is_some_and(|k| k.protection.always_authenticate) {
            let sentence = "the key asks for its user's PIN at each use; only PKCS#11 programs can give it";
            return Err(Error::new(ErrorKind::NotLoggedIn, sentence).into());
        }
        let needed = signature_len_of(&object, &mechanism)?;
        // SAFETY: the caller's promise.
        let Some(room) = unsafe { room(signature, signature_len, needed) }? else { return Ok(()) };
        let operation = Sign { key: ObjectRef::clone(&key), how: mechanism.into() };
        let mut signing = session.kms.begin(&session.caller, operation)?;
        let made = signing.finish(data, |running| {
            let mut made = vec![0; running.signature_len()];
            running.update(data)?;
            let len = running.finish(&mut made)?;
            made.truncate(len);
            Ok(made)
        })?;
        if made.len() > needed {
            return Err(Error::new(ErrorKind::Internal, "the signature is longer than announced").into());
        }
        // SAFETY: `room` said that the buffer takes `needed` bytes, and `signature_len` is not NULL.
        unsafe {
            std::ptr::copy_nonoverlapping(made.as_ptr(), room, made.len());
            signature_len.write(made.len());
        }
        Ok(())
    })
}

/// Length of the signature, from what is public of the key: asking for it is no use of the key.
fn signature_len_of(object: &Object, mechanism: &Mechanism) -> Result<usize, Failure> {
    if let Mechanism::Mac(mac) = mechanism {
        return Ok(mac.len());
    }
    let version = object.key().ok_or_else(|| Failure::argument("the object is no key"))?.primary()?;
    Ok(match &version.public {
        PublicComponents::Rsa { modulus, .. } => modulus.len(),
        PublicComponents::Ec { curve, .. } => 2 * curve.field_len(),
        PublicComponents::None | PublicComponents::Dh { .. } | PublicComponents::Pqc { .. } => {
            return Err(Error::new(ErrorKind::KeyType, "keys of this type do not sign by this algorithm").into());
        }
    })
}

/// Verifies a signature (or MAC) over `data` with a public or secret key.
///
/// KMSS_OK: it is right. KMSS_SIGNATURE_INVALID: it is not. Anything else: it could not be checked.
///
/// # Safety
/// `data` points to `data_len` bytes, `signature` to `signature_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_verify(
    session: *mut kmss_session,
    key: *mut kmss_key,
    algorithm: kmss_algorithm,
    data: *const u8,
    data_len: usize,
    signature: *const u8,
    signature_len: usize,
) -> kmss_status {
    enter(|| {
        let session = SESSIONS.find(session)?;
        let key = KEYS.find(key)?;
        // SAFETY: the caller's promise.
        let (data, signature) =
            unsafe { (bytes(data, data_len, "data")?, bytes(signature, signature_len, "signature")?) };
        let how = mechanism(algorithm)?.into();
        let mut verifying = session.kms.begin(&session.caller, Verify { key: ObjectRef::clone(&key), how })?;
        verifying.finish(data, |running| {
            running.update(data)?;
            running.finish(signature)
        })?;
        Ok(())
    })
}
