//! A bounded cache in shards. What is used stays, roughly; what is not goes.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::os::{Lock, Rank, epoch};

const SHARDS: usize = 16;

/// Hashes identifiers that we drew at random ourselves, with a secret of the process: quickly, and not for bytes that
/// somebody else chooses.
#[derive(Clone)]
pub(super) struct IdState(u64);

impl Default for IdState {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

/// See [`IdState`].
pub(super) struct IdHasher(u64);

impl IdHasher {
    const fn mix(&mut self, word: u64) {
        let product = (self.0 ^ word) as u128 * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    // Lengths of arrays tell nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map with at most about `2 × capacity` entries. A forked child starts with an empty one: what is cached carries
/// things that belong to the process which made them.
pub(super) struct Cache<K, V, S = RandomState> {
    shards: Vec<Lock<Shard<K, V, S>>>,
    hasher: S,
    /// Entries of one generation of one shard.
    capacity: usize,
}

/// Two generations: an entry that was used since the last turn is young; those who were not go at the next.
struct Shard<K, V, S> {
    epoch: u32,
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
}

impl<K: Hash + Eq + Send, V: Clone + Send, S: BuildHasher + Default + Send> Cache<K, V, S> {
    pub(super) fn new(capacity: usize) -> Self {
        let empty = || Shard { epoch: epoch(), young: HashMap::default(), old: HashMap::default() };
        let shards = (0..SHARDS).map(|_| Lock::new(Rank::Cache, empty())).collect();
        Self { shards, hasher: S::default(), capacity: capacity.div_ceil(SHARDS) }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.with(key, |shard, garbage| {
            if let Some(value) = shard.young.get(key) {
                return Some(value.clone());
            }
            let (key, value) = shard.old.remove_entry(key)?;
            shard.insert(key, value.clone(), self.capacity, garbage);
            Some(value)
        })
    }

    pub(super) fn put(&self, key: K, value: V) {
        let shard = self.shard(&key);
        let mut garbage = Vec::new();
        let mut guard = shard.lock();
        guard.renew(&mut garbage);
        let (replaced, key) = match guard.old.remove_entry(&key) {
            Some((key, value)) => (Some(value), key),
            None => (None, key),
        };
        guard.insert(key, value, self.capacity, &mut garbage);
        drop(guard);
        drop((replaced, garbage));
    }

    pub(super) fn remove(&self, key: &K) {
        let removed = self.with(key, |shard, _| (shard.young.remove(key), shard.old.remove(key)));
        drop(removed);
    }

    /// Removes everything for which `keep` is false.
    pub(super) fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        for shard in &self.shards {
            let mut garbage = Vec::new();
            let mut guard = shard.lock();
            guard.renew(&mut garbage);
            let shard = &mut *guard;
            let removed: Vec<(K, V)> =
                shard.young.extract_if(|k, v| !keep(k, v)).chain(shard.old.extract_if(|k, v| !keep(k, v))).collect();
            drop(guard);
            drop((removed, garbage));
        }
    }

    fn shard(&self, key: &K) -> &Lock<Shard<K, V, S>> {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits choose the shard")]
        let at = self.hasher.hash_one(key) as usize % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "there are SHARDS shards")]
        &self.shards[at]
    }

    /// Runs `f` on the shard of `key`. What goes is dropped after the lock: a parsed key may hold locks of its own.
    fn with<R>(&self, key: &K, f: impl FnOnce(&mut Shard<K, V, S>, &mut Vec<HashMap<K, V, S>>) -> R) -> R {
        let mut garbage = Vec::new();
        let mut guard = self.shard(key).lock();
        guard.renew(&mut garbage);
        let result = f(&mut guard, &mut garbage);
        drop(guard);
        drop(garbage);
        result
    }
}

impl<K: Hash + Eq, V, S: BuildHasher + Default> Shard<K, V, S> {
    /// Starts anew in a forked child.
    fn renew(&mut self, garbage: &mut Vec<HashMap<K, V, S>>) {
        if self.epoch != epoch() {
            self.epoch = epoch();
            garbage.extend([std::mem::take(&mut self.young), std::mem::take(&mut self.old)]);
        }
    }

    fn insert(&mut self, key: K, value: V, capacity: usize, garbage: &mut Vec<HashMap<K, V, S>>) {
        if self.young.len() >= capacity {
            let young = std::mem::take(&mut self.young);
            garbage.push(std::mem::replace(&mut self.old, young));
        }
        if let Some((key, value)) = self.young.remove_entry(&key) {
            garbage.push(HashMap::from_iter([(key, value)]));
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::testing::{ended_well, fork};

    #[test]
    fn a_forked_child_starts_with_an_empty_cache_and_its_parent_keeps_what_it_had() {
        let cache: Cache<_, _> = Cache::new(16);
        cache.put("a", 1);
        let child = fork(|| {
            let empty = cache.get(&"a").is_none();
            cache.put("a", 2);
            empty && cache.get(&"a") == Some(2)
        });
        assert!(ended_well(child));
        assert_eq!(cache.get(&"a"), Some(1));
    }

    #[test]
    fn random_identifiers_are_spread_over_all_shards() {
        let state = IdState::default();
        let mut hit = [0_u32; SHARDS];
        for i in 0..1600_u32 {
            let id = crate::tenant::ObjectId(std::array::from_fn(|at| i.to_le_bytes().get(at).copied().unwrap_or(7)));
            if let Some(count) = hit.get_mut(state.hash_one(id) as usize % SHARDS) {
                *count += 1;
            }
        }
        assert!(hit.iter().all(|count| (40..200).contains(count)), "{hit:?}");
    }

    #[test]
    fn a_cache_is_bounded_and_keeps_what_is_used() {
        let cache: Cache<_, _> = Cache::new(160);
        for i in 0..10_000_u32 {
            cache.put(i, i);
            let _ = cache.get(&7);
        }
        assert_eq!(cache.get(&7), Some(7));
        let kept = (0..10_000).filter(|i| cache.get(i).is_some()).count();
        assert!((160..=340).contains(&kept), "{kept}");
    }

    #[test]
    fn what_was_put_last_is_found_and_what_was_removed_is_not() {
        let cache: Cache<_, _> = Cache::new(16);
        cache.put("a", 1);
        cache.put("a", 2);
        cache.put("b", 3);
        assert_eq!(cache.get(&"a"), Some(2));
        cache.remove(&"a");
        assert_eq!(cache.get(&"a"), None);
        cache.retain(|_, v| *v != 3);
        assert_eq!(cache.get(&"b"), None);
    }
}
