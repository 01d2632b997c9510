//! How a report is made: what there is, whether the trail is whole, and what it says.

use std::ops::ControlFlow;

use libkmss::audit::seal::Demands;
use libkmss::audit::{Filter, Verdict};
use libkmss::clock::Timestamp;
use libkmss::error::Result;
use libkmss::kms::Kms;

use super::coverage;
use super::facts;
use super::form::{Audit, Report, SCHEMA, Seal};
use super::ledger::{Ledger, Measure, Opened};
use super::period::{DAY, Period};
use super::trail::Trail;

/// Most findings of a verification that are listed.
const FINDINGS: usize = 100;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Now, by the home's clock.
    pub now: Timestamp,
    /// About which time.
    pub period: Period,
    /// Names of the tokens that it is about; all where there are none.
    pub tokens: Vec<String>,
    /// Days after which a key is due for rotation.
    pub max_age_days: u64,
    /// Whether the audit trail is to be verified.
    pub verify: bool,
    /// What to call the home.
    pub home: String,
    /// Most objects that are looked at, in all tokens together.
    pub most_objects: usize,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Listing what there is: before this object.
    Listing(u64),
    /// Verifying the trail, bytes of how many.
    Verifying(u64, u64),
    /// Reading it, bytes of how many.
    Reading(u64, u64),
}

/// Makes a report about `tokens`. `go_on` hears how far it is, with every object and every record; `None` where it says no.
///
/// # Errors
/// Those of the store and of reading the audit.
pub fn make(
    kms: &Kms,
    order: Order,
    tokens: Vec<Opened>,
    go_on: &mut dyn FnMut(Step) -> bool,
) -> Result<Option<Report>> {
    let Order { now, period, max_age_days, .. } = order;
    let measure = Measure { now, max_age_days };
    let mut objects = 0;
    let listing = &mut || {
        objects += 1;
        go_on(Step::Listing(objects))
    };
    let Some(ledger) = Ledger::read(kms, tokens, measure, order.most_objects, listing)? else { return Ok(None) };
    let audit = if order.verify { verified(kms, go_on) } else { Some(Audit::default()) };
    let Some(mut audit) = audit else { return Ok(None) };
    let Ledger { tokens, mut keys, certificates, missing, known } = ledger;
    let Some(trail) = read(kms, Trail::new(period, order.tokens, known), go_on)? else { return Ok(None) };
    audit.records = trail.records;
    audit.trail_days = audit.records.first.map_or(0, |first| now.0.saturating_sub(first.0) / DAY);
    for (key, past) in keys.iter_mut().zip(trail.known.into_pasts()) {
        key.past = past;
    }
    keys.sort_by(|a, b| (&a.token, &a.name).cmp(&(&b.token, &b.name)));
    let mut report = Report {
        schema: SCHEMA,
        kmss: env!("CARGO_PKG_VERSION").to_owned(),
        generated: now,
        home: order.home,
        suite: kms.suite().name().to_owned(),
        period,
        max_age_days,
        statement: coverage::STATEMENT.to_owned(),
        missing,
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
    Ok(Some(report))
}

fn verified(kms: &Kms, go_on: &mut dyn FnMut(Step) -> bool) -> Option<Audit> {
    let mut wanted = true;
    let report = kms.verify_audit_while(&Demands::default(), &mut |progress| {
        wanted = wanted && go_on(Step::Verifying(progress.bytes, progress.bytes_total));
        wanted
    })?;
    let mut findings = Vec::new();
    for segment in &report.segments {
        let said = segment.findings.iter().map(ToString::to_string).chain(segment.error.clone());
        findings.extend(said.map(|what| format!("segment {}: {what}", segment.segment)));
    }
    findings.extend(report.findings.iter().map(ToString::to_string).chain(report.errors.iter().cloned()));
    findings.extend(report.seal.iter().flat_map(|seal| &seal.findings).map(|finding| format!("seal: {finding}")));
    findings.truncate(FINDINGS);
    let verdict = match report.verdict {
        Verdict::Whole => "whole",
        Verdict::Tampered => "tampered",
        Verdict::Unverified => "unverified",
    };
    Some(Audit {
        verdict: Some(verdict.to_owned()),
        segments: report.segments.len(),
        verified_records: report.records,
        findings,
        seal: report.seal.as_ref().and_then(Seal::of),
        ..Audit::default()
    })
}

fn read(kms: &Kms, mut trail: Trail, go_on: &mut dyn FnMut(Step) -> bool) -> Result<Option<Trail>> {
    let tail = kms.audit_tail(Filter::default());
    let (mut read, size, mut wanted) = (0_u64, tail.size()?, true);
    tail.visit_while(&mut |entry| {
        trail.add(&entry.record);
        // With the line feed.
        read = read.saturating_add(entry.raw.len() as u64 + 1);
        wanted = go_on(Step::Reading(read, size.max(read)));
        if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(wanted.then_some(trail))
}
