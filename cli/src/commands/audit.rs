//! `kmss audit`: showing, exporting and verifying the trail.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::audit::{AuditTail, Entry, Filter, Record, Report, Verdict, decode_text};
use libkmss::kms::Kms;

use crate::args::AuditCommand;
use crate::context::Context;
use crate::output::{self, Failure};

/// How often `--follow` looks for new records.
const INTERVAL: Duration = Duration::from_millis(200);

/// Runs `kmss audit`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: AuditCommand) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::Tail { lines, follow, action, key, principal, outcome, all, ids } => {
            let filter = Filter { action, key, principal, outcome, events_only: !all, ..Filter::default() };
            tail(context, lines, follow, filter, ids)
        }
        AuditCommand::Export(args) => super::audit_export::run(context, &args),
        AuditCommand::Verify => verify(context),
    }
}

fn tail(context: &Context, lines: usize, follow: bool, filter: Filter, ids: bool) -> Result<ExitCode, Failure> {
    let mut tail = AuditTail::new(Kms::audit_directory(&context.config), filter);
    for entry in tail.last(lines)? {
        show(context, &entry, ids)?;
    }
    if follow {
        for entry in tail.follow(INTERVAL) {
            show(context, &entry?, ids)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, entry: &Entry, ids: bool) -> Result<(), Failure> {
    let id = || format!("{}:{}", entry.segment, entry.record.seq);
    match (context.global.json, ids) {
        (true, false) => output::line(&entry.raw),
        // The first field of a record that somebody reads with others.
        (true, true) => output::line(&format!("{{\"id\":\"{}\",{}", id(), entry.raw.get(1..).unwrap_or_default())),
        (false, false) => output::line(&sentence(&entry.record)),
        (false, true) => output::line(&format!("{}  {}", id(), sentence(&entry.record))),
    }
}

/// One record as a line for people.
fn sentence(record: &Record) -> String {
    let text = |field: &Option<String>| {
        field.as_deref().map(|t| output::plain(&String::from_utf8_lossy(&decode_text(t).0))).unwrap_or_default()
    };
    let mut line = format!("{}  ", output::time(record.time.0));
    if record.kind != "event" && record.kind != "summary" {
        let writer = record.pid.map(|pid| format!(" of process {pid}")).unwrap_or_default();
        line.push_str(&format!("{:<9} segment{writer}", record.kind));
        return line;
    }
    let object = record.object.as_ref().map(|o| {
        let name = [&o.name, &o.origin, &o.label].into_iter().map(text).find(|n| !n.is_empty());
        let name = name.unwrap_or_else(|| o.id.chars().take(8).collect());
        format!("{} {}{name}", o.class, if o.storage.is_some() { "session key of " } else { "" })
    });
    if record.kind == "summary" {
        let counts = record.uses.iter().map(|one| {
            let outcome = if one.outcome == "success" { String::new() } else { format!(" {}", one.outcome) };
            format!("{} × {} {}{outcome}", one.count, one.action, text(&one.mechanism))
        });
        let ended = record.ended.unwrap_or_default().then(|| "ended".to_owned());
        let what = counts.chain(ended).collect::<Vec<_>>().join(", ");
        let object = object.unwrap_or_default();
        line.push_str(&format!("{:<9} {:<12} {object:<24} {what:<20} {}", "counted", "", text(&record.principal)));
        return line.trim_end().to_owned();
    }
    line.push_str(&format!(
        "{:<9} {:<12} {:<24} {:<20} {}",
        text(&record.outcome),
        text(&record.action),
        object.unwrap_or_default(),
        text(&record.mechanism),
        text(&record.principal),
    ));
    let reason = text(&record.reason);
    if !reason.is_empty() {
        line.push_str(&format!("  ({reason})"));
    }
    let changes = record.changes.iter().map(|one| {
        let side = |value: &String| text(&Some(value.clone()));
        format!("{}: `{}` -> `{}`", text(&Some(one.what.clone())), side(&one.old), side(&one.new))
    });
    let changes = changes.collect::<Vec<_>>().join(", ");
    if !changes.is_empty() {
        line.push_str(&format!("  {changes}"));
    }
    let tags = record.tags.iter().map(|tag| match tag.strip_prefix("shadow:") {
        Some(note) => shadow(&text(&Some(note.to_owned()))),
        None => text(&Some(tag.clone())),
    });
    let tags = tags.collect::<Vec<_>>().join(", ");
    if !tags.is_empty() {
        line.push_str(&format!("  [{tags}]"));
    }
    line.trim_end().to_owned()
}

/// What a candidate in the shadow would have decided otherwise.
fn shadow(note: &str) -> String {
    let (decision, rule) = note.split_once(' ').unwrap_or((note, ""));
    let would = if decision == "allow" { "would allow it" } else { "would deny it" };
    if rule.is_empty() { format!("in the shadow: {would}") } else { format!("in the shadow: {rule} {would}") }
}

fn verify(context: &Context) -> Result<ExitCode, Failure> {
    let kms = context.kms()?;
    let bar = if std::io::stderr().is_terminal() && !context.global.json {
        ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}")?)
    } else {
        ProgressBar::hidden()
    };
    let report = kms.verify_audit(&mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} records", progress.records));
    });
    bar.finish_and_clear();
    if context.global.json {
        output::json(&report)?;
    } else {
        explain(&report)?;
    }
    Ok(match report.verdict {
        Verdict::Whole => ExitCode::SUCCESS,
        Verdict::Tampered => ExitCode::from(3),
        Verdict::Unverified => ExitCode::FAILURE,
    })
}

fn explain(report: &Report) -> Result<(), Failure> {
    for segment in &report.segments {
        for finding in &segment.findings {
            output::line(&format!("segment {}: {finding}", segment.segment))?;
        }
        if segment.more_findings > 0 {
            output::line(&format!("segment {}: {} more findings", segment.segment, segment.more_findings))?;
        }
        if let Some(error) = &segment.error {
            output::line(&format!("segment {}: {error}", segment.segment))?;
        }
    }
    for finding in &report.findings {
        output::line(&finding.to_string())?;
    }
    for error in &report.errors {
        output::line(error)?;
    }
    let segments = report.segments.len();
    let counts = format!("{} records in {segments} segment{}", report.records, if segments == 1 { "" } else { "s" });
    output::line(&match report.verdict {
        Verdict::Whole => format!("The audit trail is whole: {counts}."),
        Verdict::Tampered => format!("The audit trail was TAMPERED WITH: {counts}; keep a copy and see docs/audit.md."),
        Verdict::Unverified => format!("The audit trail could not be verified in full: {counts}."),
    })
}
