//! Deriving keys.

use std::sync::Arc;

use super::{Chosen, Draft, Expected, Hall, ObjectRef, Operation, Request, Target, now};
use crate::error::Result;
use crate::key::{Action, KeyClass, Object, Protection};
use crate::permit::Permit;

/// Derives a secret key into a new object.
#[derive(Debug)]
pub struct Derive {
    /// The base key.
    pub base: ObjectRef,
    /// How.
    pub how: Chosen,
    /// Type and length of the new key.
    pub expected: Expected,
    /// Its attributes.
    pub draft: Draft,
}

impl Operation for Derive {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Generate, Target::New(self.draft.subject()))),
            ..self.how.request(Action::Derive, &self.base)
        }
    }

    fn start(mut self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        self.draft.check_dates()?;
        let backend = hall.backend_of(permit)?;
        let Expected { key_type, len } = self.expected;
        let material = backend.derive(permit, &self.how.mechanism, key_type, len)?;
        let base = permit.key()?.key;
        // PKCS#11 3.2, 5.18.5: the history of a derived key goes on from its base key's.
        let asked = self.draft.protection;
        let protection = Protection {
            local: false,
            always_sensitive: base.protection.always_sensitive && asked.sensitive,
            never_extractable: base.protection.never_extractable && !asked.extractable,
            ..asked
        };
        self.draft.origin.clone_from(base.policy_name());
        let namespace = permit.caller().namespace.id;
        let claims = self.draft.claims.clone();
        let key = self.draft.key(namespace, backend.id(), KeyClass::Secret, protection, material, now(permit));
        claims.check(&key)?;
        hall.keep(permit, key)
    }

    fn made(key: &Arc<Object>) -> Vec<Arc<Object>> {
        vec![Arc::clone(key)]
    }
}
