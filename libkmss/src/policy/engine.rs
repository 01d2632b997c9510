//! The engine: the policies of platform, tenant, namespace and key, asked in the process that asks.
//!
//! What applies to a namespace is loaded once for each generation of the store, so that a change holds from the next
//! operation of every process on. Whatever cannot be read, loaded or asked denies.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::abi::Encoded;
use super::compose::Composition;
use super::facts::Facts;
use super::{Applied, AttributePolicy, Decision, PolicyEngine, PolicyRequest, PolicySet, PolicySource};
use crate::error::Result;
use crate::key::Action;
use crate::os::{Lock, Rank};
use crate::permit::Subject;
use crate::rates::{RateName, Rates};
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
    sequence: AtomicU64,
    sets: [Lock<HashMap<NamespaceId, (u64, Arc<PolicySet>)>>; PLACES],
}

impl GuestEngine {
    /// An engine for what `source` says is applied, read anew when the generation of `store` moves.
    pub fn new(source: Arc<dyn PolicySource>, store: Arc<dyn Store>, rates: Arc<Rates>) -> Self {
        let sets = std::array::from_fn(|_| Lock::new(Rank::Cache, HashMap::new()));
        Self { source, store, rates, sequence: AtomicU64::new(0), sets }
    }

    /// What applies to `namespace` now.
    ///
    /// # Errors
    /// Those of the source: nothing may be allowed then.
    pub fn set(&self, namespace: &Namespace) -> Result<Arc<PolicySet>> {
        let generation = self.store.generation();
        let place = self.place();
        if let Some((read, set)) = place.lock().get(&namespace.id)
            && *read == generation
        {
            return Ok(Arc::clone(set));
        }
        // Without the lock: modules are compiled here.
        let set = Arc::new(self.source.load(namespace)?);
        if generation.is_multiple_of(2) {
            let mut kept = place.lock();
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(namespace.id, (generation, Arc::clone(&set)));
        }
        Ok(set)
    }

    fn place(&self) -> &Lock<HashMap<NamespaceId, (u64, Arc<PolicySet>)>> {
        let [first, ..] = &self.sets;
        self.sets.get(PLACE.try_with(|place| *place).unwrap_or(0) % PLACES).unwrap_or(first)
    }

    fn ask(&self, set: &PolicySet, request: &PolicyRequest<'_>) -> Decision {
        let facts = Facts::of(request);
        let mut composition = Composition::default();
        // A copy keeps the policies of what it came from.
        for name in facts.names() {
            let (second, minute) = match self.counts(request, &facts) {
                Ok(counts) => counts,
                Err(error) => return Decision::denied(format!("what policies count cannot be counted: {error}")),
            };
            let mut input = facts.input(request, name);
            (input.last_second, input.last_minute) = (second, minute);
            input.sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
            let mut asked = |encoded: &mut Encoded| {
                encoded.encode(&input);
                set.policies_for(name).all(|policy| composition.add(policy, policy.answer(&input, encoded)))
            };
            // A thread that ends has no scratch any more, and a guest that asks again has none yet.
            let asked = match SCRATCH.try_with(|scratch| scratch.try_borrow_mut().map(|mut s| asked(&mut s))) {
                Ok(Ok(asked)) => asked,
                _ => return Decision::denied("the policies cannot be asked from here".to_owned()),
            };
            if !asked {
                break;
            }
        }
        composition.decide(Applied::rule, || silent(request))
    }

    /// Decisions like this one within the last second and minute.
    fn counts(&self, request: &PolicyRequest<'_>, facts: &Facts<'_>) -> Result<(u32, u32)> {
        let name = [
            b"decisions".as_slice(),
            &request.caller.namespace.id.0,
            request.caller.principal.name.as_bytes(),
            request.action.name().as_bytes(),
            facts.id().as_bytes(),
        ];
        let second = self.rates.count(RateName(&name), 1, request.time)?;
        Ok((second, self.rates.count(RateName(&name), 60, request.time)?))
    }
}

impl PolicyEngine for GuestEngine {
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        match self.set(&request.caller.namespace) {
            Ok(set) if set.is_empty() => AttributePolicy.decide(request),
            Ok(set) => self.ask(&set, request),
            Err(error) => Decision::denied(format!("the policies of the namespace cannot be used: {error}")),
        }
    }
}

/// Where no policy speaks of a request. Keys are refused; what touches no key follows its attributes, or no client could
/// even look for the keys that it may use.
fn silent(request: &PolicyRequest<'_>) -> Decision {
    let keyless = match request.subject {
        Subject::Namespace => matches!(request.action, Action::Find | Action::Digest | Action::Random),
        Subject::Object(object) => object.key().is_none(),
        Subject::New(new) => !new.is_key,
    };
    if keyless {
        return Decision::allowed();
    }
    Decision::denied(format!(
        "no policy allows {} to {} this key",
        request.caller.principal.name,
        request.action.name()
    ))
}

impl std::fmt::Debug for GuestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestEngine").finish_non_exhaustive()
    }
}
