//! Who says which keys may be made: whoever may change policies, and of a service whoever owns that.

use std::sync::Arc;

use super::Kms;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Action, Object};
use crate::operation::Grant;
use crate::rules::{KeyRule, RuleScope};

/// The first tags of the records of changes.
pub(super) const SET: &str = "rule set";
pub(super) const REMOVE: &str = "rule remove";

impl Kms {
    /// Every rule for keys, the oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] and those of the store.
    pub fn key_rules(&self) -> Result<Vec<KeyRule>> {
        Ok(self.pipeline.hall.rules.current()?.rules().to_vec())
    }

    /// The rules about what `caller` makes in its namespace, and the type that these prefer.
    ///
    /// # Errors
    /// As [`Self::key_rules`].
    pub fn key_rules_for(&self, caller: &Caller) -> Result<(Vec<KeyRule>, Option<String>)> {
        let (set, service) = (self.pipeline.hall.rules.current()?, caller.principal.service());
        let preferred = set.preferred(&caller.namespace, service).map(str::to_owned);
        Ok((set.concerning(&caller.namespace, service).cloned().collect(), preferred))
    }

    /// Sets the rule for something, in every process of the host from its next operation on, and says what it was before. Keys
    /// that are there already stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoggedIn`] or [`ErrorKind::Denied`] for whoever may not; [`ErrorKind::Arguments`] for what cannot be meant;
    /// [`ErrorKind::Conflict`] when somebody else changed it meanwhile.
    pub fn set_key_rule(&self, caller: &Caller, rule: KeyRule) -> Result<Option<KeyRule>> {
        let (by, set) = (caller.principal.name.clone(), self.now());
        let rule = KeyRule { by, set, ..rule }.validated()?;
        let before = self.pipeline.hall.rules.rule(&rule.scope)?;
        let tags = self.rule_tags(SET, &rule.scope, before.as_ref(), Some(&rule));
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            let owned = owns(caller, before.as_ref());
            if !owned {
                self.may_restrict(caller, rule.scope.namespace, false)?;
            } else if before.as_ref().is_some_and(|before| before.owner != rule.owner) {
                let why = "who owns the service is not its owner's to say";
                return Err(Error::new(ErrorKind::Denied, why));
            }
            self.pipeline.hall.rules.set(rule, before.as_ref())?;
            Ok(before)
        })
    }

    /// Removes the rule for exactly this.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; as [`Self::set_key_rule`]. A service's owner does not remove what names the owner.
    pub fn remove_key_rule(&self, caller: &Caller, scope: &RuleScope) -> Result<KeyRule> {
        let missing = || Error::new(ErrorKind::NotFound, "there is no rule for that");
        let rule = self.pipeline.hall.rules.rule(scope)?.ok_or_else(missing)?;
        let tags = self.rule_tags(REMOVE, scope, Some(&rule), None);
        self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, || {
            self.may_restrict(caller, scope.namespace, false)?;
            self.pipeline.hall.rules.remove(&rule)?;
            Ok(rule)
        })
    }

    /// Whether the rule for this names `caller` as its owner, who may set it without being more than that.
    ///
    /// # Errors
    /// As [`Self::key_rules`].
    pub fn owns_key_rule(&self, caller: &Caller, scope: &RuleScope) -> Result<bool> {
        Ok(owns(caller, self.pipeline.hall.rules.rule(scope)?.as_ref()))
    }

    /// Grants the key `name` to another service than its own, or does so no more; its halves.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; those of [`Grant`].
    pub fn grant(&self, caller: &Caller, name: &str, service: &str, granted: bool) -> Result<Vec<Arc<Object>>> {
        let halves = self.halves_of(caller, name)?;
        self.perform(caller, Grant { halves, service: service.to_owned(), granted })
    }

    fn rule_tags(&self, verb: &str, scope: &RuleScope, old: Option<&KeyRule>, new: Option<&KeyRule>) -> Vec<String> {
        let namespace = scope.namespace.map_or_else(String::new, |id| self.namespace_shown(id));
        tags(verb, &scope.shown(&namespace), old, new)
    }
}

/// What the records of a change say of the rule for `what`: that, and old and new.
pub(super) fn tags(verb: &str, what: &str, old: Option<&KeyRule>, new: Option<&KeyRule>) -> Vec<String> {
    let shown = |rule: Option<&KeyRule>| rule.map_or_else(|| "none".to_owned(), KeyRule::shown);
    vec![verb.to_owned(), format!("rule:{what}"), format!("from {}", shown(old)), format!("to {}", shown(new))]
}

fn owns(caller: &Caller, rule: Option<&KeyRule>) -> bool {
    rule.is_some_and(|rule| !rule.owner.is_empty() && rule.owner == caller.principal.name)
}
