use super::*;

#[test]
fn namespaces_read_back_in_the_order_of_their_positions() {
    for bench in both() {
        for ordinal in [2, 1] {
            bench.catalog.put_namespace(None, &namespace_at(ordinal), Batch::default()).unwrap();
        }
        for catalog in [&bench.catalog, &bench.another()] {
            let ordinals: Vec<u32> = catalog.namespaces().unwrap().iter().map(|n| n.ordinal).collect();
            assert_eq!(ordinals, [0, 1, 2]);
        }
        assert_eq!(bench.catalog.next_ordinal().unwrap(), 3);
        let clash = bench.catalog.put_namespace(None, &namespace_at(1), Batch::default());
        assert_eq!(clash.unwrap_err().kind(), ErrorKind::Conflict);
    }
}

#[test]
fn a_namespace_changes_only_from_what_is_stored() {
    let bench = Bench::memory();
    let old = Namespace::clone(&bench.user.namespace);
    let new = Namespace { name: "renamed".into(), policy_required: true, ..old.clone() };
    bench.catalog.put_namespace(Some(&old), &new, Batch::default()).unwrap();
    assert_eq!(bench.catalog.namespaces().unwrap(), std::slice::from_ref(&new));
    assert_eq!(
        bench.catalog.put_namespace(Some(&old), &new, Batch::default()).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    let moved = Namespace { incarnation: 7, ..new.clone() };
    assert_eq!(
        bench.catalog.put_namespace(Some(&new), &moved, Batch::default()).unwrap_err().kind(),
        ErrorKind::Internal
    );
}

#[test]
fn a_namespace_record_with_any_byte_changed_is_refused() {
    let bench = Bench::memory();
    let path = path::namespace(bench.user.namespace.id).unwrap();
    let good = bench.store.get(&path).unwrap().unwrap().value;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        let ops = vec![crate::store::Op::Put(path.clone(), bad)];
        let _ = bench.store.commit(&Batch { ops, ..Batch::default() }).unwrap();
        let kind = bench.another().namespaces().unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::Damaged | ErrorKind::TooNew), "byte {at}: {kind:?}");
    }
}

#[test]
fn wiping_ends_every_object_for_every_process_and_leaves_no_record() {
    for bench in both() {
        let other = bench.another();
        let made: Vec<_> = (0..40).map(|i| bench.make(key(&bench.user, &format!("k{i}"), KeyClass::Secret))).collect();
        other.get(&bench.user, made[0].id).unwrap();
        let next = bench.wipe(&bench.user.namespace).unwrap();
        assert_eq!(next.incarnation, 2);
        assert_eq!(other.namespaces().unwrap(), std::slice::from_ref(&next));
        assert_eq!(other.get(&bench.user, made[0].id).unwrap_err().kind(), ErrorKind::NotFound);
        let left = bench.store.scan("ns/", None, 1000).unwrap();
        assert!(left.iter().all(|(path, _)| path.as_str().ends_with("/1/closed")), "{left:?}");

        // The next incarnation starts empty and survives the next sweep of the old one.
        let later = bench.user.with(|parts| parts.namespace = Arc::new(next.clone()));
        let fresh = bench.catalog.create(&later, &mut [key(&later, "k0", KeyClass::Secret)]).unwrap().remove(0);
        assert_eq!(name_of(&fresh), "k0");
        assert_eq!(bench.wipe(&bench.user.namespace).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(other.count(&later).unwrap(), 1);
    }
}

#[test]
fn an_interrupted_sweep_is_finished_by_the_next_and_spares_the_living() {
    let bench = Bench::memory();
    let leftover = Paths::of(&Namespace { incarnation: 1, ..Namespace::clone(&bench.user.namespace) });
    let next = bench.wipe(&bench.user.namespace).unwrap();
    let ops = (0..30).map(|i| crate::store::Op::Put(leftover.object(ObjectId([i; 16])).unwrap(), vec![0])).collect();
    let _ = bench.store.commit(&Batch { ops, ..Batch::default() }).unwrap();
    let later = bench.user.with(|parts| parts.namespace = Arc::new(next.clone()));
    for i in 0..40 {
        bench.catalog.create(&later, &mut [data(&later, &format!("d{i}"), b"")]).unwrap();
    }
    let last = bench.wipe(&next).unwrap();
    assert_eq!(last.incarnation, 3);
    assert_eq!(bench.store.scan("ns/", None, 1000).unwrap().len(), 2, "only the two markers");
}

#[test]
fn a_removed_namespace_is_gone_and_its_position_stays_taken() {
    let bench = Bench::memory();
    let made = bench.make(data(&bench.user, "a", b""));
    bench.catalog.remove_namespace(&bench.user.namespace, Batch::default()).unwrap();
    assert!(bench.catalog.namespaces().unwrap().is_empty());
    assert_eq!(bench.catalog.get(&bench.user, made.id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(bench.catalog.next_ordinal().unwrap(), 1);
    assert_eq!(
        bench.catalog.remove_namespace(&bench.user.namespace, Batch::default()).unwrap_err().kind(),
        ErrorKind::Conflict
    );
}

#[test]
fn what_goes_with_a_change_of_a_namespace_applies_with_it_or_not_at_all() {
    use crate::store::{Condition, Op, StoreKey};
    for bench in both() {
        let beside = StoreKey::new("auth/beside").unwrap();
        let with = |value: &[u8]| Batch {
            conditions: vec![Condition::Absent(beside.clone())],
            ops: vec![Op::Put(beside.clone(), value.to_vec())],
            invalidates: false,
        };
        let old = Namespace::clone(&bench.user.namespace);
        let next = Namespace { incarnation: 2, name: "again".into(), ..old.clone() };
        bench.catalog.renew(&old, &next, with(b"1")).unwrap();
        assert_eq!(bench.store.get(&beside).unwrap().unwrap().value, b"1");
        // The condition of what goes along holds no more, so nothing happens.
        let later = Namespace { incarnation: 3, ..next.clone() };
        assert_eq!(bench.catalog.renew(&next, &later, with(b"2")).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(bench.catalog.remove_namespace(&next, with(b"2")).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(
            bench.catalog.put_namespace(None, &namespace_at(5), with(b"2")).unwrap_err().kind(),
            ErrorKind::Conflict
        );
        assert_eq!(bench.catalog.namespaces().unwrap(), std::slice::from_ref(&next));
        assert_eq!(bench.store.get(&beside).unwrap().unwrap().value, b"1");
        // Another namespace, or one that skips an incarnation, is no next one.
        for wrong in [namespace_at(0), Namespace { incarnation: 4, ..next.clone() }, next.clone()] {
            let e = bench.catalog.renew(&next, &wrong, Batch::default()).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Internal);
        }
    }
}
