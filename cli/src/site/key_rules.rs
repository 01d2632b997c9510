//! Rules for keys, in a home or on a server.

use libkmss::caller::Caller;
use libkmss::clock::Timestamp;
use libkmss::rules::{KeyRule, RuleScope};
use libkmss::tenant::Namespace;
use remote::{convert, proto};

use super::Known;
use super::home::HomeSite;
use super::server::ServerSite;
use super::wire::{self, some};
use crate::context::Context;
use crate::output::Failure;

/// Rules for keys.
pub(crate) trait KeyRules {
    /// What there is to know beside them.
    fn known(&self) -> Result<Known, Failure>;

    /// All of them.
    fn rules(&self) -> Result<Vec<KeyRule>, Failure>;

    /// Sets one; what it was before.
    fn set(&self, rule: KeyRule) -> Result<Option<KeyRule>, Failure>;

    /// Removes one; what it was.
    fn remove(&self, scope: &RuleScope) -> Result<KeyRule, Failure>;
}

impl Context {
    /// The rules for keys.
    pub(crate) fn key_rules(&self) -> Result<Box<dyn KeyRules + '_>, Failure> {
        Ok(match self.server() {
            None => Box::new(HomeSite::new(self)?),
            Some(server) => Box::new(ServerSite::new(server)),
        })
    }
}

impl HomeSite<'_> {
    /// The process, where it owns the service that the rule is for; else whoever may set rules there.
    fn ruler(&self, scope: &RuleScope) -> Result<Caller, Failure> {
        let kms = self.kms();
        let namespaces = kms.namespaces()?;
        let own = |known: &&Namespace| match (scope.namespace, &scope.tenant) {
            (Some(id), _) => known.id == id,
            (None, Some(tenant)) => known.tenant == *tenant,
            (None, None) => false,
        };
        if let Some(namespace) = namespaces.iter().find(own) {
            let caller = kms.enter(namespace, 0)?;
            if kms.owns_key_rule(&caller, scope)? {
                return Ok(caller);
            }
        }
        self.authority(scope.namespace, false)
    }
}

impl KeyRules for HomeSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        self.all()
    }

    fn rules(&self) -> Result<Vec<KeyRule>, Failure> {
        Ok(self.kms().key_rules()?)
    }

    fn set(&self, rule: KeyRule) -> Result<Option<KeyRule>, Failure> {
        let caller = self.ruler(&rule.scope)?;
        let before = self.kms().set_key_rule(&caller, rule)?;
        self.kms().close()?;
        Ok(before)
    }

    fn remove(&self, scope: &RuleScope) -> Result<KeyRule, Failure> {
        let caller = self.authority(scope.namespace, false)?;
        let removed = self.kms().remove_key_rule(&caller, scope)?;
        self.kms().close()?;
        Ok(removed)
    }
}

impl ServerSite<'_> {
    fn namespace_of(&self, scope: &RuleScope) -> Result<Option<String>, Failure> {
        let known = scope.namespace.map(|_| self.served()).transpose()?;
        Ok(scope.namespace.zip(known).map(|(id, known)| known.name_of(id)))
    }
}

impl KeyRules for ServerSite<'_> {
    fn known(&self) -> Result<Known, Failure> {
        // Whoever owns a service is no administrator, and sees what is served.
        self.served()
    }

    fn rules(&self) -> Result<Vec<KeyRule>, Failure> {
        let all = self.client().ask(proto::ListKeyRulesRequest::default())?.rules;
        all.into_iter().map(rule).collect()
    }

    fn set(&self, wanted: KeyRule) -> Result<Option<KeyRule>, Failure> {
        let namespace = self.namespace_of(&wanted.scope)?;
        let wanted = Some(convert::key_rule(wanted, namespace));
        let before = self.client().ask(proto::SetKeyRuleRequest { rule: wanted, request_id: Vec::new() })?.before;
        before.map(rule).transpose()
    }

    fn remove(&self, scope: &RuleScope) -> Result<KeyRule, Failure> {
        let request = proto::RemoveKeyRuleRequest {
            tenant: scope.tenant.clone().unwrap_or_default(),
            namespace: self.namespace_of(scope)?.unwrap_or_default(),
            service: scope.service.clone().unwrap_or_default(),
            request_id: Vec::new(),
        };
        rule(self.client().ask(request)?.removed.ok_or("the server does not say what it removed")?)
    }
}

fn rule(rule: proto::KeyRule) -> Result<KeyRule, Failure> {
    let namespace = if rule.namespace_id.is_empty() { None } else { Some(wire::id(&rule.namespace_id)?) };
    Ok(KeyRule {
        scope: RuleScope { tenant: some(rule.tenant), namespace, service: some(rule.service) },
        types: rule.types.iter().map(|one| one.parse()).collect::<libkmss::error::Result<_>>()?,
        preferred: some(rule.preferred),
        rotation_days: rule.rotation_days,
        apart: rule.apart,
        owner: rule.owner,
        by: rule.set_by,
        set: Timestamp(rule.set_ms),
    })
}
