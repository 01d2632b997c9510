//! Clients that Debian does not package: Python's from PyPI and Node.js's from npm, at the versions and hashes that
//! tests/python/requirements.txt and tests/node/package-lock.json pin, in folders under `target/clients`.
//!
//! Where an index cannot be reached, a file `<language>.skipped` says so, and the tests repeat it aloud.

use crate::error::Error;
use crate::process::Job;
use crate::project::{Project, create_folder, read, write};
use std::path::{Path, PathBuf};

/// Installs what is missing; quick when nothing is.
pub(crate) fn install(project: &Project) -> Result<(), Error> {
    python(project)?;
    node(project)
}

/// Where one language's packages go, and what says that they are there.
struct Place {
    folder: PathBuf,
    skipped: PathBuf,
    /// What was asked for when the folder was made; differs from what is asked for now after a change of versions.
    stamp: PathBuf,
    wanted: String,
}

impl Place {
    fn new(project: &Project, language: &str, pins: &str) -> Result<Place, Error> {
        let clients = project.target.join("clients");
        create_folder(&clients)?;
        let folder = clients.join(language);
        Ok(Place {
            skipped: clients.join(format!("{language}.skipped")),
            stamp: folder.join("kmss-pins"),
            folder,
            wanted: read(&project.root.join(pins))?,
        })
    }

    fn is_ready(&self) -> bool {
        read(&self.stamp).is_ok_and(|made| made == self.wanted)
    }

    fn begin(&self) -> Result<(), Error> {
        for old in [&self.folder, &self.skipped] {
            let removed = if old.is_dir() { std::fs::remove_dir_all(old) } else { std::fs::remove_file(old) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", old)(error));
                }
                _ => {}
            }
        }
        create_folder(&self.folder)
    }

    /// Ends an installation. One that failed is an error, unless `probe` shows that its index cannot be reached.
    fn end(&self, installed: Result<(), Error>, probe: Job, index: &str) -> Result<(), Error> {
        match installed {
            Ok(()) => write(&self.stamp, &self.wanted),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) if probe.attempt().is_ok_and(|output| output.status.success()) => Err(error),
            Err(_) => {
                eprintln!("note: {index} cannot be reached; the tests of its clients will be skipped");
                write(&self.skipped, &format!("{index} could not be reached when `cargo xtask setup` ran"))
            }
        }
    }
}

fn python(project: &Project) -> Result<(), Error> {
    let place = Place::new(project, "python", "tests/python/requirements.txt")?;
    if place.is_ready() {
        return Ok(());
    }
    place.begin()?;
    eprintln!("installing Python clients");
    // Debian's own, whose venv module is among our packages, rather than whatever is first on the path.
    let debian = Path::new("/usr/bin/python3");
    let python = if debian.exists() { debian } else { Path::new("python3") };
    project.job(python).args(["-m", "venv"]).arg(&place.folder).run()?;
    let pip = || {
        let pip = project.job(place.folder.join("bin/python")).args(["-m", "pip", "--disable-pip-version-check"]);
        pip.args(["--retries", "1"])
    };
    let install = pip().args(["install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--requirement"]);
    let installed = install.arg(project.root.join("tests/python/requirements.txt")).run().map(drop);
    place.end(installed, pip().args(["index", "versions", "PyKCS11"]), "PyPI")
}

fn node(project: &Project) -> Result<(), Error> {
    let place = Place::new(project, "node", "tests/node/package-lock.json")?;
    if place.is_ready() {
        return Ok(());
    }
    place.begin()?;
    eprintln!("installing Node.js clients");
    for file in ["package.json", "package-lock.json"] {
        write(&place.folder.join(file), &read(&project.root.join("tests/node").join(file))?)?;
    }
    let npm = || {
        let npm = project.job("npm").dir(&place.folder).env("npm_config_fetch_retries", "1");
        // The addon is compiled against the headers that are installed rather than some that are fetched.
        if Path::new("/usr/include/node/config.gypi").exists() { npm.env("npm_config_nodedir", "/usr") } else { npm }
    };
    let installed = npm().args(["ci", "--no-audit", "--no-fund", "--silent"]).run().map(drop);
    place.end(installed, npm().args(["view", "pkcs11js", "version"]), "the npm registry")
}
