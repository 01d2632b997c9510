//! Names that move between versions of a key, in one commit.

use super::*;

fn renamed(object: &Object, name: &str) -> Object {
    let mut object = object.clone();
    let Body::Key(key) = &mut object.body else { panic!() };
    key.name = name.to_owned();
    object.label = name.into();
    object
}

fn id_of(bench: &Bench, name: &str, class: KeyClass) -> ObjectId {
    bench.another().find_by_name(&bench.user, name, class).unwrap().id
}

fn pair(bench: &Bench, name: &str) -> Vec<Arc<Object>> {
    let user = &bench.user;
    bench.catalog.create(user, &mut [key(user, name, KeyClass::Private), key(user, name, KeyClass::Public)]).unwrap()
}

fn complaints(bench: &Bench) -> Vec<String> {
    bench.catalog.check(&bench.user, &mut |_| ()).unwrap().complaints.into_iter().map(|c| c.what).collect()
}

#[test]
fn a_new_pair_takes_the_name_that_another_gives_up() {
    for bench in both() {
        let old = pair(&bench, "web");
        let given_up: Vec<Object> = old.iter().map(|half| renamed(half, "web@1")).collect();
        let mut new = [key(&bench.user, "web", KeyClass::Private), key(&bench.user, "web", KeyClass::Public)];
        let (former, made) = bench.catalog.reshape(&bench.user, &given_up, &mut new, &[]).unwrap();
        for (class, at) in [(KeyClass::Private, 0), (KeyClass::Public, 1)] {
            assert_eq!(id_of(&bench, "web", class), made[at].id);
            assert_eq!(id_of(&bench, "web@1", class), old[at].id);
            assert_eq!(former[at].id, old[at].id);
        }
        // Two names change places as well.
        let swapped: Vec<Object> = former.iter().map(|half| renamed(half, "web")).collect();
        let others: Vec<Object> = made.iter().map(|half| renamed(half, "web@2")).collect();
        bench.catalog.reshape(&bench.user, &[swapped, others].concat(), &mut [], &[]).unwrap();
        assert_eq!(id_of(&bench, "web", KeyClass::Private), old[0].id);
        assert_eq!(id_of(&bench, "web@2", KeyClass::Private), made[0].id);
        let gone = bench.catalog.find_by_name(&bench.user, "web@1", KeyClass::Private).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert_eq!(complaints(&bench), Vec::<String>::new());
    }
}

#[test]
fn of_two_who_rotate_at_once_one_does() {
    for bench in both() {
        let old = bench.make(key(&bench.user, "pay", KeyClass::Secret));
        let rotate = |catalog: &Catalog| {
            let given_up = [renamed(&old, "pay@1")];
            catalog.reshape(&bench.user, &given_up, &mut [key(&bench.user, "pay", KeyClass::Secret)], &[])
        };
        rotate(&bench.another()).unwrap();
        assert_eq!(rotate(&bench.catalog).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(bench.catalog.count(&bench.user).unwrap(), 2);
        assert_eq!(complaints(&bench), Vec::<String>::new());
    }
}

#[test]
fn numbers_of_versions_go_on_behind_all_that_there_were() {
    for bench in both() {
        let next = |from| bench.another().next_version(&bench.user, "pay", from).unwrap();
        assert_eq!((next(1), next(7)), (1, 7));
        for name in ["pay@2", "pay@33", "pay@x", "paying@9"] {
            bench.make(key(&bench.user, name, KeyClass::Public));
        }
        assert_eq!((next(1), next(2), next(34)), (34, 34, 34));
        bench.make(key(&bench.user, "pay@60", KeyClass::Private));
        assert_eq!((next(34), next(61)), (61, 61));
        // Behind a gap nobody looks: the numbers before it are free.
        bench.make(key(&bench.user, "pay@200", KeyClass::Private));
        assert_eq!((next(61), next(190), next(200)), (61, 201, 201));
    }
}

#[test]
fn a_name_that_somebody_else_has_is_not_taken() {
    for bench in both() {
        let old = bench.make(key(&bench.user, "pay", KeyClass::Secret));
        bench.make(key(&bench.user, "pay@1", KeyClass::Public));
        let given_up = [renamed(&old, "pay@1")];
        let made = &mut [key(&bench.user, "pay", KeyClass::Secret)];
        let refused = bench.catalog.reshape(&bench.user, &given_up, made, &[]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(id_of(&bench, "pay", KeyClass::Secret), old.id);
    }
}
