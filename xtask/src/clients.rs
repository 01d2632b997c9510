//! Clients that are not installed for the whole machine but in folders under `target/clients`: Python's from PyPI and
//! Node.js's from npm, at the versions and hashes that tests/python/requirements.txt and tests/node/package-lock.json
//! pin, and OpenSSL's pkcs11-provider, which Debian 12 has in its backports only. Beside them, Kryoptic: the second PKCS#11
//! module that backends are tested over, compiled from tests/kryoptic.
//!
//! Where an index cannot be reached, a file `<client>.skipped` says so, and the tests repeat it aloud.

use crate::error::Error;
use crate::process::Job;
use crate::project::{Project, create_folder, read, write};
use std::path::{Path, PathBuf};

/// Installs what is missing; quick when nothing is.
pub(crate) fn install(project: &Project) -> Result<(), Error> {
    python(project)?;
    node(project)?;
    provider(project)?;
    kryoptic(project)
}

/// Where one client's files go, and what says that they are there.
pub(crate) struct Place {
    folder: PathBuf,
    skipped: PathBuf,
    /// What was asked for when the folder was made; differs from what is asked for now after a change of versions.
    stamp: PathBuf,
    wanted: String,
}

impl Place {
    pub(crate) fn new(project: &Project, client: &str, wanted: String) -> Result<Place, Error> {
        let clients = project.target.join("clients");
        create_folder(&clients)?;
        let folder = clients.join(client);
        Ok(Place {
            skipped: clients.join(format!("{client}.skipped")),
            stamp: folder.join("kmss-pins"),
            folder,
            wanted,
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        read(&self.stamp).is_ok_and(|made| made == self.wanted)
    }

    /// Whether an installation was tried and given up.
    pub(crate) fn is_tried(&self) -> bool {
        self.skipped.exists()
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder anew.
    pub(crate) fn begin(&self) -> Result<(), Error> {
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
    pub(crate) fn end(&self, installed: Result<(), Error>, probe: Job, index: &str) -> Result<(), Error> {
        match installed {
            Ok(()) => self.done(),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) if probe.attempt().is_ok_and(|output| output.status.success()) => Err(error),
            Err(_) => self.skip(&format!("{index} could not be reached when `cargo xtask setup` ran")),
        }
    }

    /// Everything is there.
    pub(crate) fn done(&self) -> Result<(), Error> {
        write(&self.stamp, &self.wanted)
    }

    /// Lets the tests of this client say aloud why they do not run.
    pub(crate) fn skip(&self, why: &str) -> Result<(), Error> {
        eprintln!("note: {why}; the tests of its clients will be skipped");
        write(&self.skipped, why)
    }
}

fn python(project: &Project) -> Result<(), Error> {
    let place = Place::new(project, "python", read(&project.root.join("tests/python/requirements.txt"))?)?;
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
    let place = Place::new(project, "node", read(&project.root.join("tests/node/package-lock.json"))?)?;
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

/// Fetches the package without installing it, and without touching the machine's own list of sources.
fn provider(project: &Project) -> Result<(), Error> {
    let place = Place::new(project, "provider", "pkcs11-provider from bookworm-backports\n".to_owned())?;
    if place.is_ready() {
        return Ok(());
    }
    place.begin()?;
    eprintln!("fetching OpenSSL's pkcs11-provider");
    match fetch_provider(project, &place.folder) {
        Ok(()) => place.done(),
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(_) => place.skip("Debian 12 has no pkcs11-provider, and its backports could not be reached"),
    }
}

fn fetch_provider(project: &Project, folder: &Path) -> Result<(), Error> {
    // The mirror that this machine uses already.
    let targets =
        project.job("apt-get").args(["indextargets", "--format", "$(REPO_URI)", "Codename: bookworm"]).run()?;
    let mirror = targets.stdout.lines().next().unwrap_or_default().to_owned();
    if mirror.is_empty() {
        return Err(Error::check("this is no Debian 12"));
    }
    let source = format!(
        "Types: deb\nURIs: {mirror}\nSuites: bookworm-backports\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    );
    for part in ["apt/parts", "apt/lists/partial", "apt/cache/archives/partial"] {
        create_folder(&folder.join(part))?;
    }
    write(&folder.join("apt/parts/backports.sources"), &source)?;
    let apt = |words: &[&str]| {
        let apt = folder.join("apt");
        let job = project.job("apt-get").dir(folder).args(["--quiet", "-o", "Dir::Etc::SourceList=/dev/null"]);
        let options = [("Dir::Etc::SourceParts", "parts"), ("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")];
        options
            .iter()
            .fold(job, |job, (name, path)| job.arg("-o").arg(format!("{name}={}", apt.join(path).display())))
            // Its unprivileged user may not reach this folder.
            .args(["-o", "APT::Sandbox::User=root"])
            .args(words)
            .run()
    };
    apt(&["update"])?;
    apt(&["download", "pkcs11-provider"])?;
    let entries = std::fs::read_dir(folder).map_err(Error::file("read", folder))?;
    let package = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.ok_or_else(|| Error::check("apt-get downloaded nothing"))?;
    project.job("dpkg-deb").arg("--extract").arg(&package).arg(folder).run().map(drop)
}

/// Compiles Kryoptic against Debian's OpenSSL; what it was compiled with goes, the module stays.
fn kryoptic(project: &Project) -> Result<(), Error> {
    let source = project.root.join("tests/kryoptic");
    let parts = ["Cargo.toml", "Cargo.lock", "src/lib.rs"];
    let wanted = parts.iter().map(|part| read(&source.join(part))).collect::<Result<String, Error>>()?;
    let place = Place::new(project, "kryoptic", wanted)?;
    if place.is_ready() {
        return Ok(());
    }
    place.begin()?;
    eprintln!("compiling Kryoptic, a PKCS#11 module to test with");
    let manifest = source.join("Cargo.toml");
    let cargo = |verb: &str| project.cargo().args([verb, "--locked", "--manifest-path"]).arg(&manifest);
    let build = place.folder().join("build");
    let compiled = cargo("build").arg("--target-dir").arg(&build).show();
    let kept = compiled.and_then(|()| {
        let (made, kept) = ("debug/libkryoptic_pkcs11.so", place.folder().join("libkryoptic_pkcs11.so"));
        std::fs::copy(build.join(made), &kept).map_err(Error::file("copy to", &kept))?;
        std::fs::remove_dir_all(&build).map_err(Error::file("remove", &build))
    });
    place.end(kept, cargo("fetch"), "crates.io")
}
