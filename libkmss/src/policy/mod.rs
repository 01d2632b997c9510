//! Policy decisions. Everything that is not an explicit allow is a deny.

pub mod abi;
mod answer;
pub mod approval;
mod attributes;
pub mod bundle;
mod compose;
mod context;
pub mod dsl;
mod engine;
mod facts;
pub mod host;
mod input;
pub mod opa;
mod quorum;
pub mod registry;
mod scope;
mod set;
mod source;

pub use answer::{Answer, Obligation, Verdict};
pub use attributes::AttributePolicy;
pub use context::ContextKey;
pub use engine::GuestEngine;
pub use input::{Flags, Input, InputKey};
pub use quorum::QuorumRequest;
pub use scope::Scope;
pub use set::{Applied, PolicySet, PolicySource};
pub use source::RegistrySource;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::mechanism::{EncryptionContext, MarkedContext, Mechanism};
use crate::permit::Subject;
use crate::seen::Seen;

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
    /// The encryption context, sorted by name.
    pub context: &'a [(String, String)],
    /// Whether the user authenticated for this one operation.
    pub confirmed: bool,
    /// Whether this operation was decided on before, and counted.
    pub again: bool,
}

/// A decision. Engines that fail deny: there is no third answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Allowed, if every obligation is met.
    Allow {
        /// The deciding rule, for the audit; absent where no policy was asked.
        rule: Option<Arc<str>>,
        /// What the host must enforce. Rates are in `rates` alone.
        obligations: Vec<Obligation>,
        /// The rates to enforce.
        rates: Vec<RuleRate>,
        /// What the audit should hear beside it.
        notes: Vec<String>,
    },
    /// Denied.
    Deny {
        /// The deciding rule, for the audit; absent where nothing applied.
        rule: Option<Arc<str>>,
        /// A sentence for the operator.
        reason: String,
        /// What the audit should hear beside it.
        notes: Vec<String>,
    },
}

impl Decision {
    /// The decision where nothing speaks against a request and nothing is asked for.
    pub const fn allowed() -> Self {
        Self::Allow { rule: None, obligations: Vec::new(), rates: Vec::new(), notes: Vec::new() }
    }

    /// A deny that no rule stands behind.
    pub const fn denied(reason: String) -> Self {
        Self::Deny { rule: None, reason, notes: Vec::new() }
    }

    /// Whether it is an allow.
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The decision, with a note where candidates (`other`) would have decided otherwise.
    fn beside(self, other: Option<Self>) -> Self {
        let note = match &other {
            Some(other) if other.is_allow() != self.is_allow() => {
                let (word, Self::Allow { rule, .. } | Self::Deny { rule, .. }) =
                    (if other.is_allow() { "allow" } else { "deny" }, other);
                format!("shadow:{word} {}", rule.as_deref().unwrap_or_default()).trim_end().to_owned()
            }
            _ => return self,
        };
        self.noted(vec![note])
    }

    fn noted(mut self, more: Vec<String>) -> Self {
        let (Self::Allow { notes, .. } | Self::Deny { notes, .. }) = &mut self;
        notes.extend(more);
        self
    }
}

/// `bytes` in lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A rate that one rule asks for: a budget of its own for each principal and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRate {
    /// The rule.
    pub rule: Arc<str>,
    /// Operations.
    pub count: u32,
    /// Length of the window.
    pub seconds: u32,
}

/// Stands for the mark of a value where the key for marks is not to be had.
const NO_MARK: [u8; 16] = [0; 16];

/// Decides. Deterministic for equal requests and policies; must not block on a network.
pub trait PolicyEngine: Send + Sync {
    /// The decision; fails closed.
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision;

    /// As [`Self::decide`], with what the policies saw of the request for its record. Where none is in force: nothing.
    fn decide_seen(&self, request: &PolicyRequest<'_>) -> (Decision, Option<Seen>) {
        (self.decide(request), None)
    }

    /// An encryption context with marks that tell which values are equal, for the audit; zeros where the key for that is not to
    /// be had.
    fn marks(&self, caller: &Caller, context: &EncryptionContext) -> MarkedContext {
        let _ = caller;
        MarkedContext::new(context, |_, _| NO_MARK)
    }

    /// Whether it leaves every decision on `caller` to the keys' attributes, and wants to hear of none, as long as the store
    /// stays at `generation`.
    fn is_silent(&self, caller: &Caller, generation: u64) -> bool {
        let _ = (caller, generation);
        false
    }

    /// When what it says of a request of `caller` is what it says of every later one that differs in nothing but the time and what
    /// came before, as long as the store stays where it is; `None` where it is to be asked each time.
    fn holds(&self, caller: &Caller) -> Option<Range<Timestamp>> {
        let _ = caller;
        None
    }

    /// Whether what is said before the length of the data is known is to be asked again once it is.
    fn asks_length(&self, caller: &Caller) -> bool {
        let _ = caller;
        false
    }

    /// What would be allowed of a request whose length is not known, each decision once, if the data had one length or another;
    /// nothing where that does not matter. `denied`: what was said of the request as it is.
    fn for_lengths(&self, request: &PolicyRequest<'_>, denied: bool) -> Vec<Decision> {
        let (_, _) = (request, denied);
        Vec::new()
    }

    /// Uses up the approvals that all these quorums of one operation ask for, in one go, and names who gave them; where one of
    /// them has too few, none is used up. What several of them ask for alike is asked once. `data` is the SHA-256 of the data,
    /// where they are bound to it.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] with what is missing and how to get it; those of the store.
    fn approve(&self, quorums: &[QuorumRequest<'_>], data: Option<[u8; 32]>) -> Result<Vec<String>> {
        let (_, _) = (quorums, data);
        Err(Error::new(ErrorKind::Denied, "the policy asks for approvals, and this host keeps none"))
    }
}
