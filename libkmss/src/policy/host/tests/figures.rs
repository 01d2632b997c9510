//! What decisions cost. Run in a release build: `cargo test --release -p libkmss figures -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::home::Home;

/// The best of many runs, in nanoseconds for one.
fn best(mut run: impl FnMut()) -> u128 {
    let mut round = || {
        let start = Instant::now();
        (0..1000).for_each(|_| run());
        start.elapsed().as_nanos() / 1000
    };
    (0..200).map(|_| round()).min().unwrap()
}

#[test]
#[ignore = "prints what decisions cost; run it in a release build on a quiet machine"]
fn decisions_cost() {
    let request = input(Action::Sign);
    let mut encoded = Encoded::of(&request);
    println!(
        "encoding a request of {} bytes: {} ns",
        encoded.request().unwrap().len(),
        best(|| encoded.encode(&request))
    );
    for host in hosts() {
        let reads = load(&host, READS);
        let writes = load(&host, WRITES);
        let kind = host.execution();
        println!("{kind:?}: a guest that only reads: {} ns", best(|| drop(reads.answer(&request, &encoded))));
        let three = best(|| (0..3).for_each(|_| drop(reads.answer(&request, &encoded))));
        println!("{kind:?}: three of them: {three} ns");
        println!("{kind:?}: a guest that writes: {} ns", best(|| drop(writes.answer(&request, &encoded))));
    }
}

#[test]
#[ignore = "prints what a first decision costs; run it in a release build on a quiet machine"]
fn first_decisions_cost() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::create(&directory.path().join("home"), None).unwrap();
    let cache = Cache::new(&home, &[1; 32]);
    let wasm = READS;
    let first = |execution| {
        let start = Instant::now();
        let host = Host::with(execution).unwrap();
        let engine = start.elapsed();
        let policy = host.load(wasm, &Limits::default(), Some(&cache)).unwrap();
        assert_eq!(ask(&policy, Action::Sign).verdict, Verdict::Allow);
        (start.elapsed(), engine, policy.origin())
    };
    for execution in [Execution::Compiled, Execution::Interpreted] {
        println!("{execution:?}, nothing in the cache: {:?}", first(execution));
        let best = (0..50).map(|_| first(execution)).min_by_key(|(all, ..)| *all).unwrap();
        println!("{execution:?}, engine, load and decision from the cache: {best:?}");
    }
}
