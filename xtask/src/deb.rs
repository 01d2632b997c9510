//! `cargo xtask deb`: a Debian package of what `cargo xtask dist` makes (the metadata is in cli/Cargo.toml).

use crate::dist;
use crate::error::Error;
use crate::process::Job;
use crate::project::{Project, create_folder, write};
use std::path::{Path, PathBuf};

/// p11-kit looks for names without a folder in the multi-arch folder only, where a package with a command has no place.
const P11_KIT: &str = "\
# KMSS for every program that uses p11-kit.
module: /usr/lib/pkcs11/libkmss_pkcs11.so
priority: 1
";

/// What every package must hold.
const CONTENTS: [&str; 20] = [
    "/usr/bin/kmss",
    "/usr/bin/kmss-audit-verify",
    "/usr/bin/kmssd",
    "/libkmss.so",
    "/libkmss_pkcs11.so -> libkmss.so",
    "/pkcs11/libkmss_pkcs11.so -> ../libkmss.so",
    "/usr/include/kmss.h",
    "/pkgconfig/kmss.pc",
    "/usr/share/p11-kit/modules/kmss.module",
    "/usr/lib/systemd/system/kmss-audit-seal.timer",
    "/usr/share/man/man1/kmss-audit-verify.1",
    "/usr/share/man/man1/kmssd.1",
    "/usr/share/man/man1/kmss-key-import.1",
    "/usr/share/man/man3/kmss.3",
    "/usr/share/bash-completion/completions/kmss",
    "/usr/share/zsh/vendor-completions/_kmss",
    "/usr/share/fish/vendor_completions.d/kmss.fish",
    "/etc/kmss/kmss.toml",
    "/usr/lib/systemd/system/kmss-audit-agent.service",
    "/usr/lib/systemd/system/kmssd.service",
];

/// Makes the package in `target/debian`, and looks whether it holds what it should and runs.
pub(crate) fn run(project: &Project) -> Result<(), Error> {
    let tool = tool(project)?;
    dist::run(project)?;
    let entry = project.target.join("dist/debian/kmss.module");
    create_folder(entry.parent().unwrap_or(&project.target))?;
    write(&entry, P11_KIT)?;
    let folder = project.target.join("debian");
    dist::remove(&folder)?;
    let build = Job::new(&tool, &project.interrupt).dir(&project.root).limit_seconds(1800);
    let build = build.args(["deb", "--package", "cli", "--no-build", "--no-strip", "--profile", "dist"]);
    build.arg("--output").arg(&folder).env("CARGO_TARGET_DIR", &project.target).show()?;
    let package = only_file(&folder)?;
    check(project, &package)?;
    println!("made {}; install it with: apt-get install {}", package.display(), package.display());
    Ok(())
}

/// cargo-deb, installed beside the build where it is missing.
fn tool(project: &Project) -> Result<PathBuf, Error> {
    let root = project.target.join("tools");
    let ours = root.join("bin/cargo-deb");
    let installed = project.job("cargo-deb").arg("--version").attempt();
    if installed.is_ok_and(|said| said.status.success()) {
        return Ok("cargo-deb".into());
    }
    if !ours.is_file() {
        eprintln!("installing cargo-deb into {}", root.display());
        // A build folder of its own: ours has other features and profiles.
        let build = project.cargo().args(["install", "cargo-deb", "--version", "^3", "--locked", "--root"]).arg(&root);
        build.env("CARGO_TARGET_DIR", root.join("build")).show()?;
    }
    Ok(ours)
}

/// Lists the package, unpacks it elsewhere, and runs the command from there on the module from there.
fn check(project: &Project, package: &Path) -> Result<(), Error> {
    let list = project.job("dpkg-deb").arg("--contents").arg(package).run()?.stdout;
    if let Some(missing) = missing(&list) {
        return Err(Error::check(format!("`{}` lacks `{missing}`", package.display())));
    }
    let folder = tempfile::tempdir().map_err(|e| Error::file("create", Path::new("a temporary folder"))(e))?;
    let root = folder.path().join("root");
    project.job("dpkg-deb").arg("--extract").arg(package).arg(&root).run()?;
    let module = list.lines().find(|line| line.contains("/pkcs11/libkmss_pkcs11.so"));
    let module = module.and_then(|line| line.split_whitespace().find(|word| word.starts_with("./")));
    let module = root.join(module.unwrap_or_default().trim_start_matches("./"));
    let home = folder.path().join("home");
    let kmss = |words: &[&str]| {
        let pins = project.job(root.join("usr/bin/kmss")).args(words).env("KMSS_HOME", &home);
        pins.env("KMSS_PIN", "user-1234").env("KMSS_SO_PIN", "officer-1234")
    };
    kmss(&["token", "init", "trial"]).run()?;
    kmss(&["key", "generate", "key", "--token", "trial", "--type", "ec:p256"]).run()?;
    let probe = kmss(&["probe"]).arg(&module).run()?;
    if !probe.stdout.contains("trial") {
        return Err(Error::check(format!("the module of the package shows no token: {}", probe.text())));
    }
    Ok(())
}

/// The first of [`CONTENTS`] that a list of `dpkg-deb --contents` lacks.
fn missing(list: &str) -> Option<&'static str> {
    CONTENTS
        .into_iter()
        .find(|wanted| !list.lines().any(|line| line.ends_with(wanted) || line.ends_with(&format!("{wanted}.gz"))))
}

fn only_file(folder: &Path) -> Result<PathBuf, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("read", folder))?;
    let mut files =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "deb"));
    files.next().ok_or_else(|| Error::check(format!("cargo-deb left no package in `{}`", folder.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_package_without_one_of_its_files_is_refused() {
        let line = |path: &str| format!("-rw-r--r-- root/root 9 2026-01-01 00:00 ./x{path}");
        let all: Vec<String> = CONTENTS.iter().map(|path| line(path)).collect();
        assert_eq!(missing(&all.join("\n")), None);
        assert_eq!(missing(&all[1..].join("\n")), Some(CONTENTS[0]));
        assert_eq!(missing(""), Some(CONTENTS[0]));
    }
}
