//! `kmss report`: what keys there are, who used them, what was refused and changed, and what of standards that evidences.
//!
//! docs/report.md describes the fields of the JSON form; [`SCHEMA`] counts changes that a reader must know of.

mod changes;
mod coverage;
mod facts;
mod html;
mod known;
mod ledger;
mod period;
mod rows;
#[cfg(test)]
mod tests;
mod text;
mod trail;
mod weak;

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::audit::seal::SealReport;
use libkmss::audit::{AuditTail, Filter, Verdict};
use libkmss::clock::Timestamp;
use libkmss::kms::Kms;
use serde::Serialize;

use self::changes::Changes;
use self::coverage::Standard;
use self::ledger::{CertificateRow, KeyRow, Ledger, Measure, Token};
use self::period::{DAY, Period, rfc3339, rfc3339_or_null};
use self::rows::Table;
use self::trail::{Day, DayKey, LoginKey, Logins, Records, RefusalKey, Times, Trail, Use, UseKey, WeakKey};
use crate::args::{FailOn, ReportArgs, ReportFormat};
use crate::context::Context;
use crate::output::{self, Failure};

/// Version of the JSON form.
const SCHEMA: u32 = 1;
/// Exit code where the report has something of `--fail-on`.
const FOUND: u8 = 3;

/// A report.
#[derive(Debug, Serialize)]
struct Report {
    /// Version of this form.
    schema: u32,
    /// What made it.
    kmss: &'static str,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    generated: Timestamp,
    /// About which home.
    home: String,
    /// Its cipher suite.
    suite: &'static str,
    /// About which time.
    period: Period,
    /// Days after which a key is due for rotation.
    max_age_days: u64,
    /// What is to be known before reading on.
    statement: &'static str,
    /// What the report does not cover though it should.
    missing: Vec<String>,
    tokens: Vec<Token>,
    keys: Vec<KeyRow>,
    certificates: Vec<CertificateRow>,
    days: Table<DayKey, Day>,
    uses: Table<UseKey, Use>,
    denials: Table<RefusalKey, Times>,
    failures: Table<RefusalKey, Times>,
    logins: Table<LoginKey, Logins>,
    changes: Changes,
    weak_mechanisms: Table<WeakKey, Times>,
    audit: Audit,
    coverage: Vec<Standard>,
}

/// The audit trail itself.
#[derive(Debug, Default, Serialize)]
struct Audit {
    /// `whole`, `tampered` or `unverified`; `null` where nobody verified it.
    verdict: Option<&'static str>,
    /// Segments that were verified.
    segments: usize,
    /// Records in them.
    verified_records: u64,
    /// What was found, in sentences; at most 100.
    findings: Vec<String>,
    /// Its seal; `null` where nothing is sealed, or nobody verified it.
    seal: Option<Seal>,
    /// How many days the trail goes back.
    trail_days: u64,
    #[serde(flatten)]
    records: Records,
}

/// What signed checkpoints say of the trail.
#[derive(Debug, Serialize)]
struct Seal {
    /// Records that agree with the newest checkpoint.
    records: u64,
    /// Records behind it.
    unsealed: u64,
    /// When it was signed.
    #[serde(serialize_with = "rfc3339_or_null")]
    time: Option<Timestamp>,
    /// Places elsewhere that keep checkpoints, as far as configured.
    anchors: usize,
    /// Of these: those with a checkpoint that agrees.
    anchors_agree: usize,
}

impl Seal {
    fn of(seal: &SealReport) -> Option<Self> {
        seal.time.map(|time| Self {
            records: seal.checked,
            unsealed: seal.unsealed,
            time: Some(Timestamp(time)),
            anchors: seal.anchors.len(),
            anchors_agree: seal.anchors.iter().filter(|anchor| anchor.agree > 0).count(),
        })
    }

    /// A sentence for people.
    fn words(&self) -> String {
        format!(
            "Sealed: {} records, by the checkpoint of {} UTC; {} are not sealed yet. {} of {} anchors agree.",
            self.records,
            self.time.map(|time| output::time(time.0)).unwrap_or_default(),
            self.unsealed,
            self.anchors_agree,
            self.anchors
        )
    }
}

/// Runs `kmss report`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, args: &ReportArgs) -> Result<ExitCode, Failure> {
    let kms = context.kms()?;
    let now = kms.now();
    let period = Period::parse(args.since.as_deref(), args.until.as_deref(), now)?;
    let measure = Measure { now, max_age_days: args.max_age };
    let ledger = Ledger::read(context, &kms, &args.tokens, measure)?;
    let mut audit = if args.no_verify { Audit::default() } else { verified(&kms)? };
    let Ledger { tokens, mut keys, certificates, mut missing, known } = ledger;
    let trail = read(context, Trail::new(period, args.tokens.clone(), known))?;
    audit.records = trail.records;
    audit.trail_days = audit.records.first.map_or(0, |first| now.0.saturating_sub(first.0) / DAY);
    for (key, past) in keys.iter_mut().zip(trail.known.into_pasts()) {
        key.past = past;
    }
    keys.sort_by(|a, b| (&a.token, &a.name).cmp(&(&b.token, &b.name)));
    let mut report = Report {
        schema: SCHEMA,
        kmss: env!("CARGO_PKG_VERSION"),
        generated: now,
        home: context.config()?.home.display().to_string(),
        suite: kms.suite().name(),
        period,
        max_age_days: args.max_age,
        statement: coverage::STATEMENT,
        missing: std::mem::take(&mut missing),
        tokens,
        keys,
        certificates,
        days: trail.days.in_order(),
        uses: trail.uses.by(|row| row.operations),
        denials: trail.denials.by(|times| times.count),
        failures: trail.failures.by(|times| times.count),
        logins: trail.logins.in_order(),
        changes: trail.changes.finish(),
        weak_mechanisms: trail.weak.by(|times| times.count),
        audit,
        coverage: Vec::new(),
    };
    report.coverage = coverage::of(&facts::of(&report))?;
    kms.close()?;
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
    let found = args.fail_on.iter().any(|what| report.has(*what));
    Ok(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

impl Report {
    /// Whether there is something of what `--fail-on` names.
    fn has(&self, what: FailOn) -> bool {
        match what {
            FailOn::Weak => !self.weak_mechanisms.rows.is_empty() || self.keys.iter().any(|k| !k.weaknesses.is_empty()),
            FailOn::Denied => !self.denials.rows.is_empty(),
            FailOn::Failed => !self.failures.rows.is_empty(),
            FailOn::WrongPin => self.logins.sum(|login| login.wrong_pin + login.locked) > 0,
            FailOn::Overdue => self.keys.iter().any(|key| key.rotation_due),
            FailOn::Expired => {
                self.keys.iter().any(|key| key.expired) || self.certificates.iter().any(|one| one.expired)
            }
            FailOn::Audit => self.audit.verdict != Some("whole"),
            FailOn::Missing => !self.missing.is_empty(),
        }
    }
}

/// A bar for people, and none for programs.
fn bar() -> Result<ProgressBar, Failure> {
    Ok(if std::io::stderr().is_terminal() {
        ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {eta}")?)
    } else {
        ProgressBar::hidden()
    })
}

fn verified(kms: &Kms) -> Result<Audit, Failure> {
    const MOST: usize = 100;
    let bar = bar()?.with_message("verifying");
    let report = kms.verify_audit(&mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
    });
    bar.finish_and_clear();
    let mut findings = Vec::new();
    for segment in &report.segments {
        let said = segment.findings.iter().map(ToString::to_string).chain(segment.error.clone());
        findings.extend(said.map(|what| format!("segment {}: {what}", segment.segment)));
    }
    findings.extend(report.findings.iter().map(ToString::to_string).chain(report.errors.iter().cloned()));
    findings.extend(report.seal.iter().flat_map(|seal| &seal.findings).map(|finding| format!("seal: {finding}")));
    findings.truncate(MOST);
    Ok(Audit {
        verdict: Some(match report.verdict {
            Verdict::Whole => "whole",
            Verdict::Tampered => "tampered",
            Verdict::Unverified => "unverified",
        }),
        segments: report.segments.len(),
        verified_records: report.records,
        findings,
        seal: report.seal.as_ref().and_then(Seal::of),
        ..Audit::default()
    })
}

fn read(context: &Context, mut trail: Trail) -> Result<Trail, Failure> {
    let tail = AuditTail::new(Kms::audit_directory(context.config()?), Filter::default());
    let bar = bar()?.with_message("reading");
    bar.set_length(tail.size()?);
    tail.visit(&mut |entry| {
        bar.inc(entry.raw.len() as u64 + 1);
        trail.add(&entry.record);
    })?;
    bar.finish_and_clear();
    Ok(trail)
}

/// Writes a file that only its owner reads, where it is new: a report tells what there is to steal.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| format!("cannot write `{}`: {e}", path.display()).into())
}
