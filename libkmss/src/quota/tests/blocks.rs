use std::sync::Arc;

use super::super::*;
use super::house::{House, NOW, demand, key};
use crate::caller::Login;
use crate::error::{ErrorKind, Result};
use crate::store::{Batch, Op, Store, StoreKey};
use crate::tenant::NamespaceId;

const TOKEN: NamespaceId = NamespaceId([7; 16]);

fn order(house: &House, target: BlockTarget, per_second: Option<u32>, until: Option<Timestamp>) -> Block {
    let (reason, by) = ("burst of decrypts".to_owned(), "user:op".to_owned());
    Block { id: house.book.new_block_id().unwrap(), target, per_second, reason, by, since: NOW, until }
}

fn block(house: &House, target: BlockTarget) -> BlockId {
    let block = order(house, target, None, None);
    house.book.add_block(&block, NOW).unwrap();
    block.id
}

fn principal(name: &str, within: Within) -> BlockTarget {
    BlockTarget::Principal { name: name.into(), within }
}

fn blocked(house: &House, caller: &Caller, action: Action, subjects: &Subjects) -> bool {
    match house.ledger.admit(&demand(caller, action, subjects)) {
        Ok(()) => false,
        Err(refusal) => {
            assert_eq!(refusal.error.kind(), ErrorKind::Blocked);
            assert!(refusal.rule.unwrap().starts_with("block:"));
            true
        }
    }
}

#[test]
fn a_principal_is_blocked_where_it_was_said_and_nowhere_else() {
    let house = House::new();
    let (alice, bob) = (house.alice(), house.caller("user:bob", 7, Login::None));
    let elsewhere = house.caller("user:alice", 8, Login::None);
    let used = key("k", &[]);
    for (within, here, there) in [
        (Within::Everywhere, true, true),
        (Within::Tenant("acme".into()), true, true),
        (Within::Tenant("other".into()), false, false),
        (Within::Namespace(TOKEN), true, false),
    ] {
        let id = block(&house, principal("user:alice", within.clone()));
        for action in [Action::Sign, Action::Find, Action::Random] {
            assert_eq!(blocked(&house, &alice, action, &used), here, "{within:?}");
            assert_eq!(blocked(&house, &elsewhere, action, &Subjects::NAMESPACE), there, "{within:?}");
        }
        assert!(!blocked(&house, &bob, Action::Sign, &used));
        house.book.remove_block(id).unwrap();
        assert!(!blocked(&house, &alice, Action::Sign, &used));
    }
}

#[test]
fn a_key_is_blocked_by_its_name_or_identity_with_its_copies_but_the_officer_manages_it() {
    let house = House::new();
    let (alice, officer) = (house.alice(), house.caller("user:op", 7, Login::SecurityOfficer));
    for named in ["k", &"09".repeat(16)] {
        let id = block(&house, BlockTarget::Key { namespace: TOKEN, key: named.into() });
        for action in [Action::Sign, Action::Manage, Action::Destroy, Action::Export] {
            assert!(blocked(&house, &alice, action, &key("k", &[])), "{named}");
        }
        assert!(!blocked(&house, &alice, Action::Find, &key("k", &[])));
        assert!(!blocked(&house, &officer, Action::ChangeState, &key("k", &[])));
        assert!(blocked(&house, &officer, Action::Verify, &key("k", &[])));
        assert!(!blocked(&house, &house.caller("user:alice", 8, Login::None), Action::Sign, &key("k", &[])));
        house.book.remove_block(id).unwrap();
    }
    block(&house, BlockTarget::Key { namespace: TOKEN, key: "k".into() });
    assert!(blocked(&house, &alice, Action::Sign, &key("copy", &["k"])));
    assert!(!blocked(&house, &alice, Action::Sign, &key("other", &["j"])));
    assert!(!blocked(&house, &alice, Action::Random, &Subjects::NAMESPACE));
}

#[test]
fn a_blocked_token_does_nothing_but_show_what_is_in_it() {
    let house = House::new();
    block(&house, BlockTarget::Namespace { namespace: TOKEN });
    assert!(blocked(&house, &house.alice(), Action::Random, &Subjects::NAMESPACE));
    assert!(!blocked(&house, &house.alice(), Action::Find, &Subjects::NAMESPACE));
    assert!(!blocked(&house, &house.caller("user:alice", 8, Login::None), Action::Random, &Subjects::NAMESPACE));
}

#[test]
fn a_block_with_an_end_is_over_then() {
    let house = House::new();
    let (alice, until) = (house.alice(), Timestamp(NOW.0 + 1000));
    let target = principal("user:alice", Within::Everywhere);
    house.book.add_block(&order(&house, target.clone(), None, Some(until)), NOW).unwrap();
    let subjects = key("k", &[]);
    let at = |time| Demand { time, ..demand(&alice, Action::Sign, &subjects) };
    let refusal = house.ledger.admit(&at(Timestamp(until.0 - 1))).unwrap_err();
    assert!(refusal.error.message().contains("until 2026-11-22T"), "{}", refusal.error);
    assert!(refusal.error.message().contains("(burst of decrypts)"), "{}", refusal.error);
    house.ledger.admit(&at(until)).unwrap();
    // The next one clears it away.
    house.book.add_block(&order(&house, target, Some(3), None), until).unwrap();
    assert_eq!(house.book.current().unwrap().blocks().len(), 1);
}

#[test]
fn a_block_is_seen_by_other_processes_and_silence_ends_with_it() {
    let house = House::new();
    let (_, other) = house.other();
    let (alice, bob) = (house.alice(), house.caller("user:bob", 8, Login::None));
    assert!(other.is_silent(&alice, house.generation()) && other.is_silent(&bob, house.generation()));
    assert!(alice.is_unrestricted(house.generation()));
    block(&house, principal("user:alice", Within::Everywhere));
    assert!(!alice.is_unrestricted(house.generation()));
    assert!(!other.is_silent(&alice, house.generation()));
    assert!(other.is_silent(&bob, house.generation()));
    assert!(other.admit(&demand(&alice, Action::Sign, &key("k", &[]))).is_err());
}

#[test]
fn a_block_covers_what_adds_nothing_to_it() {
    let house = House::new();
    let target = || BlockTarget::Namespace { namespace: TOKEN };
    let short = order(&house, target(), None, Some(Timestamp(NOW.0 + 10)));
    house.book.add_block(&short, NOW).unwrap();
    let covering = |until, rate| {
        let wanted = order(&house, target(), rate, until);
        house.book.covering(&wanted, NOW).unwrap().map(|known| known.id)
    };
    assert_eq!(covering(Some(Timestamp(NOW.0 + 5)), None), Some(short.id));
    assert_eq!((covering(None, None), covering(Some(Timestamp(NOW.0 + 11)), None)), (None, None));
    assert_eq!(covering(Some(Timestamp(NOW.0 + 5)), Some(3)), None);
    let long = block(&house, target());
    assert_eq!((covering(None, None), covering(None, Some(3))), (Some(long), None));
}

#[test]
fn a_throttle_lets_its_rate_through_in_all_processes_together() {
    let house = House::new();
    let (_, other) = house.other();
    let target = principal("user:alice", Within::Everywhere);
    house.book.add_block(&order(&house, target, Some(5), None), NOW).unwrap();
    let (alice, subjects) = (house.alice(), key("k", &[]));
    let demand = demand(&alice, Action::Sign, &subjects);
    let mut let_through = 0;
    for _ in 0..10 {
        for ledger in [&house.ledger, &other] {
            ledger.admit(&demand).unwrap();
            match ledger.reserve(&demand) {
                Ok(taken) => {
                    taken.unwrap().settle(0);
                    let_through += 1;
                }
                Err(refusal) => {
                    assert_eq!(refusal.error.kind(), ErrorKind::QuotaExceeded);
                    assert!(refusal.rule.unwrap().starts_with("block:"));
                }
            }
        }
    }
    assert_eq!(let_through, 5);
    // What was reserved is not reserved again.
    assert!(house.ledger.reserve(&Demand { again: true, ..demand }).unwrap().is_none());
    let later = Demand { time: Timestamp(NOW.0 + 2000), ..demand };
    // An abandoned operation gives its place back.
    for _ in 0..20 {
        drop(house.ledger.reserve(&later).unwrap());
    }
}

#[test]
fn a_block_that_was_tampered_with_stops_everybody() {
    let house = House::new();
    let id = block(&house, principal("user:alice", Within::Everywhere));
    let other = block(&house, principal("user:bob", Within::Everywhere));
    let path = |id: BlockId| StoreKey::new(format!("block/{id}")).unwrap();
    let moved = house.store.get(&path(other)).unwrap().unwrap().value;
    let ops = vec![Op::Put(path(id), moved)];
    let _ = house.store.commit(&Batch { conditions: Vec::new(), ops, invalidates: true }).unwrap();
    // What was read stands while its edition does: whoever reads anew finds out.
    let (_, fresh) = house.other();
    let carol = house.caller("user:carol", 9, Login::None);
    assert!(!fresh.is_silent(&carol, house.generation()));
    let refusal = fresh.admit(&demand(&carol, Action::Sign, &key("k", &[]))).unwrap_err();
    assert_eq!(refusal.error.kind(), ErrorKind::Damaged);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let house = House::new();
    let add = |block: Block| -> Result<()> { house.book.add_block(&block, NOW) };
    let good = || order(&house, principal("user:alice", Within::Everywhere), None, None);
    let bad = [
        Block { target: principal("alice", Within::Everywhere), ..good() },
        Block { target: principal("user:a\n", Within::Everywhere), ..good() },
        Block { target: principal("user:a", Within::Tenant(String::new())), ..good() },
        Block { target: BlockTarget::Key { namespace: TOKEN, key: String::new() }, ..good() },
        Block { per_second: Some(0), ..good() },
        Block { until: Some(NOW), ..good() },
        Block { reason: "x".repeat(257), ..good() },
    ];
    for block in bad {
        assert_eq!(add(block.clone()).unwrap_err().kind(), ErrorKind::Arguments, "{block:?}");
    }
    assert!(house.book.current().unwrap().blocks().is_empty());
    assert_eq!(house.book.remove_block(BlockId(1)).unwrap_err().kind(), ErrorKind::NotFound);
    for id in ["", "123", "0000000g", "+0000001"] {
        assert!(id.parse::<BlockId>().is_err());
    }
    assert_eq!("0000abcd".parse::<BlockId>().unwrap().to_string(), "0000abcd");
    let _: &Arc<Book> = &house.book;
}
