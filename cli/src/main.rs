//! `kmss`: the command for operators.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 tampered with or damaged (`audit verify`, `store check`), 4 done in part
//! (`migrate`, `audit agent --once`, `audit archive`, `audit prune`), 141 nobody reads the output any more (as of a program that SIGPIPE ends).

mod args;
mod commands;
mod context;
mod material;
mod moment;
mod objects;
mod output;
mod pin;
mod place;
mod site;
mod trail;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    commands::audit_keep::enable();
    let cli = args::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) if error.is::<output::Unread>() => ExitCode::from(output::Unread::CODE),
        Err(error) => {
            output::error(error.as_ref());
            ExitCode::FAILURE
        }
    }
}
