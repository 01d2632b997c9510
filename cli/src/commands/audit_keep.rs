//! `kmss audit compress`, `archive` and `prune`, and verifying an archive alone.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use audit_archive::{Demands, Packed, Verdict};
use audit_proof::Lineage;
use indicatif::ProgressBar;
use libkmss::audit::keep::{ArchiveOptions, Left, Stays};
use libkmss::audit::{Codec, Progress, use_codec};

use super::audit::bar;
use crate::args::{ArchiveArgs, CompressArgs, PruneArgs, VerifyArgs};
use crate::context::Context;
use crate::moment;
use crate::output::{self, Failure};

/// Lets this process read compressed segments, and make them.
pub(crate) fn enable() {
    use_codec(Codec {
        pack: audit_archive::pack,
        unpack: |file| {
            let packed = Packed::open(file)?;
            let len = packed.len();
            Ok((Box::new(packed), len))
        },
    });
}

/// Shows how far the work is.
fn tell(bar: &ProgressBar) -> impl FnMut(&Progress) {
    |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} of {} segments", progress.segments, progress.segments_total));
    }
}

/// Says which segments stay, but for those that are not meant; whether there are any.
fn explain_left(left: &[Left]) -> Result<bool, Failure> {
    let mut any = false;
    for one in left.iter().filter(|one| !matches!(one.stays, Stays::Young | Stays::Open)) {
        any = true;
        output::line(&format!("segment {} stays: {}", one.segment, one.stays))?;
    }
    let open = left.iter().filter(|one| one.stays == Stays::Open).count();
    if open > 0 {
        let s = if open == 1 { " is" } else { "s are" };
        output::line(&format!("{open} segment{s} not closed by the writer yet."))?;
    }
    Ok(any)
}

/// Compresses what ended.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn compress(context: &Context, args: &CompressArgs) -> Result<ExitCode, Failure> {
    let age = Duration::from_millis(moment::duration(&args.older_than)?);
    let (kms, bar) = (context.kms()?, bar(context)?);
    let done = kms.compress_audit(age, &mut tell(&bar))?;
    bar.finish_and_clear();
    if context.global.json {
        output::json(&done)?;
    } else {
        explain_left(&done.left)?;
        let s = if done.segments == 1 { "" } else { "s" };
        let (segments, before, after) = (done.segments, done.bytes, done.file_bytes);
        let already = match done.already {
            0 => String::new(),
            count => format!(" ({count} compressed before)"),
        };
        output::line(&format!("Compressed {segments} segment{s}: {before} bytes became {after}{already}."))?;
    }
    Ok(code(&done.left, false))
}

/// Copies what ended to an archive.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn archive(context: &Context, args: &ArchiveArgs) -> Result<ExitCode, Failure> {
    let before = args.before.as_deref().map(moment::parse_past).transpose()?;
    let options = ArchiveOptions { to: args.to.clone(), before, delete: args.delete };
    let (kms, bar) = (context.kms()?, bar(context)?);
    let done = kms.archive_audit(&options, &mut tell(&bar))?;
    bar.finish_and_clear();
    if context.global.json {
        output::json(&done)?;
    } else {
        explain_left(&done.left)?;
        let s = if done.copied == 1 { "" } else { "s" };
        let mut line = format!(
            "Copied {} segment{s} with {} records to `{}` ({} bytes); {} were there before.",
            done.copied,
            done.records,
            args.to.display(),
            done.file_bytes,
            done.already
        );
        if args.delete {
            line.push_str(&format!(" Removed {} from the home.", done.removed));
        }
        output::line(&line)?;
        output::line(&format!("The manifest's SHA-256 is {}.", done.manifest))?;
    }
    Ok(code(&done.left, true))
}

/// Removes what is old.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn prune(context: &Context, args: &PruneArgs) -> Result<ExitCode, Failure> {
    let days = args.keep_days.unwrap_or(context.config()?.audit.keep_days);
    if days == 0 && args.keep_days.is_none() {
        return Err("records are kept for ever: set `[audit] keep_days`, or say `--keep-days DAYS`".into());
    }
    let age = Duration::from_secs(u64::from(days) * 86_400);
    let (kms, bar) = (context.kms()?, bar(context)?);
    let done = kms.prune_audit(age, args.yes, &mut tell(&bar))?;
    bar.finish_and_clear();
    if context.global.json {
        output::json(&done)?;
        return Ok(code(&done.left, args.yes));
    }
    explain_left(&done.left)?;
    let word = if args.yes { "removed" } else { "would be removed" };
    for one in &done.segments {
        let (first, last) = (output::time(one.first.0), output::time(one.last.0));
        output::line(&format!("segment {} {word}: {} records, {first} to {last}", one.segment, one.records))?;
    }
    let (count, bytes) = (done.segments.len(), done.segments.iter().map(|one| one.file_bytes).sum::<u64>());
    let s = if count == 1 { "" } else { "s" };
    output::line(&match args.yes {
        true => format!("Removed {count} segment{s}, {bytes} bytes."),
        false => format!("{count} segment{s}, {bytes} bytes, would be removed: say `--yes`."),
    })?;
    Ok(code(&done.left, args.yes))
}

/// Contradictions are told as `verify` tells them; what was left although it was meant is work done in part.
fn code(left: &[Left], meant: bool) -> ExitCode {
    let of = |wanted: fn(&Stays) -> bool| left.iter().any(|one| wanted(&one.stays));
    if of(|stays| *stays == Stays::Contradicts) {
        return ExitCode::from(3);
    }
    if meant && of(|stays| !matches!(stays, Stays::Young | Stays::Open)) {
        return ExitCode::from(4);
    }
    ExitCode::SUCCESS
}

/// Verifies archives without a home.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn verify_alone(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|e| Failure::from(format!("cannot read `{}`: {e}", path.display())))
    };
    let key = args.key.as_deref().map(|key| -> Result<Lineage, Failure> {
        match key.parse() {
            Ok(root) => Ok(Lineage::new(root)?),
            Err(_) => Ok(Lineage::parse(&read(Path::new(key))?)?),
        }
    });
    let key = key.transpose()?;
    if args.manifest.is_some() && args.archives.len() > 1 {
        return Err("a hash is that of one manifest: verify one archive at a time".into());
    }
    let demands = Demands { keys: key.as_ref(), manifest: args.manifest };
    let mut worst = Verdict::Whole;
    for path in &args.archives {
        let bar = bar(context)?;
        let report = audit_archive::check(path, &demands, &mut |progress| {
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes);
            bar.set_message(format!("{} records", progress.records));
        })?;
        bar.finish_and_clear();
        if context.global.json {
            output::json(&report)?;
        } else {
            output::line(report.to_string().trim_end())?;
        }
        worst = match (worst, report.verdict) {
            (Verdict::Tampered, _) | (_, Verdict::Tampered) => Verdict::Tampered,
            (Verdict::Unverified, _) | (_, Verdict::Unverified) => Verdict::Unverified,
            (Verdict::Whole, Verdict::Whole) => Verdict::Whole,
        };
    }
    Ok(match worst {
        Verdict::Whole => ExitCode::SUCCESS,
        Verdict::Tampered => ExitCode::from(3),
        Verdict::Unverified => ExitCode::FAILURE,
    })
}
