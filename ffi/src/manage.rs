//! Making keys, looking at them and listing them.
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::sync::Arc;

use libkmss::catalog::{Facet, ObjectKind, Query};
use libkmss::key::{KeyClass, KeySpec, KeyState, Object, Purpose};
use libkmss::operation::{Find, GeneratePair, GenerateSecret};
use libkmss::tenant::ObjectId;
use serde_json::{Value, json};

use crate::boundary::{Versioned, answer, enter, options, text, word};
use crate::draft::{Wishes, kmss_key_options};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::inspect::hex;
use crate::key::{KEYS, class, give, kmss_key, kmss_key_class};
use crate::out::{Out, put_text};
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;
use crate::wallet::new_type;

/// State of a key (NIST SP 800-57 part 1, section 7). Plain numbers in C: a newer KMSS may know more.
pub type kmss_key_state = u32;

/// Made, not to be used yet.
pub const KMSS_STATE_PRE_ACTIVE: kmss_key_state = 1;
/// In use.
pub const KMSS_STATE_ACTIVE: kmss_key_state = 2;
/// On hold: nothing at all.
pub const KMSS_STATE_SUSPENDED: kmss_key_state = 3;
/// Disabled: protects nothing new, still decrypts and verifies.
pub const KMSS_STATE_DEACTIVATED: kmss_key_state = 4;
/// Known or feared to be in other hands; treated as deactivated, for good.
pub const KMSS_STATE_COMPROMISED: kmss_key_state = 5;
/// Waits for its destruction.
pub const KMSS_STATE_PENDING_DELETION: kmss_key_state = 6;
/// Gone.
pub const KMSS_STATE_DESTROYED: kmss_key_state = 7;

/// What is known of a key in numbers. Set `size` to `sizeof(kmss_key_info)`; what a newer KMSS adds stands behind.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_key_info {
    /// Size of this struct in bytes.
    pub size: usize,
    /// The part of the key (KMSS_KEY_…).
    pub class_: kmss_key_class,
    /// The state that it is in now (KMSS_STATE_…).
    pub state: kmss_key_state,
    /// The version of its name that it is, from 1 on.
    pub version: u32,
    /// Modulus or field size, or length of a secret, in bits.
    pub bits: u32,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its identity, as ciphertexts and the audit name it.
    pub id: [u8; 16],
}

// SAFETY: `repr(C)`, begins with its size, and holds numbers alone.
unsafe impl Versioned for kmss_key_info {}

/// Generates the key `name` of type `type_`: `aes:256`, `sm4`, `chacha20`, `hmac:256`, `rsa:3072`, `ec:p256` (p384, p521, secp256k1),
/// `ed25519`, `ed448`, `x25519`, `x448`, `sm2`, `dh:ffdhe3072`, `ml-dsa:65`, `ml-kem:768`, `slh-dsa:sha2-128s` and their kin;
/// `hd-seed` for what `kmss_derive_child` derives from, and nothing else does.
///
/// `key_options` may be NULL. `out` may be NULL; else `*out` becomes a handle of the secret key or of the private half, which
/// `kmss_key_free` frees.
///
/// Errors: KMSS_ALREADY_EXISTS, also for the name of a destroyed key; KMSS_INVALID_ARGUMENT for an unknown type; KMSS_DENIED,
/// KMSS_UNSUPPORTED for what the token's backend does not make, KMSS_BACKEND_UNAVAILABLE, KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `name` and `type_` are NUL-terminated (`name` may be NULL with KMSS_KEY_SESSION); `key_options` is NULL or points to its struct;
/// `out` is NULL or points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_generate(
    session: *mut kmss_session,
    name: *const c_char,
    type_: *const c_char,
    key_options: *const kmss_key_options,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, new_type, wishes) = unsafe {
            let new_type = new_type(word(type_, "type_")?)?;
            (text(name, "name")?, new_type, Wishes::read(key_options)?)
        };
        let key = generated(&session, name, new_type, &wishes)?;
        if out.is_null() {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { give(&key, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn generated(
    session: &LoggedIn,
    name: Option<&str>,
    (spec, is_seed): (KeySpec, bool),
    wishes: &Wishes<'_>,
) -> Result<Arc<Object>, Failure> {
    let key_type = spec.key_type();
    if !key_type.is_asymmetric() {
        let mut draft = wishes.draft(session, name, (key_type, KeyClass::Secret))?;
        if is_seed {
            draft.restrict_to_seed();
        }
        return Ok(session.kms.perform(&session.caller, GenerateSecret { spec, draft })?);
    }
    let private = wishes.draft(session, name, (key_type, KeyClass::Private))?;
    let mut public = wishes.draft(session, name, (key_type, KeyClass::Public))?;
    public.identifier.clone_from(&private.identifier);
    Ok(session.kms.perform(&session.caller, GeneratePair { spec, private, public })?.0)
}

/// Says in numbers what is known of a key now.
///
/// # Safety
/// `info` points to a struct of as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_inspect(
    session: *mut kmss_session,
    key: *mut kmss_key,
    info: *mut kmss_key_info,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        let object = KEYS.find(key)?.now(&session)?;
        let known = known(&session, &object)?;
        // SAFETY: the caller's promise.
        unsafe { answer(info, known, "kmss_key_info") }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn known(session: &LoggedIn, object: &Object) -> Result<kmss_key_info, Failure> {
    let key = object.key().ok_or_else(|| Failure::argument("the object is no key"))?;
    let state = match key.state_at(session.kms.now()) {
        KeyState::PreActive => KMSS_STATE_PRE_ACTIVE,
        KeyState::Active => KMSS_STATE_ACTIVE,
        KeyState::Suspended => KMSS_STATE_SUSPENDED,
        KeyState::Deactivated => KMSS_STATE_DEACTIVATED,
        KeyState::Compromised => KMSS_STATE_COMPROMISED,
        KeyState::PendingDeletion => KMSS_STATE_PENDING_DELETION,
        KeyState::Destroyed => KMSS_STATE_DESTROYED,
    };
    let class_ = match key.class {
        KeyClass::Secret => crate::key::KMSS_KEY_SECRET,
        KeyClass::Private => crate::key::KMSS_KEY_PRIVATE,
        KeyClass::Public => crate::key::KMSS_KEY_PUBLIC,
    };
    let (version, bits) = (key.version_number(), key.primary()?.bits);
    let (created_ms, id) = (object.created.0, object.id.0);
    Ok(kmss_key_info { size: size_of::<kmss_key_info>(), class_, state, version, bits, created_ms, id })
}

/// Says all that is known of a key now, as JSON: name, type, state and what there is to its life, owner, purpose, aliases, tags,
/// uses and so on. `*json` is freed by `kmss_free`.
///
/// # Safety
/// `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_describe(
    session: *mut kmss_session,
    key: *mut kmss_key,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        let object = KEYS.find(key)?.now(&session)?;
        let said = report::json::key(&object, Some(session.kms.now())).to_string();
        // SAFETY: the caller's promise.
        unsafe { put_text(json, &said) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Gives the public key of a pair out: SubjectPublicKeyInfo, DER. `*der` is freed by `kmss_free`.
///
/// Errors: KMSS_KEY_MISMATCH for a secret key, and for types that no standard encodes so.
///
/// # Safety
/// `der` and `der_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_public_alloc(
    session: *mut kmss_session,
    key: *mut kmss_key,
    der: *mut *mut u8,
    der_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        let object = KEYS.find(key)?.now(&session)?;
        // SAFETY: the caller's promise.
        let out = unsafe { Out::memory(der, der_len) }?;
        let public = object.key().and_then(|key| key.primary().ok()).and_then(|version| version.public.spki());
        let none =
            || Failure::new(kmss_status::KMSS_KEY_MISMATCH, "the key has no public half that could be given out");
        out.put(&public.ok_or_else(none)?)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// Which keys are listed. Set all of it to zero, then `size` to `sizeof(kmss_list_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_list_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// The part of keys (KMSS_KEY_…); 0 for all parts, each half of a pair by itself.
    pub class_: kmss_key_class,
    /// Most keys of a page, 1 to 1000; 0 for 100.
    pub limit: u32,
    /// `next` of the page before; NULL for the first page.
    pub after: *const c_char,
    /// Whose they are; NULL for anybody's.
    pub owner: *const c_char,
    /// What they are for (`sign`, `encrypt`, `wrap`, `derive`, `encapsulate`); NULL for anything.
    pub purpose: *const c_char,
    /// A tag that they have; NULL for any.
    pub tag: *const c_char,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_list_options {}

/// Lists keys of the token, in the order of their identities, page by page: `{"keys": […], "next": …}`, where a key is as
/// `kmss_key_describe` says it and `next` is what the next page begins with, or null. `list_options` may be NULL; `*json` is
/// freed by `kmss_free`.
///
/// Errors: KMSS_INVALID_ARGUMENT, KMSS_DENIED.
///
/// # Safety
/// `list_options` is NULL or points to its struct; `json` points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_key_list(
    session: *mut kmss_session,
    list_options: *const kmss_list_options,
    json: *mut *mut c_char,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise.
        let page = unsafe { Page::read(list_options) }?;
        let said = page.listed(&session)?.to_string();
        // SAFETY: as above.
        unsafe { put_text(json, &said) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

struct Page {
    query: Query,
    after: Option<ObjectId>,
    limit: usize,
}

impl Page {
    /// # Safety
    /// `given` is what C callers promise of it.
    unsafe fn read(given: *const kmss_list_options) -> Result<Self, Failure> {
        // SAFETY: passed on.
        let given = unsafe { options(given, "kmss_list_options") }?;
        // SAFETY: passed on.
        let (after, owner, purpose, tag) = unsafe {
            let purpose = text(given.purpose, "purpose")?;
            (text(given.after, "after")?, text(given.owner, "owner")?, purpose, text(given.tag, "tag")?)
        };
        let limit = match given.limit {
            0 => 100,
            limit @ 1..=1000 => limit as usize,
            _ => return Err(Failure::argument("a page has at most 1000 keys")),
        };
        let kind = if given.class_ == 0 { None } else { Some(ObjectKind::Key(class(given.class_)?)) };
        let unknown = || Failure::argument("purpose is none of sign, encrypt, wrap, derive and encapsulate");
        let purpose = purpose.map(|name| Purpose::from_name(name).ok_or_else(unknown)).transpose()?;
        let mut facets: Vec<(Facet, Vec<u8>)> = Vec::new();
        facets.extend(owner.map(|owner| (Facet::Owner, owner.into())));
        facets.extend(purpose.map(|purpose| (Facet::Purpose, purpose.name().into())));
        facets.extend(tag.map(|tag| (Facet::Tag, tag.into())));
        let unread = || Failure::argument("after is no `next` of a page");
        let after = after.map(|id| id_of(id).ok_or_else(unread)).transpose()?;
        Ok(Self { query: Query { kind, facets, ..Query::default() }, after, limit })
    }

    fn listed(&self, session: &LoggedIn) -> Result<Value, Failure> {
        let (Self { query, after, limit }, now) = (self, session.kms.now());
        let found = session.kms.perform(&session.caller, Find { query, after: *after, limit: *limit })?;
        let mut keys = Vec::with_capacity(found.len());
        for one in &found {
            match session.kms.object(&session.caller, one.id) {
                Ok(object) if object.key().is_some() => keys.push(report::json::key(&object, Some(now))),
                Ok(_) => {}
                // Somebody destroyed it meanwhile.
                Err(e) if e.kind() == libkmss::error::ErrorKind::NotFound => {}
                Err(e) => return Err(e.into()),
            }
        }
        let next = found.last().filter(|_| found.len() == *limit).map(|last| hex(&last.id.0));
        Ok(json!({ "keys": keys, "next": next }))
    }
}

/// The identity that 32 hex digits say.
fn id_of(text: &str) -> Option<ObjectId> {
    let well_made = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_made.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(|number| ObjectId(number.to_be_bytes()))
}
