//! A backend with a caller and short calls around permits.

use std::sync::Arc;

use crate::backend::soft::SoftBackend;
use crate::backend::{Backend, Ciphering, Signing, Verifying};
use crate::caller::{Caller, CallerParts, Login, Principal};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::key::{
    Action, AuditMode, BackendId, Body, CachedKey, DomainKey, Expected, Key, KeyClass, KeyComponents, KeySpec,
    KeyState, KeyVersion, Keyring, Material, Object, Protection, PublicComponents, Storage, Usage,
};
use crate::mechanism::{Curve, Hash, KeyType, Mechanism, PqcMechanism};
use crate::permit::{NewObject, Permit, Subject, Subjects};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::suite::Suite;
use crate::tenant::{Namespace, NamespaceId, ObjectId};

pub(super) type Made = Result<Arc<Object>>;

pub(super) struct Lab {
    pub(super) backend: SoftBackend,
    pub(super) caller: Caller,
}

impl Lab {
    pub(super) fn new() -> Self {
        let backend = SoftBackend::new().unwrap();
        let domain = || Arc::new(DomainKey::ephemeral(Suite::Nist, backend.entropy()).unwrap());
        let keyring = Keyring { public: domain(), private: Some(domain()), ephemeral: domain(), officer: None };
        let namespace = Namespace {
            id: NamespaceId([1; 16]),
            tenant: Namespace::DEFAULT_TENANT.to_owned(),
            name: "lab".to_owned(),
            ordinal: 0,
            incarnation: 1,
            policy_required: false,
            settings: Settings::default(),
            backend: crate::key::BackendId::soft(),
        };
        let caller = Caller::from(CallerParts {
            principal: Arc::new(Principal::new("user:lab", Vec::new())),
            namespace: Arc::new(namespace),
            login: Login::User("user".into()),
            keyring: Arc::new(keyring),
            session: 1,
            authenticated: crate::clock::Timestamp(0),
        });
        Self { backend, caller }
    }

    fn permit_for(&self, subjects: Subjects) -> Permit {
        Permit::issue(Action::Sign, self.caller.clone(), subjects, 1, Timestamp(0))
    }

    fn permit(&self, subject: Subject, also: Option<Subject>) -> Permit {
        self.permit_for(Subjects { subject, also, more: Vec::new() })
    }

    pub(super) fn on(&self, key: &Arc<Object>) -> Permit {
        self.permit(Subject::Object(Arc::clone(key)), None)
    }

    /// Runs `make` with a permit for a new object (and a first key), and stores what it makes.
    fn make(&self, first: Option<&Arc<Object>>, make: impl FnOnce(&Permit) -> Result<Material>) -> Made {
        let mut id = [0; 16];
        self.backend.entropy().fill(&mut id)?;
        let id = ObjectId(id);
        let new = new(id);
        let permit = match first {
            Some(key) => self.permit(Subject::Object(Arc::clone(key)), Some(new)),
            None => self.permit(new, None),
        };
        Ok(self.object(id, make(&permit)?))
    }

    fn object(&self, id: ObjectId, material: Material) -> Arc<Object> {
        let class = match (material.locator.is_empty(), material.key_type.is_asymmetric()) {
            (true, _) => KeyClass::Public,
            (_, true) => KeyClass::Private,
            _ => KeyClass::Secret,
        };
        let version = KeyVersion {
            number: 1,
            created: Timestamp(0),
            backend: BackendId::soft(),
            locator: material.locator,
            bits: material.bits,
            public: material.public,
            check_value: material.check_value,
            held: material.held,
            cache: CachedKey::default(),
        };
        let key = Key {
            name: String::new(),
            origin: String::new(),
            class,
            key_type: material.key_type,
            usage: Usage::default(),
            protection: Protection::default(),
            state: KeyState::Active,
            allowed_mechanisms: Vec::new(),
            copy_of: Vec::new(),
            tags: Vec::new(),
            audit: AuditMode::Normal,
            left: Vec::new(),
            lifecycle: crate::key::Lifecycle::default(),
            metadata: crate::key::Metadata::default(),
            start: None,
            end: None,
            primary: 1,
            versions: vec![version],
        };
        Arc::new(Object {
            id,
            namespace: self.caller.namespace.id,
            private: true,
            modifiable: true,
            copyable: true,
            destroyable: true,
            label: Vec::new(),
            identifier: Vec::new(),
            attributes: std::collections::BTreeMap::new(),
            body: Body::Key(Box::new(key)),
            created: Timestamp(0),
            edition: 1,
            storage: Storage::Stored,
            revision: 1,
            uses: crate::key::Attachment::default(),
        })
    }

    pub(super) fn import(&self, components: &KeyComponents) -> Made {
        self.make(None, |permit| self.backend.import(permit, components))
    }

    pub(super) fn secret(&self, key_type: KeyType, value: &[u8]) -> Arc<Object> {
        self.import(&KeyComponents::Secret { key_type, value: Secret::copy_of(value) }).unwrap()
    }

    pub(super) fn scalar(&self, curve: Curve, scalar: &[u8]) -> Made {
        self.import(&KeyComponents::EcPrivate { curve, scalar: Secret::copy_of(scalar) })
    }

    pub(super) fn point(&self, curve: Curve, point: &[u8]) -> Made {
        self.import(&KeyComponents::Public(PublicComponents::Ec { curve, point: point.to_vec() }))
    }

    pub(super) fn rsa_public(&self, modulus: &[u8], exponent: &[u8]) -> Made {
        let (modulus, exponent) = (modulus.to_vec(), exponent.to_vec());
        self.import(&KeyComponents::Public(PublicComponents::Rsa { modulus, exponent }))
    }

    pub(super) fn generate(&self, key_type: KeyType, len: usize) -> Made {
        self.make(None, |permit| self.backend.generate(permit, &KeySpec::Secret { key_type, len }))
    }

    /// The private and the public half.
    pub(super) fn pair(&self, spec: &KeySpec) -> Result<(Arc<Object>, Arc<Object>)> {
        let mut public = None;
        let private = self.make(None, |permit| {
            let (private, half) = self.backend.generate_pair(permit, spec)?;
            public = Some(half);
            Ok(private)
        })?;
        Ok((private, self.object(ObjectId([9; 16]), public.unwrap())))
    }

    pub(super) fn sign(&self, key: &Arc<Object>, mechanism: &Mechanism, data: &[u8]) -> Result<Vec<u8>> {
        signed(self.backend.sign(&self.on(key), mechanism)?, &[data])
    }

    pub(super) fn verify(&self, key: &Arc<Object>, mechanism: &Mechanism, data: &[u8], sig: &[u8]) -> Result<()> {
        verified(self.backend.verify(&self.on(key), mechanism)?, &[data], sig)
    }

    pub(super) fn encrypt(&self, key: &Arc<Object>, mechanism: &Mechanism, data: &[u8]) -> Result<Vec<u8>> {
        ciphered(self.backend.encrypt(&self.on(key), mechanism)?, &[], data)
    }

    pub(super) fn decrypt(&self, key: &Arc<Object>, mechanism: &Mechanism, data: &[u8]) -> Result<Vec<u8>> {
        ciphered(self.backend.decrypt(&self.on(key), mechanism)?, &[], data)
    }

    pub(super) fn digest(&self, hash: Hash, data: &[u8]) -> Vec<u8> {
        let mut operation = self.backend.digest(&self.permit(Subject::Namespace, None), hash).unwrap();
        let mut out = vec![0; operation.digest_len()];
        assert_eq!(operation.finish(data, &mut out).unwrap(), out.len());
        out
    }

    pub(super) fn export(&self, key: &Arc<Object>) -> KeyComponents {
        self.backend.export(&self.on(key)).unwrap()
    }

    /// The bytes of a secret key.
    pub(super) fn bytes(&self, key: &Arc<Object>) -> Vec<u8> {
        match self.export(key) {
            KeyComponents::Secret { value, .. } => value.expose().to_vec(),
            other => panic!("{:?} is not a secret key", other.key_type()),
        }
    }

    pub(super) fn wrap(&self, key: &Arc<Object>, mechanism: &Mechanism, target: &Arc<Object>) -> Result<Vec<u8>> {
        let target = Subject::Object(Arc::clone(target));
        self.backend.wrap(&self.permit(Subject::Object(Arc::clone(key)), Some(target)), mechanism)
    }

    pub(super) fn unwrap(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        wrapped: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Made {
        self.make(Some(key), |permit| self.backend.unwrap(permit, mechanism, wrapped, key_type, len))
    }

    pub(super) fn derive(
        &self,
        key: &Arc<Object>,
        mechanism: &Mechanism,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Made {
        let wanted = [Expected { key_type, len }];
        self.make(Some(key), |permit| Ok(self.backend.derive(permit, mechanism, &wanted)?.keys.remove(0)))
    }

    /// Derives several keys, from several.
    pub(super) fn derive_all(
        &self,
        key: &Arc<Object>,
        others: &[&Arc<Object>],
        mechanism: &Mechanism,
        wanted: &[Expected],
    ) -> Result<(Vec<Arc<Object>>, Vec<u8>)> {
        let ids: Vec<ObjectId> = (0..wanted.len()).map(|n| ObjectId([n as u8; 16])).collect();
        let inputs = others.iter().map(|other| Subject::Object(Arc::clone(other)));
        let more = inputs.chain(ids.iter().skip(1).copied().map(new)).collect();
        let (subject, also) = (Subject::Object(Arc::clone(key)), ids.first().copied().map(new));
        let permit = self.permit_for(Subjects { subject, also, more });
        let derivation = self.backend.derive(&permit, mechanism, wanted)?;
        let keys = ids.into_iter().zip(derivation.keys).map(|(id, material)| self.object(id, material));
        Ok((keys.collect(), derivation.public))
    }

    pub(super) fn make_by(&self, mechanism: &Mechanism, key_type: KeyType, len: Option<usize>) -> Made {
        self.make(None, |permit| self.backend.make(permit, mechanism, Expected { key_type, len }))
    }

    pub(super) fn encapsulate(
        &self,
        key: &Arc<Object>,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Arc<Object>, Vec<u8>)> {
        self.encapsulate_by(&ML_KEM, key, key_type, len)
    }

    pub(super) fn encapsulate_by(
        &self,
        how: &Mechanism,
        key: &Arc<Object>,
        key_type: KeyType,
        len: Option<usize>,
    ) -> Result<(Arc<Object>, Vec<u8>)> {
        let mut ciphertext = Vec::new();
        let new = self.make(Some(key), |permit| {
            let (material, made) = self.backend.encapsulate(permit, how, key_type, len)?;
            ciphertext = made;
            Ok(material)
        })?;
        Ok((new, ciphertext))
    }

    pub(super) fn decapsulate(
        &self,
        key: &Arc<Object>,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Made {
        self.decapsulate_by(&ML_KEM, key, ciphertext, key_type, len)
    }

    pub(super) fn decapsulate_by(
        &self,
        how: &Mechanism,
        key: &Arc<Object>,
        ciphertext: &[u8],
        key_type: KeyType,
        len: Option<usize>,
    ) -> Made {
        self.make(Some(key), |permit| self.backend.decapsulate(permit, how, ciphertext, key_type, len))
    }
}

pub(super) const ML_KEM: Mechanism = Mechanism::Pqc(PqcMechanism::MlKem);

pub(super) fn signed(mut operation: Box<dyn Signing>, parts: &[&[u8]]) -> Result<Vec<u8>> {
    for part in parts {
        operation.update(part)?;
    }
    let mut out = vec![0; operation.signature_len()];
    let len = operation.finish(&mut out)?;
    assert_eq!(len, out.len(), "the announced length is exact");
    Ok(out)
}

pub(super) fn verified(mut operation: Box<dyn Verifying>, parts: &[&[u8]], signature: &[u8]) -> Result<()> {
    for part in parts {
        operation.update(part)?;
    }
    operation.finish(signature)
}

/// Feeds `parts` and then `last`; every buffer has exactly the announced length.
pub(super) fn ciphered(mut operation: Box<dyn Ciphering>, parts: &[&[u8]], last: &[u8]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for part in parts {
        let mut out = vec![0; operation.update_len(part.len())];
        let len = operation.update(part, &mut out)?;
        all.extend_from_slice(&out[..len]);
    }
    let mut out = vec![0; operation.finish_len(last.len())];
    let len = operation.finish(last, &mut out)?;
    all.extend_from_slice(&out[..len]);
    Ok(all)
}

pub(super) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Every way to cut `data` into pieces of one length.
pub(super) fn cuts(data: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    (1..=data.len() + 1).map(|len| data.chunks(len).collect())
}

/// A key that is about to exist.
fn new(id: ObjectId) -> Subject {
    let (name, origin) = (String::new(), String::new());
    let (usage, protection) = Default::default();
    Subject::New(Arc::new(NewObject {
        id,
        storage: Storage::Stored,
        private: true,
        name,
        is_key: true,
        origin,
        usage,
        protection,
        wishes: None,
    }))
}
