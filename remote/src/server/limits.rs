//! Quotas and blocks, for administrators.

use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::quota::{Block, BlockTarget, Quota, QuotaScope, Within};

use super::call::{Asked, Call, argument};
use crate::{convert, proto};

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
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
        let kms = &asked.host.kms;
        let mut quotas = Vec::new();
        for one in kms.quotas()? {
            let used = if self.with_usage { kms.quota_usage(&one)? } else { Vec::new() };
            let usage = used.into_iter().map(|usage| proto::QuotaUsage {
                of: usage.of,
                kind: usage.kind.name().to_owned(),
                used: usage.used,
                limit: usage.limit,
            });
            quotas.push(proto::Quota { usage: usage.collect(), ..quota(asked, one)? });
        }
        Ok(proto::ListQuotasResponse { quotas })
    }
}

fn quota(asked: &Asked<'_>, quota: Quota) -> Result<proto::Quota> {
    let namespace = quota.scope.namespace.map(|id| asked.name_of(id)).transpose()?;
    Ok(convert::quota(quota, namespace))
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
        let (each, limits) = (convert::quota_each(&wanted), convert::quota_limits(&wanted));
        let namespace = some(wanted.namespace).map(|name| asked.named(&name)).transpose()?;
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
            limits,
            serial: 0,
            by: String::new(),
            set: Timestamp(0),
        };
        let before = asked.host.kms.set_quota(&asked.caller, quota)?;
        let before = before.map(|before| self::quota(asked, before)).transpose()?;
        Ok(proto::SetQuotaResponse { before })
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
        let namespace = namespace.map(|namespace| namespace.id);
        let removed = asked.host.kms.remove_quota(&asked.caller, namespace, &self.name)?;
        Ok(proto::RemoveQuotaResponse { removed: Some(quota(asked, removed)?) })
    }
}

fn block(asked: &Asked<'_>, block: Block) -> Result<proto::Block> {
    let namespace_id = block.target.namespace().map(|id| id.0.to_vec()).unwrap_or_default();
    Ok(proto::Block {
        id: block.id.to_string(),
        target: Some(convert::block_target(block.target, |id| asked.name_of(id))?),
        per_second: block.per_second,
        reason: block.reason,
        by: block.by,
        since_ms: block.since.0,
        until_ms: block.until.map(|until| until.0),
        namespace_id,
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
