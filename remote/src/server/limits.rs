//! Policies, quotas and blocks, for administrators.

use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::kms::PolicyTarget;
use libkmss::policy::registry::{Entry, InForce, PolicyRole};
use libkmss::quota::{Block, BlockTarget, Each, Quota, QuotaLimits, QuotaScope, Within};

use super::call::{Asked, Call, argument};
use crate::proto;

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl Asked<'_> {
    /// The caller in the namespace that `scope` is in, and what it speaks of there.
    fn target(&self, scope: Option<proto::PolicyScope>) -> Result<(Caller, PolicyTarget)> {
        use proto::policy_scope::Kind;
        let within = |name: &str| -> Result<Caller> {
            let namespace = Arc::new(self.named(name)?);
            Ok(self.caller.with(|parts| parts.namespace = namespace))
        };
        match scope.and_then(|scope| scope.kind).ok_or_else(|| argument("it is not said what the policy speaks of"))? {
            Kind::Platform(proto::Everything {}) => Ok((self.caller.clone(), PolicyTarget::Platform)),
            Kind::Tenant(tenant) => Ok((self.caller.clone(), PolicyTarget::Tenant(tenant))),
            Kind::Namespace(name) => Ok((within(&name)?, PolicyTarget::Namespace)),
            Kind::Key(key) => Ok((within(&key.namespace)?, PolicyTarget::Key(key.name))),
        }
    }
}

fn role(number: i32) -> Result<PolicyRole> {
    match proto::PolicyRole::try_from(number) {
        Ok(proto::PolicyRole::Active) => Ok(PolicyRole::Active),
        Ok(proto::PolicyRole::Shadow) => Ok(PolicyRole::Shadow),
        _ => Err(argument("it is not said whether the policy decides")),
    }
}

fn policy(entry: &Entry, bundle: &InForce, role: proto::PolicyRole) -> proto::Policy {
    proto::Policy {
        name: entry.name.clone(),
        scope: entry.scope.to_string(),
        role: role.into(),
        sequence: bundle.manifest.terms.sequence,
        digest: bundle.digest.to_vec(),
        anchor: bundle.anchor.clone(),
        applied_by: bundle.applied_by.clone(),
        applied_ms: bundle.applied.0,
    }
}

impl Call for proto::ListPoliciesRequest {
    type Answer = proto::ListPoliciesResponse;
    const METHOD: &'static str = "ListPolicies";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListPoliciesResponse> {
        asked.admin()?;
        let entries = asked.host.kms.policies()?;
        let both = |entry: &Entry| {
            let active = entry.active.as_ref().map(|bundle| policy(entry, bundle, proto::PolicyRole::Active));
            let shadow = entry.shadow.as_ref().map(|bundle| policy(entry, bundle, proto::PolicyRole::Shadow));
            [active, shadow]
        };
        let policies = entries.entries().iter().flat_map(both).flatten().collect();
        Ok(proto::ListPoliciesResponse { policies })
    }
}

impl Call for proto::ApplyPolicyRequest {
    type Answer = proto::ApplyPolicyResponse;
    const METHOD: &'static str = "ApplyPolicy";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ApplyPolicyResponse> {
        asked.admin()?;
        let (caller, target) = asked.target(self.scope)?;
        let applied = asked.host.kms.apply_policy(&caller, &target, &self.bundle, role(self.role)?)?;
        let (name, sequence, changed) = (applied.name, applied.sequence, applied.changed);
        Ok(proto::ApplyPolicyResponse { name, sequence, changed })
    }
}

impl Call for proto::RemovePolicyRequest {
    type Answer = proto::RemovePolicyResponse;
    const METHOD: &'static str = "RemovePolicy";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RemovePolicyResponse> {
        asked.admin()?;
        let (caller, target) = asked.target(self.scope)?;
        asked.host.kms.remove_policy(&caller, &target, &self.name, role(self.role)?)?;
        Ok(proto::RemovePolicyResponse {})
    }
}

impl Call for proto::ListQuotasRequest {
    type Answer = proto::ListQuotasResponse;
    const METHOD: &'static str = "ListQuotas";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListQuotasResponse> {
        asked.admin()?;
        let mut quotas = Vec::new();
        for quota in asked.host.kms.quotas()? {
            let namespace = quota.scope.namespace.map(|id| asked.name_of(id)).transpose()?;
            quotas.push(proto::Quota {
                name: quota.name,
                tenant: quota.scope.tenant.unwrap_or_default(),
                namespace: namespace.or(quota.scope.token).unwrap_or_default(),
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
                set_by: quota.by,
                set_ms: quota.set.0,
            });
        }
        Ok(proto::ListQuotasResponse { quotas })
    }
}

impl Call for proto::SetQuotaRequest {
    type Answer = proto::SetQuotaResponse;
    const METHOD: &'static str = "SetQuota";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::SetQuotaResponse> {
        asked.admin()?;
        let wanted = self.quota.ok_or_else(|| argument("there is no quota in the call"))?;
        let namespace = some(wanted.namespace).map(|name| asked.named(&name)).transpose()?;
        let each = |word: &String| Each::ALL.into_iter().find(|each| each.name() == word);
        let each: Option<Vec<Each>> = wanted.each.iter().map(each).collect();
        let quota = Quota {
            name: wanted.name,
            scope: QuotaScope {
                tenant: some(wanted.tenant),
                namespace: namespace.map(|namespace| namespace.id),
                token: None,
                principal: some(wanted.principal),
                key: some(wanted.key),
            },
            each: each.ok_or_else(|| argument("what is counted apart: `tenant`, `token`, `principal` or `key`"))?,
            actions: wanted.actions,
            limits: QuotaLimits {
                per_second: wanted.per_second,
                burst: wanted.burst,
                per_day: wanted.per_day,
                total: wanted.total,
                bytes_per_day: wanted.bytes_per_day,
                bytes_total: wanted.bytes_total,
            },
            serial: 0,
            by: String::new(),
            set: Timestamp(0),
        };
        asked.host.kms.set_quota(&asked.caller, quota)?;
        Ok(proto::SetQuotaResponse {})
    }
}

impl Call for proto::RemoveQuotaRequest {
    type Answer = proto::RemoveQuotaResponse;
    const METHOD: &'static str = "RemoveQuota";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RemoveQuotaResponse> {
        asked.admin()?;
        let namespace = some(self.namespace).map(|name| asked.named(&name)).transpose()?;
        asked.host.kms.remove_quota(&asked.caller, namespace.map(|namespace| namespace.id), &self.name)?;
        Ok(proto::RemoveQuotaResponse {})
    }
}

fn block(asked: &Asked<'_>, block: Block) -> Result<proto::Block> {
    use proto::block_target::Kind;
    let key = |namespace, name| Kind::Key(proto::PolicyKey { namespace, name });
    let kind = match block.target {
        BlockTarget::Principal { name, within } => {
            let (tenant, namespace) = match within {
                Within::Everywhere => (String::new(), String::new()),
                Within::Tenant(tenant) => (tenant, String::new()),
                Within::Namespace(id) => (String::new(), asked.name_of(id)?),
            };
            Kind::Principal(proto::PrincipalTarget { name, tenant, namespace })
        }
        BlockTarget::Key { namespace, key: name } => key(asked.name_of(namespace)?, name),
        BlockTarget::Namespace { namespace } => Kind::Namespace(asked.name_of(namespace)?),
    };
    Ok(proto::Block {
        id: block.id.to_string(),
        target: Some(proto::BlockTarget { kind: Some(kind) }),
        per_second: block.per_second,
        reason: block.reason,
        by: block.by,
        since_ms: block.since.0,
        until_ms: block.until.map(|until| until.0),
    })
}

fn blocked(asked: &Asked<'_>, target: Option<proto::BlockTarget>) -> Result<BlockTarget> {
    use proto::block_target::Kind;
    let missing = || argument("it is not said who or what to block");
    Ok(match target.and_then(|target| target.kind).ok_or_else(missing)? {
        Kind::Principal(principal) => {
            let within = match (some(principal.tenant), some(principal.namespace)) {
                (None, None) => Within::Everywhere,
                (Some(tenant), None) => Within::Tenant(tenant),
                (None, Some(name)) => Within::Namespace(asked.named(&name)?.id),
                (Some(_), Some(_)) => return Err(argument("a principal is blocked in a tenant or in a namespace")),
            };
            BlockTarget::Principal { name: principal.name, within }
        }
        Kind::Key(key) => BlockTarget::Key { namespace: asked.named(&key.namespace)?.id, key: key.name },
        Kind::Namespace(name) => BlockTarget::Namespace { namespace: asked.named(&name)?.id },
    })
}

impl Call for proto::ListBlocksRequest {
    type Answer = proto::ListBlocksResponse;
    const METHOD: &'static str = "ListBlocks";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListBlocksResponse> {
        asked.admin()?;
        let blocks = asked.host.kms.blocks()?.into_iter().map(|one| block(asked, one)).collect::<Result<_>>()?;
        Ok(proto::ListBlocksResponse { blocks })
    }
}

impl Call for proto::CreateBlockRequest {
    type Answer = proto::CreateBlockResponse;
    const METHOD: &'static str = "CreateBlock";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::CreateBlockResponse> {
        asked.admin()?;
        let (target, until) = (blocked(asked, self.target)?, self.until_ms.map(Timestamp));
        let (kms, caller) = (&asked.host.kms, &asked.caller);
        let id = match self.per_second {
            Some(limit) => kms.throttle(caller, target, limit, &self.reason, until)?,
            None => kms.block(caller, target, &self.reason, until)?,
        };
        Ok(proto::CreateBlockResponse { id: id.to_string() })
    }
}

impl Call for proto::ReleaseBlockRequest {
    type Answer = proto::ReleaseBlockResponse;
    const METHOD: &'static str = "ReleaseBlock";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ReleaseBlockResponse> {
        asked.admin()?;
        asked.host.kms.release(&asked.caller, self.id.parse()?)?;
        Ok(proto::ReleaseBlockResponse {})
    }
}
