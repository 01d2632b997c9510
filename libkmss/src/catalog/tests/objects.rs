use super::*;

#[test]
fn an_object_reads_back_as_it_was_made() {
    for suite in [Suite::Nist, Suite::Gm] {
        let bench = Bench::over(Arc::new(MemoryStore::default()), None, suite);
        let made = bench.make(key(&bench.user, "order", KeyClass::Private));
        let read = bench.another().get(&bench.user, made.id).unwrap();
        assert_eq!(format!("{read:?}"), format!("{made:?}"));
        assert_eq!((read.edition, name_of(&read)), (1, "order"));
        assert!(read.revision > 0);
    }
}

#[test]
fn an_unchanged_record_keeps_its_parsed_key_when_the_generation_moves() {
    for bench in both() {
        let made = bench.make(key(&bench.user, "order", KeyClass::Private));
        let first = bench.catalog.get(&bench.user, made.id).unwrap();
        bench.make(data(&bench.user, "other", b""));
        assert!(Arc::ptr_eq(&first, &bench.catalog.get(&bench.user, made.id).unwrap()));
        let changed = Object { label: b"new".to_vec(), ..Object::clone(&first) };
        bench.catalog.update(&bench.user, &changed).unwrap();
        assert!(!Arc::ptr_eq(&first, &bench.catalog.get(&bench.user, made.id).unwrap()));
    }
}

#[test]
fn private_objects_exist_only_for_those_who_hold_the_private_key() {
    let bench = Bench::memory();
    let made = bench.make(Object { private: true, ..data(&bench.user, "secret", b"7") });
    let query = Query { label: Some(b"secret".to_vec()), ..Query::default() };
    // Both with the object in the cache and without.
    for catalog in [&bench.catalog, &bench.another()] {
        assert_eq!(catalog.get(&bench.public, made.id).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(catalog.find(&bench.public, &query, None, 10).unwrap().is_empty());
        assert!(catalog.find(&bench.public, &Query::default(), None, 10).unwrap().is_empty());
        assert_eq!(catalog.count(&bench.public).unwrap(), 0);
        assert_eq!(catalog.find(&bench.user, &query, None, 10).unwrap(), [made.id]);
        assert_eq!(catalog.count(&bench.user).unwrap(), 1);
    }
    let refused = bench.catalog.create(&bench.public, &mut [Object { private: true, ..data(&bench.public, "x", b"") }]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotLoggedIn);
}

#[test]
fn logging_out_forgets_private_objects_and_keeps_public_ones() {
    let bench = Bench::memory();
    let private = Arc::downgrade(&bench.make(key(&bench.user, "k", KeyClass::Private)));
    let public = Arc::downgrade(&bench.make(data(&bench.user, "d", b"")));
    assert!(private.upgrade().is_some());
    bench.catalog.find(&bench.user, &Query::default(), None, 10).unwrap();
    bench.catalog.forget_private(bench.user.namespace.id);
    assert!(private.upgrade().is_none());
    assert!(public.upgrade().is_some());
}

#[test]
fn names_are_unique_and_both_halves_of_a_pair_share_one() {
    for bench in both() {
        let mut names = Vec::new();
        for _ in 0..3 {
            let pair = [key(&bench.user, "tls", KeyClass::Private), key(&bench.user, "tls", KeyClass::Public)];
            let mut pair = pair;
            let made = bench.catalog.create(&bench.user, &mut pair).unwrap();
            assert_eq!(name_of(&made[0]), name_of(&made[1]));
            assert_eq!(name_of(&made[0]), name_of(&pair[0]));
            names.push(name_of(&made[0]).to_owned());
        }
        assert_eq!(names, ["tls", "tls-2", "tls-3"]);
        assert_eq!(name_of(&bench.make(key(&bench.user, "tls", KeyClass::Secret))), "tls-4");
        assert_eq!(name_of(&bench.make(key(&bench.user, "aes", KeyClass::Secret))), "aes");
        assert_eq!(name_of(&bench.make(key(&bench.user, "aes", KeyClass::Public))), "aes-2");
        assert_eq!(name_of(&bench.make(key(&bench.user, "", KeyClass::Secret))), "key");

        let half = bench.catalog.find_by_name(&bench.user, "tls-2", KeyClass::Public).unwrap();
        assert_eq!((name_of(&half), half.key().unwrap().class), ("tls-2", KeyClass::Public));
        let aes = bench.catalog.find_by_name(&bench.user, "aes", KeyClass::Secret).unwrap();
        assert_eq!(name_of(&aes), "aes");
        for (name, class) in [("aes", KeyClass::Private), ("none", KeyClass::Secret)] {
            let e = bench.catalog.find_by_name(&bench.user, name, class).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::NotFound);
        }
        assert_eq!(
            bench.catalog.find_by_name(&bench.public, "tls", KeyClass::Private).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }
}

#[test]
fn halves_with_different_labels_that_come_together_share_the_name_of_the_private_one() {
    let bench = Bench::memory();
    let mut pair = [key(&bench.user, "public label", KeyClass::Public), key(&bench.user, "mine", KeyClass::Private)];
    bench.catalog.create(&bench.user, &mut pair).unwrap();
    assert_eq!((name_of(&pair[0]), name_of(&pair[1])), ("mine", "mine"));
}

#[test]
fn many_threads_that_want_one_name_get_different_ones() {
    for bench in both() {
        let mut names: Vec<String> = std::thread::scope(|s| {
            let make = || {
                let made = (0..10).map(|_| bench.make(key(&bench.user, "same", KeyClass::Secret)));
                made.map(|o| name_of(&o).to_owned()).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| s.spawn(make)).collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 40);
    }
}

#[test]
fn an_update_moves_the_index_and_refuses_what_somebody_changed_meanwhile() {
    for bench in both() {
        let made = bench.make(key(&bench.user, "k", KeyClass::Private));
        let by_id = |id: &[u8]| {
            let query = Query { identifier: Some(id.to_vec()), ..Query::default() };
            bench.catalog.find(&bench.user, &query, None, 10).unwrap()
        };
        let renamed = Object { identifier: b"java".to_vec(), label: b"".to_vec(), ..Object::clone(&made) };
        let updated = bench.catalog.update(&bench.user, &renamed).unwrap();
        assert_eq!((updated.edition, name_of(&updated)), (2, "k"));
        assert!(by_id(b"id").is_empty());
        assert_eq!(by_id(b"java"), [made.id]);

        // `made` was read before the update.
        assert_eq!(bench.catalog.update(&bench.user, &renamed).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(bench.catalog.destroy(&bench.user, &made).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(by_id(b"java"), [made.id]);
    }
}

#[test]
fn an_update_cannot_change_name_class_or_visibility() {
    let bench = Bench::memory();
    let made = bench.make(key(&bench.user, "k", KeyClass::Private));
    let mut other = Object::clone(&made);
    name::key_mut(&mut other).unwrap().name = "other".into();
    let public = Object { private: false, ..Object::clone(&made) };
    let certificate = Object { body: Body::Certificate { value: vec![] }, ..Object::clone(&made) };
    for wrong in [other, public, certificate] {
        assert_eq!(bench.catalog.update(&bench.user, &wrong).unwrap_err().kind(), ErrorKind::Internal);
    }
}

#[test]
fn concurrent_updates_lose_none() {
    for bench in both() {
        let made = bench.make(data(&bench.user, "counter", b""));
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    let catalog = bench.another();
                    let mut done = 0;
                    while done < 20 {
                        let old = catalog.get(&bench.user, made.id).unwrap();
                        let new = Object { created: Timestamp(old.created.0 + 1), ..Object::clone(&old) };
                        match catalog.update(&bench.user, &new) {
                            Ok(_) => done += 1,
                            Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict),
                        }
                    }
                });
            }
        });
        let end = bench.catalog.get(&bench.user, made.id).unwrap();
        assert_eq!((end.created.0 - made.created.0, end.edition), (60, 61));
    }
}

#[test]
fn renaming_takes_both_halves_and_frees_the_old_name() {
    let bench = Bench::memory();
    let mut pair = [key(&bench.user, "old", KeyClass::Private), key(&bench.user, "old", KeyClass::Public)];
    bench.catalog.create(&bench.user, &mut pair).unwrap();
    bench.make(key(&bench.user, "taken", KeyClass::Secret));
    let kind = |r: Result<Vec<Arc<Object>>>| r.unwrap_err().kind();
    assert_eq!(kind(bench.catalog.rename(&bench.user, "old", "taken")), ErrorKind::AlreadyExists);
    assert_eq!(kind(bench.catalog.rename(&bench.user, "none", "x")), ErrorKind::NotFound);
    assert_eq!(kind(bench.catalog.rename(&bench.user, "old", "")), ErrorKind::Arguments);
    // Whoever does not see the private half cannot tear the pair apart.
    assert_eq!(kind(bench.catalog.rename(&bench.public, "old", "new")), ErrorKind::NotFound);

    assert_eq!(bench.catalog.rename(&bench.user, "old", "new").unwrap().len(), 2);
    for class in [KeyClass::Private, KeyClass::Public] {
        let found = bench.another().find_by_name(&bench.user, "new", class).unwrap();
        assert_eq!((name_of(&found), found.edition), ("new", 2));
    }
    assert_eq!(name_of(&bench.make(key(&bench.user, "old", KeyClass::Secret))), "old");
    let same = bench.catalog.rename(&bench.user, "new", "new").unwrap();
    assert_eq!(name_of(&same[0]), "new");
    assert!(bench.catalog.find_by_name(&bench.user, "new", KeyClass::Public).is_ok());
}

#[test]
fn destroying_leaves_nothing_behind() {
    for bench in both() {
        let before = bench.store.scan("ns/", None, 100).unwrap();
        let made = bench.make(key(&bench.user, "k", KeyClass::Secret));
        assert!(bench.store.scan("ns/", None, 100).unwrap().len() > before.len());
        bench.catalog.destroy(&bench.user, &made).unwrap();
        assert_eq!(bench.store.scan("ns/", None, 100).unwrap(), before);
        assert_eq!(bench.catalog.get(&bench.user, made.id).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(bench.catalog.destroy(&bench.user, &made).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(name_of(&bench.make(key(&bench.user, "k", KeyClass::Secret))), "k");
    }
}

#[test]
fn two_catalogues_see_each_others_changes_at_the_next_operation() {
    let bench = Bench::sqlite();
    let other = bench.another();
    let made = bench.make(data(&bench.user, "a", b"1"));
    let query = Query { label: Some(b"a".to_vec()), ..Query::default() };
    for _ in 0..3 {
        assert_eq!(other.get(&bench.user, made.id).unwrap().label, b"a");
        assert_eq!(other.find(&bench.user, &query, None, 10).unwrap(), [made.id]);
    }
    let changed = Object { label: b"b".to_vec(), ..Object::clone(&made) };
    let changed = bench.catalog.update(&bench.user, &changed).unwrap();
    assert!(other.find(&bench.user, &query, None, 10).unwrap().is_empty());
    assert_eq!(other.get(&bench.user, made.id).unwrap().label, b"b");
    bench.catalog.destroy(&bench.user, &changed).unwrap();
    assert_eq!(other.get(&bench.user, made.id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_object_too_large_to_store_is_refused() {
    let bench = Bench::sqlite();
    let large = Object { body: Body::Data { value: vec![0; 300 << 10].into() }, ..data(&bench.user, "large", b"") };
    assert_eq!(bench.catalog.create(&bench.user, &mut [large]).unwrap_err().kind(), ErrorKind::Arguments);
    assert_eq!(bench.catalog.count(&bench.user).unwrap(), 0);
}

#[test]
fn session_objects_and_those_of_other_namespaces_are_refused() {
    let bench = Bench::memory();
    let session = Object { storage: Storage::Ephemeral, ..data(&bench.user, "s", b"") };
    let foreign = Object { namespace: NamespaceId([1; 16]), ..data(&bench.user, "s", b"") };
    for wrong in [session, foreign] {
        assert_eq!(bench.catalog.create(&bench.user, &mut [wrong]).unwrap_err().kind(), ErrorKind::Internal);
    }
}

#[test]
fn nobody_reads_a_state_older_than_one_that_was_acknowledged() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    for bench in both() {
        let made = bench.make(key(&bench.user, "k", KeyClass::Secret));
        let (acknowledged, done) = (AtomicU64::new(made.created.0), AtomicBool::new(false));
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let catalog = bench.another();
                    while !done.load(Ordering::Acquire) {
                        let least = acknowledged.load(Ordering::Acquire);
                        let read = catalog.get(&bench.user, made.id).unwrap().created.0;
                        let label = (read - made.created.0).to_string();
                        assert!(read >= least, "{read} was read after {least} was acknowledged");
                        let query = Query { label: Some(label.clone().into()), ..Query::default() };
                        let found = catalog.find(&bench.user, &query, None, 10).unwrap();
                        // Found, or changed between the two calls.
                        assert!(found == [made.id] || acknowledged.load(Ordering::Acquire) >= read);
                    }
                });
            }
            let mut object =
                bench.catalog.update(&bench.user, &Object { label: b"0".to_vec(), ..Object::clone(&made) });
            for i in 1..=200_u64 {
                let old = object.unwrap();
                let new = Object {
                    label: i.to_string().into(),
                    created: Timestamp(made.created.0 + i),
                    ..Object::clone(&old)
                };
                object = bench.catalog.update(&bench.user, &new);
                acknowledged.store(new.created.0, Ordering::Release);
            }
            done.store(true, Ordering::Release);
        });
    }
}

#[test]
fn one_that_cannot_be_stored_is_in_nobodys_way_and_its_name_is_free() {
    for bench in both() {
        let newcomer = |name: &str, exact: bool, large: bool| {
            let mut object = key(&bench.user, name, KeyClass::Secret);
            if large {
                object.label = vec![0; crate::store::Batch::MAX_BYTES + 1];
            }
            let exact = if exact { vec![object.id] } else { Vec::new() };
            Newcomers { objects: vec![object], held: Vec::new(), exact }
        };
        let mut pair = newcomer("pair", false, false);
        let taken = bench.make(key(&bench.user, "taken", KeyClass::Secret));
        // Its first key has a free name, and its second one has not.
        let second = key(&bench.user, name_of(&taken), KeyClass::Secret);
        pair.exact.push(second.id);
        pair.objects.push(second);
        let mut all = [
            newcomer("same", false, true),
            newcomer("same", true, false),
            pair,
            newcomer("pair", true, false),
            newcomer("other", false, false),
        ];
        let made = bench.catalog.create_each(&bench.user, &mut all);
        let ends: Vec<_> =
            made.iter().map(|one| one.as_ref().map(|made| name_of(&made[0])).map_err(|e| e.kind())).collect();
        let (large, taken) = (Err(ErrorKind::Arguments), Err(ErrorKind::AlreadyExists));
        assert_eq!(ends, [large, Ok("same"), taken, Ok("pair"), Ok("other")]);
        assert_eq!(bench.another().count(&bench.user).unwrap(), 4);
    }
}
