//! `kmss rule`: which keys may be made, which are preferred, how often they rotate, and whether services keep apart.

use libkmss::clock::Timestamp;
use libkmss::rules::{KeyRule, RuleScope};
use serde_json::{Value, json};

use super::{key_rotate, key_type};
use crate::args::{RuleCommand, RulePlaceArgs, RuleSetArgs};
use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::Known;

/// Runs `kmss rule`.
///
/// # Errors
/// There is no such rule, it cannot be meant, or whoever asks may not.
pub(super) fn run(context: &Context, command: RuleCommand) -> Result<(), Failure> {
    match command {
        RuleCommand::Set(args) => set(context, &args),
        RuleCommand::List { token } => list(context, token.as_deref()),
        RuleCommand::Remove(place) => remove(context, &place),
    }
}

fn scope(known: &Known, place: &RulePlaceArgs) -> Result<RuleScope, Failure> {
    let service = place.service.as_deref().map(libkmss::key::service_name).transpose()?;
    let namespace = known.token_id(place.token.as_deref())?;
    Ok(RuleScope { tenant: place.tenant.clone(), namespace, service })
}

fn set(context: &Context, args: &RuleSetArgs) -> Result<(), Failure> {
    let site = context.key_rules()?;
    // What cannot be made would be preferred in vain.
    args.prefer.as_deref().map(key_type::parse).transpose()?;
    let rule = KeyRule {
        scope: scope(&site.known()?, &args.place)?,
        types: args.types.clone(),
        preferred: args.prefer.clone(),
        rotation_days: args.rotate.as_deref().map_or(Ok(0), key_rotate::days)?,
        apart: args.apart,
        owner: args.owner.clone().unwrap_or_default(),
        by: String::new(),
        set: Timestamp(0),
    };
    let rule = rule.validated()?;
    let before = site.set(rule.clone())?;
    let known = site.known()?;
    if context.global.json {
        return output::json(&described(&known, &rule));
    }
    let instead = before.map_or_else(String::new, |before| format!(", in place of {}", output::plain(&before.shown())));
    output::line(&format!("Rule for {}: {}{instead}.", shown(&known, &rule.scope), output::plain(&rule.shown())))
}

fn list(context: &Context, token: Option<&str>) -> Result<(), Failure> {
    let site = context.key_rules()?;
    let known = site.known()?;
    let wanted = token.map(|label| known.token(label)).transpose()?;
    let concerns = |rule: &KeyRule| {
        wanted.as_ref().is_none_or(|namespace| rule.scope.concerns(namespace, rule.scope.service.as_deref()))
    };
    let rules: Vec<KeyRule> = site.rules()?.into_iter().filter(concerns).collect();
    if context.global.json {
        return output::json(&rules.iter().map(|rule| described(&known, rule)).collect::<Vec<_>>());
    }
    let row = |rule: &KeyRule| {
        [shown(&known, &rule.scope), output::plain(&rule.shown()), output::plain(&rule.by), output::time(rule.set.0)]
    };
    output::table(
        ["FOR", "RULE", "SET BY", "SET (UTC)"],
        rules.iter().map(row).collect(),
        "There is no rule: every key may be made.",
    )
}

fn remove(context: &Context, place: &RulePlaceArgs) -> Result<(), Failure> {
    let site = context.key_rules()?;
    let known = site.known()?;
    let scope = scope(&known, place)?;
    let removed = site.remove(&scope)?;
    if context.global.json {
        return output::json(&json!({ "scope": shown(&known, &scope), "removed": true }));
    }
    output::line(&format!("Removed the rule for {}: {}.", shown(&known, &scope), output::plain(&removed.shown())))
}

fn shown(known: &Known, scope: &RuleScope) -> String {
    let namespace = scope.namespace.map_or_else(String::new, |id| known.name_of(id));
    output::plain(&scope.shown(&namespace))
}

fn described(known: &Known, rule: &KeyRule) -> Value {
    report::json::rule(rule, &shown(known, &rule.scope))
}
