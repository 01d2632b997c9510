//! New versions of a domain key, and PINs that open them without being there.

use super::*;
use crate::clock::Timestamp;
use crate::domain::VersionInfo;

fn rotate(bench: &Bench) -> u32 {
    bench.auth.rotate(&bench.namespace, &bench.officer(), Timestamp(5), None).unwrap()
}

fn seal(key: &DomainKey) -> Vec<u8> {
    key.seal_material(&SystemRandom, b"probe", &Secret::copy_of(b"text")).unwrap()
}

fn opens(key: &DomainKey, sealed: &[u8]) -> bool {
    key.open_material(b"probe", sealed).is_ok()
}

#[test]
fn a_rotation_reaches_who_is_logged_in_and_who_logs_in_later() {
    for suite in [Suite::Nist, Suite::Gm] {
        let bench = Bench::new(suite, PinConfig::default());
        bench.give("user", PIN);
        bench.give("alice", b"alice's pin");
        let here = bench.private("user", PIN);
        let old = seal(&here);
        assert_eq!(rotate(&bench), 2);
        assert_eq!(here.newest().unwrap().number(), 2);
        let new = seal(&here);
        for key in [bench.private("user", PIN), bench.private("alice", b"alice's pin")] {
            assert!(opens(&key, &old) && opens(&key, &new));
        }
        let public = bench.auth.public_domain_key(&bench.namespace).unwrap();
        assert!(!opens(&public, &old) && !opens(&public, &new));
    }
}

#[test]
fn credentials_survive_a_rotation_their_rewrap_and_the_end_of_the_old_version() {
    for suite in [Suite::Nist, Suite::Gm] {
        let bench = Bench::new(suite, PinConfig::default());
        bench.give("user", PIN);
        let old = seal(&bench.private("user", PIN));
        rotate(&bench);
        assert_eq!(bench.auth.named_versions(&bench.namespace).unwrap(), [1, 1, 1]);
        assert_eq!(bench.auth.rewrap(&bench.namespace).unwrap().anew, 3);
        assert!(bench.auth.rewrap(&bench.namespace).unwrap().is_settled());
        bench.auth.erase(&bench.namespace, &[1, 2]).unwrap();
        let versions = bench.auth.versions(&bench.namespace).unwrap();
        assert_eq!(versions, [VersionInfo { number: 2, created: Timestamp(5), device: None }]);
        let key = bench.private("user", PIN);
        assert!(!opens(&key, &old) && opens(&key, &seal(&key)));
        assert_eq!(bench.auth.users(&bench.namespace).unwrap(), ["user"]);
        assert_eq!(kind(bench.login("user", b"wrong pin")), ErrorKind::PinIncorrect);
        bench.give("user", b"another pin");
        bench.auth.change_pin(&bench.namespace, Holder::DEFAULT_USER, &pin(b"another pin"), &pin(PIN)).unwrap();
        assert!(opens(&bench.private("user", PIN), &seal(&key)));
    }
}

#[test]
fn an_officer_of_another_edition_rotates_nothing() {
    let bench = Bench::with_user();
    let officer = bench.officer();
    let again = Namespace { incarnation: bench.namespace.incarnation + 1, ..bench.namespace.clone() };
    bench.auth.initialize(&again, &pin(SO_PIN)).unwrap();
    assert_eq!(kind(bench.auth.rotate(&again, &officer, Timestamp(1), None)), ErrorKind::NotLoggedIn);
    assert_eq!(kind(bench.auth.rotate(&bench.namespace, &officer, Timestamp(1), None)), ErrorKind::Conflict);
}

#[test]
fn a_damaged_credential_does_not_keep_the_others_from_being_sealed_anew() {
    let bench = Bench::new(Suite::Nist, PinConfig::default());
    bench.give("user", PIN);
    bench.give("alice", PIN);
    let all = bench.store.scan_all("auth/").unwrap();
    let (path, entry) = all.into_iter().find(|(path, _)| path.as_str().contains("/user/")).unwrap();
    let mut value = entry.value;
    *value.last_mut().unwrap() ^= 1;
    let batch = Batch { ops: vec![Op::Put(path.clone(), value)], ..Batch::default() };
    let _ = bench.store.commit(&batch).unwrap();
    rotate(&bench);
    let names = bench.auth.named_versions(&bench.namespace).unwrap().len() as u64;
    let done = bench.auth.rewrap(&bench.namespace).unwrap();
    assert_eq!((done.seen, done.anew, done.damaged), (names, names - 1, vec![path.as_str().to_owned()]));
    assert!(bench.auth.named_versions(&bench.namespace).unwrap().contains(&1));
}
