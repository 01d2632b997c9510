//! Policies and who may publish them, for administrators.

use std::sync::Arc;

use libkmss::caller::Caller;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::key::PublicComponents;
use libkmss::kms::{PolicyTarget, UnsignedPolicy};
use libkmss::policy::bundle::{Abi, Content, PublisherKey};
use libkmss::policy::registry::{Entry, InForce, LOCAL, PolicyRole};
use libkmss::tenant::Namespace;

use super::call::{Asked, Call, argument};
use crate::proto;

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

fn entry(entry: &Entry, namespaces: &[Namespace]) -> proto::PolicyEntry {
    proto::PolicyEntry {
        name: entry.name.clone(),
        scope: Some((&entry.scope).into()),
        highest_sequence: entry.seen.map(|seen| seen.sequence),
        stale: entry.place.is_some() && !namespaces.iter().any(|namespace| entry.concerns(namespace)),
        active: entry.active.as_ref().map(in_force),
        shadow: entry.shadow.as_ref().map(in_force),
    }
}

fn in_force(policy: &InForce) -> proto::PolicyInForce {
    let terms = &policy.manifest.terms;
    proto::PolicyInForce {
        sequence: terms.sequence,
        abi: terms.abi.name().to_owned(),
        entrypoint: terms.entrypoint.clone().unwrap_or_default(),
        fuel: terms.fuel,
        pages: terms.pages,
        not_before_ms: terms.not_before.0,
        not_after_ms: terms.not_after.map(|end| end.0),
        publisher: policy.manifest.publisher.0.to_vec(),
        module: policy.manifest.module.to_vec(),
        has_source: policy.manifest.source.is_some(),
        digest: policy.digest.to_vec(),
        anchor: policy.anchor.clone(),
        applied_by: policy.applied_by.clone(),
        applied_ms: policy.applied.0,
        scope: Some((&terms.scope).into()),
    }
}

fn unsigned(policy: proto::UnsignedPolicy) -> Result<UnsignedPolicy> {
    let abi = [Abi::Kmss, Abi::Opa].into_iter().find(|abi| abi.name() == policy.abi);
    Ok(UnsignedPolicy {
        name: policy.name,
        abi: abi.ok_or_else(|| argument("the interface of the policy is not known here"))?,
        entrypoint: (!policy.entrypoint.is_empty()).then_some(policy.entrypoint),
        content: Content { module: policy.module, data: policy.data, source: policy.source },
    })
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
        let namespaces = asked.host.kms.namespaces()?;
        let entries = entries.entries().iter().map(|one| entry(one, &namespaces)).collect();
        Ok(proto::ListPoliciesResponse { policies, entries })
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
        let (kms, role) = (&asked.host.kms, role(self.role)?);
        let applied = match (self.unsigned, self.bundle.is_empty()) {
            (None, _) => kms.apply_policy(&caller, &target, &self.bundle, role)?,
            (Some(policy), true) => kms.apply_local_policy(&caller, &target, unsigned(policy)?, role)?,
            (Some(_), false) => return Err(argument("there are a bundle and what is no bundle: say one of them")),
        };
        let (name, sequence, changed, before) = (applied.name, applied.sequence, applied.changed, applied.before);
        Ok(proto::ApplyPolicyResponse { name, sequence, changed, before })
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

impl Call for proto::GetPolicyRequest {
    type Answer = proto::GetPolicyResponse;
    const METHOD: &'static str = "GetPolicy";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::GetPolicyResponse> {
        asked.admin()?;
        let (kms, role) = (&asked.host.kms, role(self.role)?);
        let (entries, namespaces) = (kms.policies()?, kms.namespaces()?);
        let alive = |entry: &&Entry| entry.place.is_none() || namespaces.iter().any(|n| entry.concerns(n));
        let named = |entry: &&Entry| entry.name == self.name && Some((&entry.scope).into()) == self.scope;
        let found = entries.entries().iter().filter(alive).find(named).and_then(|entry| entry.in_role(role));
        let missing = || Error::new(ErrorKind::NotFound, "there is no such policy in force");
        Ok(proto::GetPolicyResponse { bundle: kms.policy_bundle(found.ok_or_else(missing)?)? })
    }
}

impl Call for proto::ListPublishersRequest {
    type Answer = proto::ListPublishersResponse;
    const METHOD: &'static str = "ListPublishers";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListPublishersResponse> {
        asked.admin()?;
        let mut publishers = Vec::new();
        for anchor in asked.host.kms.trust_anchors()? {
            publishers.push(proto::Publisher {
                identity: anchor.key.id()?.0.to_vec(),
                algorithm: anchor.key.algorithm().name().to_owned(),
                scope: Some((&anchor.scope).into()),
                name: anchor.name,
                added_by: anchor.added_by,
                added_ms: anchor.added.0,
            });
        }
        Ok(proto::ListPublishersResponse { publishers })
    }
}

impl Call for proto::AddPublisherRequest {
    type Answer = proto::AddPublisherResponse;
    const METHOD: &'static str = "AddPublisher";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::AddPublisherResponse> {
        asked.admin()?;
        let (caller, target) = asked.target(self.scope)?;
        match (self.key, target == PolicyTarget::Platform && self.name == LOCAL) {
            (None, true) => asked.host.kms.allow_local_publisher(&caller)?,
            (None, false) => return Err(argument("the publisher's key is missing")),
            (Some(key), _) => {
                let key = PublisherKey::from_public(&PublicComponents::try_from(key)?)?;
                asked.host.kms.add_trust_anchor(&caller, &target, &self.name, key)?;
            }
        }
        Ok(proto::AddPublisherResponse {})
    }
}

impl Call for proto::RemovePublisherRequest {
    type Answer = proto::RemovePublisherResponse;
    const METHOD: &'static str = "RemovePublisher";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RemovePublisherResponse> {
        asked.admin()?;
        let (caller, target) = asked.target(self.scope)?;
        asked.host.kms.remove_trust_anchor(&caller, &target, &self.name)?;
        Ok(proto::RemovePublisherResponse {})
    }
}
