//! What can go wrong in the agent.

use std::io;
use std::path::PathBuf;

/// The agent cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The home, its store or its audit.
    #[error(transparent)]
    Kms(#[from] libkmss::error::Error),
    /// There is no home yet.
    #[error("there is no home at `{0}`; make a token with `kmss token init LABEL`")]
    NoHome(PathBuf),
    /// Another agent runs on this home.
    #[error("an agent runs on this home already: stop it first")]
    Running,
    /// The configuration belongs to somebody who has no say in this process.
    #[error(
        "the configuration belongs to user {0}, who could have this process run programs and read files: run the agent as that \
         user, or give the file to root"
    )]
    ForeignConfig(u32),
    /// An alarm names a destination that does not exist, or does not take alarms.
    #[error("alarm `{alarm}` notifies `{destination}`, and no `[[audit.forward]]` has that name")]
    UnknownDestination {
        /// The alarm.
        alarm: String,
        /// What it names.
        destination: String,
    },
    /// A destination cannot be used as it is configured.
    #[error("destination `{name}` cannot be used")]
    Destination {
        /// Its name.
        name: String,
        /// Why.
        source: ForwardError,
    },
    /// There is no such destination.
    #[error("no destination `{0}` has a cursor here; `kmss audit agent status` lists them")]
    NoDestination(String),
    /// A file of the agent.
    #[error("cannot {what} `{path}`", path = path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// A batch could not be delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The connection.
    #[error("cannot {what} {place}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// The other side ended the connection.
    #[error("{0} ended the connection")]
    Ended(String),
    /// TLS.
    #[error("TLS with {place} failed")]
    Tls {
        /// Where.
        place: String,
        /// Why.
        source: rustls::Error,
    },
    /// HTTP.
    #[error("the request to {place} failed")]
    Http {
        /// Where.
        place: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The receiver answered that it does not take the batch.
    #[error("{place} answered with status {status}")]
    Status {
        /// Where.
        place: String,
        /// The status of HTTP.
        status: u16,
        /// Seconds that it asks us to wait.
        retry_after: Option<u64>,
    },
    /// A program failed.
    #[error("`{program}` {how}")]
    Program {
        /// The program.
        program: String,
        /// How it ended.
        how: String,
    },
    /// A file of the configuration.
    #[error("`{path}` {what}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl ForwardError {
    pub(crate) fn io(what: &'static str, place: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, place: place.to_owned(), source }
    }
}

/// An error with its causes in one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = source.source();
    }
    line
}
