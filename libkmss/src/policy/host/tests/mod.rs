#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cache;
mod failures;
mod figures;
mod process;
mod refused;

use super::*;
use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::KeyType;
use crate::policy::{Flags, InputKey, Obligation};

/// Changes nothing: signing is allowed by rule 7, digests by rule 1 with duties, random numbers loop, and so on.
pub(super) const READS: &[u8] = include_bytes!("guests/reads.wasm");
/// Counts its decisions.
pub(super) const WRITES: &[u8] = include_bytes!("guests/writes.wasm");
/// Fails as the request's sequence number says.
pub(super) const FAILS: &[u8] = include_bytes!("guests/fails.wasm");

pub(super) fn input(action: Action) -> Input<'static> {
    Input {
        action,
        mechanism: Some("ECDSA_SHA256"),
        time: Timestamp(1_790_000_000_000),
        sequence: 1,
        last_second: 1,
        last_minute: 1,
        data_len: Some(32),
        flags: Flags::default(),
        uid: 1000,
        pid: 4711,
        key: Some(InputKey {
            id: "00112233445566778899aabbccddeeff",
            name: "payment_ec",
            session: false,
            key_type: Some(KeyType::Ec),
            bits: 256,
            created: Timestamp(1_780_000_000_000),
            version_age: 10_000_000_000,
            tags: &[],
        }),
        tenant: "acme",
        namespace: "payments",
        principal: "service:order-v1",
        roles: &[],
        process: "/usr/sbin/nginx",
        source: "",
        session: "17",
        context: &[],
    }
}

pub(super) fn ask(policy: &Policy, action: Action) -> Answer {
    let input = input(action);
    policy.answer(&input, &Encoded::of(&input))
}

pub(super) fn hosts() -> [Host; 2] {
    [Execution::Compiled, Execution::Interpreted].map(|execution| Host::with(execution).unwrap())
}

pub(super) fn load(host: &Host, wasm: &[u8]) -> Policy {
    host.load(wasm, &Limits::default(), None).unwrap()
}

#[test]
fn a_guest_sees_the_request_and_its_verdict_and_rule_are_told() {
    for host in hosts() {
        let policy = load(&host, READS);
        let signed = ask(&policy, Action::Sign);
        assert_eq!((signed.verdict, signed.rule, signed.reason.as_str()), (Verdict::Allow, 7, ""));
        let denied = ask(&policy, Action::Decrypt);
        assert_eq!((denied.verdict, denied.rule, denied.reason.as_str()), (Verdict::Deny, 8, "not you"));
        assert_eq!(ask(&policy, Action::Find).verdict, Verdict::NotApplicable);
        assert_eq!((policy.rule(8), policy.rule(7)), (Some("a.kp:3 dev"), None));
        assert_eq!(policy.interface(), "kmss-policy/1");
    }
}

#[test]
fn obligations_come_out_of_constant_data() {
    let expected = [Obligation::AuditTag("pci".to_owned()), Obligation::RateLimit { count: 100, seconds: 60 }];
    for host in hosts() {
        let answer = ask(&load(&host, READS), Action::Digest);
        assert_eq!((answer.verdict, answer.rule), (Verdict::Allow, 1));
        assert_eq!(answer.obligations, expected);
    }
}

#[test]
fn nothing_that_a_guest_wrote_is_there_at_the_next_decision() {
    for host in hosts() {
        let counts = load(&host, WRITES);
        for action in [Action::Sign, Action::Verify, Action::Sign, Action::Verify] {
            assert_eq!(ask(&counts, action).rule, 1);
        }
        // The rule is what stands behind a short request where a longer one had its text.
        let policy = load(&host, READS);
        let long = "x".repeat(4000);
        let mut request = input(Action::Generate);
        request.session = &long;
        assert_eq!(policy.answer(&request, &Encoded::of(&request)).rule, 0x7878);
        assert!(Encoded::of(&input(Action::Generate)).request().unwrap().len() < 376);
        assert_eq!(ask(&policy, Action::Generate).rule, 0);
    }
}

#[test]
fn a_request_that_cannot_be_told_is_denied() {
    let policy = load(&hosts()[0], READS);
    let long = "x".repeat(20_000);
    let mut request = input(Action::Sign);
    request.session = &long;
    let answer = policy.answer(&request, &Encoded::of(&request));
    assert_eq!(answer.verdict, Verdict::Deny);
    assert!(answer.reason.starts_with("the request does not fit"), "{}", answer.reason);
}
