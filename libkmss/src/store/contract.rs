//! What every engine must do, as tests that run over each of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Batch, Commit, Condition, Op, Revision, Store, StoreKey};
use crate::error::ErrorKind;

/// Makes the tests of the contract for the engine that the closure opens; each call opens an empty store.
macro_rules! contract {
    ($open:expr) => {
        $crate::store::contract::contract!(@ $open;
            a_value_reads_back_with_the_revision_that_wrote_it
            a_batch_whose_condition_fails_changes_nothing
            conditions_look_at_absence_and_version
            batches_that_are_committed_together_have_ends_of_their_own
            operations_of_a_batch_apply_in_order_and_deleting_nothing_is_fine
            a_scan_returns_its_prefix_in_byte_order_by_pages
            the_change_feed_has_no_gap_whatever_the_limit
            a_feed_that_was_pruned_says_so
            only_invalidating_commits_move_the_generation
            waiting_ends_with_the_next_commit_or_the_timeout
            an_oversized_batch_is_refused
            counters_of_concurrent_threads_lose_no_increment
            a_name_guarded_by_absence_goes_to_one_thread
            readers_never_see_half_a_batch
        );
    };
    (@ $open:expr; $($name:ident)*) => {
        $(#[test] fn $name() { $crate::store::contract::$name($open()); })*
    };
}
pub(crate) use contract;

type Opened = Arc<dyn Store>;

pub(super) fn key(text: &str) -> StoreKey {
    StoreKey::new(text).unwrap()
}

pub(super) fn put(text: &str, value: &[u8]) -> Op {
    Op::Put(key(text), value.to_vec())
}

pub(super) fn write(store: &dyn Store, ops: Vec<Op>) -> Revision {
    match store.commit(&Batch { ops, ..Batch::default() }).unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict => panic!("a batch without conditions conflicts"),
    }
}

fn value(store: &dyn Store, text: &str) -> Option<Vec<u8>> {
    store.get(&key(text)).unwrap().map(|e| e.value)
}

pub(super) fn a_value_reads_back_with_the_revision_that_wrote_it(store: Opened) {
    let first = write(&*store, vec![put("a", b"1"), put("b", b"")]);
    let second = write(&*store, vec![put("a", b"2")]);
    assert!(second > first && first > Revision(0));
    let found = store.get_many(&[key("b"), key("missing"), key("a")]).unwrap();
    assert_eq!(found[0].as_ref().map(|e| (e.value.as_slice(), e.version)), Some((b"".as_slice(), first)));
    assert_eq!(found[1], None);
    assert_eq!(found[2].as_ref().map(|e| (e.value.as_slice(), e.version)), Some((b"2".as_slice(), second)));
    assert!(store.get_many(&[]).unwrap().is_empty());
}

pub(super) fn a_batch_whose_condition_fails_changes_nothing(store: Opened) {
    let before = write(&*store, vec![put("taken", b"1")]);
    let conditions = vec![Condition::Absent(key("free")), Condition::Absent(key("taken"))];
    let batch = Batch { conditions, ops: vec![put("free", b"x"), put("taken", b"x")], invalidates: true };
    let generation = store.generation();
    assert_eq!(store.commit(&batch).unwrap(), Commit::Conflict);
    assert_eq!((value(&*store, "free"), value(&*store, "taken")), (None, Some(b"1".to_vec())));
    assert_eq!(store.generation(), generation);
    assert_eq!(store.wait(Revision(0), Duration::ZERO).unwrap(), before);
}

pub(super) fn batches_that_are_committed_together_have_ends_of_their_own(store: Opened) {
    let before = write(&*store, vec![put("other", b"0")]);
    let take = |name: &str, value: &[u8]| Batch {
        conditions: vec![Condition::Absent(key(name))],
        ops: vec![put(name, value)],
        ..Batch::default()
    };
    let commits = store.commit_each(&[take("a", b"1"), take("a", b"2"), take("b", b"3"), Batch::default()]).unwrap();
    let [Commit::Committed(first), Commit::Conflict, Commit::Committed(second), Commit::Committed(last)] = commits[..]
    else {
        panic!("{commits:?}")
    };
    assert!(first > before && second > first && last == second);
    assert_eq!((value(&*store, "a"), value(&*store, "b")), (Some(b"1".to_vec()), Some(b"3".to_vec())));
    let seen: Vec<_> = store.changes(before, 10).unwrap().into_iter().map(|c| (c.revision, c.key)).collect();
    assert_eq!(seen, [(first, key("a")), (second, key("b"))]);
    let generation = store.generation();
    assert_eq!(store.commit_each(&[take("a", b"4")]).unwrap(), [Commit::Conflict]);
    assert!(store.commit_each(&[]).unwrap().is_empty());
    assert_eq!((store.generation(), store.wait(Revision(0), Duration::ZERO).unwrap()), (generation, second));
    let both = [Batch { invalidates: true, ..take("c", b"5") }, Batch { invalidates: true, ..take("d", b"6") }];
    let _ = store.commit_each(&both).unwrap();
    assert!(store.generation() > generation && store.generation() == store.generation());
}

pub(super) fn conditions_look_at_absence_and_version(store: Opened) {
    let first = write(&*store, vec![put("k", b"1")]);
    let commit = |condition, v: &[u8]| {
        store.commit(&Batch { conditions: vec![condition], ops: vec![put("k", v)], invalidates: false }).unwrap()
    };
    assert_eq!(commit(Condition::Absent(key("k")), b"x"), Commit::Conflict);
    assert_eq!(commit(Condition::Version(key("other"), first), b"x"), Commit::Conflict);
    let Commit::Committed(second) = commit(Condition::Version(key("k"), first), b"2") else { panic!() };
    assert_eq!(commit(Condition::Version(key("k"), first), b"x"), Commit::Conflict);
    assert_eq!(value(&*store, "k"), Some(b"2".to_vec()));

    // A key that was removed and made again never has an old version.
    write(&*store, vec![Op::Delete(key("k"))]);
    assert_eq!(commit(Condition::Version(key("k"), second), b"x"), Commit::Conflict);
    assert!(matches!(commit(Condition::Absent(key("k")), b"3"), Commit::Committed(r) if r > second));

    // Conditions alone are a question.
    let only = Batch { conditions: vec![Condition::Absent(key("nothing"))], ..Batch::default() };
    assert!(matches!(store.commit(&only).unwrap(), Commit::Committed(_)));
}

pub(super) fn operations_of_a_batch_apply_in_order_and_deleting_nothing_is_fine(store: Opened) {
    write(&*store, vec![put("a", b"1"), Op::Delete(key("a")), Op::Delete(key("none")), put("b", b"1"), put("b", b"2")]);
    assert_eq!((value(&*store, "a"), value(&*store, "b")), (None, Some(b"2".to_vec())));
}

pub(super) fn a_scan_returns_its_prefix_in_byte_order_by_pages(store: Opened) {
    let names = ["p", "p-", "p.", "p/0", "p/00", "p/1", "p/a", "p/a~", "p0", "p_", "pa", "q", "o~~"];
    for name in names {
        write(&*store, vec![put(name, name.as_bytes())]);
    }
    let all = |prefix: &str| {
        let found = store.scan(prefix, None, 100).unwrap();
        assert!(found.iter().all(|(k, e)| k.as_str().as_bytes() == e.value));
        found.into_iter().map(|(k, _)| k.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all("p/"), ["p/0", "p/00", "p/1", "p/a", "p/a~"]);
    assert_eq!(all("p/a"), ["p/a", "p/a~"]);
    let mut sorted: Vec<_> = names.map(str::to_owned).into();
    sorted.sort();
    assert_eq!(all(""), sorted);
    assert_eq!(all("x"), Vec::<String>::new());

    let (mut after, mut paged) = (None, Vec::new());
    loop {
        let page = store.scan("p", after.as_ref(), 3).unwrap();
        assert!(page.len() <= 3);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        paged.extend(page.into_iter().map(|(k, _)| k.as_str().to_owned()));
    }
    assert_eq!(paged, all("p"));
    assert_eq!(store.scan("p", Some(&key("a")), 1).unwrap()[0].0, key("p"));
    assert!(store.scan("p", Some(&key("z")), 9).unwrap().is_empty());
    assert!(store.scan("p", None, 0).unwrap().is_empty());
}

pub(super) fn the_change_feed_has_no_gap_whatever_the_limit(store: Opened) {
    assert!(store.changes(Revision(0), 10).unwrap().is_empty());
    let mut expected = Vec::new();
    for i in 0..20_usize {
        let keys: Vec<_> = (0..=i % 5).map(|j| format!("k/{i}/{j}")).collect();
        let ops = keys.iter().map(|k| if i % 3 == 0 { Op::Delete(key(k)) } else { put(k, b"") }).collect();
        let revision = write(&*store, ops);
        expected.extend(keys.iter().map(|k| (revision, key(k))));
    }
    for limit in [1, 2, 3, 4, 7, 1000] {
        let (mut since, mut seen) = (Revision(0), Vec::new());
        loop {
            let page = store.changes(since, limit).unwrap();
            let Some(last) = page.last() else { break };
            since = last.revision;
            seen.extend(page.into_iter().map(|c| (c.revision, c.key)));
        }
        assert_eq!(seen, expected, "limit {limit}");
    }
    assert!(store.changes(Revision(u64::MAX), 10).unwrap().is_empty());
}

pub(super) fn a_feed_that_was_pruned_says_so(store: Opened) {
    for i in 0..400_u32 {
        // More commits than any engine keeps under test.
        write(&*store, vec![put("k", &i.to_be_bytes())]);
    }
    assert_eq!(store.changes(Revision(0), 10).unwrap_err().kind(), ErrorKind::NotFound);
    let newest = store.wait(Revision(0), Duration::ZERO).unwrap();
    assert_eq!(store.changes(Revision(newest.0 - 200), 5000).unwrap().len(), 200);
}

pub(super) fn only_invalidating_commits_move_the_generation(store: Opened) {
    let before = store.generation();
    write(&*store, vec![put("counter", b"1")]);
    assert_eq!(store.generation(), before);
    let commit = store.commit(&Batch { ops: vec![put("key", b"1")], invalidates: true, ..Batch::default() });
    assert!(matches!(commit.unwrap(), Commit::Committed(_)));
    assert_ne!(store.generation(), before);
    assert_eq!(store.generation(), store.generation());
}

pub(super) fn waiting_ends_with_the_next_commit_or_the_timeout(store: Opened) {
    let first = write(&*store, vec![put("a", b"1")]);
    assert_eq!(store.wait(first, Duration::from_millis(5)).unwrap(), first);
    std::thread::scope(|s| {
        let waiter = s.spawn(|| store.wait(first, Duration::from_secs(60)).unwrap());
        std::thread::sleep(Duration::from_millis(10));
        let second = write(&*store, vec![put("a", b"2")]);
        assert_eq!(waiter.join().unwrap(), second);
    });
}

pub(super) fn an_oversized_batch_is_refused(store: Opened) {
    let fits: Vec<_> = (0..Batch::MAX_OPS).map(|i| put(&format!("k{i}"), b"")).collect();
    write(&*store, fits.clone());
    let more = Batch { ops: [fits, vec![put("more", b"")]].concat(), ..Batch::default() };
    assert_eq!(store.commit(&more).unwrap_err().kind(), ErrorKind::Internal);
    let large = Batch { ops: vec![put("large", &vec![0; Batch::MAX_BYTES + 1])], ..Batch::default() };
    assert_eq!(store.commit(&large).unwrap_err().kind(), ErrorKind::Arguments);
    write(&*store, vec![put("large", &vec![0; Batch::MAX_BYTES])]);
}

/// Adds one to a counter by compare and swap; the revisions of its successful commits.
pub(super) fn increment(store: &dyn Store, counter: &StoreKey, times: usize) -> Vec<(u64, Revision)> {
    let mut history = Vec::new();
    while history.len() < times {
        let entry = store.get(counter).unwrap();
        let (condition, next) = match entry {
            None => (Condition::Absent(counter.clone()), 1),
            Some(e) => {
                let now = u64::from_be_bytes(e.value.as_slice().try_into().unwrap());
                (Condition::Version(counter.clone(), e.version), now + 1)
            }
        };
        let ops = vec![Op::Put(counter.clone(), next.to_be_bytes().to_vec())];
        let batch = Batch { conditions: vec![condition], ops, invalidates: true };
        if let Commit::Committed(revision) = store.commit(&batch).unwrap() {
            history.push((next, revision));
        }
    }
    history
}

/// Whether these could be the increments of one counter: every value once, later values in later revisions.
pub(super) fn check_history(mut history: Vec<(u64, Revision)>) {
    history.sort();
    for (i, (value, _)) in history.iter().enumerate() {
        assert_eq!(*value, i as u64 + 1, "an increment was lost or done twice");
    }
    assert!(history.windows(2).all(|w| w[0].1 < w[1].1), "revisions contradict the order of values");
}

pub(super) fn counters_of_concurrent_threads_lose_no_increment(store: Opened) {
    let history = std::thread::scope(|s| {
        let threads: Vec<_> = (0..4).map(|_| s.spawn(|| increment(&*store, &key("counter"), 50))).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    check_history(history);
}

pub(super) fn a_name_guarded_by_absence_goes_to_one_thread(store: Opened) {
    for round in 0..20 {
        let name = key(&format!("name/{round}"));
        let winners = std::thread::scope(|s| {
            let claim = |who: u8| {
                let ops = vec![Op::Put(name.clone(), vec![who])];
                let batch = Batch { conditions: vec![Condition::Absent(name.clone())], ops, invalidates: false };
                store.commit(&batch).unwrap() != Commit::Conflict
            };
            let threads: Vec<_> = (0..4).map(|who| s.spawn(move || (who, claim(who)))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).filter(|(_, won)| *won).collect::<Vec<_>>()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(store.get(&name).unwrap().unwrap().value, [winners[0].0]);
    }
}

pub(super) fn readers_never_see_half_a_batch(store: Opened) {
    let keys: Vec<_> = (0..8).map(|i| key(&format!("part/{i}"))).collect();
    let write_round = |round: u8| {
        write(&*store, keys.iter().map(|k| Op::Put(k.clone(), vec![round])).collect());
    };
    write_round(0);
    std::thread::scope(|s| {
        let writer = s.spawn(|| (1..=100).for_each(write_round));
        while !writer.is_finished() {
            let many: HashSet<_> = store.get_many(&keys).unwrap().into_iter().map(|e| e.unwrap().value).collect();
            let scanned: HashSet<_> = store.scan("part/", None, 100).unwrap().into_iter().map(|e| e.1.value).collect();
            assert_eq!((many.len(), scanned.len()), (1, 1));
        }
    });
}
