//! How material gets from one backend to another.
//!
//! What the software engine has is given to a device as it is, where the device takes that. Anything else goes under a
//! transport key: an AES key that the source makes for it, carried under RSA-OAEP to a pair that the target makes for it. So a
//! key that goes from one device to another is never in this process; one that comes to the software engine ends here.

use std::sync::Arc;

use super::Hall;
use super::proof::{Side, prove};
use crate::backend::Backend;
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::key::{
    BackendId, Body, CachedKey, HeldKey, KeyClass, KeySpec, KeyVersion, Left, Material, Object, Protection, Storage,
    Usage, material_context,
};
use crate::mechanism::{BlockCipher, CipherMode, Hash, KeyType, Mechanism, Oaep, RsaMechanism};
use crate::operation::{Draft, now};
use crate::permit::{NewObject, Permit, Subject};
use crate::tenant::ObjectId;

/// Size of the modulus that a transport key is carried under, in bits.
const TRANSPORT_BITS: u32 = 3072;
/// Length of a transport key in bytes.
const TRANSPORT_LEN: usize = 32;
/// AES key wrap fills keys up to multiples of so many bytes (RFC 5649).
const FILLED_UP_TO: usize = 8;
/// Number of the version that the software engine seals what it makes as.
const FIRST_VERSION: u32 = 1;

/// The hashes of OAEP, the better first. There is none that every device knows.
const HASHES: [Hash; 2] = [Hash::Sha256, Hash::Sha1];

/// Carries the versions of one key, and knows what it made of them in the target.
pub(super) struct Carrier<'a> {
    hall: &'a Hall,
    permit: &'a Permit,
    target: &'a Arc<dyn Backend>,
    /// What was made, which is nobody's until the record says so.
    made: Vec<Vec<u8>>,
}

/// The object with its version in use alone, otherwise as `change` has it.
pub(super) fn one_version(object: &Arc<Object>, change: impl FnOnce(&mut KeyVersion)) -> Result<Arc<Object>> {
    let number = object.key().map(|key| key.primary).unwrap_or_default();
    view(object, number, change)
}

/// The object with the version `number` alone, otherwise as `change` has it.
fn view(object: &Arc<Object>, number: u32, change: impl FnOnce(&mut KeyVersion)) -> Result<Arc<Object>> {
    let mut object = Object::clone(object);
    let Body::Key(key) = &mut object.body else {
        return Err(Error::new(ErrorKind::Internal, "the object is no key"));
    };
    let mut version = key.version(number)?.clone();
    change(&mut version);
    key.primary = number;
    key.versions = vec![version];
    Ok(Arc::new(object))
}

/// A key of this move.
struct Transport {
    /// The half that opens, in the target.
    private: Arc<Object>,
    /// The half that wraps, for the source.
    public: Arc<Object>,
}

impl<'a> Carrier<'a> {
    pub(super) const fn new(hall: &'a Hall, permit: &'a Permit, target: &'a Arc<dyn Backend>) -> Self {
        Self { hall, permit, target, made: Vec::new() }
    }

    /// `half` as its record is to be, with its material in the target.
    pub(super) fn moved(&mut self, half: &Arc<Object>) -> Result<Object> {
        let mut object = Object::clone(half);
        let Body::Key(key) = &mut object.body else {
            return Err(Error::new(ErrorKind::Internal, "the object is no key"));
        };
        let to = self.target.id();
        for version in key.versions.iter_mut().filter(|version| version.backend != *to) {
            let mut locator = Vec::new();
            if key.class != KeyClass::Public {
                let check_value;
                (locator, check_value) = self.arrived(half, version.number)?;
                if version.check_value.is_empty() {
                    version.check_value = check_value;
                }
            }
            let from = std::mem::replace(&mut version.backend, to.clone());
            let old = std::mem::replace(&mut version.locator, locator);
            if !old.is_empty() && from != BackendId::soft() {
                key.left.push(Left { backend: from, locator: old });
            }
            version.cache = CachedKey::default();
        }
        // It was not made where it is now, and was outside of a place that never lets anything out.
        let protection = &mut key.protection;
        (protection.local, protection.always_sensitive, protection.never_extractable) = (false, false, false);
        Ok(object)
    }

    /// Where a version is in the target, which has shown that it holds the same key, and its check value there.
    fn arrived(&mut self, half: &Arc<Object>, number: u32) -> Result<(Vec<u8>, Vec<u8>)> {
        let here = view(half, number, |_| ())?;
        let source = Arc::clone(self.hall.backend(&version_of(&here)?.backend)?);
        let material = self.carry(&source, &here)?;
        self.made.push(material.locator.clone());
        let locator = self.settled(half, number, material.locator.clone())?;
        let there = view(half, number, |version| {
            version.backend = self.target.id().clone();
            version.locator.clone_from(&locator);
            version.check_value.clone_from(&material.check_value);
            version.held = HeldKey::default();
        })?;
        let sides = (Side { backend: &source, object: &here }, Side { backend: self.target, object: &there });
        prove(self.hall.software()?, self.permit, sides)?;
        Ok((locator, material.check_value))
    }

    /// What the software engine sealed is sealed as the version that it is.
    fn settled(&self, half: &Arc<Object>, number: u32, locator: Vec<u8>) -> Result<Vec<u8>> {
        if *self.target.id() != BackendId::soft() || number == FIRST_VERSION {
            return Ok(locator);
        }
        let domain = self.permit.domain_key(half.storage, half.private)?;
        let plain = domain.open_material(&material_context(half.id, FIRST_VERSION), &locator)?;
        domain.seal_material(self.target.entropy(), &half.material_context(number), &plain)
    }

    fn carry(&self, source: &Arc<dyn Backend>, here: &Arc<Object>) -> Result<Material> {
        let new = self.wanted(here)?;
        if *source.id() == BackendId::soft() {
            let given = source
                .export(&self.step(here))
                .and_then(|components| self.target.import(&self.making(new.clone()), &components));
            // A device that takes nothing in clear may take it wrapped.
            return match given {
                Err(first) if first.kind().class() == ErrorClass::Request => {
                    self.under_transport_key(source, here, new).map_err(|e| {
                        // A device that is down is no fault of the key's.
                        if e.kind().class() == ErrorClass::Environment { e } else { first.with_source(e) }
                    })
                }
                given => given,
            };
        }
        self.under_transport_key(source, here, new)
    }

    /// What is to be made in the target: the software engine binds it to the identity of its key, and a device knows it by one
    /// that no other object has.
    fn wanted(&self, here: &Arc<Object>) -> Result<NewObject> {
        let key = here.key().ok_or_else(|| Error::new(ErrorKind::Internal, "the object is no key"))?;
        let mut id = here.id;
        if *self.target.id() != BackendId::soft()
            && let Some(chance) = id.0.get_mut(ObjectId::KNOWN..)
        {
            self.target.entropy().fill(chance)?;
        }
        Ok(NewObject {
            id,
            storage: Storage::Stored,
            private: here.private,
            name: key.name.clone(),
            is_key: true,
            origin: String::new(),
            usage: key.usage,
            protection: key.protection,
            wishes: None,
        })
    }

    fn under_transport_key(&self, source: &Arc<dyn Backend>, here: &Arc<Object>, new: NewObject) -> Result<Material> {
        let pair = self.transport_pair()?;
        if is_filled_up(here)? {
            match self.exactly(source, here, (&pair, &new)) {
                // One that OAEP does not carry is too long, or such that no length is lost.
                Err(e) if e.kind().class() == ErrorClass::Request => {}
                carried => return carried,
            }
        }
        let made = self.draft(Usage { wrap: true, ..Usage::default() }, true)?;
        let spec = KeySpec::Secret { key_type: KeyType::Aes, len: TRANSPORT_LEN };
        // Where the key is that it is to wrap, of a source that has several places.
        let making = self.permit.step_of_move(Subject::New(made.subject()), Some(subject(here)));
        let material = source.generate(&making, &spec)?;
        let wrapping = self.object(made, source, (KeyClass::Secret, material));
        let mut refused = Error::new(ErrorKind::MechanismUnsupported, "there is no hash for OAEP");
        for hash in HASHES {
            match self.unwrapping(source, &pair, &wrapping, hash) {
                Ok(unwrapping) => return self.wrapped(source, here, (&wrapping, &unwrapping), new),
                Err(e) if e.kind().class() == ErrorClass::Environment => return Err(e),
                Err(e) => refused = e,
            }
        }
        Err(refused)
    }

    /// The pair that the target makes for this move.
    fn transport_pair(&self) -> Result<Transport> {
        let private = self.draft(Usage { unwrap: true, ..Usage::default() }, false)?;
        let mut public = self.draft(Usage { wrap: true, ..Usage::default() }, true)?;
        (public.private, public.protection) = (false, Protection::default());
        let spec = KeySpec::Rsa { bits: TRANSPORT_BITS, exponent: vec![1, 0, 1] };
        let halves = (Subject::New(private.subject()), Some(Subject::New(public.subject())));
        let (secret, known) = self.target.generate_pair(&self.permit.step_of_move(halves.0, halves.1), &spec)?;
        Ok(Transport {
            private: self.object(private, self.target, (KeyClass::Private, secret)),
            public: self.object(public, self.target, (KeyClass::Public, known)),
        })
    }

    /// The transport key as the target has it.
    fn unwrapping(
        &self,
        source: &Arc<dyn Backend>,
        pair: &Transport,
        wrapping: &Arc<Object>,
        hash: Hash,
    ) -> Result<Arc<Object>> {
        let oaep = oaep(hash);
        let both = self.permit.step_of_move(subject(&pair.public), Some(subject(wrapping)));
        let wrapped = source.wrap(&both, &oaep)?;
        let draft = self.draft(Usage { unwrap: true, ..Usage::default() }, false)?;
        let opening = self.permit.step_of_move(subject(&pair.private), Some(Subject::New(draft.subject())));
        let material = self.target.unwrap(&opening, &oaep, &wrapped, KeyType::Aes, Some(TRANSPORT_LEN))?;
        Ok(self.object(draft, self.target, (KeyClass::Secret, material)))
    }

    /// The key under the public half of the pair itself: nothing is filled up on the way.
    fn exactly(
        &self,
        source: &Arc<dyn Backend>,
        here: &Arc<Object>,
        (pair, new): (&Transport, &NewObject),
    ) -> Result<Material> {
        let key = here.key().ok_or_else(|| Error::new(ErrorKind::Internal, "the object is no key"))?;
        let len = bytes_of(here)?;
        let mut refused = Error::new(ErrorKind::MechanismUnsupported, "there is no hash for OAEP");
        for oaep in HASHES.map(oaep) {
            let sending = self.permit.step_of_move(subject(&pair.public), Some(subject(here)));
            let opening = self.permit.step_of_move(subject(&pair.private), Some(Subject::New(Arc::new(new.clone()))));
            let sent = source.wrap(&sending, &oaep);
            match sent.and_then(|wrapped| self.target.unwrap(&opening, &oaep, &wrapped, key.key_type, len)) {
                Err(e) if e.kind().class() == ErrorClass::Request => refused = e,
                carried => return carried,
            }
        }
        Err(refused)
    }

    fn wrapped(
        &self,
        source: &Arc<dyn Backend>,
        here: &Arc<Object>,
        (wrapping, unwrapping): (&Arc<Object>, &Arc<Object>),
        new: NewObject,
    ) -> Result<Material> {
        let padded = Mechanism::Cipher(BlockCipher::Aes, CipherMode::KeyWrapPad);
        let wrapped = source.wrap(&self.permit.step_of_move(subject(wrapping), Some(subject(here))), &padded)?;
        let key = here.key().ok_or_else(|| Error::new(ErrorKind::Internal, "the object is no key"))?;
        let len = bytes_of(here)?.filter(|_| key.class == KeyClass::Secret);
        let opening = self.permit.step_of_move(subject(unwrapping), Some(Subject::New(Arc::new(new))));
        self.target.unwrap(&opening, &padded, &wrapped, key.key_type, len)
    }

    /// What a key of this move alone gets.
    fn draft(&self, usage: Usage, extractable: bool) -> Result<Draft> {
        let mut id = ObjectId([0; 16]);
        self.target.entropy().fill(&mut id.0)?;
        let mut draft = Draft::new(id, Storage::Ephemeral);
        (draft.private, draft.usage) = (true, usage);
        draft.protection = Protection { sensitive: true, extractable, ..Protection::default() };
        Ok(draft)
    }

    fn object(&self, draft: Draft, of: &Arc<dyn Backend>, (class, material): (KeyClass, Material)) -> Arc<Object> {
        let namespace = self.permit.caller().namespace.id;
        let protection = draft.generated();
        Arc::new(draft.key(namespace, of.id(), class, protection, material, now(self.permit)))
    }

    fn step(&self, object: &Arc<Object>) -> Permit {
        self.permit.step_of_move(subject(object), None)
    }

    fn making(&self, new: NewObject) -> Permit {
        self.permit.step_of_move(Subject::New(Arc::new(new)), None)
    }

    /// Takes back what was made in the target, where the record is known not to name it. What stays is an orphan that the next
    /// move clears.
    pub(super) fn give_up(&self, halves: &[Arc<Object>]) {
        let names = |object: &Object| {
            object.key().is_some_and(|key| key.versions.iter().any(|version| self.made.contains(&version.locator)))
        };
        for half in halves {
            // The commit may have come about although it was said to have failed.
            match self.hall.catalog.get(self.permit.caller(), half.id) {
                Ok(now) if names(&now) => return,
                Err(e) if e.kind() != ErrorKind::NotFound => return,
                _ => {}
            }
        }
        let Some(first) = halves.first().filter(|_| *self.target.id() != BackendId::soft()) else { return };
        for locator in &self.made {
            if let Err(error) = super::destroy(self.permit, self.target, first, locator) {
                tracing::warn!(backend = %self.target.id().0, %error, "what a move made was left behind");
            }
        }
    }
}

fn subject(object: &Arc<Object>) -> Subject {
    Subject::Object(Arc::clone(object))
}

fn oaep(hash: Hash) -> Mechanism {
    Mechanism::Rsa(RsaMechanism::Oaep(Oaep { hash, mgf: hash, label: Vec::new() }))
}

/// How long the key is, where that is known.
fn bytes_of(here: &Arc<Object>) -> Result<Option<usize>> {
    Ok(usize::try_from(version_of(here)?.bits / 8).ok().filter(|len| *len > 0))
}

/// Whether AES key wrap fills the key up: SoftHSM2 takes what that adds for a part of the key, and a MAC does not show it.
fn is_filled_up(here: &Arc<Object>) -> Result<bool> {
    let secret = here.key().is_some_and(|key| key.class == KeyClass::Secret);
    Ok(secret && bytes_of(here)?.is_none_or(|len| len % FILLED_UP_TO != 0))
}

fn version_of(object: &Arc<Object>) -> Result<&KeyVersion> {
    object.key().ok_or_else(|| Error::new(ErrorKind::Internal, "the object is no key"))?.primary()
}
