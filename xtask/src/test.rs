//! `cargo xtask test`: everything that has to hold, in one command.

use crate::error::Error;
use crate::project::{Products, Project};
use crate::{bench, clients, dist, guests, header, packages};
use std::path::Path;
use std::time::Instant;

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
    // All tests, of which one has such a name: another selection would compile many dependencies anew.
    let job = project.cargo().args(["test", "--workspace", "--tests", "would_be_in_a_core_dump"]);
    job.env("KMSS_MODULE", &module).env("KMSS_COMMAND", &products.command).show()
}
