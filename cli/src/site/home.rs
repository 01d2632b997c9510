//! A home, for operators.

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::clock::Timestamp;
use libkmss::kms::{AppliedPolicy, Kms, PolicyTarget};
use libkmss::policy::Scope;
use libkmss::policy::bundle::PublisherKey;
use libkmss::policy::registry::{self, Entry, LOCAL, PolicyRole};
use libkmss::quota::{Block, BlockId, BlockTarget, Quota};
use libkmss::tenant::NamespaceId;

use super::{Blocks, Counted, InForce, Known, Listed, Offered, Policies, Publisher, Quotas};
use crate::context::{Context, find_token};
use crate::output::Failure;

/// An open home, and where PINs come from.
pub(super) struct HomeSite<'a> {
    kms: Kms,
    context: &'a Context,
}

impl<'a> HomeSite<'a> {
    pub(super) fn new(context: &'a Context) -> Result<Self, Failure> {
        Ok(Self { kms: context.kms()?, context })
    }

    pub(super) const fn kms(&self) -> &Kms {
        &self.kms
    }

    pub(super) fn all(&self) -> Result<Known, Failure> {
        Ok(Known { namespaces: self.kms.namespaces()?, now: self.kms.now() })
    }

    /// Logs in whoever may block, release or set quotas in `namespace`, or beyond namespaces.
    pub(super) fn authority(&self, namespace: Option<NamespaceId>, alarm: bool) -> Result<Caller, Failure> {
        let kms = &self.kms;
        let known = kms.namespaces()?.into_iter().find(|known| Some(known.id) == namespace);
        // What is left of a namespace that is gone is an admin's matter.
        let Some(known) = known else { return Ok(kms.administrator(None)?) };
        let caller = kms.enter(&known, 0)?;
        if (alarm && kms.is_run_by_owner()) || kms.is_policy_admin(&known)? {
            return Ok(caller);
        }
        Ok(kms.login(&caller, &Credential::OfficerPin(&self.context.so_pin(&known.name)?))?)
    }

    /// Logs in whoever may change the policies of `scope`: the SO of its token, unless the process is an admin's.
    fn publisher(&self, scope: &Scope) -> Result<(Caller, PolicyTarget), Failure> {
        let kms = &self.kms;
        let target = match scope {
            Scope::Platform => PolicyTarget::Platform,
            Scope::Tenant { tenant } => PolicyTarget::Tenant(tenant.clone()),
            Scope::Namespace { .. } => PolicyTarget::Namespace,
            Scope::Key { key, .. } => PolicyTarget::Key(key.clone()),
        };
        let Some(token) = scope.namespace() else { return Ok((kms.administrator(scope.tenant())?, target)) };
        let namespace = find_token(kms, token)?;
        if Some(namespace.tenant.as_str()) != scope.tenant() {
            let (has, said) = (&namespace.tenant, scope.tenant().unwrap_or_default());
            return Err(format!("token `{token}` belongs to tenant `{has}`, not to `{said}`").into());
        }
        let caller = kms.enter(&namespace, 0)?;
        if kms.is_policy_admin(&namespace)? {
            return Ok((caller, target));
        }
        Ok((kms.login(&caller, &Credential::OfficerPin(&self.context.so_pin(token)?))?, target))
    }
}

impl Blocks for HomeSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        self.all()
    }

    fn blocks(&self) -> Result<Vec<Block>, Failure> {
        Ok(self.kms.blocks()?)
    }

    fn block(
        &self,
        target: BlockTarget,
        rate: Option<u32>,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<BlockId, Failure> {
        let caller = self.authority(target.namespace(), true)?;
        let id = match rate {
            Some(rate) => self.kms.throttle(&caller, target, rate, reason, until)?,
            None => self.kms.block(&caller, target, reason, until)?,
        };
        self.kms.close()?;
        Ok(id)
    }

    fn release(&self, block: &Block) -> Result<(), Failure> {
        let caller = self.authority(block.target.namespace(), false)?;
        self.kms.release(&caller, block.id)?;
        Ok(self.kms.close()?)
    }
}

impl Quotas for HomeSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        self.all()
    }

    fn quotas(&self, with_usage: bool) -> Result<Vec<Counted>, Failure> {
        let used = |quota: Quota| {
            let usage = if with_usage { self.kms.quota_usage(&quota)? } else { Vec::new() };
            Ok((quota, usage))
        };
        self.kms.quotas()?.into_iter().map(used).collect()
    }

    fn set(&self, quota: Quota) -> Result<Option<Quota>, Failure> {
        let caller = self.authority(quota.scope.namespace, false)?;
        let before = self.kms.set_quota(&caller, quota)?;
        self.kms.close()?;
        Ok(before)
    }

    fn remove(&self, namespace: Option<NamespaceId>, name: &str) -> Result<Quota, Failure> {
        let caller = self.authority(namespace, false)?;
        let removed = self.kms.remove_quota(&caller, namespace, name)?;
        self.kms.close()?;
        Ok(removed)
    }
}

impl Policies for HomeSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        self.all()
    }

    fn policies(&self) -> Result<Vec<Listed>, Failure> {
        let namespaces = self.kms.namespaces()?;
        let in_force = |policy: &registry::InForce| InForce {
            manifest: policy.manifest.clone(),
            digest: policy.digest,
            anchor: policy.anchor.clone(),
            applied: policy.applied,
            applied_by: policy.applied_by.clone(),
        };
        let listed = |entry: &Entry| Listed {
            name: entry.name.clone(),
            scope: entry.scope.clone(),
            stale: entry.place.is_some() && !namespaces.iter().any(|namespace| entry.concerns(namespace)),
            highest: entry.seen.map(|seen| seen.sequence),
            active: entry.active.as_ref().map(in_force),
            shadow: entry.shadow.as_ref().map(in_force),
        };
        Ok(self.kms.policies()?.entries().iter().map(listed).collect())
    }

    fn bundle(&self, policy: &Listed, role: PolicyRole) -> Result<Vec<u8>, Failure> {
        let entries = self.kms.policies()?;
        let digest = policy.in_role(role).map(|in_force| in_force.digest);
        let same = |entry: &&Entry| entry.name == policy.name && entry.scope == policy.scope;
        let mut found = entries.entries().iter().filter(same).filter_map(|entry| entry.in_role(role));
        let found = found.find(|in_force| Some(in_force.digest) == digest);
        Ok(self.kms.policy_bundle(found.ok_or("the policy is gone")?)?)
    }

    fn apply(&self, scope: &Scope, offered: Offered, role: PolicyRole) -> Result<AppliedPolicy, Failure> {
        let (caller, target) = self.publisher(scope)?;
        let applied = match offered {
            Offered::Bundle(bundle) => self.kms.apply_policy(&caller, &target, &bundle, role)?,
            Offered::Unsigned(policy) => self.kms.apply_local_policy(&caller, &target, policy, role)?,
        };
        self.kms.close()?;
        Ok(applied)
    }

    fn remove(&self, scope: &Scope, name: &str, role: PolicyRole) -> Result<(), Failure> {
        let (caller, target) = self.publisher(scope)?;
        self.kms.remove_policy(&caller, &target, name, role)?;
        Ok(self.kms.close()?)
    }

    fn publishers(&self) -> Result<Vec<Publisher>, Failure> {
        let mut publishers = Vec::new();
        for anchor in self.kms.trust_anchors()? {
            publishers.push(Publisher {
                identity: anchor.key.id()?.to_string(),
                algorithm: anchor.key.algorithm().name().to_owned(),
                name: anchor.name,
                scope: anchor.scope,
                added: anchor.added,
                added_by: anchor.added_by,
            });
        }
        Ok(publishers)
    }

    fn trust(&self, scope: &Scope, name: &str, key: Option<PublisherKey>) -> Result<(), Failure> {
        let (caller, target) = self.publisher(scope)?;
        match key {
            Some(key) => self.kms.add_trust_anchor(&caller, &target, name, key)?,
            None if name == LOCAL => self.kms.allow_local_publisher(&caller)?,
            None => return Err("name the file with the publisher's public key".into()),
        }
        Ok(self.kms.close()?)
    }

    fn distrust(&self, scope: &Scope, name: &str) -> Result<(), Failure> {
        let (caller, target) = self.publisher(scope)?;
        self.kms.remove_trust_anchor(&caller, &target, name)?;
        Ok(self.kms.close()?)
    }
}
