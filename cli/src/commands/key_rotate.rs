//! `kmss key rotate`, `activate`, `versions` and `rotation`, and `kmss rotate due`.

use std::process::ExitCode;
use std::sync::Arc;

use libkmss::key::{Object, Role, Rotation};
use libkmss::kms::{DueRotation, RotationStep, Spent};
use libkmss::operation::Turn;

use super::key;
use super::key_life::{IN_PART, seen};
use crate::args::{NamedKey, PurgeArgs, RotateArgs, RotationArgs};
use crate::context::Context;
use crate::moment;
use crate::output::{self, Failure};

const DAY: u64 = 86_400_000;

/// The whole rule, of days, uses and bytes; none for `never`.
///
/// # Errors
/// It cannot be understood.
pub(super) fn rule(args: &RotationArgs) -> Result<Option<Rotation>, Failure> {
    let RotationArgs { every, uses, bytes, strict, .. } = args;
    let counted = uses.is_some() || bytes.is_some();
    let days = match every.as_deref() {
        Some("never") if counted || *strict => return Err("`never` ends every rule: say nothing beside it".into()),
        Some("never") => return Ok(None),
        Some(every) => days(every)?,
        None => 0,
    };
    if *strict && !counted {
        return Err("--strict makes bounds of --uses and --bytes: give one of them".into());
    }
    let bytes = bytes.as_deref().map(size).transpose()?;
    Ok(Some(Rotation { days, uses: *uses, bytes, strict: *strict }))
}

/// `90d`.
///
/// # Errors
/// It is not so many days.
pub(super) fn days(every: &str) -> Result<u32, Failure> {
    let ms = moment::duration(every)?;
    if ms == 0 || !ms.is_multiple_of(DAY) {
        return Err("a key is rotated after whole days: write 90d, or never".into());
    }
    Ok(u32::try_from(ms / DAY).unwrap_or(u32::MAX))
}

/// `64G`.
fn size(text: &str) -> Result<u64, Failure> {
    let (digits, power) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (text.get(..at).unwrap_or_default(), "KMGT".find(unit)),
        _ => (text, None),
    };
    let factor = match power {
        Some(power) => 1024_u64.checked_pow(u32::try_from(power).unwrap_or(u32::MAX).saturating_add(1)),
        None if digits == text => Some(1),
        None => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        format!("`{}` is no size: write a number of bytes, or one with K, M, G or T behind it", output::plain(text))
            .into()
    })
}

/// Makes a new version.
///
/// # Errors
/// There is no such key, or it cannot be rotated.
pub(super) fn rotate(context: &Context, args: &RotateArgs) -> Result<(), Failure> {
    let at = args.at.as_deref().map(moment::parse).transpose()?;
    let turn = if args.ahead { Turn::Later(at) } else { Turn::Now };
    let objects = context.objects(&args.key.token.token)?;
    let made = objects.rotate(&args.key.name, turn)?;
    objects.close()?;
    report(context, &args.key.name, &made, !args.ahead)
}

/// Gives the name to the version that was made ahead.
///
/// # Errors
/// There is none, or its certificate is missing.
pub(super) fn activate(context: &Context, named: &NamedKey) -> Result<(), Failure> {
    let objects = context.objects(&named.token.token)?;
    let made = objects.activate(&named.name)?;
    objects.close()?;
    report(context, &named.name, &made, true)
}

fn report(context: &Context, name: &str, made: &[Arc<Object>], has_name: bool) -> Result<(), Failure> {
    let first = made.first().ok_or("the new version is gone")?;
    let key = first.key().ok_or("the new version is no key")?;
    if context.global.json {
        return output::json(&key::describe(first));
    }
    let (number, id, name) = (key.version_number(), output::hex(&first.identifier), output::plain(name));
    output::line(&match has_name {
        true => format!("Key `{name}` is version {number} now (CKA_ID {id}); former ones decrypt and verify."),
        false => format!("Version {number} of key `{name}` is ready as `{}` (CKA_ID {id}).", output::plain(&key.name)),
    })
}

/// Lists the versions.
///
/// # Errors
/// There is no such key.
pub(super) fn versions(context: &Context, named: &NamedKey) -> Result<(), Failure> {
    let objects = context.objects(&named.token.token)?;
    let (found, now) = (objects.versions(&named.name)?, objects.now()?);
    objects.close()?;
    let found = key::some(found, named)?;
    if context.global.json {
        return output::json(&found.iter().map(|object| key::describe(object)).collect::<Vec<_>>());
    }
    let row = |object: &Arc<Object>| {
        let key = object.key()?;
        let role = match key.lifecycle.role {
            None => "primary",
            Some(Role::Former) => "former",
            Some(Role::Pending) => "pending",
        };
        Some([
            key.version_number().to_string(),
            output::plain(&key.name),
            role.to_owned(),
            key.state_word(now).to_owned(),
            output::hex(&object.identifier),
            output::time(object.created.0),
        ])
    };
    let rows = found.iter().filter_map(row).collect();
    output::table(["VERSION", "NAME", "ROLE", "STATE", "CKA_ID", "CREATED (UTC)"], rows, "")
}

/// Does what is due.
///
/// # Errors
/// The token cannot be read.
pub(super) fn due(context: &Context, args: &PurgeArgs) -> Result<ExitCode, Failure> {
    let objects = context.objects(&args.token.token)?;
    let due = objects.rotate_due(None, args.dry_run);
    let (keys, ended) = seen(due, objects.close())?;
    let failed = keys.iter().any(|key| matches!(key.step, RotationStep::Failed(_)));
    if context.global.json {
        output::json(&keys.iter().map(report::json::rotation).collect::<Vec<_>>())?;
    } else {
        let due = |key: &DueRotation| key.due.map_or_else(String::new, |at| output::time(at.0));
        let row = |key: &DueRotation| {
            [output::plain(&key.name), key.version.to_string(), due(key), spent(key), step(&key.step)]
        };
        let none = "No key is rotated by itself; `kmss key rotation NAME --every 90d` has one be.";
        output::table(["NAME", "VERSION", "DUE (UTC)", "USED", "STEP"], keys.iter().map(row).collect(), none)?;
    }
    ended?;
    Ok(if failed { ExitCode::from(IN_PART) } else { ExitCode::SUCCESS })
}

/// What is counted.
fn spent(key: &DueRotation) -> String {
    let of = |spent: Option<Spent>, what: &str| spent.map(|spent| format!("{}/{} {what}", spent.used, spent.limit));
    of(key.uses, "uses").into_iter().chain(of(key.bytes, "bytes")).collect::<Vec<_>>().join(", ")
}

fn step(step: &RotationStep) -> String {
    match step {
        RotationStep::Held(why) | RotationStep::Failed(why) => format!("{}: {}", step.name(), output::plain(why)),
        step => step.name().to_owned(),
    }
}
