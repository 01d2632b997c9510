//! Policies in Rego: `opa`, or one that Go can install.

use super::{Found, Guest, Toolchain, first_line, folder};
use crate::clients::Place;
use crate::error::Error;
use crate::project::Project;
use std::path::{Path, PathBuf};

/// What `go install` is asked for; what a policy compiles to depends on it.
const VERSION: &str = "v1.4.2";
/// The oldest Go (1.x) that compiles it.
const GO: u32 = 23;

struct Opa {
    program: PathBuf,
    version: String,
}

fn place(project: &Project) -> Result<Place, Error> {
    Place::new(project, "opa", format!("opa {VERSION}\n"))
}

/// The first that runs: the one that `KMSS_OPA` names, the path's, ours.
fn opa(project: &Project) -> Result<Option<Opa>, Error> {
    let named = std::env::var_os("KMSS_OPA").map(PathBuf::from);
    let ours = place(project)?.folder().join("opa");
    let mut programs = named.into_iter().chain([PathBuf::from("opa"), ours]);
    Ok(programs.find_map(|program| {
        let about = project.job(&program).arg("version").attempt().ok().filter(|output| output.status.success())?;
        let line = |name: &str| about.stdout.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // Go packs the bundle.
        let version = format!("opa {}, {}", line("Version:")?, line("Go Version:").unwrap_or("unknown Go"));
        Some(Opa { program, version })
    }))
}

pub(super) fn setup(project: &Project) -> Result<(), Error> {
    let place = place(project)?;
    if opa(project)?.is_some() || place.is_tried() || !has_go(project) {
        return Ok(());
    }
    place.begin()?;
    eprintln!("installing opa {VERSION}");
    let module = format!("github.com/open-policy-agent/opa@{VERSION}");
    let go = project.job("go").env("GOBIN", place.folder()).env("GOFLAGS", "-trimpath").env("CGO_ENABLED", "0");
    match go.args(["install", &module]).limit_seconds(600).run() {
        Ok(_) => place.done(),
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(_) => place.skip(&format!("`go install {module}` failed")),
    }
}

fn has_go(project: &Project) -> bool {
    let version = first_line(project.job("go").args(["env", "GOVERSION"])).unwrap_or_default();
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split('.').next()).and_then(|word| word.parse().ok());
    minor.is_some_and(|minor: u32| minor >= GO)
}

pub(super) fn find(project: &Project) -> Result<Found, Error> {
    Ok(match opa(project)? {
        Some(opa) => Found::Here(Box::new(opa)),
        None => Found::Missing(format!(
            "there is no `opa`: put it on the path or name it in KMSS_OPA, or install Go 1.{GO}, with which `cargo xtask \
             setup` installs opa {VERSION}"
        )),
    })
}

impl Toolchain for Opa {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn build(&self, project: &Project, guest: &Guest, out: &Path) -> Result<(), Error> {
        // From the folder of the policies: a bundle holds its sources under the paths that they were named by.
        let rego = folder(project).join("rego");
        let name = guest.name();
        let package = if name == "payment-hsm" { "payment" } else { name };
        let job = project.job(&self.program).dir(&rego).args(["build", "--target", "wasm", "--entrypoint"]);
        let job = job.arg(format!("kmss/{package}/decision")).arg("--output").arg(out);
        job.arg(format!("{name}/policy.rego")).arg(format!("{name}/data.json")).run().map(drop)
    }
}
