//! Keys by their names, and what is done to them.

use clap::{Args, ValueEnum};
use libkmss::mechanism::HdPath;

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
    /// Name of the key, of which all versions move; or of one version (`NAME@N`), which moves alone
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

/// `kmss key derive`
#[derive(Debug, Args)]
pub(crate) struct DeriveArgs {
    /// Name of the seed, which `key generate --type hd-seed` made
    pub seed: String,
    /// Name and label of the new pair
    pub name: String,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// The path, as in m/44'/60'/0'/0/0 (h is as good as ')
    #[arg(long, value_name = "PATH")]
    pub path: HdPath,
    /// The curve: secp256k1 (BIP-32), p256 or ed25519 (SLIP-10; all steps hardened)
    #[arg(long, value_enum, default_value_t = HdCurve::Secp256k1)]
    pub curve: HdCurve,
    /// CKA_ID in hex [default: 8 random bytes]
    #[arg(long, value_name = "HEX")]
    pub id: Option<String>,
}

/// Curves on which keys follow from a seed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HdCurve {
    /// BIP-32
    Secp256k1,
    /// SLIP-10
    P256,
    /// SLIP-10, hardened throughout
    Ed25519,
}
