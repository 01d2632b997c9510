//! Keys that are destroyed when they are due, and what is left to tell of them.

use super::*;
use crate::catalog::{Facet, Query};
use crate::key::Transition;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A key that is to be destroyed.
fn doomed(bench: &Bench, name: &str, class: KeyClass) -> Arc<Object> {
    let mut object = Object::clone(&bench.make(key(&bench.user, name, class)));
    let Body::Key(key) = &mut object.body else { panic!() };
    key.transit(&Transition::Delete { days: 7, why: "old".into() }, "user:officer", NOW).unwrap();
    bench.catalog.update_all(&bench.user, &[object]).unwrap().remove(0)
}

fn waiting(bench: &Bench) -> usize {
    let query = Query { facets: vec![(Facet::Deletion, Vec::new())], ..Query::default() };
    bench.catalog.find(&bench.user, &query, None, 100).unwrap().len()
}

fn complaints(bench: &Bench) -> Vec<String> {
    let seen = bench.catalog.check(&bench.user, &mut |_| ()).unwrap();
    seen.complaints.into_iter().map(|c| c.what).collect()
}

#[test]
fn a_tombstone_tells_of_the_key_and_keeps_its_name() {
    for bench in both() {
        let (key, later) = (doomed(&bench, "pay", KeyClass::Private), Timestamp(NOW.0 + 1));
        assert_eq!(waiting(&bench), 1);
        bench.catalog.bury(&bench.user, &key, &[], later).unwrap();
        assert_eq!(waiting(&bench), 0);
        assert_eq!(bench.catalog.get(&bench.user, key.id).unwrap_err().kind(), ErrorKind::NotFound);
        let stones = bench.another().tombstones(&bench.user, None, 100).unwrap();
        let [stone] = stones.as_slice() else { panic!() };
        assert_eq!((stone.object, stone.name.as_str(), stone.destroyed), (key.id, "pay", later));
        assert_eq!((stone.by.as_str(), stone.deletion.by.as_str()), ("user:test", "user:officer"));
        assert_eq!(bench.catalog.tombstone_of(&bench.user, "pay").unwrap().as_ref(), Some(stone));
        // Nothing else takes the name by chance.
        let next = bench.make(super::key(&bench.user, "pay", KeyClass::Secret));
        assert_eq!(name_of(&next), "pay-2");
        assert_eq!(bench.catalog.rename(&bench.user, "pay-2", "pay").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(complaints(&bench), Vec::<String>::new());
    }
}

#[test]
fn a_name_that_was_an_alias_is_kept_by_the_tombstone() {
    for bench in both() {
        let made = bench.make(key(&bench.user, "pay", KeyClass::Secret));
        let mut called = Object::clone(&made);
        let Body::Key(body) = &mut called.body else { panic!() };
        body.metadata.aliases = vec!["cur".into(), "other".into()];
        bench.catalog.reshape(&bench.user, &[called], &mut [], &[]).unwrap();
        let renamed = bench.catalog.rename(&bench.user, "pay", "cur").unwrap().remove(0);
        assert_eq!(renamed.key().unwrap().metadata.aliases, ["other"]);
        assert_eq!(bench.another().find_by_name(&bench.user, "cur", KeyClass::Secret).unwrap().id, made.id);
        assert_eq!(complaints(&bench), Vec::<String>::new());
        let mut object = Object::clone(&renamed);
        let Body::Key(body) = &mut object.body else { panic!() };
        body.transit(&Transition::Delete { days: 7, why: String::new() }, "user:officer", NOW).unwrap();
        let object = bench.catalog.update_all(&bench.user, &[object]).unwrap().remove(0);
        bench.catalog.bury(&bench.user, &object, &[], NOW).unwrap();
        assert_eq!(name_of(&bench.make(key(&bench.user, "cur", KeyClass::Secret))), "cur-2");
        assert_eq!(name_of(&bench.make(key(&bench.user, "other", KeyClass::Secret))), "other");
        assert_eq!(bench.catalog.release_name(&bench.user, "cur").unwrap(), 1);
    }
}

#[test]
fn a_released_name_is_free_and_the_tombstone_stays() {
    for bench in both() {
        let private = doomed(&bench, "pay", KeyClass::Private);
        let public = doomed(&bench, "pay", KeyClass::Public);
        for half in [&private, &public] {
            bench.catalog.bury(&bench.user, half, &[], NOW).unwrap();
        }
        assert_eq!(bench.catalog.release_name(&bench.user, "pay").unwrap(), 2);
        assert_eq!(bench.catalog.release_name(&bench.user, "pay").unwrap_err().kind(), ErrorKind::NotFound);
        assert!(bench.catalog.tombstone_of(&bench.user, "pay").unwrap().is_none());
        assert_eq!(name_of(&bench.make(key(&bench.user, "pay", KeyClass::Secret))), "pay");
        let stones = bench.catalog.tombstones(&bench.user, None, 100).unwrap();
        assert!(stones.len() == 2 && stones.iter().all(|stone| stone.released));
        assert_eq!(complaints(&bench), Vec::<String>::new());
    }
}

#[test]
fn two_who_bury_the_same_key_do_it_once() {
    for bench in both() {
        let key = doomed(&bench, "pay", KeyClass::Secret);
        bench.another().bury(&bench.user, &key, &[], NOW).unwrap();
        let second = bench.catalog.bury(&bench.user, &key, &[], NOW).unwrap_err().kind();
        assert!(matches!(second, ErrorKind::NotFound | ErrorKind::Conflict));
        assert_eq!(bench.catalog.tombstones(&bench.user, None, 100).unwrap().len(), 1);
    }
}

#[test]
fn what_is_not_to_be_destroyed_is_not_buried() {
    let bench = Bench::memory();
    let key = bench.make(key(&bench.user, "pay", KeyClass::Secret));
    assert_eq!(bench.catalog.bury(&bench.user, &key, &[], NOW).unwrap_err().kind(), ErrorKind::KeyState);
    assert!(bench.catalog.get(&bench.user, key.id).is_ok());
}

#[test]
fn what_wants_a_name_and_no_other_gets_it_or_is_not_made() {
    for bench in both() {
        let living = bench.make(key(&bench.user, "web", KeyClass::Private));
        let buried = doomed(&bench, "pay", KeyClass::Secret);
        bench.catalog.bury(&bench.user, &buried, &[], NOW).unwrap();
        let make = |name: &str, class| {
            let object = key(&bench.user, name, class);
            let exact = vec![object.id];
            let made = bench.made(vec![object], Vec::new(), exact);
            made.map(|mut made| name_of(&made.remove(0)).to_owned())
        };
        let refused = |name: &str, class| {
            assert_eq!(make(name, class).unwrap_err().kind(), ErrorKind::AlreadyExists);
            bench.catalog.require_free(&bench.user, name, class).unwrap_err().sentence()
        };
        assert!(refused("pay", KeyClass::Public).contains("kmss key release-name pay"));
        assert!(refused("web", KeyClass::Private).contains("exists already"));
        assert!(refused("web", KeyClass::Secret).contains("exists already"));
        // The other half of a pair has a place of its own.
        bench.catalog.require_free(&bench.user, "web", KeyClass::Public).unwrap();
        assert_eq!(make("web", KeyClass::Public).unwrap(), name_of(&living));
        assert_eq!(make("new", KeyClass::Secret).unwrap(), "new");
        assert_eq!(complaints(&bench), Vec::<String>::new());
    }
}

#[test]
fn tombstones_are_read_in_pages() {
    for bench in both() {
        for name in ["a", "b", "c", "d", "e"] {
            let key = doomed(&bench, name, KeyClass::Secret);
            bench.catalog.bury(&bench.user, &key, &[], NOW).unwrap();
        }
        let whole = bench.catalog.tombstones(&bench.user, None, 100).unwrap();
        let (mut all, mut after) = (Vec::new(), None);
        for expected in [2, 2, 1, 0] {
            let page = bench.catalog.tombstones(&bench.user, after, 2).unwrap();
            assert_eq!(page.len(), expected);
            after = page.last().map(|stone| stone.object).or(after);
            all.extend(page);
        }
        assert_eq!(all, whole);
        assert_eq!(whole.len(), 5);
    }
}

#[test]
fn what_devices_have_of_destroyed_keys_is_told_in_pages_of_what_one_sees() {
    for bench in both() {
        let mut ids = Vec::new();
        for number in 0..5 {
            let key = doomed(&bench, &format!("k{number}"), KeyClass::Secret);
            let seen = Object { private: number % 2 == 0, ..Object::clone(&key) };
            bench.catalog.bury_leaving(&bench.user, &key, (&[], Some(&seen)), NOW).unwrap();
            ids.push((key.id, seen.private));
        }
        ids.sort_unstable();
        for (caller, sees_all) in [(&bench.user, true), (&bench.public, false)] {
            let expected: Vec<_> = ids.iter().filter(|(_, private)| sees_all || !private).map(|(id, _)| *id).collect();
            for limit in 1..=6 {
                let (mut seen, mut after) = (Vec::new(), None);
                loop {
                    let page = bench.catalog.left(caller, after, limit).unwrap();
                    assert!(page.len() <= limit);
                    after = page.last().map(|object| object.id);
                    seen.extend(page.iter().map(|object| object.id));
                    if page.len() < limit {
                        break;
                    }
                }
                assert_eq!(seen, expected, "{limit}");
            }
        }
    }
}
