//! Keys whose material is in another place now.

use super::*;
use crate::key::{DeviceObject, Left};

fn place(number: u8) -> DeviceObject {
    DeviceObject { place: vec![number; 20], label: None }
}

fn elsewhere(object: &Object, backend: &'static str, left: Vec<Left>) -> Object {
    let mut moved = object.clone();
    let Body::Key(key) = &mut moved.body else { panic!() };
    for version in &mut key.versions {
        (version.backend, version.locator) = (BackendId(backend.into()), b"there".to_vec());
    }
    key.left = left;
    moved
}

fn backend(catalog: &Catalog, bench: &Bench, id: ObjectId) -> String {
    let object = catalog.get(&bench.user, id).unwrap();
    object.key().unwrap().primary().unwrap().backend.0.to_string()
}

#[test]
fn the_halves_of_a_key_move_together_or_stay_together() {
    for bench in both() {
        let mut pair = [key(&bench.user, "k", KeyClass::Private), key(&bench.user, "k", KeyClass::Public)];
        let made = bench.catalog.create(&bench.user, &mut pair).unwrap();
        let other = bench.another();
        assert_eq!(backend(&other, &bench, made[0].id), "soft");
        let moved: Vec<Object> = made.iter().map(|half| elsewhere(half, "vault", Vec::new())).collect();
        // Somebody changes the public half meanwhile.
        let named = Object { label: b"other".to_vec(), ..Object::clone(&made[1]) };
        let newer = other.update(&bench.user, &named).unwrap();
        let refused = bench.catalog.rehome(&bench.user, &moved, (&[(made[0].id, place(1))], &[])).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(made.iter().all(|half| backend(&other, &bench, half.id) == "soft"));
        assert!(!bench.catalog.has_owner(&place(1)).unwrap());
        let moved = [moved[0].clone(), elsewhere(&newer, "vault", Vec::new())];
        let kept = bench.catalog.rehome(&bench.user, &moved, (&[(made[0].id, place(1))], &[])).unwrap();
        assert_eq!(kept.iter().map(|half| half.edition).collect::<Vec<_>>(), [2, 3]);
        assert!(made.iter().all(|half| backend(&other, &bench, half.id) == "vault"));
        assert!(bench.catalog.has_owner(&place(1)).unwrap());
    }
}

#[test]
fn what_a_key_left_is_its_own_until_it_is_gone() {
    let bench = Bench::sqlite();
    let first = vec![key(&bench.user, "k", KeyClass::Secret)];
    let id = first[0].id;
    let made = bench.made(first, vec![(id, place(1))], Vec::new()).unwrap().remove(0);
    let left = vec![Left { backend: BackendId("vault".into()), locator: vec![1] }];
    let moved = elsewhere(&made, "other", left.clone());
    let moved = bench.catalog.rehome(&bench.user, &[moved], (&[(id, place(2))], &[])).unwrap().remove(0);
    assert_eq!(bench.another().get(&bench.user, id).unwrap().key().unwrap().left, left);
    let thief = vec![key(&bench.user, "thief", KeyClass::Secret)];
    let his = thief[0].id;
    for at in [place(1), place(2)] {
        let refused = bench.made(thief.clone(), vec![(his, at)], Vec::new()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    }
    let gone = elsewhere(&moved, "other", Vec::new());
    bench.catalog.rehome(&bench.user, &[gone], (&[], &[(id, place(1))])).unwrap();
    assert!(!bench.catalog.has_owner(&place(1)).unwrap() && bench.catalog.has_owner(&place(2)).unwrap());
}

#[test]
fn a_move_changes_nothing_else() {
    let bench = Bench::memory();
    let made = bench.make(key(&bench.user, "k", KeyClass::Secret));
    let mut named = elsewhere(&made, "vault", Vec::new());
    named.label = b"other".to_vec();
    let refused = bench.catalog.rehome(&bench.user, &[named], (&[], &[])).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Internal);
}

#[test]
fn the_identity_of_a_key_is_known_by_its_beginning_in_every_namespace() {
    let bench = Bench::memory();
    let made = bench.make(key(&bench.user, "k", KeyClass::Secret));
    assert!(bench.catalog.has_kin(&made.id.0[..12]).unwrap());
    assert!(!bench.catalog.has_kin(&[0; 12]).unwrap());
    bench.catalog.destroy(&bench.user, &made).unwrap();
    assert!(!bench.catalog.has_kin(&made.id.0[..12]).unwrap());
}
