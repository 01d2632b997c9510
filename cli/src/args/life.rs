//! `kmss key …`, the part about the life of keys.

use clap::{Args, Subcommand, ValueEnum};
use libkmss::key::RevocationReason;

use super::{NamedKey, TokenArg};

/// What changes in a key's life.
#[derive(Debug, Subcommand)]
pub(crate) enum LifeCommand {
    /// Put a key on hold: it does nothing at all until it is enabled (by the SO)
    Suspend(NamedKey),
    /// Disable a key for good: it is kept for what it protected (by the SO)
    Archive(NamedKey),
    /// Revoke a key: a compromised one never protects anything again (by the SO)
    Revoke(RevokeArgs),
    /// Say when a key becomes active and when it is disabled by itself (by the SO)
    Schedule(ScheduleArgs),
    /// Destroy a key after 7 to 30 days, in which it does nothing and that can be called off (by the SO)
    Delete(DeleteArgs),
    /// Call the destruction of a key off: it is again what it was before (by the SO)
    Restore(NamedKey),
    /// Destroy the keys that are due; for a timer, where no kmssd does it
    Purge(PurgeArgs),
    /// List keys that are gone: who destroyed them, when and why
    Tombstones {
        /// The token
        #[command(flatten)]
        token: TokenArg,
    },
    /// Let the name of a destroyed key be used again (by the SO)
    ReleaseName(NamedKey),
    /// Make a new version of a key, which takes its name; the former one, NAME@1, goes on decrypting and verifying
    Rotate(RotateArgs),
    /// Let the version that was made ahead take the name
    Activate(NamedKey),
    /// List the versions of a key
    Versions(NamedKey),
    /// Say how often a key is rotated by itself (by the SO)
    Rotation(RotationArgs),
    /// Say whose a key is and what it is for (by the SO)
    Describe(DescribeArgs),
    /// Let another service than its own use a key, or do so no more (by the SO or the service's owner)
    Grant(GrantArgs),
    /// Let a key have another name beside its own, or take that away; one that a key has goes over at once
    Alias(AliasArgs),
}

/// `kmss key describe`
#[derive(Args, Debug)]
pub(crate) struct DescribeArgs {
    /// The key
    #[command(flatten)]
    pub key: NamedKey,
    /// Whose it is; empty for nobody's
    #[arg(long, value_name = "TEXT")]
    pub owner: Option<String>,
    /// The one thing that it does from now on: sign, encrypt, wrap, derive, encapsulate, or any
    #[arg(long, value_name = "PURPOSE")]
    pub purpose: Option<String>,
    /// A sentence about it; empty for none
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The service that it belongs to (`service:NAME` or NAME), which alone uses it from now on; empty for none
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
}

/// `kmss key grant`
#[derive(Args, Debug)]
pub(crate) struct GrantArgs {
    /// The key
    #[command(flatten)]
    pub key: NamedKey,
    /// The other service: `service:NAME` or NAME
    #[arg(long, value_name = "SERVICE")]
    pub service: String,
    /// It may use it no more
    #[arg(long)]
    pub remove: bool,
    /// As whoever owns the key's service, and not by the SO's PIN
    #[arg(long)]
    pub as_owner: bool,
}

/// `kmss key alias`
#[derive(Args, Debug)]
pub(crate) struct AliasArgs {
    /// The alias
    pub alias: String,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// The key that has it from now on
    #[arg(long, value_name = "NAME", required_unless_present = "remove", conflicts_with = "remove")]
    pub to: Option<String>,
    /// No key has it any more
    #[arg(long)]
    pub remove: bool,
}

/// `kmss rotate …`
#[derive(Debug, Subcommand)]
pub(crate) enum RotateCommand {
    /// Rotate the keys that are due; for a timer, where no kmssd does it
    Due(PurgeArgs),
}

/// `kmss key rotate`
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// The key
    #[command(flatten)]
    pub key: NamedKey,
    /// Only make the new version: it takes the name when its certificate is there, or by `key activate`
    #[arg(long)]
    pub ahead: bool,
    /// With --ahead, and take the name from this moment on: YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ
    #[arg(long, value_name = "TIME", requires = "ahead")]
    pub at: Option<String>,
}

/// `kmss key rotation`
#[derive(Args, Debug)]
pub(crate) struct RotationArgs {
    /// The key
    #[command(flatten)]
    pub key: NamedKey,
    /// So many days after a version took the name: `90d`; or `never`, which ends every rule
    #[arg(long, value_name = "DAYS", required_unless_present_any = ["uses", "bytes"])]
    pub every: Option<String>,
    /// After so many uses that protect something: sign, encrypt, wrap, derive, encapsulate, tokenize
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub uses: Option<u64>,
    /// After so many bytes of data in such uses: a number, or one with K, M, G or T behind it (powers of 1024)
    #[arg(long, value_name = "SIZE")]
    pub bytes: Option<String>,
    /// Uses and bytes are bounds: the key is due at nine tenths, and what goes beyond all is refused until it is rotated
    #[arg(long)]
    pub strict: bool,
}

/// `kmss key revoke`
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The key
    #[command(flatten)]
    pub key: NamedKey,
    /// Why, in the words of RFC 5280
    #[arg(long, value_enum, default_value_t = ReasonArg::Unspecified)]
    pub reason: ReasonArg,
    /// A sentence that is kept with it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

/// Why a key is revoked.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ReasonArg {
    /// Nothing is said: it is disabled, for good
    Unspecified,
    /// It is known or feared to be in other hands
    KeyCompromise,
    /// The authority that speaks for it is
    CaCompromise,
    /// Whom it belongs to has another name or place
    AffiliationChanged,
    /// Another key took its place
    Superseded,
    /// It is not needed any more
    CessationOfOperation,
    /// For the time being: it is suspended
    CertificateHold,
    /// Whom it belongs to may not use it any more
    PrivilegeWithdrawn,
    /// The authority for attributes is known or feared to be in other hands
    AaCompromise,
}

impl From<ReasonArg> for RevocationReason {
    fn from(reason: ReasonArg) -> Self {
        match reason {
            ReasonArg::Unspecified => Self::Unspecified,
            ReasonArg::KeyCompromise => Self::KeyCompromise,
            ReasonArg::CaCompromise => Self::CaCompromise,
            ReasonArg::AffiliationChanged => Self::AffiliationChanged,
            ReasonArg::Superseded => Self::Superseded,
            ReasonArg::CessationOfOperation => Self::CessationOfOperation,
            ReasonArg::CertificateHold => Self::CertificateHold,
            ReasonArg::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
            ReasonArg::AaCompromise => Self::AaCompromise,
        }
    }
}

/// `kmss key schedule`
#[derive(Args, Debug)]
pub(crate) struct ScheduleArgs {
    /// The key
    #[command(flatten)]
    pub key: NamedKey,
    /// When a pre-active key becomes active: YYYY-MM-DD, YYYY-MM-DDThh:mm:ssZ, or `never`
    #[arg(long, value_name = "TIME", required_unless_present = "deactivate")]
    pub activate: Option<String>,
    /// When an active key is disabled: as `--activate`
    #[arg(long, value_name = "TIME")]
    pub deactivate: Option<String>,
}

/// `kmss key delete`
#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// The key
    #[command(flatten)]
    pub key: NamedKey,
    /// Days until it is destroyed, 7 to 30
    #[arg(long, default_value_t = 30)]
    pub days: u16,
    /// A sentence that is kept with it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

/// `kmss key purge`
#[derive(Args, Debug)]
pub(crate) struct PurgeArgs {
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// Say what would be destroyed
    #[arg(long)]
    pub dry_run: bool,
}
