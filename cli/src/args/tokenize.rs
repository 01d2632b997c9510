//! Tokens in the place of values.

use std::path::PathBuf;

use clap::Args;
use libkmss::mechanism::Format;

use super::TokenArg;

/// `kmss tokenize`
#[derive(Args, Debug)]
pub(crate) struct TokenizeArgs {
    /// How
    #[command(flatten)]
    pub how: TokensArgs,
    /// With --vault: for how long a token stands for its value, in seconds; for ever where it is not said
    #[arg(long, value_name = "SECONDS", requires = "vault", value_parser = clap::value_parser!(u64).range(1..))]
    pub expires: Option<u64>,
}

/// `kmss detokenize`
#[derive(Args, Debug)]
pub(crate) struct DetokenizeArgs {
    /// How
    #[command(flatten)]
    pub how: TokensArgs,
    /// Show only the part of each value that its format lets many see, for example the last four digits; a permission of its own
    #[arg(long)]
    pub masked: bool,
}

/// Which values, and how.
#[derive(Args, Debug)]
pub(crate) struct TokensArgs {
    /// Name of the key: AES or SM4
    pub name: String,
    /// The token that holds the key
    #[command(flatten)]
    pub token: TokenArg,
    /// What values look like: card, card-bin, card-bin8, card-last4, id-number, id-number-region, mobile, account, account-last4, email,
    /// digits, hex, lower, upper, letters, alphanumeric, these six also with what stays (`digits(first=2,last=4)`), or
    /// `alphabet(first=0,last=0,chars=…)`
    #[arg(long)]
    pub format: Format,
    /// Random tokens that are kept with their values, instead of such as follow from the key; also of card-bin-last4, date, and what
    /// has too few values for those
    #[arg(long, conflicts_with = "tweak")]
    pub vault: bool,
    /// What tells uses of one key apart (a table, a tenant), as text; the same to get values back
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub tweak: String,
    /// Without --vault: which version of the key, where it was rotated; tokens do not say which one made them
    #[arg(long, value_name = "NUMBER", conflicts_with = "vault")]
    pub key_version: Option<u32>,
    /// The values, one in a line; else from standard input. They are not taken from the command line, where other users could
    /// read them
    #[arg(long = "in", value_name = "FILE")]
    pub input: Option<PathBuf>,
}
