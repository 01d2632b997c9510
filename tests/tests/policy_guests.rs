//! What guests ask for, through the module: duties that KMSS knows and does not know, answers that make no sense, sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cryptoki_sys::*;

use kmss_tests::built;
use kmss_tests::guest::{ALLOW, DENY, allowing_sizes, answering, answering_bytes};
use kmss_tests::p11::keys::MESSAGE;
use kmss_tests::p11::{Session, token};
use kmss_tests::rules::{apply_module, denied, ec_pair, kmss, last_denial, records};

/// The bit that makes a duty critical.
const CRITICAL: u16 = 1 << 15;

fn signer(label: &str) -> (Session, CK_OBJECT_HANDLE) {
    let session = token(label).user();
    let (_, key) = ec_pair(&session, "k");
    (session, key)
}

#[test]
fn a_critical_duty_that_is_not_known_denies_and_another_is_passed_over() {
    if built::only_kmss("policies") {
        return;
    }
    let (session, key) = signer("critical");
    let put = |wasm: &[u8]| drop(apply_module("--token critical --key k", "guest", wasm));
    let sign = || session.sign(CKM_ECDSA_SHA256, key, MESSAGE);
    put(&answering(ALLOW, &[]));
    sign().unwrap();
    for kind in [9, 77, 0x7fff] {
        put(&answering(ALLOW, &[(kind, b"whatever")]));
        sign().unwrap();
        put(&answering(ALLOW, &[(1, b"known"), (kind | CRITICAL, b"whatever")]));
        denied(sign());
        let refusal = last_denial("critical");
        assert_eq!(refusal["error"], "denied");
        assert!(
            refusal["reason"].as_str().unwrap().contains(&format!("duty of type {kind}, which this KMSS")),
            "{refusal}"
        );
    }
    put(&answering(ALLOW, &[(1 | CRITICAL, b"known")]));
    sign().unwrap();
    drop(kmss("audit verify").succeed());
}

#[test]
fn masking_is_refused_and_a_notice_is_in_the_record() {
    if built::only_kmss("policies") {
        return;
    }
    let (session, key) = signer("notices");
    let sign = || session.sign(CKM_ECDSA_SHA256, key, MESSAGE);
    // Nothing here shows parts of what leaves: critical or not, the duty cannot be kept.
    for kind in [8, 8 | CRITICAL] {
        apply_module("--token notices --key k", "guest", &answering(ALLOW, &[(kind, &[4])]));
        denied(sign());
        assert!(last_denial("notices")["reason"].as_str().unwrap().contains("cannot enforce"));
    }
    for kind in [7, 7 | CRITICAL] {
        apply_module("--token notices --key k", "guest", &answering(ALLOW, &[(kind, b"oncall"), (1, b"pci")]));
        sign().unwrap();
        let done = records("notices").into_iter().rev().find(|record| record["action"] == "sign").unwrap();
        let tags = done["tags"].to_string();
        assert!(tags.contains("\"notify:oncall\"") && tags.contains("\"pci\""), "{done}");
    }
}

#[test]
fn answers_that_make_no_sense_deny_each_with_its_reason() {
    if built::only_kmss("policies") {
        return;
    }
    let (session, key) = signer("nonsense");
    let two = [&12_u32.to_le_bytes()[..], &[16, 0, 0xff, 0xff], &[0; 4]].concat();
    for (wasm, reason) in [
        (answering_bytes(ALLOW, &two), "malformed"),
        (answering_bytes(ALLOW, &[0xff; 4]), "impossible length"),
        (answering(ALLOW, &[(2, &[1, 0, 0, 0])]), "unacceptable value of type 2"),
        (answering(ALLOW, &[(1, b"line\nfeed")]), "unacceptable value of type 1"),
        (answering(ALLOW, &[(16, b"one"), (16, b"two")]), "two reasons"),
        (answering(ALLOW, &[(1, b"tag".as_slice()); 65]), "more than 64"),
        (answering(9, &[]), "verdict"),
        (answering(DENY, &[(16, b"because I say so")]), "because I say so"),
    ] {
        apply_module("--token nonsense --key k", "guest", &wasm);
        denied(session.sign(CKM_ECDSA_SHA256, key, MESSAGE));
        let refusal = last_denial("nonsense");
        assert!(refusal["reason"].as_str().unwrap().contains(reason), "{reason}: {refusal}");
    }
    apply_module("--token nonsense --key k", "guest", &answering(ALLOW, &[]));
    session.sign(CKM_ECDSA_SHA256, key, MESSAGE).unwrap();
}

#[test]
fn a_guest_says_which_sizes_it_tells_apart() {
    if built::only_kmss("policies") {
        return;
    }
    let (session, key) = signer("told");
    let sign = |size: usize| session.sign(CKM_ECDSA_SHA256, key, &vec![1; size]).is_ok();
    let allowed = || [0, 99, 100, 555, 1000, 1001].into_iter().filter(|size| sign(*size)).collect::<Vec<_>>();
    // It denies what it does not know, and nobody can guess the size that it would allow.
    apply_module("--token told --key k", "guest", &allowing_sizes(100, 1000, None));
    denied(session.sign_init(CKM_ECDSA_SHA256, key));
    apply_module("--token told --key k", "guest", &allowing_sizes(100, 1000, Some(&[100, 1000])));
    assert_eq!(allowed(), [100, 555, 1000]);
    // One of the usual sizes is found without.
    apply_module("--token told --key k", "guest", &allowing_sizes(20, 1000, None));
    assert_eq!(allowed(), [99, 100, 555, 1000]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.wasm"), allowing_sizes(1, 2, Some(&[2, 1]))).unwrap();
    kmss("policy apply bad.wasm --name guest --token told --key k").within(folder.path()).fail().mentions("kmss.sizes");
}
