//! Blocks and quotas.

use clap::{Args, Subcommand};

/// `kmss block …`
#[derive(Debug, Subcommand)]
pub(crate) enum BlockCommand {
    /// Block or throttle a principal, a key or a token (by the SO, an admin, root or the home's owner)
    Add(BlockAddArgs),
    /// List what is blocked and throttled
    List {
        /// Only what is in this token
        #[arg(long, value_name = "LABEL")]
        token: Option<String>,
    },
    /// Show a block
    Show {
        /// Its name: eight digits
        id: String,
    },
    /// Let it go on (by the SO or an admin; beyond one token also by root or the home's owner)
    Release {
        /// Its name: eight digits
        id: String,
    },
}

/// `kmss block add`
#[derive(Args, Debug)]
pub(crate) struct BlockAddArgs {
    /// Whoever is called so (`kind:name`): everywhere, or in --tenant or --token
    #[arg(long, value_name = "NAME", required_unless_present = "token")]
    pub principal: Option<String>,
    /// In all tokens of this tenant
    #[arg(long, value_name = "TENANT", conflicts_with = "token", requires = "principal")]
    pub tenant: Option<String>,
    /// In this token; alone: everything in it
    #[arg(long, value_name = "LABEL")]
    pub token: Option<String>,
    /// The key of this name or identity in the token
    #[arg(long, value_name = "NAME", requires = "token", conflicts_with = "principal")]
    pub key: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Until then: YYYY-MM-DD or RFC 3339 [default: until it is released]
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    pub until: Option<String>,
    /// For so long: 90s, 15m, 8h, 7d
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<String>,
    /// Let so many operations a second through instead of none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub throttle: Option<u32>,
}

/// `kmss quota …`
#[derive(Debug, Subcommand)]
pub(crate) enum QuotaCommand {
    /// Set a quota, or change the one of this name (by the SO or an admin; beyond one token by root, the home's owner or an
    /// admin); what was used stays used
    Set(Box<QuotaSetArgs>),
    /// List the quotas
    List {
        /// Only those that are for this token
        #[arg(long, value_name = "LABEL")]
        token: Option<String>,
    },
    /// Show a quota with what is used of it
    Show(QuotaPlaceArgs),
    /// Say what is used of every quota
    Usage,
    /// Remove a quota, with what is known of its use
    Remove(QuotaPlaceArgs),
}

/// Which quota.
#[derive(Args, Debug)]
pub(crate) struct QuotaPlaceArgs {
    /// Its name
    pub name: String,
    /// The token that it was set for [default: it was set beyond tokens]
    #[arg(long, value_name = "LABEL")]
    pub token: Option<String>,
}

/// `kmss quota set`
#[derive(Args, Debug)]
pub(crate) struct QuotaSetArgs {
    /// Which
    #[command(flatten)]
    pub place: QuotaPlaceArgs,
    /// For the tokens of this tenant
    #[arg(long, value_name = "TENANT", conflicts_with = "token")]
    pub tenant: Option<String>,
    /// For whoever is called so: `kind:name`
    #[arg(long, value_name = "NAME")]
    pub principal: Option<String>,
    /// For the key of this name or identity, with its copies
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Count apart: each of these has a budget of its own
    #[arg(long, value_delimiter = ',', value_name = "WHAT", value_parser = ["tenant", "token", "principal", "key"])]
    pub each: Vec<String>,
    /// The actions that count, such as sign,decrypt [default: all that use or make keys]
    #[arg(long, value_delimiter = ',', value_name = "ACTION")]
    pub actions: Vec<String>,
    /// Operations in any second
    #[arg(long, value_name = "N")]
    pub per_second: Option<u32>,
    /// Operations at once [default: as many as in a second]
    #[arg(long, value_name = "N", requires = "per_second")]
    pub burst: Option<u32>,
    /// Operations in a day (UTC)
    #[arg(long, value_name = "N")]
    pub per_day: Option<u64>,
    /// Operations ever
    #[arg(long, value_name = "N")]
    pub total: Option<u64>,
    /// Bytes of data in a day (UTC)
    #[arg(long, value_name = "N")]
    pub bytes_per_day: Option<u64>,
    /// Bytes of data ever
    #[arg(long, value_name = "N")]
    pub bytes_total: Option<u64>,
}
