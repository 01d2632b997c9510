use super::*;

fn query(label: Option<&str>, identifier: Option<&[u8]>, kind: Option<ObjectKind>) -> Query {
    Query { label: label.map(|l| l.into()), identifier: identifier.map(<[u8]>::to_vec), kind, ..Query::default() }
}

#[test]
fn every_combination_of_terms_finds_what_a_walk_would() {
    for bench in both() {
        let mut all = Vec::new();
        for i in 0..60_usize {
            let (label, id) = (["", "a", "b"][i % 3], [b"".as_slice(), b"1", b"2", b"3"][i / 3 % 4]);
            let object = match i % 5 {
                0 => key(&bench.user, &format!("k{i}"), KeyClass::Private),
                1 => key(&bench.user, &format!("k{i}"), KeyClass::Public),
                2 => Object { body: Body::Certificate { value: vec![0x30] }, ..data(&bench.user, "", b"") },
                _ => data(&bench.user, "", b""),
            };
            let object = Object { label: label.into(), identifier: id.to_vec(), ..object };
            all.push(bench.make(Object { private: i % 2 == 0, ..object }));
        }
        all.sort_by_key(|o| o.id);
        let kinds =
            [None, Some(ObjectKind::Key(KeyClass::Private)), Some(ObjectKind::Certificate), Some(ObjectKind::Data)];
        for label in [None, Some(""), Some("a"), Some("x")] {
            for id in [None, Some(b"".as_slice()), Some(b"2")] {
                for kind in kinds {
                    let query = query(label, id, kind);
                    for caller in [&bench.user, &bench.public] {
                        let expected: Vec<_> = all
                            .iter()
                            .filter(|o| label.is_none_or(|l| o.label == l.as_bytes()))
                            .filter(|o| id.is_none_or(|i| o.identifier == i))
                            .filter(|o| kind.is_none_or(|k| ObjectKind::of(o) == k))
                            .filter(|o| !o.private || caller.keyring.private.is_some())
                            .map(|o| o.id)
                            .collect();
                        assert_eq!(bench.catalog.find(caller, &query, None, 1000).unwrap(), expected, "{query:?}");
                        assert_eq!(paged(&bench.catalog, caller, &query, 7), expected, "{query:?} by pages");
                    }
                }
            }
        }
    }
}

fn paged(catalog: &Catalog, caller: &Caller, query: &Query, limit: usize) -> Vec<ObjectId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = catalog.find(caller, query, after, limit).unwrap();
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { return found };
        after = Some(last.id);
        found.extend(page.into_iter().map(|f| f.id));
    }
}

#[test]
fn the_first_object_of_a_kind_is_found_as_soon_as_it_is_there() {
    for bench in both() {
        let query = query(Some("new"), None, Some(ObjectKind::Data));
        for private in [true, false] {
            let before = bench.catalog.find(&bench.user, &query, None, 10).unwrap();
            let made = bench.make(Object { private, ..data(&bench.user, "new", b"") });
            let after = bench.catalog.find(&bench.user, &query, None, 10).unwrap();
            assert_eq!(after.len(), before.len() + 1);
            assert!(after.iter().any(|found| found.id == made.id && found.private == private));
        }
    }
}

#[test]
fn a_common_identifier_is_found_through_a_rare_label() {
    let bench = Bench::memory();
    for i in 0..400 {
        bench.make(data(&bench.user, &format!("l{i}"), b""));
    }
    let rare = bench.make(data(&bench.user, "rare", b""));
    let found = bench.catalog.find(&bench.user, &query(Some("rare"), Some(b""), None), None, 10).unwrap();
    assert_eq!(found, [rare.id]);
}

#[test]
fn finds_among_ten_thousand_objects_are_fast_and_read_none_of_them() {
    let bench = Bench::sqlite();
    // Not through `create`, whose 10,000 commits would take their time on a slow disk.
    let objects: Vec<Object> = (0..10_000_u32).map(|i| data(&bench.user, "same", &i.to_be_bytes())).collect();
    super::super::write::store_many(&bench.catalog, &bench.user, &objects).unwrap();
    let start = std::time::Instant::now();
    for object in objects.iter().step_by(7) {
        let query = query(None, Some(&object.identifier), Some(ObjectKind::Data));
        assert_eq!(bench.catalog.find(&bench.user, &query, None, 100).unwrap(), [object.id]);
    }
    let uncached = start.elapsed() / 1429;
    let start = std::time::Instant::now();
    for _ in 0..10 {
        for object in objects.iter().step_by(7) {
            let query = query(None, Some(&object.identifier), Some(ObjectKind::Data));
            assert_eq!(bench.catalog.find(&bench.user, &query, None, 100).unwrap(), [object.id]);
        }
    }
    let cached = start.elapsed() / 14_290;
    println!("find: {uncached:?} uncached, {cached:?} cached (this build is not optimised)");
    // Generous: unoptimised, on a machine that does other things. A walk over the objects would take 100 ms.
    assert!(uncached.as_millis() < 3 && cached.as_micros() < 500);
    assert_eq!(bench.catalog.count(&bench.user).unwrap(), 10_000);
    let all = bench.catalog.find(&bench.user, &query(Some("same"), None, None), None, usize::MAX).unwrap();
    assert_eq!(all.len(), 10_000);
    assert_eq!(all, paged(&bench.catalog, &bench.user, &query(Some("same"), None, None), 999));
}
