//! Paths through a tree: that a leaf is in it (RFC 6962, 2.1.1), and that a smaller tree is its beginning (2.1.2).
//!
//! Making them needs the roots of complete subtrees, which [`Nodes`] gives; checking them needs nothing.

use crate::error::ProofError;
use crate::hash::{Hash, TreeHash};

/// Most hashes of a path: no tree of 64-bit numbers needs more.
pub const MAX_PATH: usize = 64;

/// Gives the roots of complete subtrees.
pub trait Nodes {
    /// Why one cannot be had.
    type Error;

    /// The root of the subtree over the leaves `index`·2^`level` to (`index`+1)·2^`level`, all of which exist.
    ///
    /// # Errors
    /// It cannot be had.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// MTH of the leaves `from` to `to`, where `from` is a multiple of the largest power of two below their number.
fn subtree<N: Nodes>(hash: TreeHash, nodes: &mut N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let mut found: Option<Hash> = None;
    let mut end = to;
    // The complete subtrees from the right: each is joined to what stands right of it.
    while end > from {
        let level = (end - from).trailing_zeros().min(end.trailing_zeros());
        end -= 1_u64 << level;
        let left = nodes.node(level, end >> level)?;
        found = Some(found.map_or(left, |right| hash.node(&left, &right)));
    }
    Ok(found.unwrap_or_else(|| hash.empty()))
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// A subtree cannot be had.
pub fn root<N: Nodes>(hash: TreeHash, nodes: &mut N, size: u64) -> Result<Hash, N::Error> {
    subtree(hash, nodes, 0, size)
}

/// The largest power of two below `n`, which is at least 2.
const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The path of leaf `index` in the tree of the first `size` leaves, from its sibling up. `index` must be below `size`; where
/// it is not, the path is empty.
///
/// # Errors
/// A subtree cannot be had.
pub fn inclusion<N: Nodes>(hash: TreeHash, nodes: &mut N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to) = (0, size);
    let mut siblings = Vec::new();
    while index < size && to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            siblings.push((middle, to));
            to = middle;
        } else {
            siblings.push((from, middle));
            from = middle;
        }
    }
    siblings.into_iter().rev().map(|(from, to)| subtree(hash, nodes, from, to)).collect()
}

/// Checks that `leaf` is number `index` of the tree with this `size` and `root`.
///
/// # Errors
/// [`ProofError::OutOfRange`], [`ProofError::WrongRoot`].
pub fn check_inclusion(
    hash: TreeHash,
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { index, size });
    }
    // RFC 9162, 2.1.3.2, which says how; the hashes are those of RFC 6962.
    let (mut at, mut last, mut found) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::WrongRoot);
        }
        if at & 1 == 1 || at == last {
            found = hash.node(sibling, &found);
            let up = if at & 1 == 1 { 0 } else { at.trailing_zeros().min(63) };
            (at, last) = (at >> up, last >> up);
        } else {
            found = hash.node(&found, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && found == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// The proof that the tree of the first `old` leaves is the beginning of that of the first `new`; empty where `old` is 0 or
/// `new`, or beyond it.
///
/// # Errors
/// A subtree cannot be had.
pub fn consistency<N: Nodes>(hash: TreeHash, nodes: &mut N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    if old == 0 || old >= new {
        return Ok(Vec::new());
    }
    let (mut from, mut to) = (0, new);
    let mut parts = Vec::new();
    // SUBPROOF(m, D[n], b): the part that holds the old tree's end, down to where it is a whole subtree.
    while to > old {
        let middle = from + split(to - from);
        if old <= middle {
            parts.push((middle, to));
            to = middle;
        } else {
            parts.push((from, middle));
            from = middle;
        }
    }
    if from > 0 {
        parts.push((from, to));
    }
    parts.into_iter().rev().map(|(from, to)| subtree(hash, nodes, from, to)).collect()
}

/// Checks that the tree with `old` leaves and this root is the beginning of the tree with `new` leaves and that root.
///
/// # Errors
/// [`ProofError::OutOfRange`] where `old` is beyond `new`, [`ProofError::WrongRoot`].
pub fn check_consistency(
    hash: TreeHash,
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    path: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange { index: old, size: new });
    }
    let same = |same: bool| if same && path.is_empty() { Ok(()) } else { Err(ProofError::WrongRoot) };
    if old == new {
        return same(old_root == new_root);
    }
    if old == 0 {
        return same(*old_root == hash.empty());
    }
    // RFC 9162, 2.1.4.2.
    let whole = old.is_power_of_two();
    let mut steps = path.iter();
    let first = if whole { Some(old_root) } else { steps.next() };
    let first = first.ok_or(ProofError::WrongRoot)?;
    let (mut at, mut last) = (old - 1, new - 1);
    let up = at.trailing_ones();
    (at, last) = (at >> up, last >> up);
    let (mut of_old, mut of_new) = (*first, *first);
    for step in steps {
        if last == 0 {
            return Err(ProofError::WrongRoot);
        }
        if at & 1 == 1 || at == last {
            (of_old, of_new) = (hash.node(step, &of_old), hash.node(step, &of_new));
            let up = if at & 1 == 1 { 0 } else { at.trailing_zeros().min(63) };
            (at, last) = (at >> up, last >> up);
        } else {
            of_new = hash.node(&of_new, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && of_old == *old_root && of_new == *new_root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::convert::Infallible;

    use super::*;
    use crate::tree::tests::{Stored, leaves, mth};

    /// All leaves, in memory.
    struct All(TreeHash, Vec<Hash>);

    impl Nodes for All {
        type Error = Infallible;

        fn node(&mut self, level: u32, index: u64) -> Result<Hash, Infallible> {
            let (from, len) = (usize::try_from(index << level).unwrap(), 1 << level);
            Ok(mth(self.0, &self.1[from..from + len]))
        }
    }

    const COUNT: usize = 70;

    #[test]
    fn every_leaf_of_every_tree_is_proven_and_no_other() {
        for hash in [TreeHash::Sha256, TreeHash::Sm3] {
            let mut all = All(hash, leaves(hash, COUNT));
            for size in 1..=COUNT {
                let tree = mth(hash, &all.1[..size]);
                let size = size as u64;
                assert_eq!(root(hash, &mut all, size).unwrap(), tree);
                for index in 0..size {
                    let path = inclusion(hash, &mut all, index, size).unwrap();
                    let leaf = all.1[usize::try_from(index).unwrap()];
                    check_inclusion(hash, &leaf, index, size, &path, &tree).unwrap();
                    let other = all.1[usize::try_from((index + 1) % COUNT as u64).unwrap()];
                    check_inclusion(hash, &other, index, size, &path, &tree).unwrap_err();
                    check_inclusion(hash, &leaf, index ^ 1, size, &path, &tree).unwrap_err();
                    let longer = [path.as_slice(), &[leaf]].concat();
                    check_inclusion(hash, &leaf, index, size, &longer, &tree).unwrap_err();
                    if let Some((_, shorter)) = path.split_last() {
                        check_inclusion(hash, &leaf, index, size, shorter, &tree).unwrap_err();
                    }
                }
            }
        }
    }

    #[test]
    fn every_beginning_of_every_tree_is_proven_and_no_other() {
        for hash in [TreeHash::Sha256, TreeHash::Sm3] {
            let mut all = All(hash, leaves(hash, COUNT));
            let roots: Vec<Hash> = (0..=COUNT).map(|size| mth(hash, &all.1[..size])).collect();
            for new in 0..=COUNT {
                for old in 0..=new {
                    let path = consistency(hash, &mut all, old as u64, new as u64).unwrap();
                    let check = |old_root, new_root, path: &[Hash]| {
                        check_consistency(hash, (old as u64, old_root), (new as u64, new_root), path)
                    };
                    check(&roots[old], &roots[new], &path).unwrap();
                    let other = hash.leaf(b"other");
                    check(&other, &roots[new], &path).unwrap_err();
                    if old > 0 {
                        check(&roots[old], &other, &path).unwrap_err();
                    }
                    check(&roots[old], &roots[new], &[path.as_slice(), &[other]].concat()).unwrap_err();
                }
            }
            assert!(check_consistency(hash, (5, &roots[5]), (4, &roots[4]), &[]).is_err());
        }
    }

    #[test]
    fn paths_are_those_of_another_implementation() {
        let hash = TreeHash::Sha256;
        let data: Vec<[u8; 8]> = (0..COUNT as u64).map(u64::to_le_bytes).collect();
        let mut stored = Vec::new();
        for (n, data) in data.iter().enumerate() {
            stored.extend(tlog_tiles::stored_hashes(n as u64, data, &Stored(&stored)).unwrap());
        }
        let mut all = All(hash, data.iter().map(|d| hash.leaf(d)).collect());
        for size in 1..=COUNT as u64 {
            for n in 0..size {
                let theirs = tlog_tiles::prove_record(size, n, &Stored(&stored)).unwrap();
                let ours = inclusion(hash, &mut all, n, size).unwrap();
                assert!(theirs.iter().map(|h| h.0).eq(ours.iter().map(|h| h.0)), "{n} of {size}");
                if n > 0 {
                    let theirs = tlog_tiles::prove_tree(size, n, &Stored(&stored)).unwrap();
                    let ours = consistency(hash, &mut all, n, size).unwrap();
                    assert!(theirs.iter().map(|h| h.0).eq(ours.iter().map(|h| h.0)), "{n} to {size}");
                }
            }
        }
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let (hash, h) = (TreeHash::Sha256, Hash::default());
        let path = vec![h; 100];
        for (index, size) in [(u64::MAX, u64::MAX), (u64::MAX - 1, u64::MAX), (0, u64::MAX), (1 << 63, u64::MAX)] {
            for len in [0, 1, 63, 64, 65, 100] {
                assert!(check_inclusion(hash, &h, index, size, &path[..len], &h).is_err());
                assert!(check_consistency(hash, (index, &h), (size, &Hash([1; 32])), &path[..len]).is_err());
            }
        }
    }
}
