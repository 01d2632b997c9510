//! Between the contract's messages and what operators see.

use libkmss::clock::Timestamp;
use libkmss::policy::Scope;
use libkmss::policy::bundle::{Abi, KeyId, Manifest, Terms};
use libkmss::quota::{Block, BlockTarget, Kind, Quota, QuotaScope, Usage, Within};
use libkmss::tenant::{Namespace, NamespaceId};
use remote::convert;
use remote::proto::{self, block_target, policy_scope};

use super::{InForce, Listed};
use crate::output::Failure;

/// What is said of an answer that makes no sense.
fn strange() -> Failure {
    "the server's answer is not one that is known here; is it a newer one?".into()
}

pub(super) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Failure> {
    bytes.try_into().map_err(|_| strange())
}

pub(super) fn id(bytes: &[u8]) -> Result<NamespaceId, Failure> {
    Ok(NamespaceId(exactly(bytes)?))
}

/// `tenant/name`, or `name` in the tenant that has no other name.
fn parts(namespace: &str) -> (String, String) {
    let (tenant, name) = namespace.split_once('/').unwrap_or((Namespace::DEFAULT_TENANT, namespace));
    (tenant.to_owned(), name.to_owned())
}

pub(super) fn scope(scope: Option<proto::PolicyScope>) -> Result<Scope, Failure> {
    use policy_scope::Kind;
    Ok(match scope.and_then(|scope| scope.kind).ok_or_else(strange)? {
        Kind::Platform(proto::Everything {}) => Scope::Platform,
        Kind::Tenant(tenant) => Scope::Tenant { tenant },
        Kind::Namespace(name) => {
            let (tenant, namespace) = parts(&name);
            Scope::Namespace { tenant, namespace }
        }
        Kind::Key(key) => {
            let (tenant, namespace) = parts(&key.namespace);
            Scope::Key { tenant, namespace, key: key.name }
        }
    })
}

pub(super) fn listed(entry: proto::PolicyEntry) -> Result<Listed, Failure> {
    let name = entry.name;
    let in_force = |policy: proto::PolicyInForce| in_force(policy, &name);
    Ok(Listed {
        scope: scope(entry.scope)?,
        stale: entry.stale,
        highest: entry.highest_sequence,
        active: entry.active.map(in_force).transpose()?,
        shadow: entry.shadow.map(in_force).transpose()?,
        name: name.clone(),
    })
}

fn in_force(policy: proto::PolicyInForce, name: &str) -> Result<InForce, Failure> {
    let abi = [Abi::Kmss, Abi::Opa].into_iter().find(|abi| abi.name() == policy.abi).ok_or_else(strange)?;
    let terms = Terms {
        name: name.to_owned(),
        scope: scope(policy.scope)?,
        sequence: policy.sequence,
        abi,
        fuel: policy.fuel,
        pages: policy.pages,
        entrypoint: some(policy.entrypoint),
        not_before: Timestamp(policy.not_before_ms),
        not_after: policy.not_after_ms.map(Timestamp),
    };
    let source = policy.has_source.then(|| [0; 32].into());
    let (publisher, module) = (KeyId(exactly(&policy.publisher)?), exactly(&policy.module)?);
    Ok(InForce {
        manifest: Manifest { terms, publisher, module, data: None, source },
        digest: exactly(&policy.digest)?,
        anchor: policy.anchor,
        applied: Timestamp(policy.applied_ms),
        applied_by: policy.applied_by,
    })
}

pub(super) fn block(block: proto::Block) -> Result<Block, Failure> {
    use block_target::Kind;
    let namespace = || id(&block.namespace_id);
    let target = match block.target.and_then(|target| target.kind).ok_or_else(strange)? {
        Kind::Principal(principal) => {
            let within = match (some(principal.tenant), principal.namespace.is_empty()) {
                (Some(tenant), _) => Within::Tenant(tenant),
                (None, true) => Within::Everywhere,
                (None, false) => Within::Namespace(namespace()?),
            };
            BlockTarget::Principal { name: principal.name, within }
        }
        Kind::Key(key) => BlockTarget::Key { namespace: namespace()?, key: key.name },
        Kind::Namespace(_) => BlockTarget::Namespace { namespace: namespace()? },
    };
    Ok(Block {
        id: block.id.parse()?,
        target,
        per_second: block.per_second,
        reason: block.reason,
        by: block.by,
        since: Timestamp(block.since_ms),
        until: block.until_ms.map(Timestamp),
    })
}

pub(super) fn quota(quota: proto::Quota) -> Result<(Quota, Vec<Usage>), Failure> {
    let namespace = if quota.namespace_id.is_empty() { None } else { Some(id(&quota.namespace_id)?) };
    let (each, limits) = (convert::quota_each(&quota).ok_or_else(strange)?, convert::quota_limits(&quota));
    let usage = |usage: proto::QuotaUsage| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == usage.kind).ok_or_else(strange)?;
        Ok(Usage { of: usage.of, kind, used: usage.used, limit: usage.limit })
    };
    let used = quota.usage.into_iter().map(usage).collect::<Result<_, Failure>>()?;
    let scope = QuotaScope {
        tenant: some(quota.tenant),
        // By its name where the configuration names it, else by its identity.
        token: some(quota.namespace).filter(|_| namespace.is_none()),
        namespace,
        principal: some(quota.principal),
        key: some(quota.key),
    };
    let quota = Quota {
        name: quota.name,
        scope,
        each,
        actions: quota.actions,
        limits,
        serial: u64::from(!quota.configured),
        by: quota.set_by,
        set: Timestamp(quota.set_ms),
    };
    Ok((quota, used))
}
