//! Rules for keys, for administrators and owners of services.

use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::rules::{KeyRule, RuleScope};

use super::call::{Asked, Call, argument};
use crate::{convert, proto};

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn scope(asked: &Asked<'_>, (tenant, namespace, service): (String, String, String)) -> Result<RuleScope> {
    let namespace = some(namespace).map(|name| asked.named(&name)).transpose()?.map(|namespace| namespace.id);
    Ok(RuleScope { tenant: some(tenant), namespace, service: some(service) })
}

fn told(asked: &Asked<'_>, rule: KeyRule) -> Result<proto::KeyRule> {
    let namespace = rule.scope.namespace.map(|id| asked.name_of(id)).transpose()?;
    Ok(convert::key_rule(rule, namespace))
}

impl Call for proto::ListKeyRulesRequest {
    type Answer = proto::ListKeyRulesResponse;
    const METHOD: &'static str = "ListKeyRules";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::ListKeyRulesResponse> {
        let kms = &asked.host.kms;
        let (rules, preferred) = if self.namespace.is_empty() {
            asked.admin()?;
            (kms.key_rules()?, None)
        } else {
            let caller = asked.host.caller(asked.connection, &self.namespace, asked.call, Self::METHOD)?;
            kms.key_rules_for(&caller)?
        };
        let rules = rules.into_iter().map(|rule| told(asked, rule)).collect::<Result<_>>()?;
        Ok(proto::ListKeyRulesResponse { rules, preferred: preferred.unwrap_or_default() })
    }
}

impl Call for proto::SetKeyRuleRequest {
    type Answer = proto::SetKeyRuleResponse;
    const METHOD: &'static str = "SetKeyRule";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::SetKeyRuleResponse> {
        let kms = &asked.host.kms;
        let wanted = self.rule.unwrap_or_default();
        let place = (wanted.tenant.clone(), wanted.namespace.clone(), wanted.service.clone());
        // Who is neither an administrator nor an owner does not learn which namespaces there are.
        let owned = match wanted.service.is_empty() {
            true => None,
            false => scope(asked, place.clone()).ok(),
        };
        let owned = owned.map(|scope| kms.owns_key_rule(&asked.caller, &scope)).transpose()?.unwrap_or(false);
        if !owned {
            asked.admin()?;
        }
        let types = wanted.types.iter().map(|one| one.parse()).collect::<Result<_>>()?;
        let rule = KeyRule {
            scope: scope(asked, place)?,
            types,
            preferred: some(wanted.preferred),
            rotation_days: wanted.rotation_days,
            apart: wanted.apart,
            owner: wanted.owner,
            by: String::new(),
            set: Timestamp(0),
        };
        let before = kms.set_key_rule(&asked.caller, rule)?;
        Ok(proto::SetKeyRuleResponse { before: before.map(|before| told(asked, before)).transpose()? })
    }
}

impl Call for proto::RemoveKeyRuleRequest {
    type Answer = proto::RemoveKeyRuleResponse;
    const METHOD: &'static str = "RemoveKeyRule";
    const WIDE: bool = true;

    fn namespace(&self) -> &str {
        ""
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    fn run(self, asked: &Asked<'_>) -> Result<proto::RemoveKeyRuleResponse> {
        asked.admin()?;
        if self.tenant.is_empty() == self.namespace.is_empty() {
            return Err(argument("a rule is for a tenant or for a namespace"));
        }
        let scope = scope(asked, (self.tenant, self.namespace, self.service))?;
        let removed = asked.host.kms.remove_key_rule(&asked.caller, &scope)?;
        Ok(proto::RemoveKeyRuleResponse { removed: Some(told(asked, removed)?) })
    }
}
