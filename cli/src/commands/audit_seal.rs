//! `kmss audit seal`, `anchor`, `prove`, `key` and `checkpoint`.

use std::process::ExitCode;
use std::time::Duration;

use audit_anchor::{AnchorError, Told};
use libkmss::audit::seal::{RecordName, SealOptions};
use libkmss::error::ErrorKind;
use serde::Serialize;

use super::audit_server;
use crate::args::{ProveArgs, SealArgs};
use crate::context::Context;
use crate::output::{self, Failure};

/// Seals what is new.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn seal(context: &Context, args: &SealArgs) -> Result<ExitCode, Failure> {
    let kms = context.kms()?;
    let options = SealOptions {
        limit: args.limit,
        new_epoch: args.new_epoch,
        heartbeat: args.heartbeat,
        repair: args.repair,
        patience: Duration::from_secs(args.wait),
    };
    let sealed = kms.seal_audit(&options)?;
    if sealed.busy {
        return Err("another process seals the audit trail: try again, or wait longer with `--wait`".into());
    }
    if context.global.json {
        output::json(&sealed)?;
    } else {
        for bad in &sealed.contradictions {
            output::line(&format!("segment {}: {}; it is not sealed any further", bad.segment, bad.finding))?;
        }
        if args.repair {
            output::line(&format!("Wrote {} files of the log anew.", sealed.repaired))?;
        }
        let (new, size, epoch) = (sealed.records, sealed.size, sealed.epoch);
        let s = if new == 1 { "" } else { "s" };
        output::line(&format!("Sealed {new} record{s}: {size} in all, signed by the key of epoch {epoch}."))?;
    }
    let told = audit_anchor::tell_all(&kms, &context.config()?.agent_sections()?.anchors, false);
    let mut missed = complain(&told);
    match kms.keep_audit(usize::MAX) {
        // Somebody does it by hand.
        Err(e) if e.kind() == ErrorKind::Busy => {}
        Err(e) => {
            output::error(&e);
            missed = true;
        }
        Ok(kept) => {
            let compressed = kept.compressed.map_or(0, |done| done.segments);
            let removed = kept.pruned.map_or(0, |done| done.segments.len());
            if !context.global.json && compressed + removed as u64 > 0 {
                output::line(&format!("Compressed {compressed} segments, and removed {removed} that are old."))?;
            }
        }
    }
    // Not whole, as `verify` says it; else done in part.
    Ok(match (sealed.contradictions.is_empty(), missed) {
        (false, _) => ExitCode::from(3),
        (true, true) => ExitCode::from(4),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Brings the newest checkpoint to every anchor.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn anchor(context: &Context) -> Result<ExitCode, Failure> {
    let anchors = context.config()?.agent_sections()?.anchors;
    if anchors.is_empty() {
        return Err("the configuration has no `[[audit.anchor]]`: see docs/configuration.md".into());
    }
    let kms = context.kms()?;
    kms.audit_checkpoint()?.ok_or(UNSEALED)?;
    let told = audit_anchor::tell_all(&kms, &anchors, true);
    let missed = complain(&told);
    for told in &told {
        if let Ok(Some(size)) = told.size {
            output::line(&format!("Anchor `{}` has the checkpoint over {size} records.", told.name))?;
        }
    }
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Says which anchors could not be told, and whether there are any.
fn complain(told: &[Told]) -> bool {
    let mut missed = false;
    for told in told {
        if let Err(error) = &told.size {
            output::error(&Missed { name: &told.name, error });
            missed = true;
        }
    }
    missed
}

/// An anchor that could not be told.
#[derive(Debug)]
struct Missed<'a> {
    name: &'a str,
    error: &'a AnchorError,
}

impl std::fmt::Display for Missed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "anchor `{}`: {}", self.name, self.error)
    }
}

impl std::error::Error for Missed<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.error)
    }
}

/// Writes the proof of a record.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn prove(context: &Context, args: &ProveArgs) -> Result<(), Failure> {
    let name: RecordName = args.record.parse()?;
    let proof = match context.server() {
        None => context.kms()?.prove_archived_audit(&name, args.detached, &args.archives)?.to_string(),
        Some(_) if !args.archives.is_empty() => {
            return Err("--archive works on the home itself: run it on the server's host".into());
        }
        Some(server) => audit_server::prove(server, name.to_string(), args.detached)?,
    };
    let Some(path) = &args.output else { return output::bytes(proof.as_bytes()) };
    std::fs::write(path, &proof).map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
    output::line(&format!("Wrote the proof of `{name}` to `{}`.", path.display()))
}

/// What `kmss audit key --json` prints.
#[derive(Serialize)]
struct Keys {
    root: String,
    epochs: Vec<Epoch>,
}

#[derive(Serialize)]
struct Epoch {
    epoch: u64,
    key: String,
    size: u64,
    time: Option<u64>,
}

/// Prints the public keys.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn key(context: &Context, root_only: bool, witness: bool) -> Result<(), Failure> {
    if witness {
        return output::line(&match context.server() {
            None => context.kms()?.audit_witness_key()?.to_string(),
            Some(server) => audit_server::witness_key(server)?.ok_or(UNSEALED)?,
        });
    }
    let lineage = match context.server() {
        None => context.kms()?.audit_keys()?,
        Some(server) => audit_server::keys(server)?,
    };
    let lineage = lineage.ok_or(UNSEALED)?;
    if context.global.json {
        let epochs = lineage.certificates().map(|c| Epoch {
            epoch: c.epoch,
            key: c.key.to_string(),
            size: c.checkpoint.size,
            time: c.checkpoint.time(),
        });
        return output::json(&Keys { root: lineage.root().to_string(), epochs: epochs.collect() });
    }
    if root_only {
        return output::line(&lineage.root().to_string());
    }
    output::bytes(lineage.to_string().as_bytes())
}

/// Prints the newest checkpoint.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn checkpoint(context: &Context) -> Result<(), Failure> {
    let checkpoint = match context.server() {
        None => context.kms()?.audit_checkpoint()?,
        Some(server) => audit_server::checkpoint(server)?,
    };
    output::bytes(checkpoint.ok_or(UNSEALED)?.as_bytes())
}

const UNSEALED: &str = "nothing is sealed yet: run `kmss audit seal`";
