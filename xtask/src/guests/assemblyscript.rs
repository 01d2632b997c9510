//! Policies in AssemblyScript: the compiler from npm, at the versions of policy-modules/assemblyscript/package-lock.json.

use super::{Found, Guest, Toolchain, copy, first_line, folder};
use crate::clients::Place;
use crate::error::Error;
use crate::project::{Project, create_folder, read};
use std::path::{Path, PathBuf};

struct AssemblyScript {
    /// Where the compiler is installed. Sources are copied there, because a transform finds the compiler beside itself.
    folder: PathBuf,
    version: String,
}

fn place(project: &Project) -> Result<Place, Error> {
    let lock = read(&folder(project).join("assemblyscript/package-lock.json"))?;
    Place::new(project, "assemblyscript", lock)
}

pub(super) fn setup(project: &Project) -> Result<(), Error> {
    let place = place(project)?;
    if place.is_ready() || first_line(project.job("npm").arg("--version")).is_none() {
        return Ok(());
    }
    place.begin()?;
    eprintln!("installing the AssemblyScript compiler");
    let sources = folder(project).join("assemblyscript");
    for file in ["package.json", "package-lock.json"] {
        copy(&sources.join(file), &place.folder().join(file))?;
    }
    let npm = || project.job("npm").dir(place.folder()).env("npm_config_fetch_retries", "1");
    let installed = npm().args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).run().map(drop);
    place.end(installed, npm().args(["view", "assemblyscript", "version"]), "the npm registry")
}

pub(super) fn find(project: &Project) -> Result<Found, Error> {
    let place = place(project)?;
    let folder = place.folder().to_owned();
    let asc = project.job("node").arg(folder.join("node_modules/assemblyscript/bin/asc.js")).arg("--version");
    let version = if place.is_ready() { first_line(asc) } else { None };
    Ok(match version {
        Some(version) => {
            let version = format!("AssemblyScript {}", version.trim_start_matches("Version "));
            Found::Here(Box::new(AssemblyScript { folder, version }))
        }
        None => Found::Missing(
            "the AssemblyScript compiler is not here: install Node.js 20 and npm, and run `cargo xtask setup`"
                .to_owned(),
        ),
    })
}

impl Toolchain for AssemblyScript {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn build(&self, project: &Project, guest: &Guest, out: &Path) -> Result<(), Error> {
        let sources = folder(project).join("assemblyscript");
        create_folder(&self.folder.join("assembly"))?;
        let policy = guest.source.trim_start_matches("assemblyscript/");
        for file in ["asconfig.json", "rules.mjs", "assembly/kmss.ts", policy] {
            copy(&sources.join(file), &self.folder.join(file))?;
        }
        let asc = project.job("node").dir(&self.folder).arg("node_modules/assemblyscript/bin/asc.js");
        asc.args([policy, "--outFile"]).arg(out).run().map(drop)
    }
}
