#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bundle;
mod lasting;
mod watch;

use super::input::Members;
use super::*;
use crate::clock::Timestamp;
use crate::key::Action;
use crate::mechanism::KeyType;
use crate::policy::abi::Encoded;
use crate::policy::host::{Execution, Policy};
use crate::policy::{Flags, InputKey, Obligation, Verdict};

/// A guest of ours with OPA's interface, whose result depends on the first letter of the action.
const FAKE: &[u8] = include_bytes!("fake.wasm");
/// One with OPA's interface 1.1, which has no `opa_eval`.
const STEPS: &[u8] = include_bytes!("steps.wasm");
/// The first, which asks for `http.send`.
const NEEDS_BUILTIN: &[u8] = include_bytes!("needs_builtin.wasm");

pub(super) fn request<'a>(action: Action, principal: &'a str, roles: &'a [String]) -> Input<'a> {
    Input {
        action,
        mechanism: Some("ECDSA_SHA256"),
        time: Timestamp(1_790_000_000_000),
        sequence: 1,
        last_second: 1,
        last_minute: 1,
        data_len: None,
        flags: Flags::default(),
        uid: u32::MAX,
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
        principal,
        roles,
        process: "/usr/sbin/nginx",
        source: "",
        session: "17",
        context: &[],
    }
}

fn ask(policy: &Policy, action: Action) -> Answer {
    policy.answer(&request(action, "service:order-v1", &[]), &Encoded::default())
}

fn hosts() -> [Host; 2] {
    [Execution::Compiled, Execution::Interpreted].map(|execution| Host::with(execution).unwrap())
}

#[test]
fn booleans_objects_and_undefined_decide() {
    for host in hosts() {
        let document = Document { data: Some(b"{\"a\": 1}"), entrypoint: Some("example/decision") };
        let policy = host.load_with(FAKE, &document, &Limits::default(), None).unwrap();
        assert_eq!(policy.interface(), "opa");
        for _ in 0..3 {
            assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
            let denied = ask(&policy, Action::Digest);
            assert_eq!((denied.verdict, denied.reason.as_str()), (Verdict::Deny, ""));
            let undefined = ask(&policy, Action::Import);
            assert_eq!(
                (undefined.verdict, undefined.reason.as_str()),
                (Verdict::Deny, "the policy's decision is undefined")
            );
            assert_eq!(ask(&policy, Action::Find).verdict, Verdict::NotApplicable);
            let object = ask(&policy, Action::Encrypt);
            assert_eq!((object.verdict, object.rule, object.reason.as_str()), (Verdict::Allow, 3, "it may"));
            let expected = [
                Obligation::AuditTag("pci".to_owned()),
                Obligation::Quorum { approvals: 2, role: "custodian".to_owned(), window: 0 },
            ];
            assert_eq!(object.obligations, expected);
        }
    }
}

#[test]
fn a_module_that_gives_up_calls_builtins_loops_or_grows_denies_and_the_next_decision_works() {
    for host in hosts() {
        let policy = host.load(FAKE, &Limits::default(), None).unwrap();
        let cases = [
            (Action::Wrap, "the policy gave up: no such thing?here"),
            (Action::Verify, "the policy called the builtin 42 of OPA, which KMSS does not have"),
            (Action::Login, "the policy used up its fuel"),
            (Action::Manage, "the policy wanted more memory"),
        ];
        for (action, reason) in cases {
            let answer = ask(&policy, action);
            assert_eq!(answer.verdict, Verdict::Deny);
            assert!(answer.reason.starts_with(reason), "{}", answer.reason);
            assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
        }
    }
}

#[test]
fn modules_from_before_the_single_call_are_asked_step_by_step() {
    for host in hosts() {
        let policy = host.load(STEPS, &Limits::default(), None).unwrap();
        for _ in 0..200 {
            assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
            assert_eq!(ask(&policy, Action::Digest).verdict, Verdict::Deny);
            let object = ask(&policy, Action::Encrypt);
            assert_eq!(
                (object.verdict, object.reason.as_str(), object.obligations.len()),
                (Verdict::Allow, "it may", 2)
            );
            for (action, reason) in [
                (Action::Import, "the policy's decision is undefined"),
                (Action::Wrap, "the policy gave up: no such thing?here"),
                (Action::Verify, "the policy gave up: its evaluation failed"),
            ] {
                let answer = ask(&policy, action);
                assert_eq!((answer.verdict, answer.reason.as_str()), (Verdict::Deny, reason));
            }
        }
        assert!(ask(&policy, Action::Login).reason.contains("fuel"));
        assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
    }
}

#[test]
fn modules_that_offer_neither_the_single_call_nor_every_step_are_refused_with_what_they_lack() {
    for name in ["opa_eval_ctx_new", "opa_eval_ctx_set_input", "opa_eval_ctx_get_result", "opa_json_dump"] {
        let place = STEPS.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
        let mut other = STEPS.to_vec();
        other[place] = b'x';
        let refused = hosts()[0].load(&other, &Limits::default(), None).unwrap_err().to_string();
        assert!(refused.contains(name), "{refused}");
    }
    // The major version is another.
    let version = b"\x7f\x00\x41\x01\x0b";
    let place = STEPS.windows(version.len()).position(|part| part == version).unwrap();
    let mut other = STEPS.to_vec();
    other[place + 3] = 2;
    let refused = hosts()[0].load(&other, &Limits::default(), None).unwrap_err().to_string();
    assert!(refused.contains("1.0 to 1.3"), "{refused}");
}

#[test]
fn a_module_is_given_all_of_its_memory_at_once_and_stays_the_same_otherwise() {
    for module in [FAKE, STEPS, NEEDS_BUILTIN] {
        let own = own_memory(module, 32).unwrap();
        wasmparser::Validator::new().validate_all(&own).unwrap();
        assert_eq!(own_memory(&own, 32), None, "it imports no memory any more");
        assert!(own_memory(module, 1).is_none());
        for cut in 0..module.len() {
            // What is no module does not become one.
            let cut = &module[..cut];
            let is_module = |bytes: &[u8]| wasmparser::Validator::new().validate_all(bytes).is_ok();
            assert!(own_memory(cut, 32).is_none_or(|own| !is_module(&own) || is_module(cut)), "{}", cut.len());
        }
    }
}

#[test]
fn what_it_needs_and_lacks_is_told_at_load() {
    let host = &hosts()[0];
    let refused = |wasm: &[u8], document: &Document<'_>, limits: &Limits| {
        host.load_with(wasm, document, limits, None).unwrap_err().to_string()
    };
    let (none, limits) = (Document::default(), Limits::default());
    assert!(refused(NEEDS_BUILTIN, &none, &limits).ends_with("does not have: http.send"));
    let other = Document { entrypoint: Some("other"), ..none };
    assert!(refused(FAKE, &other, &limits).contains("entrypoints are example/decision"));
    let broken = Document { data: Some(b"{\"a\":"), ..none };
    assert!(refused(FAKE, &broken, &limits).contains("does not take its data"));
    let small = Limits { pages: Some(1), fuel: None };
    assert!(refused(FAKE, &none, &small).contains("may have 2 pages"));
    let large = [b"\"", "x".repeat(3 << 20).as_bytes(), b"\""].concat();
    let refusal = refused(FAKE, &Document { data: Some(&large), ..none }, &limits);
    assert!(refusal.contains("more memory"), "{refusal}");
    // Every cut is refused, and every flipped byte refused or harmless.
    for cut in 0..FAKE.len() {
        assert!(host.load(&FAKE[..cut], &limits, None).is_err(), "{cut}");
    }
}

#[test]
fn results_that_are_no_decision_deny() {
    let cases = [
        "",
        "{}",
        "[{}]",
        "[{\"result\":1}]",
        "[{\"result\":\"true\"}]",
        "[{\"result\":[true]}]",
        "[{\"result\":{}}]",
        "[{\"result\":{\"allow\":\"yes\"}}]",
        "[{\"result\":true},{\"result\":true}]",
        "[{\"result\":{\"allow\":true,\"rule\":16777216}}]",
        "[{\"result\":{\"allow\":true,\"reason\":\"a\\nb\"}}]",
        "[{\"result\":{\"allow\":true,\"obligations\":[{}]}}]",
        "[{\"result\":{\"allow\":true,\"obligations\":[{\"type\":\"of_the_future\"}]}}]",
        "[{\"result\":{\"allow\":true,\"obligations\":[{\"type\":\"rate_limit\",\"count\":1,\"seconds\":0}]}}]",
        "[{\"result\":{\"allow\":true,\"obligations\":[{\"type\":\"quorum\",\"approvals\":2,\"role\":\"x\",\"window\":\"y\"}]}}]",
        "[{\"result\":{\"allow\":true,\"obligations\":[{\"type\":\"mask\",\"characters\":256}]}}]",
    ];
    for case in cases {
        assert!(result::read(case.as_bytes()).is_err(), "{case}");
    }
    assert_eq!(result::read(b"[]"), Err(Failure::Undefined));
    let many =
        format!("[{{\"result\":{{\"allow\":true,\"obligations\":[{}]}}}}]", ["{\"type\":\"step_up\"}"; 65].join(","));
    assert!(result::read(many.as_bytes()).is_err());
}

#[test]
fn the_input_is_what_the_document_shows() {
    let roles = ["signer".to_owned()];
    let mut text = Vec::new();
    input::write(&request(Action::Sign, "service:\"x\"", &roles), Members::All, &mut text).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(value["principal"], "service:\"x\"");
    assert_eq!(value["key"]["type"], "EC");
    assert!(value["uid"].is_null() && value["data_length"].is_null());
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy-abi.md");
    let page = std::fs::read_to_string(page).unwrap();
    let example = page.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let example: serde_json::Value = serde_json::from_str(example).unwrap();
    let members = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&value), members(&example));
    assert_eq!(members(&value["key"]), members(&example["key"]));
}
