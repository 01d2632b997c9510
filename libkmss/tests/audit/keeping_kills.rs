//! Keepers that are killed, at each of the calls by which they change anything: nothing is lost, and the next one ends what
//! was begun.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use audit_archive::Verdict as Judged;
use libkmss::audit::keep::Stays;
use libkmss::audit::seal::Demands;
use libkmss::audit::{AuditTail, Filter, Verdict};
use libkmss::suite::Suite;

use crate::double::Home;
use crate::keeping::{NOW, alone, archive, ids, sealed, to, whole};
use crate::process::{HOME, again};

/// Asks for a process group by a number that nobody has: here the work begins.
const MARK: libc::pid_t = 0x6B_6D_73;

fn begin() {
    // SAFETY: it reads no memory.
    unsafe { libc::getpgid(MARK) };
}

fn child() -> Option<Home> {
    std::env::var_os(HOME).map(|root| Home::at(Path::new(&root), Suite::Nist))
}

#[test]
#[ignore = "started by a test of kill -9"]
fn compresses() {
    let Some(home) = child() else { return };
    begin();
    home.keep(|k| k.compress(NOW, usize::MAX, &mut |_| ())).unwrap();
}

#[test]
#[ignore = "started by a test of kill -9"]
fn archives_and_removes() {
    let Some(home) = child() else { return };
    begin();
    archive(&home, &home.root.path().join("archive"), true);
}

#[test]
#[ignore = "started by a test of kill -9"]
fn prunes() {
    let Some(home) = child() else { return };
    begin();
    home.keep(|k| k.prune(NOW, usize::MAX, true, &mut |_| ())).unwrap();
}

/// Runs an ignored test up to its `at`th call that changes something, and kills it there; gives how many such calls there
/// were, and whether it came to its end.
#[expect(clippy::zombie_processes, reason = "it is waited for by its process group")]
fn run(test: &str, home: &Home, at: usize) -> (usize, bool) {
    let mut command = again(test, home);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // SAFETY: the call asks to be traced, and nothing else happens between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let child = command.spawn().unwrap();
    let first = libc::pid_t::try_from(child.id()).unwrap();
    let counted = [
        libc::SYS_renameat,
        libc::SYS_unlinkat,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_mkdirat,
        libc::SYS_write,
    ];
    let (mut count, mut began, mut options) = (0, false, false);
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call. The child has a group of its own, so that nobody else's are waited for.
        let pid = unsafe { libc::waitpid(-first, &raw mut status, libc::__WALL) };
        assert!(pid > 0, "the child cannot be waited for");
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if pid == first {
                return (count, libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
            }
            continue;
        }
        let stopped = libc::WSTOPSIG(status);
        if !options {
            options = true;
            let wanted = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
            // SAFETY: the child is stopped.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, wanted) };
        }
        if stopped == libc::SIGTRAP | 0x80 {
            // SAFETY: the structure is plain numbers, and outlives the call.
            let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
            let size = size_of::<libc::ptrace_syscall_info>();
            // SAFETY: the child is stopped, and `info` has `size` bytes.
            unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, &raw mut info) };
            if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
                // SAFETY: at an entry this is the member that counts.
                let entry = unsafe { info.u.entry };
                let number = libc::c_long::try_from(entry.nr).unwrap();
                began |= number == libc::SYS_getpgid && entry.args[0] == u64::from(MARK.unsigned_abs());
                if began && counted.contains(&number) {
                    count += 1;
                    if count == at {
                        // SAFETY: the process is this test's.
                        unsafe { libc::kill(first, libc::SIGKILL) };
                        continue;
                    }
                }
            }
        }
        let own = stopped == libc::SIGTRAP || stopped == libc::SIGTRAP | 0x80 || stopped == libc::SIGSTOP;
        let signal = if own { 0 } else { stopped };
        // SAFETY: the child is stopped.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, signal) };
    }
}

/// What is kept of each segment: how its lines read, wherever they are.
fn lines(home: &Home, archives: &[PathBuf]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let tail = AuditTail::new(home.dir(), Filter::default()).with_archives(archives.to_vec());
    tail.visit(&mut |entry| found.entry(entry.segment.to_string()).or_default().push(entry.raw.clone())).unwrap();
    found
}

/// Kills `test` at every call on a fresh home, looks, and lets it end.
fn at_every_call(test: &str, look: impl Fn(&Home, &BTreeMap<String, Vec<String>>), ended: impl Fn(&Home)) {
    let total = {
        let home = sealed(Suite::Nist);
        let (total, done) = run(test, &home, usize::MAX);
        assert!(done && total > 10, "{test}: {total}");
        ended(&home);
        total
    };
    // Calls of the double of the store are among them; every one of the others comes in some round.
    let step = if std::env::var_os("KMSS_TEST_THOROUGH").is_some() { 1 } else { total.div_ceil(40) };
    let mut killed = BTreeSet::new();
    for at in (1..=total).step_by(step) {
        let home = sealed(Suite::Nist);
        let before = lines(&home, &[]);
        let (_, done) = run(test, &home, at);
        killed.extend((!done).then_some(at));
        look(&home, &before);
        let (_, done) = run(test, &home, usize::MAX);
        assert!(done, "{test}, killed at {at} of {total}, does not go on");
        look(&home, &before);
        ended(&home);
    }
    assert!(killed.len() * 10 >= total / step * 9, "{test}: killed at {killed:?} of {total}");
}

#[test]
fn a_compressor_killed_at_any_moment_loses_nothing_and_the_next_one_ends_it() {
    let look = |home: &Home, before: &BTreeMap<String, Vec<String>>| {
        assert_eq!(lines(home, &[]), *before);
        whole(home, &[]);
    };
    at_every_call("keeping_kills::compresses", look, |home| {
        assert_eq!((home.files().len(), home.packed().len(), fs::read_dir(home.dir()).unwrap().count()), (0, 3, 4));
    });
}

#[test]
fn an_archiver_killed_at_any_moment_loses_nothing_and_the_next_one_ends_it() {
    let look = |home: &Home, before: &BTreeMap<String, Vec<String>>| {
        let archives = [home.root.path().join("archive")];
        let there: Vec<PathBuf> = archives.iter().filter(|path| path.exists()).cloned().collect();
        let now = lines(home, &there);
        for (segment, lines) in before {
            assert_eq!(now.get(segment), Some(lines), "{segment}");
        }
        whole(home, &there);
        whole(home, &[]);
    };
    at_every_call("keeping_kills::archives_and_removes", look, |home| {
        let path = home.root.path().join("archive");
        let report = alone(&path, None);
        assert_eq!((report.verdict, report.segments.len() >= 3), (Judged::Whole, true), "{report:#?}");
        home.seal();
        whole(home, &[]);
        let again = home.keep(|k| k.archive(&to(&path, true), &mut |_| ())).unwrap();
        // The empty file of one who was killed before its first record.
        assert!(again.left.iter().all(|left| left.stays == Stays::Open), "{again:?}");
    });
}

#[test]
fn a_pruner_killed_at_any_moment_leaves_a_record_of_all_that_went() {
    let look = |home: &Home, _: &BTreeMap<String, Vec<String>>| {
        let report = home.check(&Demands::default());
        assert_eq!(report.verdict, Verdict::Whole, "{report:#?}");
    };
    let names = std::cell::Cell::new(0);
    at_every_call("keeping_kills::prunes", look, |home| {
        home.seal();
        let report = whole(home, &[]);
        let removed = report.segments.iter().filter(|s| s.removed.is_some()).count();
        names.set(names.get() + removed);
        assert!(removed >= 3 && ids(home).len() <= 2, "{report:#?}");
    });
    assert!(names.get() > 3);
}
