//! A bundle that the real `opa build` makes, where there is `opa` (in `PATH`, or named by `OPA`).

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::*;

const RBAC: &str = r#"package kmss

import rego.v1

default decision := {"allow": false, "reason": "no role grants it"}

decision := {"allow": true, "obligations": obligations} if granted

granted if {
    some role in input.roles
    some grant in data.grants[role]
    grant.action == input.action
    startswith(input.key.name, grant.prefix)
}

obligations contains {"type": "audit_tag", "value": "payments"} if startswith(input.key.name, "payment")
obligations contains {"type": "rate_limit", "count": 100, "seconds": 60} if input.action == "sign"
"#;

const DATA: &str = r#"{"grants": {
    "signer": [{"action": "sign", "prefix": "payment_"}, {"action": "verify", "prefix": ""}],
    "reader": [{"action": "decrypt", "prefix": "log_"}]
}}"#;

/// `policy.wasm` of a policy; `None` where there is no `opa`.
pub(super) fn build(directory: &Path, rego: &str) -> Option<Vec<u8>> {
    let opa = std::env::var_os("OPA").unwrap_or_else(|| "opa".into());
    std::fs::write(directory.join("policy.rego"), rego).unwrap();
    let made = Command::new(opa)
        .args(["build", "-t", "wasm", "-e", "kmss/decision", "policy.rego", "-o", "bundle.tar.gz"])
        .current_dir(directory)
        .output();
    let Ok(made) = made else {
        eprintln!(
            "skipped: there is no `opa` here, so that no real bundle was tried; put it into PATH or name it by OPA"
        );
        return None;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let unpacked = Command::new("tar").args(["-xzf", "bundle.tar.gz", "/policy.wasm"]).current_dir(directory).status();
    assert!(unpacked.unwrap().success());
    Some(std::fs::read(directory.join("policy.wasm")).unwrap())
}

fn ask(policy: &Policy, action: Action, roles: &[String]) -> Answer {
    policy.answer(&request(action, "service:order-v1", roles), &Encoded::default())
}

#[test]
fn an_unmodified_bundle_of_opa_decides() {
    let directory = tempfile::tempdir().unwrap();
    let Some(wasm) = build(directory.path(), RBAC) else { return };
    for host in hosts() {
        let document = Document { data: Some(DATA.as_bytes()), entrypoint: None };
        let policy = host.load_with(&wasm, &document, &Limits::default(), None).unwrap();
        let signer = ["signer".to_owned()];
        for _ in 0..200 {
            let allowed = ask(&policy, Action::Sign, &signer);
            assert_eq!(allowed.verdict, Verdict::Allow, "{}", allowed.reason);
            assert!(allowed.obligations.contains(&Obligation::AuditTag("payments".to_owned())));
            assert!(allowed.obligations.contains(&Obligation::RateLimit { count: 100, seconds: 60 }));
            let denied = ask(&policy, Action::Decrypt, &signer);
            assert_eq!((denied.verdict, denied.reason.as_str()), (Verdict::Deny, "no role grants it"));
        }
    }
}

#[test]
fn a_bundle_that_needs_a_builtin_is_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let rego = "package kmss\nimport rego.v1\ndecision if http.send({\"method\": \"get\", \"url\": \"x\"}).status_code == 200\n";
    let Some(wasm) = build(directory.path(), rego) else { return };
    let error = hosts()[0].load(&wasm, &Limits::default(), None).unwrap_err().to_string();
    assert!(error.contains("http.send"), "{error}");
}

#[test]
fn a_bundle_with_the_builtins_that_there_are_decides_by_the_time_of_the_request() {
    let directory = tempfile::tempdir().unwrap();
    let rego = r#"package kmss
import rego.v1
decision := {"allow": true, "reason": reason} if {
    [hour, _, _] := time.clock(time.now_ns())
    hour >= 12
    reason := sprintf("%s at %d on %s", [input.principal, hour, time.weekday(time.now_ns())])
}"#;
    let Some(wasm) = build(directory.path(), rego) else { return };
    for host in hosts() {
        let policy = host.load(&wasm, &Limits::default(), None).unwrap();
        for _ in 0..3 {
            // 2026-09-21T14:13:20Z
            let answer = ask(&policy, Action::Sign, &[]);
            assert_eq!((answer.verdict, answer.reason.as_str()), (Verdict::Allow, "service:order-v1 at 14 on Monday"));
        }
        let mut early = request(Action::Sign, "user:x", &[]);
        early.time = Timestamp(early.time.0 - 6 * 3_600_000);
        assert_eq!(policy.answer(&early, &Encoded::default()).verdict, Verdict::Deny);
    }
}

#[test]
#[ignore = "prints what a decision of an OPA bundle costs; run it in a release build on a quiet machine"]
fn a_decision_of_a_bundle_costs() {
    let directory = tempfile::tempdir().unwrap();
    let Some(wasm) = build(directory.path(), RBAC) else { return };
    let document = Document { data: Some(DATA.as_bytes()), entrypoint: None };
    let signer = ["signer".to_owned()];
    for host in hosts() {
        let policy = host.load_with(&wasm, &document, &Limits::default(), None).unwrap();
        let round = || {
            let start = Instant::now();
            (0..100).for_each(|_| drop(ask(&policy, Action::Sign, &signer)));
            start.elapsed() / 100
        };
        println!("{:?}: {:?}", host.execution(), (0..100).map(|_| round()).min().unwrap());
    }
}
