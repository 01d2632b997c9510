//! policy-modules/guests.lock: which toolchain made which module of which sources.

use super::{Guest, folder};
use crate::error::Error;
use crate::project::{Project, read, write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const HEAD: &str = "\
# What made each module of prebuilt/. Written by `cargo xtask guests`, compared by `cargo xtask guests --check`.

";

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    #[serde(default, rename = "module")]
    modules: Vec<Locked>,
}

/// One module.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Locked {
    pub(super) file: String,
    /// Everything that decides which bytes come out.
    pub(super) toolchain: String,
    bytes: u64,
    pub(super) sha256: String,
    /// SHA-256 over the names and contents of its sources.
    pub(super) sources: String,
}

impl Lock {
    pub(super) fn read(project: &Project) -> Result<Lock, Error> {
        let path = path(project);
        if !path.exists() {
            return Ok(Lock::default());
        }
        let text = read(&path)?;
        toml::from_str(&text).map_err(|error| Error::check(format!("cannot read `{}`: {error}", path.display())))
    }

    pub(super) fn write(&self, project: &Project) -> Result<(), Error> {
        let text = toml::to_string(self).map_err(|error| Error::check(format!("cannot write the lock: {error}")))?;
        write(&path(project), &format!("{HEAD}{text}"))
    }

    pub(super) fn find(&self, guest: &Guest) -> Option<&Locked> {
        self.modules.iter().find(|locked| locked.file == guest.file)
    }

    /// Adds a module, or replaces what was known of it.
    pub(super) fn put(&mut self, locked: Locked) {
        self.modules.retain(|other| other.file != locked.file);
        self.modules.push(locked);
        self.modules.sort_by(|a, b| a.file.cmp(&b.file));
    }

    /// Fails where the committed module is not the locked one.
    pub(super) fn check(&self, guest: &Guest, file: &Path) -> Result<(), Error> {
        let found = hex(&Sha256::digest(bytes(file)?));
        match self.find(guest) {
            Some(locked) if locked.sha256 == found => Ok(()),
            _ => Err(Error::check(format!(
                "`{}` is not the one in policy-modules/guests.lock: run `cargo xtask guests` and commit both",
                file.display()
            ))),
        }
    }
}

impl Locked {
    pub(super) fn of(project: &Project, guest: &Guest, toolchain: String, file: &Path) -> Result<Locked, Error> {
        let module = bytes(file)?;
        Ok(Locked {
            file: guest.file.to_owned(),
            toolchain,
            bytes: module.len() as u64,
            sha256: hex(&Sha256::digest(&module)),
            sources: sources(project, guest)?,
        })
    }
}

/// SHA-256 over a module's sources.
pub(super) fn sources(project: &Project, guest: &Guest) -> Result<String, Error> {
    let folder = folder(project);
    let mut files = Vec::new();
    for part in guest.language.shared_sources().iter().chain([&guest.source]) {
        list(&folder.join(part), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(&folder).unwrap_or(&file).to_string_lossy().into_owned();
        let contents = bytes(&file)?;
        hash.update(format!("{} {name} {} ", name.len(), contents.len()));
        hash.update(&contents);
    }
    Ok(hex(&hash.finalize()))
}

/// The files at and below a path.
fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(Error::file("read", path))? {
        let entry = entry.map_err(Error::file("read", path))?.path();
        if entry.file_name().is_some_and(|name| name != "target") {
            list(&entry, files)?;
        }
    }
    Ok(())
}

fn path(project: &Project) -> PathBuf {
    folder(project).join("guests.lock")
}

fn bytes(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(Error::file("read", file))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
