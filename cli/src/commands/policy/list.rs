//! `kmss policy list`: what is in force.

use std::collections::BTreeMap;

use libkmss::audit::{Filter, Record, decode_text};
use libkmss::clock::Timestamp;
use libkmss::policy::Scope;
use libkmss::policy::bundle::Manifest;
use libkmss::policy::registry::PolicyRole;
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::{self, Failure};
use crate::site::{InForce, Listed};

/// Runs `kmss policy list`.
///
/// # Errors
/// There is no such home or token.
pub(super) fn run(context: &Context, token: Option<&str>) -> Result<(), Failure> {
    let site = context.policies()?;
    let (known, all) = (site.known()?, site.policies()?);
    let namespace = token.map(|label| known.token(label)).transpose()?;
    // Not those of tokens that are gone or were made anew.
    let concerns = |entry: &&Listed| !entry.stale && namespace.as_ref().is_none_or(|one| entry.concerns(one));
    let entries: Vec<&Listed> = all.iter().filter(concerns).collect();
    let now = known.now;
    // Without an audit that can be read there is nothing to say of them.
    let differences = differences(context, &entries).unwrap_or_default();
    if context.global.json {
        let all = entries.into_iter().flat_map(|entry| described(entry, now, &differences));
        return output::json(&all.collect::<Vec<_>>());
    }
    let mut rows = Vec::new();
    for entry in entries {
        for (role, policy) in parts(entry) {
            let sequence = match (policy, entry.highest) {
                (Some(policy), _) => policy.manifest.terms.sequence.to_string(),
                (None, Some(seen)) => format!("above {seen}"),
                (None, None) => String::new(),
            };
            rows.push([
                output::plain(&entry.name),
                output::plain(&entry.scope.to_string()),
                match (state(role, policy, now), differences.get(&title(entry))) {
                    ("shadow", Some(1)) => "shadow, 1 difference".to_owned(),
                    ("shadow", Some(count)) => format!("shadow, {count} differences"),
                    (state, _) => state.to_owned(),
                },
                sequence,
                policy.map(|p| output::plain(&p.anchor)).unwrap_or_default(),
                policy.map(|p| output::time(p.applied.0)).unwrap_or_default(),
                policy.map(|p| output::plain(&p.applied_by)).unwrap_or_default(),
            ]);
        }
    }
    output::table(
        ["POLICY", "FOR", "STATE", "SEQUENCE", "PUBLISHER", "APPLIED (UTC)", "BY"],
        rows,
        "There is no policy.",
    )
}

/// What there is of an entry: its active and shadow policy; that it was removed.
fn parts(entry: &Listed) -> Vec<(PolicyRole, Option<&InForce>)> {
    let mut parts: Vec<_> = [PolicyRole::Active, PolicyRole::Shadow]
        .into_iter()
        .filter_map(|role| Some((role, Some(entry.in_role(role)?))))
        .collect();
    if entry.active.is_none() && entry.highest.is_some() {
        parts.insert(0, (PolicyRole::Active, None));
    }
    parts
}

/// The word for a role.
pub(super) const fn word(role: PolicyRole) -> &'static str {
    match role {
        PolicyRole::Active => "active",
        PolicyRole::Shadow => "shadow",
    }
}

fn state(role: PolicyRole, policy: Option<&InForce>, now: Timestamp) -> &'static str {
    let Some(policy) = policy else { return "removed" };
    let terms = &policy.manifest.terms;
    match (role, terms.not_after.is_some_and(|end| now >= end), now < terms.not_before) {
        (_, true, _) => "expired",
        (_, _, true) => "not yet valid",
        (role, ..) => word(role),
    }
}

/// How often candidates in the shadow would have decided otherwise since they were applied, as far as the audit says.
fn differences(context: &Context, entries: &[&Listed]) -> Result<BTreeMap<String, u64>, Failure> {
    let candidates = entries.iter().filter_map(|entry| Some((*entry, entry.shadow.as_ref()?.applied)));
    let candidates: Vec<(&Listed, Timestamp)> = candidates.collect();
    let mut counts: BTreeMap<String, u64> = candidates.iter().map(|(entry, _)| (title(entry), 0)).collect();
    let Some(since) = candidates.iter().map(|(_, since)| *since).min() else { return Ok(counts) };
    let trail = context.trail(Filter::default(), &[])?;
    trail.visit_since(since, &mut |seen| {
        let record = &seen.record;
        for note in record.tags.iter().filter_map(|tag| tag.strip_prefix("shadow:")) {
            let rule = note.split_once(' ').map(|(_, rule)| String::from_utf8_lossy(&decode_text(rule).0).into_owned());
            for (entry, since) in &candidates {
                if record.time >= *since
                    && is_about(entry, record)
                    && rule.as_ref().is_none_or(|rule| names(rule, entry, &candidates))
                    && let Some(count) = counts.get_mut(&title(entry))
                {
                    *count += 1;
                }
            }
        }
    })?;
    Ok(counts)
}

/// What rules are called after, with the scope that tells apart.
fn title(entry: &Listed) -> String {
    format!("{} {}", entry.scope, entry.name)
}

/// Whether the record is of a namespace that the policy speaks of.
fn is_about(entry: &Listed, record: &Record) -> bool {
    let same = |scope: Option<&str>, found: &Option<String>| {
        let found = found.as_deref().map(|text| String::from_utf8_lossy(&decode_text(text).0).into_owned());
        scope.is_none_or(|scope| found.as_deref() == Some(scope))
    };
    same(entry.scope.tenant(), &record.tenant) && same(entry.scope.namespace(), &record.namespace)
}

/// Whether a rule is one of the candidate's, or of none of the candidates: together they decided by what is active.
fn names(rule: &str, entry: &Listed, candidates: &[(&Listed, Timestamp)]) -> bool {
    let of = |entry: &Listed| {
        let title = match &entry.scope {
            Scope::Key { key, .. } => format!("key {key}/{}", entry.name),
            scope => format!("{}/{}", scope.level(), entry.name),
        };
        rule.strip_prefix(title.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    of(entry) || !candidates.iter().any(|(other, _)| of(other))
}

fn described(entry: &Listed, now: Timestamp, differences: &BTreeMap<String, u64>) -> Vec<Value> {
    let each = parts(entry).into_iter();
    each.map(|(role, policy)| {
        let mut value = json!({
            "name": entry.name,
            "role": word(role),
            "state": state(role, policy, now),
            "highest_sequence": entry.highest,
        });
        merge(&mut value, scope_json(&entry.scope));
        if role == PolicyRole::Shadow {
            merge(&mut value, json!({ "differences": differences.get(&title(entry)) }));
        }
        if let Some(policy) = policy {
            merge(&mut value, in_force(policy));
        }
        value
    })
    .collect()
}

/// A policy in force, for machines.
pub(super) fn in_force(policy: &InForce) -> Value {
    let mut value = json!({
        "digest": output::hex(&policy.digest),
        "anchor": policy.anchor,
        "applied": policy.applied,
        "applied_by": policy.applied_by,
    });
    merge(&mut value, manifest(&policy.manifest));
    value
}

/// A manifest, for machines.
pub(super) fn manifest(manifest: &Manifest) -> Value {
    let terms = &manifest.terms;
    let mut value = json!({
        "name": terms.name,
        "sequence": terms.sequence,
        "abi": terms.abi.name(),
        "entrypoint": terms.entrypoint,
        "fuel": terms.fuel,
        "pages": terms.pages,
        "not_before": terms.not_before,
        "not_after": terms.not_after,
        "publisher": manifest.publisher.to_string(),
        "module_sha256": output::hex(&manifest.module),
        "has_source": manifest.source.is_some(),
    });
    merge(&mut value, scope_json(&terms.scope));
    value
}

/// A scope, for machines.
pub(super) fn scope_json(scope: &Scope) -> Value {
    let key = match scope {
        Scope::Key { key, .. } => Some(key),
        _ => None,
    };
    json!({
        "scope": scope.to_string(),
        "level": scope.level(),
        "tenant": scope.tenant(),
        "namespace": scope.namespace(),
        "key": key,
    })
}

/// Adds the fields of `more`.
pub(super) fn merge(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}
