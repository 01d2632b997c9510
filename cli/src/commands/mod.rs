//! One file per noun.

mod alarm;
mod approve;
mod audit;
mod audit_agent;
mod audit_export;
pub(crate) mod audit_keep;
mod audit_seal;
mod block;
mod cert;
mod config;
mod doctor;
mod domain;
mod home;
mod hsm;
mod hsm_clone;
mod hsm_probe;
mod key;
mod key_export;
mod key_import;
mod key_move;
mod key_name;
mod key_type;
mod migrate;
mod module;
mod policy;
mod probe;
mod quota;
mod report;
mod seal;
mod shell;
mod sm2_signer;
mod store;
mod subject;
mod token;
mod token_key;
mod token_profile;
mod token_user;

use std::process::ExitCode;

use crate::args::{Cli, Command, MigrateCommand};
use crate::context::Context;
use crate::output::Failure;

/// Runs a command.
///
/// # Errors
/// A sentence for standard error.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Completions { shell } => shell::completions(shell)?,
        Command::Man { directory } => shell::man(&directory)?,
        Command::Doctor(args) => return doctor::run(cli.global, &args),
        Command::Home(command) => home::run(&Context::new(cli.global)?, command)?,
        Command::Seal(command) => seal::run(&Context::new(cli.global)?, command)?,
        Command::Token(command) => token::run(&Context::new(cli.global)?, command)?,
        Command::Domain(command) => return domain::run(&Context::new(cli.global)?, command),
        Command::Key(command) => return key::run(&Context::new(cli.global)?, command),
        Command::Cert(command) => cert::run(&Context::new(cli.global)?, command)?,
        Command::Policy(command) => return policy::run(&Context::new(cli.global)?, command),
        Command::Approve(args) => approve::run(&Context::new(cli.global)?, &args)?,
        Command::Block(command) => block::run(&Context::new(cli.global)?, command)?,
        Command::Quota(command) => quota::run(&Context::new(cli.global)?, command)?,
        Command::Audit(command) => return audit::run(&Context::new(cli.global)?, command),
        Command::Alarm(command) => alarm::run(&Context::new(cli.global)?, command)?,
        Command::Report(args) => return report::run(&Context::new(cli.global)?, &args),
        Command::Store(command) => return store::run(&Context::new(cli.global)?, command),
        Command::Hsm(command) => return hsm::run(&Context::new(cli.global)?, command),
        Command::Migrate(MigrateCommand::Softhsm(args)) => return migrate::run(&Context::new(cli.global)?, &args),
        Command::Probe { module } => probe::run(&module)?,
        Command::Config(args) => config::run(&Context::new(cli.global)?, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}
