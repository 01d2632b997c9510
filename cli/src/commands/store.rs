//! `kmss store check`: is everything there, genuine, and as new as the audit says?

use std::io::IsTerminal as _;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::auth::Credential;
use libkmss::error::ErrorKind;
use libkmss::kms::StoreReport;
use serde_json::json;

use crate::args::StoreCommand;
use crate::context::{self, Context, find_token};
use crate::output::{self, Failure};

/// Exit code for a home that is damaged or was tampered with.
const DAMAGED: u8 = 3;

/// Runs `kmss store`.
///
/// # Errors
/// The home cannot be checked.
pub(super) fn run(context: &Context, command: StoreCommand) -> Result<ExitCode, Failure> {
    let StoreCommand::Check { tokens } = command;
    let kms = match context::open(context.config()?) {
        Ok(Some(kms)) => kms,
        Ok(None) => return Err(format!("there is no home at `{}`", context.config()?.home.display()).into()),
        // The database does not even open: that is an answer, too.
        Err(error) if error.kind() == ErrorKind::Damaged => return unreadable(context, &error),
        Err(error) => return Err(error.into()),
    };
    let mut callers = Vec::new();
    for token in &tokens {
        let namespace = find_token(&kms, token)?;
        let pin = context.user_pin(token)?;
        callers.push(kms.login(&kms.enter(&namespace, 0)?, &Credential::UserPin { name: "user", pin: &pin })?);
    }
    let bar = if std::io::stderr().is_terminal() && !context.global.json {
        ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}: {pos} records")?)
    } else {
        ProgressBar::hidden()
    };
    let report = kms.check_store(&callers, &mut |what, read| {
        bar.set_message(what.to_owned());
        bar.set_position(read);
    });
    bar.finish_and_clear();
    let report = match report {
        Ok(report) => report,
        Err(error) if error.kind() == ErrorKind::Damaged => return unreadable(context, &error),
        Err(error) => return Err(error.into()),
    };
    kms.close()?;
    if context.global.json {
        output::json(&report)?;
    } else {
        explain(&report)?;
    }
    Ok(match (report.findings.is_empty(), report.errors.is_empty()) {
        (false, _) => ExitCode::from(DAMAGED),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    })
}

fn unreadable(context: &Context, error: &libkmss::error::Error) -> Result<ExitCode, Failure> {
    if context.global.json {
        output::json(&json!({ "findings": [{ "what": error.to_string() }] }))?;
    } else {
        output::error(error);
    }
    Ok(ExitCode::from(DAMAGED))
}

fn explain(report: &StoreReport) -> Result<(), Failure> {
    for finding in &report.findings {
        let mut place = finding.namespace.as_deref().map(output::plain).unwrap_or_default();
        if let Some(object) = &finding.object {
            place.push_str(&format!(" object {object}"));
        }
        let place = if place.is_empty() { String::new() } else { format!("{}: ", place.trim()) };
        output::line(&format!("{place}{}", output::plain(&finding.what)))?;
    }
    for error in &report.errors {
        output::line(&format!("not checked: {}", output::plain(error)))?;
    }
    let row = |n: &libkmss::kms::NamespaceReport| {
        let closed = n.objects.saturating_sub(n.opened);
        [output::plain(&n.name), n.objects.to_string(), n.opened.to_string(), closed.to_string(), n.entries.to_string()]
    };
    output::table(
        ["TOKEN", "OBJECTS", "OPENED", "PRIVATE, NOT OPENED", "INDEX ENTRIES"],
        report.namespaces.iter().map(row).collect(),
        "There are no tokens.",
    )?;
    if report.namespaces.iter().any(|n| n.opened < n.objects) {
        output::line("Name a token with --token LABEL to open what is private in it, too.")?;
    }
    if report.in_use {
        output::line("Other processes changed the home meanwhile; check again while it rests to be sure.")?;
    }
    let records = report.audit_records;
    output::line(&match (report.findings.len(), report.errors.is_empty()) {
        (0, true) => format!("The store is whole and agrees with {records} audit records."),
        (0, false) => "The store could not be checked in full.".to_owned(),
        (1, _) => "ONE THING IS WRONG; keep a copy of the home and see docs/security.md.".to_owned(),
        (n, _) => format!("{n} THINGS ARE WRONG; keep a copy of the home and see docs/security.md."),
    })
}
