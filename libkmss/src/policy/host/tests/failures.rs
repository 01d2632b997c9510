//! Guests that fail at work.

use std::time::{Duration, Instant};

use super::*;

/// How the guest fails, by the sequence number of the request from 1 on, and what the deny says.
const FAILURES: &[(&str, &str)] = &[
    ("an endless loop", "the policy used up its fuel"),
    ("endless work", "the policy used up its fuel"),
    ("deep recursion", "the policy used up its stack"),
    ("runaway memory", "the policy wanted more memory"),
    ("a trap", "the policy trapped: unreachable code"),
    ("division by zero", "the policy trapped: integer divide by zero"),
    ("reading past the memory", "the policy trapped: out of bounds memory access"),
    ("writing past the memory", "the policy trapped: out of bounds memory access"),
    ("a call of nothing", "the policy trapped: uninitialized element"),
    ("no verdict", "the policy answered with verdict 3"),
    ("a response at the end", "the policy's answer cannot be followed: its response lies"),
    ("a response far away", "the policy's answer cannot be followed: its response lies"),
    ("an overlong response", "the policy's answer cannot be followed: its response lies"),
    ("an overlong entry", "the policy's answer cannot be followed: its response is malformed"),
    ("an unknown critical duty", "the policy's answer cannot be followed: it demands a duty of type 9"),
];

pub(super) fn ask_for(policy: &Policy, sequence: usize) -> Answer {
    let mut request = input(Action::Sign);
    request.sequence = sequence as u64;
    policy.answer(&request, &Encoded::of(&request))
}

#[test]
fn each_failure_denies_with_its_own_reason_and_the_next_decision_works() {
    for host in hosts() {
        let policy = load(&host, FAILS);
        for (at, (name, reason)) in FAILURES.iter().enumerate() {
            for _ in 0..2 {
                let answer = ask_for(&policy, at + 1);
                assert_eq!((answer.verdict, answer.rule), (Verdict::Deny, 0), "{name}");
                assert!(answer.reason.starts_with(reason), "{name}: {}", answer.reason);
                assert!(answer.obligations.is_empty(), "{name}");
                let next = ask_for(&policy, 0);
                assert_eq!((next.verdict, next.rule), (Verdict::Allow, 9), "{name}");
            }
        }
        // An instance that is used again is dropped too.
        let policy = load(&host, READS);
        for _ in 0..3 {
            assert!(ask(&policy, Action::Random).reason.starts_with("the policy used up its fuel"));
            assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
        }
    }
}

#[test]
fn each_failure_ends_within_a_millisecond() {
    let policy = load(&Host::with(Execution::Compiled).unwrap(), FAILS);
    for (at, (name, _)) in FAILURES.iter().enumerate() {
        let timed = || {
            let start = Instant::now();
            let _ = ask_for(&policy, at + 1);
            start.elapsed()
        };
        // The machine may be busy with something else, but not each time.
        let best = (0..50).map(|_| timed()).min().unwrap();
        assert!(best < Duration::from_millis(1), "{name} took {best:?}");
    }
}

#[test]
fn a_bundle_gives_more_or_less_fuel() {
    let host = Host::with(Execution::Compiled).unwrap();
    let with = |fuel| {
        let limits = Limits { fuel: Some(fuel), pages: None };
        host.load(READS, &limits, None).map(|policy| ask(&policy, Action::Sign).reason)
    };
    assert!(with(1).unwrap_or_else(|e| e.to_string()).contains("used up its fuel"));
    assert_eq!(with(1000).unwrap(), "");
}

#[test]
fn every_prefix_of_a_module_and_every_flipped_byte_is_refused_or_harmless() {
    let host = Host::with(Execution::Interpreted).unwrap();
    for cut in 0..WRITES.len() {
        assert!(host.load(&WRITES[..cut], &Limits::default(), None).is_err(), "{cut}");
    }
    for wasm in [READS, WRITES] {
        for at in 0..wasm.len() {
            let mut damaged = wasm.to_vec();
            damaged[at] ^= 0x41;
            if let Ok(policy) = host.load(&damaged, &Limits::default(), None) {
                let _ = ask(&policy, Action::Sign);
            }
        }
    }
    assert!(host.load(&vec![0; Limits::MODULE + 1], &Limits::default(), None).is_err());
}

#[test]
fn a_thread_with_too_little_stack_is_refused_instead_of_crashed() {
    let deep = load(&Host::with(Execution::Compiled).unwrap(), FAILS);
    let on = |stack: usize| {
        std::thread::scope(|s| {
            let thread = std::thread::Builder::new().stack_size(stack).spawn_scoped(s, || ask_for(&deep, 3));
            thread.unwrap().join().unwrap().reason
        })
    };
    assert!(on(128 << 10).starts_with("the calling thread has too little stack"));
    assert!(on(1 << 20).starts_with("the policy used up its stack"));
}
