//! Scopes of policies, quotas and blocks.

use libkmss::policy::Scope;
use libkmss::quota::{BlockTarget, Each, Quota, QuotaLimits, Within};
use libkmss::rules::KeyRule;
use libkmss::tenant::NamespaceId;

use crate::proto::{self, block_target, policy_scope};

impl From<&Scope> for proto::PolicyScope {
    fn from(scope: &Scope) -> Self {
        use policy_scope::Kind;
        let kind = match scope {
            Scope::Platform => Kind::Platform(proto::Everything {}),
            Scope::Tenant { tenant } => Kind::Tenant(tenant.clone()),
            Scope::Namespace { tenant, namespace } => Kind::Namespace(format!("{tenant}/{namespace}")),
            Scope::Key { tenant, namespace, key } => {
                Kind::Key(proto::PolicyKey { namespace: format!("{tenant}/{namespace}"), name: key.clone() })
            }
        };
        Self { kind: Some(kind) }
    }
}

/// A rule for keys; `namespace` is the name of the one that it is for, where it is for one.
#[must_use]
pub fn key_rule(rule: KeyRule, namespace: Option<String>) -> proto::KeyRule {
    let KeyRule { scope, types, preferred, rotation_days, apart, owner, by, set } = rule;
    proto::KeyRule {
        tenant: scope.tenant.unwrap_or_default(),
        namespace: namespace.unwrap_or_default(),
        service: scope.service.unwrap_or_default(),
        types: types.iter().map(ToString::to_string).collect(),
        preferred: preferred.unwrap_or_default(),
        rotation_days,
        apart,
        owner,
        set_by: by,
        set_ms: set.0,
        namespace_id: scope.namespace.map(|id| id.0.to_vec()).unwrap_or_default(),
    }
}

/// A quota; `namespace` is the name of the one that it is for by its identity, where it is for one.
#[must_use]
pub fn quota(quota: Quota, namespace: Option<String>) -> proto::Quota {
    let Quota { name, scope, each, actions, limits, serial, by, set } = quota;
    proto::Quota {
        name,
        tenant: scope.tenant.unwrap_or_default(),
        namespace: namespace.or(scope.token).unwrap_or_default(),
        principal: scope.principal.unwrap_or_default(),
        key: scope.key.unwrap_or_default(),
        each: each.iter().map(|each| each.name().to_owned()).collect(),
        actions,
        per_second: limits.per_second,
        burst: limits.burst,
        per_day: limits.per_day,
        total: limits.total,
        bytes_per_day: limits.bytes_per_day,
        bytes_total: limits.bytes_total,
        set_by: by,
        set_ms: set.0,
        namespace_id: scope.namespace.map(|id| id.0.to_vec()).unwrap_or_default(),
        configured: serial == 0,
        usage: Vec::new(),
    }
}

/// The limits of a quota.
#[must_use]
pub const fn quota_limits(quota: &proto::Quota) -> QuotaLimits {
    QuotaLimits {
        per_second: quota.per_second,
        burst: quota.burst,
        per_day: quota.per_day,
        total: quota.total,
        bytes_per_day: quota.bytes_per_day,
        bytes_total: quota.bytes_total,
    }
}

/// What a quota counts apart; `None` where a word is not known.
#[must_use]
pub fn quota_each(quota: &proto::Quota) -> Option<Vec<Each>> {
    let each = |word: &String| Each::ALL.into_iter().find(|each| each.name() == word);
    quota.each.iter().map(each).collect()
}

/// Who or what is blocked. `name_of` calls a namespace by its name.
///
/// # Errors
/// Those of `name_of`.
pub fn block_target<E>(
    target: BlockTarget,
    name_of: impl Fn(NamespaceId) -> Result<String, E>,
) -> Result<proto::BlockTarget, E> {
    use block_target::Kind;
    let kind = match target {
        BlockTarget::Principal { name, within } => {
            let (tenant, namespace) = match within {
                Within::Everywhere => (String::new(), String::new()),
                Within::Tenant(tenant) => (tenant, String::new()),
                Within::Namespace(id) => (String::new(), name_of(id)?),
            };
            Kind::Principal(proto::PrincipalTarget { name, tenant, namespace })
        }
        BlockTarget::Key { namespace, key } => {
            Kind::Key(proto::PolicyKey { namespace: name_of(namespace)?, name: key })
        }
        BlockTarget::Namespace { namespace } => Kind::Namespace(name_of(namespace)?),
    };
    Ok(proto::BlockTarget { kind: Some(kind) })
}
