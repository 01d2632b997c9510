#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::store::MemoryStore;
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
    Held::new("digits".to_owned(), token.to_owned(), value.to_vec(), expires.map(Timestamp))
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
