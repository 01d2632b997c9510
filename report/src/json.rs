//! Keys, their rotation, rules, archives and explanations as JSON, wherever they are shown so.

use libkmss::backup::ArchiveHeader;
use libkmss::clock::Timestamp;
use libkmss::key::Object;
use libkmss::kms::past::Explanation;
use libkmss::kms::{DueRotation, RotationStep, Spent};
use libkmss::rules::KeyRule;
use serde_json::{Value, json};

use crate::words::{class_name, describe, uses};

/// A key, in the state that it is in at `now`, or as it was put. Null for what is no key.
#[must_use]
pub fn key(object: &Object, now: Option<Timestamp>) -> Value {
    let Some(key) = object.key() else { return Value::Null };
    json!({
        "name": key.name,
        "label": String::from_utf8_lossy(&object.label),
        "class": class_name(key.class),
        "type": describe(key),
        "state": now.map_or(key.state.name(), |now| key.state_word(now)),
        "lifecycle": key.lifecycle,
        "owner": key.metadata.owner,
        "purpose": key.metadata.purpose,
        "description": key.metadata.description,
        "aliases": key.metadata.aliases,
        "tags": key.tags,
        "audit": key.audit.name(),
        "backend": key.primary().map_or("", |version| &version.backend.0),
        "uses": uses(&key.usage),
        "sensitive": key.protection.sensitive,
        "extractable": key.protection.extractable,
        "local": key.protection.local,
        "cka_id": hex(&object.identifier),
        "version": key.primary,
        "versions": key.versions.len(),
        "created_ms": object.created.0,
        "id": object.id,
    })
}

/// A key whose rotation is looked after, and what was done about it.
#[must_use]
pub fn rotation(key: &DueRotation) -> Value {
    let spent = |spent: Option<Spent>| spent.map(|spent| json!({ "used": spent.used, "limit": spent.limit }));
    let (due, uses, bytes) = (key.due.map(|at| at.0), spent(key.uses), spent(key.bytes));
    let step = step(&key.step);
    json!({ "name": key.name, "version": key.version, "due_ms": due, "uses": uses, "bytes": bytes, "step": step })
}

/// What an archive of a tenant says of itself, which nothing has proven.
#[must_use]
pub fn archive(header: &ArchiveHeader) -> Value {
    json!({
        "archive": header.archive.to_string(),
        "tenant": header.tenant,
        "epoch": header.epoch,
        "created": header.created,
        "suite": header.suite.name(),
        "shares": header.shares,
        "needed": header.needed,
    })
}

/// A rule on what may be made, for `scope`, which is written for people.
#[must_use]
pub fn rule(rule: &KeyRule, scope: &str) -> Value {
    json!({
        "scope": scope,
        "tenant": rule.scope.tenant,
        "namespace": rule.scope.namespace,
        "service": rule.scope.service,
        "types": rule.types.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "preferred": rule.preferred,
        "rotation_days": rule.rotation_days,
        "apart": rule.apart,
        "owner": rule.owner,
        "by": rule.by,
        "set": rule.set,
    })
}

/// A step, with why where there is a reason.
fn step(step: &RotationStep) -> String {
    match step {
        RotationStep::Held(why) | RotationStep::Failed(why) => format!("{}: {why}", step.name()),
        step => step.name().to_owned(),
    }
}

/// Which rule decides on what an audit record tells of, and why.
#[must_use]
pub fn explanation(said: &Explanation) -> Value {
    let (then, now) = (&said.then, &said.now);
    let word = |allowed: bool| if allowed { "allow" } else { "deny" };
    let others = said
        .others
        .iter()
        .map(|one| json!({ "policy": one.policy, "line": one.line, "rule": one.rule, "why": one.why }));
    json!({
        "record": said.record,
        "principal": said.principal,
        "action": said.action,
        "key": said.names.first(),
        "decision": now.allowed.map(word),
        "rule": now.rule,
        "line": now.line,
        "text": now.text,
        "reason": now.reason,
        "not_recorded": now.not_recorded,
        "then": {
            "decision": word(then.allowed),
            "rule": then.rule,
            "reason": then.reason,
            "policies": then.policies,
        },
        "same_policies": said.same_policies,
        "others": others.collect::<Vec<_>>(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
