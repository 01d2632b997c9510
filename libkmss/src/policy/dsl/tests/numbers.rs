//! How fast it is; printed, not judged: the machine of a test is never quiet.

use std::fmt::Write as _;
use std::time::Instant;

use super::request::{Request, host};
use crate::key::Action;
use crate::policy::Verdict;
use crate::policy::abi::Encoded;
use crate::policy::dsl::Policy;
use crate::policy::host::Limits;

/// Ten thousand rules for five thousand services and keys, a tenth of them with conditions or wildcards.
fn policy() -> String {
    let mut text = String::from("timezone UTC+08:00\nrole clerk includes reader\n");
    for n in 0..10_000 {
        let _ = match n % 20 {
            0 => writeln!(text, "deny service:order-{n}-* to decrypt key:payment_{n}_*"),
            1 => writeln!(text, "allow role:team-{n} to use keys tagged team-{n} when time between 09:00 and 17:00"),
            _ => writeln!(text, "allow service:order-{} to use key:payment_{n}_aes for encrypt only", n / 2),
        };
    }
    text
}

#[test]
#[ignore = "prints how fast it is"]
fn ten_thousand_rules() {
    let text = policy();
    let (mut parse, mut tables, mut load) = (u128::MAX, u128::MAX, u128::MAX);
    let host = host();
    let mut last = None;
    for _ in 0..5 {
        let start = Instant::now();
        let policy = Policy::parse(&text).unwrap();
        parse = parse.min(start.elapsed().as_micros());
        let start = Instant::now();
        let compiled = policy.compile().unwrap();
        tables = tables.min(start.elapsed().as_micros());
        let limits = Limits { fuel: None, pages: Some(compiled.pages) };
        let start = Instant::now();
        last = Some((host.load(&compiled.wasm, &limits, None).unwrap(), compiled));
        load = load.min(start.elapsed().as_micros());
    }
    let (policy, compiled) = last.unwrap();
    println!(
        "read {parse} µs, tables {tables} µs, machine code {load} µs; {} pages, {} bytes",
        compiled.pages,
        compiled.wasm.len()
    );
    let requests: Vec<Request> = (0..1_000)
        .map(|n| {
            let n = n * 37 % 10_000 / 20 * 20 + 2 + n % 17;
            let mut request =
                Request::new(&format!("service:order-{}", n / 2), Action::Encrypt, &format!("payment_{n}_aes"));
            request.mechanism = Some("AES_GCM");
            request
        })
        .collect();
    let inputs: Vec<_> = requests.iter().map(|request| (request.input(), Encoded::of(&request.input()))).collect();
    for (what, count) in [("each of them another", inputs.len()), ("one and the same", 1)] {
        let mut best = f64::MAX;
        for _ in 0..50 {
            let start = Instant::now();
            for n in 0..10_000 {
                let (input, encoded) = &inputs[n % count];
                assert_eq!(policy.answer(input, encoded).verdict, Verdict::Allow);
            }
            best = best.min(start.elapsed().as_nanos() as f64 / 10_000.0);
        }
        println!("a decision, {what}: {best:.0} ns");
    }
}
