//! `kmss audit seal`, `prove`, `key`, `verify`.

use std::path::PathBuf;

use audit_archive::ManifestHash;
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
    /// Also verify the segments that were moved to this archive; may be repeated
    #[arg(long = "archive", value_name = "DIR")]
    pub archives: Vec<PathBuf>,
    /// Verify the archives alone, without the home: with `--key` against the keys that the auditor knows
    #[arg(long, requires = "archives", conflicts_with_all = ["anchors", "from", "to"])]
    pub alone: bool,
    /// With `--alone`: the SHA-256 that `kmss audit archive` printed of the manifest; it binds all of the archive
    #[arg(long, value_name = "SHA256", requires = "alone")]
    pub manifest: Option<ManifestHash>,
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
    /// An archive that the record may be in; may be repeated
    #[arg(long = "archive", value_name = "DIR")]
    pub archives: Vec<PathBuf>,
}

/// `kmss audit compress`
#[derive(Args, Debug)]
pub(crate) struct CompressArgs {
    /// Only segments whose last record is at least so old: `90d`, `12h`, `0s` for all that ended
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub older_than: String,
}

/// `kmss audit archive`
#[derive(Args, Debug)]
pub(crate) struct ArchiveArgs {
    /// The folder: new, empty, or an archive of this audit, which is continued
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Only segments that ended before: YYYY-MM-DD, RFC 3339, or how long ago (`90d`)
    #[arg(long, value_name = "DATE|DURATION")]
    pub before: Option<String>,
    /// Remove from the home what is in the archive, once it was read back whole, every anchor has a checkpoint over it and
    /// every destination has got it
    #[arg(long)]
    pub delete: bool,
}

/// `kmss audit prune`
#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// Remove what is older than so many days [default: the configuration's `keep_days`]
    #[arg(long, value_name = "DAYS")]
    pub keep_days: Option<u32>,
    /// Remove it; otherwise only say what would be removed
    #[arg(long)]
    pub yes: bool,
}
