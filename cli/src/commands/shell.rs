//! Completions and man pages.

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::Cli;
use crate::output::{self, Failure};

/// Prints completions for `shell`.
///
/// # Errors
/// As [`output::bytes`].
pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Into memory first: clap panics where a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kmss", &mut script);
    output::bytes(&script)
}

/// Writes a man page per command into `directory`.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn man(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)?;
    output::line(&format!("Wrote man pages to `{}`.", directory.display()))
}
