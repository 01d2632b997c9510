//! What is applied to a namespace, loaded.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::abi::{Encoded, Reads, Sizes};
use super::facts::Facts;
use super::registry::PolicyRole;
use super::{Answer, ContextKey, Input, PolicyRequest, Verdict, host};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::mechanism::{EncryptionContext, MarkedContext};
use crate::os::{Lock, Rank};
use crate::seen::Seen;
use crate::tenant::Namespace;

/// Knows what is applied.
pub trait PolicySource: Send + Sync {
    /// Everything that may speak of `namespace`, loaded. Quick where nothing changed.
    ///
    /// # Errors
    /// Anything that keeps one of them from being asked: then nothing is allowed.
    fn load(&self, namespace: &Namespace) -> Result<Arc<PolicySet>>;
}

/// The policies of one namespace.
#[derive(Debug)]
pub struct PolicySet {
    required: bool,
    /// Names it in records.
    digest: [u8; 8],
    /// Authenticates the values of encryption contexts in records.
    context: ContextKey,
    active: Layers,
    shadow: Layers,
    /// What happened while it was loaded, until an audit record says so.
    notes: Lock<Vec<String>>,
    asks_length: bool,
    names_lengths: bool,
    /// What one or another of them looks at.
    reads: Reads,
    /// When all of them are valid.
    valid: Range<Timestamp>,
}

/// Policies by what they speak of.
#[derive(Debug, Default)]
struct Layers {
    /// Those of platform, tenant and namespace, in this order.
    general: Vec<Applied>,
    /// Those of single keys, by name.
    by_key: HashMap<String, Vec<Applied>>,
}

impl Layers {
    fn is_empty(&self) -> bool {
        self.general.is_empty() && self.by_key.is_empty()
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Applied> {
        self.general.iter().chain(self.by_key.get(name).into_iter().flatten())
    }
}

impl PolicySet {
    /// A set without policies. Where they are `required`, it allows nothing.
    #[must_use]
    pub fn new(required: bool, digest: [u8; 8], context: ContextKey) -> Self {
        Self {
            required,
            digest,
            context,
            active: Layers::default(),
            shadow: Layers::default(),
            notes: Lock::new(Rank::Cache, Vec::new()),
            asks_length: false,
            names_lengths: false,
            reads: Reads::NOTHING,
            valid: Timestamp(0)..Timestamp(u64::MAX),
        }
    }

    /// Adds a policy for `key`, or for everything; those of wider scope come first.
    pub fn add(&mut self, key: Option<&str>, role: PolicyRole, policy: Applied) {
        self.reads = self.reads.or(policy.policy.reads());
        let (from, until) = policy.valid;
        self.valid.start = self.valid.start.max(from);
        self.valid.end = self.valid.end.min(until.unwrap_or(self.valid.end));
        let layers = match role {
            PolicyRole::Active => {
                let sizes = policy.policy.sizes();
                self.asks_length |= sizes.is_none_or(|sizes| !sizes.is_empty());
                self.names_lengths |= sizes.is_some_and(|sizes| !sizes.is_empty());
                &mut self.active
            }
            PolicyRole::Shadow => &mut self.shadow,
        };
        match key {
            None => layers.general.push(policy),
            Some(key) => layers.by_key.entry(key.to_owned()).or_default().push(policy),
        }
    }

    /// Adds something that the audit should hear.
    pub fn note(&mut self, note: String) {
        self.notes.lock().push(note);
    }

    /// What the audit has not heard yet; each is given once.
    pub(super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock())
    }

    /// What names this set in audit records. Equal sets of policies have equal names.
    #[must_use]
    pub const fn digest(&self) -> [u8; 8] {
        self.digest
    }

    /// What a record should say of a request that this set decided.
    pub(super) fn seen(
        &self,
        facts: &Facts<'_>,
        request: &PolicyRequest<'_>,
        counts: (u32, u32),
        allowed: bool,
    ) -> Seen {
        let counts = self.reads.counts.then_some(counts);
        Seen { set: self.digest, counts, allowed, ..facts.seen(request) }
    }

    /// The names of an encryption context with the marks of their values.
    pub(super) fn marks(&self, context: &EncryptionContext) -> MarkedContext {
        MarkedContext::new(context, |name, value| self.context.mark(name, value))
    }

    /// Whether no policy ever decided here: then the keys' own attributes do.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        !self.required
    }

    /// Whether candidates run beside what decides.
    #[must_use]
    pub fn has_shadow(&self) -> bool {
        !self.shadow.is_empty()
    }

    /// Whether anything is to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.shadow.is_empty()
    }

    /// Which of the fields that differ from request to request one of them looks at, candidates included.
    pub(super) const fn reads(&self) -> Reads {
        self.reads
    }

    /// When what they say of a request is what they say of every later one that differs in nothing but those fields; `None` where
    /// they look at any.
    pub(super) fn holds(&self) -> Option<Range<Timestamp>> {
        (self.reads == Reads::NOTHING).then(|| self.valid.clone())
    }

    /// Whether one of the policies may say something else once it knows the length of the data.
    pub(super) const fn asks_length(&self) -> bool {
        self.asks_length
    }

    /// Whether one of them says which lengths it tells apart.
    pub(super) const fn names_lengths(&self) -> bool {
        self.names_lengths
    }

    /// Lengths of data: one of each kind that the policies tell apart, as far as they say so.
    pub(super) fn lengths(&self) -> Vec<u64> {
        Sizes::probes(self.all().map(|policy| policy.policy.sizes()))
    }

    /// Every policy that decides.
    fn all(&self) -> impl Iterator<Item = &Applied> {
        let Layers { general, by_key } = &self.active;
        general.iter().chain(by_key.values().flatten())
    }

    /// The policies that decide on the key `name`, widest scope first.
    pub fn policies_for(&self, name: &str) -> impl Iterator<Item = &Applied> {
        self.active.of(name)
    }

    /// The same with every candidate in the place of the policy of its title, or beside the others where there is none.
    pub fn candidates_for<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Applied> {
        let replaced = move |active: &&Applied| !self.shadow.of(name).any(|shadow| shadow.title == active.title);
        self.active.of(name).filter(replaced).chain(self.shadow.of(name))
    }
}

/// One applied policy.
#[derive(Debug)]
pub struct Applied {
    /// `scope/name`, for records.
    pub title: Arc<str>,
    /// From when on, and until when (not including it), it may be asked.
    pub valid: (Timestamp, Option<Timestamp>),
    /// The loaded module.
    pub policy: Arc<host::Policy>,
}

impl Applied {
    /// Its answer `now`. Outside of its validity it denies.
    pub fn answer(&self, now: Timestamp, input: &Input<'_>, encoded: &Encoded) -> Answer {
        if let Some(why) = outside(self.valid, now) {
            let reason = format!("the policy `{}` {why}", self.title);
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

/// Why a policy of this validity is not asked at `now`.
fn outside((from, until): (Timestamp, Option<Timestamp>), now: Timestamp) -> Option<String> {
    let since = |then: Timestamp| now.0.abs_diff(then.0).div_ceil(1000);
    if now < from {
        return Some(format!(
            "is not valid for another {} s: the clock is wrong, or it was made for later",
            since(from)
        ));
    }
    let until = until.filter(|until| now >= *until)?;
    Some(format!("expired {} s ago: apply its next edition, signed with a later end", since(until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_after_its_time_a_policy_denies_for_reasons_of_their_own() {
        let valid = (Timestamp(10_000), Some(Timestamp(20_000)));
        let why = |now| outside(valid, Timestamp(now)).unwrap_or_default();
        assert!(why(9_999).contains("another 1 s") && why(0).contains("another 10 s"));
        assert!(why(10_000).is_empty() && why(19_999).is_empty());
        assert!(why(20_000).contains("expired 0 s") && why(21_500).contains("expired 2 s"));
        assert!(outside((Timestamp(0), None), Timestamp(u64::MAX)).is_none());
    }
}
