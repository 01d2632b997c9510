//! What is under test: the shared object and the command that `cargo xtask test` built.
//!
//! `KMSS_MODULE` and `KMSS_COMMAND` name them. `KMSS_MODULE` may also name SoftHSM2: the tests then try their own
//! machinery on a second implementation, and what only KMSS has is skipped aloud.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The workspace's root.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace")
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

fn built(variable: &str, file: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| target().join("debug").join(file), PathBuf::from);
    assert!(
        path.exists(),
        "`{}` does not exist: run `cargo xtask test`, which builds it and sets {variable}",
        path.display()
    );
    path
}

/// The shared object.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn module() -> PathBuf {
    built("KMSS_MODULE", "libkmss.so")
}

/// The `kmss` command.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn command() -> PathBuf {
    built("KMSS_COMMAND", "kmss")
}

/// The `kmss-audit-verify` command.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn auditor() -> PathBuf {
    built("KMSS_AUDITOR", "kmss-audit-verify")
}

/// The `kmssd` server.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn server() -> PathBuf {
    built("KMSS_SERVER", "kmssd")
}

/// True where the tests try themselves on SoftHSM2 instead of KMSS.
#[must_use]
pub fn stand_in() -> bool {
    module().file_name().is_some_and(|name| name.to_string_lossy().contains("softhsm"))
}

/// Says aloud why a test, or a part of one, does not run; also where the harness keeps the output of tests that pass.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // `eprintln!` would be captured; a closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED in {test}: {why}");
}

/// True, said aloud, where the tests run on the stand-in, which has no `what`.
#[must_use]
pub fn only_kmss(what: &str) -> bool {
    let skip = stand_in();
    if skip {
        skipped(&format!("the stand-in module has no {what}"));
    }
    skip
}

/// The folder with the clients of a language that `cargo xtask setup` fetched; `None`, said aloud, where it could not.
///
/// # Panics
/// Where it has not run.
#[must_use]
pub fn clients(language: &str) -> Option<PathBuf> {
    let clients = target().join("clients");
    if let Ok(why) = std::fs::read_to_string(clients.join(format!("{language}.skipped"))) {
        skipped(&why);
        return None;
    }
    let folder = clients.join(language);
    assert!(folder.join("kmss-pins").exists(), "`{}` is not there: run `cargo xtask setup`", folder.display());
    Some(folder)
}

/// True where the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}
