//! Unwrapping keys.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Chosen, Draft, Expected, Hall, ObjectRef, Operation, Request, Target, now};
use crate::error::Result;
use crate::key::{Action, KeyClass, Object};
use crate::permit::Permit;

/// Unwraps a key into a new object.
#[derive(Debug)]
pub struct Unwrap<'a> {
    /// The unwrapping key.
    pub unwrapping: ObjectRef,
    /// How.
    pub how: Chosen,
    /// The wrapped key.
    pub wrapped: Cow<'a, [u8]>,
    /// What is expected inside.
    pub expected: Expected,
    /// Attributes of the new key.
    pub draft: Draft,
}

impl Operation for Unwrap<'_> {
    type Running = Arc<Object>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Import, Target::New(self.draft.subject()))),
            data_len: Some(self.wrapped.len() as u64),
            ..self.how.request(Action::Unwrap, &self.unwrapping)
        }
    }

    fn start(mut self, hall: &Hall, permit: &Permit) -> Result<Arc<Object>> {
        let Expected { key_type, len } = self.expected;
        let class = if key_type.is_asymmetric() { KeyClass::Private } else { KeyClass::Secret };
        self.draft.check(hall, permit, class)?;
        let backend = self.draft.maker_beside(hall, permit)?;
        let material = backend.unwrap(permit, &self.how.mechanism, &self.wrapped, key_type, len)?;
        let protection = self.draft.foreign();
        self.draft.comes_from(&[permit.key()?.key]);
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
