//! What can go wrong in the project's commands, said so that the reader knows what to do next.

use std::path::{Path, PathBuf};

/// The one error of all commands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Ctrl-C, or another signal that asks us to end.
    #[error("interrupted")]
    Interrupted,
    /// The signal handlers could not be installed.
    #[error("cannot watch for signals")]
    Signals(#[source] std::io::Error),
    /// A file operation failed.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: `read`, `write`, `create` …
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program did not start.
    #[error("cannot start `{program}`")]
    Start {
        /// The program's name.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed ({status}){}", indented(output))]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status, as text.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A program did not end in time and was stopped.
    #[error("`{command}` did not end within {seconds} s and was stopped")]
    TooSlow {
        /// The command line.
        command: String,
        /// The limit.
        seconds: u64,
    },
    /// Debian packages are missing and we may not install them.
    #[error(
        "missing Debian packages: {packages}; neither root nor able to use sudo; \
         have them installed with `apt-get install --no-install-recommends {packages}`"
    )]
    Packages {
        /// Names, separated by spaces.
        packages: String,
    },
    /// A check of ours found something else than it should be.
    #[error("{0}")]
    Check(String),
    /// Something in a JSON document is not as expected.
    #[error("cannot read {what} as JSON")]
    Json {
        /// Which document.
        what: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { action, path, source }
    }

    /// An error that only says what a check found.
    pub(crate) fn check(text: impl Into<String>) -> Error {
        Error::Check(text.into())
    }
}

/// The program's own words on lines of their own, or nothing.
fn indented(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let skip = lines.len().saturating_sub(25);
    lines.iter().skip(skip).map(|line| format!("\n  | {line}")).collect()
}
