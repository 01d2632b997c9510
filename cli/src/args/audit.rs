//! Which records are shown, exported, sent and watched.

use clap::{Args, Subcommand, ValueEnum};

/// Which records are meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordArgs {
    /// Only records from this time on: YYYY-MM-DD, RFC 3339, or how long ago (`90s`, `15m`, `6h`, `2d`)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only records before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only records of this action
    #[arg(long)]
    pub action: Option<String>,
    /// Only records of the key with this name or id
    #[arg(long)]
    pub key: Option<String>,
    /// Only records of this principal
    #[arg(long)]
    pub principal: Option<String>,
    /// Only records with this outcome (success, denied, failed, …)
    #[arg(long)]
    pub outcome: Option<String>,
    /// Only what was refused
    #[arg(long, conflicts_with = "outcome")]
    pub denied: bool,
    /// Only records of this token: LABEL, or TENANT/LABEL
    #[arg(long, value_name = "LABEL", visible_alias = "namespace")]
    pub token: Option<String>,
    /// Only records of this tenant
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only records with this mechanism, for example `ECDSA_SHA256`
    #[arg(long)]
    pub mechanism: Option<String>,
    /// Only records with this tag
    #[arg(long)]
    pub tag: Option<String>,
    /// Only records that this rule of a policy, or alarm, decided or raised
    #[arg(long)]
    pub rule: Option<String>,
    /// Also what happened to the segments themselves, and heartbeats
    #[arg(long)]
    pub all: bool,
    /// Also records of this archive, which `kmss audit archive` made; may be repeated
    #[arg(long = "archive", value_name = "DIR")]
    pub archives: Vec<std::path::PathBuf>,
}

/// `kmss audit tail`
#[derive(Args, Debug)]
pub(crate) struct TailArgs {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    pub lines: usize,
    /// Go on as records come
    #[arg(short, long)]
    pub follow: bool,
    /// Which
    #[command(flatten)]
    pub records: RecordArgs,
    /// Begin each line with SEGMENT:SEQ, the record's name
    #[arg(long)]
    pub ids: bool,
    /// Colour what was refused, what failed, and alarms
    #[arg(long, value_enum, default_value_t = ColorArg::Auto, value_name = "WHEN")]
    pub color: ColorArg,
}

/// When there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// `kmss audit agent`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AgentArgs {
    /// Send what there is, and end (for cron): exit code 4 where some of it could not be delivered
    #[arg(long)]
    pub once: bool,
    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
}

/// `kmss audit agent …`
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Show for each destination what it has got, what waits for it, and what went wrong last
    Status,
    /// Forget a destination that is no longer configured: nothing waits for it any more
    Forget {
        /// Its name
        name: String,
    },
}

/// `kmss alarm …`
#[derive(Debug, Subcommand)]
pub(crate) enum AlarmCommand {
    /// Show the newest alarms
    List {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
        /// Only alarms from this time on: YYYY-MM-DD, RFC 3339, or how long ago (`90s`, `15m`, `6h`, `2d`)
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only alarms of this rule
        #[arg(long)]
        rule: Option<String>,
        /// Only alarms at least as bad as this: low, medium, high, critical
        #[arg(long, value_enum)]
        severity: Option<SeverityArg>,
    },
}

/// How bad an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum SeverityArg {
    /// For the record
    Low,
    /// Somebody should look
    Medium,
    /// Somebody must look today
    High,
    /// Somebody must look now
    Critical,
}

/// `kmss audit export`
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// As what
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// Which
    #[command(flatten)]
    pub records: RecordArgs,
}

/// What `kmss audit export` prints.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Comma-separated values with a line of column names (RFC 4180)
    Csv,
    /// Events of the Open Cybersecurity Schema Framework 1.3.0, one JSON object in a line
    Ocsf,
}
