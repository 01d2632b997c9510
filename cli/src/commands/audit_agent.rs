//! `kmss audit agent`: the process that sends records on and raises alarms, and how it fares.

use std::process::ExitCode;

use agent::{Agent, AgentHome, AgentStatus, DestinationStatus, Options, Outcome, State, forget};
use libkmss::clock::Timestamp;

use crate::args::{AgentArgs, AgentCommand};
use crate::context::Context;
use crate::output::{self, Failure};

/// What a run that left something undelivered ends with.
const IN_PART: u8 = 4;

/// Runs `kmss audit agent`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, args: &AgentArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        None => match Agent::new(context.config()?)?.run(Options { once: args.once })? {
            Outcome::Done => Ok(ExitCode::SUCCESS),
            Outcome::Undelivered => Ok(ExitCode::from(IN_PART)),
        },
        Some(AgentCommand::Status) => status(context),
        Some(AgentCommand::Forget { name }) => {
            if context.config()?.agent_sections()?.forward.iter().any(|one| one.name == *name) {
                return Err(format!("`{name}` is still configured: remove its `[[audit.forward]]` first").into());
            }
            forget(&AgentHome::of(context.config()?)?, name)?;
            output::line(&format!("Nothing waits for `{name}` any more."))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn status(context: &Context) -> Result<ExitCode, Failure> {
    let status = AgentStatus::read(context.config()?)?;
    if context.global.json {
        output::json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&match (status.running, status.started.0) {
        (true, _) => format!("The agent runs (process {}) since {}.", status.pid, output::time(status.started.0)),
        (false, 0) => "No agent has run on this home.".to_owned(),
        (false, _) => format!("No agent runs; the last one was seen at {}.", output::time(status.written.0)),
    })?;
    let rows = status.destinations.iter().map(|(name, one)| {
        [name.clone(), state(one.state).to_owned(), moment(one.newest_time), bytes(one.lag_bytes), last_error(one)]
    });
    output::table(
        ["DESTINATION", "STATE", "HAS UP TO", "WAITS", "LAST ERROR"],
        rows.collect(),
        "No destinations yet.",
    )?;
    if let Some(error) = &status.last_error {
        output::line(&format!("Of the agent itself: {}", output::plain(error)))?;
    }
    Ok(ExitCode::SUCCESS)
}

const fn state(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Up => "up",
        State::Down => "down",
        State::Abandoned => "abandoned",
    }
}

fn moment(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| output::time(time.0))
}

fn bytes(count: u64) -> String {
    match count {
        0 => "nothing".to_owned(),
        1..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} kB", count / 1000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

fn last_error(one: &DestinationStatus) -> String {
    match (&one.last_error, one.last_failure) {
        (Some(error), Some(at)) => format!("{} {}", output::time(at.0), output::plain(error)),
        _ => String::new(),
    }
}
