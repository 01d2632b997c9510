//! `kmss domain` and `kmss seal`.

use clap::{Args, Subcommand};
use libkmss::kms::MaterialSeal;
use libkmss::seal::Holding;

/// What to do with domain keys.
#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// List the domain keys: their versions, and how many records name each
    #[command(visible_alias = "status")]
    List(DomainArgs),
    /// Make a new version, which seals everything written from now on
    Rotate {
        /// Which
        #[command(flatten)]
        which: DomainArgs,
        /// Seal everything anew at once, and erase the old versions
        #[arg(long)]
        rewrap: bool,
        /// What seals key material from now on: `in-memory`, or `in-device:NAME` for the [[hsm]] of that name in kmss.toml
        /// [default: as before]
        #[arg(long, value_name = "WHERE", value_parser = material, conflicts_with_all = ["home_key", "all"])]
        seal: Option<MaterialSeal>,
    },
    /// Seal everything anew under the newest version and erase the versions that nothing names any more; may be stopped at
    /// any moment, and run again
    Rewrap(DomainArgs),
}

/// Which domain keys.
#[derive(Args, Debug)]
pub(crate) struct DomainArgs {
    /// Those of these tokens
    #[arg(value_name = "TOKEN")]
    pub tokens: Vec<String>,
    /// The home's own, which seals what is known of tokens, policies, quotas and the audit's seal
    #[arg(long)]
    pub home_key: bool,
    /// All of them
    #[arg(long, conflicts_with_all = ["tokens", "home_key"])]
    pub all: bool,
}

/// `kmss seal …`
#[derive(Debug, Subcommand)]
pub(crate) enum SealCommand {
    /// Who holds the root key, and whether a migration is under way
    Status,
    /// Make a new root key, wrap everything anew with it, and erase the old one; may be stopped at any moment, and run again
    Migrate {
        /// Who holds it: `file`, or `hsm:NAME` for the [[hsm]] of that name in kmss.toml
        #[arg(long, value_name = "HOLDER", value_parser = holding, required_unless_present = "abort")]
        to: Option<Holding>,
        /// Give a migration up that was begun and has wrapped nothing yet
        #[arg(long, conflicts_with = "to")]
        abort: bool,
    },
}

/// `in-memory` or `in-device:NAME`.
pub(crate) fn material(text: &str) -> Result<MaterialSeal, String> {
    text.parse().map_err(|_| "write `in-memory`, or `in-device:NAME`".to_owned())
}

/// `file` or `hsm:NAME`.
pub(crate) fn holding(text: &str) -> Result<Holding, String> {
    match text.split_once(':') {
        None if text == "file" => Ok(Holding::File),
        Some(("hsm", name)) if !name.is_empty() => Ok(Holding::Hsm(name.to_owned())),
        _ => Err("write `file`, or `hsm:NAME`".to_owned()),
    }
}

/// `kmss store …`
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Check the whole home: the database, every record, index and name, and the store against the audit
    /// (exit code 0 whole, 3 damaged, 1 could not check)
    Check {
        /// Also open what is private in this token, which takes its user PIN; may be repeated
        #[arg(long = "token", value_name = "LABEL")]
        tokens: Vec<String>,
    },
}
