//! What the process that hosts policies notices of them: nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use super::failures::ask_for;
use super::*;
use crate::os::testing::{ended_well, forbid_executable_memory, fork};

/// A line of this process's status.
fn status(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
}

fn kilobytes(name: &str) -> usize {
    status(name).split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn no_thread_starts_and_no_signal_handler_appears() {
    // In a child, which has one thread, whatever other tests do meanwhile.
    let child = fork(|| {
        let before = (status("Threads:"), status("SigCgt:"), status("SigBlk:"));
        for host in hosts() {
            let policy = load(&host, READS);
            let failing = load(&host, FAILS);
            for _ in 0..100 {
                assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
                assert_eq!(ask_for(&failing, 7).verdict, Verdict::Deny);
            }
        }
        before == (status("Threads:"), status("SigCgt:"), status("SigBlk:")) && before.0.ends_with("\t1")
    });
    assert!(ended_well(child));
}

#[test]
fn an_instance_takes_less_than_four_megabytes_of_address_space() {
    let child = fork(|| {
        let host = Host::with(Execution::Compiled).unwrap();
        let large = super::refused::Parts { memory: Some((16, Some(16))), ..Default::default() }.module();
        // The allocator and the engine take their own share first.
        let first: Vec<_> = (0..4).map(|_| load(&host, &large)).collect();
        let before = kilobytes("VmSize:");
        let policies: Vec<_> = (0..16).map(|_| load(&host, &large)).collect();
        assert!(policies.iter().chain(&first).all(|p| ask(p, Action::Sign).verdict == Verdict::Allow));
        let each = (kilobytes("VmSize:") - before) / policies.len();
        assert!(each < 4096, "an instance with 16 pages takes {each} KiB of address space");
        true
    });
    assert!(ended_well(child));
}

#[test]
fn eight_threads_decide_at_the_same_time() {
    let host = Host::with(Execution::Compiled).unwrap();
    let policies = [load(&host, READS), load(&host, WRITES)];
    std::thread::scope(|s| {
        for thread in 0..8 {
            let policies = &policies;
            s.spawn(move || {
                for n in 0..500 {
                    let action = if (n + thread) % 2 == 0 { Action::Sign } else { Action::Decrypt };
                    let expected = if action == Action::Sign { Verdict::Allow } else { Verdict::Deny };
                    assert_eq!(ask(&policies[0], action).verdict, expected);
                    assert_eq!(ask(&policies[1], action).verdict, Verdict::Allow);
                }
            });
        }
    });
}

#[test]
fn children_forked_while_other_threads_decide_decide_too() {
    let host = Host::with(Execution::Compiled).unwrap();
    let policies = [load(&host, READS), load(&host, WRITES)];
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert!(policies.iter().all(|policy| ask(policy, Action::Sign).verdict == Verdict::Allow));
                }
            });
        }
        for _ in 0..30 {
            let child = fork(|| {
                let decided = policies.iter().all(|policy| ask(policy, Action::Sign).verdict == Verdict::Allow);
                decided && ask(&policies[0], Action::Decrypt).verdict == Verdict::Deny
            });
            assert!(ended_well(child));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn where_executable_memory_is_forbidden_guests_are_interpreted() {
    assert_eq!(Host::new(Trust::Untrusted).unwrap().execution(), Execution::Interpreted);
    let child = fork(|| {
        assert_eq!(Host::new(Trust::Trusted).unwrap().execution(), Execution::Compiled);
        if !forbid_executable_memory() {
            eprintln!("skipped: this kernel has no PR_SET_MDWE");
            return true;
        }
        let host = Host::new(Trust::Trusted).unwrap();
        let policy = load(&host, READS);
        // Compiled code is refused there, by an error and nothing worse.
        let compiled = Host::with(Execution::Compiled).unwrap().load(READS, &Limits::default(), None);
        host.execution() == Execution::Interpreted
            && compiled.is_err()
            && ask(&policy, Action::Sign).verdict == Verdict::Allow
            && ask(&policy, Action::Decrypt).verdict == Verdict::Deny
    });
    assert!(ended_well(child));
}
