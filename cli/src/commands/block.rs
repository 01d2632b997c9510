//! `kmss block`: who or what does nothing, or little, until an operator lets it.

use libkmss::clock::Timestamp;
use libkmss::quota::{Block, BlockId, BlockTarget, Within};
use serde_json::{Value, json};

use crate::args::{BlockAddArgs, BlockCommand};
use crate::context::Context;
use crate::moment;
use crate::output::{self, Failure};
use crate::site::{Blocks, Known};

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
    let site = context.blocks()?;
    let known = site.known()?;
    let namespace = known.token_id(args.token.as_deref())?;
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
        (None, Some(duration)) => Some(Timestamp(known.now.0.saturating_add(moment::duration(duration)?))),
        (None, None) => None,
    };
    let id = site.block(target, args.throttle, &args.reason, until)?;
    let block = find(&*site, &id.to_string())?;
    if context.global.json {
        return output::json(&described(&known, &block));
    }
    output::line(&format!("Block {id}: {}.", sentence(&known, &block)))
}

fn list(context: &Context, token: Option<&str>) -> Result<(), Failure> {
    let site = context.blocks()?;
    let known = site.known()?;
    let wanted = token.map(|label| known.token(label)).transpose()?;
    let within = |block: &Block| match &wanted {
        Some(namespace) => match &block.target {
            BlockTarget::Principal { within, .. } => within.contains(namespace),
            other => other.namespace() == Some(namespace.id),
        },
        None => true,
    };
    let blocks: Vec<Block> = site.blocks()?.into_iter().filter(within).collect();
    if context.global.json {
        return output::json(&blocks.iter().map(|block| described(&known, block)).collect::<Vec<_>>());
    }
    let rows = blocks.iter().map(|block| {
        [
            block.id.to_string(),
            output::plain(&target(&known, block)),
            block.per_second.map_or_else(|| "blocked".to_owned(), |rate| format!("{rate}/s")),
            output::plain(&block.reason),
            output::plain(&block.by),
            output::time(block.since.0),
            match block.until {
                _ if !block.holds(known.now) => "over".to_owned(),
                Some(until) => output::time(until.0),
                None => "released".to_owned(),
            },
        ]
    });
    let header = ["BLOCK", "WHAT", "HOW", "WHY", "BY", "SINCE (UTC)", "UNTIL"];
    output::table(header, rows.collect(), "Nothing is blocked.")
}

fn show(context: &Context, id: &str) -> Result<(), Failure> {
    let site = context.blocks()?;
    let (known, block) = (site.known()?, find(&*site, id)?);
    if context.global.json {
        return output::json(&described(&known, &block));
    }
    output::line(&format!("Block {}: {}.", block.id, sentence(&known, &block)))?;
    output::line(&format!("By {} on {} (UTC).", output::plain(&block.by), output::time(block.since.0)))?;
    if !block.reason.is_empty() {
        output::line(&format!("Reason: {}", output::plain(&block.reason)))?;
    }
    Ok(())
}

fn release(context: &Context, id: &str) -> Result<(), Failure> {
    let site = context.blocks()?;
    let (known, block) = (site.known()?, find(&*site, id)?);
    let what = target(&known, &block);
    site.release(&block)?;
    if context.global.json {
        return output::json(&json!({ "id": block.id.to_string(), "target": what, "released": true }));
    }
    output::line(&format!("Released: {}.", output::plain(&what)))
}

fn find(site: &dyn Blocks, id: &str) -> Result<Block, Failure> {
    let id: BlockId = id.trim_start_matches("block:").parse()?;
    site.blocks()?
        .into_iter()
        .find(|block| block.id == id)
        .ok_or_else(|| format!("there is no block `{id}`; `kmss block list` shows what there is").into())
}

fn target(known: &Known, block: &Block) -> String {
    block.target.shown(&block.target.namespace().map(|id| known.name_of(id)).unwrap_or_default())
}

/// What it does, without a period.
fn sentence(known: &Known, block: &Block) -> String {
    let what = output::plain(&target(known, block));
    let how = match block.per_second {
        Some(1) => "is held to 1 operation a second".to_owned(),
        Some(rate) => format!("is held to {rate} operations a second"),
        None => "is blocked".to_owned(),
    };
    match block.until {
        Some(until) if !block.holds(known.now) => {
            format!("{what} {} until {} (UTC)", how.replacen("is", "was", 1), output::time(until.0))
        }
        Some(until) => format!("{what} {how} until {} (UTC)", output::time(until.0)),
        None => format!("{what} {how} until it is released"),
    }
}

fn described(known: &Known, block: &Block) -> Value {
    let (principal, key) = match &block.target {
        BlockTarget::Principal { name, .. } => (Some(name), None),
        BlockTarget::Key { key, .. } => (None, Some(key)),
        BlockTarget::Namespace { .. } => (None, None),
    };
    json!({
        "id": block.id.to_string(),
        "target": target(known, block),
        "principal": principal,
        "key": key,
        "namespace": block.target.namespace(),
        "per_second": block.per_second,
        "reason": block.reason,
        "by": block.by,
        "since": block.since,
        "until": block.until,
        "holds": block.holds(known.now),
    })
}
