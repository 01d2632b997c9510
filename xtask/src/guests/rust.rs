//! Policies in Rust: rustup's wasm32-unknown-unknown where it is installed; else the compiler and the library's sources
//! that Debian packs for browsers (rustc-web, rust-web-src), unpacked below `target` and never installed.

use super::{Found, Guest, Toolchain, copy, first_line, folder};
use crate::clients::Place;
use crate::error::Error;
use crate::process::Job;
use crate::project::Project;
use std::path::{Path, PathBuf};

const TARGET: &str = "wasm32-unknown-unknown";
const HOW: &str = "run `rustup target add wasm32-unknown-unknown`";
/// The prefixes of the packages that are unpacked, of all that rustc-web depends on.
const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "libstd-rust-web", "libllvm"];

/// Unpacks what a compiler needs of one package; of the sources only the library (the compiler's own are large).
const UNPACK: &str = r#"
set -eu
case "$1" in
*rust-web-src*) dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards './usr/src/rustc-*/library' ./usr/lib/rustlib ;;
*) dpkg-deb --extract "$1" "$2" ;;
esac
rm "$1"
"#;

/// A linker for WebAssembly.
pub(super) struct Linker {
    pub(super) program: PathBuf,
    /// What makes it one for WebAssembly.
    pub(super) words: &'static [&'static str],
    pub(super) version: String,
}

impl Linker {
    /// The one that comes with rustc, else LLVM's.
    pub(super) fn find(project: &Project) -> Option<Linker> {
        let bundled = rustc_library(project).map(|library| library.join("bin/rust-lld"));
        let numbered = (14..=22).rev().map(|number| PathBuf::from(format!("wasm-ld-{number}")));
        let bundled = bundled.into_iter().map(|program| (program, &["-flavor", "wasm"] as &[_]));
        let llvm = std::iter::once(PathBuf::from("wasm-ld")).chain(numbered).map(|program| (program, &[] as &[_]));
        bundled.chain(llvm).find_map(|(program, words)| {
            let line = first_line(project.job(&program).args(words).arg("--version"))?;
            // `LLD 22.1.2 (where it was built)`
            let version = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            Some(Linker { program, words, version })
        })
    }
}

/// `lib/rustlib/<host>` of the compiler in use.
fn rustc_library(project: &Project) -> Option<PathBuf> {
    let sysroot = first_line(project.job("rustc").args(["--print", "sysroot"]))?;
    let about = project.job("rustc").arg("-vV").attempt().ok()?.stdout;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(Path::new(&sysroot).join("lib/rustlib").join(host))
}

struct Rust {
    compiler: Compiler,
    version: String,
}

enum Compiler {
    Rustup,
    Debian { root: PathBuf, libraries: PathBuf, linker: PathBuf },
}

pub(super) fn find(project: &Project) -> Result<Found, Error> {
    if has_target(project) {
        let version = first_line(project.job("rustc").arg("--version")).unwrap_or_default();
        return Ok(Found::Here(Box::new(Rust { compiler: Compiler::Rustup, version: format!("{version}, {TARGET}") })));
    }
    let place = place(project)?;
    if !place.is_ready() {
        return Ok(Found::Missing(format!("there is no Rust compiler for {TARGET}: {HOW}")));
    }
    let Some(linker) = Linker::find(project) else {
        return Ok(Found::Missing(format!("neither rust-lld nor wasm-ld is here: {HOW}, or install Debian's lld")));
    };
    let root = place.folder().join("usr");
    let Some(libraries) = driver_folder(&root.join("lib")) else {
        return Ok(Found::Missing(format!("Debian's rustc-web is not as it was: {HOW}")));
    };
    // Not every version packs what the library stands on.
    if !vendored(&root).is_dir() {
        let why = format!("Debian's rust-web-src lacks the sources that `core` is built with here: {HOW}");
        return Ok(Found::Missing(why));
    }
    let rustc = project.job(root.join("bin/rustc")).env("LD_LIBRARY_PATH", &libraries).arg("--version");
    let (Some(rustc), Some(cargo)) = (first_line(rustc), first_line(project.cargo().arg("--version"))) else {
        return Ok(Found::Missing(format!("Debian's rustc-web does not run here: {HOW}")));
    };
    let version = format!("{rustc}, core from its sources, {cargo}, {}", linker.version);
    Ok(Found::Here(Box::new(Rust { compiler: Compiler::Debian { root, libraries, linker: linker.program }, version })))
}

/// The sources of other crates that the library's own need.
fn vendored(root: &Path) -> PathBuf {
    root.join("lib/rustlib/src/rust/library/vendor")
}

/// Whether the compiler in use has the target's library.
fn has_target(project: &Project) -> bool {
    first_line(project.job("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_some_and(|folder| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()))
}

/// The folder that holds the compiler's own library; it is named by the machine.
fn driver_folder(lib: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(lib).ok()?.flatten().map(|entry| entry.path());
    folders.into_iter().find(|folder| {
        std::fs::read_dir(folder).is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("librustc_driver")))
        })
    })
}

impl Toolchain for Rust {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn build(&self, project: &Project, guest: &Guest, out: &Path) -> Result<(), Error> {
        let target = project.target.join("guests-build");
        let job = cargo(project).args(["build", "--quiet", "--release", "--locked", "--target", TARGET]);
        let job = job.args(["--package", guest.name()]).arg("--target-dir").arg(&target);
        let job = match &self.compiler {
            Compiler::Rustup => job,
            Compiler::Debian { root, libraries, linker } => {
                // The library's own dependencies come with its sources; nothing is fetched.
                let vendor = vendored(root);
                job.args(["--offline", "-Zbuild-std=core", "--config", "source.crates-io.replace-with=\"vendor\""])
                    .arg("--config")
                    .arg(format!("source.vendor.directory={:?}", vendor.display().to_string()))
                    .env("RUSTC", root.join("bin/rustc"))
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("LD_LIBRARY_PATH", libraries)
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
            }
        };
        job.run()?;
        copy(&target.join(TARGET).join("release").join(guest.name().replace('-', "_")).with_extension("wasm"), out)
    }
}

/// `cargo` where the policies are, with their own flags.
fn cargo(project: &Project) -> Job {
    // Flags from the environment would take the place of those in .cargo/config.toml.
    let job = project.cargo().dir(&folder(project).join("rust"));
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"].into_iter().fold(job, Job::without_env)
}

/// Format, lints and tests of the policies on the machine itself.
pub(super) fn test_natively(project: &Project) -> Result<(), Error> {
    let target = project.target.join("guests-build");
    cargo(project).args(["fmt", "--all", "--check"]).run()?;
    let lints = cargo(project).args(["clippy", "--locked", "--all-targets", "--target-dir"]).arg(&target);
    lints.args(["--", "-D", "warnings"]).run()?;
    cargo(project).args(["test", "--locked", "--target-dir"]).arg(&target).run().map(drop)
}

fn place(project: &Project) -> Result<Place, Error> {
    Place::new(project, "rustc-web", "rustc-web and rust-web-src, unpacked\n".to_owned())
}

pub(super) fn setup(project: &Project) -> Result<(), Error> {
    let place = place(project)?;
    let is_debian = Path::new("/etc/debian_version").exists();
    if has_target(project) || place.is_ready() || !is_debian {
        return Ok(());
    }
    place.begin()?;
    eprintln!("fetching Debian's Rust compiler for WebAssembly");
    match fetch(project, place.folder()) {
        Ok(()) => place.done(),
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) => {
            eprintln!("note: {error}");
            Ok(())
        }
    }
}

/// Downloads and unpacks, without installing anything.
fn fetch(project: &Project, folder: &Path) -> Result<(), Error> {
    // Asked as if nothing were installed, so that the answer names the compiler's own libraries in any case.
    let simulate = project.job("apt-get").args(["install", "--simulate", "--no-install-recommends"]);
    let answer = simulate.args(["-o", "Dir::State::status=/dev/null", "rustc-web", "rust-web-src"]).run()?;
    let names = answer.stdout.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| PACKAGES.iter().any(|prefix| name.starts_with(prefix))).collect();
    let download = || {
        let job = project.job("apt-get").dir(folder).args(["download", "--quiet", "-o", "APT::Sandbox::User=root"]);
        job.args(&names).run()
    };
    if download().is_err() {
        // The lists may be older than the archive.
        project.job("apt-get").args(["update", "--quiet"]).run()?;
        download()?;
    }
    let entries = std::fs::read_dir(folder).map_err(Error::file("read", folder))?;
    for package in
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "deb"))
    {
        project.job("/bin/sh").args(["-c", UNPACK, "unpack"]).arg(&package).arg(folder).run()?;
    }
    Ok(())
}
