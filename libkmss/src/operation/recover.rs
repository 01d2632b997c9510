//! Signing and verifying where the signature carries the data (PKCS#11 3.2, 5.14 and 5.15). To policies they are signing
//! and verifying; the key needs the usage attributes of recovery.

use super::{Chosen, Hall, ObjectRef, Operation, Request};
use crate::backend::{Ciphering, Signing};
use crate::error::Result;
use crate::key::Action;
use crate::permit::Permit;

/// Signs data that can be recovered from the signature.
#[derive(Debug)]
pub struct SignRecover {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for SignRecover {
    type Running = Box<dyn Signing>;

    fn request(&self) -> Request {
        Request { recovery: true, ..self.how.request(Action::Sign, &self.key) }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.sign(permit, &self.how.mechanism)
    }
}

/// Verifies a signature and recovers its data: from the signature as input to the data as output.
#[derive(Debug)]
pub struct VerifyRecover {
    /// The key.
    pub key: ObjectRef,
    /// How.
    pub how: Chosen,
}

impl Operation for VerifyRecover {
    type Running = Box<dyn Ciphering>;

    fn request(&self) -> Request {
        Request { recovery: true, ..self.how.request(Action::Verify, &self.key) }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.recover(permit, &self.how.mechanism)
    }
}
