//! Counters by key, as many as memory allows: a log may hold any number of names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most rows of a table.
const LIMIT: usize = 10_000;

/// Values by key; what comes when there are too many keys is only counted.
#[derive(Debug)]
pub(crate) struct Rows<K, V> {
    rows: BTreeMap<K, V>,
    /// Records whose rows were left out.
    pub left_out: u64,
}

/// A table of the report.
#[derive(Debug, Serialize, Deserialize)]
pub struct Table<K, V> {
    /// Its rows.
    pub rows: Vec<Row<K, V>>,
    /// Records that would have needed more rows than a report has.
    pub records_left_out: u64,
}

/// A row of the report: what it is about, and what was counted.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row<K, V> {
    /// What it is about.
    #[serde(flatten)]
    pub key: K,
    /// What was counted.
    #[serde(flatten)]
    pub value: V,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), left_out: 0 }
    }
}

impl<K: Ord, V: Default> Rows<K, V> {
    /// Changes the row of `key`, which may be new.
    pub(crate) fn at(&mut self, key: K, change: impl FnOnce(&mut V)) {
        if self.rows.len() < LIMIT || self.rows.contains_key(&key) {
            change(self.rows.entry(key).or_default());
        } else {
            self.left_out += 1;
        }
    }

    /// The rows, those with the highest `rank` first, and in the order of their keys where it is equal.
    pub(crate) fn by(self, rank: impl Fn(&V) -> u64) -> Table<K, V> {
        let mut rows: Vec<Row<K, V>> = self.rows.into_iter().map(|(key, value)| Row { key, value }).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(rank(&row.value)));
        Table { rows, records_left_out: self.left_out }
    }

    /// The rows in the order of their keys.
    pub(crate) fn in_order(self) -> Table<K, V> {
        self.by(|_| 0)
    }
}

impl<K, V> Table<K, V> {
    /// The sum of what `count` says of each row.
    pub fn sum(&self, count: impl Fn(&V) -> u64) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(count(&row.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stays_bounded_whatever_a_log_holds() {
        let mut rows = Rows::<usize, u64>::default();
        for key in 0..LIMIT + 3 {
            rows.at(key, |count| *count += 1);
        }
        rows.at(0, |count| *count += 1);
        let table = rows.by(|count| *count);
        assert_eq!((table.rows.len(), table.records_left_out), (LIMIT, 3));
        assert_eq!(table.rows.first().map(|row| (row.key, row.value)), Some((0, 2)));
        assert_eq!(table.sum(|count| *count), LIMIT as u64 + 1);
    }
}
