//! Signing and verifying, MACs included.

use super::{Chosen, Hall, ObjectRef, Operation, Request, Use};
use crate::backend::{Signing, Verifying};
use crate::error::Result;
use crate::key::Action;
use crate::permit::Permit;

/// Signs with a private key, or computes a MAC with a secret key.
#[derive(Debug)]
pub struct Sign {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Sign {
    type Running = Box<dyn Signing>;

    fn request(&self) -> Request {
        self.how.request(Action::Sign, &self.key)
    }

    fn as_use(&self) -> Option<Use<'_>> {
        Some(Use::of(Action::Sign, &self.key, &self.how))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.sign(permit, &self.how.mechanism)
    }
}

/// Verifies with a public key, or checks a MAC with a secret key.
#[derive(Debug)]
pub struct Verify {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for Verify {
    type Running = Box<dyn Verifying>;

    fn request(&self) -> Request {
        self.how.request(Action::Verify, &self.key)
    }

    fn as_use(&self) -> Option<Use<'_>> {
        Some(Use::of(Action::Verify, &self.key, &self.how))
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.verify(permit, &self.how.mechanism)
    }
}
