//! Generating keys and key pairs.

use std::sync::Arc;

use super::{Draft, Hall, Making, Operation, Request, Target, now};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, KeyClass, KeySpec, Object, Protection, Storage};
use crate::mechanism::Mechanism;
use crate::permit::Permit;

/// Generates a secret key.
#[derive(Debug)]
pub struct GenerateSecret {
    /// What to make.
    pub spec: KeySpec,
    /// The key's attributes.
    pub draft: Draft,
}

impl Operation for GenerateSecret {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        request(&self.spec, &self.draft)
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let made = self.prepare(hall, permit)?.pop();
        hall.keep(permit, made.ok_or_else(|| Error::new(ErrorKind::Internal, "nothing was made"))?)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}

impl Making for GenerateSecret {
    fn prepare(self, hall: &Hall, permit: &Permit) -> Result<Vec<Object>> {
        self.draft.check(hall, permit, KeyClass::Secret)?;
        let backend = hall.maker(permit, &self.draft)?;
        let material = backend.generate(permit, &self.spec)?;
        let protection = self.draft.generated();
        let namespace = permit.caller().namespace.id;
        Ok(vec![self.draft.key(namespace, backend.id(), KeyClass::Secret, protection, material, now(permit))])
    }

    fn running(kept: Vec<Arc<Object>>) -> Result<Arc<Object>> {
        kept.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Internal, "the catalogue returned nothing"))
    }
}

/// Generates a key pair.
#[derive(Debug)]
pub struct GeneratePair {
    /// What to make.
    pub spec: KeySpec,
    /// Attributes of the private half.
    pub private: Draft,
    /// Attributes of the public half.
    pub public: Draft,
}

impl Operation for GeneratePair {
    type Running = (Arc<Object>, Arc<Object>);

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Generate, Target::New(self.public_draft().subject()))),
            ..request(&self.spec, &self.private)
        }
    }

    /// Returns (private, public).
    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        let objects = self.prepare(hall, permit)?;
        Self::running(hall.keep_all(permit, objects)?)
    }

    fn made((private, public): &Self::Running) -> impl Iterator<Item = &Arc<Object>> {
        [private, public].into_iter()
    }
}

impl Making for GeneratePair {
    fn prepare(self, hall: &Hall, permit: &Permit) -> Result<Vec<Object>> {
        self.private.check(hall, permit, KeyClass::Private)?;
        self.public.check(hall, permit, KeyClass::Public)?;
        let backend = hall.maker(permit, &self.private)?;
        let (private, public) = backend.generate_pair(permit, &self.spec)?;
        let namespace = permit.caller().namespace.id;
        let public_draft = self.public_draft();
        let private_history = self.private.generated();
        let public_history = Protection { local: true, ..public_draft.protection };
        Ok(vec![
            self.private.key(namespace, backend.id(), KeyClass::Private, private_history, private, now(permit)),
            public_draft.key(namespace, backend.id(), KeyClass::Public, public_history, public, now(permit)),
        ])
    }

    fn running(kept: Vec<Arc<Object>>) -> Result<Self::Running> {
        let mut kept = kept.into_iter();
        match (kept.next(), kept.next()) {
            (Some(private), Some(public)) => Ok((private, public)),
            _ => Err(Error::new(ErrorKind::Internal, "the catalogue returned half a pair")),
        }
    }
}

impl GeneratePair {
    /// The public half's attributes; it carries the name of the private one, where that has a name.
    fn public_draft(&self) -> Draft {
        let name = self.private.subject().name.clone();
        if name.is_empty() {
            return self.public.clone();
        }
        // Nobody asked for a name that was made of the label.
        Draft { name, exact: self.public.exact && !self.private.name.is_empty(), ..self.public.clone() }
    }
}

fn request(spec: &KeySpec, draft: &Draft) -> Request {
    Request {
        mechanism: Some(Mechanism::Generate(spec.key_type())),
        makes: (draft.storage == Storage::Stored).then(|| spec.clone()),
        ..Request::new(Action::Generate, Target::New(draft.subject()))
    }
}
