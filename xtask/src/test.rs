//! `cargo xtask test`: everything that has to hold, in one command.

use crate::error::Error;
use crate::project::{Products, Project};
use crate::{bench, clients, dist, guests, header, packages, suite};
use std::path::Path;
use std::time::Instant;

/// The test that searches the memory of a process for keys (tests/tests/memory.rs).
const MEMORY_TEST: &str = "no_key_that_was_used_would_be_in_a_core_dump";

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to test, passed on to `cargo test`: a filter, or `--test many_keys -- --nocapture`
    #[arg(allow_hyphen_values = true)]
    selection: Vec<String>,
    /// Passed on to every test executable where all are run: `-- --test-threads=4`
    #[arg(last = true)]
    arguments: Vec<String>,
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
    if options.selection.is_empty() && options.arguments.is_empty() {
        // The optimiser of the whole needs one processor for long, and the tests leave some of it.
        let module = tests(project, &products, &rebuilt, options, || project.build_module())?;
        memory_of_the_delivered(project, &products, &module)?;
    } else {
        tests(project, &products, &rebuilt, options, || Ok(()))?;
    }
    eprintln!(
        "\nall tests passed in {:.0} s; include/kmss.h is up to date; libkmss.so exports {exports} functions, all of \
         them C_Get* or kmss_*",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The tests that the options select; all of them where they select none, with `meanwhile` beside them.
fn tests<T: Send>(
    project: &Project,
    products: &Products,
    guests: &Path,
    options: &Options,
    meanwhile: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    // The paths are those of the build above: cargo makes cdylibs for tests under other names.
    let include = project.root.join("include");
    let variables = [
        ("KMSS_MODULE", products.module.as_path()),
        ("KMSS_COMMAND", products.command.as_path()),
        ("KMSS_GUESTS", guests),
        ("KMSS_INCLUDE", include.as_path()),
    ];
    if options.selection.is_empty() {
        return suite::run(project, &variables, &options.arguments, meanwhile);
    }
    let job = project.cargo().args(["test", "--workspace", "--no-fail-fast"]).args(&options.selection);
    variables.iter().fold(job, |job, (name, value)| job.env(name, value)).show()?;
    meanwhile()
}

/// What lies in memory is the optimiser's affair as much as ours: the module that is delivered is searched for keys as well.
fn memory_of_the_delivered(project: &Project, products: &Products, module: &Path) -> Result<(), Error> {
    // All tests, of which one has this name: another selection would compile many dependencies anew.
    let job = project.cargo().args(["test", "--workspace", "--tests", MEMORY_TEST]);
    let said = job.env("KMSS_MODULE", module).env("KMSS_COMMAND", &products.command).run()?;
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
    use clap::Parser as _;

    #[test]
    fn what_is_selected_goes_to_cargo_and_what_stands_alone_behind_dashes_to_each_executable() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        let read = |line: &str| {
            let Line { options } = Line::parse_from(line.split(' '));
            (options.selection.join(" "), options.arguments.join(" "))
        };
        let is = |line, selection: &str, arguments: &str| assert_eq!(read(line), (selection.into(), arguments.into()));
        is("test", "", "");
        is("test name", "name", "");
        is("test -- --test-threads=2", "", "--test-threads=2");
        is("test --test hsm name -- --nocapture", "--test hsm name -- --nocapture", "");
    }

    #[test]
    fn a_test_that_did_not_run_did_not_pass() {
        let said = "\nrunning 1 test\ntest a_key ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert!(passed(said, "a_key").is_ok());
        assert!(passed(said, "key").is_err() && passed(said, "a_key_that_was_renamed").is_err());
        assert!(passed("running 0 tests\n\ntest result: ok. 0 passed; 0 failed", "a_key").is_err());
        assert!(passed("test a_key ... ignored", "a_key").is_err());
    }
}
