#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::backup::{Item, ItemKind};
use crate::store::{Change, MemoryStore};
use crate::suite::{HASH_LEN, Suite};
use crate::tenant::NamespaceId;

/// Bytes that are none of chance.
struct Counter(std::sync::atomic::AtomicU8);

impl Random for Counter {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        Ok(())
    }
}

fn vault() -> (Vault, Arc<MemoryStore>) {
    let random = Arc::new(Counter(1.into()));
    let home = Arc::new(DomainKey::ephemeral(Suite::Nist, random.as_ref()).unwrap());
    let store = Arc::new(MemoryStore::default());
    (Vault::new(Arc::clone(&store) as _, random, home), store)
}

fn shelf(key: u8) -> Shelf {
    let root = format!("{VAULT}{}/1/{}/", NamespaceId([7; 16]), ObjectId([key; 16]));
    Shelf { root }
}

fn held(token: &str, value: &[u8], expires: Option<u64>) -> Held {
    let sealed = (value.to_vec(), ObjectId([1; 16]));
    Held::new("digits".to_owned(), token.to_owned(), sealed, expires.map(Timestamp))
}

fn plain(value: &[u8]) -> Sought<'_> {
    Sought { value, mark: "" }
}

const NOW: Timestamp = Timestamp(1_000);

#[test]
fn a_token_and_its_value_find_each_other_on_their_own_shelf() {
    let (vault, store) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"sealed", None), plain(b"999"), NOW).unwrap());
    assert_eq!(*vault.by_token(&mine, "digits", "111", NOW).unwrap().unwrap().value, b"sealed");
    assert_eq!(vault.by_value(&mine, "digits", plain(b"999"), NOW).unwrap().unwrap().token, "111");
    assert!(vault.by_token(&shelf(2), "digits", "111", NOW).unwrap().is_none());
    assert!(vault.by_token(&mine, "hex", "111", NOW).unwrap().is_none());
    assert!(vault.by_value(&mine, "digits", plain(b"111"), NOW).unwrap().is_none());
    // Neither stands in the store.
    for (path, entry) in store.scan_all(VAULT).unwrap() {
        assert!(!path.as_str().contains("/999") && !path.as_str().ends_with("/111"));
        assert!(!entry.value.windows(3).any(|part| part == b"111" || part == b"999"));
    }
}

#[test]
fn no_token_stands_for_two_values_and_no_value_has_two_tokens() {
    let (vault, _) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"a", None), plain(b"999"), NOW).unwrap());
    assert!(!vault.put(&mine, held("111", b"b", None), plain(b"888"), NOW).unwrap());
    assert!(!vault.put(&mine, held("222", b"a", None), plain(b"999"), NOW).unwrap());
    assert!(vault.by_token(&mine, "digits", "222", NOW).unwrap().is_none());
    assert!(vault.put(&shelf(2), held("111", b"b", None), plain(b"888"), NOW).unwrap());
}

#[test]
fn what_expired_stands_for_nothing_and_gives_its_place_away() {
    let (vault, store) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"a", Some(2_000)), plain(b"999"), NOW).unwrap());
    let later = Timestamp(2_000);
    assert!(vault.by_token(&mine, "digits", "111", NOW).unwrap().is_some());
    assert!(vault.by_token(&mine, "digits", "111", later).unwrap().is_none());
    assert!(vault.by_value(&mine, "digits", plain(b"999"), later).unwrap().is_none());
    // The same value gets another token, the same token another value; what is over is cleared away.
    assert!(vault.put(&mine, held("222", b"a", Some(9_000)), plain(b"999"), later).unwrap());
    assert!(vault.put(&mine, held("111", b"b", None), plain(b"888"), later).unwrap());
    assert_eq!(vault.by_value(&mine, "digits", plain(b"999"), later).unwrap().unwrap().token, "222");
    assert_eq!(*vault.by_token(&mine, "digits", "111", later).unwrap().unwrap().value, b"b");
    let left = store.scan_all(VAULT).unwrap();
    assert_eq!(left.len(), 5, "two tokens, two values, one end");
}

#[test]
fn a_record_that_was_moved_is_found_out() {
    let (vault, store) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"a", None), plain(b"999"), NOW).unwrap());
    assert!(vault.put(&mine, held("222", b"b", None), plain(b"888"), NOW).unwrap());
    let tokens = store.scan_all(&format!("{}token/", mine.root)).unwrap();
    let swapped = vec![
        Op::Put(tokens[0].0.clone(), tokens[1].1.value.clone()),
        Op::Put(tokens[1].0.clone(), tokens[0].1.value.clone()),
    ];
    let _ = store.commit(&Batch { ops: swapped, ..Batch::default() }).unwrap();
    let error = vault.by_token(&mine, "digits", "111", NOW).err().unwrap();
    assert_eq!(error.kind(), crate::error::ErrorKind::Damaged);
}

/// A store in which something happens between what is read and the first commit.
struct Meanwhile {
    store: Arc<MemoryStore>,
    happens: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Store for Meanwhile {
    fn get_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Entry>>> {
        self.store.get_many(keys)
    }

    fn scan(&self, prefix: &str, after: Option<&StoreKey>, limit: usize) -> Result<Vec<(StoreKey, Entry)>> {
        self.store.scan(prefix, after, limit)
    }

    fn commit(&self, batch: &Batch) -> Result<Commit> {
        let happens = self.happens.lock().unwrap().take();
        if let Some(happens) = happens {
            happens();
        }
        self.store.commit(batch)
    }

    fn changes(&self, since: Revision, limit: usize) -> Result<Vec<Change>> {
        self.store.changes(since, limit)
    }

    fn wait(&self, since: Revision, timeout: Duration) -> Result<Revision> {
        self.store.wait(since, timeout)
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }
}

#[test]
fn what_was_given_out_anew_meanwhile_is_not_cleared_away() {
    // The value gets another token, or the same once more, while somebody clears its old one away.
    for again in ["222", "111"] {
        let (one, store) = vault();
        let other =
            Vault { store: Arc::clone(&store) as _, random: Arc::clone(&one.random), home: Arc::clone(&one.home) };
        let (mine, later) = (shelf(1), Timestamp(2_000));
        assert!(one.put(&mine, held("111", b"a", Some(2_000)), plain(b"999"), NOW).unwrap());
        let happens: Box<dyn FnOnce() + Send> =
            Box::new(move || assert!(other.put(&shelf(1), held(again, b"b", None), plain(b"999"), later).unwrap()));
        let meanwhile = Meanwhile { store, happens: Mutex::new(Some(happens)) };
        let slow = Vault { store: Arc::new(meanwhile), random: Arc::clone(&one.random), home: Arc::clone(&one.home) };
        assert!(slow.put(&mine, held("333", b"c", None), plain(b"888"), later).unwrap());
        assert_eq!(one.by_value(&mine, "digits", plain(b"999"), later).unwrap().unwrap().token, again);
        assert_eq!(*one.by_token(&mine, "digits", again, later).unwrap().unwrap().value, b"b");
        assert_eq!(one.by_value(&mine, "digits", plain(b"888"), later).unwrap().unwrap().token, "333");
    }
}

#[test]
fn what_nobody_can_open_gives_its_place_away() {
    let (vault, _) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"a", None), plain(b"999"), NOW).unwrap());
    let lost = vault.by_value(&mine, "digits", plain(b"999"), NOW).unwrap().unwrap();
    vault.forget(&mine, &lost).unwrap();
    assert!(vault.by_token(&mine, "digits", "111", NOW).unwrap().is_none());
    assert!(vault.put(&mine, held("111", b"b", None), plain(b"999"), NOW).unwrap());
    // What was forgotten before is not what is there now.
    vault.forget(&mine, &lost).unwrap();
    assert_eq!(*vault.by_value(&mine, "digits", plain(b"999"), NOW).unwrap().unwrap().value, b"b");
}

#[test]
fn a_value_does_not_lead_to_a_token_that_was_given_to_another_one_meanwhile() {
    let (vault, _) = vault();
    let (mine, later) = (shelf(1), Timestamp(2_000));
    assert!(vault.put(&mine, held("111", b"a", Some(2_000)), plain(b"999"), NOW).unwrap());
    // So many that are over before it that it is not among those that are cleared away.
    for token in ["201", "202", "203", "204", "205"] {
        assert!(vault.put(&mine, held(token, b"c", Some(1_500)), plain(token.as_bytes()), NOW).unwrap());
    }
    assert!(vault.put(&mine, held("111", b"b", None), plain(b"888"), later).unwrap());
    assert!(vault.by_value(&mine, "digits", plain(b"999"), later).unwrap().is_none());
    assert!(vault.put(&mine, held("222", b"a", None), plain(b"999"), later).unwrap());
    assert_eq!(vault.by_value(&mine, "digits", plain(b"999"), later).unwrap().unwrap().token, "222");
    assert_eq!(vault.by_value(&mine, "digits", plain(b"888"), later).unwrap().unwrap().token, "111");
}

fn namespace() -> Namespace {
    Namespace {
        id: NamespaceId([7; 16]),
        tenant: "default".into(),
        name: "flat".into(),
        ordinal: 0,
        incarnation: 1,
        policy_required: false,
        settings: crate::settings::Settings::default(),
        backend: crate::tenant::BackendId::soft(),
    }
}

/// Everything of `from` in another home; what sealed the values `is_there`, or was destroyed.
fn carried(from: &(Vault, Arc<MemoryStore>), is_there: bool) -> (Vault, Arc<MemoryStore>) {
    let random = Arc::new(Counter(99.into()));
    let home = Arc::new(DomainKey::ephemeral(Suite::Nist, random.as_ref()).unwrap());
    let store = Arc::new(MemoryStore::default());
    let to = Vault::new(Arc::clone(&store) as _, random, home);
    for (path, entry) in from.1.scan_all(&Vault::belongings(&namespace())).unwrap() {
        let Some(item) = from.0.pack(&path, &entry.value, |_| Ok(is_there)).unwrap() else { continue };
        let ops = to.unpack(&namespace(), &item).unwrap();
        assert!(matches!(store.commit(&Batch { ops, ..Batch::default() }).unwrap(), Commit::Committed(_)));
    }
    (to, store)
}

#[test]
fn in_another_home_a_value_has_the_token_that_it_had_where_its_mark_came_along() {
    let domain = DomainKey::ephemeral(Suite::Nist, &Counter(5.into())).unwrap();
    let mine = shelf(1);
    let mark = |value: &[u8]| Vault::mark(&domain, &mine, "digits", value).unwrap();
    let one = vault();
    let (nines, eights) = (mark(b"999"), mark(b"888"));
    let marked = Sought { value: b"999", mark: &nines };
    assert!(one.0.put(&mine, held("111", b"a", Some(5_000)), marked, NOW).unwrap());
    assert!(one.0.put(&mine, held("222", b"b", None), plain(b"888"), NOW).unwrap());
    assert!(!one.1.scan_all(VAULT).unwrap().iter().any(|(path, _)| path.as_str().contains("/mark/")));
    let (other, store) = carried(&one, true);
    assert_eq!(other.by_value(&mine, "digits", marked, NOW).unwrap().unwrap().token, "111");
    assert!(other.by_value(&mine, "digits", plain(b"999"), NOW).unwrap().is_none());
    assert!(other.by_value(&mine, "digits", Sought { value: b"888", mark: &eights }, NOW).unwrap().is_none());
    // What was made before there were marks gets one when its value comes by, and is the same token there, too.
    let unmarked = one.0.by_value(&mine, "digits", plain(b"888"), NOW).unwrap().unwrap();
    one.0.remark(&mine, &unmarked, &eights).unwrap();
    let (again, _) = carried(&one, true);
    let late = Sought { value: b"888", mark: &eights };
    assert_eq!(again.by_value(&mine, "digits", late, NOW).unwrap().unwrap().token, "222");
    // And on from there.
    let (third, _) = carried(&(other, Arc::clone(&store)), true);
    assert_eq!(third.by_value(&mine, "digits", marked, NOW).unwrap().unwrap().token, "111");
    // With the key goes what its values could be told by.
    let (gone, left) = carried(&one, false);
    assert!(gone.by_value(&mine, "digits", marked, NOW).unwrap().is_none());
    assert_eq!(*gone.by_token(&mine, "digits", "111", NOW).unwrap().unwrap().value, b"a");
    assert!(!left.scan_all(VAULT).unwrap().iter().any(|(path, _)| path.as_str().contains("/mark/")));
}

#[test]
fn a_mark_goes_with_its_token_and_leads_to_no_other_one() {
    let mine = shelf(1);
    let mark = "ab".repeat(HASH_LEN);
    let marked = Sought { value: b"999", mark: &mark };
    let one = vault();
    assert!(one.0.put(&mine, held("111", b"a", Some(2_000)), marked, NOW).unwrap());
    // The token is another value's by the time that the first one is looked for.
    let (other, store) = carried(&one, true);
    let later = Timestamp(2_000);
    assert!(other.put(&mine, held("111", b"b", None), plain(b"888"), later).unwrap());
    assert!(other.by_value(&mine, "digits", marked, later).unwrap().is_none());
    assert!(!store.scan_all(VAULT).unwrap().iter().any(|(path, _)| path.as_str().contains("/mark/")));
    assert!(other.put(&mine, held("333", b"a", None), marked, later).unwrap());
    assert_eq!(other.by_value(&mine, "digits", marked, later).unwrap().unwrap().token, "333");
    // What nobody can open any more.
    let (other, store) = carried(&one, true);
    let lost = other.by_value(&mine, "digits", marked, NOW).unwrap().unwrap();
    other.forget(&mine, &lost).unwrap();
    assert!(!store.scan_all(VAULT).unwrap().iter().any(|(path, _)| path.as_str().contains("/mark/")));
    assert!(other.put(&mine, held("444", b"c", None), marked, NOW).unwrap());
}

#[test]
fn a_mark_of_an_archive_is_a_mark_or_nothing_is_taken() {
    let one = vault();
    for mark in ["../end", "12", &"zz".repeat(HASH_LEN), &"ab".repeat(HASH_LEN + 1)] {
        let mut token = held("111", b"a", None);
        token.mark = mark.to_owned();
        let place = format!("{}token/{}", shelf(1).root, "00".repeat(HASH_LEN));
        let item = Item::of(ItemKind::Vaulted, &place, &token).unwrap();
        let refused = one.0.unpack(&namespace(), &item).unwrap_err();
        assert_eq!(refused.kind(), crate::error::ErrorKind::Damaged, "{mark}");
    }
}
