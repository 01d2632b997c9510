//! Rules on what is made, out of an archive (docs/backup.md): for what is restored they are in force before it shows. A rule that
//! stands stays, and is told of where it says otherwise.

use serde::Serialize;

use super::Kms;
use super::restore::{Found, NamespaceFate};
use super::rules;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::rules::KeyRule;

/// What became of a rule of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum RuleOutcome {
    /// It is in force now, or would be.
    Restored,
    /// The home has a rule for the same that says the same.
    There,
    /// The home has another rule for the same, which stays in force; the archive's is not.
    Stands {
        /// What that one says.
        here: String,
    },
    /// Nothing of what it is for is restored, and what is here stays as it is.
    Away,
}

/// A rule of the archive.
#[derive(Clone, Debug, Serialize)]
pub struct RuleFate {
    /// What it is for.
    pub scope: String,
    /// What it says.
    pub says: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: RuleOutcome,
}

impl RuleFate {
    /// Whether what was restored is under another rule than it was.
    #[must_use]
    pub const fn is_outvoted(&self) -> bool {
        matches!(self.outcome, RuleOutcome::Stands { .. })
    }
}

impl Kms {
    /// The rules of an archive that are to be put in force, and what becomes of all.
    pub(super) fn plan_rules(&self, found: &Found) -> Result<(Vec<KeyRule>, Vec<RuleFate>)> {
        let set = self.pipeline.hall.rules.current()?;
        let restored = |(_, fate): &(_, NamespaceFate)| *fate == NamespaceFate::Restored;
        let (mut rules, mut fates) = (Vec::new(), Vec::new());
        for (at, rule) in found.rules.iter().enumerate() {
            if found.rules.iter().take(at).any(|other| other.scope == rule.scope) {
                return Err(Error::new(ErrorKind::Damaged, "the archive cannot be trusted: a rule is in it twice"));
            }
            let concerns = match rule.scope.namespace {
                Some(id) => found.namespaces.get(&id).is_some_and(restored),
                None => found.namespaces.values().any(restored),
            };
            let outcome = match set.rules().iter().find(|here| here.scope == rule.scope) {
                _ if !concerns => RuleOutcome::Away,
                None => {
                    rules.push(rule.clone());
                    RuleOutcome::Restored
                }
                Some(here) if here.says_as(rule) => RuleOutcome::There,
                Some(here) => RuleOutcome::Stands { here: here.shown() },
            };
            fates.push(RuleFate { scope: found.shown(rule), says: rule.shown(), outcome });
        }
        self.pipeline.hall.rules.has_room(rules.len())?;
        Ok((rules, fates))
    }

    /// Puts rules in force that are not here, each with a record of its own.
    pub(super) fn restore_rules(&self, caller: &Caller, rules: &[KeyRule], found: &Found) -> Result<()> {
        let book = &self.pipeline.hall.rules;
        rules.iter().try_for_each(|rule| {
            let tags = rules::tags(rules::SET, &found.shown(rule), None, Some(rule));
            let set = || book.set(rule.clone(), None);
            self.pipeline.around_tagged(Some(caller), Action::ChangeState, tags, set)
        })
    }
}

impl Found {
    /// What a rule is for, in words.
    fn shown(&self, rule: &KeyRule) -> String {
        let namespace = rule.scope.namespace.and_then(|id| self.namespaces.get(&id));
        rule.scope.shown(&namespace.map_or_else(String::new, |(of, _)| of.to_string()))
    }
}
