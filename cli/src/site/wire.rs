//! Between the contract's messages and what operators see.

use libkmss::clock::Timestamp;
use libkmss::policy::Scope;
use libkmss::policy::bundle::{Abi, KeyId, Manifest, Terms};
use libkmss::quota::{Block, BlockTarget, Each, Kind, Quota, QuotaLimits, QuotaScope, Usage, Within};
use libkmss::tenant::{Namespace, NamespaceId};
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

fn id(bytes: &[u8]) -> Result<NamespaceId, Failure> {
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

pub(super) fn scope_message(scope: &Scope) -> proto::PolicyScope {
    use policy_scope::Kind;
    let kind = match scope {
        Scope::Platform => Kind::Platform(proto::Everything {}),
        Scope::Tenant { tenant } => Kind::Tenant(tenant.clone()),
        Scope::Namespace { tenant, namespace } => Kind::Namespace(format!("{tenant}/{namespace}")),
        Scope::Key { tenant, namespace, key } => {
            Kind::Key(proto::PolicyKey { namespace: format!("{tenant}/{namespace}"), name: key.clone() })
        }
    };
    proto::PolicyScope { kind: Some(kind) }
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

/// `name_of` calls a namespace by its name.
pub(super) fn target(target: BlockTarget, name_of: impl Fn(NamespaceId) -> String) -> proto::BlockTarget {
    use block_target::Kind;
    let kind = match target {
        BlockTarget::Principal { name, within } => {
            let (tenant, namespace) = match within {
                Within::Everywhere => (String::new(), String::new()),
                Within::Tenant(tenant) => (tenant, String::new()),
                Within::Namespace(id) => (String::new(), name_of(id)),
            };
            Kind::Principal(proto::PrincipalTarget { name, tenant, namespace })
        }
        BlockTarget::Key { namespace, key } => Kind::Key(proto::PolicyKey { namespace: name_of(namespace), name: key }),
        BlockTarget::Namespace { namespace } => Kind::Namespace(name_of(namespace)),
    };
    proto::BlockTarget { kind: Some(kind) }
}

pub(super) fn quota(quota: proto::Quota) -> Result<(Quota, Vec<Usage>), Failure> {
    let namespace = if quota.namespace_id.is_empty() { None } else { Some(id(&quota.namespace_id)?) };
    let each = |word: &String| Each::ALL.into_iter().find(|each| each.name() == word).ok_or_else(strange);
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
    let limits = QuotaLimits {
        per_second: quota.per_second,
        burst: quota.burst,
        per_day: quota.per_day,
        total: quota.total,
        bytes_per_day: quota.bytes_per_day,
        bytes_total: quota.bytes_total,
    };
    let quota = Quota {
        name: quota.name,
        scope,
        each: quota.each.iter().map(each).collect::<Result<_, Failure>>()?,
        actions: quota.actions,
        limits,
        serial: u64::from(!quota.configured),
        by: quota.set_by,
        set: Timestamp(quota.set_ms),
    };
    Ok((quota, used))
}

pub(super) fn quota_message(quota: Quota, name_of: impl Fn(NamespaceId) -> String) -> proto::Quota {
    proto::Quota {
        name: quota.name,
        tenant: quota.scope.tenant.unwrap_or_default(),
        namespace: quota.scope.namespace.map(name_of).unwrap_or_default(),
        principal: quota.scope.principal.unwrap_or_default(),
        key: quota.scope.key.unwrap_or_default(),
        each: quota.each.iter().map(|each| each.name().to_owned()).collect(),
        actions: quota.actions,
        per_second: quota.limits.per_second,
        burst: quota.limits.burst,
        per_day: quota.limits.per_day,
        total: quota.limits.total,
        bytes_per_day: quota.limits.bytes_per_day,
        bytes_total: quota.limits.bytes_total,
        ..proto::Quota::default()
    }
}
