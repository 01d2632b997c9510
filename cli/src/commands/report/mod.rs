//! `kmss report`: what keys there are, who used them, what was refused and changed, and what of standards that evidences. The
//! crate `report` makes it, here of a home, or on a server; this is how it is asked for, and what people see of it.

mod html;
mod text;

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::clock::Timestamp;
use report::{Report, Seal, Step};

use crate::args::{FailOn, ReportArgs, ReportFormat};
use crate::context::Context;
use crate::moment;
use crate::output::{self, Failure};
use crate::site::Wanted;

/// Exit code where the report has something of `--fail-on`.
const FOUND: u8 = 3;

/// Runs `kmss report`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, args: &ReportArgs) -> Result<ExitCode, Failure> {
    let time = |text: &Option<String>| text.as_deref().map(moment::parse).transpose();
    let wanted = Wanted {
        tokens: &args.tokens,
        since: time(&args.since)?,
        until: time(&args.until)?,
        max_age_days: args.max_age,
        verify: !args.no_verify,
    };
    let (verifying, reading) = (bar()?.with_message("verifying"), bar()?.with_message("reading"));
    let report = context.report(&wanted, &mut |step| {
        let (bar, at, size) = match step {
            // Over before anybody wonders.
            Step::Listing(_) => return,
            Step::Verifying(at, size) => (&verifying, at, size),
            Step::Reading(at, size) => {
                verifying.finish_and_clear();
                (&reading, at, size)
            }
        };
        bar.set_length(size);
        bar.set_position(at);
    })?;
    verifying.finish_and_clear();
    reading.finish_and_clear();
    let format = args.format.unwrap_or(if context.global.json { ReportFormat::Json } else { ReportFormat::Text });
    let text = match format {
        ReportFormat::Text => text::of(&report),
        ReportFormat::Json => serde_json::to_string_pretty(&report)? + "\n",
        ReportFormat::Html => html::page(&report),
    };
    match &args.output {
        Some(path) => write(path, &text)?,
        None => output::bytes(text.as_bytes())?,
    }
    let found = args.fail_on.iter().any(|what| has(&report, *what));
    Ok(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// Whether there is something of what `--fail-on` names.
fn has(report: &Report, what: FailOn) -> bool {
    match what {
        FailOn::Weak => !report.weak_mechanisms.rows.is_empty() || report.keys.iter().any(|k| !k.weaknesses.is_empty()),
        FailOn::Denied => !report.denials.rows.is_empty(),
        FailOn::Failed => !report.failures.rows.is_empty(),
        FailOn::WrongPin => report.logins.sum(|login| login.wrong_pin + login.locked) > 0,
        FailOn::Overdue => report.keys.iter().any(|key| key.rotation_due),
        FailOn::Expired => {
            report.keys.iter().any(|key| key.expired) || report.certificates.iter().any(|one| one.expired)
        }
        FailOn::Audit => report.audit.verdict.as_deref() != Some("whole"),
        FailOn::Missing => !report.missing.is_empty(),
    }
}

/// What the seal says, as a sentence for people.
fn sealed(seal: &Seal) -> String {
    let time = |time: Timestamp| output::time(time.0);
    format!(
        "Sealed: {} records, by the checkpoint of {} UTC; {} are not sealed yet. {} of {} anchors agree.",
        seal.records,
        seal.time.map(time).unwrap_or_default(),
        seal.unsealed,
        seal.anchors_agree,
        seal.anchors
    )
}

/// A bar for people, and none for programs.
fn bar() -> Result<ProgressBar, Failure> {
    Ok(if std::io::stderr().is_terminal() {
        ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {eta}")?)
    } else {
        ProgressBar::hidden()
    })
}

/// Writes a file that only its owner reads, where it is new: a report tells what there is to steal.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| format!("cannot write `{}`: {e}", path.display()).into())
}
