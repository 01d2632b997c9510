//! Bringing keys, certificates and data in.

use std::sync::Arc;

use super::{Draft, Hall, Operation, Request, Target, now};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Body, KeyClass, KeyComponents, Object};
use crate::permit::{NewObject, Permit};

/// Imports a key given in clear.
#[derive(Debug)]
pub struct Import {
    /// The key.
    pub components: KeyComponents,
    /// Its attributes.
    pub draft: Draft,
}

impl Operation for Import {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request::new(Action::Import, Target::New(self.draft.subject()))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let class = match &self.components {
            KeyComponents::RsaPrivate { .. }
            | KeyComponents::EcPrivate { .. }
            | KeyComponents::DhPrivate { .. }
            | KeyComponents::PqcPrivate { .. } => KeyClass::Private,
            KeyComponents::Secret { .. } => KeyClass::Secret,
            KeyComponents::Public(_) => KeyClass::Public,
        };
        self.draft.check(hall, permit, class)?;
        let backend = hall.maker(permit, &self.draft)?;
        let material = backend.import(permit, &self.components)?;
        let protection = self.draft.foreign();
        let namespace = permit.caller().namespace.id;
        let claims = self.draft.claims.clone();
        let key = self.draft.key(namespace, backend.id(), class, protection, material, now(permit));
        claims.check(&key)?;
        hall.keep(permit, key)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}

/// Imports a certificate or a data object.
#[derive(Debug)]
pub struct ImportDocument {
    /// The certificate or data.
    pub body: Body,
    /// Its attributes.
    pub draft: Draft,
}

impl Operation for ImportDocument {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request::new(
            Action::Import,
            Target::New(Arc::new(NewObject { is_key: false, ..NewObject::clone(&self.draft.subject()) })),
        )
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        if matches!(self.body, Body::Key(_)) {
            return Err(Error::new(ErrorKind::Internal, "keys are imported by their components"));
        }
        let claims = self.draft.claims.clone();
        let object = self.draft.object(permit.caller().namespace.id, self.body, now(permit));
        claims.check(&object)?;
        hall.keep(permit, object)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}
