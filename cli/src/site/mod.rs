//! What operators change beyond single tokens, wherever it is: in a home, or on a server. A home asks for the security
//! officer's PIN where its configuration does not name the process; a server knows who is an administrator.

mod approvals;
mod domains;
mod home;
mod key_rules;
mod past;
mod report;
mod server;
mod tokens;
mod wire;

use libkmss::clock::Timestamp;
use libkmss::kms::{AppliedPolicy, UnsignedPolicy};
use libkmss::policy::Scope;
use libkmss::policy::bundle::{Manifest, PublisherKey};
use libkmss::policy::registry::PolicyRole;
use libkmss::quota::{Block, BlockId, BlockTarget, Quota, Usage};
use libkmss::tenant::{Namespace, NamespaceId};

pub(crate) use self::approvals::Approvals;
pub(crate) use self::domains::Domains;
use self::home::HomeSite;
pub(crate) use self::past::Offer;
pub(crate) use self::report::Wanted;
use self::server::ServerSite;
pub(crate) use self::tokens::{Order, Token, User};
use crate::context::{self, Context};
use crate::output::Failure;

/// What is known of a home, to call things by their names.
pub(crate) struct Known {
    /// Every namespace.
    pub namespaces: Vec<Namespace>,
    /// The time there.
    pub now: Timestamp,
}

impl Known {
    /// The token with this label.
    ///
    /// # Errors
    /// See [`context::named`].
    pub(crate) fn token(&self, label: &str) -> Result<Namespace, Failure> {
        context::named(self.namespaces.clone(), label)
    }

    /// The same by its identity, where one is named.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub(crate) fn token_id(&self, label: Option<&str>) -> Result<Option<NamespaceId>, Failure> {
        Ok(label.map(|label| self.token(label)).transpose()?.map(|found| found.id))
    }

    /// What a namespace is called; its identity where it is gone.
    pub(crate) fn name_of(&self, id: NamespaceId) -> String {
        let known = self.namespaces.iter().find(|known| known.id == id);
        known.map_or_else(|| id.to_string(), ToString::to_string)
    }
}

/// Blocks.
pub(crate) trait Blocks {
    /// What there is to know beside them.
    fn known(&self) -> Result<Known, Failure>;

    /// All of them.
    fn blocks(&self) -> Result<Vec<Block>, Failure>;

    /// Makes one; with `rate`, a throttle.
    fn block(
        &self,
        target: BlockTarget,
        rate: Option<u32>,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<BlockId, Failure>;

    /// Lets it go.
    fn release(&self, block: &Block) -> Result<(), Failure>;
}

/// A quota, with what is used of it where that was asked for.
pub(crate) type Counted = (Quota, Vec<Usage>);

/// Quotas.
pub(crate) trait Quotas {
    /// What there is to know beside them.
    fn known(&self) -> Result<Known, Failure>;

    /// All of them.
    fn quotas(&self, with_usage: bool) -> Result<Vec<Counted>, Failure>;

    /// Sets one; what it was before.
    fn set(&self, quota: Quota) -> Result<Option<Quota>, Failure>;

    /// Removes one; what it was.
    fn remove(&self, namespace: Option<NamespaceId>, name: &str) -> Result<Quota, Failure>;
}

/// A policy by its name in a scope.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Its name.
    pub name: String,
    /// What it speaks of.
    pub scope: Scope,
    /// Whether its namespace is gone, or was made anew since.
    pub stale: bool,
    /// The highest sequence ever applied here.
    pub highest: Option<u64>,
    /// What decides.
    pub active: Option<InForce>,
    /// What is asked beside it.
    pub shadow: Option<InForce>,
}

impl Listed {
    /// The bundle of one of the two roles.
    pub(crate) const fn in_role(&self, role: PolicyRole) -> Option<&InForce> {
        match role {
            PolicyRole::Active => self.active.as_ref(),
            PolicyRole::Shadow => self.shadow.as_ref(),
        }
    }

    /// Whether it speaks of (a part of) `namespace`.
    pub(crate) fn concerns(&self, namespace: &Namespace) -> bool {
        let (tenant, name) = (self.scope.tenant(), self.scope.namespace());
        !self.stale
            && tenant.is_none_or(|tenant| tenant == namespace.tenant)
            && name.is_none_or(|name| name == namespace.name)
    }
}

/// A bundle in force.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    /// What it says of itself; of its parts, only whether there are any.
    pub manifest: Manifest,
    /// SHA-256 of the encoded manifest.
    pub digest: [u8; 32],
    /// Whose signature it has.
    pub anchor: String,
    /// When it was applied, and by whom.
    pub applied: Timestamp,
    /// See [`Self::applied`].
    pub applied_by: String,
}

/// Whoever may publish policies.
pub(crate) struct Publisher {
    /// What it is called.
    pub name: String,
    /// What it may publish for.
    pub scope: Scope,
    /// The identity of its key.
    pub identity: String,
    /// How it signs.
    pub algorithm: String,
    /// Since when.
    pub added: Timestamp,
    /// By whom.
    pub added_by: String,
}

/// What is put in force.
pub(crate) enum Offered {
    /// A signed bundle.
    Bundle(Vec<u8>),
    /// What the home is to sign itself.
    Unsigned(UnsignedPolicy),
}

/// Policies, and who may publish them.
pub(crate) trait Policies {
    /// What there is to know beside them.
    fn known(&self) -> Result<Known, Failure>;

    /// All of them.
    fn policies(&self) -> Result<Vec<Listed>, Failure>;

    /// The bundle of one.
    fn bundle(&self, policy: &Listed, role: PolicyRole) -> Result<Vec<u8>, Failure>;

    /// Puts one in force.
    fn apply(&self, scope: &Scope, offered: Offered, role: PolicyRole) -> Result<AppliedPolicy, Failure>;

    /// Takes one out of force.
    fn remove(&self, scope: &Scope, name: &str, role: PolicyRole) -> Result<(), Failure>;

    /// Whose bundles are taken.
    fn publishers(&self) -> Result<Vec<Publisher>, Failure>;

    /// Takes bundles of this key; without one, lets the home sign itself.
    fn trust(&self, scope: &Scope, name: &str, key: Option<PublisherKey>) -> Result<(), Failure>;

    /// Takes them no more.
    fn distrust(&self, scope: &Scope, name: &str) -> Result<(), Failure>;
}

impl Context {
    /// The blocks.
    pub(crate) fn blocks(&self) -> Result<Box<dyn Blocks + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeSite::new(self)?),
            Some(server) => Box::new(ServerSite::new(server)),
        })
    }

    /// The quotas.
    pub(crate) fn quotas(&self) -> Result<Box<dyn Quotas + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeSite::new(self)?),
            Some(server) => Box::new(ServerSite::new(server)),
        })
    }

    /// The policies.
    pub(crate) fn policies(&self) -> Result<Box<dyn Policies + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeSite::new(self)?),
            Some(server) => Box::new(ServerSite::new(server)),
        })
    }
}
