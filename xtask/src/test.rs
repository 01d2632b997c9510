//! `cargo xtask test`: everything that has to hold, in one command.

use crate::error::Error;
use crate::project::{Products, Project};
use crate::{bench, clients, dist, guests, header, packages};
use std::path::Path;
use std::time::Instant;

/// The test that searches the memory of a process for keys (tests/tests/memory.rs).
const MEMORY_TEST: &str = "no_key_that_was_used_would_be_in_a_core_dump";

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on to `cargo test` (a filter, or `-- --nocapture`)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Installs, builds, checks the products, runs the tests.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), Error> {
    let start = Instant::now();
    packages::install(project, packages::ALL)?;
    clients::install(project)?;
    guests::setup(project)?;
    let products = project.build("dev")?;
    header::check(project)?;
    let rebuilt = guests::check(project)?;
    let exports = dist::check_shared_object(project, &products.module)?;
    bench::test_tool(project)?;
    cargo_test(project, &products, &rebuilt, &options.rest)?;
    if options.rest.is_empty() {
        memory_of_the_delivered(project, &products)?;
    }
    eprintln!(
        "\nall tests passed in {:.0} s; include/kmss.h is up to date; libkmss.so exports {exports} functions, all of \
         them C_Get* or kmss_*",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn cargo_test(project: &Project, products: &Products, guests: &Path, rest: &[String]) -> Result<(), Error> {
    // The paths are those of the build above: cargo makes cdylibs for tests under other names.
    let job = project.cargo().args(["test", "--workspace", "--no-fail-fast"]).args(rest);
    job.env("KMSS_MODULE", &products.module)
        .env("KMSS_COMMAND", &products.command)
        .env("KMSS_GUESTS", guests)
        .env("KMSS_INCLUDE", project.root.join("include"))
        .show()
}

/// What lies in memory is the optimiser's affair as much as ours: the module that is delivered is searched for keys as well.
fn memory_of_the_delivered(project: &Project, products: &Products) -> Result<(), Error> {
    let module = project.build_module()?;
    // All tests, of which one has this name: another selection would compile many dependencies anew.
    let job = project.cargo().args(["test", "--workspace", "--tests", MEMORY_TEST]);
    let said = job.env("KMSS_MODULE", &module).env("KMSS_COMMAND", &products.command).run()?;
    eprintln!("{}", said.stderr);
    passed(&said.stdout, MEMORY_TEST)
}

/// Fails where `test` is not among the tests that passed: cargo is content where nothing has the name that it was given.
fn passed(said: &str, test: &str) -> Result<(), Error> {
    let line = format!("test {test} ... ok");
    if said.lines().any(|one| one == line) {
        return Ok(());
    }
    Err(Error::check(format!("the test `{test}` did not run: the memory of the delivered module was not searched")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_did_not_run_did_not_pass() {
        let said = "\nrunning 1 test\ntest a_key ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert!(passed(said, "a_key").is_ok());
        assert!(passed(said, "key").is_err() && passed(said, "a_key_that_was_renamed").is_err());
        assert!(passed("running 0 tests\n\ntest result: ok. 0 passed; 0 failed", "a_key").is_err());
        assert!(passed("test a_key ... ignored", "a_key").is_err());
    }
}
