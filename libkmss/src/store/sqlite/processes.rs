//! Several processes on one store: the test binary runs itself as the other processes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::tests::open;
use super::*;
use crate::os::testing::{ended_well, fork};
use crate::store::contract::{check_history, increment, key, put, write};

const HOME: &str = "KMSS_TEST_STORE_HOME";
const ROLE: &str = "KMSS_TEST_STORE_ROLE";

/// What a child process does; the value tells the roles of one test apart. Nothing when it is no child.
fn role() -> Option<(PathBuf, String)> {
    Some((std::env::var_os(HOME)?.into(), std::env::var(ROLE).ok()?))
}

/// This binary again, running only the test `name` in `role`.
fn again(name: &str, home: &Path, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("store::sqlite::processes::{name}");
    command.args(["--exact", &test, "--nocapture", "--test-threads=1"]).env(HOME, home).env(ROLE, role);
    command.stdout(Stdio::piped());
    command
}

/// What a child printed behind `prefix`, when it ended well.
fn answers(child: Child, prefix: &str) -> Vec<String> {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    // libtest writes the name of the test before the first line.
    text.lines().filter_map(|l| l.split_once(prefix)).map(|(_, rest)| rest.to_owned()).collect()
}

#[test]
fn counters_of_several_processes_lose_no_increment_and_nobody_starves() {
    if let Some((home, _)) = role() {
        let store = open(&home).unwrap();
        for (value, revision) in increment(&store, &key("counter"), 40) {
            println!("did {value} {}", revision.0);
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "counters_of_several_processes_lose_no_increment_and_nobody_starves";
    // They also race to make the home's files.
    let children: Vec<_> = (0..4).map(|_| again(name, dir.path(), "writer").spawn().unwrap()).collect();
    let mut history = Vec::new();
    for child in children {
        for line in answers(child, "did ") {
            let (value, revision) = line.split_once(' ').unwrap();
            history.push((value.parse().unwrap(), Revision(revision.parse().unwrap())));
        }
    }
    assert_eq!(history.len(), 160);
    check_history(history);
}

#[test]
fn every_acknowledged_commit_survives_kill_9() {
    const NAME: &str = "every_acknowledged_commit_survives_kill_9";
    if let Some((home, role)) = role() {
        let store = open(&home).unwrap();
        for i in 0_u64.. {
            let ops =
                vec![put(&format!("{role}/{i}"), &i.to_be_bytes()), put(&format!("{role}/last"), &i.to_be_bytes())];
            let _ = store.commit(&Batch { ops, invalidates: true, ..Batch::default() }).unwrap();
            println!("did {i}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for round in 0..8 {
        let role = format!("round{round}");
        let mut child = again(NAME, dir.path(), &role).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut acknowledged = None;
        let mut line = String::new();
        let enough = 5 + round * 3;
        while acknowledged.is_none_or(|n| n < enough) {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0);
            acknowledged = line.split_once("did ").map(|(_, n)| n.trim().parse().unwrap()).or(acknowledged);
        }
        // Somewhere within a commit, each round somewhere else.
        std::thread::sleep(Duration::from_micros(round * 37));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        let later = rest.lines().filter_map(|l| l.strip_prefix("did ")).filter_map(|n| n.parse().ok()).max();
        let last: u64 = later.or(acknowledged).unwrap();

        for i in 0..=last {
            let entry = store.get(&key(&format!("{role}/{i}"))).unwrap();
            assert_eq!(entry.map(|e| e.value), Some(i.to_be_bytes().to_vec()), "commit {i} of {last} is lost");
        }
        // At most the one that was under way came through as well, and wholly.
        let stored = store.get(&key(&format!("{role}/last"))).unwrap().unwrap().value;
        let stored = u64::from_be_bytes(stored.try_into().unwrap());
        assert!(stored == last || stored == last + 1);
        assert!(store.get(&key(&format!("{role}/{stored}"))).unwrap().is_some());
        // Whatever the dead left of the generation, the next writer makes it steady.
        let next = write(&store, vec![put("next", b"")]);
        assert_eq!(store.generation(), store.generation());
        // From the last one of the dead: a quick one made more than the feed keeps.
        let changes = store.changes(Revision(next.0 - 1), 10).unwrap();
        assert_eq!(changes.into_iter().map(|c| (c.revision, c.key)).collect::<Vec<_>>(), [(next, key("next"))]);
    }
}

#[test]
fn a_change_in_one_process_is_seen_by_another_at_once() {
    const NAME: &str = "a_change_in_one_process_is_seen_by_another_at_once";
    if let Some((home, _)) = role() {
        let store = open(&home).unwrap();
        let ops = vec![put("revoked", b"yes")];
        let _ = store.commit(&Batch { ops, invalidates: true, ..Batch::default() }).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let first = write(&store, vec![put("revoked", b"no")]);
    let before = store.generation();
    let child = again(NAME, dir.path(), "writer").spawn().unwrap();
    let newest = store.wait(first, Duration::from_secs(60)).unwrap();
    answers(child, "");
    assert!(newest > first);
    assert_ne!(store.generation(), before);
    assert_eq!(store.get(&key("revoked")).unwrap().unwrap().value, b"yes");
    assert_eq!(store.changes(first, 10).unwrap()[0].key, key("revoked"));
}

#[test]
fn parent_and_child_go_on_after_a_fork_without_losing_commits() {
    const NAME: &str = "parent_and_child_go_on_after_a_fork_without_losing_commits";
    if let Some((home, _)) = role() {
        let store = open(&home).unwrap();
        let stop = AtomicU64::new(0);
        std::thread::scope(|s| {
            // Another thread keeps the store busy while the process forks.
            s.spawn(|| {
                let mut i = 0;
                while stop.load(Ordering::Relaxed) == 0 {
                    write(&store, vec![put(&format!("thread/{i}"), b"1")]);
                    i += 1;
                }
                println!("did {i}");
            });
            for round in 0..10 {
                let child = fork(|| {
                    for i in 0..5 {
                        write(&store, vec![put(&format!("child/{round}/{i}"), b"1")]);
                    }
                    let grandchild = fork(|| write(&store, vec![put(&format!("grand/{round}"), b"1")]) > Revision(0));
                    ended_well(grandchild)
                });
                write(&store, vec![put(&format!("parent/{round}"), b"1")]);
                assert!(ended_well(child));
            }
            stop.store(1, Ordering::Relaxed);
        });
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let child = again(NAME, dir.path(), "forker").spawn().unwrap();
    let written: usize = answers(child, "did ")[0].parse().unwrap();
    let store = open(dir.path()).unwrap();
    let count = |prefix: &str| store.scan(prefix, None, usize::MAX).unwrap().len();
    assert_eq!([count("thread/"), count("child/"), count("grand/"), count("parent/")], [written, 50, 10, 10]);
}

#[test]
fn a_forked_child_inherits_no_connection_and_no_mark() {
    const NAME: &str = "a_forked_child_inherits_no_connection_and_no_mark";
    if let Some((home, _)) = role() {
        let store = open(&home).unwrap();
        write(&store, vec![put("a", b"1")]);
        // The generation page is the one file of the home that stays open (without a lock on it).
        let inherited = || open_files(&home).into_iter().filter(|f| !f.ends_with("store.generation")).count();
        assert!(inherited() > 0);
        let marks = || open_files(&home).len() - inherited();
        assert_eq!(marks(), 2);
        assert!(ended_well(fork(|| inherited() == 0 && marks() == 1 && store.get(&key("a")).unwrap().is_some())));
        assert_eq!((inherited(), marks()), (0, 1));
        assert!(store.get(&key("a")).unwrap().is_some());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    answers(again(NAME, dir.path(), "forker").spawn().unwrap(), "");
}

/// What this process has open below `home`.
fn open_files(home: &Path) -> Vec<PathBuf> {
    let home = home.canonicalize().unwrap();
    let all = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    all.filter(|f| f.starts_with(&home)).collect()
}

/// A user who is neither root nor the owner; the tests of other users need root.
const NOBODY: u32 = 65_534;
/// Group of the shared home in these tests.
const GROUP: u32 = 33;

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

#[test]
fn root_and_a_member_of_the_group_share_a_home_whoever_makes_its_files() {
    const NAME: &str = "root_and_a_member_of_the_group_share_a_home_whoever_makes_its_files";
    if let Some((home, who)) = role() {
        let store = open(&home).unwrap();
        let ops = vec![put(&format!("by/{who}"), b"1")];
        let _ = store.commit(&Batch { ops, invalidates: true, ..Batch::default() }).unwrap();
        return;
    }
    if !is_root() {
        eprintln!("skipped: only root can become other users");
        return;
    }
    for order in [["root", "worker", "root"], ["worker", "root", "worker"]] {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        chown(&home, Some(1), Some(GROUP)).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o2770)).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for who in order {
            let mut command = again(NAME, &home, who);
            if who == "worker" {
                command.uid(NOBODY).gid(GROUP);
            }
            answers(command.spawn().unwrap(), "");
        }
        for entry in std::fs::read_dir(&home).unwrap() {
            use std::os::unix::fs::MetadataExt;
            let meta = entry.unwrap().metadata().unwrap();
            assert_eq!((meta.gid(), meta.mode() & 0o7777), (GROUP, 0o660));
        }
        assert_eq!(open(&home).unwrap().scan("by/", None, 9).unwrap().len(), 2);
    }
}

#[test]
fn what_root_makes_in_a_home_belongs_to_its_owner() {
    use std::os::unix::fs::MetadataExt;
    if !is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(NOBODY), Some(GROUP)).unwrap();
    let store = open(dir.path()).unwrap();
    write(&store, vec![put("a", b"1")]);
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let meta = entry.unwrap().metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (NOBODY, GROUP, 0o600));
        files += 1;
    }
    assert_eq!(files, 4);
}

#[test]
fn who_may_only_read_a_home_reads_it_and_is_told_when_writing() {
    const NAME: &str = "who_may_only_read_a_home_reads_it_and_is_told_when_writing";
    if let Some((home, _)) = role() {
        let store = open(&home).unwrap();
        assert_eq!(store.get(&key("a")).unwrap().unwrap().value, b"1");
        let batch = Batch { ops: vec![put("a", b"2")], ..Batch::default() };
        assert_eq!(store.commit(&batch).unwrap_err().kind(), ErrorKind::ReadOnly);
        let first = store.generation();
        println!("did {}", first == store.generation());
        return;
    }
    if !is_root() {
        eprintln!("skipped: only root can become other users");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    write(&store, vec![put("a", b"1")]);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::set_permissions(entry.unwrap().path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // With another process that has it open, and without.
    for open_elsewhere in [Some(store), None] {
        let mut command = again(NAME, dir.path(), "reader");
        command.uid(NOBODY).gid(NOBODY);
        assert_eq!(answers(command.spawn().unwrap(), "did "), ["true"]);
        drop(open_elsewhere);
    }
}

#[test]
fn who_leaves_while_another_process_has_the_store_leaves_its_log_alone() {
    const NAME: &str = "who_leaves_while_another_process_has_the_store_leaves_its_log_alone";
    if let Some((home, _)) = role() {
        let store = open(&home).unwrap();
        for i in 0..200_u32 {
            write(&store, vec![put(&format!("k/{i:03}"), &[1; 9000])]);
        }
        println!("wrote");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        drop(store);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = || std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len();
    let store = open(dir.path()).unwrap();
    write(&store, vec![put("k/first", b"1")]);
    let mut child = again(NAME, dir.path(), "writer").stdin(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("wrote") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0);
    }
    // Starting the other process has closed what was open here.
    assert!(store.get(&key("k/first")).unwrap().is_some());
    drop(child.stdin.take());
    said.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(log() > 1 << 20, "the log has {} bytes", log());
    // The last one brings it in.
    drop(store);
    assert_eq!(log(), 0);
}
