//! `kmss encrypt`, `decrypt`, `reencrypt`, `datakey`, `inspect`, `sign`, `verify`, `mac`, `hash` and `random`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::TokenArg;

/// A file, or what comes in.
#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// What is read; standard input where it is `-` or not said
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Write here instead of to standard output; the file is readable to its owner alone
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write Base64, in one line
    #[arg(long)]
    pub base64: bool,
}

/// Encryption contexts.
#[derive(Debug, Args)]
pub(crate) struct EncryptionContextArgs {
    /// What is said of the data; authenticated with it, and needed again to decrypt (repeatable; the order does not matter)
    #[arg(long = "context", value_name = "NAME=VALUE", value_parser = pair)]
    pub context: Vec<(String, String)>,
}

/// How messages are encrypted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MessageAlgorithm {
    /// AES keys of 256 bits; the usual one for them
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    /// AES keys of 256 bits, and ChaCha20 keys
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// SM4 keys
    #[value(name = "sm4-gcm")]
    Sm4Gcm,
    /// AES keys of 256 bits. Equal plaintexts in equal contexts give equal ciphertexts: that can be searched for, and everybody sees it
    #[value(name = "deterministic-aes-siv")]
    DeterministicAesSiv,
}

/// `kmss encrypt`
#[derive(Debug, Args)]
pub(crate) struct EncryptArgs {
    /// Name of the key
    pub key: String,
    /// The token
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    #[command(flatten)]
    pub context: EncryptionContextArgs,
    /// How; what is usual for the type of the key where it is not said
    #[arg(long, value_enum)]
    pub algorithm: Option<MessageAlgorithm>,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kmss decrypt`
#[derive(Debug, Args)]
pub(crate) struct DecryptArgs {
    /// The token; the ciphertext says which of its keys
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    #[command(flatten)]
    pub context: EncryptionContextArgs,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kmss reencrypt`
#[derive(Debug, Args)]
pub(crate) struct ReencryptArgs {
    /// Name of the key that is to encrypt from now on
    pub key: String,
    /// The token of both keys
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    #[command(flatten)]
    pub context: EncryptionContextArgs,
    /// The context from now on (repeatable); the same where none is given
    #[arg(long = "new-context", value_name = "NAME=VALUE", value_parser = pair)]
    pub new_context: Vec<(String, String)>,
    /// No context from now on
    #[arg(long, conflicts_with = "new_context")]
    pub no_context: bool,
    /// How from now on; what is usual for the type of the key where it is not said
    #[arg(long, value_enum)]
    pub algorithm: Option<MessageAlgorithm>,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kmss datakey`
#[derive(Debug, Args)]
pub(crate) struct DataKeyArgs {
    /// Name of the key that the data key is encrypted under
    pub key: String,
    /// The token
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    #[command(flatten)]
    pub context: EncryptionContextArgs,
    /// How it is encrypted; what is usual for the type of the key where it is not said
    #[arg(long, value_enum)]
    pub algorithm: Option<MessageAlgorithm>,
    /// Length in bytes, 16 to 1024
    #[arg(long, value_name = "N", default_value_t = 32, conflicts_with = "pair")]
    pub bytes: u16,
    /// Make a pair of this type instead, as `kmss key generate --type` has them; its private half is encrypted
    #[arg(long, value_name = "TYPE")]
    pub pair: Option<String>,
    /// Do not print the key itself: it is wanted by somebody who is given the ciphertext
    #[arg(long)]
    pub without_plaintext: bool,
}

/// How something is signed.
#[derive(Debug, Args)]
pub(crate) struct SignatureArgs {
    /// Name of the key
    pub key: String,
    /// The token
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    /// rsa-pss-HASH (the usual one) and rsa-pkcs1-HASH; ecdsa-HASH; eddsa; sm2-sm3; ml-dsa and slh-dsa, also with -HASH: the message is
    /// hashed beforehand. HASH is sha256, sha3-384 and so on. On secp256k1 also ecdsa-low-s-HASH and ecdsa-recoverable-HASH
    /// (r, s and v), of sha256 and keccak256
    #[arg(long, value_name = "NAME")]
    pub algorithm: Option<String>,
    /// What is read is the digest of the message (for SM2: e)
    #[arg(long)]
    pub digest: bool,
    /// Signatures of ECDSA and SM2 are r and s one after the other, instead of DER
    #[arg(long)]
    pub raw: bool,
    /// The signer's identity of SM2
    #[arg(long, value_name = "TEXT")]
    pub user_id: Option<String>,
    #[command(flatten)]
    pub input: InputArgs,
}

/// `kmss sign`
#[derive(Debug, Args)]
pub(crate) struct SignDataArgs {
    #[command(flatten)]
    pub how: SignatureArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kmss verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyDataArgs {
    #[command(flatten)]
    pub how: SignatureArgs,
    /// The signature
    #[arg(long, value_name = "FILE")]
    pub signature: PathBuf,
    /// The signature is Base64
    #[arg(long)]
    pub base64: bool,
}

/// `kmss batch`
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// The token
    #[command(flatten)]
    pub token: TokenArg,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `kmss mac`
#[derive(Debug, Args)]
pub(crate) struct MacArgs {
    /// Name of the key
    pub key: String,
    /// The token
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    /// hmac-HASH, aes-cmac or sm4-cmac; what is usual for the type of the key where it is not said
    #[arg(long, value_name = "NAME")]
    pub algorithm: Option<String>,
    /// Check this MAC instead of making one
    #[arg(long, value_name = "HEX")]
    pub verify: Option<String>,
    #[command(flatten)]
    pub input: InputArgs,
}

/// `kmss hash`
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// sha256, sha384, sha512, sha3-256, sm3 and so on
    pub algorithm: String,
    /// The token whose policies and quotas decide
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    #[command(flatten)]
    pub input: InputArgs,
}

/// `kmss random`
#[derive(Debug, Args)]
pub(crate) struct RandomArgs {
    /// How many bytes, at most 65536
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub bytes: u32,
    /// The token whose policies and quotas decide
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    /// Write hex, in one line
    #[arg(long, conflicts_with = "base64")]
    pub hex: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `name=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("say NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
