//! Deriving keys, data, and the public halves of private keys.

use std::sync::Arc;

use super::{Chosen, Draft, Expected, Hall, ObjectRef, Operation, Request, Target, apart, now};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Body, Key, KeyClass, KeyComponents, Object, Protection};
use crate::mechanism::Heritage;
use crate::permit::Permit;

/// Derives secret keys into new objects: all of them, or none.
#[derive(Debug)]
pub struct Derive {
    /// The base key.
    pub base: ObjectRef,
    /// Other keys that go in.
    pub others: Vec<ObjectRef>,
    /// How.
    pub how: Chosen,
    /// Type, length and attributes of each new key; at least one.
    pub keys: Vec<(Expected, Draft)>,
}

/// What came of a derivation.
#[derive(Debug)]
pub struct Derived {
    /// The keys, in the order in which they were asked for.
    pub keys: Vec<Arc<Object>>,
    /// What the mechanism gives out in clear beside them.
    pub public: Vec<u8>,
}

impl Derive {
    /// One key from one key.
    #[must_use]
    pub fn one(base: ObjectRef, how: Chosen, expected: Expected, draft: Draft) -> Self {
        Self { base, others: Vec::new(), how, keys: vec![(expected, draft)] }
    }
}

impl Operation for Derive {
    type Running = Derived;

    fn request(&self) -> Request {
        let mut made = self.keys.iter().map(|(_, draft)| (Action::Generate, Target::New(draft.subject())));
        Request {
            also: made.next(),
            more: inputs(&self.others).chain(made).collect(),
            ..self.how.request(Action::Derive, &self.base)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Derived> {
        let backend = hall.backend_of(permit)?;
        check_backends(permit)?;
        let sources = sources(permit)?;
        let heritage = self.how.mechanism.heritage();
        let mut planned = Vec::with_capacity(self.keys.len());
        let mut wanted = Vec::with_capacity(self.keys.len());
        for (expected, mut draft) in self.keys {
            draft.check(hall, permit, KeyClass::Secret)?;
            draft.maker_beside(hall, permit)?;
            let protection = protection(heritage, &sources, draft.protection)?;
            draft.comes_from(&sources);
            wanted.push(expected);
            planned.push((draft, protection));
        }
        let derivation = backend.derive(permit, &self.how.mechanism, &wanted)?;
        if derivation.keys.len() != planned.len() {
            return Err(Error::new(ErrorKind::Internal, "the backend derived another number of keys"));
        }
        let namespace = permit.caller().namespace.id;
        let made = planned.into_iter().zip(derivation.keys).map(|((draft, protection), material)| {
            let claims = draft.claims.clone();
            let key = draft.key(namespace, backend.id(), KeyClass::Secret, protection, material, now(permit));
            claims.check(&key).map(|()| key)
        });
        let made = made.collect::<Result<Vec<_>>>()?;
        Ok(Derived { keys: hall.keep_all(permit, made)?, public: derivation.public })
    }

    fn made(derived: &Derived) -> impl Iterator<Item = &Arc<Object>> {
        derived.keys.iter()
    }
}

/// Derives data into a new object, whose value everybody who sees it may read.
#[derive(Debug)]
pub struct DeriveData {
    /// The base key.
    pub base: ObjectRef,
    /// Other keys that go in.
    pub others: Vec<ObjectRef>,
    /// How.
    pub how: Chosen,
    /// Length in bytes; absent for the mechanism's natural one.
    pub len: Option<usize>,
    /// Attributes of the new object.
    pub draft: Draft,
}

impl Operation for DeriveData {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Generate, Target::New(self.draft.subject()))),
            more: inputs(&self.others).collect(),
            ..self.how.request(Action::Derive, &self.base)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        check_backends(permit)?;
        let value = hall.backend_of(permit)?.derive_data(permit, &self.how.mechanism, self.len)?;
        let body = Body::Data { value: value.expose().to_vec().into() };
        hall.keep(permit, self.draft.object(permit.caller().namespace.id, body, now(permit)))
    }

    fn made(data: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(data)
    }
}

/// Makes an object of the public half of a private key.
#[derive(Debug)]
pub struct DerivePublic {
    /// The private key.
    pub base: ObjectRef,
    /// How.
    pub how: Chosen,
    /// Attributes of the new object.
    pub draft: Draft,
}

impl Operation for DerivePublic {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Generate, Target::New(self.draft.subject()))),
            // Nothing is derived from what is secret, so that CKA_DERIVE, which RSA keys lack, is not asked for: it is
            // managed, like a copy.
            ..self.how.request(Action::Manage, &self.base)
        }
    }

    fn start(mut self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        self.draft.check(hall, permit, KeyClass::Public)?;
        let backend = self.draft.maker_beside(hall, permit)?;
        let base = permit.key()?;
        if base.key.class != KeyClass::Private {
            return Err(Error::new(ErrorKind::KeyType, "only a private key has a public half"));
        }
        let public = KeyComponents::Public(base.version.public.clone());
        let material = backend.import(permit, &public)?;
        let protection = Protection { trusted: false, ..self.draft.foreign() };
        self.draft.comes_from(&[base.key]);
        let namespace = permit.caller().namespace.id;
        let claims = self.draft.claims.clone();
        let key = self.draft.key(namespace, backend.id(), KeyClass::Public, protection, material, now(permit));
        claims.check(&key)?;
        hall.keep(permit, key)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}

fn inputs(others: &[ObjectRef]) -> impl Iterator<Item = (Action, Target)> {
    others.iter().map(|other| (Action::Derive, Target::Object(other.clone())))
}

/// Every key that goes in, the base key first.
fn sources(permit: &Permit) -> Result<Vec<&Key>> {
    let others = permit.other_keys()?.into_iter().map(|granted| granted.key);
    Ok(std::iter::once(permit.key()?.key).chain(others).collect())
}

fn check_backends(permit: &Permit) -> Result<()> {
    let backend = &permit.key()?.version.backend;
    let others = permit.other_keys()?;
    match others.iter().map(|other| &other.version.backend).find(|other| *other != backend) {
        None => Ok(()),
        Some(other) => Err(Error::new(ErrorKind::KeyType, apart(backend, other))),
    }
}

/// The protection of a derived key, of which `asked` is asked for (PKCS#11 3.2, 5.18.5, and the mechanisms' own rules).
fn protection(heritage: Heritage, sources: &[&Key], asked: Protection) -> Result<Protection> {
    let all = |f: fn(&Protection) -> bool| sources.iter().all(|key| f(&key.protection));
    let any = |f: fn(&Protection) -> bool| sources.iter().any(|key| f(&key.protection));
    let history = Protection {
        local: false,
        always_sensitive: all(|p| p.always_sensitive) && asked.sensitive,
        never_extractable: all(|p| p.never_extractable) && !asked.extractable,
        ..asked
    };
    let sensitive = any(|p| p.sensitive);
    let extractable = all(|p| p.extractable);
    let weaker = (sensitive && !asked.sensitive) || (!extractable && asked.extractable);
    let differs = sensitive != asked.sensitive || extractable != asked.extractable;
    match heritage {
        Heritage::History => Ok(history),
        Heritage::AtLeast if weaker => {
            Err(Error::new(ErrorKind::TemplateInconsistent, "the new key is less protected than one that is in it"))
        }
        Heritage::Same if differs => {
            Err(Error::new(ErrorKind::TemplateInconsistent, "the new keys are protected as the base key is"))
        }
        Heritage::AtLeast | Heritage::Same => {
            Ok(Protection { wrap_with_trusted: asked.wrap_with_trusted || any(|p| p.wrap_with_trusted), ..history })
        }
    }
}
