//! Real programs, run in a process group of their own, with a time-out that ends the whole group.
#![allow(unsafe_code, reason = "ending a process group takes kill(2)")]

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for a slow command on a busy machine; a program that takes it is hanging.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A program to run.
pub struct Program {
    command: Command,
    line: String,
    input: Vec<u8>,
    patience: Duration,
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    line: String,
    /// How it ended; `None` where it was ended for taking too long.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Program {
    /// A program with a clean slate: variables that would lead it to another module or configuration are removed.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        let kmss = ["KMSS_HOME", "KMSS_CONF", "KMSS_PIN", "KMSS_SO_PIN", "KMSS_SERVER"];
        for variable in kmss.into_iter().chain(["OPENSSL_CONF", "SOFTHSM2_CONF"]) {
            command.env_remove(variable);
        }
        // Messages are matched by some tests.
        command.env("LC_ALL", "C.UTF-8");
        Self { command, line: program.as_ref().to_string_lossy().into_owned(), input: Vec::new(), patience: PATIENCE }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.line, " {}", arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// Adds the words of `line` as arguments.
    #[must_use]
    pub fn words(self, line: &str) -> Self {
        self.args(line.split_whitespace())
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs(mut self, variables: &[(OsString, OsString)]) -> Self {
        self.command.envs(variables.iter().map(|(n, v)| (n, v)));
        self
    }

    /// Runs it in `folder`.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it as another user (root only).
    #[must_use]
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        self.command.uid(uid).gid(gid);
        self
    }

    /// Its standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it to its end, or ends its group when it takes too long.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn run(self) -> Said {
        let Self { command, line, input, patience } = self;
        let (out, err, mut inp) = (scratch(), scratch(), scratch());
        inp.write_all(&input).expect("a scratch file takes the input");
        inp.seek(SeekFrom::Start(0)).expect("a scratch file rewinds");
        let mut child = start(command, &line, inp.into(), &out, &err);
        let status = wait(&mut child, patience);
        end_group(&mut child);
        Said { line, status, stdout: contents(&out), stderr: contents(&err) }
    }

    /// Runs it and asks for success.
    ///
    /// # Panics
    /// With everything the program said, where it did not succeed.
    #[track_caller]
    pub fn succeed(self) -> Said {
        let said = self.run();
        assert!(said.success(), "{said}");
        said
    }

    /// Runs it and asks for failure, but an orderly one: no signal, no time-out.
    ///
    /// # Panics
    /// With everything the program said, where it succeeded or crashed.
    #[track_caller]
    pub fn fail(self) -> Said {
        let said = self.run();
        assert!(said.code().is_some_and(|code| code != 0), "this was to fail in good order: {said}");
        said
    }

    /// Starts it and lets it run until the guard is dropped.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn keep_running(self) -> Running {
        let (out, err) = (scratch(), scratch());
        let child = start(self.command, &self.line, Stdio::null(), &out, &err);
        Running { child, line: self.line, out, err }
    }
}

impl Said {
    /// True where it ended with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code() == Some(0)
    }

    /// Its exit code; `None` where a signal or the time-out ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|s| s.code())
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Both outputs as text.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.text(), String::from_utf8_lossy(&self.stderr))
    }

    /// Asks for `word` in what it said.
    ///
    /// # Panics
    /// With everything it said, where the word is missing.
    #[track_caller]
    pub fn mentions(self, word: &str) -> Self {
        assert!(self.all().contains(word), "`{word}` is missing in: {self}");
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = match self.status {
            None => "took too long and was ended".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with {code}"),
                (_, Some(signal)) => format!("died of signal {signal}"),
                _ => "ended".to_owned(),
            },
        };
        writeln!(f, "`{}` {end}", self.line)?;
        writeln!(f, "--- its output\n{}", self.text())?;
        write!(f, "--- its errors\n{}", String::from_utf8_lossy(&self.stderr))
    }
}

/// A program that runs until this is dropped.
pub struct Running {
    child: Child,
    line: String,
    out: File,
    err: File,
}

impl Running {
    /// Its process id, which is also its group's.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` holds, and fails with what the program said where it ends or time runs out.
    ///
    /// # Panics
    /// Where it never gets ready.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            let ended = self.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "`{}` ended ({ended:?}) before {what}:\n{}", self.line, self.said());
            assert!(Instant::now() < deadline, "`{}` never came to {what}:\n{}", self.line, self.said());
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it does not end in time.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let status = wait(&mut self.child, PATIENCE);
        status.unwrap_or_else(|| panic!("`{}` does not end:\n{}", self.line, self.said()))
    }

    /// How it ended, where it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SAFETY: kill(2) takes plain numbers; the child is ours and not yet waited for.
            unsafe { libc::kill(pid, signal) };
        }
    }

    /// Everything it said so far.
    pub fn said(&self) -> String {
        let bytes = [contents(&self.out), contents(&self.err)].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(libc::SIGTERM);
        let _ = wait(&mut self.child, Duration::from_secs(5));
        end_group(&mut self.child);
    }
}

fn start(mut command: Command, line: &str, input: Stdio, out: &File, err: &File) -> Child {
    let copy = |file: &File| Stdio::from(file.try_clone().expect("a file can be shared"));
    let child = command.stdin(input).stdout(copy(out)).stderr(copy(err)).process_group(0).spawn();
    child.unwrap_or_else(|e| panic!("cannot start `{line}`: {e}"))
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends whatever is left of a child's group, and reaps the child.
fn end_group(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // SAFETY: kill(2) takes plain numbers; the group was made for this child.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    let _ = child.wait();
}

fn scratch() -> File {
    tempfile::tempfile().expect("a scratch file can be made")
}

fn contents(file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The child writes through its own descriptor with a shared offset: reading must not move it.
    let mut copy = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))).expect("reopens");
    copy.read_to_end(&mut bytes).expect("a scratch file can be read");
    bytes
}

/// A port that was free a moment ago.
///
/// # Panics
/// Where the machine has no loopback.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has a free port").port()
}

/// True once something listens on `port`.
#[must_use]
pub fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Asks for programs that `cargo xtask setup` and `cargo xtask test` install.
///
/// # Panics
/// Where one of them is neither on the path nor in `/usr/sbin`: a test that drives it would prove nothing.
#[track_caller]
pub fn needs(programs: &[&str]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in programs {
        let mut folders = std::env::split_paths(&path).chain([Path::new("/usr/sbin").into()]);
        let found = folders.any(|folder| folder.join(program).is_file());
        assert!(found, "`{program}` is not installed: run `cargo xtask setup`, which installs it");
    }
}

/// Asks for a file of a package that `cargo xtask setup` and `cargo xtask test` install.
///
/// # Panics
/// Where it is missing.
#[track_caller]
pub fn needs_file(file: &str) {
    assert!(Path::new(file).exists(), "`{file}` is not installed: run `cargo xtask setup`, which installs it");
}
