//! `kmss policy replay`: whose decisions of the past a candidate would change.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use libkmss::clock::Timestamp;
use libkmss::kms::past::{Change, Replayed};
use serde_json::json;

use super::content;
use crate::args::ReplayArgs;
use crate::context::Context;
use crate::moment;
use crate::output::{self, Failure};
use crate::site::Offer;

/// Changes.
const CHANGED: u8 = 3;
/// No change is known of, but not everything could be decided.
const IN_PART: u8 = 4;

/// Runs `kmss policy replay`.
///
/// # Errors
/// The policy or the audit cannot be read.
pub(super) fn run(context: &Context, args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let time = |text: &Option<String>, or| text.as_deref().map_or(Ok(Timestamp(or)), moment::parse);
    let within = (time(&args.since, 0)?, time(&args.until, u64::MAX)?);
    let (title, content) = (args.policy.display().to_string(), content::read(&args.policy)?);
    let bar = if std::io::stderr().is_terminal() && !context.global.json {
        ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}")?)
    } else {
        ProgressBar::hidden()
    };
    let candidate = Offer { title: &title, content: &content };
    let replay = context.past()?.replay(candidate, args.token.as_deref(), within, &mut |read, size| {
        bar.set_length(size);
        bar.set_position(read);
    })?;
    bar.finish_and_clear();
    if context.global.json {
        report(&replay)?
    } else {
        tell(&replay)?
    }
    Ok(match (replay.changed, replay.undecided + replay.unreadable) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(IN_PART),
        _ => ExitCode::from(CHANGED),
    })
}

fn report(replay: &Replayed) -> Result<(), Failure> {
    output::json(&json!({
        "asked": replay.asked,
        "same": replay.same,
        "changed": replay.changed,
        "undecided": replay.undecided,
        "undecided_by": replay.lacking,
        "undecided_example": replay.undecided_example,
        "unreadable": replay.unreadable,
        "duties_not_tried": replay.duties,
        "changes": replay.changes,
        "changes_not_listed": replay.more,
    }))
}

fn tell(replay: &Replayed) -> Result<(), Failure> {
    let plain = output::plain;
    let row = |change: &Change| {
        [
            change.count.to_string(),
            plain(&format!("{} -> {}", change.then, change.now)),
            plain(&change.principal),
            plain(&change.action),
            plain(&change.key),
            plain(&format!("{}/{}", change.tenant, change.namespace)),
            change.rule.as_deref().map_or_else(|| plain(&change.reason), plain),
            plain(&change.example),
        ]
    };
    let rows: Vec<_> = replay.changes.iter().map(row).collect();
    if !rows.is_empty() {
        output::table(["COUNT", "DECISION", "WHO", "ACTION", "KEY", "TOKEN", "RULE", "FOR EXAMPLE"], rows, "")?;
        output::line("")?;
    }
    if replay.more > 0 {
        output::line(&format!("{} more changes are not listed.", replay.more))?;
    }
    let (asked, same) = (replay.asked, replay.same);
    output::line(&format!("{} of {asked} decisions would change; {same} would not.", replay.changed))?;
    if replay.undecided > 0 {
        let by: Vec<String> =
            replay.lacking.iter().map(|(field, count)| format!("{} ({count})", plain(field))).collect();
        let example = replay.undecided_example.as_deref().map(plain).unwrap_or_default();
        output::line(&format!(
            "{} could not be decided, because their records do not say: {}; for example {example}.",
            replay.undecided,
            by.join(", ")
        ))?;
    }
    if replay.unreadable > 0 {
        output::line(&format!("{} records were left out: too much of them was cut off.", replay.unreadable))?;
    }
    if !replay.duties.is_empty() {
        let by: Vec<String> = replay.duties.iter().map(|(duty, count)| format!("{} ({count})", plain(duty))).collect();
        output::line(&format!("Allowed with duties that were not tried: {}.", by.join(", ")))?;
    }
    Ok(())
}
