//! Tests of rules and their book, on a store in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::caller::Principal;
use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::key::{DomainKey, KeySpec, Rotation};
use crate::mechanism::{Curve, KeyType, MlDsaSet, PqcSet};
use crate::random::Random;
use crate::settings::Settings;
use crate::store::{Batch, Commit, MemoryStore, Op, Store, StoreKey};
use crate::suite::Suite;
use crate::tenant::{BackendId, Namespace, NamespaceId};

struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.iter_mut().for_each(|b| *b = self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

struct House {
    store: Arc<MemoryStore>,
    random: Arc<Counting>,
    home: Arc<DomainKey>,
    book: RuleBook,
}

impl House {
    fn new() -> Self {
        let (store, random) = (Arc::new(MemoryStore::default()), Arc::new(Counting(AtomicU8::new(1))));
        let home = Arc::new(DomainKey::ephemeral(Suite::Nist, &*random).unwrap());
        let book = RuleBook::new(Arc::clone(&store) as _, Arc::clone(&random) as _, Arc::clone(&home));
        Self { store, random, home, book }
    }

    /// The book of another process.
    fn other(&self) -> RuleBook {
        RuleBook::new(Arc::clone(&self.store) as _, Arc::clone(&self.random) as _, Arc::clone(&self.home))
    }

    fn set(&self, rule: KeyRule) {
        let before = self.book.rule(&rule.scope).unwrap();
        self.book.set(rule, before.as_ref()).unwrap();
    }
}

fn namespace(number: u8) -> Namespace {
    Namespace {
        id: NamespaceId([number; 16]),
        tenant: "acme".into(),
        name: format!("token{number}"),
        ordinal: 0,
        incarnation: 1,
        policy_required: false,
        settings: Settings::default(),
        backend: BackendId::soft(),
    }
}

fn rule(scope: RuleScope) -> KeyRule {
    let (types, by) = (vec!["aes:256".parse().unwrap()], "user:op".to_owned());
    let (preferred, owner) = (None, String::new());
    KeyRule { scope, types, preferred, rotation_days: 0, apart: false, owner, by, set: Timestamp(1) }
}

fn of_token(number: u8, service: Option<&str>) -> RuleScope {
    RuleScope { tenant: None, namespace: Some(NamespaceId([number; 16])), service: service.map(str::to_owned) }
}

fn of_tenant() -> RuleScope {
    RuleScope { tenant: Some("acme".into()), ..RuleScope::default() }
}

const fn aes(len: usize) -> KeySpec {
    KeySpec::Secret { key_type: KeyType::Aes, len }
}

#[test]
fn types_are_words_with_a_least_size() {
    for (text, shown) in [("AES:256", "aes:256"), ("rsa", "rsa"), ("ec:p384", "ec:384"), ("ml-dsa:65", "ml-dsa:65")] {
        assert_eq!(text.parse::<AllowedType>().unwrap().to_string(), shown);
    }
    for bad in ["des", "aes:0", "aes:x", "aes:256:1", "", ":256"] {
        assert_eq!(bad.parse::<AllowedType>().unwrap_err().kind(), ErrorKind::Arguments, "{bad}");
    }
}

#[test]
fn sizes_are_those_that_people_know() {
    let sized = |spec: KeySpec| Made::of_spec(&spec).to_string();
    assert_eq!(sized(aes(16)), "aes:128");
    assert_eq!(sized(KeySpec::Rsa { bits: 3072, exponent: vec![3] }), "rsa:3072");
    assert_eq!(sized(KeySpec::Ec(Curve::P521)), "ec:521");
    assert_eq!(sized(KeySpec::Pqc(PqcSet::MlDsa(MlDsaSet::MlDsa65))), "ml-dsa:65");
    // Every type has a word that a rule can name.
    for set in PqcSet::all() {
        let made = Made::of_spec(&KeySpec::Pqc(set));
        let allowed: AllowedType = made.to_string().parse().unwrap();
        assert!(allowed.least > 0, "{made}");
    }
}

#[test]
fn a_rule_says_something_about_one_place() {
    let bad = |rule: KeyRule| assert_eq!(rule.validated().unwrap_err().kind(), ErrorKind::Arguments);
    bad(rule(RuleScope::default()));
    bad(rule(RuleScope { tenant: Some("acme".into()), ..of_token(1, None) }));
    bad(KeyRule { types: Vec::new(), ..rule(of_token(1, None)) });
    bad(KeyRule { owner: "user:anna".into(), ..rule(of_token(1, None)) });
    bad(KeyRule { owner: "anna".into(), ..rule(of_token(1, Some("order"))) });
    bad(KeyRule { apart: true, ..rule(of_token(1, Some("order"))) });
    bad(rule(of_token(1, Some("a b"))));
    let kept = rule(of_token(1, Some("service:order"))).validated().unwrap();
    assert_eq!(kept.scope.service.as_deref(), Some("order"));
}

#[test]
fn every_rule_about_a_key_holds_and_the_closest_prefers() {
    let house = House::new();
    let preferring = |scope, preferred: &str| KeyRule { preferred: Some(preferred.into()), ..rule(scope) };
    house.set(KeyRule {
        types: vec!["aes".parse().unwrap(), "rsa".parse().unwrap()],
        ..preferring(of_tenant(), "rsa:3072")
    });
    house.set(preferring(of_token(1, None), "aes:256"));
    house.set(KeyRule { rotation_days: 30, ..rule(of_token(1, Some("order"))) });
    let set = house.other().current().unwrap();
    let (first, second) = (namespace(1), namespace(2));
    let check = |place, service, spec| set.check(place, service, Made::of_spec(&spec));
    check(&first, None, aes(32)).unwrap();
    check(&second, None, aes(16)).unwrap();
    let refused = check(&first, Some("order"), aes(16)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(refused.message().contains("token acme/token1") && refused.message().contains("aes:256"), "{refused}");
    assert!(check(&second, None, KeySpec::Ec(Curve::P256)).is_err());
    assert_eq!((set.preferred(&first, None), set.preferred(&second, None)), (Some("aes:256"), Some("rsa:3072")));
    assert_eq!(set.rotation_days(&first, Some("order")), Some(30));
    assert_eq!(set.rotation_days(&first, None), None);
    set.check_rotation(&first, None, None).unwrap();
    set.check_rotation(&first, Some("order"), Some(&Rotation::every(30))).unwrap();
    assert!(set.check_rotation(&first, Some("order"), Some(&Rotation::every(31))).is_err());
}

#[test]
fn another_process_sees_a_change_from_its_next_look_on() {
    let house = House::new();
    let other = house.other();
    assert!(other.current().unwrap().rules().is_empty());
    house.set(KeyRule { owner: "user:anna".into(), ..rule(of_token(1, Some("order"))) });
    let set = other.current().unwrap();
    let is_owner = |name: &str| set.is_owned_by(&namespace(1), "order", &Principal::new(name, Vec::new()));
    assert!(is_owner("user:anna") && !is_owner("user:otto") && !is_owner(""));
    assert!(!set.is_owned_by(&namespace(2), "order", &Principal::new("user:anna", Vec::new())));
    house.book.remove(&set.rules()[0]).unwrap();
    assert!(other.current().unwrap().rules().is_empty());
    // Who knew another rule is told so.
    let stale = house.other().set(rule(of_token(1, Some("order"))), Some(&set.rules()[0]));
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn what_was_changed_or_taken_away_is_noticed() {
    let house = House::new();
    house.set(rule(of_token(1, None)));
    house.set(rule(of_token(2, None)));
    let all = house.store.scan_all("rule/key/").unwrap();
    let change = |ops: Vec<Op>| {
        let batch = Batch { conditions: Vec::new(), ops, invalidates: true };
        assert!(matches!(house.store.commit(&batch).unwrap(), Commit::Committed(_)));
    };
    let edition = || Op::Put(StoreKey::new("rule/edition").unwrap(), Vec::new());
    // One rule in the place of another.
    change(vec![Op::Put(all[0].0.clone(), all[1].1.value.clone()), edition()]);
    assert_eq!(house.other().current().unwrap_err().kind(), ErrorKind::Damaged);
    change(vec![Op::Put(all[0].0.clone(), all[0].1.value.clone()), edition()]);
    assert_eq!(house.other().current().unwrap().rules().len(), 2);
    change(vec![Op::Delete(StoreKey::new("rule/edition").unwrap())]);
    assert_eq!(house.other().current().unwrap_err().kind(), ErrorKind::Damaged);
}
