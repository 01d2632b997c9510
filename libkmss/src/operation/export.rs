//! Reading the secret part of a key that may be read.

use super::{Hall, ObjectRef, Operation, Request, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, KeyClass, KeyComponents};
use crate::permit::Permit;

/// Gives a key out in clear: secret and private keys only where they are extractable and not sensitive.
#[derive(Debug)]
pub struct Export {
    /// The key.
    pub key: ObjectRef,
}

impl Operation for Export {
    type Running = KeyComponents;

    fn request(&self) -> Request {
        Request::new(Action::Export, Target::Object(self.key.clone()))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<KeyComponents> {
        let granted = permit.key()?;
        let readable = !granted.key.protection.sensitive && granted.key.protection.extractable;
        if granted.key.class != KeyClass::Public && !readable {
            return Err(Error::new(ErrorKind::AttributeSensitive, "the key is sensitive or not extractable"));
        }
        hall.backend_of(permit)?.export(permit)
    }
}
