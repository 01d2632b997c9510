//! `cargo xtask bench`: KMSS and SoftHSM2 measured in turns by p11bench, written to docs/BENCHMARKS.md.

mod report;

use crate::error::Error;
use crate::packages;
use crate::process::Job;
use crate::project::{Products, Project, create_folder, read, write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where Debian's softhsm2 puts its module.
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// Both tokens are thrown away afterwards.
const LABEL: &str = "bench";
const PIN: &str = "24681357";
const SO_PIN: &str = "13572468";
/// The SM mechanisms under the numbers that KMSS shares with Luna; SoftHSM2 has none of them.
const VENDOR: &[&str] =
    &["sm2-keygen=0x80000B20", "sm2-sign=0x80000B21", "sm3=0x80000B01", "sm4-keygen=0x80000B10", "sm4-cbc=0x80000B12"];

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A few minutes instead of half an hour; the figures are rougher
    #[arg(long)]
    quick: bool,
    /// Only these workloads (comma list, `*` matches anything); docs/BENCHMARKS.md is then left as it is
    #[arg(long)]
    only: Option<String>,
    /// Length of one run of one module [default: 1, with --quick 0.2]
    #[arg(long)]
    seconds: Option<f64>,
    /// Rounds, in which the modules run in turns [default: 5, with --quick 3]
    #[arg(long)]
    rounds: Option<u32>,
    /// Thread counts
    #[arg(long, default_value = "1,2")]
    threads: String,
    /// Most seconds per row to wait for quiet moments on a machine that others use as well
    #[arg(long, default_value_t = 0)]
    wait_quiet: u32,
}

/// Installs, builds, measures, reports.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), Error> {
    packages::install(project, packages::BENCH)?;
    let products = project.build("release")?;
    let tool = build_tool(project)?;
    let scratch = tempfile::Builder::new().prefix("kmss-bench-").tempdir();
    let scratch = scratch.map_err(Error::file("create", &std::env::temp_dir()))?;
    let home = kmss_token(project, &products, &scratch)?;
    let softhsm = softhsm_token(project, &scratch)?;
    let json = project.target.join("bench.json");
    measure(project, options, &tool, &products.module, &home, &softhsm, &json)?;
    let results = report::Results::parse(&read(&json)?)?;
    print!("{}", results.marks_for_people());
    println!("figures: {}", json.display());
    if options.only.is_none() {
        let path = project.root.join("docs/BENCHMARKS.md");
        create_folder(&project.root.join("docs"))?;
        write(&path, &results.markdown(&report::Machine::look(project)?))?;
        println!("report: {}", path.display());
    }
    Ok(())
}

/// p11bench is a workspace of its own, so that nothing of it reaches the products.
fn tool(project: &Project, command: &str) -> (Job, PathBuf) {
    let target = project.target.join("p11bench");
    let job = project.cargo().args([command, "--locked", "--manifest-path"]);
    let job = job.arg(project.root.join("tests/p11bench/Cargo.toml")).arg("--target-dir").arg(&target);
    (job, target)
}

fn build_tool(project: &Project) -> Result<PathBuf, Error> {
    let (job, target) = tool(project, "build");
    job.arg("--release").show()?;
    Ok(target.join("release/p11bench"))
}

/// Runs p11bench's own tests.
pub(crate) fn test_tool(project: &Project) -> Result<(), Error> {
    tool(project, "test").0.arg("--quiet").run().map(drop)
}

fn kmss_token(project: &Project, products: &Products, scratch: &TempDir) -> Result<PathBuf, Error> {
    let home = scratch.path().join("kmss");
    let kmss =
        || project.job(&products.command).env("KMSS_HOME", &home).env("KMSS_PIN", PIN).env("KMSS_SO_PIN", SO_PIN);
    kmss().args(["home", "init"]).run()?;
    kmss().args(["token", "init", LABEL]).run()?;
    Ok(home)
}

fn softhsm_token(project: &Project, scratch: &TempDir) -> Result<PathBuf, Error> {
    let tokens = scratch.path().join("softhsm");
    create_folder(&tokens)?;
    let config = scratch.path().join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    write(&config, &text)?;
    project
        .job("softhsm2-util")
        .env("SOFTHSM2_CONF", &config)
        .args(["--init-token", "--free", "--label", LABEL, "--so-pin", SO_PIN, "--pin", PIN])
        .run()?;
    Ok(config)
}

fn measure(
    project: &Project,
    options: &Options,
    tool: &Path,
    module: &Path,
    home: &Path,
    softhsm: &Path,
    json: &Path,
) -> Result<(), Error> {
    let (seconds, rounds, budget) = if options.quick { (0.2, 3, 20) } else { (1.0, 5, 150) };
    let seconds = options.seconds.unwrap_or(seconds).to_string();
    let rounds = options.rounds.unwrap_or(rounds).to_string();
    let mut job = project.job(tool).limit_seconds(6 * 3600);
    job = job.arg("--module").arg(module).args(["--name", "kmss", "--token-label", LABEL, "--pin", PIN]);
    job = job.arg("--module-env").arg(format!("KMSS_HOME={}", home.display()));
    for vendor in VENDOR {
        job = job.args(["--vendor", vendor]);
    }
    job = job.args(["--vs", SOFTHSM, "--name", "softhsm2"]);
    job = job.arg("--module-env").arg(format!("SOFTHSM2_CONF={}", softhsm.display()));
    job = job.args(["--token-keys", "--keep-objects", "--threads", &options.threads]);
    job = job.args(["--seconds", &seconds, "--rounds", &rounds, "--find-sizes", "100,10000"]);
    job = job.args(["--find-budget", &budget.to_string(), "--wait-quiet", &options.wait_quiet.to_string()]);
    if let Some(only) = &options.only {
        job = job.args(["--only", only]);
    }
    job.arg("--json").arg(json).show()
}
