//! What is blocked, throttled and budgeted in a home at one time, found quickly by whom it concerns.

use std::collections::HashMap;
use std::sync::Arc;

use super::Demand;
use super::block::{Block, BlockTarget};
use super::rule::Quota;
use crate::caller::Caller;
use crate::tenant::NamespaceId;

/// What is in force.
#[derive(Debug, Default)]
pub struct InForce {
    /// Differs between different sets, and grows.
    pub(super) edition: u64,
    blocks: Vec<Arc<Block>>,
    /// Those on principals, by name.
    by_principal: HashMap<String, Vec<Arc<Block>>>,
    /// Those on namespaces and what is in them.
    by_namespace: HashMap<NamespaceId, Vec<Arc<Block>>>,
    quotas: Vec<Arc<Quota>>,
}

impl InForce {
    pub(super) fn new(edition: u64, blocks: Vec<Block>, quotas: Vec<Arc<Quota>>) -> Self {
        let blocks: Vec<Arc<Block>> = blocks.into_iter().map(Arc::new).collect();
        let mut this = Self { edition, quotas, ..Self::default() };
        for block in &blocks {
            let place = match &block.target {
                BlockTarget::Principal { name, .. } => this.by_principal.entry(name.clone()).or_default(),
                BlockTarget::Key { namespace, .. } | BlockTarget::Namespace { namespace } => {
                    this.by_namespace.entry(*namespace).or_default()
                }
            };
            place.push(Arc::clone(block));
        }
        this.blocks = blocks;
        this
    }

    /// Every block and throttle, also those whose time is over, the oldest first.
    #[must_use]
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// Every quota, those of the configuration first.
    #[must_use]
    pub fn quotas(&self) -> &[Arc<Quota>] {
        &self.quotas
    }

    /// Whether anything in it could concern what `caller` does.
    pub(super) fn concerns(&self, caller: &Caller) -> bool {
        self.by_principal.contains_key(&caller.principal.name)
            || self.by_namespace.contains_key(&caller.namespace.id)
            || self.quotas.iter().any(|quota| quota.concerns(caller))
    }

    /// The blocks and throttles that hold for `demand`.
    pub(super) fn holding<'a>(&'a self, demand: &'a Demand<'_>) -> impl Iterator<Item = &'a Arc<Block>> {
        let caller = demand.caller;
        let principal = self.by_principal.get(&caller.principal.name);
        let namespace = self.by_namespace.get(&caller.namespace.id);
        let both = principal.into_iter().chain(namespace).flatten();
        both.filter(|block| block.holds(demand.time) && block.concerns(demand))
    }
}
