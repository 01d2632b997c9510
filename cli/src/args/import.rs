//! `kmss import` and `kmss export`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{NamedKey, TokenArg};

/// `kmss import …`
#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Make a wrapping key that is good for one import, and write its public half
    Begin(ImportBeginArgs),
    /// Take in a key that was wrapped under it, and destroy the wrapping key
    Finish(ImportFinishArgs),
}

/// What a wrapping key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WrappingType {
    /// RSA of 3072 bits: RSA_AES_KEY_WRAP
    #[value(name = "rsa:3072")]
    Rsa3072,
    /// RSA of 4096 bits: RSA_AES_KEY_WRAP
    #[value(name = "rsa:4096")]
    Rsa4096,
    /// SM2: SM2 enveloped keys of GM/T 0009
    #[value(name = "sm2")]
    Sm2,
}

/// The hash of OAEP and of its MGF1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OaepHash {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
    /// SHA-1, for what knows no other
    Sha1,
}

/// How a key is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HowWrapped {
    /// AES key wrap (RFC 3394), under AES and SM4 keys: lengths that are multiples of 8 bytes
    Kw,
    /// AES key wrap with padding (RFC 5649), under AES and SM4 keys; usual for them
    Kwp,
    /// RSAES-OAEP, under RSA keys: secret keys
    RsaOaep,
    /// An AES-256 key by RSAES-OAEP, and the key under that one (RSA_AES_KEY_WRAP); usual for RSA keys
    RsaAes,
}

/// What a key that comes in, or follows from another, is to have beside name and type.
#[derive(Args, Debug)]
pub(crate) struct WishesArgs {
    /// CKA_ID in hex [default: 8 random bytes]
    #[arg(long, value_name = "HEX")]
    pub id: Option<String>,
    /// Allow the key to be wrapped by other keys (it stays sensitive)
    #[arg(long)]
    pub extractable: bool,
    /// What it may be used for, as of `kmss key import` [default: all that its type can do]
    #[arg(long, value_name = "USE", value_delimiter = ',')]
    pub usage: Vec<String>,
}

/// `kmss import begin`
#[derive(Args, Debug)]
pub(crate) struct ImportBeginArgs {
    /// Name of the wrapping key
    pub name: String,
    #[command(flatten)]
    pub token: TokenArg,
    /// What it is
    #[arg(long = "type", value_enum, default_value = "rsa:3072")]
    pub kind: WrappingType,
    /// Its last day is so many days from today (UTC)
    #[arg(long, value_name = "DAYS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=30))]
    pub days: u16,
    /// Where its public half is written (PEM)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `kmss import finish`
#[derive(Args, Debug)]
pub(crate) struct ImportFinishArgs {
    /// The wrapped key
    pub file: PathBuf,
    #[command(flatten)]
    pub token: TokenArg,
    /// The wrapping key
    #[arg(long, value_name = "NAME")]
    pub with: String,
    /// Name of the new key
    #[arg(long)]
    pub name: String,
    /// What it is: aes, sm4, chacha20, generic, hmac[:sha384]; of private keys (PKCS #8) rsa, ec, ed25519, sm2 and so on
    /// [default: aes; under an SM2 key sm2]
    #[arg(long = "type", value_name = "TYPE")]
    pub key_type: Option<String>,
    /// Its label (CKA_LABEL) [default: the name]
    #[arg(long)]
    pub label: Option<String>,
    #[command(flatten)]
    pub wishes: WishesArgs,
    /// Where it is kept: `soft`, or the name of an HSM of the configuration [default: where the token's keys are made]; under RSA
    /// that is where the wrapping key is, and nowhere else
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// The hash of OAEP
    #[arg(long, value_enum, default_value_t = OaepHash::Sha256)]
    pub oaep: OaepHash,
    /// Bits of the AES key between
    #[arg(long, value_name = "BITS", default_value_t = 256)]
    pub aes: u16,
    /// Keep the wrapping key, for others that are wrapped under it
    #[arg(long)]
    pub keep: bool,
}

/// `kmss export`
#[derive(Args, Debug)]
pub(crate) struct ExportKeyArgs {
    #[command(flatten)]
    pub key: NamedKey,
    /// Wrap it under this key of the token: an AES or SM4 key, or an RSA key that is there with its public half
    #[arg(long, value_name = "NAME", required_unless_present = "clear", conflicts_with = "clear")]
    pub under: Option<String>,
    /// How it is wrapped [default: kwp, under RSA keys rsa-aes]
    #[arg(long, value_enum, conflicts_with = "clear")]
    pub how: Option<HowWrapped>,
    /// The hash of OAEP
    #[arg(long, value_enum, default_value_t = OaepHash::Sha256)]
    pub oaep: OaepHash,
    /// Write the key in clear: only for keys that are extractable and not sensitive
    #[arg(long)]
    pub clear: bool,
    /// The file; it must not exist
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}

/// `kmss unwrap`
#[derive(Args, Debug)]
pub(crate) struct UnwrapArgs {
    /// The wrapped key
    pub file: PathBuf,
    #[command(flatten)]
    pub token: TokenArg,
    /// The key that it is wrapped under: an AES or SM4 key, or an RSA key with its private half
    #[arg(long, value_name = "NAME")]
    pub under: String,
    /// How it is wrapped [default: kwp, under RSA keys rsa-aes]
    #[arg(long, value_enum)]
    pub how: Option<HowWrapped>,
    /// The hash of OAEP
    #[arg(long, value_enum, default_value_t = OaepHash::Sha256)]
    pub oaep: OaepHash,
    /// Name and label of the new key
    #[arg(long)]
    pub name: String,
    /// What it is: aes, sm4, chacha20, generic, hmac[:sha384]; of private keys (PKCS #8) rsa, ec, ed25519, sm2 and so on
    #[arg(long = "type", value_name = "TYPE", default_value = "aes")]
    pub key_type: String,
    #[command(flatten)]
    pub wishes: WishesArgs,
}
