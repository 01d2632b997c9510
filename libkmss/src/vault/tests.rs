#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::store::{Change, MemoryStore};
use crate::suite::Suite;
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

const NOW: Timestamp = Timestamp(1_000);

#[test]
fn a_token_and_its_value_find_each_other_on_their_own_shelf() {
    let (vault, store) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"sealed", None), b"999", NOW).unwrap());
    assert_eq!(*vault.by_token(&mine, "digits", "111", NOW).unwrap().unwrap().value, b"sealed");
    assert_eq!(vault.by_value(&mine, "digits", b"999", NOW).unwrap().unwrap().token, "111");
    assert!(vault.by_token(&shelf(2), "digits", "111", NOW).unwrap().is_none());
    assert!(vault.by_token(&mine, "hex", "111", NOW).unwrap().is_none());
    assert!(vault.by_value(&mine, "digits", b"111", NOW).unwrap().is_none());
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
    assert!(vault.put(&mine, held("111", b"a", None), b"999", NOW).unwrap());
    assert!(!vault.put(&mine, held("111", b"b", None), b"888", NOW).unwrap());
    assert!(!vault.put(&mine, held("222", b"a", None), b"999", NOW).unwrap());
    assert!(vault.by_token(&mine, "digits", "222", NOW).unwrap().is_none());
    assert!(vault.put(&shelf(2), held("111", b"b", None), b"888", NOW).unwrap());
}

#[test]
fn what_expired_stands_for_nothing_and_gives_its_place_away() {
    let (vault, store) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"a", Some(2_000)), b"999", NOW).unwrap());
    let later = Timestamp(2_000);
    assert!(vault.by_token(&mine, "digits", "111", NOW).unwrap().is_some());
    assert!(vault.by_token(&mine, "digits", "111", later).unwrap().is_none());
    assert!(vault.by_value(&mine, "digits", b"999", later).unwrap().is_none());
    // The same value gets another token, the same token another value; what is over is cleared away.
    assert!(vault.put(&mine, held("222", b"a", Some(9_000)), b"999", later).unwrap());
    assert!(vault.put(&mine, held("111", b"b", None), b"888", later).unwrap());
    assert_eq!(vault.by_value(&mine, "digits", b"999", later).unwrap().unwrap().token, "222");
    assert_eq!(*vault.by_token(&mine, "digits", "111", later).unwrap().unwrap().value, b"b");
    let left = store.scan_all(VAULT).unwrap();
    assert_eq!(left.len(), 5, "two tokens, two values, one end");
}

#[test]
fn a_record_that_was_moved_is_found_out() {
    let (vault, store) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"a", None), b"999", NOW).unwrap());
    assert!(vault.put(&mine, held("222", b"b", None), b"888", NOW).unwrap());
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
        assert!(one.put(&mine, held("111", b"a", Some(2_000)), b"999", NOW).unwrap());
        let happens: Box<dyn FnOnce() + Send> =
            Box::new(move || assert!(other.put(&shelf(1), held(again, b"b", None), b"999", later).unwrap()));
        let meanwhile = Meanwhile { store, happens: Mutex::new(Some(happens)) };
        let slow = Vault { store: Arc::new(meanwhile), random: Arc::clone(&one.random), home: Arc::clone(&one.home) };
        assert!(slow.put(&mine, held("333", b"c", None), b"888", later).unwrap());
        assert_eq!(one.by_value(&mine, "digits", b"999", later).unwrap().unwrap().token, again);
        assert_eq!(*one.by_token(&mine, "digits", again, later).unwrap().unwrap().value, b"b");
        assert_eq!(one.by_value(&mine, "digits", b"888", later).unwrap().unwrap().token, "333");
    }
}

#[test]
fn what_nobody_can_open_gives_its_place_away() {
    let (vault, _) = vault();
    let mine = shelf(1);
    assert!(vault.put(&mine, held("111", b"a", None), b"999", NOW).unwrap());
    let lost = vault.by_value(&mine, "digits", b"999", NOW).unwrap().unwrap();
    vault.forget(&mine, &lost).unwrap();
    assert!(vault.by_token(&mine, "digits", "111", NOW).unwrap().is_none());
    assert!(vault.put(&mine, held("111", b"b", None), b"999", NOW).unwrap());
    // What was forgotten before is not what is there now.
    vault.forget(&mine, &lost).unwrap();
    assert_eq!(*vault.by_value(&mine, "digits", b"999", NOW).unwrap().unwrap().value, b"b");
}
