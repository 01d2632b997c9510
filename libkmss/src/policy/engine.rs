//! The engine: the policies of platform, tenant, namespace and key, asked in the process that asks.
//!
//! What applies to a namespace is loaded once for each generation of the store, so that a change holds from the next
//! operation of every process on. Whatever cannot be read, loaded or asked denies.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::abi::{Encoded, Reads};
use super::approval::Approvals;
use super::compose::Composition;
use super::facts::Facts;
use super::{
    Applied, AttributePolicy, Decision, NO_MARK, PolicyEngine, PolicyRequest, PolicySet, PolicySource, QuorumRequest,
};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::key::Action;
use crate::mechanism::{EncryptionContext, MarkedContext};
use crate::os::{Lock, Rank};
use crate::permit::Subject;
use crate::rates::{RateName, Rates};
use crate::seen::Seen;
use crate::store::Store;
use crate::tenant::{Namespace, NamespaceId};

/// Most namespaces whose policies are kept in memory at once.
const KEPT: usize = 64;
/// Places that threads look in, so that they seldom meet.
const PLACES: usize = 4;

thread_local! {
    /// The request in bytes.
    static SCRATCH: RefCell<Encoded> = RefCell::new(Encoded::default());
    /// Which place this thread looks in.
    static PLACE: usize = NEXT_PLACE.fetch_add(1, Ordering::Relaxed);
}

/// Hands places out to threads.
static NEXT_PLACE: AtomicUsize = AtomicUsize::new(0);

/// Asks the policies that were applied; where none ever was, the keys' own attributes decide.
pub struct GuestEngine {
    source: Arc<dyn PolicySource>,
    store: Arc<dyn Store>,
    rates: Arc<Rates>,
    approvals: Arc<Approvals>,
    sequence: AtomicU64,
    sets: [Lock<Sets>; PLACES],
}

/// Sets with the generation of the store at which each was looked for last.
type Sets = HashMap<(NamespaceId, u32), (u64, Arc<PolicySet>)>;

impl GuestEngine {
    /// An engine for what `source` says is applied, looked for anew when the generation of `store` moves.
    pub fn new(
        source: Arc<dyn PolicySource>,
        store: Arc<dyn Store>,
        rates: Arc<Rates>,
        approvals: Arc<Approvals>,
    ) -> Self {
        let sets = std::array::from_fn(|_| Lock::new(Rank::Cache, HashMap::new()));
        Self { source, store, rates, approvals, sequence: AtomicU64::new(0), sets }
    }

    /// What applies to `namespace` now.
    ///
    /// # Errors
    /// Those of the source: nothing may be allowed then.
    fn set(&self, namespace: &Namespace) -> Result<Arc<PolicySet>> {
        let (key, generation) = ((namespace.id, namespace.incarnation), self.store.generation());
        let place = self.place();
        if let Some((read, set)) = place.lock().get(&key)
            && *read == generation
        {
            return Ok(Arc::clone(set));
        }
        // Without the lock: modules are compiled here.
        let set = self.source.load(namespace)?;
        if generation.is_multiple_of(2) {
            let mut kept = place.lock();
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(key, (generation, Arc::clone(&set)));
        }
        Ok(set)
    }

    fn place(&self) -> &Lock<Sets> {
        let [first, ..] = &self.sets;
        self.sets.get(PLACE.try_with(|place| *place).unwrap_or(0) % PLACES).unwrap_or(first)
    }

    fn ask(&self, set: &PolicySet, request: &PolicyRequest<'_>) -> (Decision, Option<Seen>) {
        let facts = Facts::of(request);
        let counts = match self.counts(set, request, &facts) {
            Ok(counts) => counts,
            // Policies that ask for a rate hear of the highest, the others work on.
            Err(error) if error.kind() == ErrorKind::QuotaExceeded => (u32::MAX, u32::MAX),
            Err(error) => {
                return (
                    Decision::denied(format!("what policies count cannot be counted: {}", error.sentence())),
                    None,
                );
            }
        };
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        // A thread that ends has no scratch any more.
        let decided = SCRATCH.try_with(|scratch| {
            let mut encoded = scratch.try_borrow_mut().ok()?;
            let round = Round { request, facts: &facts, reads: set.reads(), counts, sequence };
            let decision = match set.is_free() {
                true => AttributePolicy.decide(request),
                false => round.decide(&mut encoded, |name| set.policies_for(name)),
            };
            let other = set.has_shadow().then(|| round.decide(&mut encoded, |name| set.candidates_for(name)));
            // Searches, digests and random draws may leave no record that could carry them.
            let recorded = !matches!(request.action, Action::Find | Action::Digest | Action::Random);
            let notes = if recorded { set.take_notes() } else { Vec::new() };
            Some(decision.beside(other).noted(notes))
        });
        let decision = match decided {
            Ok(Some(decision)) => decision,
            _ => Decision::denied("the policies cannot be asked from here".to_owned()),
        };
        let seen = (!set.is_free()).then(|| set.seen(&facts, request, counts, decision.is_allow()));
        (decision, seen)
    }

    /// Decisions like this one within the last second and minute; 0 where no policy looks at them.
    fn counts(&self, set: &PolicySet, request: &PolicyRequest<'_>, facts: &Facts<'_>) -> Result<(u32, u32)> {
        if !set.reads().counts {
            return Ok((0, 0));
        }
        let name = [
            b"decisions".as_slice(),
            &request.caller.namespace.id.0,
            request.caller.principal.name.as_bytes(),
            request.action.name().as_bytes(),
            facts.counted_name().as_bytes(),
        ];
        let count = |seconds| match request.again {
            true => Ok(self.rates.counted(RateName(&name), seconds, request.time)?.max(1)),
            false => self.rates.count(RateName(&name), seconds, request.time),
        };
        Ok((count(1)?, count(60)?))
    }
}

/// One request, asked of one or two sets of policies.
struct Round<'a> {
    request: &'a PolicyRequest<'a>,
    facts: &'a Facts<'a>,
    reads: Reads,
    counts: (u32, u32),
    sequence: u64,
}

impl<'a> Round<'a> {
    fn decide<I: Iterator<Item = &'a Applied>>(
        &self,
        encoded: &mut Encoded,
        policies: impl Fn(&'a str) -> I,
    ) -> Decision {
        let mut composition = Composition::default();
        // A copy keeps the policies of what it came from.
        for name in self.facts.names() {
            let mut input = self.facts.input(self.request, name);
            (input.last_second, input.last_minute) = self.counts;
            input.sequence = self.sequence;
            // What a policy says that it does not look at, it cannot look at.
            input.keep_only(self.reads);
            encoded.encode(&input);
            let now = self.request.time;
            if !policies(name).all(|policy| composition.add(policy, policy.answer(now, &input, encoded))) {
                break;
            }
            composition.end_name();
        }
        composition.decide(Applied::rule, || silent(self.request, ""))
    }
}

impl PolicyEngine for GuestEngine {
    fn marks(&self, caller: &Caller, context: &EncryptionContext) -> MarkedContext {
        match self.set(&caller.namespace) {
            Ok(set) => set.marks(context),
            Err(_) => MarkedContext::new(context, |_, _| NO_MARK),
        }
    }

    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        self.decide_seen(request).0
    }

    fn decide_seen(&self, request: &PolicyRequest<'_>) -> (Decision, Option<Seen>) {
        match self.set(&request.caller.namespace) {
            Ok(set) if set.is_free() && set.is_empty() => (AttributePolicy.decide(request), None),
            Ok(set) if set.is_empty() => {
                let decision = silent(request, NONE);
                let seen = set.seen(&Facts::of(request), request, (0, 0), decision.is_allow());
                (decision, Some(seen))
            }
            Ok(set) => self.ask(&set, request),
            Err(error) => {
                (Decision::denied(format!("the policies of the namespace cannot be used: {}", error.sentence())), None)
            }
        }
    }

    fn is_silent(&self, caller: &Caller, generation: u64) -> bool {
        if caller.is_ungoverned(generation) {
            return true;
        }
        let silent = self.set(&caller.namespace).is_ok_and(|set| set.is_free() && set.is_empty());
        if silent && self.store.generation() == generation {
            caller.found_ungoverned(generation);
        }
        silent
    }

    fn holds(&self, caller: &Caller) -> Option<Range<Timestamp>> {
        self.set(&caller.namespace).ok()?.holds()
    }

    fn asks_length(&self, caller: &Caller) -> bool {
        // Where that cannot be told, nothing is allowed either.
        self.set(&caller.namespace).is_ok_and(|set| set.asks_length())
    }

    fn for_lengths(&self, request: &PolicyRequest<'_>, denied: bool) -> Vec<Decision> {
        let Ok(set) = self.set(&request.caller.namespace) else { return Vec::new() };
        if set.is_free() || set.is_empty() || !(denied || set.names_lengths()) {
            return Vec::new();
        }
        let facts = Facts::of(request);
        // None of these is a decision on the operation: they are not counted.
        let again = PolicyRequest { again: true, ..*request };
        let Ok(counts) = self.counts(&set, &again, &facts) else { return Vec::new() };
        let mut allows: Vec<Decision> = Vec::new();
        let _ = SCRATCH.try_with(|scratch| {
            let Ok(mut encoded) = scratch.try_borrow_mut() else { return };
            for length in set.lengths() {
                let request = &PolicyRequest { data_len: Some(length), ..*request };
                let round = Round { request, facts: &facts, reads: set.reads(), counts, sequence: 0 };
                let decision = round.decide(&mut encoded, |name| set.policies_for(name));
                if decision.is_allow() && !allows.contains(&decision) {
                    allows.push(decision);
                }
            }
        });
        allows
    }

    fn approve(&self, quorums: &[QuorumRequest<'_>], data: Option<[u8; 32]>) -> Result<Vec<String>> {
        super::quorum::approve(&self.approvals, &*self.store, quorums, data)
    }
}

/// Why nothing is allowed where policies are required and none is in force.
const NONE: &str = ": none is in force here any more, and this namespace requires one";

/// Where no policy speaks of a request. Keys are refused; what touches no key follows its attributes, or no client could
/// even look for the keys that it may use.
fn silent(request: &PolicyRequest<'_>, why: &str) -> Decision {
    let keyless = match request.subject {
        Subject::Namespace => matches!(request.action, Action::Find | Action::Digest | Action::Random),
        Subject::Object(object) => object.key().is_none(),
        Subject::New(new) => !new.is_key,
    };
    if keyless {
        return Decision::allowed();
    }
    let (who, action) = (&request.caller.principal.name, request.action.name());
    Decision::denied(match (Facts::of(request).names().next(), request.subject) {
        (_, Subject::Namespace) => format!("no policy allows {who} to {action}{why}"),
        (None | Some(""), _) => format!("no policy allows {who} to {action} this key{why}"),
        (Some(name), _) => format!("no policy allows {who} to {action} key `{name}`{why}"),
    })
}

impl std::fmt::Debug for GuestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestEngine").finish_non_exhaustive()
    }
}
