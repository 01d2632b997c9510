//! The project's own commands: `cargo xtask demo`, `test`, `dist`, `deb`, `bench`, `header`, `mechanisms`, `fuzz`, `guests` and `setup`.

mod bench;
mod clients;
mod deb;
mod demo;
mod dist;
mod documents;
mod error;
mod fuzz;
mod guests;
mod header;
mod packages;
mod process;
mod progress;
mod project;
mod suite;
mod test;

use clap::{Parser, Subcommand};
use error::Error;
use process::Interrupt;
use project::Project;
use std::error::Error as _;
use std::process::ExitCode;

/// Commands for building, showing, testing and measuring KMSS.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main job: nginx, OpenSSL, Java and pkcs11-tool with keys that live in KMSS
    Demo(demo::Options),
    /// Install what is missing, build, and run all tests
    Test(test::Options),
    /// Make `target/dist`: the command, the shared object, the header, man pages, completions and description files
    Dist,
    /// Make a Debian package of `target/dist`
    Deb,
    /// Compare with SoftHSM2 and write docs/BENCHMARKS.md
    Bench(bench::Options),
    /// Write include/kmss.h from the sources of the C ABI
    Header {
        /// Only compare, and fail when the file is out of date
        #[arg(long)]
        check: bool,
    },
    /// Write the tables of docs/mechanisms.md from the table of mechanisms
    Mechanisms,
    /// Fuzz every parser that hostile bytes reach
    Fuzz(fuzz::Options),
    /// Build the policies of policy-modules/ with the toolchains that are here
    Guests(guests::Options),
    /// Install the Debian, Python and Node.js packages that demo, test and bench use
    Setup,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Interrupted) => {
            eprintln!("\ninterrupted; everything that was started is stopped");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(source) = cause {
                eprintln!("  caused by: {source}");
                cause = source.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    let interrupt = Interrupt::watch()?;
    let project = Project::find(interrupt)?;
    match command {
        Command::Demo(options) => demo::run(&project, &options),
        Command::Test(options) => test::run(&project, &options),
        Command::Dist => dist::run(&project),
        Command::Deb => deb::run(&project),
        Command::Bench(options) => bench::run(&project, &options),
        Command::Header { check: true } => header::check(&project),
        Command::Header { check: false } => {
            header::write_header(&project).map(|path| println!("wrote {}", path.display()))
        }
        Command::Mechanisms => {
            let test = project.cargo().args(["test", "-p", "pkcs11-provider", "the_documentation_lists"]);
            test.env("KMSS_WRITE_DOCS", "1").show()
        }
        Command::Fuzz(options) => fuzz::run(&project, &options),
        Command::Guests(options) => guests::run(&project, &options),
        Command::Setup => {
            packages::install(&project, packages::ALL)?;
            clients::install(&project)?;
            guests::setup(&project)?;
            println!("every package is there");
            Ok(())
        }
    }
}
