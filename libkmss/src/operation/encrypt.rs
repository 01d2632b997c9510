//! Encrypting and decrypting.

use super::{Chosen, Hall, ObjectRef, Operation, Request, Use};
use crate::backend::Ciphering;
use crate::error::Result;
use crate::key::Action;
use crate::permit::Permit;

/// Encrypts with a secret or public key.
#[derive(Debug)]
pub struct Encrypt {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Encrypt {
    type Running = Box<dyn Ciphering>;

    fn request(&self) -> Request {
        self.how.request(Action::of_cipher(&self.how.mechanism, true), &self.key)
    }

    fn as_use(&self) -> Option<Use<'_>> {
        Some(Use::of(Action::of_cipher(&self.how.mechanism, true), &self.key, &self.how))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.encrypt(permit, &self.how.mechanism)
    }
}

/// Decrypts with a secret or private key.
#[derive(Debug)]
pub struct Decrypt {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Decrypt {
    type Running = Box<dyn Ciphering>;

    fn request(&self) -> Request {
        self.how.request(Action::of_cipher(&self.how.mechanism, false), &self.key)
    }

    fn as_use(&self) -> Option<Use<'_>> {
        Some(Use::of(Action::of_cipher(&self.how.mechanism, false), &self.key, &self.how))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.decrypt(permit, &self.how.mechanism)
    }
}
