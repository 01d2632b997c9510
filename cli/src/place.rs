//! Which commands work against a server, which on the home alone, and which need neither.
//!
//! Every command is named here, without a wildcard: one that is added has to say where it works before it compiles.
//! docs/command.md has the same as a table.

use std::path::PathBuf;
use std::time::Duration;

use remote::client::{Access, Client};

use crate::args::{
    AlarmCommand, AuditCommand, BackupCommand, BlockCommand, CertCommand, Command, DomainCommand, ExplainArgs,
    FileCommand, Global, KeyCommand, LifeCommand, PolicyCommand, QuotaCommand, RotateCommand, RuleCommand, SealCommand,
    ServerArgs, ShowArgs, SignArgs, TokenCommand, TrustCommand, VerifyArgs,
};
use crate::output::Failure;

/// How long the server may take for a call, in seconds.
const PATIENCE: u16 = 60;

/// Where a command works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a home or against a server.
    Either,
    /// On the home itself, on the host where it is.
    Home,
    /// On files alone, or on nothing.
    Files,
}

/// The server that the command line or the environment names. `--home` outranks the environment.
///
/// # Errors
/// An address cannot be read, or something is said of a server and none is named.
pub(crate) fn server(global: &Global) -> Result<Option<Client>, Failure> {
    let ServerArgs { server, server_ca, server_cert, server_key, server_timeout } = &global.server;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let uris = match (server.as_slice(), &global.home) {
        ([], Some(_)) => Vec::new(),
        ([], None) => {
            variable("KMSS_SERVER").map(|uris| uris.split(',').map(str::to_owned).collect()).unwrap_or_default()
        }
        (named, _) => named.to_vec(),
    };
    if uris.is_empty() {
        return match (server_ca, server_cert, server_key) {
            (None, None, None) => Ok(None),
            _ => Err("--server-ca, --server-cert and --server-key go with --server".into()),
        };
    }
    let file = |given: &Option<PathBuf>, name: &str| given.clone().or_else(|| variable(name).map(PathBuf::from));
    let access = Access {
        uris,
        ca: file(server_ca, "KMSS_SERVER_CA"),
        certificate: file(server_cert, "KMSS_SERVER_CERT"),
        key: file(server_key, "KMSS_SERVER_KEY"),
        patience: Duration::from_secs(server_timeout.unwrap_or(PATIENCE).into()),
    };
    Ok(Some(Client::new(&access)?))
}

/// What to say of a command that works on the home itself.
pub(crate) fn refusal(global: &Global) -> Failure {
    let why = "this works on the home itself: run it on the server's host, without --server";
    match global.server.server.is_empty() {
        true => format!("{why} (KMSS_SERVER names a server; --home DIR outranks it)").into(),
        false => why.into(),
    }
}

/// Where `command` works.
pub(crate) const fn place(command: &Command) -> Place {
    match command {
        Command::Key(command) => key(command),
        Command::Rotate(RotateCommand::Due(_)) => Place::Either,
        Command::Cert(command) => cert(command),
        Command::Token(command) => token(command),
        Command::Policy(command) => policy(command),
        Command::Block(command) => block(command),
        Command::Quota(command) => quota(command),
        Command::Rule(RuleCommand::Set(_) | RuleCommand::List { .. } | RuleCommand::Remove(_)) => Place::Either,
        Command::Audit(command) => audit(command),
        Command::Backup(BackupCommand::Inspect { .. } | BackupCommand::Verify(_)) => Place::Files,
        Command::Backup(BackupCommand::Create(_) | BackupCommand::Epoch { .. } | BackupCommand::Retire { .. })
        | Command::Restore(_) => Place::Home,
        Command::Domain(command) => domain(command),
        Command::Seal(command) => seal(command),
        Command::Encrypt(_)
        | Command::Decrypt(_)
        | Command::Reencrypt(_)
        | Command::Datakey(_)
        | Command::Sign(_)
        | Command::Verify(_)
        | Command::Jwt(_)
        | Command::Mac(_)
        | Command::Random(_)
        | Command::File(FileCommand::Seal(_) | FileCommand::Open(_))
        | Command::Alarm(AlarmCommand::List { .. })
        | Command::Approve(_)
        | Command::Batch(_)
        | Command::Compat(_)
        | Command::Detokenize(_)
        | Command::Export(_)
        | Command::Import(_)
        | Command::Unwrap(_)
        | Command::Derive(_)
        | Command::Encapsulate(_)
        | Command::Decapsulate(_)
        | Command::Report(_)
        | Command::Tokenize(_) => Place::Either,
        Command::Hash(_)
        | Command::Home(_)
        | Command::Store(_)
        | Command::Hsm(_)
        | Command::Migrate(_)
        | Command::Config(_)
        | Command::Doctor(_) => Place::Home,
        Command::Inspect(_) | Command::Probe { .. } | Command::Completions { .. } | Command::Man { .. } => Place::Files,
    }
}

const fn key(command: &KeyCommand) -> Place {
    match command {
        KeyCommand::Generate { .. }
        | KeyCommand::Derive(_)
        | KeyCommand::List { .. }
        | KeyCommand::Import(_)
        | KeyCommand::ExportPublic { .. }
        | KeyCommand::Show(_)
        | KeyCommand::Label { .. }
        | KeyCommand::Rename { .. }
        | KeyCommand::Tag { .. }
        | KeyCommand::Audit { .. }
        | KeyCommand::Disable(_)
        | KeyCommand::Enable(_)
        | KeyCommand::Destroy { .. } => Place::Either,
        KeyCommand::Life(command) => life(command),
        KeyCommand::Move(_) => Place::Home,
    }
}

const fn life(command: &LifeCommand) -> Place {
    match command {
        LifeCommand::Suspend(_)
        | LifeCommand::Archive(_)
        | LifeCommand::Revoke(_)
        | LifeCommand::Schedule(_)
        | LifeCommand::Delete(_)
        | LifeCommand::Restore(_)
        | LifeCommand::Purge(_)
        | LifeCommand::Tombstones { .. }
        | LifeCommand::ReleaseName(_)
        | LifeCommand::Rotate(_)
        | LifeCommand::Activate(_)
        | LifeCommand::Versions(_)
        | LifeCommand::Rotation(_)
        | LifeCommand::Describe(_)
        | LifeCommand::Alias(_)
        | LifeCommand::Grant(_) => Place::Either,
    }
}

const fn cert(command: &CertCommand) -> Place {
    match command {
        CertCommand::Request { .. }
        | CertCommand::SelfSign { .. }
        | CertCommand::Import { .. }
        | CertCommand::List { .. }
        | CertCommand::Export(_) => Place::Either,
    }
}

const fn token(command: &TokenCommand) -> Place {
    match command {
        TokenCommand::Init { .. }
        | TokenCommand::List
        | TokenCommand::Show { .. }
        | TokenCommand::Delete { .. }
        | TokenCommand::SetPin { .. }
        | TokenCommand::Unlock { .. }
        | TokenCommand::User(_)
        | TokenCommand::Profile { .. }
        | TokenCommand::Backend { .. } => Place::Either,
    }
}

const fn policy(command: &PolicyCommand) -> Place {
    match command {
        PolicyCommand::Check { .. }
        | PolicyCommand::Fmt(_)
        | PolicyCommand::Compile(_)
        | PolicyCommand::Test(_)
        | PolicyCommand::Show(ShowArgs { file: Some(_), .. }) => Place::Files,
        PolicyCommand::Sign(args) => sign(args),
        PolicyCommand::Explain(args) => explain(args),
        PolicyCommand::Show(_)
        | PolicyCommand::Apply(_)
        | PolicyCommand::Replay(_)
        | PolicyCommand::List { .. }
        | PolicyCommand::Remove { .. } => Place::Either,
        PolicyCommand::Trust(command) => match command {
            TrustCommand::Add { .. } | TrustCommand::List | TrustCommand::Remove { .. } => Place::Either,
        },
    }
}

const fn sign(args: &SignArgs) -> Place {
    if args.with_token.is_some() { Place::Either } else { Place::Files }
}

const fn explain(args: &ExplainArgs) -> Place {
    if args.policy.is_some() && args.request.principal.is_some() { Place::Files } else { Place::Either }
}

const fn block(command: &BlockCommand) -> Place {
    match command {
        BlockCommand::Add(_) | BlockCommand::List { .. } | BlockCommand::Show { .. } | BlockCommand::Release { .. } => {
            Place::Either
        }
    }
}

const fn quota(command: &QuotaCommand) -> Place {
    match command {
        QuotaCommand::Set(_)
        | QuotaCommand::List { .. }
        | QuotaCommand::Show(_)
        | QuotaCommand::Usage
        | QuotaCommand::Remove(_) => Place::Either,
    }
}

const fn audit(command: &AuditCommand) -> Place {
    match command {
        AuditCommand::Verify(VerifyArgs { alone: true, .. }) => Place::Files,
        AuditCommand::Tail(_)
        | AuditCommand::Export(_)
        | AuditCommand::Verify(_)
        | AuditCommand::Prove(_)
        | AuditCommand::Key { .. }
        | AuditCommand::Checkpoint => Place::Either,
        AuditCommand::Agent(_)
        | AuditCommand::Seal(_)
        | AuditCommand::Anchor
        | AuditCommand::Compress(_)
        | AuditCommand::Archive(_)
        | AuditCommand::Prune(_) => Place::Home,
    }
}

const fn domain(command: &DomainCommand) -> Place {
    match command {
        DomainCommand::List(_) | DomainCommand::Rotate { .. } | DomainCommand::Rewrap(_) => Place::Either,
    }
}

const fn seal(command: &SealCommand) -> Place {
    match command {
        SealCommand::Status => Place::Either,
        SealCommand::Migrate { .. } => Place::Home,
    }
}
