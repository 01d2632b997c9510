//! `cargo xtask fuzz`: coverage-guided fuzzing with cargo-fuzz, for as long as wanted.

use crate::error::Error;
use crate::project::Project;

/// What to fuzz.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One of `template`, `message`, `token`, `sealed_file`, `backup`, `parameter`, `config`, `record`, `audit`, `checkpoint`, `proof`, `wrapped`, `policy_request`, `policy_response`; all, one after the other, where it is left out
    target: Option<String>,
    /// How long each runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
}

const TARGETS: [&str; 16] = [
    "template",
    "message",
    "token",
    "sealed_file",
    "parameter",
    "config",
    "record",
    "archive",
    "audit",
    "backup",
    "checkpoint",
    "compat",
    "proof",
    "wrapped",
    "policy_request",
    "policy_response",
];

/// A program that fuzzing needs, how to ask for it, and the command that installs it.
const NEEDED: [(&str, &[&str], &str); 3] = [
    ("a nightly toolchain", &["cargo", "+nightly", "--version"], "rustup toolchain install nightly --profile minimal"),
    ("cargo-fuzz", &["cargo", "+nightly", "fuzz", "--version"], "cargo install --locked cargo-fuzz"),
    ("a C++ compiler", &["c++", "--version"], "apt-get install g++"),
];

/// Runs the targets; stops at the first input that brings one down.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), Error> {
    let wanted = |name: &&str| options.target.as_deref().is_none_or(|only| only == *name);
    let chosen: Vec<&str> = TARGETS.into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(Error::check(format!("there is no such target; there are {}", TARGETS.join(", "))));
    }
    check_tools(project)?;
    for target in chosen {
        eprintln!("fuzzing `{target}` for {} s", options.seconds);
        let time = format!("-max_total_time={}", options.seconds);
        let job = project.job("cargo").args(["+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", target, "--", &time]);
        // An input that takes ten seconds is a hang, and one that takes two gigabytes an outrage. What hangs on a key looks
        // like a leak: keys lie in mappings of their own, which the leak sanitizer does not search.
        let job = job.args(["-timeout=10", "-rss_limit_mb=2048", "-detect_leaks=0", "-print_final_stats=1"]);
        job.limit_seconds(u64::from(options.seconds) + 3600).show()?;
    }
    eprintln!("nothing was found; what was learnt is in fuzz/corpus");
    Ok(())
}

/// Asks for every program, and says how to install those that are missing.
fn check_tools(project: &Project) -> Result<(), Error> {
    let mut missing = Vec::new();
    for (what, command, cure) in NEEDED {
        let [program, arguments @ ..] = command else { continue };
        let there = project.job(program).args(arguments).attempt();
        if !there.is_ok_and(|output| output.status.success()) {
            missing.push(format!("  {what}: {cure}"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::check(format!(
        "fuzzing needs more than the other commands; install what is missing:\n{}\n`cargo test -p fuzz-targets` runs the \
         same targets for seconds without them",
        missing.join("\n")
    )))
}
