//! Making a secret key by a mechanism that uses no other key: from a password, or as a protocol wants it.

use std::sync::Arc;

use super::{Chosen, Draft, Expected, Hall, Operation, Request, Target, now};
use crate::error::Result;
use crate::key::{Action, KeyClass, Object};
use crate::permit::Permit;

/// Makes a secret key.
#[derive(Debug)]
pub struct Make {
    /// How.
    pub how: Chosen,
    /// Type and length.
    pub expected: Expected,
    /// The key's attributes.
    pub draft: Draft,
}

impl Operation for Make {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request {
            mechanism: Some(self.how.mechanism.clone()),
            mechanism_number: self.how.number,
            ..Request::new(Action::Generate, Target::New(self.draft.subject()))
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        self.draft.check(hall, permit, KeyClass::Secret)?;
        let backend = hall.maker(permit, &self.draft)?;
        let material = backend.make(permit, &self.how.mechanism, self.expected)?;
        let protection = self.draft.generated();
        let namespace = permit.caller().namespace.id;
        let claims = self.draft.claims.clone();
        let key = self.draft.key(namespace, backend.id(), KeyClass::Secret, protection, material, now(permit));
        claims.check(&key)?;
        hall.keep(permit, key)
    }

    fn made(key: &Arc<Object>) -> impl Iterator<Item = &Arc<Object>> {
        std::iter::once(key)
    }
}
