//! HSMs.

use clap::{Args, Subcommand};

use super::{HsmProbeArgs, TokenArg};

/// `kmss hsm …`
#[derive(Debug, Subcommand)]
pub(crate) enum HsmCommand {
    /// List the HSMs of the configuration, their tokens, and whether they can be used now
    List,
    /// List the keys that an HSM holds, and which of them a token has already
    Keys {
        /// The name of the HSM, or of the group, in the configuration
        hsm: String,
        /// The token
        #[command(flatten)]
        token: TokenArg,
    },
    /// Say which keys of a token lack a replica in a group of HSMs, and bring them there
    Clone(CloneArgs),
    /// Bring keys that an HSM holds already under names, policies and audit; the HSM itself is not changed
    Adopt(AdoptArgs),
    /// Try a vendor's module with throw-away keys: what it offers, what it breaks, and which quirks to configure
    Probe(HsmProbeArgs),
}

/// `kmss hsm adopt`
#[derive(Args, Debug)]
pub(crate) struct AdoptArgs {
    /// The name of the HSM, or of the group, in the configuration
    pub hsm: String,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// Those with this CKA_ID, in hex
    #[arg(long, value_name = "HEX", conflicts_with = "all")]
    pub id: Option<String>,
    /// Those with this label
    #[arg(long, conflicts_with = "all")]
    pub label: Option<String>,
    /// All that can be adopted
    #[arg(long, required_unless_present_any = ["id", "label"])]
    pub all: bool,
    /// The name they get, both halves of a pair the same [default: their label]
    #[arg(long, conflicts_with = "all")]
    pub name: Option<String>,
    /// Say what would be adopted
    #[arg(long)]
    pub dry_run: bool,
}

/// `kmss hsm clone`
#[derive(Args, Debug)]
pub(crate) struct CloneArgs {
    /// The group's name in the configuration
    pub group: String,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// Say what is lacking where, and bring nothing
    #[arg(long)]
    pub dry_run: bool,
}
