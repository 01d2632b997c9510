//! `kmss policy`: what is allowed, to whom, and who says so.

mod apply;
mod ask;
mod content;
mod explain;
mod list;
mod offline;
mod remove;
mod replay;
mod scope;
mod show;
mod sign;
mod trust;

use std::process::ExitCode;

use crate::args::PolicyCommand;
use crate::context::Context;
use crate::output::Failure;

/// Runs `kmss policy`.
///
/// # Errors
/// A sentence for standard error.
pub(super) fn run(context: &Context, command: PolicyCommand) -> Result<ExitCode, Failure> {
    match command {
        PolicyCommand::Sign(args) => sign::run(context, &args)?,
        PolicyCommand::Apply(args) => apply::run(context, &args)?,
        PolicyCommand::List { token } => list::run(context, token.as_deref())?,
        PolicyCommand::Show(args) => show::run(context, &args)?,
        PolicyCommand::Explain(args) => explain::run(context, &args)?,
        PolicyCommand::Check { files } => return offline::check(context, &files),
        PolicyCommand::Fmt(args) => return offline::fmt(&args),
        PolicyCommand::Compile(args) => offline::compile(context, &args)?,
        PolicyCommand::Test(args) => return offline::test(context, &args),
        PolicyCommand::Replay(args) => return replay::run(context, &args),
        PolicyCommand::Remove { name, scope, shadow, yes } => remove::run(context, &name, &scope, shadow, yes)?,
        PolicyCommand::Trust(command) => trust::run(context, &command)?,
    }
    Ok(ExitCode::SUCCESS)
}
