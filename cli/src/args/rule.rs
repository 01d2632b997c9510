//! Rules for keys.

use clap::{Args, Subcommand};
use libkmss::rules::AllowedType;

/// `kmss rule …`
#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Set the rule for a token, a tenant or a service in it, in the place of the one it has (by the SO or an admin; for a
    /// tenant by root, the home's owner or an admin; for a service also by its owner)
    Set(RuleSetArgs),
    /// List the rules
    List {
        /// Only what concerns this token
        #[arg(long, value_name = "LABEL")]
        token: Option<String>,
    },
    /// Remove a rule: keys that are there stay as they are (by whoever may set it, but for a service's owner)
    Remove(RulePlaceArgs),
}

/// What a rule is for.
#[derive(Args, Clone, Debug)]
pub(crate) struct RulePlaceArgs {
    /// For the keys of this token
    #[arg(long, value_name = "LABEL", required_unless_present = "tenant", conflicts_with = "tenant")]
    pub token: Option<String>,
    /// For the keys of all tokens of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Only for keys that belong to this service (`service:NAME` or NAME), or that it makes
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
}

/// `kmss rule set`
#[derive(Args, Debug)]
pub(crate) struct RuleSetArgs {
    /// What it is for
    #[command(flatten)]
    pub place: RulePlaceArgs,
    /// What may be made, each with its least size where that is bounded: aes:256,rsa:3072,ec:384,ml-dsa:65,sm2 [default: all]
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    pub types: Vec<AllowedType>,
    /// The type that `kmss key generate` makes where none is said
    #[arg(long, value_name = "TYPE")]
    pub prefer: Option<String>,
    /// New keys rotate after so many days by themselves, and none more seldom: `90d`
    #[arg(long, value_name = "DAYS")]
    pub rotate: Option<String>,
    /// Keys that a service makes belong to it: no other uses them unless they are granted
    #[arg(long, conflicts_with = "service")]
    pub apart: bool,
    /// Who else sets this service's rule and grants its keys: `kind:name`
    #[arg(long, value_name = "PRINCIPAL", requires = "service")]
    pub owner: Option<String>,
}
