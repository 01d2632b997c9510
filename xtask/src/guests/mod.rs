//! `cargo xtask guests`: the policies of policy-modules/, built with the toolchains that are here.
//!
//! The modules are committed (policy-modules/prebuilt), so that tests run everywhere; policy-modules/guests.lock says
//! what built each. `--check` builds them again: byte for byte the same where the toolchain is that of the lock.

mod assemblyscript;
mod c;
mod lock;
mod rego;
mod rust;
mod texts;

use crate::error::Error;
use crate::process::Job;
use crate::project::{Project, create_folder};
use lock::{Lock, Locked};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What to do.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Change nothing: build again what can be built here, compare, and run the cases
    #[arg(long)]
    check: bool,
}

/// One policy.
pub(crate) struct Guest {
    /// The file in policy-modules/prebuilt.
    file: &'static str,
    language: Language,
    /// Where its sources are, in the folder of its language; what that means is the language's own.
    source: &'static str,
}

impl Guest {
    const fn new(file: &'static str, language: Language, source: &'static str) -> Guest {
        Guest { file, language, source }
    }

    /// The file's name without its end.
    fn name(&self) -> &'static str {
        self.file.split('.').next().unwrap_or(self.file)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    C,
    AssemblyScript,
    Rego,
}

const GUESTS: [Guest; 8] = [
    Guest::new("business-hours.wasm", Language::Rust, "rust/business-hours"),
    Guest::new("dual-control.wasm", Language::Rust, "rust/dual-control"),
    Guest::new("geo-cidr.wasm", Language::C, "c/geo-cidr.c"),
    Guest::new("key-age.wasm", Language::AssemblyScript, "assemblyscript/assembly/key-age.ts"),
    Guest::new("log-platform.wasm", Language::C, "c/log-platform.c"),
    Guest::new("payment-hsm.tar.gz", Language::Rego, "rego/payment-hsm"),
    Guest::new("rbac.tar.gz", Language::Rego, "rego/rbac"),
    Guest::new("tenant-rate.wasm", Language::AssemblyScript, "assemblyscript/assembly/tenant-rate.ts"),
];

const LANGUAGES: [Language; 4] = [Language::Rust, Language::C, Language::AssemblyScript, Language::Rego];

impl Language {
    const fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::AssemblyScript => "AssemblyScript",
            Self::Rego => "Rego",
        }
    }

    /// What of policy-modules/ goes into every module of the language.
    const fn shared_sources(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["sdk", "rust/Cargo.toml", "rust/Cargo.lock", "rust/.cargo"],
            Self::C => &["c/kmss_policy.h"],
            Self::AssemblyScript => &[
                "assemblyscript/assembly/kmss.ts",
                "assemblyscript/rules.mjs",
                "assemblyscript/asconfig.json",
                "assemblyscript/package-lock.json",
            ],
            Self::Rego => &[],
        }
    }

    fn find(self, project: &Project) -> Result<Found, Error> {
        match self {
            Self::Rust => rust::find(project),
            Self::C => c::find(project),
            Self::AssemblyScript => assemblyscript::find(project),
            Self::Rego => rego::find(project),
        }
    }

    fn guests(self) -> impl Iterator<Item = &'static Guest> {
        GUESTS.iter().filter(move |guest| guest.language == self)
    }
}

/// Whether a language can be built here.
enum Found {
    Here(Box<dyn Toolchain>),
    /// Why not, and what to do about it.
    Missing(String),
}

/// Builds the policies of one language.
trait Toolchain {
    /// Everything that decides which bytes come out.
    fn version(&self) -> String;

    /// Builds one policy into a file.
    fn build(&self, project: &Project, guest: &Guest, out: &Path) -> Result<(), Error>;
}

/// Fetches the toolchains that can be fetched into folders below `target`; quick when they are there.
pub(crate) fn setup(project: &Project) -> Result<(), Error> {
    rust::setup(project)?;
    assemblyscript::setup(project)?;
    rego::setup(project)
}

/// `cargo xtask guests`.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), Error> {
    setup(project)?;
    if !options.check {
        return build_all(project);
    }
    let rebuilt = check(project)?;
    let test = project.cargo().args(["test", "--package", "libkmss", "--test", "guests"]);
    test.env("KMSS_GUESTS", rebuilt).show()
}

/// Builds into policy-modules/prebuilt, and writes down what did it.
fn build_all(project: &Project) -> Result<(), Error> {
    eprintln!("guests of tests: {} assembled", texts::assemble_all(&project.root)?);
    let mut lock = Lock::read(project)?;
    let prebuilt = prebuilt(project);
    create_folder(&prebuilt)?;
    for language in LANGUAGES {
        match language.find(project)? {
            Found::Missing(why) => tell(language, &format!("not built: {why}")),
            Found::Here(toolchain) => {
                for guest in language.guests() {
                    let file = prebuilt.join(guest.file);
                    toolchain.build(project, guest, &file)?;
                    // Linkers make executables.
                    std::fs::set_permissions(&file, Permissions::from_mode(0o644))
                        .map_err(Error::file("set the mode of", &file))?;
                    lock.put(Locked::of(project, guest, toolchain.version(), &file)?);
                }
                tell(language, &format!("built with {}", toolchain.version()));
            }
        }
    }
    lock.write(project)
}

/// Compares the lock with what is committed, builds what can be built here and compares that too. Returns the folder
/// with what was built, for the cases.
pub(crate) fn check(project: &Project) -> Result<PathBuf, Error> {
    eprintln!("guests of tests: {} are what their texts become", texts::check(&project.root)?);
    let lock = Lock::read(project)?;
    for guest in &GUESTS {
        lock.check(guest, &prebuilt(project).join(guest.file))?;
    }
    rust::test_natively(project)?;
    let out = project.target.join("guests");
    if out.is_dir() {
        std::fs::remove_dir_all(&out).map_err(Error::file("remove", &out))?;
    }
    create_folder(&out)?;
    for language in LANGUAGES {
        match language.find(project)? {
            Found::Missing(why) => {
                let stale = stale(project, &lock, language)?;
                tell(language, &format!("not rebuilt, the cases are run with what is committed{stale}: {why}"));
            }
            Found::Here(toolchain) => compare(project, &lock, language, toolchain.as_ref(), &out)?,
        }
    }
    Ok(out)
}

fn compare(
    project: &Project,
    lock: &Lock,
    language: Language,
    toolchain: &dyn Toolchain,
    out: &Path,
) -> Result<(), Error> {
    let version = toolchain.version();
    let mut same = 0;
    for guest in language.guests() {
        let file = out.join(guest.file);
        toolchain.build(project, guest, &file)?;
        let rebuilt = Locked::of(project, guest, version.clone(), &file)?;
        match lock.find(guest) {
            Some(locked) if locked.toolchain != version => {}
            Some(locked) if locked.sha256 == rebuilt.sha256 => same += 1,
            _ => {
                return Err(Error::check(format!(
                    "`policy-modules/prebuilt/{}` is not what {version} makes of the sources: run `cargo xtask guests` \
                     and commit it",
                    guest.file
                )));
            }
        }
    }
    let built = language.guests().count();
    if same == built {
        tell(language, &format!("{built} modules rebuilt with {version}: the same bytes"));
    } else {
        let locked = language.guests().find_map(|guest| lock.find(guest)).map_or("", |locked| &locked.toolchain);
        tell(
            language,
            &format!(
                "{built} modules rebuilt with {version}; those that are committed were built with {locked}, so bytes \
                 are not compared, only the cases are run"
            ),
        );
    }
    Ok(())
}

/// Says so where sources changed since the modules were built.
fn stale(project: &Project, lock: &Lock, language: Language) -> Result<&'static str, Error> {
    for guest in language.guests() {
        let sources = lock::sources(project, guest)?;
        if lock.find(guest).is_some_and(|locked| locked.sources != sources) {
            return Ok(" (but their sources changed since)");
        }
    }
    Ok("")
}

fn tell(language: Language, what: &str) {
    eprintln!("guests in {}: {what}", language.name());
}

fn prebuilt(project: &Project) -> PathBuf {
    project.root.join("policy-modules/prebuilt")
}

fn folder(project: &Project) -> PathBuf {
    project.root.join("policy-modules")
}

/// The first line that a program prints, where it can be started.
fn first_line(job: Job) -> Option<String> {
    let output = job.attempt().ok().filter(|output| output.status.success())?;
    Some(output.stdout.lines().next()?.trim().to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::copy(from, to).map(drop).map_err(Error::file("copy", from))
}
