//! The test executables of the workspace, some at a time: most of them wait more than they compute, for the programs they
//! start and for the disk (docs/adr/0068-time-of-ci.md).

use crate::error::Error;
use crate::process::{Job, Output};
use crate::project::Project;
use serde::Deserialize;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Executables at a time; each has as many threads as there are processors.
const AT_A_TIME: usize = 3;

/// Those that ask whether something took no longer than a few times what it should: by themselves, after all else.
const ALONE: [&str; 2] = ["contract_faults", "remote"];

/// How long one executable may take: as `cargo test`, long enough for a machine that is slow.
const LIMIT_SECONDS: u64 = 3600;

/// The end of an executable's output where its failures are listed.
const FAILURES: &str = "\nfailures:\n";

/// A test executable.
struct Executable {
    /// The target's name, which for a library is its crate's.
    name: String,
    path: PathBuf,
    /// The package's folder, which `cargo test` runs it in.
    folder: PathBuf,
}

impl fmt::Display for Executable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let package = self.folder.file_name().unwrap_or_default();
        write!(f, "{} of {}", self.name, package.to_string_lossy())
    }
}

/// Runs all tests with these variables, and `arguments` for each executable. All of them run, whatever fails. `meanwhile` is done
/// beside those that other work does not disturb, and its result returned.
pub(crate) fn run<T: Send>(
    project: &Project,
    variables: &[(&str, &Path)],
    arguments: &[String],
    meanwhile: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let with = |job: Job| variables.iter().fold(job, |job, (name, value)| job.env(name, value));
    let built = project.cargo().args(["test", "--workspace", "--no-run"]);
    let messages = with(built).arg("--message-format=json-render-diagnostics").run()?.stdout;
    let executables = executables(&messages);
    if executables.is_empty() {
        return Err(Error::check("cargo named no test executable"));
    }
    let (alone, beside): (Vec<_>, Vec<_>) = executables.into_iter().partition(|one| ALONE.contains(&one.name.as_str()));
    let libraries = libraries(project)?;
    let attempt = |one: &Executable| {
        let job = project.job(&one.path).dir(&one.folder).args(arguments).limit_seconds(LIMIT_SECONDS);
        with(job).env("CARGO_MANIFEST_DIR", &one.folder).env("LD_LIBRARY_PATH", &libraries).attempt()
    };
    let (mut failed, other) = std::thread::scope(|s| {
        let other = s.spawn(meanwhile);
        let failed = side_by_side(&beside, AT_A_TIME, attempt);
        (failed, other.join().unwrap_or_else(|_| Err(Error::check("what was done beside the tests broke off"))))
    });
    failed.extend(side_by_side(&alone, 1, attempt));
    project.interrupt.check()?;
    let documentation = project.cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    if let Err(error) = with(documentation).arg("--").args(arguments).show() {
        failed.push(format!("documentation: {error}"));
    }
    project.interrupt.check()?;
    if failed.is_empty() {
        return other;
    }
    eprintln!("\n{}", failed.join("\n"));
    Err(Error::check(format!("{} of the test executables failed; what failed in each is repeated above", failed.len())))
}

/// Runs each executable, `most` at a time, and prints what it said when it ended; returns what there is to say of failures.
fn side_by_side(
    executables: &[Executable],
    most: usize,
    attempt: impl Fn(&Executable) -> Result<Output, Error> + Sync,
) -> Vec<String> {
    let waiting = Mutex::new(executables.iter().collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    let next = || hold(&waiting).pop_front();
    std::thread::scope(|s| {
        for _ in 0..most {
            s.spawn(|| {
                while let Some(one) = next() {
                    let began = Instant::now();
                    let ended = attempt(one);
                    // Nothing else is printed meanwhile.
                    let mut failed = hold(&failed);
                    eprintln!("\n     Ran {one} in {:.1} s", began.elapsed().as_secs_f64());
                    match ended {
                        Ok(output) => {
                            eprint!("{}{}", output.stdout, output.stderr);
                            failed.extend(failure(one, &output));
                        }
                        Err(Error::Interrupted) => return,
                        Err(error) => failed.push(format!("{one}: {error}")),
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A lock; whoever panicked while holding it has ended the whole already.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is repeated of an executable at the end, where it failed: its list of failures, or all, where it died without one.
fn failure(one: &Executable, output: &Output) -> Option<String> {
    if output.status.success() {
        return None;
    }
    let text = output.text();
    let list = output.stdout.split_once(FAILURES).map_or(text.as_str(), |(_, list)| list);
    Some(format!("{one} ({}): {}\nfailures:\n{list}", output.status, one.path.display()))
}

/// What cargo says of something that it built; of other messages there is nothing of this.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    manifest_path: PathBuf,
    profile: Profile,
    target: Target,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The test executables in what cargo says of a build, in the order of their names.
fn executables(messages: &str) -> Vec<Executable> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    let mut found: Vec<Executable> = artifacts
        .filter(|artifact| artifact.profile.test)
        .filter_map(|artifact| {
            let folder = artifact.manifest_path.parent()?.to_owned();
            Some(Executable { name: artifact.target.name, path: artifact.executable?, folder })
        })
        .collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Where the dynamic loader looks, as `cargo test` has it: a test of a macro is linked with the compiler's own library.
fn libraries(project: &Project) -> Result<OsString, Error> {
    let of_compiler = project.job("rustc").args(["--print", "target-libdir"]).run()?.stdout;
    let folders = [project.target.join("debug/deps"), project.target.join("debug"), of_compiler.trim().into()];
    std::env::join_paths(folders).map_err(|e| Error::check(format!("the build folder cannot be searched: {e}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::Barrier;

    use super::*;
    use crate::process::Interrupt;

    /// What a shell runs in place of an executable.
    fn script(text: &str) -> Executable {
        Executable { name: "script".to_owned(), path: text.into(), folder: "/".into() }
    }

    fn shell(one: &Executable) -> Result<Output, Error> {
        Job::new("/bin/sh", &Interrupt::quiet()).dir(&one.folder).arg("-c").arg(&one.path).attempt()
    }

    #[test]
    fn cargo_names_the_executables_and_their_folders() {
        let of = |name: &str, test: bool, executable: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"/w/{name}/Cargo.toml\",\"target\":{{\"name\":\"{name}\"}},\
                 \"profile\":{{\"test\":{test}}},\"executable\":{executable}}}"
            )
        };
        let said = [
            of("b", true, "\"/t/b-1\""),
            of("a", true, "\"/t/a-1\""),
            of("a", false, "\"/t/a\""),
            of("c", true, "null"),
        ];
        let found = executables(&format!("warning: words\n{}\n{{\"reason\":\"build-finished\"}}\n", said.join("\n")));
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.folder.to_str().unwrap())).collect();
        assert_eq!(found, [("a", "/w/a"), ("b", "/w/b")]);
    }

    #[test]
    fn every_executable_runs_and_no_failure_is_lost() {
        let all: Vec<_> = (0..20).map(|n| script(if n % 5 == 0 { "echo it broke; exit 3" } else { "true" })).collect();
        let failed = side_by_side(&all, 3, shell);
        assert_eq!(failed.len(), 4);
        assert!(failed.iter().all(|one| one.contains("exit status: 3") && one.contains("it broke")), "{failed:?}");
        let killed = side_by_side(&[script("kill -9 $$")], 1, shell);
        assert!(killed.len() == 1 && killed[0].contains('9'), "{killed:?}");
    }

    #[test]
    fn an_executable_that_does_not_start_is_a_failure_and_the_others_run() {
        let all = [script("true"), script("absent"), script("exit 1")];
        let failed = side_by_side(&all, 1, |one| match one.path.to_str() {
            Some("absent") => Job::new("/nonexistent", &Interrupt::quiet()).attempt(),
            _ => shell(one),
        });
        assert!(failed.len() == 2 && failed[0].contains("cannot start `/nonexistent`"), "{failed:?}");
    }

    #[test]
    fn as_many_run_at_a_time_as_are_told_to() {
        let all = [(); 6].map(|()| script("true"));
        // Each waits for the other two: with fewer at a time nobody would get on.
        let together = Barrier::new(3);
        let failed = side_by_side(&all, 3, |one| {
            together.wait();
            shell(one)
        });
        assert!(failed.is_empty());
    }

    #[test]
    fn of_a_failure_the_list_is_repeated_and_of_a_crash_everything() {
        let said = "running 2 tests\\ntest a ... FAILED\\n\\nfailures:\\n\\n---- a stdout ----\\nbecause\\n";
        let failed = side_by_side(&[script(&format!("printf '{said}'; exit 101"))], 1, shell);
        assert!(failed[0].ends_with("\nfailures:\n\n---- a stdout ----\nbecause\n"), "{failed:?}");
        let died = side_by_side(&[script("echo half; echo a word >&2; exit 134")], 1, shell);
        assert!(died[0].contains("half") && died[0].contains("a word"), "{died:?}");
    }
}
