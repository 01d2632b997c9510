//! Policy decisions. Everything that is not an explicit allow is a deny.

pub mod abi;
mod answer;
mod attributes;
pub mod host;
mod input;
pub mod opa;

pub use answer::{Answer, Obligation, Verdict};
pub use attributes::AttributePolicy;
pub use input::{Flags, Input, InputKey};

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::Mechanism;
use crate::permit::Subject;

/// What a policy is asked.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRequest<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// What.
    pub action: Action,
    /// On what.
    pub subject: &'a Subject,
    /// How, where a mechanism is involved.
    pub mechanism: Option<&'a Mechanism>,
    /// Length of the data in bytes, where it is known at the start.
    pub data_len: Option<u64>,
    /// When.
    pub time: Timestamp,
}

/// A decision. Engines that fail deny: there is no third answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Allowed, if every obligation is met.
    Allow {
        /// The deciding rule, for the audit.
        rule: String,
        /// What the host must enforce.
        obligations: Vec<Obligation>,
    },
    /// Denied.
    Deny {
        /// The deciding rule, for the audit; empty where nothing applied.
        rule: String,
        /// A sentence for the operator.
        reason: String,
    },
}

/// Decides. Deterministic for equal requests and policies; must not block on a network.
pub trait PolicyEngine: Send + Sync {
    /// The decision; fails closed.
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision;
}
