//! `kmss backup` and `kmss restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `kmss backup …`
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Write everything of a tenant into an encrypted archive, and its key in shares to custodians
    Create(BackupArgs),
    /// Say what an archive says of itself; no share is needed, and nothing of it is proven
    Inspect {
        /// The archive
        archive: PathBuf,
    },
    /// Read an archive to its end, with the shares of enough custodians, and say what is in it (exit code 3 damaged)
    Verify(OpenArchiveArgs),
    /// Say which epoch the tenant is at: of its newest archive, and the least that is restored here
    Epoch {
        /// The tenant
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Restore no archive here any more that is older than this epoch
    Retire {
        /// The tenant
        #[command(flatten)]
        tenant: TenantArg,
        /// The least epoch that is restored from now on
        #[arg(long, value_name = "EPOCH")]
        least: u64,
    },
}

/// Which tenant.
#[derive(Args, Clone, Debug)]
pub(crate) struct TenantArg {
    /// The tenant
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub tenant: String,
}

/// `kmss backup create`
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The archive; it must not exist
    pub archive: PathBuf,
    #[command(flatten)]
    pub tenant: TenantArg,
    /// A custodian and the file that gets the share, which must not exist; repeat it for each, and give each a place of its own
    #[arg(long = "custodian", value_name = "NAME=FILE", required = true, value_parser = custodian)]
    pub custodians: Vec<(String, PathBuf)>,
    /// How many of them open the archive
    #[arg(long, value_name = "COUNT")]
    pub needed: u8,
    /// Let shares lie in one directory: whoever reads that has the key
    #[arg(long)]
    pub together: bool,
}

/// An archive, and who opens it.
#[derive(Args, Debug)]
pub(crate) struct OpenArchiveArgs {
    /// The archive
    pub archive: PathBuf,
    /// The share of a custodian; repeat it for as many as are needed
    #[arg(long = "share", value_name = "FILE", required = true)]
    pub shares: Vec<PathBuf>,
}

/// `kmss restore`
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub open: OpenArchiveArgs,
    /// Only say what would be restored
    #[arg(long)]
    pub dry_run: bool,
    /// Refuse the archive where its epoch is lower: for a home that does not know yet what was revoked
    #[arg(long, value_name = "EPOCH")]
    pub least_epoch: Option<u64>,
}

fn custodian(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write NAME=FILE".to_owned()),
    }
}
