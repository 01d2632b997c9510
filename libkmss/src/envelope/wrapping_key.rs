//! Wrapping keys: pairs under which somebody else wraps a key for us, and which do nothing else
//! (docs/adr/0062-keys-that-come-wrapped.md).

use crate::error::{Error, ErrorKind, Result};
use crate::key::{BackendId, Date, Key, KeyClass, KeySpec, Object, Protection, Usage};
use crate::mechanism::{Curve, KeyType};
use crate::operation::{Draft, Wrapping};

/// What a wrapping key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrappingKey {
    /// RSA of so many bits, for CKM_RSA_AES_KEY_WRAP.
    Rsa(u32),
    /// SM2, for envelopes ([`Sm2Envelope`](super::Sm2Envelope)).
    Sm2,
}

impl WrappingKey {
    /// CKM_RSA_AES_KEY_WRAP (PKCS#11 3.2, 6.1.21).
    pub const RSA_AES_KEY_WRAP: u64 = Wrapping::RSA_AES;

    /// What is made.
    #[must_use]
    pub fn spec(self) -> KeySpec {
        match self {
            Self::Rsa(bits) => KeySpec::Rsa { bits, exponent: vec![1, 0, 1] },
            Self::Sm2 => KeySpec::Ec(Curve::Sm2),
        }
    }

    /// Makes of the drafts of a pair those of a wrapping key, whose last day is `end`.
    pub fn restrict(self, private: &mut Draft, public: &mut Draft, end: Date) {
        (private.usage, private.allowed_mechanisms) = self.only();
        private.protection = Protection { sensitive: true, ..Protection::default() };
        private.private = true;
        // Whoever wraps has a copy; here it does nothing.
        public.usage = Usage::default();
        for draft in [private, public] {
            (draft.copyable, draft.end) = (false, Some(end));
        }
    }

    /// What `object` is, where it is the private half of a wrapping key: what does more, stays for ever or may leave is none, and is not
    /// used up by an import.
    #[must_use]
    pub fn of(object: &Object) -> Option<Self> {
        let key = object.key().filter(|key| key.class == KeyClass::Private)?;
        let this = match key.key_type {
            KeyType::Rsa => Self::Rsa(key.primary().ok()?.bits),
            KeyType::Sm2 => Self::Sm2,
            _ => return None,
        };
        let (usage, allowed) = this.only();
        let does_no_more = key.usage == usage && key.allowed_mechanisms == allowed;
        let stays_here = !object.copyable && key.protection.sensitive && !key.protection.extractable;
        (does_no_more && stays_here && key.end.is_some()).then_some(this)
    }

    /// Whether `public` is the public half of `private`, whatever both are called.
    #[must_use]
    pub fn is_pair(private: &Key, public: &Key) -> bool {
        match (private.primary(), public.primary()) {
            (Ok(private), Ok(open)) => public.class == KeyClass::Public && private.public == open.public,
            _ => false,
        }
    }

    /// Refuses to unwrap under `object` a key that is wanted in the backend `wanted`, and would not be there.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the wrapping key is in another backend.
    pub fn require_place(object: &Object, wanted: &BackendId) -> Result<()> {
        let Some(key) = object.key() else { return Ok(()) };
        let place = &key.primary()?.backend;
        if place == wanted {
            return Ok(());
        }
        let why = format!(
            "what is unwrapped is where its wrapping key is, in `{}`, and this key would be kept in `{}`: name the backend `{}` to have it \
             there, and move it afterwards (`kmss key move`)",
            place.0, wanted.0, place.0
        );
        Err(Error::new(ErrorKind::Unsupported, why))
    }

    /// What it does, and by which mechanisms.
    fn only(self) -> (Usage, Vec<u64>) {
        match self {
            Self::Rsa(_) => (Usage { unwrap: true, ..Usage::default() }, vec![Self::RSA_AES_KEY_WRAP]),
            Self::Sm2 => (Usage { decrypt: true, ..Usage::default() }, Vec::new()),
        }
    }
}
