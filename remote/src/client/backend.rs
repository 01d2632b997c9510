//! The backend: keys are used and made on the server, what needs no secret of the server is computed here.

use std::sync::Arc;

use libkmss::backend::{Backend, Ciphering, Custody, Digesting, Signing, Verifying};
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::{
    BackendId, Derivation, Expected, HeldKey, Key, KeyClass, KeyComponents, KeySpec, Material, Storage,
};
use libkmss::mechanism::{Hash, KeyType, Mechanism};
use libkmss::permit::{Granted, NewObject, Permit, Wishes};
use libkmss::random::Random;
use libkmss::secret::Secret;
use libkmss::tenant::{Namespace, ObjectId};

use super::calls::Server;
use super::fleet::Patience;
use super::running::{self, Operation};
use crate::convert;
use crate::proto::{self, made_key, new_key};

/// A server as a backend.
pub(super) struct RemoteBackend {
    pub(super) server: Arc<Server>,
    /// Public keys, digests, and keys of this process alone.
    software: Arc<dyn Backend>,
}

impl RemoteBackend {
    pub(super) const fn new(server: Arc<Server>, software: Arc<dyn Backend>) -> Self {
        Self { server, software }
    }

    /// The software engine, where it computes with the permit's key: a public one, or one of this process alone.
    fn local(&self, permit: &Permit) -> Result<Option<&dyn Backend>> {
        Ok(is_local(permit.key()?).then_some(&*self.software))
    }

    /// As [`Self::local`], where the outcome is a key too: what is to be stored is made where it will be.
    fn local_to(&self, permit: &Permit) -> Result<Option<&dyn Backend>> {
        let stored = permit.new_objects().any(|new| new.storage == Storage::Stored);
        match self.local(permit)? {
            Some(_) if stored && permit.key()?.object.storage == Storage::Ephemeral => {
                let why = "a key of a server cannot be made of one that this process alone has";
                Err(Error::new(ErrorKind::Unsupported, why))
            }
            Some(_) if stored => Ok(None),
            local => Ok(local),
        }
    }

    fn operation(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Operation> {
        Operation::new(&self.server, permit, mechanism)
    }

    fn signature(&self, permit: &Permit, mechanism: &Mechanism) -> Result<running::Signature> {
        let key = permit.key()?.key;
        // What only that usage allows is meant so.
        let recoverable = key.usage.sign_recover && !key.usage.sign;
        running::Signature::new(self.operation(permit, mechanism)?, key, mechanism, recoverable)
    }

    /// The key that is to come of a mechanism: kept there, or given out where it is one of this process alone.
    fn wanted(new: &NewObject, expected: Expected) -> proto::NewKey {
        let outcome = match new.storage {
            Storage::Stored => new_key::Outcome::Kept(draft(new)),
            Storage::Ephemeral => new_key::Outcome::Released(proto::Release {}),
        };
        let len = expected.len.map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        proto::NewKey { key_type: convert::key_type_number(expected.key_type), len, outcome: Some(outcome) }
    }

    /// What came of it, as the material of `new`.
    fn made(&self, permit: &Permit, new: &NewObject, made: Option<proto::MadeKey>) -> Result<Material> {
        match made.and_then(|made| made.outcome) {
            Some(made_key::Outcome::Kept(object)) => self.material(permit, Some(object), new.id),
            Some(made_key::Outcome::Released(components)) if new.storage == Storage::Ephemeral => {
                self.software.import(permit, &components.try_into()?)
            }
            _ => Err(unexpected()),
        }
    }

    /// The material of a key that was made there: what may be known of it. `id` is the identity it was to have.
    fn material(&self, permit: &Permit, object: Option<proto::Object>, id: ObjectId) -> Result<Material> {
        let namespace = &permit.caller().namespace;
        let object = self.server.object(namespace, object.ok_or_else(unexpected)?)?;
        let key = object.key().ok_or_else(unexpected)?;
        if object.id != id {
            return Err(Error::new(ErrorKind::BackendUnavailable, "the server gave the key another identity"));
        }
        material(key)
    }
}

/// Whether nothing of the server is needed to use a key.
fn is_local(granted: Granted<'_>) -> bool {
    granted.key.class == KeyClass::Public || granted.object.storage == Storage::Ephemeral
}

/// What is known of a key, to keep beside what is asked for.
fn material(key: &Key) -> Result<Material> {
    let version = key.primary()?;
    Ok(Material {
        key_type: key.key_type,
        locator: version.locator.clone(),
        bits: version.bits,
        public: version.public.clone(),
        check_value: version.check_value.clone(),
        held: HeldKey::default(),
    })
}

/// What the server is asked for in a new object.
pub(super) fn draft(new: &NewObject) -> proto::Draft {
    let unknown = Wishes { modifiable: true, copyable: true, destroyable: true, ..Wishes::default() };
    let wishes = new.wishes.as_deref().unwrap_or(&unknown);
    let day =
        |date: Option<libkmss::key::Date>| date.map(|d| String::from_utf8_lossy(&d.0).into_owned()).unwrap_or_default();
    proto::Draft {
        id: new.id.0.to_vec(),
        private: Some(new.private),
        modifiable: Some(wishes.modifiable),
        copyable: Some(wishes.copyable),
        destroyable: Some(wishes.destroyable),
        label: wishes.label.clone(),
        identifier: wishes.identifier.clone(),
        attributes: wishes.attributes.iter().map(|(number, value)| (*number, value.to_vec())).collect(),
        name: new.name.clone(),
        usage: Some((&new.usage).into()),
        protection: Some((&new.protection).into()),
        allowed_mechanisms: wishes.allowed_mechanisms.clone(),
        start: day(wishes.start),
        end: day(wishes.end),
        backend: String::new(),
        pre_active: wishes.pre_active,
        exact_name: wishes.exact,
    }
}

fn unexpected() -> Error {
    Error::new(ErrorKind::BackendUnavailable, "the server's answer is not what was asked for")
}

/// The second of a permit's new objects: the public half of a pair.
fn public_half(permit: &Permit) -> Result<&NewObject> {
    permit.new_objects().nth(1).ok_or_else(|| Error::new(ErrorKind::Internal, "a pair has two halves"))
}

impl Backend for RemoteBackend {
    fn id(&self) -> &BackendId {
        self.server.id()
    }

    fn custody(&self) -> Option<&dyn Custody> {
        Some(&*self.server)
    }

    fn sign(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Signing>> {
        match self.local(permit)? {
            Some(software) => software.sign(permit, mechanism),
            None => Ok(Box::new(self.signature(permit, mechanism)?)),
        }
    }

    fn verify(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Verifying>> {
        match self.local(permit)? {
            Some(software) => software.verify(permit, mechanism),
            None => Ok(Box::new(running::Verification(self.operation(permit, mechanism)?))),
        }
    }

    fn recover(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        match self.local(permit)? {
            Some(software) => software.recover(permit, mechanism),
            None => Ok(Box::new(running::Cipher::recovery(
                self.operation(permit, mechanism)?,
                permit.key()?.key,
                mechanism,
            )?)),
        }
    }

    fn encrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        match self.local(permit)? {
            Some(software) => software.encrypt(permit, mechanism),
            None => Ok(Box::new(running::Cipher::encryption(
                self.operation(permit, mechanism)?,
                permit.key()?.key,
                mechanism,
            )?)),
        }
    }

    fn decrypt(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Box<dyn Ciphering>> {
        match self.local(permit)? {
            Some(software) => software.decrypt(permit, mechanism),
            None => Ok(Box::new(running::Cipher::decryption(
                self.operation(permit, mechanism)?,
                permit.key()?.key,
                mechanism,
            )?)),
        }
    }

    fn digest(&self, permit: &Permit, hash: Hash) -> Result<Box<dyn Digesting>> {
        self.software.digest(permit, hash)
    }

    fn generate(&self, permit: &Permit, spec: &KeySpec) -> Result<Material> {
        let new = permit.new_object()?;
        let request = proto::GenerateKeyRequest {
            namespace: self.server.place(&permit.caller().namespace),
            spec: Some(spec.into()),
            draft: Some(draft(new)),
            request_id: self.server.request_id()?,
        };
        let answer = self
            .server
            .make(new.id, &permit.caller().namespace, request, |mut keys, r| async move { keys.generate_key(r).await });
        let object = match answer? {
            Ok(answer) => answer.key,
            Err(existing) => Some(existing),
        };
        self.material(permit, object, new.id)
    }

    fn generate_pair(&self, permit: &Permit, spec: &KeySpec) -> Result<(Material, Material)> {
        let (private, public) = (permit.new_object()?, public_half(permit)?);
        let namespace = &permit.caller().namespace;
        let request = proto::GenerateKeyPairRequest {
            namespace: self.server.place(namespace),
            spec: Some(spec.into()),
            private: Some(draft(private)),
            public: Some(draft(public)),
            request_id: self.server.request_id()?,
        };
        let answer = self
            .server
            .make(private.id, namespace, request, |mut keys, r| async move { keys.generate_key_pair(r).await });
        let (one, other) = match answer? {
            Ok(answer) => (answer.private, answer.public),
            Err(existing) => (Some(existing), Some(self.server.fetch(namespace, public.id)?)),
        };
        Ok((self.material(permit, one, private.id)?, self.material(permit, other, public.id)?))
    }

    fn import(&self, permit: &Permit, components: &KeyComponents) -> Result<Material> {
        let new = permit.new_object()?;
        if new.storage == Storage::Ephemeral {
            return self.software.import(permit, components);
        }
        let request = proto::ImportKeyRequest {
            namespace: self.server.place(&permit.caller().namespace),
            components: Some(components.into()),
            draft: Some(draft(new)),
            request_id: self.server.request_id()?,
        };
        let answer = self
            .server
            .make(new.id, &permit.caller().namespace, request, |mut keys, r| async move { keys.import_key(r).await });
        let object = match answer? {
            Ok(answer) => answer.key,
            Err(existing) => Some(existing),
        };
        self.material(permit, object, new.id)
    }

    fn export(&self, permit: &Permit) -> Result<KeyComponents> {
        if let Some(software) = self.local(permit)? {
            return software.export(permit);
        }
        let request = proto::ExportKeyRequest {
            key: Some(self.server.key(permit, permit.key()?)),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.keys(Patience::Use, &request, |mut keys, r| async move { keys.export_key(r).await })?;
        answer.components.ok_or_else(unexpected)?.try_into()
    }

    fn wrap(&self, permit: &Permit, mechanism: &Mechanism) -> Result<Vec<u8>> {
        let (wrapping, target) = (permit.key()?, permit.second_key()?);
        if is_local(wrapping) && is_local(target) {
            return self.software.wrap(permit, mechanism);
        }
        if [wrapping, target].iter().any(|granted| granted.object.storage == Storage::Ephemeral) {
            let why = "one of the keys is on a server, and the other in this process alone";
            return Err(Error::new(ErrorKind::KeyNotWrappable, why));
        }
        let request = proto::WrapRequest {
            wrapping: Some(self.server.key(permit, wrapping)),
            key: Some(self.server.key(permit, target)),
            mechanism: Some(mechanism.into()),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.wrap(r).await })?;
        Ok(answer.wrapped)
    }

    fn unwrap(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        if let Some(software) = self.local_to(permit)? {
            return software.unwrap(permit, mechanism, wrapped, key_type, len);
        }
        let new = permit.new_object()?;
        let request = proto::UnwrapRequest {
            unwrapping: Some(self.server.key(permit, permit.key()?)),
            mechanism: Some(mechanism.into()),
            wrapped: wrapped.to_vec(),
            key: Some(Self::wanted(new, Expected { key_type, len })),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.unwrap(r).await })?;
        self.made(permit, new, answer.key)
    }

    fn make(&self, permit: &Permit, mechanism: &Mechanism, expected: Expected) -> Result<Material> {
        let new = permit.new_object()?;
        if new.storage == Storage::Ephemeral {
            return self.software.make(permit, mechanism, expected);
        }
        let request = proto::MakeKeyRequest {
            namespace: self.server.place(&permit.caller().namespace),
            mechanism: Some(mechanism.into()),
            key: Some(Self::wanted(new, expected)),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.keys(Patience::Making, &request, |mut keys, r| async move { keys.make_key(r).await })?;
        self.made(permit, new, answer.key)
    }

    fn derive(&self, permit: &Permit, mechanism: &Mechanism, wanted: &[Expected]) -> Result<Derivation> {
        if let Some(software) = self.local_to(permit)? {
            return software.derive(permit, mechanism, wanted);
        }
        let request = proto::DeriveRequest {
            base: Some(self.server.key(permit, permit.key()?)),
            others: self.others(permit)?,
            mechanism: Some(mechanism.into()),
            keys: permit.new_objects().zip(wanted).map(|(new, expected)| Self::wanted(new, *expected)).collect(),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.derive(r).await })?;
        let components = answer.keys.into_iter().zip(permit.new_objects());
        let keys = components.map(|(made, new)| self.made(permit, new, Some(made))).collect::<Result<_>>()?;
        Ok(Derivation { keys, public: answer.public })
    }

    fn derive_data(&self, permit: &Permit, mechanism: &Mechanism, len: Option<usize>) -> Result<Secret> {
        if let Some(software) = self.local(permit)? {
            return software.derive_data(permit, mechanism, len);
        }
        let request = proto::DeriveDataRequest {
            base: Some(self.server.key(permit, permit.key()?)),
            others: self.others(permit)?,
            mechanism: Some(mechanism.into()),
            len: len.map(|len| u32::try_from(len).unwrap_or(u32::MAX)),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.derive_data(r).await })?;
        Ok(Secret::new(answer.data))
    }

    fn encapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Material, Vec<u8>)> {
        if let Some(software) = self.local_to(permit)? {
            return software.encapsulate(permit, mechanism, key_type, len);
        }
        let new = permit.new_object()?;
        let request = proto::EncapsulateRequest {
            key: Some(self.server.key(permit, permit.key()?)),
            mechanism: Some(mechanism.into()),
            new_key: Some(Self::wanted(new, Expected { key_type, len })),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.encapsulate(r).await })?;
        Ok((self.made(permit, new, answer.key)?, answer.ciphertext))
    }

    fn decapsulate(
        &self,
        permit: &Permit,
        mechanism: &Mechanism,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<Material> {
        if let Some(software) = self.local_to(permit)? {
            return software.decapsulate(permit, mechanism, ciphertext, key_type, len);
        }
        let new = permit.new_object()?;
        let request = proto::DecapsulateRequest {
            key: Some(self.server.key(permit, permit.key()?)),
            mechanism: Some(mechanism.into()),
            ciphertext: ciphertext.to_vec(),
            new_key: Some(Self::wanted(new, Expected { key_type, len })),
            request_id: self.server.request_id()?,
        };
        let answer =
            self.server.crypto(Patience::Use, &request, |mut crypto, r| async move { crypto.decapsulate(r).await })?;
        self.made(permit, new, answer.key)
    }

    fn destroy(&self, permit: &Permit) -> Result<()> {
        let granted = permit.key()?;
        match granted.object.storage {
            Storage::Ephemeral => self.software.destroy(permit),
            Storage::Stored => self.server.remove(permit, granted.object),
        }
    }

    fn seed_random(&self, permit: &Permit, seed: &[u8]) -> Result<()> {
        self.software.seed_random(permit, seed)
    }

    fn random(&self, permit: &Permit, out: &mut [u8]) -> Result<()> {
        self.software.random(permit, out)
    }

    fn entropy(&self) -> &dyn Random {
        self.software.entropy()
    }
}

impl RemoteBackend {
    /// The other keys that go into a derivation.
    fn others(&self, permit: &Permit) -> Result<Vec<proto::KeyRef>> {
        let others = permit.other_keys()?;
        if others.iter().any(|granted| granted.object.storage == Storage::Ephemeral) {
            let why = "one of the keys is on a server, and the other in this process alone";
            return Err(Error::new(ErrorKind::KeyType, why));
        }
        Ok(others.into_iter().map(|granted| self.server.key(permit, granted)).collect())
    }
}

/// Where a namespace of ours is on the server.
pub(super) fn place_of(configured: Option<&str>, namespace: &Namespace) -> String {
    configured.map_or_else(|| namespace.to_string(), str::to_owned)
}
