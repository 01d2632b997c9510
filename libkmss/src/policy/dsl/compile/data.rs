//! The memory of a compiled policy: the host's buffer, and behind it tables that never change.

use std::collections::HashMap;

use crate::policy::abi::BUFFER;

/// Where the host writes requests.
pub(super) const REQUEST: u32 = 64;

/// Where the tables begin. Between the two lies room for reading eight bytes at a time.
pub(super) const BASE: u32 = REQUEST + BUFFER as u32 + 64;

/// Tables under construction.
#[derive(Default)]
pub(super) struct Data {
    bytes: Vec<u8>,
    texts: HashMap<Vec<u8>, u32>,
}

impl Data {
    /// The address of what comes next.
    pub(super) fn here(&self) -> u32 {
        BASE.saturating_add(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX))
    }

    /// The same, moved up to a multiple of `to`.
    pub(super) fn align(&mut self, to: usize) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self.here()
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The address of these bytes, which equal ones share. Eight more may be read behind them.
    pub(super) fn text(&mut self, text: &[u8]) -> u32 {
        if let Some(at) = self.texts.get(text) {
            return *at;
        }
        let at = self.here();
        self.raw(text);
        self.texts.insert(text.to_vec(), at);
        at
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 16]);
        self.bytes
    }
}

/// Odd, and its bits look like chance: the golden ratio.
pub(super) const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// The hash of a text, as the evaluator computes it, too; whole texts and starts of texts have different ones.
pub(super) fn hash(text: &[u8], is_start: bool) -> u32 {
    let mut hash = FACTOR.wrapping_add(u64::from(is_start));
    for chunk in text.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        hash ^= hash >> 32;
    }
    low(hash)
}

/// The hash of a pair, as the evaluator computes it, too.
pub(super) fn pair_hash(subject: u32, object: u32) -> u32 {
    let both = (u64::from(object) << 32 | u64::from(subject)).wrapping_mul(FACTOR);
    low(both >> 32)
}

/// The lower half.
pub(super) fn low(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default()
}

/// Places in an open hash table that two thirds fill at most; a power of two.
pub(super) fn slots(entries: usize) -> usize {
    (entries + entries / 2 + 1).next_power_of_two()
}

/// Puts entries with their hashes into a table with linear probing.
pub(super) fn scatter<T>(entries: Vec<(u32, T)>) -> Vec<Option<(u32, T)>> {
    let size = slots(entries.len());
    let mut table: Vec<Option<(u32, T)>> = std::iter::repeat_with(|| None).take(size).collect();
    for (hash, entry) in entries {
        let mut place = hash as usize & (size - 1);
        while table.get(place).is_some_and(Option::is_some) {
            place = (place + 1) & (size - 1);
        }
        if let Some(slot) = table.get_mut(place) {
            *slot = Some((hash, entry));
        }
    }
    table
}
