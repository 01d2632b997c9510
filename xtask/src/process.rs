//! Running other programs: each in a process group of its own, which is stopped when the user presses
//! Ctrl-C, when it takes too long, and when a service is dropped. Nothing is left behind.

use crate::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Remembers whether a signal asked us to stop.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    pub(crate) fn watch() -> Result<Interrupt, Error> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, flag.clone()).map_err(Error::Signals)?;
        }
        Ok(Interrupt(flag))
    }

    /// One that no signal reaches.
    #[cfg(test)]
    pub(crate) fn quiet() -> Interrupt {
        Interrupt(Arc::new(AtomicBool::new(false)))
    }

    /// An error once the user has asked us to stop.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Sleeps, but not past an interruption.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Error> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check()?;
            sleep(Duration::from_millis(20).min(time));
        }
        self.check()
    }
}

/// What a program printed, and how it ended.
pub(crate) struct Output {
    /// The exit status.
    pub(crate) status: ExitStatus,
    /// Standard output, as text.
    pub(crate) stdout: String,
    /// Standard error, as text.
    pub(crate) stderr: String,
}

impl Output {
    /// Both streams, for messages and for looking for a word.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// One program to run.
pub(crate) struct Job {
    command: Command,
    interrupt: Interrupt,
    limit: Duration,
    own_group: bool,
}

impl Job {
    /// A program without arguments; standard input is empty, and what `cargo run` put into our environment is gone.
    pub(crate) fn new(program: impl AsRef<OsStr>, interrupt: &Interrupt) -> Job {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env_remove("LD_LIBRARY_PATH");
        for (name, _) in std::env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|set| starts_with(&name, set)) {
                command.env_remove(name);
            }
        }
        Job { command, interrupt: interrupt.clone(), limit: Duration::from_secs(300), own_group: true }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Job {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Job {
        self.command.args(args);
        self
    }

    /// Sets a variable of the program's environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Job {
        self.command.env(name, value);
        self
    }

    /// Removes a variable from the program's environment.
    pub(crate) fn without_env(mut self, name: &str) -> Job {
        self.command.env_remove(name);
        self
    }

    /// Sets the folder that the program runs in.
    pub(crate) fn dir(mut self, dir: &Path) -> Job {
        self.command.current_dir(dir);
        self
    }

    /// Changes the limit of five minutes.
    pub(crate) fn limit_seconds(mut self, seconds: u64) -> Job {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Leaves the program in our group and on our terminal, for one that asks the user for a password.
    pub(crate) fn interactive(mut self) -> Job {
        self.command.stdin(Stdio::inherit());
        self.own_group = false;
        self
    }

    /// Runs the program and returns what it printed; any exit status but success is an error.
    pub(crate) fn run(self) -> Result<Output, Error> {
        let line = self.line();
        let output = self.attempt()?;
        if output.status.success() {
            return Ok(output);
        }
        Err(Error::Failed { command: line, status: output.status.to_string(), output: output.text() })
    }

    /// Runs the program and returns what it printed, however it ended.
    pub(crate) fn attempt(mut self) -> Result<Output, Error> {
        // Files rather than pipes: nothing to drain meanwhile, and no wait for a grandchild that holds a pipe open.
        let (mut out, mut err) = (scratch()?, scratch()?);
        self.command.stdout(handle(&out)?).stderr(handle(&err)?);
        let status = self.wait()?;
        Ok(Output { status, stdout: text(&mut out)?, stderr: text(&mut err)? })
    }

    /// Runs the program with its output on our terminal.
    pub(crate) fn show(mut self) -> Result<(), Error> {
        let line = self.line();
        let status = self.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed { command: line, status: status.to_string(), output: String::new() })
    }

    /// Starts a program that goes on until it is dropped; what it prints goes to `log`.
    pub(crate) fn start(mut self, log: &Path) -> Result<Service, Error> {
        self.interrupt.check()?;
        let out = File::create(log).map_err(Error::file("create", log))?;
        self.command.stdout(handle(&out)?).stderr(out);
        Ok(Service { child: self.spawn()?, goes_on: true })
    }

    fn spawn(&mut self) -> Result<Child, Error> {
        let program = self.command.get_program().to_string_lossy().into_owned();
        if self.own_group {
            self.command.process_group(0);
        }
        self.command.spawn().map_err(|source| Error::Start { program, source })
    }

    fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.interrupt.check()?;
        let line = self.line();
        let start = Instant::now();
        let mut service = Service { child: self.spawn()?, goes_on: false };
        let mut nap = Duration::from_micros(500);
        loop {
            if let Some(status) = service.ended() {
                return Ok(status);
            }
            self.interrupt.check()?;
            if start.elapsed() > self.limit {
                return Err(Error::TooSlow { command: line, seconds: self.limit.as_secs() });
            }
            sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(20));
        }
    }

    /// The command line as one would type it, shortened.
    fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let line = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        if line.chars().count() > 160 { line.chars().take(157).chain("...".chars()).collect() } else { line }
    }
}

/// A running program; dropping it stops it and every process of its group.
pub(crate) struct Service {
    child: Child,
    /// Started to stay: its group may outlive its first process.
    goes_on: bool,
}

impl Service {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status once the program has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn signal_group(&self, signal: &str) {
        // The shell's own `kill`: std can only kill a single process, and at once.
        let group = format!("-{}", self.child.id());
        let script = ["-c", "kill -s \"$0\" -- \"$1\"", signal, &group];
        let _ = Command::new("/bin/sh").args(script).stderr(Stdio::null()).process_group(0).status();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.ended().is_some() && !self.goes_on {
            return;
        }
        self.signal_group("TERM");
        let end = Instant::now() + GRACE;
        while self.ended().is_none() && Instant::now() < end {
            sleep(Duration::from_millis(10));
        }
        self.signal_group("KILL");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn starts_with(name: &OsString, prefix: &str) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(prefix))
}

fn scratch() -> Result<File, Error> {
    tempfile::tempfile().map_err(Error::file("create", &std::env::temp_dir()))
}

fn handle(file: &File) -> Result<File, Error> {
    file.try_clone().map_err(Error::file("write", Path::new("(a temporary file)")))
}

fn text(file: &mut File) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let path = Path::new("(a temporary file)");
    file.rewind().map_err(Error::file("read", path))?;
    file.read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shell(script: &str, interrupt: &Interrupt) -> Job {
        Job::new("/bin/sh", interrupt).args(["-c", script])
    }

    /// Whether a process is there and not merely waiting to be reaped.
    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let failed = shell("echo went wrong >&2; exit 3", &Interrupt::quiet()).run();
        let text = failed.err().unwrap().to_string();
        assert!(text.contains("went wrong") && text.contains('3'), "{text}");
    }

    #[test]
    fn a_program_that_takes_too_long_is_stopped() {
        let start = Instant::now();
        let slow = shell("sleep 60", &Interrupt::quiet()).limit_seconds(0).run();
        assert!(matches!(slow, Err(Error::TooSlow { .. })));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn an_interruption_stops_a_running_program() {
        let interrupt = Interrupt::quiet();
        let flag = interrupt.0.clone();
        let user = std::thread::spawn(move || {
            sleep(Duration::from_millis(100));
            flag.store(true, Ordering::Relaxed);
        });
        assert!(matches!(shell("sleep 60", &interrupt).run(), Err(Error::Interrupted)));
        user.join().unwrap();
    }

    #[test]
    fn a_dropped_service_leaves_no_process_of_its_group_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (log, pid) = (folder.path().join("log"), folder.path().join("pid"));
        let script = format!("sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait", pid.display());
        let service = shell(&script, &Interrupt::quiet()).start(&log).unwrap();
        let comes = |fact: &dyn Fn() -> bool| {
            let end = Instant::now() + Duration::from_secs(60);
            while !fact() && Instant::now() < end {
                sleep(Duration::from_millis(5));
            }
            fact()
        };
        assert!(comes(&|| pid.exists()));
        let child = std::fs::read_to_string(&pid).unwrap();
        assert!(lives(&child));
        drop(service);
        // Told to end, but a busy machine may take its time.
        assert!(comes(&|| !lives(&child)));
    }
}
