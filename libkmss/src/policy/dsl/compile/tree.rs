//! Names and starts of names, each below the longest start that it has.

use std::collections::BTreeSet;

use super::data::{Data, hash, slots};
use crate::policy::dsl::ast::Pattern;

/// Texts and starts of texts. Whoever knows the deepest entry that a text matches finds all others above it.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) entries: Vec<Entry>,
    /// All texts, one behind the other.
    texts: Vec<u8>,
    /// An open hash table with linear probing, as the evaluator will have it: numbers of entries, from 1.
    slots: Vec<usize>,
    /// Lengths that starts have.
    lengths: BTreeSet<usize>,
}

pub(super) struct Entry {
    hash: u32,
    from: usize,
    length: usize,
    is_start: bool,
    pub(super) above: Option<usize>,
}

impl Entry {
    /// Whether it matches everything.
    pub(super) fn is_empty_start(&self) -> bool {
        self.is_start && self.length == 0
    }
}

/// What the evaluator is told of a tree.
pub(super) struct Root {
    /// Where a record of all this stands, for code that does not know it beforehand.
    pub(super) address: u32,
    pub(super) slots: u32,
    pub(super) mask: u32,
    /// Whether it has starts of texts besides the empty one.
    pub(super) has_starts: bool,
    /// The node of what matches nothing.
    pub(super) otherwise: u32,
}

impl Tree {
    /// The place of a pattern whose text is behind `before`.
    pub(super) fn add(&mut self, before: &str, pattern: &Pattern) -> usize {
        let (is_start, text) = match pattern {
            Pattern::Exact(text) => (false, text),
            Pattern::Prefix(text) => (true, text),
        };
        // The text stays where it is put if it is new.
        let from = self.texts.len();
        self.texts.extend_from_slice(before.as_bytes());
        self.texts.extend_from_slice(text.as_bytes());
        let text = self.texts.get(from..).unwrap_or_default();
        let (hash, length) = (hash(text, is_start), text.len());
        if let Some(known) = self.find(hash, text, is_start) {
            self.texts.truncate(from);
            return known;
        }
        if is_start {
            self.lengths.insert(length);
        }
        self.entries.push(Entry { hash, from, length, is_start, above: None });
        if slots(self.entries.len()) == self.slots.len() {
            put(&mut self.slots, hash, self.entries.len());
        } else {
            self.slots = vec![0; slots(self.entries.len())];
            for (number, entry) in (1..).zip(&self.entries) {
                put(&mut self.slots, entry.hash, number);
            }
        }
        self.entries.len() - 1
    }

    fn find(&self, hash: u32, text: &[u8], is_start: bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash as usize & mask;
        loop {
            let place = self.slots.get(slot)?.checked_sub(1)?;
            let entry = self.entries.get(place)?;
            if entry.hash == hash && entry.is_start == is_start && self.text(entry) == text {
                return Some(place);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn text(&self, entry: &Entry) -> &[u8] {
        self.texts.get(entry.from..).and_then(|texts| texts.get(..entry.length)).unwrap_or_default()
    }

    /// Puts every entry below the longest start that it has.
    pub(super) fn grow(&mut self) {
        for place in 0..self.entries.len() {
            let Some(entry) = self.entries.get(place) else { continue };
            let text = self.text(entry);
            let limit = text.len() + usize::from(!entry.is_start);
            let above = self.lengths.range(..limit).rev().find_map(|length| {
                let start = text.get(..*length)?;
                self.find(hash(start, true), start, true)
            });
            if let Some(entry) = self.entries.get_mut(place) {
                entry.above = above;
            }
        }
    }

    /// An entry and all above it.
    pub(super) fn chain(&self, place: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(place), |place| self.entries.get(*place).and_then(|entry| entry.above))
    }

    /// Writes the table by which the evaluator finds the deepest entry, given the address of each entry's node. A node
    /// begins with the address and length of its text, the highest bit of which says that it is a start; `otherwise` is the
    /// node of what matches nothing.
    pub(super) fn write(&self, data: &mut Data, nodes: &[u32], otherwise: u32) -> Root {
        let slots = data.align(8);
        for number in &self.slots {
            let place = number.checked_sub(1);
            let entry = place.and_then(|place| self.entries.get(place).zip(nodes.get(place)));
            let (hash, node) = entry.map_or((0, 0), |(entry, node)| (entry.hash, *node));
            data.u32(hash);
            data.u32(node);
        }
        if self.slots.is_empty() {
            data.u64(0);
        }
        let mask = u32::try_from(self.slots.len()).unwrap_or(1).saturating_sub(1);
        let lengths = data.here();
        // What matches the empty start only is `otherwise`.
        let starts = || self.lengths.iter().rev().filter(|length| **length > 0);
        for length in starts() {
            data.u32(u32::try_from(*length).unwrap_or(u32::MAX));
        }
        let count = u32::try_from(starts().count()).unwrap_or(0);
        let address = data.align(8);
        for word in [slots, mask, lengths, count, otherwise] {
            data.u32(word);
        }
        Root { address, slots, mask, has_starts: count > 0, otherwise }
    }

    /// Writes a node: the address and length of its text, `rest`, and right behind it the text, so that one look into the
    /// memory brings both.
    pub(super) fn write_node(&self, data: &mut Data, entry: &Entry, rest: &[u32]) -> u32 {
        let at = data.align(8);
        data.u32(at + node_size(rest));
        data.u32(length_and_kind(entry.length, entry.is_start));
        for word in rest {
            data.u32(*word);
        }
        data.raw(self.text(entry));
        at
    }

    /// Where nodes with so many words besides those of their text will stand, if the first is at `first`.
    pub(super) fn nodes(&self, first: u32, rest: &[u32]) -> Vec<u32> {
        let size = |entry: &Entry| (node_size(rest) as usize).saturating_add(entry.length).next_multiple_of(8);
        let next = |at: &mut u32, entry: &Entry| {
            let end = at.saturating_add(u32::try_from(size(entry)).unwrap_or(u32::MAX));
            Some(std::mem::replace(at, end))
        };
        self.entries.iter().scan(first, next).collect()
    }
}

/// Bytes of a node without its text.
fn node_size(rest: &[u32]) -> u32 {
    8 + u32::try_from(size_of_val(rest)).unwrap_or(u32::MAX)
}

fn put(slots: &mut [usize], hash: u32, number: usize) {
    let mask = slots.len().saturating_sub(1);
    let mut slot = hash as usize & mask;
    while slots.get(slot).is_some_and(|taken| *taken != 0) {
        slot = (slot + 1) & mask;
    }
    if let Some(slot) = slots.get_mut(slot) {
        *slot = number;
    }
}

/// A length, with the highest bit for starts of texts.
pub(super) fn length_and_kind(length: usize, is_start: bool) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX >> 1) | u32::from(is_start) << 31
}
