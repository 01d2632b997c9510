//! `kmss derive`, `encapsulate` and `decapsulate`: keys that follow from keys.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{TokenArg, WishesArgs};

/// The secret key that is made.
#[derive(Debug, Args)]
pub(crate) struct NewSecretArgs {
    /// Name and label of the new key
    pub name: String,
    #[command(flatten)]
    pub token: TokenArg,
    /// What it is: aes:128, aes:192, aes:256, sm4, chacha20 or hmac:BITS
    #[arg(long = "type", value_name = "TYPE", default_value = "aes:256")]
    pub key_type: String,
    #[command(flatten)]
    pub wishes: WishesArgs,
}

/// Key-derivation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DerivationFunction {
    /// HKDF (RFC 5869), extract and expand, with --salt and --info
    Hkdf,
    /// SP 800-108 in counter mode with HMAC, a counter of 32 bits in front of --info
    Kbkdf,
    /// ECDH with --peer (SP 800-56A, RFC 7748), and the KDF of X9.63 with --info
    Ecdh,
}

/// `kmss derive`
#[derive(Debug, Args)]
pub(crate) struct DeriveSecretArgs {
    /// Name of the key to derive from: a secret of type hmac:BITS, or with `--kdf ecdh` a pair
    pub key: String,
    #[command(flatten)]
    pub new: NewSecretArgs,
    /// How
    #[arg(long, value_enum, default_value_t = DerivationFunction::Hkdf)]
    pub kdf: DerivationFunction,
    /// The hash: sha256, sha384, sha512, sha3-256, sm3 and so on
    #[arg(long, default_value = "sha256")]
    pub hash: String,
    /// The salt of HKDF in hex [default: zeros]
    #[arg(long, value_name = "HEX")]
    pub salt: Option<String>,
    /// What the new key is for, as text
    #[arg(long, value_name = "TEXT", conflicts_with = "info_hex")]
    pub info: Option<String>,
    /// The same in hex
    #[arg(long, value_name = "HEX")]
    pub info_hex: Option<String>,
    /// The other side's public key: PEM, DER or JWK
    #[arg(long, value_name = "FILE", required_if_eq("kdf", "ecdh"))]
    pub peer: Option<PathBuf>,
}

/// `kmss encapsulate`
#[derive(Debug, Args)]
pub(crate) struct EncapsulateArgs {
    /// Name of the key with the public half: ML-KEM, EC or X25519
    pub key: String,
    #[command(flatten)]
    pub new: NewSecretArgs,
    /// Where the ciphertext is written, from which the holder of the private half makes the same key; it must not exist
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}

/// `kmss decapsulate`
#[derive(Debug, Args)]
pub(crate) struct DecapsulateArgs {
    /// Name of the key with the private half
    pub key: String,
    #[command(flatten)]
    pub new: NewSecretArgs,
    /// The ciphertext
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,
}
