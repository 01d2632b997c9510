//! What it costs to have many keys, for the benchmark: prints one JSON object.
//! Arguments: a home with a token, the token's label, its PIN (in `KMSS_PIN`), and how many keys to make.
//!
//! Everything goes through the pipeline, with whatever policies and audit the home has.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::time::Instant;

use libkmss::auth::Credential;
use libkmss::caller::Caller;
use libkmss::catalog::{ObjectKind, Query};
use libkmss::config::Config;
use libkmss::error::Result;
use libkmss::key::{KeyClass, KeySpec, Storage, Usage};
use libkmss::kms::Kms;
use libkmss::mechanism::KeyType;
use libkmss::operation::{Draft, Find, GenerateSecret};
use libkmss::secret::Secret;
use serde_json::{Value, json};

/// Keys of a page, as `ListObjects` gives them unless it is asked for more.
const PAGE: usize = 100;
/// How many pages are read.
const PAGES: usize = 200;
/// How many keys are looked up by their names.
const LOOKS: usize = 2_000;
const SPEC: KeySpec = KeySpec::Secret { key_type: KeyType::Aes, len: 32 };

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [home, token, count] = words.as_slice() else { panic!("usage: many_keys HOME TOKEN COUNT") };
    let pin = std::env::var("KMSS_PIN").expect("KMSS_PIN");
    let count = count.parse().expect("a count");
    let config = Config::load().expect("a configuration").at(Path::new(home).to_owned());
    let kms = Kms::open(&config).expect("the home").expect("a home");
    let namespace = kms.namespaces().expect("the tokens").into_iter().find(|n| n.name == *token).expect("the token");
    let caller = kms.enter(&namespace, 0).expect("entering");
    let pin = Secret::new(pin.into_bytes());
    let caller = kms.login(&caller, &Credential::UserPin { name: "user", pin: &pin }).expect("logging in");
    println!("{}", measured(&kms, &caller, count).expect("the work"));
}

/// Rates of the first and the last tenth, the look-ups that follow each, and pages through all of them.
fn measured(kms: &Kms, caller: &Caller, count: usize) -> Result<Value> {
    let tenth = count.div_ceil(10);
    let begun = Instant::now();
    let first_made = made(kms, caller, 0..tenth)?;
    let few = looked_up(kms, caller, tenth)?;
    made(kms, caller, tenth..count - tenth)?;
    let last_made = made(kms, caller, count - tenth..count)?;
    let took = begun.elapsed().as_secs_f64();
    let many = looked_up(kms, caller, count)?;
    let query = Query { kind: Some(ObjectKind::Key(KeyClass::Secret)), ..Query::default() };
    let (mut after, mut pages) = (None, Vec::with_capacity(PAGES));
    for _ in 0..PAGES {
        let begun = Instant::now();
        let found = kms.perform(caller, Find { query: &query, after, limit: PAGE })?;
        for one in &found {
            kms.object(caller, one.id)?;
        }
        pages.push(begun.elapsed().as_secs_f64() * 1e3);
        after = found.last().map(|one| one.id);
        if found.len() < PAGE {
            break;
        }
    }
    pages.sort_by(f64::total_cmp);
    Ok(json!({
        "keys": count,
        "create_first": first_made,
        "create_last": last_made,
        "seconds": took,
        "lookup_few_us": few,
        "lookup_many_us": many,
        "page_ms": pages.get(pages.len() / 2),
        "page_slowest_ms": pages.last(),
    }))
}

/// Makes keys of these numbers; how many in a second.
fn made(kms: &Kms, caller: &Caller, numbers: std::ops::Range<usize>) -> Result<f64> {
    let (begun, len) = (Instant::now(), numbers.len());
    let numbers: Vec<usize> = numbers.collect();
    for some in numbers.chunks(Kms::MAKE_ITEMS) {
        let drafts = some.iter().map(|number| Ok(GenerateSecret { spec: SPEC, draft: draft(kms, *number)? }));
        let ends = kms.make_each(caller, drafts.collect::<Result<Vec<_>>>()?)?;
        ends.into_iter().try_for_each(|end| end.map(drop))?;
    }
    Ok(f64::from(u32::try_from(len).unwrap_or(u32::MAX)) / begun.elapsed().as_secs_f64())
}

fn draft(kms: &Kms, number: usize) -> Result<Draft> {
    let name = name(number);
    let mut draft = kms.draft(Storage::Stored)?;
    (draft.private, draft.label, draft.name) = (true, name.clone().into_bytes(), name);
    draft.identifier = draft.id.0.to_vec();
    draft.usage = Usage::all_for(KeyType::Aes, KeyClass::Secret);
    Ok(draft)
}

fn name(number: usize) -> String {
    format!("customer-{number}")
}

/// How long it takes to find one of so many keys by its name, each asked for once; the median, in microseconds.
fn looked_up(kms: &Kms, caller: &Caller, count: usize) -> Result<f64> {
    let mut times = Vec::with_capacity(LOOKS);
    // A step that is prime to the count goes through all places.
    for look in 0..LOOKS.min(count) {
        let name = name(look.wrapping_mul(7_919) % count);
        let begun = Instant::now();
        kms.key(caller, &name, KeyClass::Secret)?.expect("a key that was made");
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
