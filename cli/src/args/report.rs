//! The command line of `kmss report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `kmss report`
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Report on this token, and on what is private in it, which takes its user PIN; may be repeated [default: all tokens,
    /// without what is private, unless there is one token only and a PIN is given]
    #[arg(long = "token", value_name = "LABEL")]
    pub tokens: Vec<String>,
    /// Begin of the period: YYYY-MM-DD or RFC 3339 [default: 30 days before its end]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// End of the period, which does not belong to it [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Keys older than this are due for rotation
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    pub max_age: u64,
    /// How it is written [default: text; json with --json]
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Where to write it; else to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Do not verify the audit trail: the report then says nothing of its integrity
    #[arg(long)]
    pub no_verify: bool,
    /// End with exit code 3 where the report has one of these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub fail_on: Vec<FailOn>,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people, on a terminal
    Text,
    /// For programs
    Json,
    /// One page with plots that needs nothing else
    Html,
}

/// What a report may have that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Weak keys, or weak mechanisms that were used in the period
    Weak,
    /// Operations refused in the period
    Denied,
    /// Operations that failed in the period
    Failed,
    /// Wrong PINs in the period
    WrongPin,
    /// Keys due for rotation
    Overdue,
    /// Keys or certificates that have expired
    Expired,
    /// An audit trail that is not whole, or was not verified
    Audit,
    /// Anything that the report could not look at
    Missing,
}
