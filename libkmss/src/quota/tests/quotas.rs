use std::sync::Arc;

use super::super::*;
use super::house::{House, NOW, demand, key};
use crate::caller::Login;
use crate::config::QuotaRule;
use crate::error::{Error, ErrorKind};
use crate::os::testing::{ended_well, fork};
use crate::tenant::NamespaceId;

const TOKEN: NamespaceId = NamespaceId([7; 16]);
const DAY: u64 = 86_400_000;

fn quota(name: &str, limits: QuotaLimits) -> Quota {
    let (scope, each, actions) = (QuotaScope::default(), Vec::new(), Vec::new());
    Quota { name: name.into(), scope, each, actions, limits, serial: 0, by: "user:op".into(), set: NOW }
}

fn total(n: u64) -> QuotaLimits {
    QuotaLimits { total: Some(n), ..QuotaLimits::default() }
}

fn per_day(n: u64) -> QuotaLimits {
    QuotaLimits { per_day: Some(n), ..QuotaLimits::default() }
}

fn bytes(n: u64) -> QuotaLimits {
    QuotaLimits { bytes_total: Some(n), ..QuotaLimits::default() }
}

impl House {
    fn set(&self, quota: Quota) {
        let before = self.book.quota(quota.scope.namespace, &quota.name).unwrap();
        self.book.set_quota(quota, before.as_ref()).unwrap();
    }

    fn used(&self, name: &str) -> Vec<(String, u64)> {
        let quotas = self.book.current().unwrap();
        let quota = quotas.quotas().iter().find(|quota| quota.name == name).unwrap();
        self.book.usage(quota, NOW).unwrap().into_iter().map(|usage| (usage.of, usage.used)).collect()
    }
}

/// One use, done with.
fn uses(ledger: &HostLedger, demand: &Demand<'_>) -> bool {
    match ledger.reserve(demand) {
        Ok(reserved) => {
            reserved.unwrap().settle(demand.bytes.unwrap_or(0));
            true
        }
        Err(refusal) => {
            assert_eq!(refusal.error.kind(), ErrorKind::QuotaExceeded, "{}", refusal.error);
            assert!(refusal.rule.unwrap().starts_with("quota:"));
            false
        }
    }
}

fn refusal(ledger: &HostLedger, demand: &Demand<'_>) -> Error {
    ledger.reserve(demand).err().unwrap().error
}

#[test]
fn a_limit_is_reached_exactly_by_any_number_of_processes() {
    for limit in [0, 1, 2, 7, 99, 100, 101, 1_000] {
        let house = House::new();
        house.set(quota("uses", total(limit)));
        let others = [house.other().1, house.other().1, house.other().1];
        let (alice, subjects) = (house.alice(), key("k", &[]));
        let demand = demand(&alice, Action::Sign, &subjects);
        let mut done = 0;
        // Each until it is refused, in turns of different lengths.
        for (ledger, turn) in others.iter().zip([1_u64, 3, 10]).cycle().take(3_000) {
            done += (0..turn).filter(|_| uses(ledger, &demand)).count() as u64;
        }
        assert_eq!(done, limit);
        let error = refusal(&others[0], &demand);
        assert!(error.message().contains("`uses`") && error.message().contains("raises it"), "{error}");
    }
}

#[test]
fn a_process_that_is_killed_loses_a_hundredth_of_what_was_left_at_most() {
    let house = House::new();
    house.set(quota("uses", total(1_000)));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let demand = demand(&alice, Action::Sign, &subjects);
    let mut done = 0;
    for n in 0..10 {
        // It never closes.
        let (_, killed) = house.other();
        done += (0..20 + n).filter(|_| uses(&killed, &demand)).count();
        std::mem::forget(killed);
    }
    let (_, last) = house.other();
    done += std::iter::from_fn(|| uses(&last, &demand).then_some(())).count();
    assert!((900..=1000).contains(&done), "{done}");
}

#[test]
fn a_process_that_ends_cleanly_loses_nothing_and_goes_on_if_it_likes() {
    let house = House::new();
    house.set(quota("uses", total(1_000)));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let demand = demand(&alice, Action::Sign, &subjects);
    for n in 1..=10 {
        let (_, ledger) = house.other();
        for _ in 0..20 {
            assert!(uses(&ledger, &demand));
        }
        ledger.close();
        assert_eq!(house.used("uses"), [(String::new(), n * 20)]);
    }
    assert!(uses(&house.ledger, &demand));
    house.ledger.close();
    assert!(uses(&house.ledger, &demand));
}

#[test]
fn short_lived_processes_lose_no_more_than_they_used() {
    let house = House::new();
    house.set(quota("uses", total(1_000_000)));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let demand = demand(&alice, Action::Sign, &subjects);
    for (uses_of_each, lost) in [(1, 0), (3, 3), (20, 20)] {
        let before = house.used("uses").first().map_or(0, |(_, used)| *used);
        let (_, killed) = house.other();
        assert_eq!((0..uses_of_each).filter(|_| uses(&killed, &demand)).count(), uses_of_each as usize);
        let leased = house.used("uses")[0].1 - before;
        std::mem::forget(killed);
        assert!(leased <= uses_of_each + lost + 1, "{leased} for {uses_of_each}");
    }
}

#[test]
fn an_abandoned_operation_uses_nothing() {
    let house = House::new();
    house.set(quota("uses", QuotaLimits { per_second: Some(1), ..total(1) }));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let demand = demand(&alice, Action::Sign, &subjects);
    for _ in 0..10 {
        drop(house.ledger.reserve(&demand).unwrap());
    }
    assert!(uses(&house.ledger, &demand));
    assert!(!uses(&house.ledger, &demand));
}

#[test]
fn a_day_ends_at_midnight_of_utc_and_does_not_come_back() {
    let house = House::new();
    house.set(quota("daily", per_day(3)));
    let (_, other) = house.other();
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let at = |time: u64| Demand { time: Timestamp(time), ..demand(&alice, Action::Sign, &subjects) };
    let midnight = (NOW.0 / DAY + 1) * DAY;
    assert!((0..3).all(|_| uses(&house.ledger, &at(NOW.0))));
    let error = refusal(&other, &at(midnight - 1));
    assert!(error.message().contains("there is more from 2026-11-23T00:00:00Z on"), "{error}");
    assert!(uses(&other, &at(midnight)) && uses(&house.ledger, &at(midnight + 1)));
    // A clock that goes back, in one process or another.
    assert!(uses(&other, &at(NOW.0)));
    assert!(!uses(&house.ledger, &at(NOW.0)) && !uses(&other, &at(midnight)));
    let (_, third) = house.other();
    assert!(!uses(&third, &at(NOW.0)));
    assert!(uses(&third, &at(midnight + DAY)));
}

#[test]
fn what_is_left_of_a_lease_at_midnight_is_not_of_the_next_day() {
    let house = House::new();
    house.set(quota("daily", per_day(10_000)));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let at = |time: u64| Demand { time: Timestamp(time), ..demand(&alice, Action::Sign, &subjects) };
    assert!((0..500).all(|_| uses(&house.ledger, &at(NOW.0))));
    let held = house.ledger.reserve(&at(NOW.0)).unwrap();
    assert!(uses(&house.ledger, &at(NOW.0 + DAY)));
    // Abandoned on the next day: it was of the day before.
    drop(held);
    assert_eq!((1..20_000).filter(|_| uses(&house.ledger, &at(NOW.0 + DAY))).count(), 9_999);
}

#[test]
fn bytes_are_taken_as_they_become_known_and_never_beyond_the_limit() {
    let house = House::new();
    house.set(quota("bytes", bytes(100)));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let known = |bytes| Demand { bytes, ..demand(&alice, Action::Encrypt, &subjects) };
    let mut unknown = house.ledger.reserve(&known(None)).unwrap().unwrap();
    unknown.extend(10, NOW).unwrap();
    // The same length again is no more.
    unknown.extend(10, NOW).unwrap();
    unknown.extend(60, NOW).unwrap();
    assert!(refusal(&house.ledger, &known(Some(41))).message().contains("100 bytes"));
    assert!(uses(&house.ledger, &known(Some(40))));
    let refused = unknown.extend(61, NOW).unwrap_err();
    assert_eq!(&*refused.rule.unwrap(), "quota:bytes");
    unknown.settle(60);
    assert!(uses(&house.ledger, &known(Some(0))));
    assert!(!uses(&house.ledger, &known(Some(1))));
    let house = House::new();
    house.set(quota("bytes", bytes(100)));
    // What was announced and did not come is given back; what was abandoned, whole.
    house.ledger.reserve(&known(Some(90))).unwrap().unwrap().settle(30);
    drop(house.ledger.reserve(&known(Some(70))).unwrap());
    assert!(uses(&house.ledger, &known(Some(70))) && !uses(&house.ledger, &known(Some(1))));
}

#[test]
fn a_rate_gives_its_burst_and_then_so_many_a_second_in_all_processes_together() {
    let house = House::new();
    let rate = QuotaLimits { per_second: Some(10), burst: Some(30), ..QuotaLimits::default() };
    house.set(quota("rate", rate));
    let (_, other) = house.other();
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let at = |ms: u64| Demand { time: Timestamp(NOW.0 + ms), ..demand(&alice, Action::Sign, &subjects) };
    let drawn = |ms: u64| {
        let both = [&house.ledger, &other].into_iter().cycle();
        both.take(100).filter(|ledger| uses(ledger, &at(ms))).count()
    };
    assert_eq!((drawn(0), drawn(99), drawn(100), drawn(1_100), drawn(60_000)), (30, 0, 1, 10, 30));
    let error = refusal(&other, &at(60_000));
    assert!(
        error.message().contains("10 operations a second (burst 30)") && error.message().contains("in 100 ms"),
        "{error}"
    );
    // A clock that is set back finds it empty.
    assert_eq!((drawn(50_000), drawn(51_000)), (0, 10));
}

#[test]
fn each_counts_apart_and_filters_choose() {
    let house = House::new();
    let scope = QuotaScope { namespace: Some(TOKEN), key: Some("k".into()), ..QuotaScope::default() };
    house.set(Quota { scope, actions: vec!["sign".into()], ..quota("one-key", total(1)) });
    house.set(Quota { each: vec![Each::Principal, Each::Key], ..quota("each", total(2)) });
    let (alice, bob) = (house.alice(), house.caller("user:bob", 7, Login::None));
    let (k, copy, j) = (key("k", &[]), key("copy", &["k"]), key("j", &[]));
    assert!(uses(&house.ledger, &demand(&alice, Action::Sign, &k)));
    assert!(!uses(&house.ledger, &demand(&bob, Action::Sign, &copy)), "a copy has no budget of its own");
    assert!(uses(&house.ledger, &demand(&alice, Action::Decrypt, &copy)));
    assert!(!uses(&house.ledger, &demand(&alice, Action::Decrypt, &k)));
    assert!(uses(&house.ledger, &demand(&alice, Action::Sign, &j)));
    assert!(uses(&house.ledger, &demand(&bob, Action::Decrypt, &k)));
    let names: Vec<String> = house.used("each").into_iter().map(|(of, used)| format!("{of} {used}")).collect();
    let wanted = [("alice", "j", 1), ("alice", "k", 2), ("bob", "k", 1)];
    let wanted = wanted.map(|(who, what, n)| format!("principal user:{who}, key acme/token7/{what} {n}"));
    assert_eq!(names, wanted);
    // Neither administration nor what is about no key.
    for action in [Action::Find, Action::Manage, Action::ChangeState, Action::Destroy] {
        assert!(house.ledger.reserve(&demand(&alice, action, &k)).unwrap().is_none());
    }
    assert!(house.ledger.reserve(&demand(&alice, Action::Random, &Subjects::NAMESPACE)).unwrap().is_none());
}

#[test]
fn whom_no_quota_is_for_is_not_asked() {
    let house = House::new();
    let scope = QuotaScope { principal: Some("user:alice".into()), ..QuotaScope::default() };
    house.set(Quota { scope, ..quota("hers", total(1)) });
    assert!(!house.ledger.is_silent(&house.alice(), house.generation()));
    assert!(house.ledger.is_silent(&house.caller("user:bob", 7, Login::None), house.generation()));
}

#[test]
fn a_changed_quota_keeps_what_was_used_and_a_removed_one_forgets_it() {
    let house = House::new();
    house.set(quota("uses", total(3)));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let demand = demand(&alice, Action::Sign, &subjects);
    assert!((0..3).all(|_| uses(&house.ledger, &demand)) && !uses(&house.ledger, &demand));
    house.set(quota("uses", total(5)));
    assert!((0..2).all(|_| uses(&house.ledger, &demand)) && !uses(&house.ledger, &demand));
    house.set(quota("uses", total(4)));
    assert!(!uses(&house.ledger, &demand));
    let known = house.book.quota(None, "uses").unwrap().unwrap();
    house.book.remove_quota(&known).unwrap();
    assert!(house.ledger.reserve(&demand).unwrap().is_none());
    assert_eq!(house.book.remove_quota(&known).unwrap_err().kind(), ErrorKind::Conflict);
    house.set(quota("uses", total(1)));
    assert!(uses(&house.ledger, &demand) && !uses(&house.ledger, &demand));
    // Whoever looked at another one changes nothing.
    assert_eq!(house.book.set_quota(quota("uses", total(9)), Some(&known)).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(house.book.set_quota(quota("uses", total(9)), None).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn four_fifths_are_told_once_by_all_processes_together() {
    let house = House::new();
    house.set(quota("daily", per_day(1_000)));
    let (_, other) = house.other();
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let mut told = Vec::new();
    for day in 0..2 {
        let demand = Demand { time: Timestamp(NOW.0 + day * DAY), ..demand(&alice, Action::Sign, &subjects) };
        for n in 0..1_000 {
            let ledger = if n % 2 == 0 { &house.ledger } else { &other };
            let mut reserved = ledger.reserve(&demand).unwrap().unwrap();
            told.extend(reserved.notices().into_iter().map(|notice| (day, n, notice)));
            reserved.settle(0);
        }
    }
    assert_eq!(told.len(), 2, "{told:?}");
    for (day, (told_day, n, notice)) in told.into_iter().enumerate() {
        assert_eq!((told_day as usize, notice.as_str()), (day, "quota-near:daily"));
        assert!((770..=800).contains(&n), "{n}");
    }
}

#[test]
fn a_forked_child_neither_spends_nor_gives_back_what_its_parent_took() {
    let house = House::new();
    let rate = QuotaLimits { per_second: Some(100), burst: Some(1_000), ..total(100_000) };
    house.set(quota("uses", rate));
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let demand = demand(&alice, Action::Sign, &subjects);
    assert!((0..500).all(|_| uses(&house.ledger, &demand)));
    let held = std::cell::RefCell::new(house.ledger.reserve(&demand).unwrap());
    let used = house.used("uses")[0].1;
    assert!(used > 501, "something is leased ahead");
    // The store in memory is the child's own from now on, the rates are not.
    let child = fork(|| {
        drop(held.borrow_mut().take());
        let drawn = (0..1_000).filter(|_| uses(&house.ledger, &demand)).count() as u64;
        drawn == 499 && house.used("uses")[0].1 >= used + drawn
    });
    assert!(ended_well(child));
    drop(held);
    assert!(uses(&house.ledger, &demand) && !uses(&house.ledger, &demand));
}

#[test]
fn quotas_of_the_configuration_count_as_others_do() {
    let rule = |name: &str| QuotaRule { name: name.into(), total: Some(2), ..QuotaRule::default() };
    let configured = QuotaRule { token: Some("token7".into()), each: vec!["key".into()], ..rule("own") };
    let house = House::with(vec![Quota::configured(&configured).unwrap()]);
    let (alice, subjects) = (house.alice(), key("k", &[]));
    assert!(!house.ledger.is_silent(&alice, house.generation()));
    assert!(house.ledger.is_silent(&house.caller("user:alice", 8, Login::None), house.generation()));
    let demand = demand(&alice, Action::Sign, &subjects);
    assert!(uses(&house.ledger, &demand) && uses(&house.ledger, &demand) && !uses(&house.ledger, &demand));
    for bad in [
        QuotaRule { total: None, ..rule("a") },
        rule(""),
        rule("a b"),
        QuotaRule { each: vec!["slot".into()], ..rule("a") },
        QuotaRule { actions: vec!["login".into()], ..rule("a") },
        QuotaRule { principal: Some("alice".into()), ..rule("a") },
        QuotaRule { burst: Some(3), ..rule("a") },
        QuotaRule { per_second: Some(0), ..rule("a") },
        QuotaRule { key: Some(String::new()), ..rule("a") },
    ] {
        assert_eq!(Quota::configured(&bad).unwrap_err().kind(), ErrorKind::Config, "{bad:?}");
    }
}

#[test]
fn a_counter_that_was_tampered_with_admits_nothing() {
    use crate::store::{Batch, Op, Store};
    let house = House::new();
    house.set(Quota { each: vec![Each::Key], ..quota("uses", total(100)) });
    let alice = house.alice();
    let (k, j) = (key("k", &[]), key("j", &[]));
    assert!(uses(&house.ledger, &demand(&alice, Action::Sign, &k)));
    let (full, _) = house.store.scan("quota/used/", None, 1).unwrap().remove(0);
    assert!(uses(&house.ledger, &demand(&alice, Action::Sign, &j)));
    let counters = house.store.scan("quota/used/", None, 9).unwrap();
    let other = counters.iter().find(|(path, _)| *path != full).unwrap();
    let ops = vec![Op::Put(full, other.1.value.clone())];
    let _ = house.store.commit(&Batch { conditions: Vec::new(), ops, invalidates: false }).unwrap();
    let (_, fresh) = house.other();
    assert_eq!(refusal(&fresh, &demand(&alice, Action::Sign, &k)).kind(), ErrorKind::Damaged);
    let _: &Arc<Book> = &house.book;
}
