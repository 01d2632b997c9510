//! Options of every command.

use std::path::PathBuf;

use clap::Args;

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The home directory (else KMSS_HOME, a kmss.toml, or the default)
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "server")]
    pub home: Option<PathBuf>,
    /// Print JSON instead of tables and sentences
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the user PIN from this environment variable [default: KMSS_PIN where set]
    #[arg(long, global = true, value_name = "VAR")]
    pub pin_env: Option<String>,
    /// Read the user PIN from the first line of this file
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "pin_env")]
    pub pin_file: Option<PathBuf>,
    /// Read the SO PIN from this environment variable [default: KMSS_SO_PIN where set]
    #[arg(long, global = true, value_name = "VAR")]
    pub so_pin_env: Option<String>,
    /// Read the SO PIN from the first line of this file
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "so_pin_env")]
    pub so_pin_file: Option<PathBuf>,
    /// The server to work against, if any
    #[command(flatten)]
    pub server: ServerArgs,
}

/// The server to work against.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Work against a server instead of a home: unix:/path or https://host:port; with commas between, several that share a
    /// store [default: KMSS_SERVER where set]
    #[arg(long, global = true, value_name = "URI", value_delimiter = ',')]
    pub server: Vec<String>,
    /// Who vouches for the server (PEM) [default: KMSS_SERVER_CA where set]
    #[arg(long, global = true, value_name = "FILE")]
    pub server_ca: Option<PathBuf>,
    /// Our certificate (PEM) [default: KMSS_SERVER_CERT where set]
    #[arg(long, global = true, value_name = "FILE")]
    pub server_cert: Option<PathBuf>,
    /// Its private key (PEM) [default: KMSS_SERVER_KEY where set]
    #[arg(long, global = true, value_name = "FILE")]
    pub server_key: Option<PathBuf>,
    /// How long the server may take for a call, in seconds [default: 60]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub server_timeout: Option<u16>,
}
