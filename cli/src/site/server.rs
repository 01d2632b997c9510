//! A server, for operators. Who may do what is its configuration's to say.

use libkmss::clock::Timestamp;
use libkmss::kms::AppliedPolicy;
use libkmss::policy::Scope;
use libkmss::policy::bundle::{KeyId, PublisherKey};
use libkmss::policy::registry::PolicyRole;
use libkmss::quota::{Block, BlockId, BlockTarget, Quota};
use libkmss::tenant::NamespaceId;
use remote::client::Client;
use remote::{convert, proto};

use super::wire;
use super::{Blocks, Counted, Known, Listed, Offered, Policies, Publisher, Quotas};
use crate::output::Failure;

/// A server.
pub(super) struct ServerSite<'a>(&'a Client);

impl<'a> ServerSite<'a> {
    pub(super) const fn new(server: &'a Client) -> Self {
        Self(server)
    }

    pub(super) const fn client(&self) -> &'a Client {
        self.0
    }

    /// What whoever is no administrator may know.
    pub(super) fn served(&self) -> Result<Known, Failure> {
        let namespaces = self.0.ask(proto::ListNamespacesRequest {})?.namespaces;
        let now = Timestamp(self.0.ask(proto::GetServerInfoRequest {})?.now_ms);
        let namespaces = namespaces.into_iter().map(|one| Ok(convert::namespace(one)?));
        Ok(Known { namespaces: namespaces.collect::<Result<_, Failure>>()?, now })
    }

    fn all(&self) -> Result<Known, Failure> {
        let namespaces = self.0.ask(proto::ListAllNamespacesRequest {})?.namespaces;
        let now = Timestamp(self.0.ask(proto::GetServerInfoRequest {})?.now_ms);
        let namespaces = namespaces.into_iter().map(|one| Ok(convert::namespace(one)?));
        Ok(Known { namespaces: namespaces.collect::<Result<_, Failure>>()?, now })
    }

    fn name_of(&self, id: Option<NamespaceId>) -> Result<String, Failure> {
        let Some(id) = id else { return Ok(String::new()) };
        Ok(self.all()?.name_of(id))
    }
}

fn role_message(role: PolicyRole) -> i32 {
    match role {
        PolicyRole::Active => proto::PolicyRole::Active,
        PolicyRole::Shadow => proto::PolicyRole::Shadow,
    }
    .into()
}

impl Blocks for ServerSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        self.all()
    }

    fn blocks(&self) -> Result<Vec<Block>, Failure> {
        self.0.ask(proto::ListBlocksRequest {})?.blocks.into_iter().map(wire::block).collect()
    }

    fn block(
        &self,
        target: BlockTarget,
        rate: Option<u32>,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<BlockId, Failure> {
        let name = self.name_of(target.namespace())?;
        let made = self.0.ask(proto::CreateBlockRequest {
            target: Some(convert::block_target(target, |_| Ok::<_, Failure>(name.clone()))?),
            per_second: rate,
            reason: reason.to_owned(),
            until_ms: until.map(|until| until.0),
            request_id: Vec::new(),
        })?;
        Ok(made.id.parse()?)
    }

    fn release(&self, block: &Block) -> Result<(), Failure> {
        self.0.ask(proto::ReleaseBlockRequest { id: block.id.to_string(), request_id: Vec::new() })?;
        Ok(())
    }
}

impl Quotas for ServerSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        self.all()
    }

    fn quotas(&self, with_usage: bool) -> Result<Vec<Counted>, Failure> {
        self.0.ask(proto::ListQuotasRequest { with_usage })?.quotas.into_iter().map(wire::quota).collect()
    }

    fn set(&self, quota: Quota) -> Result<Option<Quota>, Failure> {
        let namespace = quota.scope.namespace.map(|id| self.name_of(Some(id))).transpose()?;
        let quota = Some(convert::quota(quota, namespace));
        let before = self.0.ask(proto::SetQuotaRequest { quota, request_id: Vec::new() })?.before;
        Ok(before.map(wire::quota).transpose()?.map(|(quota, _)| quota))
    }

    fn remove(&self, namespace: Option<NamespaceId>, name: &str) -> Result<Quota, Failure> {
        let (namespace, name) = (self.name_of(namespace)?, name.to_owned());
        let removed = self.0.ask(proto::RemoveQuotaRequest { namespace, name, request_id: Vec::new() })?.removed;
        Ok(wire::quota(removed.ok_or("the server does not say what it removed")?)?.0)
    }
}

impl Policies for ServerSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        self.all()
    }

    fn policies(&self) -> Result<Vec<Listed>, Failure> {
        self.0.ask(proto::ListPoliciesRequest {})?.entries.into_iter().map(wire::listed).collect()
    }

    fn bundle(&self, policy: &Listed, role: PolicyRole) -> Result<Vec<u8>, Failure> {
        let (scope, name) = (Some((&policy.scope).into()), policy.name.clone());
        Ok(self.0.ask(proto::GetPolicyRequest { scope, name, role: role_message(role) })?.bundle)
    }

    fn apply(&self, scope: &Scope, offered: Offered, role: PolicyRole) -> Result<AppliedPolicy, Failure> {
        let mut request = proto::ApplyPolicyRequest {
            scope: Some(scope.into()),
            role: role_message(role),
            ..proto::ApplyPolicyRequest::default()
        };
        match offered {
            Offered::Bundle(bundle) => request.bundle = bundle,
            Offered::Unsigned(policy) => {
                request.unsigned = Some(proto::UnsignedPolicy {
                    name: policy.name,
                    abi: policy.abi.name().to_owned(),
                    entrypoint: policy.entrypoint.unwrap_or_default(),
                    module: policy.content.module,
                    data: policy.content.data,
                    source: policy.content.source,
                });
            }
        }
        let applied = self.0.ask(request)?;
        Ok(AppliedPolicy {
            name: applied.name,
            scope: scope.clone(),
            sequence: applied.sequence,
            changed: applied.changed,
            before: applied.before,
        })
    }

    fn remove(&self, scope: &Scope, name: &str, role: PolicyRole) -> Result<(), Failure> {
        let (scope, name, role) = (Some(scope.into()), name.to_owned(), role_message(role));
        self.0.ask(proto::RemovePolicyRequest { scope, name, role, request_id: Vec::new() })?;
        Ok(())
    }

    fn publishers(&self) -> Result<Vec<Publisher>, Failure> {
        let publisher = |publisher: proto::Publisher| {
            let identity = publisher.identity.as_slice().try_into().map_err(|_| "the server's answer is damaged")?;
            Ok(Publisher {
                name: publisher.name,
                scope: wire::scope(publisher.scope)?,
                identity: KeyId(identity).to_string(),
                algorithm: publisher.algorithm,
                added: Timestamp(publisher.added_ms),
                added_by: publisher.added_by,
            })
        };
        self.0.ask(proto::ListPublishersRequest {})?.publishers.into_iter().map(publisher).collect()
    }

    fn trust(&self, scope: &Scope, name: &str, key: Option<PublisherKey>) -> Result<(), Failure> {
        let key = key.map(|key| convert::public_key(&key.components()));
        let (scope, name) = (Some(scope.into()), name.to_owned());
        self.0.ask(proto::AddPublisherRequest { scope, name, key: key.flatten(), request_id: Vec::new() })?;
        Ok(())
    }

    fn distrust(&self, scope: &Scope, name: &str) -> Result<(), Failure> {
        let (scope, name) = (Some(scope.into()), name.to_owned());
        self.0.ask(proto::RemovePublisherRequest { scope, name, request_id: Vec::new() })?;
        Ok(())
    }
}
