//! Copies of a keeper's records whose names move there.

use super::*;
use crate::key::Role;

/// What the keeper has, as a version of a key called `name`.
fn version(of: &Object, name: &str, number: u32, role: Option<Role>) -> Object {
    let mut object = of.clone();
    let Body::Key(key) = &mut object.body else { panic!() };
    key.name = name.to_owned();
    (key.lifecycle.version, key.lifecycle.role) = (number, role);
    object
}

fn take(bench: &Bench, caller: &Caller, object: Object) -> Arc<Object> {
    let (keeper, private) = (BackendId("far".into()), object.private);
    let id = object.id;
    let mut bookmark = bench.catalog.bookmark(caller, &keeper, private).unwrap();
    bench.catalog.take_over(caller, &mut bookmark, object).unwrap();
    bench.catalog.get(caller, id).unwrap()
}

#[test]
fn each_half_follows_its_name_whether_the_other_one_is_seen_or_not() {
    for bench in both() {
        let half = |class| key(&bench.user, "pay", class);
        let private = Object { private: true, ..half(KeyClass::Private) };
        let public = Object { private: false, ..half(KeyClass::Public) };
        for one in [&private, &public] {
            take(&bench, &bench.user, one.clone());
        }
        // Rotated there, and seen by somebody who is not logged in.
        let new = Object { private: false, ..half(KeyClass::Public) };
        let former = take(&bench, &bench.public, version(&public, "pay@1", 1, Some(Role::Former)));
        let new = take(&bench, &bench.public, version(&new, "pay", 2, None));
        let names = |object: &Arc<Object>| {
            let key = object.key().unwrap();
            (key.name.clone(), key.policy_name().to_owned())
        };
        assert_eq!(names(&former), ("pay@1".into(), "pay".into()));
        assert_eq!(names(&new), ("pay".into(), "pay".into()));
        // The other halves follow when they are seen.
        let former = take(&bench, &bench.user, version(&private, "pay@1", 1, Some(Role::Former)));
        let new = Object { private: true, ..half(KeyClass::Private) };
        let new = take(&bench, &bench.user, version(&new, "pay", 2, None));
        assert_eq!((names(&former).0, names(&new).0), ("pay@1".into(), "pay".into()));
        for class in [KeyClass::Private, KeyClass::Public] {
            for name in ["pay", "pay@1"] {
                bench.another().find_by_name(&bench.user, name, class).unwrap();
            }
        }
    }
}

#[test]
fn a_version_that_came_too_early_gets_its_name_with_the_next_look() {
    for bench in both() {
        let old = take(&bench, &bench.user, key(&bench.user, "pay", KeyClass::Secret));
        let new = version(&key(&bench.user, "pay", KeyClass::Secret), "pay", 2, None);
        assert_eq!(name_of(&take(&bench, &bench.user, new.clone())), "pay-2");
        take(&bench, &bench.user, version(&old, "pay@1", 1, Some(Role::Former)));
        assert_eq!(name_of(&take(&bench, &bench.user, new)), "pay");
        // What was made ahead is a version of the name in the commit in which it takes it.
        let ahead = version(&key(&bench.user, "pay", KeyClass::Secret), "pay@3", 3, Some(Role::Pending));
        assert_eq!(take(&bench, &bench.user, ahead).key().unwrap().policy_name(), "pay");
    }
}
