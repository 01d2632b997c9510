//! One file per noun.

mod agree;
mod alarm;
mod approve;
mod audit;
mod audit_agent;
mod audit_export;
pub(crate) mod audit_keep;
mod audit_seal;
mod audit_server;
mod backup;
mod batch;
mod block;
mod cert;
mod compat;
mod compat_server;
mod config;
mod doctor;
mod domain;
mod encrypt;
mod file;
mod home;
mod hsm;
mod hsm_clone;
mod hsm_probe;
mod import;
mod inspect;
mod jwt;
mod key;
mod key_derive;
mod key_export;
mod key_import;
mod key_life;
mod key_many;
mod key_move;
mod key_name;
mod key_rotate;
mod key_type;
mod migrate;
mod module;
mod policy;
mod probe;
mod quota;
mod report;
mod rule;
mod seal;
mod shell;
mod sign;
mod signature;
mod sm2_signer;
mod store;
mod stream;
mod subject;
mod token;
mod token_key;
mod token_profile;
mod token_user;
mod tokenize;

use std::process::ExitCode;

use crate::args::{BackupCommand, Cli, Command, MigrateCommand, RotateCommand};
use crate::context::Context;
use crate::output::Failure;
use crate::place::{self, Place};

/// Runs a command.
///
/// # Errors
/// A sentence for standard error.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let Cli { global, command } = cli;
    let place = place::place(&command);
    let server = if place == Place::Files { None } else { place::server(&global)? };
    let context = match (place, server) {
        (Place::Either, Some(server)) => Context::against(global, server),
        (Place::Home, Some(_)) => return Err(place::refusal(&global)),
        // What needs neither a home nor a configuration must do without.
        _ => match command {
            Command::Completions { shell } => return shell::completions(shell).map(|()| ExitCode::SUCCESS),
            Command::Man { directory } => return shell::man(&directory).map(|()| ExitCode::SUCCESS),
            Command::Probe { module } => return probe::run(&module).map(|()| ExitCode::SUCCESS),
            Command::Doctor(args) => return doctor::run(global, &args),
            Command::Backup(BackupCommand::Inspect { archive }) => {
                return backup::inspect(global.json, &archive).map(|()| ExitCode::SUCCESS);
            }
            Command::Backup(BackupCommand::Verify(args)) => return backup::verify(global.json, &args),
            Command::Inspect(input) => return inspect::run(&input).map(|()| ExitCode::SUCCESS),
            _ => Context::new(global)?,
        },
    };
    dispatch(&context, command)
}

fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Home(command) => home::run(context, command)?,
        Command::Seal(command) => seal::run(context, command)?,
        Command::Token(command) => token::run(context, command)?,
        Command::Domain(command) => return domain::run(context, command),
        Command::Key(command) => return key::run(context, command),
        Command::Import(command) => import::run(context, command)?,
        Command::Export(args) => import::export(context, &args)?,
        Command::Unwrap(args) => import::unwrap(context, &args)?,
        Command::Derive(args) => agree::derive(context, &args)?,
        Command::Encapsulate(args) => agree::encapsulate(context, &args)?,
        Command::Decapsulate(args) => agree::decapsulate(context, &args)?,
        Command::Rotate(RotateCommand::Due(args)) => return key_rotate::due(context, &args),
        Command::Encrypt(args) => encrypt::encrypt(context, &args)?,
        Command::Decrypt(args) => encrypt::decrypt(context, &args)?,
        Command::Reencrypt(args) => encrypt::reencrypt(context, &args)?,
        Command::Datakey(args) => encrypt::data_key(context, &args)?,
        Command::Sign(args) => sign::sign(context, &args)?,
        Command::Verify(args) => return sign::verify(context, &args),
        Command::Batch(args) => return batch::run(context, &args),
        Command::Jwt(command) => jwt::run(context, command)?,
        Command::Mac(args) => return sign::mac(context, &args),
        Command::Hash(args) => sign::hash(context, &args)?,
        Command::Random(args) => sign::random(context, &args)?,
        Command::File(command) => file::run(context, command)?,
        Command::Cert(command) => return cert::run(context, command),
        Command::Policy(command) => return policy::run(context, command),
        Command::Approve(args) => approve::run(context, &args)?,
        Command::Block(command) => block::run(context, command)?,
        Command::Quota(command) => quota::run(context, command)?,
        Command::Rule(command) => rule::run(context, command)?,
        Command::Audit(command) => return audit::run(context, command),
        Command::Alarm(command) => alarm::run(context, command)?,
        Command::Report(args) => return report::run(context, &args),
        Command::Backup(command) => return backup::run(context, command),
        Command::Restore(args) => return backup::restore(context, &args),
        Command::Store(command) => return store::run(context, command),
        Command::Hsm(command) => return hsm::run(context, command),
        Command::Migrate(MigrateCommand::Softhsm(args)) => return migrate::run(context, &args),
        Command::Config(args) => config::run(context, &args)?,
        Command::Compat(command) => compat::run(context, command)?,
        Command::Tokenize(args) => tokenize::tokenize(context, &args)?,
        Command::Detokenize(args) => tokenize::detokenize(context, &args)?,
        // Done before there is a context.
        Command::Completions { .. }
        | Command::Man { .. }
        | Command::Probe { .. }
        | Command::Doctor(_)
        | Command::Inspect(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}
