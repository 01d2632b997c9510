//! `kmss key suspend`, `archive`, `revoke`, `schedule`, `delete`, `restore`, `purge`, `tombstones` and `release-name`.

use std::process::ExitCode;

use libkmss::catalog::Tombstone;
use libkmss::clock::Timestamp;
use libkmss::key::{Description, Lifecycle, Metadata, Purpose, Transition};
use libkmss::kms::{Doomed, Fate};
use serde_json::{Value, json};

use super::{key, key_rotate};
use crate::args::{
    AliasArgs, DeleteArgs, DescribeArgs, GrantArgs, LifeCommand, NamedKey, PurgeArgs, RevokeArgs, ScheduleArgs,
};
use crate::context::Context;
use crate::moment;
use crate::objects::Seen;
use crate::output::{self, Failure};

/// Something was done, and something was not.
pub(super) const IN_PART: u8 = 4;

/// Runs one of them.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: LifeCommand) -> Result<ExitCode, Failure> {
    match command {
        LifeCommand::Suspend(key) => change(context, &key, &Transition::Suspend),
        LifeCommand::Archive(key) => change(context, &key, &Transition::Archive),
        LifeCommand::Revoke(RevokeArgs { key, reason, why }) => {
            change(context, &key, &Transition::Revoke { reason: reason.into(), why })
        }
        LifeCommand::Schedule(ScheduleArgs { key, activate, deactivate }) => {
            let moment = |text: Option<String>| text.map(|text| moment_or_never(&text)).transpose();
            let (activation, deactivation) = (moment(activate)?, moment(deactivate)?);
            change(context, &key, &Transition::Schedule { activation, deactivation })
        }
        LifeCommand::Delete(DeleteArgs { key, days, why }) => change(context, &key, &Transition::Delete { days, why }),
        LifeCommand::Restore(key) => change(context, &key, &Transition::Keep),
        LifeCommand::Purge(args) => return purge(context, &args),
        LifeCommand::Tombstones { token } => tombstones(context, &token.token),
        LifeCommand::ReleaseName(key) => release(context, &key),
        LifeCommand::Rotate(args) => key_rotate::rotate(context, &args),
        LifeCommand::Activate(key) => key_rotate::activate(context, &key),
        LifeCommand::Versions(key) => key_rotate::versions(context, &key),
        LifeCommand::Describe(args) => describe(context, args),
        LifeCommand::Alias(args) => alias(context, &args),
        LifeCommand::Grant(args) => grant(context, &args),
        LifeCommand::Rotation(args) => change(context, &args.key, &Transition::Rotate(key_rotate::rule(&args)?)),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn moment_or_never(text: &str) -> Result<Option<Timestamp>, Failure> {
    if text == "never" { Ok(None) } else { moment::parse(text).map(Some) }
}

fn change(context: &Context, named: &NamedKey, transition: &Transition) -> Result<(), Failure> {
    let objects = context.managed_objects(&named.token.token)?;
    let changed = objects.change_life(key::first(&key::require(&*objects, named)?)?, transition)?;
    let now = objects.now()?;
    objects.close()?;
    let key = changed.first().and_then(|object| object.key()).ok_or("the key is gone")?;
    let (word, name) = (key.state_word(now), &named.name);
    if context.global.json {
        return output::json(&json!({ "name": name, "state": word, "lifecycle": key.lifecycle }));
    }
    output::line(&format!("Key `{}` is {word}. Every process sees it from its next operation.", output::plain(name)))?;
    for (name, value) in lines(&key.lifecycle) {
        output::line(&format!("{name:<12} {value}"))?;
    }
    let due = changed.first().and_then(|object| key.rotates_at(object.created)).filter(|due| *due <= now);
    if let (Transition::Rotate(Some(_)), Some(due)) = (transition, due) {
        let since = output::time(due.0);
        output::line(&format!("It is due since {since}: kmssd rotates it within a minute, or `kmss rotate due`."))?;
    }
    Ok(())
}

fn describe(context: &Context, args: DescribeArgs) -> Result<(), Failure> {
    let DescribeArgs { key, owner, purpose, description, service } = args;
    if owner.is_none() && purpose.is_none() && description.is_none() && service.is_none() {
        return Err("say what changes: --owner, --purpose, --description or --service".into());
    }
    let purpose =
        purpose.map(|name| if name == "any" { Ok(None) } else { self::purpose(&name).map(Some) }).transpose()?;
    change(context, &key, &Transition::Describe(Description { owner, description, purpose, service }))
}

/// The purpose of that name.
///
/// # Errors
/// There is none.
pub(super) fn purpose(name: &str) -> Result<Purpose, Failure> {
    let names = Purpose::ALL.map(Purpose::name).join(", ");
    Purpose::from_name(name).ok_or_else(|| format!("`{name}` is no purpose: {names}").into())
}

fn alias(context: &Context, args: &AliasArgs) -> Result<(), Failure> {
    let objects = context.objects(&args.token.token)?;
    objects.set_alias(&args.alias, args.to.as_deref())?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "alias": args.alias, "name": args.to }));
    }
    let alias = output::plain(&args.alias);
    match &args.to {
        Some(name) => output::line(&format!("`{alias}` is key `{}` from now on.", output::plain(name))),
        None => output::line(&format!("`{alias}` is no key any more.")),
    }
}

fn grant(context: &Context, args: &GrantArgs) -> Result<(), Failure> {
    let GrantArgs { key: named, service, remove, as_owner } = args;
    let (token, name) = (&named.token.token, &named.name);
    let objects = if *as_owner { context.objects(token)? } else { context.managed_objects(token)? };
    let changed = objects.grant(name, service, !remove)?;
    objects.close()?;
    let key = changed.first().and_then(|object| object.key()).ok_or("the key is gone")?;
    let Metadata { service, grants, .. } = &key.metadata;
    if context.global.json {
        return output::json(&json!({ "name": name, "service": service, "grants": grants }));
    }
    let others = if grants.is_empty() { "no other".to_owned() } else { grants.join(", ") };
    let (name, service, others) = (output::plain(name), output::plain(service), output::plain(&others));
    output::line(&format!("Key `{name}` is used by the service {service}, and by {others}."))
}

/// What people say of a key, as lines.
pub(super) fn said(metadata: &Metadata) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if !metadata.owner.is_empty() {
        lines.push(("Owner", output::plain(&metadata.owner)));
    }
    lines.extend(metadata.purpose.map(|purpose| ("Purpose", purpose.name().to_owned())));
    if !metadata.description.is_empty() {
        lines.push(("Description", output::plain(&metadata.description)));
    }
    if !metadata.service.is_empty() {
        lines.push(("Service", output::plain(&metadata.service)));
    }
    if !metadata.grants.is_empty() {
        lines.push(("Granted to", output::plain(&metadata.grants.join(", "))));
    }
    if !metadata.aliases.is_empty() {
        lines.push(("Aliases", output::plain(&metadata.aliases.join(", "))));
    }
    lines
}

/// What there is to a key's life beyond its state, as lines.
pub(super) fn lines(life: &Lifecycle) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let said = |why: &str| if why.is_empty() { String::new() } else { format!(": {}", output::plain(why)) };
    lines.extend(life.activation.map(|at| ("Activated", output::time(at.0))));
    lines.extend(life.deactivation.map(|at| ("Deactivated", output::time(at.0))));
    if life.version != 0 {
        lines.push(("Version", life.version.to_string()));
    }
    lines.extend(life.next.map(|next| ("Pending", format!("version {next}"))));
    lines.extend(life.rotation.as_ref().map(|rule| ("Rotated", rule.to_string())));
    if let Some(revocation) = &life.revocation {
        let (when, by, why) = (output::time(revocation.time.0), output::plain(&revocation.by), said(&revocation.why));
        lines.push(("Revoked", format!("{when} for {} by {by}{why}", revocation.reason.name())));
    }
    if let Some(deletion) = &life.deletion {
        let (when, by, why) = (output::time(deletion.due.0), output::plain(&deletion.by), said(&deletion.why));
        lines.push(("Destroyed", format!("{when}, asked for by {by}{why}")));
    }
    lines
}

fn purge(context: &Context, args: &PurgeArgs) -> Result<ExitCode, Failure> {
    let objects = context.objects(&args.token.token)?;
    let due = objects.destroy_due(args.dry_run);
    let (keys, ended) = seen(due, objects.close())?;
    let failed = keys.iter().any(|key| matches!(key.fate, Fate::Failed(_)));
    if context.global.json {
        output::json(&keys.iter().map(doomed).collect::<Vec<_>>())?;
    } else {
        let row =
            |key: &Doomed| [output::plain(&key.name), key.id.to_string(), output::time(key.due.0), fate(&key.fate)];
        let rows = keys.iter().map(row).collect();
        output::table(["NAME", "UNIQUE ID", "DUE (UTC)", "FATE"], rows, "No key waits for its destruction.")?;
    }
    ended?;
    Ok(if failed { ExitCode::from(IN_PART) } else { ExitCode::SUCCESS })
}

/// What is to be shown of what was due, and how it ended behind that.
///
/// # Errors
/// It ended before there was anything.
pub(super) fn seen<T>(seen: Seen<T>, closed: Result<(), Failure>) -> Result<(Vec<T>, Result<(), Failure>), Failure> {
    let Seen { all, ended } = seen;
    match ended {
        Err(why) if all.is_empty() => Err(why),
        Err(why) => {
            let why = output::sentence(&*why);
            Ok((all, Err(format!("not all was looked at, behind what is shown: {why}").into())))
        }
        Ok(()) => Ok((all, closed)),
    }
}

fn doomed(key: &Doomed) -> Value {
    json!({ "name": key.name, "id": key.id, "due_ms": key.due.0, "fate": fate(&key.fate) })
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Waits => "waits".to_owned(),
        Fate::Due => "due".to_owned(),
        Fate::Destroyed => "destroyed".to_owned(),
        Fate::Failed(why) => format!("failed: {}", output::plain(why)),
    }
}

fn tombstones(context: &Context, token: &str) -> Result<(), Failure> {
    let objects = context.objects(token)?;
    let stones = objects.tombstones()?;
    objects.close()?;
    if context.global.json {
        return output::json(&stones);
    }
    let row = |stone: &Tombstone| {
        [
            output::plain(&stone.name),
            report::class_name(stone.class).to_owned(),
            stone.key_type.name().to_owned(),
            output::time(stone.destroyed.0),
            output::plain(&stone.by),
            output::plain(&stone.deletion.by),
            output::plain(&stone.deletion.why),
            if stone.released { "free" } else { "kept" }.to_owned(),
        ]
    };
    output::table(
        ["NAME", "CLASS", "TYPE", "DESTROYED (UTC)", "BY", "ASKED FOR BY", "WHY", "ITS NAME IS"],
        stones.iter().map(row).collect(),
        "No key was destroyed because it was due.",
    )
}

fn release(context: &Context, named: &NamedKey) -> Result<(), Failure> {
    let objects = context.managed_objects(&named.token.token)?;
    objects.release_name(&named.name)?;
    objects.close()?;
    if context.global.json {
        return output::json(&json!({ "released": named.name }));
    }
    output::line(&format!("The name `{}` may be used again.", output::plain(&named.name)))
}
