//! The right edge of a tree that grows: all that is needed to append, and to know the root.

use crate::hash::{Hash, TreeHash};

/// The roots of the largest complete subtrees that the leaves so far make, the largest first: one for each bit of the
/// number of leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    hash: TreeHash,
    size: u64,
    peaks: Vec<Hash>,
}

impl Edge {
    /// That of a tree without leaves.
    #[must_use]
    pub const fn new(hash: TreeHash) -> Self {
        Self { hash, size: 0, peaks: Vec::new() }
    }

    /// That of a tree of `size` leaves, from its peaks; `None` where there are more or fewer of them than such a tree has.
    #[must_use]
    pub fn from_peaks(hash: TreeHash, size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { hash, size, peaks })
    }

    /// Leaves of the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf, of which `leaf` is the hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(leaf, 0);
    }

    /// Appends 2^`level` leaves that are a complete subtree with this root. The tree's size must be a multiple of them; where
    /// it is not, nothing happens and the answer is `false`.
    pub fn push_subtree(&mut self, root: Hash, level: u32) -> bool {
        let Some(leaves) = 1_u64.checked_shl(level) else { return false };
        let Some(size) = self.size.checked_add(leaves) else { return false };
        if !self.size.is_multiple_of(leaves) {
            return false;
        }
        let mut joined = root;
        for _ in 0..(self.size >> level).trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                joined = self.hash.node(&left, &joined);
            }
        }
        self.peaks.push(joined);
        self.size = size;
        true
    }

    /// The root of the tree (RFC 6962, 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let smallest_first = self.peaks.iter().rev().copied();
        smallest_first.reduce(|right, left| self.hash.node(&left, &right)).unwrap_or_else(|| self.hash.empty())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// MTH as RFC 6962, 2.1 defines it.
    pub(crate) fn mth(hash: TreeHash, leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash.empty(),
            [one] => *one,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                hash.node(&mth(hash, &leaves[..split]), &mth(hash, &leaves[split..]))
            }
        }
    }

    pub(crate) fn leaves(hash: TreeHash, count: usize) -> Vec<Hash> {
        (0..count).map(|n| hash.leaf(&n.to_be_bytes())).collect()
    }

    #[test]
    fn the_root_is_the_one_of_the_standard_at_every_size() {
        for hash in [TreeHash::Sha256, TreeHash::Sm3] {
            let all = leaves(hash, 300);
            let mut edge = Edge::new(hash);
            for size in 0..=all.len() {
                assert_eq!(edge.root(), mth(hash, &all[..size]), "{size}");
                let again = Edge::from_peaks(hash, edge.size(), edge.peaks().to_vec()).unwrap();
                assert_eq!(again, edge);
                if let Some(next) = all.get(size) {
                    edge.push(*next);
                }
            }
        }
    }

    #[test]
    fn subtrees_are_appended_where_they_fit() {
        let hash = TreeHash::Sha256;
        let all = leaves(hash, 24);
        let mut edge = Edge::new(hash);
        assert!(edge.push_subtree(mth(hash, &all[..16]), 4));
        assert!(edge.push_subtree(mth(hash, &all[16..20]), 2));
        assert!(!edge.push_subtree(Hash::default(), 3));
        assert!(!edge.push_subtree(Hash::default(), 64));
        assert!(edge.push_subtree(mth(hash, &all[20..]), 2));
        assert_eq!((edge.size(), edge.root()), (24, mth(hash, &all)));
        assert_eq!(Edge::from_peaks(hash, 3, vec![Hash::default()]), None);
    }

    #[test]
    fn roots_are_those_of_another_implementation() {
        let mut stored = Vec::new();
        let mut edge = Edge::new(TreeHash::Sha256);
        for n in 0..200_u64 {
            let data = n.to_le_bytes();
            let more = tlog_tiles::stored_hashes(n, &data, &Stored(&stored)).unwrap();
            stored.extend(more);
            edge.push(TreeHash::Sha256.leaf(&data));
            assert_eq!(edge.root().0, tlog_tiles::tree_hash(n + 1, &Stored(&stored)).unwrap().0);
        }
    }

    /// Hashes as the other implementation stores them.
    pub(crate) struct Stored<'a>(pub(crate) &'a [tlog_tiles::Hash]);

    impl tlog_tiles::HashReader for Stored<'_> {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
            Ok(indexes.iter().map(|at| self.0[usize::try_from(*at).unwrap()]).collect())
        }
    }
}
