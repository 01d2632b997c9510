//! What a policy decision costs, for the benchmark: prints one JSON object with nanoseconds, or with microseconds where the
//! name says so. Arguments: a folder to work in, and `policy.wasm` and `data.json` of an OPA bundle.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libkmss::clock::Timestamp;
use libkmss::home::Home;
use libkmss::key::Action;
use libkmss::mechanism::KeyType;
use libkmss::policy::abi::Encoded;
use libkmss::policy::dsl;
use libkmss::policy::host::{Cache, Host, Limits, Policy, Trust};
use libkmss::policy::opa::Document;
use libkmss::policy::{Flags, Input, InputKey, Verdict};
use serde_json::json;

/// Of the first decision of a process; fixed here, because nothing is kept.
const CACHE_KEY: [u8; 32] = [7; 32];
/// One measurement, and how many of them: the least is told.
const ROUND: Duration = Duration::from_millis(40);
const ROUNDS: usize = 15;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--first", folder] => println!("{}", first(Path::new(folder)).as_secs_f64() * 1e6),
        [folder, wasm, data] => println!("{}", all(Path::new(folder), Path::new(wasm), Path::new(data))),
        _ => panic!("usage: policy_speed FOLDER WASM DATA"),
    }
}

fn all(folder: &Path, wasm: &Path, data: &Path) -> serde_json::Value {
    let host = Host::new(Trust::Trusted).unwrap();
    let input = input();
    let text = ten_thousand_rules();
    let begun = Instant::now();
    let compiled = dsl::Policy::parse(&text).unwrap().compile().unwrap();
    let limits = Limits { fuel: None, pages: Some(compiled.pages) };
    let large = host.load(&compiled.wasm, &limits, None).unwrap();
    let compiling = begun.elapsed();
    let small = load(&host, "allow service:order-* to use key:payment_aes for encrypt only");
    let wide = load(&host, "allow anyone to use key:* when mechanism is not AES_ECB");
    let encoded = Encoded::of(&input);
    for policy in [&large, &small, &wide] {
        assert_eq!(policy.answer(&input, &encoded).verdict, Verdict::Allow);
    }
    let document = Document { data: Some(&std::fs::read(data).unwrap()), entrypoint: None };
    let opa = host.load_with(&std::fs::read(wasm).unwrap(), &document, &Limits::default(), None).unwrap();
    let opa_verdict = opa.answer(&input, &encoded);
    assert!(opa_verdict.verdict != Verdict::NotApplicable);
    let mut passing = input.clone();
    let mut scratch = Encoded::default();
    let layers = least(|| {
        scratch.encode(&input);
        for policy in [&wide, &large, &small] {
            let _ = black_box(policy.answer(&input, &scratch));
        }
    });
    json!({
        "native": least(|| drop(black_box(small.answer(&input, &encoded)))),
        "native_10000_rules": least(|| drop(black_box(large.answer(&input, &encoded)))),
        "three_layers": layers,
        "opa_rbac": least(|| {
            pass(&mut passing);
            drop(black_box(opa.answer(&passing, &encoded)));
        }),
        "compile_10000_rules_us": compiling.as_secs_f64() * 1e6,
        "first_decision_us": first_of_a_process(folder),
    })
}

/// The least of some first decisions, each in a process of its own, with the code in the cache.
fn first_of_a_process(folder: &Path) -> f64 {
    drop(Home::create(folder, None).unwrap());
    let once = || {
        let output = Command::new(std::env::current_exe().unwrap()).arg("--first").arg(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap()
    };
    // The first of all fills the cache.
    once();
    (0..ROUNDS).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn first(folder: &Path) -> Duration {
    let home = Home::open(folder).unwrap();
    let text = "allow service:order-* to use key:payment_aes for encrypt only";
    let compiled = dsl::Policy::parse(text).unwrap().compile().unwrap();
    let begun = Instant::now();
    let host = Host::new(Trust::Trusted).unwrap();
    let cache = Cache::new(&home, &CACHE_KEY);
    let limits = Limits { fuel: None, pages: Some(compiled.pages) };
    let policy = host.load(&compiled.wasm, &limits, Some(&cache)).unwrap();
    let input = input();
    assert_eq!(policy.answer(&input, &Encoded::of(&input)).verdict, Verdict::Allow);
    begun.elapsed()
}

fn load(host: &Host, text: &str) -> Policy {
    let compiled = dsl::Policy::parse(text).unwrap().compile().unwrap();
    host.load(&compiled.wasm, &Limits { fuel: None, pages: Some(compiled.pages) }, None).unwrap()
}

fn ten_thousand_rules() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("allow service:order-v1 to encrypt key:payment_aes\n");
    for n in 1..10_000 {
        writeln!(text, "allow service:app-{n} to use key:app_{n}_* when size <= 64 KiB").unwrap();
    }
    text
}

fn input() -> Input<'static> {
    Input {
        action: Action::Encrypt,
        mechanism: Some("AES_GCM"),
        time: Timestamp(1_760_000_000_000),
        sequence: 1,
        last_second: 3,
        last_minute: 60,
        data_len: Some(1024),
        flags: Flags::default(),
        uid: 33,
        pid: 4242,
        key: Some(InputKey {
            id: "00112233445566778899aabbccddeeff",
            name: "payment_aes",
            session: false,
            key_type: Some(KeyType::Aes),
            bits: 256,
            created: Timestamp(1_700_000_000_000),
            version_age: 60_000_000,
            tags: &[],
        }),
        tenant: "default",
        namespace: "web",
        principal: "service:order-v1",
        roles: &[],
        process: "/usr/sbin/nginx",
        source: "",
        session: "1",
        context: &[],
    }
}

/// The next request of a process that makes a hundred in a millisecond: its numbers are others, which an OPA module is told
/// anew.
fn pass(input: &mut Input<'_>) {
    input.sequence += 1;
    let milliseconds = u64::from(input.sequence.is_multiple_of(100));
    input.time.0 += milliseconds;
    if let Some(key) = &mut input.key {
        key.version_age += milliseconds;
    }
    (input.last_second, input.last_minute) = ((input.sequence % 100_000) as u32, (input.sequence % 6_000_000) as u32);
}

/// Nanoseconds of one call: the least of some measurements.
fn least(mut call: impl FnMut()) -> f64 {
    let mut calls = 1_u32;
    loop {
        let begun = Instant::now();
        (0..calls).for_each(|_| call());
        if begun.elapsed() >= ROUND / 4 || calls > 1 << 28 {
            break;
        }
        calls *= 2;
    }
    let round = |_| {
        let begun = Instant::now();
        (0..calls).for_each(|_| call());
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
