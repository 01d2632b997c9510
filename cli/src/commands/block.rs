//! `kmss block`: who or what does nothing, or little, until an operator lets it.

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::clock::Timestamp;
use libkmss::kms::Kms;
use libkmss::quota::{Block, BlockId, BlockTarget, Within};
use libkmss::tenant::NamespaceId;
use serde_json::{Value, json};

use crate::args::{BlockAddArgs, BlockCommand};
use crate::context::{Context, find_token};
use crate::moment;
use crate::output::{self, Failure};

/// Runs `kmss block`.
///
/// # Errors
/// There is no such block or target, or whoever asks may not.
pub(super) fn run(context: &Context, command: BlockCommand) -> Result<(), Failure> {
    match command {
        BlockCommand::Add(args) => add(context, &args),
        BlockCommand::List { token } => list(context, token.as_deref()),
        BlockCommand::Show { id } => show(context, &id),
        BlockCommand::Release { id } => release(context, &id),
    }
}

fn add(context: &Context, args: &BlockAddArgs) -> Result<(), Failure> {
    let kms = context.kms()?;
    let namespace = args.token.as_deref().map(|label| find_token(&kms, label)).transpose()?.map(|found| found.id);
    let target = match (&args.principal, namespace, &args.key) {
        (Some(name), namespace, _) => {
            let within = match (namespace, &args.tenant) {
                (Some(namespace), _) => Within::Namespace(namespace),
                (None, Some(tenant)) => Within::Tenant(tenant.clone()),
                (None, None) => Within::Everywhere,
            };
            BlockTarget::Principal { name: name.clone(), within }
        }
        (None, Some(namespace), Some(key)) => BlockTarget::Key { namespace, key: key.clone() },
        (None, Some(namespace), None) => BlockTarget::Namespace { namespace },
        (None, None, _) => {
            return Err("say what is to be blocked: --principal NAME, or --token LABEL (and --key NAME)".into());
        }
    };
    let until = match (&args.until, &args.duration) {
        (Some(until), _) => Some(moment::parse(until)?),
        (None, Some(duration)) => Some(Timestamp(kms.now().0.saturating_add(moment::duration(duration)?))),
        (None, None) => None,
    };
    let caller = authority(context, &kms, namespace, true)?;
    let id = match args.throttle {
        Some(rate) => kms.throttle(&caller, target, rate, &args.reason, until)?,
        None => kms.block(&caller, target, &args.reason, until)?,
    };
    kms.close()?;
    let block = find(&kms, &id.to_string())?;
    if context.global.json {
        return output::json(&described(&kms, &block));
    }
    output::line(&format!("Block {id}: {}.", sentence(&kms, &block)))
}

fn list(context: &Context, token: Option<&str>) -> Result<(), Failure> {
    let kms = context.kms()?;
    let wanted = token.map(|label| find_token(&kms, label)).transpose()?;
    let within = |block: &Block| match &wanted {
        Some(namespace) => match &block.target {
            BlockTarget::Principal { within, .. } => within.contains(namespace),
            other => other.namespace() == Some(namespace.id),
        },
        None => true,
    };
    let blocks: Vec<Block> = kms.blocks()?.into_iter().filter(within).collect();
    if context.global.json {
        return output::json(&blocks.iter().map(|block| described(&kms, block)).collect::<Vec<_>>());
    }
    let now = kms.now();
    let rows = blocks.iter().map(|block| {
        [
            block.id.to_string(),
            output::plain(&target(&kms, block)),
            block.per_second.map_or_else(|| "blocked".to_owned(), |rate| format!("{rate}/s")),
            output::plain(&block.reason),
            output::plain(&block.by),
            output::time(block.since.0),
            match block.until {
                _ if !block.holds(now) => "over".to_owned(),
                Some(until) => output::time(until.0),
                None => "released".to_owned(),
            },
        ]
    });
    let header = ["BLOCK", "WHAT", "HOW", "WHY", "BY", "SINCE (UTC)", "UNTIL"];
    output::table(header, rows.collect(), "Nothing is blocked.")
}

fn show(context: &Context, id: &str) -> Result<(), Failure> {
    let kms = context.kms()?;
    let block = find(&kms, id)?;
    if context.global.json {
        return output::json(&described(&kms, &block));
    }
    output::line(&format!("Block {}: {}.", block.id, sentence(&kms, &block)))?;
    output::line(&format!("By {} on {} (UTC).", output::plain(&block.by), output::time(block.since.0)))?;
    if !block.reason.is_empty() {
        output::line(&format!("Reason: {}", output::plain(&block.reason)))?;
    }
    Ok(())
}

fn release(context: &Context, id: &str) -> Result<(), Failure> {
    let kms = context.kms()?;
    let block = find(&kms, id)?;
    let caller = authority(context, &kms, block.target.namespace(), false)?;
    let what = target(&kms, &block);
    kms.release(&caller, block.id)?;
    kms.close()?;
    if context.global.json {
        return output::json(&json!({ "id": block.id.to_string(), "target": what, "released": true }));
    }
    output::line(&format!("Released: {}.", output::plain(&what)))
}

/// Logs in whoever may block or release in `namespace`, or beyond namespaces.
///
/// # Errors
/// Wrong PIN, locked PIN.
pub(super) fn authority(
    context: &Context,
    kms: &Kms,
    namespace: Option<NamespaceId>,
    alarm: bool,
) -> Result<Caller, Failure> {
    let known = kms.namespaces()?.into_iter().find(|known| Some(known.id) == namespace);
    // What is left of a namespace that is gone is an admin's matter.
    let Some(known) = known else { return Ok(kms.administrator(None)?) };
    let caller = kms.enter(&known, 0)?;
    if (alarm && kms.is_run_by_owner()) || kms.is_policy_admin(&known)? {
        return Ok(caller);
    }
    Ok(kms.login(&caller, &Credential::OfficerPin(&context.so_pin(&known.name)?))?)
}

fn find(kms: &Kms, id: &str) -> Result<Block, Failure> {
    let id: BlockId = id.trim_start_matches("block:").parse()?;
    kms.blocks()?
        .into_iter()
        .find(|block| block.id == id)
        .ok_or_else(|| format!("there is no block `{id}`; `kmss block list` shows what there is").into())
}

fn target(kms: &Kms, block: &Block) -> String {
    let names = kms.namespaces().unwrap_or_default();
    let id = block.target.namespace();
    let name = names.iter().find(|known| Some(known.id) == id).map(ToString::to_string);
    block.target.shown(&name.or_else(|| id.map(|id| id.to_string())).unwrap_or_default())
}

/// What it does, without a period.
fn sentence(kms: &Kms, block: &Block) -> String {
    let what = output::plain(&target(kms, block));
    let how = match block.per_second {
        Some(1) => "is held to 1 operation a second".to_owned(),
        Some(rate) => format!("is held to {rate} operations a second"),
        None => "is blocked".to_owned(),
    };
    match block.until {
        Some(until) if !block.holds(kms.now()) => {
            format!("{what} {} until {} (UTC)", how.replacen("is", "was", 1), output::time(until.0))
        }
        Some(until) => format!("{what} {how} until {} (UTC)", output::time(until.0)),
        None => format!("{what} {how} until it is released"),
    }
}

fn described(kms: &Kms, block: &Block) -> Value {
    let (principal, key) = match &block.target {
        BlockTarget::Principal { name, .. } => (Some(name), None),
        BlockTarget::Key { key, .. } => (None, Some(key)),
        BlockTarget::Namespace { .. } => (None, None),
    };
    json!({
        "id": block.id.to_string(),
        "target": target(kms, block),
        "principal": principal,
        "key": key,
        "namespace": block.target.namespace(),
        "per_second": block.per_second,
        "reason": block.reason,
        "by": block.by,
        "since": block.since,
        "until": block.until,
        "holds": block.holds(kms.now()),
    })
}
