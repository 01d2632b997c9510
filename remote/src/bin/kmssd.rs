//! kmssd: KMSS as a server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use libkmss::config::Config;
use remote::server::{ServerConfig, begin_log, run};
use tracing_subscriber::filter::LevelFilter;

/// Serves keys over gRPC: over TLS with certificates on both sides, and over a Unix socket.
///
/// What is served, and where, says `[server]` of kmss.toml (docs/server.md).
#[derive(Debug, Parser)]
#[command(name = "kmssd", version)]
struct Arguments {
    /// The home, where it is not the one of the configuration.
    #[arg(long, value_name = "PATH")]
    home: Option<PathBuf>,

    /// How much is logged to standard error, as JSON.
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "KMSSD_LOG")]
    log: Level,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    begin_log(match arguments.log {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    });
    match serve(arguments.home) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("kmssd: {}", e.sentence());
            ExitCode::FAILURE
        }
    }
}

fn serve(home: Option<PathBuf>) -> libkmss::error::Result<()> {
    let mut config = Config::load()?;
    if let Some(home) = home {
        config = config.at(home);
    }
    let server = ServerConfig::of(&config)?;
    run(config, server)
}
