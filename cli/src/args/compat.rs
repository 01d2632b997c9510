//! Ciphertexts of business keys and user keys.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{NamedKey, TokenArg};

/// `kmss compat …`
#[derive(Debug, Subcommand)]
pub(crate) enum CompatCommand {
    /// Make a user key: its id and its ciphertext under a business key, as JSON. It is kept nowhere here
    UserKey {
        /// The business key: one of SM4 whose CKA_ID has 8 bytes
        #[command(flatten)]
        key: NamedKey,
        /// What it is for
        #[arg(long, value_enum, default_value_t = UserKeyFor::Sm4)]
        purpose: UserKeyFor,
        /// The application, eight digits
        #[arg(long, value_name = "DIGITS")]
        application: String,
    },
    /// Encrypt under a business key or a user key
    Encrypt(CompatEncryptArgs),
    /// Decrypt: the key is found from the ciphertext alone, but for the short form of user keys
    Decrypt {
        /// The token that holds the business keys
        #[command(flatten)]
        token: TokenArg,
        /// The user key, as `user-key` printed it
        #[arg(long, value_name = "FILE")]
        user_key: Option<PathBuf>,
        /// The ciphertext; else from standard input
        #[arg(long = "in", value_name = "FILE")]
        input: Option<PathBuf>,
    },
    /// MAC of standard input under a user key, in hex
    Mac {
        /// The token that holds the business key
        #[command(flatten)]
        token: TokenArg,
        /// The user key, as `user-key` printed it
        #[arg(long, value_name = "FILE")]
        user_key: PathBuf,
        /// What the user key is for
        #[arg(long, value_enum)]
        purpose: UserKeyFor,
        /// The data; else from standard input
        #[arg(long = "in", value_name = "FILE")]
        input: Option<PathBuf>,
    },
}

/// `kmss compat encrypt`
#[derive(Args, Debug)]
pub(crate) struct CompatEncryptArgs {
    /// Name of the business key
    #[arg(required_unless_present = "user_key", conflicts_with = "user_key")]
    pub name: Option<String>,
    /// The token that holds it
    #[command(flatten)]
    pub token: TokenArg,
    /// Encrypt under this user key, as `user-key` printed it
    #[arg(long, value_name = "FILE")]
    pub user_key: Option<PathBuf>,
    /// The long form, for this application (eight digits)
    #[arg(long, value_name = "DIGITS", required_unless_present = "short", conflicts_with = "short")]
    pub application: Option<String>,
    /// The short form: equal plaintexts have equal ciphertexts
    #[arg(long)]
    pub short: bool,
    /// Number of the vector, in the short form of business keys
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub iv_number: u32,
    /// The plaintext; else from standard input
    #[arg(long = "in", value_name = "FILE")]
    pub input: Option<PathBuf>,
}

/// What a user key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UserKeyFor {
    /// Encryption by SM4
    Sm4,
    /// MACs by HMAC with SM3
    HmacSm3,
    /// MACs by HMAC with SHA-256
    HmacSha256,
}
