//! `kmss audit`: showing, exporting and verifying the trail.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use audit_proof::Lineage;
use indicatif::{ProgressBar, ProgressStyle};
use libkmss::audit::seal::{Demands, SealReport, Span};
use libkmss::audit::{Entry, Filter, Progress, Record, Report, Status, Verdict, decode_text};

use super::{audit_keep, audit_seal, audit_server};
use crate::args::{AuditCommand, ColorArg, RecordArgs, TailArgs, VerifyArgs};
use crate::context::Context;
use crate::moment;
use crate::output::{self, Failure};

/// Runs `kmss audit`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: AuditCommand) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::Tail(args) => tail(context, &args),
        AuditCommand::Agent(args) => super::audit_agent::run(context, &args),
        AuditCommand::Export(args) => super::audit_export::run(context, &args),
        AuditCommand::Verify(args) => verify(context, &args),
        AuditCommand::Seal(args) => audit_seal::seal(context, &args),
        AuditCommand::Anchor => audit_seal::anchor(context),
        AuditCommand::Prove(args) => audit_seal::prove(context, &args).map(|()| ExitCode::SUCCESS),
        AuditCommand::Key { root, witness } => audit_seal::key(context, root, witness).map(|()| ExitCode::SUCCESS),
        AuditCommand::Checkpoint => audit_seal::checkpoint(context).map(|()| ExitCode::SUCCESS),
        AuditCommand::Compress(args) => audit_keep::compress(context, &args),
        AuditCommand::Archive(args) => audit_keep::archive(context, &args),
        AuditCommand::Prune(args) => audit_keep::prune(context, &args),
    }
}

/// The records that the options mean.
///
/// # Errors
/// A time that is none.
pub(super) fn filter(args: &RecordArgs) -> Result<Filter, Failure> {
    let time = |text: &Option<String>| text.as_deref().map(moment::parse_past).transpose();
    Ok(Filter {
        kind: None,
        action: args.action.clone(),
        key: args.key.clone(),
        principal: args.principal.clone(),
        outcome: if args.denied { Some("denied".to_owned()) } else { args.outcome.clone() },
        namespace: args.token.clone(),
        tenant: args.tenant.clone(),
        mechanism: args.mechanism.clone(),
        tag: args.tag.clone(),
        rule: args.rule.clone(),
        since: time(&args.since)?,
        until: time(&args.until)?,
        events_only: !args.all,
    })
}

fn tail(context: &Context, args: &TailArgs) -> Result<ExitCode, Failure> {
    let mut trail = context.trail(filter(&args.records)?, &args.records.archives)?;
    let colors = colors(args.color);
    let mut told = |entry: &Entry| show(context, entry, args.ids, colors);
    if args.follow {
        trail.follow(args.lines, &mut told)?;
    } else {
        trail.last(args.lines)?.iter().try_for_each(told)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether there are colours (no-color.org).
pub(super) fn colors(when: ColorArg) -> bool {
    match when {
        ColorArg::Always => true,
        ColorArg::Never => false,
        ColorArg::Auto => {
            std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
        }
    }
}

/// Prints a record.
///
/// # Errors
/// Standard output is closed.
pub(super) fn show(context: &Context, entry: &Entry, ids: bool, colors: bool) -> Result<(), Failure> {
    let id = || format!("{}:{}", entry.segment, entry.record.seq);
    match (context.global.json, ids) {
        (true, false) => output::line(&entry.raw),
        // The first field of a record that somebody reads with others.
        (true, true) => output::line(&format!("{{\"id\":\"{}\",{}", id(), entry.raw.get(1..).unwrap_or_default())),
        (false, false) => output::line(&sentence(&entry.record, colors)),
        (false, true) => output::line(&format!("{}  {}", id(), sentence(&entry.record, colors))),
    }
}

/// Sequences of a terminal (ECMA-48, 8.3.117).
mod color {
    pub(super) const RED: &str = "\x1b[31m";
    pub(super) const BOLD_RED: &str = "\x1b[1;31m";
    pub(super) const YELLOW: &str = "\x1b[33m";
    pub(super) const GREEN: &str = "\x1b[32m";
    pub(super) const FAINT: &str = "\x1b[2m";
    pub(super) const OFF: &str = "\x1b[0m";
}

/// The colour that says how a record is to be taken.
fn color_of(record: &Record) -> &'static str {
    match (record.kind.as_str(), record.outcome.as_deref()) {
        ("alarm", _) => color::BOLD_RED,
        ("removal", _) => color::YELLOW,
        (_, Some("denied")) => color::RED,
        ("recovery", _) | (_, Some("failed" | "abandoned")) => color::YELLOW,
        (_, Some("success")) => color::GREEN,
        _ => color::FAINT,
    }
}

/// One record as a line for people.
fn sentence(record: &Record, colors: bool) -> String {
    let line = described(record);
    if !colors {
        return line;
    }
    // The time stays quiet, the word behind it speaks.
    let (time, rest) = line.split_at(line.len().min(TIME));
    let word = rest.find(' ').unwrap_or(rest.len());
    let (word, rest) = rest.split_at(word);
    format!("{}{time}{}{}{word}{}{rest}", color::FAINT, color::OFF, color_of(record), color::OFF)
}

/// Length of the time before each line, with what parts it from the rest.
const TIME: usize = "2026-01-01 00:00:00  ".len();

/// One record in words.
fn described(record: &Record) -> String {
    let text = |field: &Option<String>| {
        field.as_deref().map(|t| output::plain(&String::from_utf8_lossy(&decode_text(t).0))).unwrap_or_default()
    };
    let mut line = format!("{}  ", output::time(record.time.0));
    let object = record.object.as_ref().map(|o| {
        let name = [&o.name, &o.origin, &o.label].into_iter().map(text).find(|n| !n.is_empty());
        let name = name.unwrap_or_else(|| o.id.to_string());
        format!("{} {}{name}", o.class, if o.storage.is_some() { "session key of " } else { "" })
    });
    match record.kind.as_str() {
        "event" => (),
        "summary" => {
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
        "alarm" => {
            let words = [text(&record.rule), format!("({})", text(&record.severity)), object.unwrap_or_default()];
            let words = words.into_iter().chain([text(&record.principal)]).filter(|word| !word.is_empty());
            line.push_str(&format!("{:<9} {}", "ALARM", words.collect::<Vec<_>>().join(" ")));
            line.push_str(&format!("  ({})", text(&record.reason)));
            let measure = text(&record.measure);
            if !measure.is_empty() {
                line.push_str(&format!("  [{measure}]"));
            }
            return line;
        }
        "removal" => {
            let removed = record.removed.as_ref();
            let of = removed.map(|r| format!("segment {} with {} records", r.segment, r.records)).unwrap_or_default();
            line.push_str(&format!("{:<9} {of} ({}) {}", "removed", text(&record.why), text(&record.principal)));
            return line.trim_end().to_owned();
        }
        "heartbeat" => {
            let every = record.every_s.unwrap_or_default();
            line.push_str(&format!("{:<9} of the agent, every {every} s", record.kind));
            return line;
        }
        _ => {
            let writer = record.pid.map(|pid| format!(" of process {pid}")).unwrap_or_default();
            line.push_str(&format!("{:<9} segment{writer}", record.kind));
            return line;
        }
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

/// Largest file of checkpoints.
const LARGEST: u64 = 256 << 20;

/// What an auditor brings along.
fn demands(args: &VerifyArgs) -> Result<Demands, Failure> {
    let read = |path: &Path| -> Result<String, Failure> {
        let failed = |e| format!("cannot read `{}`: {e}", path.display());
        if std::fs::metadata(path).map_err(failed)?.len() > LARGEST {
            return Err(format!("`{}` is too large for a file of checkpoints", path.display()).into());
        }
        Ok(std::fs::read_to_string(path).map_err(failed)?)
    };
    let anchors = args.anchors.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    let key = args.key.as_deref().map(|key| match key.parse() {
        Ok(key) => Ok(key),
        Err(_) => read(Path::new(key)).and_then(|text| Ok(Lineage::parse(&text)?.root().clone())),
    });
    let mut span = Span::default();
    if let Some(from) = &args.from {
        match from.parse() {
            Ok(record) => span.first = Some(record),
            Err(_) => span.since = Some(moment::parse(from)?),
        }
    }
    if let Some(to) = &args.to {
        match to.parse() {
            Ok(record) => span.last = Some(record),
            Err(_) => span.until = Some(moment::parse(to)?),
        }
    }
    let only = (args.from.is_some() || args.to.is_some()).then_some(span);
    let anchors = anchors.collect::<Result<_, Failure>>()?;
    Ok(Demands { anchors, key: key.transpose()?, only, archives: args.archives.clone() })
}

/// A bar that tells how far the work is; hidden where nobody looks.
///
/// # Errors
/// Its template is none.
pub(super) fn bar(context: &Context) -> Result<ProgressBar, Failure> {
    if std::io::stderr().is_terminal() && !context.global.json {
        return Ok(
            ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}")?)
        );
    }
    Ok(ProgressBar::hidden())
}

fn verify(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    if args.alone {
        return audit_keep::verify_alone(context, args);
    }
    let demands = demands(args)?;
    let bar = bar(context)?;
    let mut told = |progress: &Progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} records", progress.records));
    };
    let report = match context.server() {
        None => context.kms()?.verify_audit_with(&demands, &mut told),
        Some(server) => audit_server::verify(server, demands, &mut told)?,
    };
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
    if let Some(seal) = &report.seal {
        explain_seal(seal)?;
    }
    for status in [Status::Archived, Status::Expired] {
        explain_removed(report, status)?;
    }
    let segments = report.segments.iter().filter(|segment| segment.removed.is_none()).count();
    let counts = format!("{} records in {segments} segment{}", report.records, if segments == 1 { "" } else { "s" });
    output::line(&match report.verdict {
        Verdict::Whole => format!("The audit trail is whole: {counts}."),
        Verdict::Tampered => format!("The audit trail was TAMPERED WITH: {counts}; keep a copy and see docs/audit.md."),
        Verdict::Unverified => format!("The audit trail could not be verified in full: {counts}."),
    })
}

/// What was removed, and is known by its hashes alone.
fn explain_removed(report: &Report, status: Status) -> Result<(), Failure> {
    let of = || report.segments.iter().filter(|segment| segment.status == status);
    let (Some(first), Some(last)) = (of().next(), of().next_back()) else { return Ok(()) };
    let count = of().count();
    let records: u64 = of().filter_map(|segment| segment.removed.as_ref()).map(|removed| removed.records).sum();
    let word = if status == Status::Archived { "Archived" } else { "Expired" };
    let which = if count == 1 { first.segment.to_string() } else { format!("{} to {}", first.segment, last.segment) };
    let s = if count == 1 { "" } else { "s" };
    let hint = if status == Status::Archived { "; give the archive with `--archive` to verify them" } else { "" };
    output::line(&format!(
        "{word}: {records} records in {count} segment{s} ({which}) were removed, as the trail records; the tree has their \
         hashes{hint}."
    ))
}

fn explain_seal(seal: &SealReport) -> Result<(), Failure> {
    for finding in &seal.findings {
        output::line(&format!("seal: {finding}"))?;
    }
    if seal.more_findings > 0 {
        output::line(&format!("seal: {} more findings", seal.more_findings))?;
    }
    for anchor in &seal.anchors {
        let when = anchor.time.map(|time| format!(" of {}", output::time(time))).unwrap_or_default();
        output::line(&match anchor.agree {
            0 => format!("Anchor `{}`: no checkpoint in it agrees with the trail.", anchor.name),
            _ => format!("Anchor `{}`: agrees up to the checkpoint over {} records{when}.", anchor.name, anchor.size),
        })?;
    }
    if seal.time.is_some() {
        let when = seal.time.map(output::time).unwrap_or_default();
        output::line(&format!(
            "Sealed: {} of the records, by the checkpoint of {when} (epoch {}); {} are not sealed yet.",
            seal.checked, seal.epoch, seal.unsealed
        ))?;
    }
    Ok(())
}
