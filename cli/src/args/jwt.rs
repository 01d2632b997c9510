//! `kmss jwt …`.

use clap::{Args, Subcommand};
use libkmss::jose::JwsAlgorithm;

use super::{InputArgs, OutputArgs, TokenArg};

/// `kmss jwt …`
#[derive(Debug, Subcommand)]
pub(crate) enum JwtCommand {
    /// Sign claims, a JSON object that comes in, as a JSON Web Token
    Sign(JwtSignArgs),
    /// Verify a JSON Web Token and print its claims
    Verify(JwtVerifyArgs),
    /// Print the JSON Web Key Set of all versions of keys that verify now
    Jwks {
        /// Names of the keys
        #[arg(required = true)]
        names: Vec<String>,
        /// The token
        #[command(flatten)]
        token: TokenArg,
        /// The algorithm of RSA keys
        #[arg(long, value_name = "NAME", value_parser = algorithm)]
        algorithm: Option<JwsAlgorithm>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// How a token is signed.
#[derive(Debug, Args)]
pub(crate) struct JwsArgs {
    /// Name of the key
    pub name: String,
    /// The token that holds the key
    #[command(flatten)]
    pub token: TokenArg,
    /// Of RSA keys: PS256 (the usual one), PS384, PS512, RS256, RS384, RS512. All other keys have one algorithm
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    pub algorithm: Option<JwsAlgorithm>,
    /// The type in the header, as in `at+jwt` [default: JWT]
    #[arg(long = "type", value_name = "TYPE")]
    pub typ: Option<String>,
    /// What is signed is no claims but anything (JSON Web Signature)
    #[arg(long, conflicts_with = "endless")]
    pub payload: bool,
    /// Claims may hold for ever
    #[arg(long)]
    pub endless: bool,
}

/// `kmss jwt sign`
#[derive(Debug, Args)]
pub(crate) struct JwtSignArgs {
    #[command(flatten)]
    pub how: JwsArgs,
    /// For how long the claims hold, as in 10m, 12h or 30d; else they say so themselves (`exp`)
    #[arg(long, value_name = "TIME", conflicts_with_all = ["endless", "payload"])]
    pub lifetime: Option<String>,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kmss jwt verify`
#[derive(Debug, Args)]
pub(crate) struct JwtVerifyArgs {
    #[command(flatten)]
    pub how: JwsArgs,
    /// Who must have made the claims (`iss`)
    #[arg(long, value_name = "TEXT", conflicts_with = "payload")]
    pub issuer: Option<String>,
    /// Whom they must be for (`aud`); without this, claims that name anybody are refused
    #[arg(long, value_name = "TEXT", conflicts_with = "payload")]
    pub audience: Option<String>,
    /// How many seconds clocks may differ
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub leeway: u32,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn algorithm(text: &str) -> Result<JwsAlgorithm, String> {
    JwsAlgorithm::of_name(text).ok_or_else(|| {
        let names: Vec<&str> = JwsAlgorithm::ALL.into_iter().map(JwsAlgorithm::name).collect();
        format!("say one of {}", names.join(", "))
    })
}
