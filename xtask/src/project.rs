//! Where things are: the checkout, its build folder, and what `cargo` makes there.

use crate::error::Error;
use crate::process::{Interrupt, Job};
use std::path::{Path, PathBuf};

/// The profile of what is delivered; tests of its memory and benchmarks look at the same.
pub(crate) const DELIVERED: &str = "dist";

/// The checkout that the command works on.
pub(crate) struct Project {
    /// The workspace's folder.
    pub(crate) root: PathBuf,
    /// The build folder, `target` unless `CARGO_TARGET_DIR` says otherwise.
    pub(crate) target: PathBuf,
    /// Set when the user wants us to stop.
    pub(crate) interrupt: Interrupt,
}

/// Where a build put the two products.
pub(crate) struct Products {
    /// The shared object with both faces.
    pub(crate) module: PathBuf,
    /// The `kmss` command.
    pub(crate) command: PathBuf,
    /// The `kmss-audit-verify` command.
    pub(crate) auditor: PathBuf,
    /// The `kmssd` server.
    pub(crate) server: PathBuf,
}

impl Project {
    /// The workspace that this very crate belongs to.
    pub(crate) fn find(interrupt: Interrupt) -> Result<Project, Error> {
        // `cargo run` says where the package is; a binary called by hand falls back to where it was built.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = package.parent().filter(|root| root.join("Cargo.toml").is_file());
        let root = root.ok_or_else(|| Error::check("run this as `cargo xtask` inside the checkout"))?.to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Project { root, target, interrupt })
    }

    /// A program run from the checkout's folder.
    pub(crate) fn job(&self, program: impl AsRef<std::ffi::OsStr>) -> Job {
        Job::new(program, &self.interrupt).dir(&self.root)
    }

    /// The same `cargo` that runs us.
    pub(crate) fn cargo(&self) -> Job {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // Builds may take long on a small machine.
        self.job(cargo).limit_seconds(3 * 3600)
    }

    /// Builds the shared object and the command; cargo's own progress is shown.
    pub(crate) fn build(&self, profile: &str) -> Result<Products, Error> {
        // The tests need the whole workspace and what they alone depend on: building a part of it first would unite the
        // dependencies' features in another way and compile many of them twice.
        let packages = if profile == "dev" {
            ["--workspace", "--all-targets"].as_slice()
        } else {
            ["--package", "pkcs11-provider", "--package", "cli", "--package", "audit-verify"].as_slice()
        };
        self.cargo_build(profile, packages)?;
        if profile != "dev" {
            // By itself: nothing of a server's dependencies gets into the shared object.
            self.cargo_build(profile, &["--package", "remote", "--bin", "kmssd"])?;
        }
        let folder = self.products(profile);
        let products = Products {
            module: folder.join("libkmss.so"),
            command: folder.join("kmss"),
            auditor: folder.join("kmss-audit-verify"),
            server: folder.join("kmssd"),
        };
        for file in [&products.module, &products.command, &products.auditor, &products.server] {
            if !file.is_file() {
                return Err(Error::check(format!("the build did not make `{}`", file.display())));
            }
        }
        Ok(products)
    }

    /// Builds the delivered shared object without the command; it is the same as with it.
    pub(crate) fn build_module(&self) -> Result<PathBuf, Error> {
        // The command's package is named for its say in the dependencies' features; it has no library.
        self.cargo_build(
            DELIVERED,
            &["--package", "pkcs11-provider", "--package", "cli", "--package", "audit-verify", "--lib"],
        )?;
        let module = self.products(DELIVERED).join("libkmss.so");
        if module.is_file() { Ok(module) } else { Err(Error::check("the build did not make `libkmss.so`")) }
    }

    /// Builds an example of the core with the settings of what is delivered.
    pub(crate) fn build_example(&self, name: &str) -> Result<PathBuf, Error> {
        self.cargo_build(DELIVERED, &["--package", "libkmss", "--example", name])?;
        Ok(self.products(DELIVERED).join("examples").join(name))
    }

    fn cargo_build(&self, profile: &str, what: &[&str]) -> Result<(), Error> {
        let job = self.cargo().args(["build", "--profile", profile]).args(what);
        job.arg("--target-dir").arg(self.target_of(profile)).show()
    }

    /// Cargo would put the profile `dist` into the very folder that `cargo xtask dist` makes.
    fn target_of(&self, profile: &str) -> PathBuf {
        if profile == DELIVERED { self.target.join("dist-build") } else { self.target.clone() }
    }

    fn products(&self, profile: &str) -> PathBuf {
        self.target_of(profile).join(if profile == "dev" { "debug" } else { profile })
    }
}

/// Creates a folder and those above it.
pub(crate) fn create_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(Error::file("create", path))
}

/// Writes a text file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::file("write", path))
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::file("read", path))
}
