//! `cargo xtask bench`: KMSS, SoftHSM2, NSS softokn and the bare calls of aws-lc measured in turns by p11bench, keys in HSMs and on
//! servers by wirebench, written to
//! docs/BENCHMARKS.md.

mod backends;
mod marks;
mod others;
mod policies;
mod report;
mod services;

use crate::error::Error;
use crate::packages;
use crate::process::Job;
use crate::project::{DELIVERED, Products, Project, create_folder, read, write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where Debian's softhsm2 puts its module.
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// What NSS calls the token that its database is.
const NSS_LABEL: &str = "NSS Certificate DB";
/// What session keys are measured with: everything that uses a key, and sessions themselves.
const SESSION: &str = "rsa2048-*,p256-*,ed25519-*,aes256-*,sha256-*,hmac-*,random-*,session-*";
/// What `--quick` leaves out: what no mark is about.
const NOT_QUICK: &str = "rsa3072-*,rsa4096-*,p384-*,p521-*,secp256k1-*,*-keygen,*-dec-*,rsa2048-decrypt-*,rsa2048-*-pss,\
                         x25519-*,random-16k,random-1m";
/// Most seconds to fill our own token with the objects of one size.
const FIND_BUDGET: u32 = 150;
/// The tokens are thrown away afterwards.
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
    /// Only keys in HSMs and on servers; docs/BENCHMARKS.md is then left as it is
    #[arg(long)]
    elsewhere: bool,
    /// Only messages, data keys, tokens and many keys; docs/BENCHMARKS.md is then left as it is
    #[arg(long)]
    services: bool,
    /// Length of one run of one module [default: 1, with --quick 0.2]
    #[arg(long)]
    seconds: Option<f64>,
    /// Rounds, in which the modules run in turns [default: 5, with --quick 3]
    #[arg(long)]
    rounds: Option<u32>,
    /// Thread counts
    #[arg(long, default_value = "1,2")]
    threads: String,
    /// A further module to compare with, as NAME=PATH; it needs a token `bench` with the PIN 24681357, which kryoptic is given
    #[arg(long, value_name = "NAME=PATH")]
    module: Vec<String>,
    /// Most seconds per row to wait for quiet moments on a machine that others use as well
    #[arg(long, default_value_t = 0)]
    wait_quiet: u32,
}

impl Options {
    /// Seconds and rounds as arguments, and seconds to fill another module's token for finds.
    fn times(&self) -> (String, String, u32) {
        let (seconds, rounds, budget) = if self.quick { (0.2, 3, 20) } else { (1.0, 5, FIND_BUDGET) };
        (self.seconds.unwrap_or(seconds).to_string(), self.rounds.unwrap_or(rounds).to_string(), budget)
    }

    /// How many keys a home is filled with.
    const fn keys(&self) -> u32 {
        if self.quick { 100_000 } else { 1_000_000 }
    }
}

/// Installs, builds, measures, reports.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), Error> {
    packages::install(project, packages::BENCH)?;
    let products = project.build(DELIVERED)?;
    let scratch = tempfile::Builder::new().prefix("kmss-bench-").tempdir();
    let scratch = scratch.map_err(Error::file("create", &std::env::temp_dir()))?;
    let (seconds, rounds, _) = options.times();
    if options.elsewhere {
        let backends = backends::Backends::measure(project, &products, &scratch, (&seconds, &rounds))?;
        print!("{}", backends.markdown());
        return Ok(());
    }
    if options.services {
        print!("{}", services::Services::measure(project, &products, &scratch, (&seconds, options.keys()))?.markdown());
        return Ok(());
    }
    let tool = build_tool(project)?;
    let modules = Modules {
        kmss: products.module.clone(),
        // aws-lc without any module, in the workers' protocol.
        bare: project.build_example("bare_awslc")?,
        home: kmss_token(project, &products, &scratch)?,
        softhsm: softhsm_token(project, &scratch)?,
        nss: nss_token(project, &scratch)?,
        others: options
            .module
            .iter()
            .map(|module| others::Other::prepare(project, &scratch, module))
            .collect::<Result<_, _>>()?,
    };
    let results = measure(project, options, &tool, &modules, true)?;
    let session = measure(project, options, &tool, &modules, false)?;
    let policies = policies::Policies::measure(project, &products, &tool, &scratch, (&seconds, &rounds))?;
    let services = services::Services::measure(project, &products, &scratch, (&seconds, options.keys()))?;
    let backends = backends::Backends::measure(project, &products, &scratch, (&seconds, &rounds))?;
    print!("{}", results.marks_for_people());
    for line in marks::slower_with_session_keys(&session) {
        println!("  session keys: {line}");
    }
    let sections = policies.markdown() + &services.markdown() + &backends.markdown();
    print!("{sections}");
    if options.only.is_none() {
        let path = project.root.join("docs/BENCHMARKS.md");
        create_folder(&project.root.join("docs"))?;
        write(&path, &results.markdown(&session, &sections, &report::Machine::look(project)?))?;
        println!("report: {}", path.display());
    }
    Ok(())
}

/// What is measured, and where its tokens are.
struct Modules {
    kmss: PathBuf,
    bare: PathBuf,
    home: PathBuf,
    softhsm: PathBuf,
    nss: Option<(PathBuf, PathBuf)>,
    others: Vec<others::Other>,
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

/// A database for NSS softokn, and its module; `None` where Debian's package has put it elsewhere.
fn nss_token(project: &Project, scratch: &TempDir) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let places = [format!("{folder}/libsoftokn3.so"), format!("{folder}/nss/libsoftokn3.so")];
    let Some(module) = places.iter().map(PathBuf::from).find(|path| path.is_file()) else { return Ok(None) };
    let (folder, pin) = (scratch.path().join("nss"), scratch.path().join("nss.pin"));
    create_folder(&folder)?;
    write(&pin, PIN)?;
    let database = format!("sql:{}", folder.display());
    project.job("certutil").args(["-N", "-d", &database, "-f"]).arg(&pin).run()?;
    Ok(Some((module, folder)))
}

/// One run of p11bench: with token keys everything, with session keys what uses keys.
fn measure(
    project: &Project,
    options: &Options,
    tool: &Path,
    modules: &Modules,
    token_keys: bool,
) -> Result<report::Results, Error> {
    let (seconds, rounds, budget) = options.times();
    let json = project.target.join(if token_keys { "bench.json" } else { "bench-session.json" });
    let mut job = project.job(tool).limit_seconds(6 * 3600);
    job = job.arg("--module").arg(&modules.kmss).args(["--name", "kmss", "--token-label", LABEL, "--pin", PIN]);
    job = job.arg("--module-env").arg(format!("KMSS_HOME={}", modules.home.display()));
    for vendor in VENDOR {
        job = job.args(["--vendor", vendor]);
    }
    job = job.args(["--vs", SOFTHSM, "--name", "softhsm2"]);
    job = job.arg("--module-env").arg(format!("SOFTHSM2_CONF={}", modules.softhsm.display()));
    if let Some((module, folder)) = &modules.nss {
        let settings =
            format!("configdir='sql:{}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=", folder.display());
        job =
            job.arg("--vs").arg(module).args(["--name", "nss", "--token-label", NSS_LABEL, "--module-init", &settings]);
    }
    for other in &modules.others {
        job = other.add_to(job);
    }
    job = job.arg("--bare").arg(&modules.bare);
    if token_keys {
        // A hundred thousand objects take the others more time than there is; what they reached is said.
        job = job.args(["--token-keys", "--threads", &options.threads, "--find-sizes", "100,10000,100000"]);
    } else {
        job = job.args(["--threads", "1"]);
    }
    job = job.args(["--keep-objects", "--seconds", &seconds, "--rounds", &rounds]);
    job = job.args(["--find-budget", &FIND_BUDGET.to_string(), "--find-budget-vs", &budget.to_string()]);
    job = job.args(["--wait-quiet", &options.wait_quiet.to_string()]);
    if options.quick && options.only.is_none() {
        job = job.args(["--skip", NOT_QUICK]);
    }
    match (&options.only, token_keys) {
        (Some(only), _) => job = job.args(["--only", only]),
        (None, true) => {}
        (None, false) => job = job.args(["--only", SESSION]),
    }
    job.arg("--json").arg(&json).show()?;
    println!("figures: {}", json.display());
    report::Results::parse(&read(&json)?)
}
