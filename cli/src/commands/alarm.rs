//! `kmss alarm`: what the agent was alarmed by.

use libkmss::audit::{Entry, Filter};

use super::audit;
use crate::args::{AlarmCommand, ColorArg, SeverityArg};
use crate::context::Context;
use crate::moment;
use crate::output::{self, Failure};

/// Runs `kmss alarm`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: AlarmCommand) -> Result<(), Failure> {
    let AlarmCommand::List { lines, since, rule, severity } = command;
    let since = since.as_deref().map(moment::parse_past).transpose()?;
    let filter = Filter { kind: Some("alarm".to_owned()), rule, since, ..Filter::default() };
    let mut trail = context.trail(filter, &[])?;
    let bad_enough = |entry: &Entry| severity.is_none_or(|least| of(entry) >= least);
    // Which are bad enough is not for the filter to say.
    let all = if severity.is_some() { trail.all()? } else { trail.last(lines)? };
    let found: Vec<Entry> = all.into_iter().filter(bad_enough).collect();
    if found.is_empty() && !context.global.json {
        return output::line("No alarms.");
    }
    let colors = audit::colors(ColorArg::Auto);
    found
        .iter()
        .skip(found.len().saturating_sub(lines))
        .try_for_each(|entry| audit::show(context, entry, false, colors))
}

fn of(entry: &Entry) -> SeverityArg {
    match entry.record.severity.as_deref() {
        Some("critical") => SeverityArg::Critical,
        Some("high") => SeverityArg::High,
        Some("low") => SeverityArg::Low,
        _ => SeverityArg::Medium,
    }
}
