//! What is said of a new key beside its name and type.
#![expect(unsafe_code, reason = "reads what C callers point to")]

use std::ffi::c_char;

use libkmss::key::{BackendId, KeyClass, Protection, Storage, Usage};
use libkmss::mechanism::KeyType;
use libkmss::operation::Draft;

use crate::boundary::{Versioned, bytes, options, text};
use crate::failure::Failure;
use crate::session::LoggedIn;
use crate::status::kmss_status;

/// The key may be wrapped by others, and so leave.
pub const KMSS_KEY_EXTRACTABLE: u32 = 1;
/// The key waits for being activated.
pub const KMSS_KEY_PRE_ACTIVE: u32 = 2;
/// The key lives in this process alone, until its last handle is freed. It needs no name.
pub const KMSS_KEY_SESSION: u32 = 4;

/// What is said of a new key. Set all of it to zero, then `size` to `sizeof(kmss_key_options)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kmss_key_options {
    /// Size of this struct in bytes.
    pub size: usize,
    /// KMSS_KEY_EXTRACTABLE and so on, or-ed together.
    pub flags: u32,
    /// The CKA_ID that PKCS#11 programs see; NULL for the first 8 bytes of the key's identity.
    pub id: *const u8,
    /// Its length in bytes.
    pub id_len: usize,
    /// The name of the HSM or of the group of HSMs that makes and keeps the key, `soft` for the software engine; NULL for what makes the
    /// keys of the token. What is made of another key is where that one is: any other name is KMSS_UNSUPPORTED then.
    pub backend: *const c_char,
}

// SAFETY: `repr(C)`, begins with its size, and zeros are NULL and nothing.
unsafe impl Versioned for kmss_key_options {}

/// What is said of a new key, read.
pub(crate) struct Wishes<'a> {
    flags: u32,
    id: &'a [u8],
    backend: Option<&'a str>,
}

impl<'a> Wishes<'a> {
    /// Nothing is said.
    pub(crate) const NONE: Self = Self { flags: 0, id: &[], backend: None };

    /// # Safety
    /// `given` is what C callers promise of it; what is returned lives no longer than that.
    pub(crate) unsafe fn read(given: *const kmss_key_options) -> Result<Self, Failure> {
        // SAFETY: passed on.
        let given = unsafe { options(given, "kmss_key_options") }?;
        let known = KMSS_KEY_EXTRACTABLE | KMSS_KEY_PRE_ACTIVE | KMSS_KEY_SESSION;
        if given.flags & !known != 0 {
            return Err(Failure::argument("flags of kmss_key_options are none of KMSS_KEY_…"));
        }
        // SAFETY: passed on.
        let (id, backend) = unsafe { (bytes(given.id, given.id_len, "id")?, text(given.backend, "backend")?) };
        Ok(Self { flags: given.flags, id, backend })
    }

    /// Whether `flag` was given.
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// A draft of a key called `name`, as the command makes them.
    pub(crate) fn draft(
        &self,
        session: &LoggedIn,
        name: Option<&str>,
        (key_type, class): (KeyType, KeyClass),
    ) -> Result<Draft, Failure> {
        let stored = !self.has(KMSS_KEY_SESSION);
        let name = match name {
            Some(name) if !name.is_empty() => name,
            _ if stored => return Err(Failure::argument("a key of the token needs a name")),
            _ => "",
        };
        if stored {
            free(session, name)?;
        }
        let mut draft = session.kms.draft(if stored { Storage::Stored } else { Storage::Ephemeral })?;
        name.clone_into(&mut draft.name);
        draft.exact = true;
        draft.label = name.as_bytes().to_vec();
        let usage = Usage::all_for(key_type, class);
        let apart = session.caller.namespace.settings.separate_wrap_and_decrypt;
        draft.usage = if apart { usage.without_wrap() } else { usage };
        draft.private = class != KeyClass::Public;
        draft.pre_active = self.has(KMSS_KEY_PRE_ACTIVE);
        draft.backend = self.backend.map(|name| BackendId(name.to_owned().into()));
        draft.identifier = match self.id {
            [] => draft.id.usual_identifier(),
            id => id.to_vec(),
        };
        if class != KeyClass::Public {
            let extractable = self.has(KMSS_KEY_EXTRACTABLE);
            draft.protection = Protection { sensitive: true, extractable, ..Protection::default() };
        }
        Ok(draft)
    }
}

/// Refuses a name that a key has; the one that a destroyed key still has is refused when it is made.
fn free(session: &LoggedIn, name: &str) -> Result<(), Failure> {
    for class in [KeyClass::Private, KeyClass::Secret, KeyClass::Public] {
        if session.kms.key(&session.caller, name, class)?.is_some() {
            let why = format!("a key named `{name}` exists already");
            return Err(Failure::new(kmss_status::KMSS_ALREADY_EXISTS, why));
        }
    }
    Ok(())
}
