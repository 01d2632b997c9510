//! Uses of keys that are rotated after so many.

use super::super::*;
use super::house::{House, NOW, demand, key};
use crate::backup::{Item, ItemKind};
use crate::error::ErrorKind;
use crate::key::{Action, Rotation};
use crate::os::testing::{ended_well, fork};
use crate::store::{Batch, Commit, Op, Store as _, StoreKey};
use crate::tenant::{NamespaceId, ObjectId};

const TOKEN: NamespaceId = NamespaceId([7; 16]);
const KEY: ObjectId = ObjectId([9; 16]);

const fn uses(n: u64, strict: bool) -> Rotation {
    Rotation { days: 0, uses: Some(n), bytes: None, strict }
}

const fn bytes(n: u64, strict: bool) -> Rotation {
    Rotation { days: 0, uses: None, bytes: Some(n), strict }
}

const fn counted(rule: &Rotation) -> [CountedKey<'_>; 1] {
    [CountedKey { namespace: TOKEN, id: KEY, name: "pay", rule }]
}

impl House {
    fn counted(&self) -> (u64, u64) {
        self.book.used_of_key(TOKEN, KEY).unwrap()
    }

    /// How many commits there were, this one among them.
    fn commits(&self) -> u64 {
        let ops = vec![Op::Put(StoreKey::new("probe").unwrap(), Vec::new())];
        match self.store.commit(&Batch { conditions: Vec::new(), ops, invalidates: false }).unwrap() {
            Commit::Committed(revision) => revision.0,
            Commit::Conflict => panic!("nothing was asked for"),
        }
    }
}

#[test]
fn a_bound_is_never_passed_by_any_number_of_processes() {
    for limit in [1, 2, 99, 1_000] {
        let house = House::new();
        let others = [house.other().1, house.other().1, house.other().1];
        let (alice, subjects, rule) = (house.alice(), key("pay", &[]), uses(limit, true));
        let counted = counted(&rule);
        let demand = Demand { counted: &counted, ..demand(&alice, Action::Sign, &subjects) };
        let mut done = 0;
        for (ledger, turn) in others.iter().zip([1_u64, 3, 10]).cycle().take(1_500) {
            for _ in 0..turn {
                if let Ok(reserved) = ledger.reserve(&demand) {
                    reserved.unwrap().settle(0);
                    done += 1;
                }
            }
        }
        assert_eq!((done, house.counted().0), (limit, limit));
        let refusal = others[0].reserve(&demand).err().unwrap();
        assert_eq!(refusal.error.kind(), ErrorKind::QuotaExceeded);
        assert_eq!(refusal.rule.as_deref(), Some("rotation:pay"));
        assert!(refusal.error.message().contains("kmss key rotate pay"), "{}", refusal.error);
    }
}

#[test]
fn what_is_no_bound_is_counted_on_beyond_it() {
    let house = House::new();
    let (alice, subjects, rule) = (house.alice(), key("pay", &[]), uses(100, false));
    let counted = counted(&rule);
    let demand = Demand { counted: &counted, ..demand(&alice, Action::Sign, &subjects) };
    for ledger in [house.other().1, house.other().1] {
        for _ in 0..150 {
            ledger.reserve(&demand).unwrap().unwrap().settle(0);
        }
        // What ends cleanly leaves the exact number.
        ledger.close();
    }
    assert_eq!(house.counted(), (300, 0));
}

#[test]
fn counting_costs_few_commits_and_says_too_much_by_a_hundredth_at_most() {
    let house = House::new();
    let (alice, subjects, rule) = (house.alice(), key("pay", &[]), uses(100_000, false));
    let counted = counted(&rule);
    let demand = Demand { counted: &counted, ..demand(&alice, Action::Sign, &subjects) };
    let before = house.commits();
    for _ in 0..50_000 {
        house.ledger.reserve(&demand).unwrap().unwrap().settle(0);
    }
    // A lease grows while it is used up quickly; a machine that is very slow is given more of them.
    let commits = house.commits() - before;
    assert!(commits < 5_000, "{commits} commits");
    let told = house.counted().0;
    assert!((50_000..=51_000).contains(&told), "{told}");
}

#[test]
fn bytes_are_those_that_were_processed_and_what_is_abandoned_is_no_use() {
    let house = House::new();
    let (alice, subjects, rule) = (house.alice(), key("pay", &[]), bytes(100, true));
    let counted = counted(&rule);
    let demand = Demand { counted: &counted, ..demand(&alice, Action::Encrypt, &subjects) };
    let mut first = house.ledger.reserve(&demand).unwrap().unwrap();
    first.extend(60, NOW).unwrap();
    first.settle(60);
    drop(house.ledger.reserve(&Demand { bytes: Some(40), ..demand }).unwrap());
    let mut last = house.ledger.reserve(&demand).unwrap().unwrap();
    assert_eq!(last.extend(41, NOW).unwrap_err().error.kind(), ErrorKind::QuotaExceeded);
    last.extend(40, NOW).unwrap();
    last.settle(40);
    house.ledger.close();
    assert_eq!(house.counted(), (0, 100));
}

#[test]
fn a_forked_child_counts_for_itself() {
    let house = House::new();
    let (alice, subjects, rule) = (house.alice(), key("pay", &[]), uses(10_000, false));
    let counted = counted(&rule);
    let demand = Demand { counted: &counted, ..demand(&alice, Action::Sign, &subjects) };
    for _ in 0..200 {
        house.ledger.reserve(&demand).unwrap().unwrap().settle(0);
    }
    let leased = house.counted().0;
    // The child's store is a copy: what it leases there it did not have from its parent.
    let child = fork(|| {
        house.ledger.reserve(&demand).unwrap().unwrap().settle(0);
        house.counted().0 > leased
    });
    assert!(ended_well(child));
    house.ledger.close();
    assert_eq!(house.counted().0, 200);
}

#[test]
fn what_is_counted_goes_with_its_namespace_alone() {
    let house = House::new();
    let (alice, subjects, rule) = (house.alice(), key("pay", &[]), uses(10, false));
    let counted = counted(&rule);
    let demand = Demand { counted: &counted, ..demand(&alice, Action::Sign, &subjects) };
    house.ledger.reserve(&demand).unwrap().unwrap().settle(0);
    house.book.forget_keys(NamespaceId([8; 16])).unwrap();
    assert_eq!(house.counted(), (1, 0));
    house.book.forget_keys(TOKEN).unwrap();
    assert_eq!(house.counted(), (0, 0));
}

#[test]
fn what_is_carried_is_no_less_than_what_was_used_and_goes_to_its_place_alone() {
    let (house, other) = (House::new(), House::new());
    let rule = Rotation { days: 0, uses: Some(10_000), bytes: Some(1_000_000), strict: false };
    let (alice, subjects) = (house.alice(), key("pay", &[]));
    let counted = counted(&rule);
    let demand = Demand { bytes: Some(10), counted: &counted, ..demand(&alice, Action::Encrypt, &subjects) };
    for _ in 0..200 {
        house.ledger.reserve(&demand).unwrap().unwrap().settle(10);
    }
    // A lease that is held counts as used.
    let (uses, bytes) = house.counted();
    assert!(uses >= 200 && bytes >= 2_000);
    let all = house.store.scan_all(&Book::belongings(TOKEN)).unwrap();
    let items: Vec<_> = all.iter().map(|(path, entry)| house.book.pack(path, &entry.value).unwrap()).collect();
    let ops = items.iter().map(|item| other.book.unpack(TOKEN, item).unwrap()).collect();
    let batch = Batch { conditions: Vec::new(), ops, invalidates: false };
    assert!(matches!(other.store.commit(&batch).unwrap(), Commit::Committed(_)));
    assert_eq!((items.len(), other.counted()), (2, (uses, bytes)));
    other.ledger.reserve(&demand).unwrap().unwrap().settle(10);
    assert!(other.counted().0 > uses);
    // What says that it belongs elsewhere, or is no number, has no place.
    let stranger = |place: String, content: &[u8]| {
        let item = Item { kind: ItemKind::Counted, place, content: content.to_vec().into() };
        assert_eq!(other.book.unpack(TOKEN, &item).unwrap_err().kind(), ErrorKind::Damaged, "{}", item.place);
    };
    let folder = Book::belongings(TOKEN);
    stranger(format!("{}{KEY}/total", Book::belongings(NamespaceId([8; 16]))), &[0; 8]);
    stranger(format!("{folder}{KEY}/per-day"), &[0; 8]);
    stranger(format!("{folder}{KEY}/total/more"), &[0; 8]);
    stranger(format!("{folder}pay/total"), &[0; 8]);
    stranger(format!("{folder}{KEY}/total"), &[0; 7]);
}
