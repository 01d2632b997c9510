//! `kmss file`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::EncryptionContextArgs;

/// `kmss file …`
#[derive(Debug, Subcommand)]
pub(crate) enum FileCommand {
    /// Encrypt a file of any length under a data key, for one or several keys
    Seal(FileSealArgs),
    /// Decrypt a sealed file, or a range of it
    Open(FileOpenArgs),
}

/// What encrypts the chunks of a file.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum ChunkAlgorithm {
    /// Fast where the processor has AES
    #[default]
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    /// Fast where it has not
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

/// `kmss file seal`
#[derive(Debug, Args)]
pub(crate) struct FileSealArgs {
    /// The file; `-` is standard input
    pub file: PathBuf,
    /// The token
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    /// Name of a key that opens it (repeatable: any of them does)
    #[arg(long = "key", value_name = "NAME", required = true)]
    pub keys: Vec<String>,
    #[command(flatten)]
    pub context: EncryptionContextArgs,
    /// What encrypts the chunks
    #[arg(long, value_enum, default_value_t)]
    pub algorithm: ChunkAlgorithm,
    /// The sealed file; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Threads [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// `kmss file open`
#[derive(Debug, Args)]
pub(crate) struct FileOpenArgs {
    /// The sealed file; `-` is standard input
    pub file: PathBuf,
    /// The token; the file says which of its keys open it
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    #[command(flatten)]
    pub context: EncryptionContextArgs,
    /// What was sealed; `-` is standard output. It is `FILE.part` until all of it is there
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// These bytes alone, counted from 0, the last one not among them
    #[arg(long, value_name = "FROM-TO", value_parser = range)]
    pub range: Option<(u64, u64)>,
    /// Go on where `FILE.part` ends, which an earlier run left
    #[arg(long, conflicts_with = "range")]
    pub resume: bool,
    /// Threads [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// `from-to`.
fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once('-').ok_or("say FROM-TO")?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number of bytes"));
    let (from, to) = (number(from)?, number(to)?);
    if from < to { Ok((from, to)) } else { Err("the range is empty".to_owned()) }
}
