//! `kmss quota`: how many operations or bytes, for whom, and what is used of it.

use libkmss::clock::Timestamp;
use libkmss::quota::{Each, Quota, QuotaLimits, QuotaScope, Usage};
use serde_json::{Value, json};

use crate::args::{QuotaCommand, QuotaPlaceArgs, QuotaSetArgs};
use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::{Counted, Known, Quotas};

/// Runs `kmss quota`.
///
/// # Errors
/// There is no such quota, it cannot be meant, or whoever asks may not.
pub(super) fn run(context: &Context, command: QuotaCommand) -> Result<(), Failure> {
    match command {
        QuotaCommand::Set(args) => set(context, &args),
        QuotaCommand::List { token } => list(context, token.as_deref()),
        QuotaCommand::Show(place) => show(context, &place),
        QuotaCommand::Usage => usage(context),
        QuotaCommand::Remove(place) => remove(context, &place),
    }
}

fn set(context: &Context, args: &QuotaSetArgs) -> Result<(), Failure> {
    let site = context.quotas()?;
    let known = site.known()?;
    let namespace = known.token_id(args.place.token.as_deref())?;
    let each = Each::ALL.into_iter().filter(|each| args.each.iter().any(|word| word == each.name())).collect();
    let scope = QuotaScope {
        tenant: args.tenant.clone(),
        namespace,
        token: None,
        principal: args.principal.clone(),
        key: args.key.clone(),
    };
    let limits = QuotaLimits {
        per_second: args.per_second,
        burst: args.burst,
        per_day: args.per_day,
        total: args.total,
        bytes_per_day: args.bytes_per_day,
        bytes_total: args.bytes_total,
    };
    let (name, actions, by) = (args.place.name.clone(), args.actions.clone(), String::new());
    let quota = Quota { name, scope, each, actions, limits, serial: 0, by, set: Timestamp(0) };
    let before = site.set(quota)?;
    let (quota, _) = find(&*site, &known, &args.place, false)?;
    if context.global.json {
        return output::json(&described(&known, &quota, None));
    }
    let instead = before.map_or_else(String::new, |before| format!(", in place of {}", before.shown()));
    output::line(&format!("Quota `{}` for {}: {}{instead}.", quota.name, scope_shown(&known, &quota), quota.shown()))
}

fn list(context: &Context, token: Option<&str>) -> Result<(), Failure> {
    let site = context.quotas()?;
    let known = site.known()?;
    let wanted = token.map(|label| known.token(label)).transpose()?;
    let concerns = |quota: &Quota| match &wanted {
        Some(namespace) => {
            let QuotaScope { tenant, namespace: id, token, .. } = &quota.scope;
            tenant.as_ref().is_none_or(|tenant| *tenant == namespace.tenant)
                && id.is_none_or(|id| id == namespace.id)
                && token.as_ref().is_none_or(|label| *label == namespace.name)
        }
        None => true,
    };
    let quotas: Vec<Quota> = site.quotas(false)?.into_iter().map(|(quota, _)| quota).filter(concerns).collect();
    if context.global.json {
        return output::json(&quotas.iter().map(|quota| described(&known, quota, None)).collect::<Vec<_>>());
    }
    let rows = quotas.iter().map(|quota| {
        [
            quota.name.clone(),
            output::plain(&scope_shown(&known, quota)),
            each_shown(quota),
            actions_shown(quota),
            quota.limits.to_string(),
            output::plain(&quota.by),
        ]
    });
    output::table(["QUOTA", "FOR", "EACH", "ACTIONS", "LIMITS", "SET BY"], rows.collect(), "There is no quota.")
}

fn show(context: &Context, place: &QuotaPlaceArgs) -> Result<(), Failure> {
    let site = context.quotas()?;
    let known = site.known()?;
    let (quota, used) = find(&*site, &known, place, true)?;
    if context.global.json {
        return output::json(&described(&known, &quota, Some(&used)));
    }
    output::line(&format!(
        "Quota `{}` for {}: {}.",
        quota.name,
        output::plain(&scope_shown(&known, &quota)),
        quota.shown()
    ))?;
    output::line(&format!("Counts: {}.", actions_shown(&quota)))?;
    table(used.iter().map(|usage| (&quota, usage)))
}

fn usage(context: &Context) -> Result<(), Failure> {
    let site = context.quotas()?;
    let (known, used) = (site.known()?, site.quotas(true)?);
    if context.global.json {
        return output::json(
            &used.iter().map(|(quota, used)| described(&known, quota, Some(used))).collect::<Vec<_>>(),
        );
    }
    table(used.iter().flat_map(|(quota, used)| used.iter().map(move |usage| (quota, usage))))
}

fn table<'a>(used: impl Iterator<Item = (&'a Quota, &'a Usage)>) -> Result<(), Failure> {
    let rows = used.map(|(quota, usage)| {
        let share = u128::from(usage.used) * 100 / u128::from(usage.limit.max(1));
        [
            quota.name.clone(),
            if usage.of.is_empty() { "all".to_owned() } else { output::plain(&usage.of) },
            usage.kind.name().to_owned(),
            usage.used.to_string(),
            usage.limit.to_string(),
            format!("{share} %"),
        ]
    });
    output::table(
        ["QUOTA", "OF", "LIMIT", "USED", "THERE IS", "SHARE"],
        rows.collect(),
        "Nothing is used of a quota that lasts.",
    )
}

fn remove(context: &Context, place: &QuotaPlaceArgs) -> Result<(), Failure> {
    let site = context.quotas()?;
    let namespace = site.known()?.token_id(place.token.as_deref())?;
    let removed = site.remove(namespace, &place.name)?;
    if context.global.json {
        return output::json(&json!({ "name": removed.name, "namespace": namespace, "removed": true }));
    }
    output::line(&format!("Removed quota `{}` of {}.", removed.name, removed.shown()))
}

fn find(site: &dyn Quotas, known: &Known, place: &QuotaPlaceArgs, with_usage: bool) -> Result<Counted, Failure> {
    let namespace = known.token_id(place.token.as_deref())?;
    let named = |(quota, _): &Counted| {
        let by_label = quota.scope.token.is_some() && quota.scope.token == place.token;
        quota.name == place.name && (quota.scope.namespace == namespace || by_label)
    };
    let hint = "`kmss quota list` shows what there is";
    site.quotas(with_usage)?.into_iter().rev().find(named).ok_or_else(|| match &place.token {
        Some(token) => format!("token `{token}` has no quota `{}`; {hint}", place.name).into(),
        None => format!("there is no quota `{}` beyond tokens; {hint} (--token LABEL)", place.name).into(),
    })
}

fn scope_shown(known: &Known, quota: &Quota) -> String {
    let scope = &quota.scope;
    let token = scope.namespace.map(|id| known.name_of(id));
    let parts = [
        scope.tenant.as_ref().map(|tenant| format!("tenant {tenant}")),
        token.or_else(|| scope.token.clone()).map(|token| format!("token {token}")),
        scope.principal.as_ref().map(|name| format!("principal {name}")),
        scope.key.as_ref().map(|name| format!("key {name}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

fn each_shown(quota: &Quota) -> String {
    quota.each.iter().map(|each| each.name()).collect::<Vec<_>>().join(", ")
}

fn actions_shown(quota: &Quota) -> String {
    if quota.actions.is_empty() { "all uses".to_owned() } else { quota.actions.join(", ") }
}

fn described(known: &Known, quota: &Quota, used: Option<&[Usage]>) -> Value {
    let limits = &quota.limits;
    let usage = |usage: &Usage| json!({ "of": usage.of, "limit": usage.kind.name(), "used": usage.used, "there_is": usage.limit });
    json!({
        "name": quota.name,
        "scope": scope_shown(known, quota),
        "tenant": quota.scope.tenant,
        "namespace": quota.scope.namespace,
        "token": quota.scope.token,
        "principal": quota.scope.principal,
        "key": quota.scope.key,
        "each": quota.each.iter().map(|each| each.name()).collect::<Vec<_>>(),
        "actions": quota.actions,
        "per_second": limits.per_second,
        "burst": limits.bucket().map(|bucket| bucket.burst),
        "per_day": limits.per_day,
        "total": limits.total,
        "bytes_per_day": limits.bytes_per_day,
        "bytes_total": limits.bytes_total,
        "configured": quota.serial == 0,
        "by": quota.by,
        "set": quota.set,
        "usage": used.map(|used| used.iter().map(usage).collect::<Vec<_>>()),
    })
}
