//! Where the hashes of a tree lie: C2SP tlog-tiles. A tile of level L holds up to 256 roots of subtrees of 256^L leaves.

use crate::hash::{HASH_LEN, Hash, TreeHash};

/// Hashes of a full tile.
pub const WIDTH: u64 = 256;
/// Levels of the tree that a tile spans.
pub const HEIGHT: u32 = 8;
/// Highest level of a tile that a tree of 64-bit numbers has.
pub const MAX_LEVEL: u32 = 7;

/// A tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// 0 for leaves.
    pub level: u32,
    /// Its number within the level.
    pub index: u64,
    /// Hashes in it, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// The tile of `level` and `index` in a tree of `size` leaves; `None` where it has no hashes.
    #[must_use]
    pub fn of(level: u32, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(HEIGHT * level)?;
        let width = hashes.saturating_sub(index.checked_mul(WIDTH)?).min(WIDTH);
        (width > 0).then_some(Self { level, index, width })
    }

    /// The tiles at the right end of a tree of `size` leaves that are not full, from the leaves up.
    pub fn partial(size: u64) -> impl Iterator<Item = Self> {
        (0..=MAX_LEVEL).filter_map(move |level| {
            let hashes = size >> (HEIGHT * level);
            let width = hashes % WIDTH;
            (width > 0).then_some(Self { level, index: hashes / WIDTH, width })
        })
    }

    /// Whether it has all its hashes.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// Its path below the log's prefix, in parts: `tile`, level, and the number in groups of three digits.
    #[must_use]
    pub fn path(&self) -> Vec<String> {
        let mut groups = vec![format!("{:03}", self.index % 1000)];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        let mut path = vec!["tile".to_owned(), self.level.to_string()];
        path.extend(groups.into_iter().rev());
        if !self.is_full()
            && let Some(last) = path.last_mut()
        {
            last.push_str(".p");
            path.push(self.width.to_string());
        }
        path
    }
}

/// The hashes of a tile's file; `None` where its length is not that of `width` hashes.
#[must_use]
pub fn decode(bytes: &[u8], width: u64) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_LEN>();
    (rest.is_empty() && hashes.len() as u64 == width).then(|| hashes.iter().map(|h| Hash(*h)).collect())
}

/// The file of a tile with these hashes.
#[must_use]
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The root of a complete subtree over `hashes`, whose number is a power of two; `None` where it is not.
#[must_use]
pub fn root(hash: TreeHash, hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        let (pairs, _) = level.as_chunks::<2>();
        level = pairs.iter().map(|[left, right]| hash.node(left, right)).collect();
    }
    level.first().copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::tests::{leaves, mth};

    #[test]
    fn paths_are_those_of_the_standard() {
        let path = |level, index, width| Tile { level, index, width }.path().join("/");
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(1, 0, 1), "tile/1/000.p/1");
        assert_eq!(path(2, 1000, 255), "tile/2/x001/000.p/255");
    }

    #[test]
    fn a_tree_has_the_tiles_that_the_standard_counts() {
        // C2SP tlog-tiles, "Partial Tiles": a tree of 70,000, and one of 256.
        let tiles: Vec<_> = Tile::partial(70_000).map(|t| (t.level, t.index, t.width)).collect();
        assert_eq!(tiles, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(Tile::partial(256).map(|t| (t.level, t.width)).collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(Tile::of(0, 272, 70_000).unwrap().width, 256);
        assert_eq!(Tile::of(0, 273, 70_000).unwrap().width, 112);
        assert_eq!(Tile::of(0, 274, 70_000), None);
        assert_eq!(Tile::of(9, 0, u64::MAX), None);
        assert_eq!(Tile::of(0, u64::MAX, u64::MAX), None);
    }

    #[test]
    fn a_tile_has_the_root_of_its_subtree() {
        for hash in [TreeHash::Sha256, TreeHash::Sm3] {
            for count in [1, 2, 4, 256] {
                let hashes = leaves(hash, count);
                assert_eq!(root(hash, &hashes).unwrap(), mth(hash, &hashes));
                assert_eq!(decode(&encode(&hashes), count as u64).unwrap(), hashes);
            }
            assert_eq!(root(hash, &leaves(hash, 3)), None);
        }
        assert_eq!(root(TreeHash::Sha256, &[]), None);
        assert_eq!(decode(&[0; 33], 1), None);
    }
}
