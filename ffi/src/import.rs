//! Keys that come in wrapped under a key of ours, made for that alone (docs/adr/0062-keys-that-come-wrapped.md).
#![expect(unsafe_code, reason = "entry points of the C interface")]

use std::ffi::c_char;
use std::sync::Arc;

use libkmss::clock::Timestamp;
use libkmss::envelope::{Sm2Envelope, WrappingKey};
use libkmss::error::{Error, ErrorKind};
use libkmss::key::{BackendId, Date, KeyClass, KeyComponents, KeySpec, Object};
use libkmss::mechanism::{Curve, Mechanism, Oaep, RsaMechanism, Sm2Mechanism};
use libkmss::operation::{Chosen, Decrypt, Destroy, Draft, GeneratePair, Import, ObjectRef, Unwrap};
use zeroize::Zeroizing;

use crate::boundary::{Versioned, bytes, enter, options, text, word};
use crate::draft::{KMSS_KEY_SESSION, Wishes, kmss_key_options};
use crate::error::kmss_error;
use crate::failure::Failure;
use crate::key::{give, kmss_key};
use crate::mac::{KMSS_SHA256, hash_of, kmss_hash_algorithm};
use crate::out::Out;
use crate::session::{LoggedIn, SESSIONS, kmss_session};
use crate::status::kmss_status;
use crate::wallet::new_type;
use crate::wrap::expected;

/// The wrapping key stays, for other keys that were wrapped under it.
pub const KMSS_IMPORT_KEEP: u32 = 1;

/// Most days of a wrapping key.
const MOST_DAYS: u32 = 30;
/// A day in milliseconds.
const DAY: u64 = 86_400_000;

/// How a key was wrapped. Set all of it to zero, then `size` to `sizeof(kmss_import_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_import_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_IMPORT_…, or-ed together.
    pub flags: u32,
    /// Under RSA: the hash of OAEP and of its MGF1; 0 for SHA-256.
    pub hash: kmss_hash_algorithm,
    /// Under RSA: bits of the AES key between (128, 192, 256); 0 for 256.
    pub aes_bits: u32,
}

// SAFETY: `repr(C)`, begins with its size, and holds numbers alone.
unsafe impl Versioned for kmss_import_options {}

/// Makes the wrapping key `name`, under which somebody else wraps a key for `kmss_import_finish`, and which does nothing else: of type
/// `rsa:3072` (NULL too) or `rsa:4096` for CKM_RSA_AES_KEY_WRAP, or `sm2` for SM2 enveloped keys (GM/T 0009). It is good until the end
/// of the day (UTC) that is `days` days from today, at most 30, and never leaves. The software engine keeps it, whatever keeps the
/// other keys of the token.
///
/// `*public_key` becomes its public half (SubjectPublicKeyInfo, DER), which `kmss_free` frees.
///
/// Errors: KMSS_ALREADY_EXISTS, KMSS_INVALID_ARGUMENT, KMSS_UNSUPPORTED for a token whose keys a server keeps, KMSS_DENIED,
/// KMSS_AUDIT_UNAVAILABLE.
///
/// # Safety
/// `name` is NUL-terminated, `type_` too or NULL; `public_key` and `public_key_len` point to writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_import_begin_alloc(
    session: *mut kmss_session,
    name: *const c_char,
    type_: *const c_char,
    days: u32,
    public_key: *mut *mut u8,
    public_key_len: *mut usize,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (name, type_, out) =
            unsafe { (word(name, "name")?, text(type_, "type_")?, Out::memory(public_key, public_key_len)?) };
        if days > MOST_DAYS {
            return Err(Failure::argument("a wrapping key is good for at most 30 days"));
        }
        let made = begun(&session, name, type_.unwrap_or("rsa:3072"), days)?;
        let public = made.key().and_then(|key| key.primary().ok()).and_then(|version| version.public.spki());
        let unknown = || Error::new(ErrorKind::Internal, "the public half of the new key is not known");
        out.put(&public.ok_or_else(unknown)?)
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

fn begun(session: &LoggedIn, name: &str, type_: &str, days: u32) -> Result<Arc<Object>, Failure> {
    let kind = match type_ {
        "rsa:3072" => WrappingKey::Rsa(3072),
        "rsa:4096" => WrappingKey::Rsa(4096),
        "sm2" => WrappingKey::Sm2,
        _ => return Err(Failure::argument("a wrapping key is rsa:3072, rsa:4096 or sm2")),
    };
    let end = Date::of(Timestamp(session.kms.now().0.saturating_add(u64::from(days) * DAY)));
    let spec = kind.spec();
    let draft = |class| {
        let mut draft = Wishes::NONE.draft(session, Some(name), (spec.key_type(), class))?;
        draft.backend = Some(BackendId::soft());
        Ok::<_, Failure>(draft)
    };
    let (mut private, mut public) = (draft(KeyClass::Private)?, draft(KeyClass::Public)?);
    kind.restrict(&mut private, &mut public, end);
    public.identifier.clone_from(&private.identifier);
    Ok(session.kms.perform(&session.caller, GeneratePair { spec, private, public })?.0)
}

/// Takes in a key that was wrapped under the wrapping key named `with`, and destroys the wrapping key, so that a copy of what was
/// wrapped opens nowhere any more (KMSS_IMPORT_KEEP leaves it).
///
/// Under an RSA key `wrapped` is RSAES-OAEP of a fresh AES key, followed by the key under that one by AES-KWP: a secret key as it is,
/// a private key as PKCS #8. Under an SM2 key it is an SM2EnvelopedKey (DER), and `type_` is `sm2`. `type_` is as for
/// `kmss_key_generate`; a seed (`hd-seed`) has 16 to 64 bytes. The new key is called `name`, is sensitive, and has `key_options`; a
/// private key comes with its public half. What comes under RSA is kept where the wrapping key is, in the software engine: in a token
/// whose keys are made elsewhere, say so with the `backend` `soft`. Both kinds of options may be NULL. `out` may be NULL; else `*out`
/// becomes a handle of the secret key or the private half that `kmss_key_free` frees.
///
/// Errors: KMSS_NOT_FOUND where there is no such wrapping key, KMSS_KEY_MISMATCH for a key that does more, may leave or has no last day;
/// KMSS_INVALID_DATA, the same for every way to be wrong; KMSS_ALREADY_EXISTS, KMSS_KEY_STATE where the wrapping key has ended,
/// KMSS_INVALID_ARGUMENT, KMSS_UNSUPPORTED, also where the key would not be kept where it is wanted, KMSS_DENIED,
/// KMSS_AUDIT_UNAVAILABLE. Nothing came in then, except where the sentence says that the wrapping key, or a private key without its
/// public half, could not be destroyed. `*out` is not written.
///
/// # Safety
/// `with`, `type_` and `name` are NUL-terminated; `import_options` and `key_options` are NULL or point to their structs; `wrapped`
/// points to `wrapped_len` bytes; `out` is NULL or points to a writable pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmss_import_finish(
    session: *mut kmss_session,
    with: *const c_char,
    import_options: *const kmss_import_options,
    wrapped: *const u8,
    wrapped_len: usize,
    type_: *const c_char,
    name: *const c_char,
    key_options: *const kmss_key_options,
    out: *mut *mut kmss_key,
    error: *mut *mut kmss_error,
) -> kmss_status {
    let body = || {
        let session = SESSIONS.find(session)?;
        // SAFETY: the caller's promise, passed on.
        let (with, wrapped, (spec, is_seed)) = unsafe {
            let new_type = new_type(word(type_, "type_")?)?;
            (word(with, "with")?, bytes(wrapped, wrapped_len, "wrapped")?, new_type)
        };
        // SAFETY: as above.
        let (name, how, wishes) =
            unsafe { (word(name, "name")?, How::read(import_options)?, Wishes::read(key_options)?) };
        if wishes.has(KMSS_KEY_SESSION) {
            return Err(Failure::argument("keys that come in wrapped are keys of the token"));
        }
        let incoming = Incoming { session: &session, name, spec, is_seed, wishes };
        let with = incoming.wrapping_key(with)?;
        let made = incoming.finished(&with, wrapped, &how)?;
        if !how.keep {
            spent(&session, &with)?;
        }
        if out.is_null() {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { give(&made, out) }
    };
    // SAFETY: as above.
    unsafe { enter(error, body) }
}

/// How a key was wrapped, read.
struct How {
    keep: bool,
    mechanism: RsaMechanism,
}

impl How {
    /// # Safety
    /// `given` is what C callers promise of it.
    unsafe fn read(given: *const kmss_import_options) -> Result<Self, Failure> {
        // SAFETY: passed on.
        let given = unsafe { options(given, "kmss_import_options") }?;
        if given.flags & !KMSS_IMPORT_KEEP != 0 {
            return Err(Failure::argument("flags of kmss_import_options are none of KMSS_IMPORT_…"));
        }
        let hash = hash_of(if given.hash == 0 { KMSS_SHA256 } else { given.hash })?;
        let aes_len = match given.aes_bits {
            0 | 256 => 32,
            192 => 24,
            128 => 16,
            _ => return Err(Failure::argument("aes_bits is none of 128, 192 and 256")),
        };
        let oaep = Oaep { hash, mgf: hash, label: Vec::new() };
        let keep = given.flags & KMSS_IMPORT_KEEP != 0;
        Ok(Self { keep, mechanism: RsaMechanism::AesKeyWrap { oaep, aes_len } })
    }
}

/// A key on its way in.
struct Incoming<'a> {
    session: &'a LoggedIn,
    name: &'a str,
    spec: KeySpec,
    is_seed: bool,
    wishes: Wishes<'a>,
}

impl Incoming<'_> {
    /// The private half of the wrapping key of this name.
    fn wrapping_key(&self, name: &str) -> Result<Arc<Object>, Failure> {
        let absent = || Failure::not_found(format!("there is no wrapping key `{name}`: it was used, or never made"));
        self.session.kms.key(&self.session.caller, name, KeyClass::Private)?.ok_or_else(absent)
    }

    fn finished(&self, with: &Arc<Object>, wrapped: &[u8], how: &How) -> Result<Arc<Object>, Failure> {
        // A key that does more than this is not used up.
        match WrappingKey::of(with) {
            Some(WrappingKey::Rsa(_)) => self.unwrapped(with, wrapped, how),
            Some(WrappingKey::Sm2) if self.spec == KeySpec::Ec(Curve::Sm2) => self.enveloped(with, wrapped),
            Some(WrappingKey::Sm2) => Err(Failure::argument("keys in envelopes of SM2 are of the type sm2")),
            None => Err(no_wrapping_key()),
        }
    }

    fn draft(&self, class: KeyClass) -> Result<Draft, Failure> {
        self.wishes.draft(self.session, Some(self.name), (self.spec.key_type(), class))
    }

    /// The backend that makes the keys of the token: another process may have given it another one since the login.
    fn maker(&self) -> Result<BackendId, Failure> {
        let ours = &self.session.caller.namespace;
        let now = self.session.kms.namespaces()?.into_iter().find(|now| now.id == ours.id);
        Ok(now.map_or_else(|| ours.backend.clone(), |now| now.backend))
    }

    fn unwrapped(&self, with: &Arc<Object>, wrapped: &[u8], how: &How) -> Result<Arc<Object>, Failure> {
        let (expected, class) = expected(&self.spec, self.is_seed);
        let (mut draft, public) = (self.draft(class)?, self.draft(KeyClass::Public)?);
        if self.is_seed {
            draft.restrict_to_seed();
        }
        let wanted = draft.backend.clone().map_or_else(|| self.maker(), Ok)?;
        WrappingKey::require_place(with, &wanted)?;
        let unwrapping = ObjectRef::from(with);
        let number = Some(WrappingKey::RSA_AES_KEY_WRAP);
        let how = Chosen { mechanism: Mechanism::Rsa(how.mechanism.clone()), number };
        let operation = Unwrap { unwrapping, how, wrapped: wrapped.into(), expected, draft };
        let made = self.session.kms.perform(&self.session.caller, operation)?;
        self.with_public(made, public)
    }

    fn enveloped(&self, with: &Arc<Object>, wrapped: &[u8]) -> Result<Arc<Object>, Failure> {
        let (session, envelope) = (self.session, Sm2Envelope::parse(wrapped)?);
        let (draft, public) = (self.draft(KeyClass::Private)?, self.draft(KeyClass::Public)?);
        let how = Mechanism::Sm2(Sm2Mechanism::Encrypt).into();
        let decrypt = Decrypt { key: ObjectRef::from(with), how };
        let opened = session.kms.begin(&session.caller, decrypt)?.finish(&envelope.wrapped, |running| {
            let mut made = Zeroizing::new(vec![0; running.finish_len(envelope.wrapped.len())]);
            let len = running.finish(&envelope.wrapped, &mut made)?;
            made.truncate(len);
            Ok(made)
        })?;
        let components = envelope.open(&opened)?;
        let made = session.kms.perform(&session.caller, Import { components, draft })?;
        self.with_public(made, public)
    }

    /// Brings in the public half of a private key that is here now.
    fn with_public(&self, made: Arc<Object>, mut draft: Draft) -> Result<Arc<Object>, Failure> {
        let key = made.key().ok_or_else(|| Failure::argument("the new object is no key"))?;
        if key.class != KeyClass::Private {
            return Ok(made);
        }
        draft.identifier.clone_from(&made.identifier);
        let components = KeyComponents::Public(key.primary()?.public.clone());
        let Err(error) = self.session.kms.perform(&self.session.caller, Import { components, draft }) else {
            return Ok(made);
        };
        // Half a pair helps nobody.
        let failure = Failure::from(error);
        let Err(left) = destroyed(self.session, &made) else { return Err(failure) };
        let message = format!(
            "{}; the private key `{}` came in without its public half, and could not be destroyed: {}",
            failure.message, key.name, left.message
        );
        Err(Failure { message, ..failure })
    }
}

fn no_wrapping_key() -> Failure {
    Error::new(ErrorKind::KeyType, "wrapping keys are made by kmss_import_begin_alloc, and this key was not").into()
}

fn destroyed(session: &LoggedIn, object: &Arc<Object>) -> Result<(), Failure> {
    session.kms.perform(&session.caller, Destroy { object: ObjectRef::from(object) })?;
    Ok(())
}

/// Destroys the wrapping key that was used, whatever has its name by now.
fn spent(session: &LoggedIn, with: &Arc<Object>) -> Result<(), Failure> {
    let gone = || {
        destroyed(session, with)?;
        let Some(key) = with.key() else { return Ok(()) };
        let public = session.kms.key(&session.caller, &key.name, KeyClass::Public)?;
        let public = public.filter(|half| half.key().is_some_and(|half| WrappingKey::is_pair(key, half)));
        public.map_or(Ok(()), |half| destroyed(session, &half))
    };
    gone().map_err(|failure: Failure| {
        let message = format!("the key came in, and its wrapping key could not be destroyed: {}", failure.message);
        Failure { message, ..failure }
    })
}
