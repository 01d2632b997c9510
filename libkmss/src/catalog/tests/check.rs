//! The walk through a namespace: silent while all is well, and precise where something is not.

use super::*;
use crate::catalog::check::CatalogReport;
use crate::store::{Op, StoreKey};

fn check(bench: &Bench, caller: &Caller) -> CatalogReport {
    bench.catalog.check(caller, &mut |_| ()).unwrap()
}

fn complaints(bench: &Bench) -> String {
    let caller = &bench.user;
    check(bench, caller).complaints.into_iter().map(|c| c.what + "\n").collect()
}

/// A public and a private key, and some data.
fn furnished(bench: &Bench) {
    let user = &bench.user;
    let pair = &mut [key(user, "pair", KeyClass::Private), key(user, "pair", KeyClass::Public)];
    bench.catalog.create(user, pair).unwrap();
    bench.make(key(user, "secret", KeyClass::Secret));
    for n in 0..600 {
        bench.make(data(user, &format!("label {}", n % 7), &[1]));
    }
}

fn paths(bench: &Bench, part: &str) -> Vec<StoreKey> {
    let mut all = Vec::new();
    loop {
        let page = bench.store.scan("ns/", all.last(), 100).unwrap();
        if page.is_empty() {
            return all.into_iter().filter(|key: &StoreKey| key.as_str().contains(part)).collect();
        }
        all.extend(page.into_iter().map(|(key, _)| key));
    }
}

fn apply(bench: &Bench, op: Op) {
    let _ = bench.store.commit(&Batch { ops: vec![op], ..Batch::default() }).unwrap();
}

#[test]
fn a_sound_namespace_is_walked_whole_and_without_complaint() {
    for bench in both() {
        furnished(&bench);
        let seen = check(&bench, &bench.user);
        assert_eq!(seen.complaints, []);
        assert_eq!((seen.objects, seen.opened, seen.entries, seen.names), (603, 603, 603 * 3, 4));
        assert!(seen.editions.values().all(|edition| *edition == 1));
        // Without the private key two records stay closed, which is nothing to complain of.
        let seen = check(&bench, &bench.public);
        assert_eq!((seen.complaints, seen.objects - seen.opened), (Vec::new(), 2));
    }
}

#[test]
fn former_incarnations_are_no_part_of_the_present() {
    let bench = Bench::memory();
    furnished(&bench);
    let next = bench.wipe(&bench.user.namespace).unwrap();
    let caller = bench.user.with(|parts| parts.namespace = Arc::new(next));
    assert_eq!(check(&bench, &caller), CatalogReport::default());
}

#[test]
fn whatever_is_missing_changed_or_added_is_named() {
    let fresh = || {
        let bench = Bench::memory();
        bench.catalog.create(&bench.user, &mut [key(&bench.user, "k", KeyClass::Secret)]).unwrap();
        bench
    };
    let first = |bench: &Bench, part: &str| paths(bench, part).into_iter().next().unwrap();
    for (part, wanted) in [
        ("/idx/", "an index entry is missing"),
        ("/name/", "the guard of a key's name is missing"),
        ("/obj/", "leads to an object"),
    ] {
        let bench = fresh();
        apply(&bench, Op::Delete(first(&bench, part)));
        let found = complaints(&bench);
        assert!(found.contains(wanted), "{part}: {found}");
    }
    for part in ["/idx/", "/name/", "/obj/"] {
        let bench = fresh();
        let path = first(&bench, part);
        let mut value = bench.store.get(&path).unwrap().unwrap().value;
        let last = value.len() - 1;
        value[last] ^= 1;
        apply(&bench, Op::Put(path, value));
        assert_ne!(complaints(&bench), "", "{part}");
    }
    let bench = fresh();
    let path = first(&bench, "/obj/");
    let root = path.as_str().split("/obj/").next().unwrap().to_owned();
    apply(&bench, Op::Put(StoreKey::new(format!("{root}/odd")).unwrap(), Vec::new()));
    assert!(complaints(&bench).contains("belongs to nothing"));
}
