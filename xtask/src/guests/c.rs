//! Policies in C: any clang that knows wasm32, and the linker that comes with rustc, or LLVM's own.

use super::rust::Linker;
use super::{Found, Guest, Toolchain, first_line, folder};
use crate::error::Error;
use crate::project::Project;
use std::path::Path;

const COMPILE: [&str; 9] = [
    "--target=wasm32-unknown-unknown",
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-fno-builtin",
    "-fvisibility=hidden",
];

/// One page of memory and no more.
const LINK: [&str; 7] = [
    "--no-entry",
    "--strip-all",
    "--stack-first",
    "-z",
    "stack-size=8192",
    "--initial-memory=65536",
    "--max-memory=65536",
];

struct Clang {
    program: String,
    version: String,
    linker: Linker,
}

pub(super) fn find(project: &Project) -> Result<Found, Error> {
    let numbered = (14..=22).rev().map(|number| format!("clang-{number}"));
    let clang = std::iter::once("clang".to_owned()).chain(numbered).find_map(|program| {
        let targets = project.job(&program).arg("--print-targets").attempt().ok()?;
        let version = first_line(project.job(&program).arg("--version"))?;
        targets.stdout.contains("wasm32").then_some((program, version))
    });
    let Some((program, version)) = clang else {
        return Ok(Found::Missing("there is no clang for wasm32: run `apt-get install clang`".to_owned()));
    };
    Ok(match Linker::find(project) {
        Some(linker) => Found::Here(Box::new(Clang { program, version, linker })),
        None => Found::Missing("neither rust-lld nor wasm-ld is here: run `apt-get install lld`".to_owned()),
    })
}

impl Toolchain for Clang {
    fn version(&self) -> String {
        format!("{}, {}", self.version, self.linker.version)
    }

    fn build(&self, project: &Project, guest: &Guest, out: &Path) -> Result<(), Error> {
        let object = project.target.join(format!("{}.o", guest.name()));
        // From the folder of the policies, so that no path of this machine gets into the object.
        let compile = project.job(&self.program).dir(&folder(project)).args(COMPILE);
        compile.args(["-c", guest.source, "-o"]).arg(&object).run()?;
        let link = project.job(&self.linker.program).args(self.linker.words).args(LINK);
        link.arg("-o").arg(out).arg(&object).run()?;
        std::fs::remove_file(&object).map_err(Error::file("remove", &object))
    }
}
