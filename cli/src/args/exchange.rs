//! What comes in from other places, and what goes out to them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::TokenArg;

/// How a public key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublicFormat {
    /// PEM (SubjectPublicKeyInfo)
    Pem,
    /// DER (SubjectPublicKeyInfo)
    Der,
    /// JSON Web Key
    Jwk,
    /// A line for authorized_keys
    Ssh,
}

/// `kmss key import`
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file
    pub file: PathBuf,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// Its name [default: what the file calls it]
    #[arg(long)]
    pub name: Option<String>,
    /// Its label (CKA_LABEL) [default: the name]
    #[arg(long)]
    pub label: Option<String>,
    /// CKA_ID in hex [default: 8 random bytes]
    #[arg(long, value_name = "HEX")]
    pub id: Option<String>,
    /// For secret keys that do not tell it: aes, sm4, chacha20, hmac[:sha384], generic, hd-seed (`key derive` makes pairs from it)
    #[arg(long = "type", value_name = "TYPE")]
    pub key_type: Option<String>,
    /// The file holds the bare bytes of a secret key
    #[arg(long, requires = "key_type")]
    pub raw: bool,
    /// Allow the key to be wrapped by other keys (it stays sensitive)
    #[arg(long)]
    pub extractable: bool,
    /// Allow it to be read in clear where it is extractable, too (`kmss export --clear`); it stays so for ever
    #[arg(long, requires = "extractable")]
    pub not_sensitive: bool,
    /// Where it is kept: `soft`, or the name of an HSM of the configuration [default: where the token's keys are made]
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// What it may be used for: sign, verify, encrypt, decrypt, wrap, unwrap, derive, encapsulate, decapsulate
    /// [default: all that its type can do]
    #[arg(long, value_name = "USE", value_delimiter = ',')]
    pub usage: Vec<String>,
    /// Read the file's passphrase from this environment variable [default: KMSS_PASSPHRASE where set]
    #[arg(long, value_name = "VAR")]
    pub passphrase_env: Option<String>,
    /// Read the file's passphrase from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_env")]
    pub passphrase_file: Option<PathBuf>,
}

/// `kmss cert export`
#[derive(Args, Debug)]
pub(crate) struct CertExportArgs {
    /// Its label; of several the newest is written
    pub name: String,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// Its CKA_ID in hex, where several have the label
    #[arg(long, value_name = "HEX")]
    pub id: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = CertFormat::Pem)]
    pub format: CertFormat,
    /// Where to write it; else to standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How a certificate is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CertFormat {
    /// PEM
    Pem,
    /// DER
    Der,
}

/// `kmss migrate softhsm`
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// The other module
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/softhsm/libsofthsm2.so")]
    pub module: PathBuf,
    /// Label of its token
    #[arg(long, value_name = "LABEL")]
    pub from: String,
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Read the other token's PIN from this environment variable [default: KMSS_FROM_PIN where set]
    #[arg(long, value_name = "VAR")]
    pub from_pin_env: Option<String>,
    /// Read the other token's PIN from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "from_pin_env")]
    pub from_pin_file: Option<PathBuf>,
}

/// `kmss migrate …`
#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Read a SoftHSM2 token through its module: keys, certificates and data, with their attributes
    Softhsm(MigrateArgs),
}
