//! C programs of the tests, compiled strictly and run like any other client.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::built;
use crate::home::Home;
use crate::program::Program;

/// Where compiled programs go; the folder lives as long as the test process.
fn folder() -> &'static tempfile::TempDir {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder can be made"))
}

/// Compiles `tests/c/<name>.c` and gives the program's path. `extra` is handed to the compiler at the end.
///
/// # Panics
/// With the compiler's words, where it does not compile without a warning.
#[must_use]
pub fn compile(name: &str, extra: &[&str]) -> PathBuf {
    compile_as(name, name, extra)
}

/// As [`compile`], into a file with a name of its own.
///
/// # Panics
/// As [`compile`].
#[must_use]
pub fn compile_as(name: &str, out: &str, extra: &[&str]) -> PathBuf {
    let out = folder().path().join(out);
    if !out.exists() {
        let source = built::workspace().join("tests/c").join(name).with_extension("c");
        let scratch = tempfile::Builder::new().tempfile_in(folder()).expect("a file can be made").into_temp_path();
        let cc = Program::new("cc").words("-std=c99 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread -o");
        cc.arg(&scratch).arg(source).args(extra).arg("-ldl").succeed();
        // Two tests may compile the same program: the last one to finish wins, whole.
        std::fs::rename(&scratch, &out).expect("the folder is ours");
    }
    out
}

/// A C program of the tests on `home`; its first argument is the module.
///
/// # Panics
/// Where it does not compile.
#[must_use]
pub fn program(home: &Home, name: &str) -> Program {
    Program::new(compile(name, &[])).envs(&home.variables()).within(home.folder()).arg(built::module())
}
