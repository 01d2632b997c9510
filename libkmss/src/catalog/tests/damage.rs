use super::*;
use crate::store::{Commit, Condition, Op, StoreKey};

fn overwrite(bench: &Bench, path: &StoreKey, value: Vec<u8>) {
    let batch = Batch { ops: vec![Op::Put(path.clone(), value)], invalidates: true, ..Batch::default() };
    assert!(matches!(bench.store.commit(&batch).unwrap(), Commit::Committed(_)));
}

fn path_of(bench: &Bench, object: &Object) -> StoreKey {
    Paths::of(&bench.user.namespace).object(object.id).unwrap()
}

fn bytes(bench: &Bench, path: &StoreKey) -> Vec<u8> {
    bench.store.get(path).unwrap().unwrap().value
}

#[test]
fn a_record_with_any_byte_changed_is_refused_and_names_the_object() {
    for private in [false, true] {
        let bench = Bench::memory();
        let made = bench.make(Object { private, ..data(&bench.user, "label", b"1") });
        let path = path_of(&bench, &made);
        let good = bytes(&bench, &path);
        for at in 0..good.len() {
            for change in [1, 0x80, 0xFF] {
                let mut bad = good.clone();
                bad[at] ^= change;
                overwrite(&bench, &path, bad);
                let e = bench.another().get(&bench.user, made.id).unwrap_err();
                let newer_format = at == 0 && e.kind() == ErrorKind::TooNew;
                assert!(e.kind() == ErrorKind::Damaged || newer_format, "byte {at}: {e}");
                assert!(newer_format || e.message().contains(&made.id.to_string()), "byte {at}: {e}");
            }
        }
        for len in 0..good.len() {
            overwrite(&bench, &path, good[..len].to_vec());
            assert_eq!(bench.another().get(&bench.user, made.id).unwrap_err().kind(), ErrorKind::Damaged);
        }
        overwrite(&bench, &path, good);
        assert!(bench.another().get(&bench.user, made.id).is_ok());
    }
}

#[test]
fn a_damaged_record_does_not_hide_behind_the_cache() {
    let bench = Bench::memory();
    let made = bench.make(data(&bench.user, "label", b"1"));
    bench.catalog.get(&bench.user, made.id).unwrap();
    overwrite(&bench, &path_of(&bench, &made), vec![1; 80]);
    assert_eq!(bench.catalog.get(&bench.user, made.id).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn records_cannot_be_swapped_or_moved() {
    let bench = Bench::memory();
    let (a, b) = (bench.make(data(&bench.user, "a", b"1")), bench.make(data(&bench.user, "b", b"2")));
    let (at_a, at_b) = (path_of(&bench, &a), path_of(&bench, &b));
    let (of_a, of_b) = (bytes(&bench, &at_a), bytes(&bench, &at_b));
    overwrite(&bench, &at_a, of_b);
    overwrite(&bench, &at_b, of_a.clone());
    for object in [&a, &b] {
        assert_eq!(bench.catalog.get(&bench.user, object.id).unwrap_err().kind(), ErrorKind::Damaged);
    }
    // Into the next incarnation of the namespace, where it would have survived being wiped.
    let next = Arc::new(Namespace { incarnation: 2, ..Namespace::clone(&bench.user.namespace) });
    overwrite(&bench, &Paths::of(&next).object(a.id).unwrap(), of_a);
    let later = bench.user.with(|parts| parts.namespace = next);
    assert_eq!(bench.another().get(&later, a.id).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn an_older_state_that_comes_back_is_noticed_by_whoever_saw_the_newer() {
    let bench = Bench::memory();
    let made = bench.make(data(&bench.user, "before", b"1"));
    let path = path_of(&bench, &made);
    let old = bytes(&bench, &path);
    let changed = Object { label: b"after".to_vec(), ..Object::clone(&made) };
    bench.catalog.update(&bench.user, &changed).unwrap();
    overwrite(&bench, &path, old);
    let e = bench.catalog.get(&bench.user, made.id).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Damaged);
    assert!(e.message().contains("older state"));
}

#[test]
fn a_record_under_another_version_of_the_domain_key_is_not_opened() {
    let bench = Bench::memory();
    let made = bench.make(data(&bench.user, "a", b"1"));
    let other = Arc::new(DomainKey::ephemeral(Suite::Nist, &OsRandom).unwrap());
    let keyring = Arc::new(Keyring { public: other, ..Keyring::clone(&bench.user.keyring) });
    let stranger = bench.user.with(|parts| parts.keyring = keyring);
    assert_eq!(bench.another().get(&stranger, made.id).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn an_index_entry_cannot_be_copied_to_another_object_or_label() {
    let bench = Bench::memory();
    let (victim, attacker) = (bench.make(data(&bench.user, "ca", b"1")), bench.make(data(&bench.user, "mine", b"2")));
    let term = index::label(&bench.user.keyring.public, b"ca").unwrap();
    let paths = Paths::of(&bench.user.namespace);
    let entry = bytes(&bench, &paths.entry(term, victim.id).unwrap());
    let forged = paths.entry(term, attacker.id).unwrap();
    let query = Query { label: Some(b"ca".to_vec()), ..Query::default() };
    assert_eq!(bench.catalog.find(&bench.user, &query, None, 10).unwrap(), [victim.id]);
    for value in [entry, vec![1; 17], Vec::new()] {
        overwrite(&bench, &forged, value);
        assert_eq!(bench.catalog.find(&bench.user, &query, None, 10).unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[test]
fn a_name_cannot_be_pointed_at_another_key() {
    let bench = Bench::memory();
    let (victim, attacker) = (key(&bench.user, "ca", KeyClass::Private), key(&bench.user, "mine", KeyClass::Private));
    bench.make(victim);
    bench.make(attacker);
    let paths = Paths::of(&bench.user.namespace);
    let guard = |name| name::guard(&bench.user.keyring.public, &paths, name::Place::Main, name).unwrap();
    overwrite(&bench, &guard("ca"), bytes(&bench, &guard("mine")));
    let e = bench.catalog.find_by_name(&bench.user, "ca", KeyClass::Private).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Damaged);
}

#[test]
fn the_store_shows_neither_names_nor_labels_nor_values() {
    let bench = Bench::memory();
    let object = Object { label: b"SeenByNobody".to_vec(), ..key(&bench.user, "SeenByNobody", KeyClass::Secret) };
    bench.make(Object { private: false, ..object });
    bench.make(Object {
        body: Body::Data { value: b"SeenByNobody".to_vec().into() },
        ..data(&bench.user, "", b"SeenByNobody")
    });
    for (path, entry) in bench.store.scan("", None, 1000).unwrap() {
        for needle in [b"SeenByNobody".as_slice(), b"token0", b"53656e"] {
            assert!(!entry.value.windows(needle.len()).any(|w| w == needle));
            assert!(!path.as_str().as_bytes().windows(needle.len()).any(|w| w == needle));
        }
    }
}

#[test]
fn a_batch_that_was_prepared_before_the_namespace_was_wiped_does_not_apply() {
    let bench = Bench::memory();
    let made = bench.make(data(&bench.user, "a", b"1"));
    bench.wipe(&bench.user.namespace).unwrap();
    let late = bench.another();
    let e = late.create(&bench.user, &mut [data(&bench.user, "b", b"")]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert_eq!(late.update(&bench.user, &made).unwrap_err().kind(), ErrorKind::NotFound);
    let closed = Paths::of(&bench.user.namespace).closed().unwrap();
    let probe = Batch { conditions: vec![Condition::Absent(closed)], ..Batch::default() };
    assert_eq!(bench.store.commit(&probe).unwrap(), Commit::Conflict);
}
