//! kmssd: KMSS as a server.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::{Shell, generate};
use libkmss::config::Config;
use libkmss::error::Result;
use remote::server::{ServerConfig, begin_log, dev, run};
use tracing::level_filters::LevelFilter;

/// Serve keys over gRPC: over TLS with certificates on both sides, and over a Unix socket
///
/// What is served, and where, says the section server of kmss.toml. It stops on SIGTERM or SIGINT, when what came in by then is
/// answered.
#[derive(Debug, Parser)]
#[command(name = "kmssd", version)]
struct Arguments {
    /// The home, where it is not the one of the configuration
    #[arg(long, value_name = "PATH")]
    home: Option<PathBuf>,
    /// How much is logged to standard error, as JSON
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "KMSSD_LOG", global = true)]
    log: Level,
    /// Print the man page or completions
    #[arg(long, value_enum, hide = true)]
    generate: Option<Document>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a throw-away server on loopback and a Unix socket, and print how to get in
    Dev {
        /// The port; a free one where it is 0
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

/// What the command writes about itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Document {
    Man,
    Bash,
    Zsh,
    Fish,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(document) = arguments.generate {
        return if print(document).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    begin_log(match arguments.log {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    });
    let served = match arguments.command {
        Some(Command::Dev { port }) => dev(port),
        None => serve(arguments.home),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("kmssd: {}", e.sentence());
            ExitCode::FAILURE
        }
    }
}

fn serve(home: Option<PathBuf>) -> Result<()> {
    let mut config = Config::load()?;
    if let Some(home) = home {
        config = config.at(home);
    }
    let server = ServerConfig::of(&config)?;
    run(config, server)
}

fn print(document: Document) -> std::io::Result<()> {
    let mut command = Arguments::command();
    let mut text = Vec::new();
    let mut complete = |shell| generate(shell, &mut Arguments::command(), "kmssd", &mut text);
    match document {
        Document::Bash => complete(Shell::Bash),
        Document::Zsh => complete(Shell::Zsh),
        Document::Fish => complete(Shell::Fish),
        Document::Man => {
            command.build();
            clap_mangen::Man::new(command).render(&mut text)?;
        }
    }
    std::io::stdout().write_all(&text)
}
