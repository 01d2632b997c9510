//! Names and starts of names, each below the longest start that it has.

use std::collections::{BTreeSet, HashMap};

use super::data::{Data, hash, scatter};
use crate::policy::dsl::ast::Pattern;

/// Texts and starts of texts. Whoever knows the deepest entry that a text matches finds all others above it.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) entries: Vec<Entry>,
    places: HashMap<(bool, Vec<u8>), usize>,
    /// Lengths that starts have.
    lengths: BTreeSet<usize>,
}

pub(super) struct Entry {
    text: Vec<u8>,
    is_start: bool,
    pub(super) above: Option<usize>,
}

impl Entry {
    /// Whether it matches everything.
    pub(super) fn is_empty_start(&self) -> bool {
        self.is_start && self.text.is_empty()
    }
}

/// What the evaluator is told of a tree: a record at this address.
#[derive(Clone, Copy)]
pub(super) struct Root(pub(super) u32);

impl Tree {
    /// The place of a pattern whose text is behind `before`.
    pub(super) fn add(&mut self, before: &str, pattern: &Pattern) -> usize {
        let (is_start, text) = match pattern {
            Pattern::Exact(text) => (false, text),
            Pattern::Prefix(text) => (true, text),
        };
        let text: Vec<u8> = [before.as_bytes(), text.as_bytes()].concat();
        let next = self.entries.len();
        let place = *self.places.entry((is_start, text.clone())).or_insert(next);
        if place == next {
            if is_start {
                self.lengths.insert(text.len());
            }
            self.entries.push(Entry { text, is_start, above: None });
        }
        place
    }

    /// Puts every entry below the longest start that it has.
    pub(super) fn grow(&mut self) {
        for place in 0..self.entries.len() {
            let Some(entry) = self.entries.get(place) else { continue };
            let limit = entry.text.len() + usize::from(!entry.is_start);
            let above = self.lengths.range(..limit).rev().find_map(|length| {
                let start = entry.text.get(..*length)?;
                self.places.get(&(true, start.to_vec())).copied()
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
        let hashed = self.entries.iter().zip(nodes).map(|(entry, node)| (hash(&entry.text, entry.is_start), *node));
        let table = scatter(hashed.collect());
        let slots = data.align(8);
        let mask = u32::try_from(table.len()).unwrap_or(1) - 1;
        for slot in table {
            let (hash, node) = slot.unwrap_or((0, 0));
            data.u32(hash);
            data.u32(node);
        }
        let lengths = data.here();
        // What matches the empty start only is `otherwise`.
        let starts = || self.lengths.iter().rev().filter(|length| **length > 0);
        for length in starts() {
            data.u32(u32::try_from(*length).unwrap_or(u32::MAX));
        }
        let root = data.align(8);
        data.u32(slots);
        data.u32(mask);
        data.u32(lengths);
        data.u32(u32::try_from(starts().count()).unwrap_or(0));
        data.u32(otherwise);
        Root(root)
    }

    /// Writes the two words that each node begins with.
    pub(super) fn write_text(&self, data: &mut Data, place: usize, texts: &[u32]) {
        let Some(entry) = self.entries.get(place) else { return };
        data.u32(texts.get(place).copied().unwrap_or_default());
        data.u32(length_and_kind(entry.text.len(), entry.is_start));
    }

    /// Writes the texts.
    pub(super) fn write_texts(&self, data: &mut Data) -> Vec<u32> {
        self.entries.iter().map(|entry| data.text(&entry.text)).collect()
    }
}

/// A length, with the highest bit for starts of texts.
pub(super) fn length_and_kind(length: usize, is_start: bool) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX >> 1) | u32::from(is_start) << 31
}
