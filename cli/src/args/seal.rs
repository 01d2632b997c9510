//! `kmss audit seal`, `prove`, `key`, `verify`.

use std::path::PathBuf;

use clap::Args;

/// `kmss audit verify`
#[derive(Args, Debug, Default)]
pub(crate) struct VerifyArgs {
    /// Also hold the trail against checkpoints that were kept elsewhere: a file of checkpoints, or of one; may be repeated
    #[arg(long = "anchor", value_name = "FILE")]
    pub anchors: Vec<PathBuf>,
    /// The root key that the log must have: the key itself, or a file that `kmss audit key` wrote
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Option<String>,
    /// Only from this record or time on: SEGMENT:SEQ, YYYY-MM-DD or RFC 3339
    #[arg(long, value_name = "RECORD|TIME")]
    pub from: Option<String>,
    /// Only up to this record, or before this time
    #[arg(long, value_name = "RECORD|TIME")]
    pub to: Option<String>,
}

/// `kmss audit seal`
#[derive(Args, Debug)]
pub(crate) struct SealArgs {
    /// Stop after so many records
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    pub limit: usize,
    /// Let a new key take over; the one before it signs it and is erased
    #[arg(long)]
    pub new_epoch: bool,
    /// Sign a checkpoint even where there is nothing new
    #[arg(long)]
    pub heartbeat: bool,
    /// Write the files of the log anew where somebody changed or removed them
    #[arg(long)]
    pub repair: bool,
    /// Wait so many seconds where another process seals
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub wait: u64,
}

/// `kmss audit prove`
#[derive(Args, Debug)]
pub(crate) struct ProveArgs {
    /// The record: SEGMENT:SEQ, as `kmss audit tail --ids` shows it
    pub record: String,
    /// Write the proof here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave the record itself out
    #[arg(long)]
    pub detached: bool,
}
