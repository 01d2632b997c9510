//! Keys by their names, and what is done to them.

use clap::{Args, ValueEnum};

use super::TokenArg;

/// A key by its name.
#[derive(Args, Clone, Debug)]
pub(crate) struct NamedKey {
    /// Name of the key
    pub name: String,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
}

/// `kmss key move`
#[derive(Args, Debug)]
pub(crate) struct MoveArgs {
    /// Name of the key
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub name: Option<String>,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// Where to: `soft`, or the name of an HSM of the configuration
    #[arg(long, value_name = "BACKEND")]
    pub to: String,
    /// Every key of the token
    #[arg(long)]
    pub all: bool,
    /// Give up what the key left in HSMs that are not in the configuration any more: nothing destroys it there
    #[arg(long)]
    pub forget: bool,
    /// Say what would be moved, and what not and why
    #[arg(long)]
    pub dry_run: bool,
}

/// How records of a key's uses are kept.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AuditModeArg {
    /// In the kernel before the result is released: they survive the death of the process
    Normal,
    /// On the disk before the result is released: they survive a power failure
    Sync,
}
