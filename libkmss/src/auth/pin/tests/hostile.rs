//! What somebody who can write the store, and nothing else, can do: damage, and be found out.

use super::*;
use crate::store::Entry;

fn keys(bench: &Bench) -> Vec<(String, Entry)> {
    bench.store.snapshot().into_iter().collect()
}

/// Every question that reads the records of the namespace.
fn ask(bench: &Bench) -> Vec<Result<()>> {
    let (auth, namespace) = (&bench.auth, &bench.namespace);
    vec![
        auth.public_domain_key(namespace).map(drop),
        auth.state(namespace, Holder::Officer).map(drop),
        auth.state(namespace, Holder::DEFAULT_USER).map(drop),
        auth.users(namespace).map(drop),
    ]
}

#[test]
fn every_damage_to_a_record_is_noticed() {
    let bench = Bench::with_user();
    let snapshot = bench.store.snapshot();
    assert_eq!(snapshot.len(), 4);
    for (key, entry) in &snapshot {
        for at in 0..entry.value.len() {
            for bit in [0, 7] {
                let mut flipped = entry.value.clone();
                flipped[at] ^= 1 << bit;
                for hostile in [flipped, entry.value[..at].to_vec()] {
                    bench.store.put(key, hostile);
                    let errors: Vec<Error> = ask(&bench).into_iter().filter_map(Result::err).collect();
                    assert!(!errors.is_empty(), "byte {at} of {key} went unnoticed");
                    for error in errors {
                        // The format byte tells newer versions from damage; the rest is damage.
                        let newer = at == 0 && error.kind() == ErrorKind::TooNew;
                        assert!(newer || error.kind() == ErrorKind::Damaged, "byte {at} of {key}: {error}");
                    }
                }
            }
        }
        bench.store.restore(&snapshot);
    }
    assert!(ask(&bench).into_iter().all(|answer| answer.is_ok()));
}

#[test]
fn a_damaged_credential_is_an_error_of_its_own_and_never_a_login() {
    let bench = Bench::with_user();
    for (key, entry) in keys(&bench) {
        let mut value = entry.value.clone();
        *value.last_mut().unwrap() ^= 1;
        bench.store.put(&key, value);
    }
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::Damaged);
    assert_eq!(kind(bench.officer_login(SO_PIN)), ErrorKind::Damaged);
}

#[test]
fn records_that_were_moved_or_swapped_do_not_open() {
    let bench = Bench::with_user();
    bench.give("alice", b"alice's pin");
    let snapshot = bench.store.snapshot();
    let credentials: Vec<_> = snapshot.iter().filter(|(key, _)| !key.ends_with("/domain")).collect();
    for (place, _) in &credentials {
        for (origin, entry) in &credentials {
            if place != origin {
                bench.store.put(place, entry.value.clone());
                assert!(ask(&bench).into_iter().any(|a| matches!(&a, Err(e) if e.kind() == ErrorKind::Damaged)));
            }
        }
        bench.store.restore(&snapshot);
    }
}

#[test]
fn the_domain_key_of_another_namespace_or_incarnation_does_not_fit() {
    let bench = Bench::with_user();
    let other = namespace(2);
    bench.auth.initialize(&other, &pin(SO_PIN)).unwrap();
    let (ours, theirs) = (domain::key(&bench.namespace).unwrap(), domain::key(&other).unwrap());
    let foreign = bench.store.snapshot().get(theirs.as_str()).unwrap().value.clone();
    bench.store.put(ours.as_str(), foreign);
    assert_eq!(kind(bench.auth.public_domain_key(&bench.namespace)), ErrorKind::Damaged);
}

#[test]
fn a_removed_credential_lets_nobody_in() {
    let bench = Bench::with_user();
    let snapshot = bench.store.snapshot();
    for key in snapshot.keys().filter(|key| !key.ends_with("/domain")) {
        let mut without = snapshot.clone();
        without.remove(key);
        bench.store.restore(&without);
        let (user, officer) = (bench.login("user", b"guess"), bench.officer_login(b"guess"));
        assert!(user.is_err() && officer.is_err());
    }
}

#[test]
fn the_store_shows_neither_names_nor_pins_nor_keys() {
    let bench = Bench::with_user();
    bench.give("alice-in-the-store", b"alice's pin");
    for (key, entry) in keys(&bench) {
        let all = [key.as_bytes(), &entry.value].concat();
        for word in [&b"alice-in-the-store"[..], b"alice's pin", PIN, SO_PIN] {
            assert!(!all.windows(word.len()).any(|w| w == word), "{key}");
        }
    }
}

#[test]
fn records_of_a_newer_version_are_told_from_damage() {
    let bench = Bench::with_user();
    let place =
        credential::key(&bench.namespace, &bench.auth.domain(&bench.namespace).unwrap(), Holder::DEFAULT_USER).unwrap();
    let mut value = bench.store.snapshot().get(place.as_str()).unwrap().value.clone();
    value[0] = 3;
    bench.store.put(place.as_str(), value);
    assert_eq!(kind(bench.login("user", PIN)), ErrorKind::TooNew);
}
