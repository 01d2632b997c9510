//! `cargo xtask fuzz`: coverage-guided fuzzing with cargo-fuzz, for as long as wanted.

use crate::error::Error;
use crate::project::Project;

/// What to fuzz.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One of `template`, `parameter`, `config`, `record`, `audit`; all, one after the other, where it is left out
    target: Option<String>,
    /// How long each runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
}

const TARGETS: [&str; 5] = ["template", "parameter", "config", "record", "audit"];

/// Runs the targets; stops at the first input that brings one down.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), Error> {
    let there = project.job("cargo").args(["+nightly", "fuzz", "--version"]).attempt();
    if !there.is_ok_and(|output| output.status.success()) {
        return Err(Error::check(
            "cargo-fuzz and a nightly toolchain are missing: run `rustup toolchain install nightly` and `cargo install \
             cargo-fuzz`; `cargo test -p fuzz-targets` runs the same targets for seconds without them",
        ));
    }
    let wanted = |name: &&str| options.target.as_deref().is_none_or(|only| only == *name);
    let chosen: Vec<&str> = TARGETS.into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(Error::check(format!("there is no such target; there are {}", TARGETS.join(", "))));
    }
    for target in chosen {
        eprintln!("fuzzing `{target}` for {} s", options.seconds);
        let time = format!("-max_total_time={}", options.seconds);
        let job = project.job("cargo").args(["+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", target, "--", &time]);
        job.limit_seconds(u64::from(options.seconds) + 3600).show()?;
    }
    Ok(())
}
