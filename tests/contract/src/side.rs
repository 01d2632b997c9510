//! One of the two sides, the backend under test and the software engine, and short calls of the pipeline.

use std::borrow::Cow;
use std::sync::Arc;

use libkmss::backend::{Ciphering, Signing, Verifying, within};
use libkmss::caller::Caller;
use libkmss::error::{Error, ErrorKind, Result as CoreResult};
use libkmss::key::{Expected, KeyClass, KeyComponents, KeySpec, Object, Protection, PublicComponents, Storage, Usage};
use libkmss::kms::Kms;
use libkmss::mechanism::{KeyType, Mechanism};
use libkmss::operation::{
    Chosen, Copy, Decapsulate, Decrypt, Derive, Destroy, Draft, Encapsulate, Encrypt, Export, GeneratePair,
    GenerateSecret, Import, Make, ObjectRef, Sign, Unwrap, Verify, Wrap,
};
use libkmss::pipeline::Unfinished;

use crate::verdict::Refusal;

/// A call's result.
pub(crate) type Done<T> = Result<T, Refusal>;

/// The two halves of a key pair.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The private half.
    pub private: Arc<Object>,
    /// The public half.
    pub public: Arc<Object>,
}

/// A caller in a namespace of one backend.
pub struct Side<'k> {
    kms: &'k Kms,
    caller: Caller,
    /// Whether it is the one that the other is held against.
    reference: bool,
    prefix: String,
}

/// How the secret part of a new key is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It never leaves.
    Kept,
    /// It may be wrapped.
    Wrappable,
    /// It may be read.
    Open,
}

impl Guard {
    fn protection(self) -> Protection {
        Protection { sensitive: self != Self::Open, extractable: self != Self::Kept, ..Protection::default() }
    }
}

impl<'k> Side<'k> {
    pub(crate) fn new(kms: &'k Kms, caller: Caller, reference: bool, prefix: &str) -> Self {
        Self { kms, caller, reference, prefix: prefix.to_owned() }
    }

    /// The home.
    #[must_use]
    pub const fn kms(&self) -> &'k Kms {
        self.kms
    }

    /// Who asks.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn told<T>(&self, what: &str, result: CoreResult<T>) -> Done<T> {
        result.map_err(|error| Refusal::new(&error, what, self.reference))
    }

    /// A draft of a stored key that may do all that its type can.
    pub(crate) fn draft(&self, key_type: KeyType, class: KeyClass, guard: Guard) -> Done<Draft> {
        let mut draft = self.told("draft a key", self.kms.draft(Storage::Stored))?;
        // The longest labels that common devices take have 32 characters (TPM2) or 40 (YubiHSM 2).
        draft.name = format!("{}-{}", self.prefix, draft.id.to_string().get(..12).unwrap_or_default());
        draft.label = draft.name.clone().into_bytes();
        draft.identifier = draft.id.0.to_vec();
        draft.usage = Usage::all_for(key_type, class);
        draft.private = class != KeyClass::Public;
        if class != KeyClass::Public {
            draft.protection = guard.protection();
        }
        Ok(draft)
    }

    pub(crate) fn generate(&self, spec: &KeySpec, guard: Guard) -> Done<Arc<Object>> {
        let draft = self.draft(spec.key_type(), KeyClass::Secret, guard)?;
        let what = format!("generate {}", words(spec));
        self.told(&what, self.kms.perform(&self.caller, GenerateSecret { spec: spec.clone(), draft }))
    }

    /// A key of this process alone.
    pub(crate) fn generate_for_session(&self, spec: &KeySpec) -> Done<Arc<Object>> {
        let draft = self.draft(spec.key_type(), KeyClass::Secret, Guard::Kept)?;
        let draft = Draft { storage: Storage::Ephemeral, backend: None, ..draft };
        let what = format!("generate {} for the session", words(spec));
        self.told(&what, self.kms.perform(&self.caller, GenerateSecret { spec: spec.clone(), draft }))
    }

    /// A pair with this label.
    pub(crate) fn generate_labelled(&self, spec: &KeySpec, label: &str) -> Done<Pair> {
        let mut private = self.draft(spec.key_type(), KeyClass::Private, Guard::Kept)?;
        let mut public = self.draft(spec.key_type(), KeyClass::Public, Guard::Kept)?;
        private.label = label.as_bytes().to_vec();
        public.label.clone_from(&private.label);
        public.identifier.clone_from(&private.identifier);
        let operation = GeneratePair { spec: spec.clone(), private, public };
        let made = self.told("generate a key with a label", self.kms.perform(&self.caller, operation));
        made.map(|(private, public)| Pair { private, public })
    }

    pub(crate) fn generate_pair(&self, spec: &KeySpec, guard: Guard) -> Done<Pair> {
        let private = self.draft(spec.key_type(), KeyClass::Private, guard)?;
        let mut public = self.draft(spec.key_type(), KeyClass::Public, guard)?;
        public.identifier.clone_from(&private.identifier);
        public.label.clone_from(&private.label);
        let what = format!("generate {}", words(spec));
        let operation = GeneratePair { spec: spec.clone(), private, public };
        let (private, public) = self.told(&what, self.kms.perform(&self.caller, operation))?;
        Ok(Pair { private, public })
    }

    pub(crate) fn import(&self, components: &KeyComponents, guard: Guard) -> Done<Arc<Object>> {
        let class = match components {
            KeyComponents::Secret { .. } => KeyClass::Secret,
            KeyComponents::Public(_) => KeyClass::Public,
            _ => KeyClass::Private,
        };
        let mut draft = self.draft(components.key_type(), class, guard)?;
        if self.reference {
            draft.storage = Storage::Ephemeral;
        }
        let what = format!("import a {} key", components.key_type().name());
        self.told(&what, self.kms.perform(&self.caller, Import { components: components.clone(), draft }))
    }

    pub(crate) fn import_public(&self, public: &PublicComponents) -> Done<Arc<Object>> {
        self.import(&KeyComponents::Public(public.clone()), Guard::Kept)
    }

    pub(crate) fn export(&self, key: &Arc<Object>) -> Done<KeyComponents> {
        self.told("export a key", self.kms.perform(&self.caller, Export { key: ObjectRef::from(key) }))
    }

    pub(crate) fn copy(&self, key: &Arc<Object>, guard: Guard) -> Done<Arc<Object>> {
        let (key_type, class) =
            key.key().map_or((KeyType::GenericSecret, KeyClass::Secret), |key| (key.key_type, key.class));
        let draft = self.draft(key_type, class, guard)?;
        self.told("copy a key", self.kms.perform(&self.caller, Copy { source: ObjectRef::from(key), draft }))
    }

    pub(crate) fn destroy(&self, key: &Arc<Object>) -> Done<()> {
        self.told("destroy a key", self.kms.perform(&self.caller, Destroy { object: ObjectRef::from(key) }))
    }

    /// The key as it now is.
    pub(crate) fn again(&self, key: &Arc<Object>) -> Done<Arc<Object>> {
        self.told("look a key up", self.kms.object(&self.caller, key.id))
    }

    pub(crate) fn begin_sign(&self, key: &Arc<Object>, how: &Mechanism) -> Done<Unfinished<Box<dyn Signing>>> {
        let operation = Sign { key: ObjectRef::from(key), how: Chosen::from(how.clone()) };
        self.told(&format!("sign by {}", how.name()), self.kms.begin(&self.caller, operation))
    }

    pub(crate) fn sign(&self, key: &Arc<Object>, how: &Mechanism, parts: &[&[u8]]) -> Done<Vec<u8>> {
        let mut signing = self.begin_sign(key, how)?;
        let signed = feed_signing(&mut signing, parts).and_then(|()| end_signing(&mut signing));
        self.told(&format!("sign by {}", how.name()), signed)
    }

    pub(crate) fn verify(&self, key: &Arc<Object>, how: &Mechanism, parts: &[&[u8]], signature: &[u8]) -> Done<()> {
        let what = format!("verify by {}", how.name());
        let operation = Verify { key: ObjectRef::from(key), how: Chosen::from(how.clone()) };
        let mut verifying = self.told(&what, self.kms.begin(&self.caller, operation))?;
        self.told(&what, verified(&mut verifying, parts, signature))
    }

    pub(crate) fn begin_encrypt(&self, key: &Arc<Object>, how: &Mechanism) -> Done<Unfinished<Box<dyn Ciphering>>> {
        let operation = Encrypt { key: ObjectRef::from(key), how: Chosen::from(how.clone()) };
        self.told(&format!("encrypt by {}", how.name()), self.kms.begin(&self.caller, operation))
    }

    pub(crate) fn encrypt(&self, key: &Arc<Object>, how: &Mechanism, parts: &[&[u8]]) -> Done<Vec<u8>> {
        let mut ciphering = self.begin_encrypt(key, how)?;
        self.told(&format!("encrypt by {}", how.name()), ciphered(&mut ciphering, parts))
    }

    pub(crate) fn begin_decrypt(&self, key: &Arc<Object>, how: &Mechanism) -> Done<Unfinished<Box<dyn Ciphering>>> {
        let operation = Decrypt { key: ObjectRef::from(key), how: Chosen::from(how.clone()) };
        self.told(&format!("decrypt by {}", how.name()), self.kms.begin(&self.caller, operation))
    }

    pub(crate) fn decrypt(&self, key: &Arc<Object>, how: &Mechanism, parts: &[&[u8]]) -> Done<Vec<u8>> {
        let mut ciphering = self.begin_decrypt(key, how)?;
        self.told(&format!("decrypt by {}", how.name()), ciphered(&mut ciphering, parts))
    }

    pub(crate) fn wrap(&self, wrapping: &Arc<Object>, how: &Mechanism, key: &Arc<Object>) -> Done<Vec<u8>> {
        let how = Chosen::from(how.clone());
        let what = format!("wrap by {}", how.mechanism.name());
        let operation = Wrap { wrapping: ObjectRef::from(wrapping), key: ObjectRef::from(key), how };
        self.told(&what, self.kms.perform(&self.caller, operation))
    }

    pub(crate) fn unwrap(
        &self,
        unwrapping: &Arc<Object>,
        how: &Mechanism,
        wrapped: &[u8],
        expected: Expected,
    ) -> Done<Arc<Object>> {
        let class = if expected.key_type.is_asymmetric() { KeyClass::Private } else { KeyClass::Secret };
        let draft = self.draft(expected.key_type, class, Guard::Open)?;
        let how = Chosen::from(how.clone());
        let what = format!("unwrap by {}", how.mechanism.name());
        let unwrapping = ObjectRef::from(unwrapping);
        let operation = Unwrap { unwrapping, how, wrapped: Cow::Borrowed(wrapped), expected, draft };
        self.told(&what, self.kms.perform(&self.caller, operation))
    }

    pub(crate) fn derive(&self, base: &Arc<Object>, how: &Mechanism, expected: Expected) -> Done<Arc<Object>> {
        let what = format!("derive by {}", how.name());
        let draft = self.draft(expected.key_type, KeyClass::Secret, Guard::Open)?;
        let operation = Derive::one(ObjectRef::from(base), Chosen::from(how.clone()), expected, draft);
        let mut derived = self.told(&what, self.kms.perform(&self.caller, operation))?;
        let none = || Error::new(ErrorKind::Internal, "no key came of the derivation");
        self.told(&what, derived.keys.pop().ok_or_else(none))
    }

    pub(crate) fn make(&self, how: &Mechanism, expected: Expected) -> Done<Arc<Object>> {
        let draft = self.draft(expected.key_type, KeyClass::Secret, Guard::Open)?;
        let operation = Make { how: Chosen::from(how.clone()), expected, draft };
        self.told(&format!("make a key by {}", how.name()), self.kms.perform(&self.caller, operation))
    }

    pub(crate) fn encapsulate(
        &self,
        key: &Arc<Object>,
        how: &Mechanism,
        expected: Expected,
    ) -> Done<(Arc<Object>, Vec<u8>)> {
        let draft = self.draft(expected.key_type, KeyClass::Secret, Guard::Open)?;
        let operation = Encapsulate { key: ObjectRef::from(key), how: Chosen::from(how.clone()), expected, draft };
        self.told(&format!("encapsulate by {}", how.name()), self.kms.perform(&self.caller, operation))
    }

    pub(crate) fn decapsulate(
        &self,
        key: &Arc<Object>,
        how: &Mechanism,
        ciphertext: &[u8],
        expected: Expected,
    ) -> Done<Arc<Object>> {
        let draft = self.draft(expected.key_type, KeyClass::Secret, Guard::Open)?;
        let (key, how, ciphertext) = (ObjectRef::from(key), Chosen::from(how.clone()), ciphertext.to_vec());
        let what = format!("decapsulate by {}", how.mechanism.name());
        let operation = Decapsulate { key, how, ciphertext, expected, draft };
        self.told(&what, self.kms.perform(&self.caller, operation))
    }
}

/// Takes the parts of a message in.
pub(crate) fn feed_signing(signing: &mut Unfinished<Box<dyn Signing>>, parts: &[&[u8]]) -> CoreResult<()> {
    parts.iter().try_for_each(|part| signing.update(part, |running| running.update(part)))
}

/// Ends a signature.
pub(crate) fn end_signing(signing: &mut Unfinished<Box<dyn Signing>>) -> CoreResult<Vec<u8>> {
    let mut out = vec![0; signing.running().signature_len()];
    let room = out.len();
    let written = signing.finish(&[], |running| within(room, running.finish(&mut out)))?;
    Ok(cut(out, written))
}

fn verified(verifying: &mut Unfinished<Box<dyn Verifying>>, parts: &[&[u8]], signature: &[u8]) -> CoreResult<()> {
    for part in parts {
        verifying.update(part, |running| running.update(part))?;
    }
    verifying.finish(&[], |running| running.finish(signature))
}

/// Runs all parts through, the last one as the end.
pub(crate) fn ciphered(ciphering: &mut Unfinished<Box<dyn Ciphering>>, parts: &[&[u8]]) -> CoreResult<Vec<u8>> {
    let (last, before) = parts.split_last().map_or((&[] as &[u8], &[] as &[&[u8]]), |(last, before)| (*last, before));
    let mut all = Vec::new();
    for part in before {
        let mut out = vec![0; ciphering.running().update_len(part.len())];
        let room = out.len();
        let written = if room == 0 {
            ciphering.update(part, |running| within(room, running.update(part, &mut [])))?
        } else {
            ciphering.produce(part, |running| within(room, running.update(part, &mut out)))?
        };
        all.extend_from_slice(&cut(out, written));
    }
    let mut out = vec![0; ciphering.running().finish_len(last.len())];
    let room = out.len();
    let written = ciphering.finish(last, |running| within(room, running.finish(last, &mut out)))?;
    all.extend_from_slice(&cut(out, written));
    Ok(all)
}

/// What was written.
fn cut(mut out: Vec<u8>, written: usize) -> Vec<u8> {
    out.truncate(written);
    out
}

/// What is to be made, in words.
pub(crate) fn words(spec: &KeySpec) -> String {
    match spec {
        KeySpec::Rsa { bits, .. } => format!("RSA {bits}"),
        KeySpec::Ec(curve) => curve.name().to_owned(),
        KeySpec::Dh { group, .. } => group.name().to_owned(),
        KeySpec::Pqc(set) => set.name().to_owned(),
        KeySpec::Secret { key_type, len } => format!("{} {}", key_type.name(), len * 8),
    }
}
