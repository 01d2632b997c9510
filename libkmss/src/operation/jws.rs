//! Signatures of JSON Web Tokens. They are signatures like any other, whose records say that they are parts of tokens and, of claims,
//! by whom and for whom they are.

use super::{Chosen, Hall, ObjectRef, Operation, Request};
use crate::backend::{Signing, Verifying};
use crate::error::Result;
use crate::jose::JwsAlgorithm;
use crate::key::Action;
use crate::mechanism::EncryptionContext;
use crate::permit::Permit;

/// What records of tokens say.
const TAG: &str = "jws";

/// Signs a token.
#[derive(Debug)]
pub struct SignJws {
    /// The private key.
    pub key: ObjectRef,
    /// How: the key's own algorithm.
    pub algorithm: JwsAlgorithm,
    /// What policies and the audit are told of the claims ([`crate::jose::context_of`]).
    pub context: Vec<(String, String)>,
}

impl Operation for SignJws {
    type Running = Box<dyn Signing>;

    fn request(&self) -> Request {
        let context = EncryptionContext::told(self.context.clone());
        Request { context, part_of: Some(TAG), ..chosen(self.algorithm).request(Action::Sign, &self.key) }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.sign(permit, &self.algorithm.mechanism())
    }
}

/// Verifies a token.
#[derive(Debug)]
pub struct VerifyJws {
    /// The public key.
    pub key: ObjectRef,
    /// How: the key's own algorithm, whatever the token says.
    pub algorithm: JwsAlgorithm,
}

impl Operation for VerifyJws {
    type Running = Box<dyn Verifying>;

    fn request(&self) -> Request {
        Request { part_of: Some(TAG), ..chosen(self.algorithm).request(Action::Verify, &self.key) }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<Self::Running> {
        hall.backend_of(permit)?.verify(permit, &self.algorithm.mechanism())
    }
}

fn chosen(algorithm: JwsAlgorithm) -> Chosen {
    Chosen { mechanism: algorithm.mechanism(), number: Some(algorithm.number()) }
}
