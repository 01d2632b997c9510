//! `kmss hsm probe`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which module is probed, and what of it.
#[derive(Args, Debug)]
pub(crate) struct HsmProbeArgs {
    /// The PKCS#11 module of the vendor
    pub module: PathBuf,
    /// Number of the slot [default: the only one with a token]
    #[arg(long, value_name = "NUMBER")]
    pub slot: Option<u64>,
    /// Label of the token
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// What to try, separated by commas [default: everything]
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    pub only: Vec<ProbeGroup>,
    /// Show every behaviour, also those that hold
    #[arg(long)]
    pub all: bool,
}

/// A part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeGroup {
    Keys,
    Rsa,
    Curves,
    Symmetric,
    Macs,
    Derivation,
    Wrapping,
    PostQuantum,
    Sm,
    Errors,
    Limits,
    Concurrency,
}
