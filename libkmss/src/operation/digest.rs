//! Digesting.

use super::{Hall, Operation, Request, Target, Use};
use crate::backend::Digesting;
use crate::error::Result;
use crate::key::Action;
use crate::mechanism::{Hash, Mechanism};
use crate::permit::Permit;

/// Digests data.
#[derive(Debug)]
pub struct Digest {
    mechanism: Mechanism,
    hash: Hash,
}

impl Digest {
    /// A digest by `hash`.
    #[must_use]
    pub const fn new(hash: Hash) -> Self {
        Self { mechanism: Mechanism::Digest(hash), hash }
    }
}

impl Operation for Digest {
    type Running = Box<dyn Digesting>;

    fn request(&self) -> Request {
        Request { mechanism: Some(self.mechanism.clone()), ..Request::new(Action::Digest, Target::Namespace) }
    }

    fn as_use(&self) -> Option<Use<'_>> {
        Some(Use { action: Action::Digest, key: None, mechanism: &self.mechanism, mechanism_number: None })
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.software()?.digest(permit, self.hash)
    }
}
