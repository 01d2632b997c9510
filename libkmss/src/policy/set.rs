//! What is applied to a namespace, loaded.

use std::collections::HashMap;
use std::sync::Arc;

use super::abi::Encoded;
use super::{Answer, Input, Verdict, host};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::tenant::Namespace;

/// Knows what is applied.
pub trait PolicySource: Send + Sync {
    /// Everything that may speak of `namespace`, loaded.
    ///
    /// # Errors
    /// Anything that keeps one of them from being asked: then nothing is allowed.
    fn load(&self, namespace: &Namespace) -> Result<PolicySet>;
}

/// The policies of one namespace.
#[derive(Debug, Default)]
pub struct PolicySet {
    /// Those of platform, tenant and namespace, in this order.
    general: Vec<Applied>,
    /// Those of single keys, by name.
    by_key: HashMap<String, Vec<Applied>>,
}

impl PolicySet {
    /// Adds a policy for `key`, or for everything; those of wider scope come first.
    pub fn add(&mut self, key: Option<&str>, policy: Applied) {
        match key {
            None => self.general.push(policy),
            Some(key) => self.by_key.entry(key.to_owned()).or_default().push(policy),
        }
    }

    /// Whether nothing is applied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.general.is_empty() && self.by_key.is_empty()
    }

    /// The policies that speak of the key `name`, widest scope first.
    pub fn policies_for(&self, name: &str) -> impl Iterator<Item = &Applied> {
        self.general.iter().chain(self.by_key.get(name).into_iter().flatten())
    }
}

/// One applied policy.
#[derive(Debug)]
pub struct Applied {
    /// `scope/name`, for records.
    pub title: Arc<str>,
    /// First and last moment at which it may be asked.
    pub valid: (Timestamp, Option<Timestamp>),
    /// The loaded module.
    pub policy: host::Policy,
}

impl Applied {
    /// Its answer. Outside of its validity it denies.
    pub fn answer(&self, input: &Input<'_>, encoded: &Encoded) -> Answer {
        let (from, until) = self.valid;
        if input.time < from || until.is_some_and(|until| input.time > until) {
            let reason = format!("the policy `{}` is not valid at this time", self.title);
            return Answer { verdict: Verdict::Deny, rule: 0, reason, obligations: Vec::new() };
        }
        self.policy.answer(input, encoded)
    }

    /// What records call rule `number` of it.
    #[must_use]
    pub fn rule(&self, number: u32) -> Arc<str> {
        match (self.policy.rule(number), number) {
            (Some(name), _) => format!("{}#{name}", self.title).into(),
            (None, 0) => Arc::clone(&self.title),
            (None, number) => format!("{}#{number}", self.title).into(),
        }
    }
}
