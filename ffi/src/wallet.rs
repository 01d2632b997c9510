//! Keys of wallets: pairs that follow from a seed and a path (docs/wallets.md).
#![expect(unsafe_code, reason = "an entry point of the C interface")]

use std::ffi::c_char;

use libkmss::key::{KeyClass, KeySpec, Usage};
use libkmss::mechanism::{Curve, HdDerivation, HdPath, KeyType};
use libkmss::operation::{DeriveChild, ObjectRef};

use crate::boundary::{enter, text, word};
use crate::draft::{Wishes, kmss_key_options};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{KEYS, give, kmss_key};
use crate::session::{SESSIONS, kmss_session};
use crate::status::kmss_status;

/// The word for a seed where a type is asked for.
const SEED: &str = "hd-seed";

/// The type of a new key, and whether it is a seed.
pub(crate) fn new_type(text: &str) -> Result<(KeySpec, bool), Failure> {
    if text.eq_ignore_ascii_case(SEED) {
        return Ok((KeySpec::Secret { key_type: KeyType::GenericSecret, len: HdDerivation::SEED }, true));
    }
    Ok((text.parse()?, false))
}

/// Derives the key pair at `path` from `seed`: a key that `kmss_key_generate` made of the type `hd-seed`, or that was brought in as
/// one. `curve` is `secp256k1` (BIP-32), `p256` or `ed25519` (SLIP-10); paths are written as in `m/44'/60'/0'/0/7`, those of
/// `ed25519` hardened throughout.
///
/// The pair is a key of its own called `name` (which may be NULL with KMSS_KEY_SESSION), with `key_options`, which may be NULL. It
/// signs and verifies, is where its seed is (no other `backend` is taken), and is protected as its seed is at least. `out` may be
/// NULL; else `*out` becomes a handle of the private half that `kmss_key_free` frees.
///
/// Errors: KMSS_INVALID_ARGUMENT for a path or a curve that there is not, and for KMSS_KEY_EXTRACTABLE where the seed is not;
/// KMSS_UNSUPPORTED for what is no seed, for keys of HSMs, and for a `backend` that is not the seed's; KMSS_KEY_STATE, KMSS_DENIED,
/// KMSS_ALREADY_EXISTS, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `curve` and `path` are NUL-terminated, `name` too or NULL; `key_options` is NULL or points to its struct; `out` is NULL or points
/// to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_derive_child(
    session: *mut kmss_session,
    seed: *mut kmss_key,
    curve: *const c_char,
    path: *const c_char,
    name: *const c_char,
    key_options: *const kmss_key_options,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let (session, seed) = (SESSIONS.find(session)?, KEYS.find(seed)?);
        // SAFETY: the caller's promise, passed on.
        let (curve, path, name, wishes) = unsafe {
            let path: HdPath = word(path, "path")?.parse()?;
            (curve_of(word(curve, "curve")?)?, path, text(name, "name")?, Wishes::read(key_options)?)
        };
        let how = HdDerivation::new(curve, path)?;
        let key_type = KeySpec::Ec(curve).key_type();
        let mut private = wishes.draft(&session, name, (key_type, KeyClass::Private))?;
        private.usage = Usage { sign: true, ..Usage::default() };
        let mut public = wishes.draft(&session, name, (key_type, KeyClass::Public))?;
        public.usage = Usage { verify: true, ..Usage::default() };
        public.identifier.clone_from(&private.identifier);
        let operation = DeriveChild { seed: ObjectRef::clone(&seed.object), how, private, public };
        let (private, _) = session.kms.perform(&session.caller, operation)?;
        if out.is_null() {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { give(&private, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn curve_of(name: &str) -> Result<Curve, Failure> {
    match name {
        "secp256k1" => Ok(Curve::Secp256k1),
        "p256" => Ok(Curve::P256),
        "ed25519" => Ok(Curve::Ed25519),
        _ => Err(Failure::argument("curve is none of secp256k1, p256 and ed25519")),
    }
}
