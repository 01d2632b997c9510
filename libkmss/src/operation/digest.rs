//! Digesting.

use super::{Hall, Operation, Request, Target};
use crate::backend::Digesting;
use crate::error::Result;
use crate::key::Action;
use crate::mechanism::{Hash, Mechanism};
use crate::permit::Permit;

/// Digests data.
#[derive(Debug)]
pub struct Digest {
    /// The hash function.
    pub hash: Hash,
}

impl Operation for Digest {
    type Running = Box<dyn Digesting>;

    fn request(&self) -> Request {
        Request { mechanism: Some(Mechanism::Digest(self.hash)), ..Request::new(Action::Digest, Target::Namespace) }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.default_backend()?.digest(permit, self.hash)
    }
}
