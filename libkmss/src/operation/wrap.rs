//! Wrapping keys under keys.

use super::{Chosen, Hall, ObjectRef, Operation, Request, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::permit::Permit;

/// Wraps one key under another.
#[derive(Debug)]
pub struct Wrap {
    /// The wrapping key.
    pub wrapping: ObjectRef,
    /// The key to be wrapped.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Wrap {
    type Running = Vec<u8>;

    fn request(&self) -> Request {
        Request {
            also: Some((Action::Export, Target::Object(self.key.clone()))),
            ..self.how.request(Action::Wrap, &self.wrapping)
        }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Vec<u8>> {
        let (wrapping, target) = (permit.key()?, permit.second_key()?);
        if !target.key.protection.extractable {
            return Err(Error::new(ErrorKind::KeyUnextractable, "the key to be wrapped is not extractable"));
        }
        if target.key.protection.wrap_with_trusted && !wrapping.key.protection.trusted {
            return Err(Error::new(ErrorKind::KeyNotWrappable, "the key may only be wrapped by a trusted key"));
        }
        if wrapping.version.backend != target.version.backend {
            return Err(Error::new(ErrorKind::KeyNotWrappable, "the two keys live on different backends"));
        }
        hall.backend_of(permit)?.wrap(permit, &self.how.mechanism)
    }
}
