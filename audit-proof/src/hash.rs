//! The hashes of a tree (RFC 6962, 2.1), by SHA-256 or SM3.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use sha2::{Digest, Sha256};
use sm3::Sm3;

/// Length of a hash in bytes, by either algorithm.
pub const HASH_LEN: usize = 32;

/// Begins what is hashed for a leaf.
const LEAF: [u8; 1] = [0];
/// Begins what is hashed for an inner node.
const NODE: [u8; 1] = [1];

/// A hash of a tree.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_LEN]);

impl Hash {
    /// The hash whose base64 text (RFC 4648, 4; canonical) is `text`.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut bytes = [0; HASH_LEN];
        let decoded = Base64::decode(text, &mut bytes).ok()?;
        (decoded.len() == HASH_LEN).then_some(Self(bytes))
    }

    /// Its base64 text.
    #[must_use]
    pub fn to_base64(&self) -> String {
        Base64::encode_string(&self.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Which hash a tree is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeHash {
    /// SHA-256, as C2SP has it.
    Sha256,
    /// SM3 (GB/T 32905), of the suite `gm`.
    Sm3,
}

impl TreeHash {
    /// MTH of no leaves: the hash of nothing.
    #[must_use]
    pub fn empty(self) -> Hash {
        self.of(&[])
    }

    /// MTH of one leaf.
    #[must_use]
    pub fn leaf(self, data: &[u8]) -> Hash {
        self.of(&[&LEAF, data])
    }

    /// The hash of a node whose children are `left` and `right`.
    #[must_use]
    pub fn node(self, left: &Hash, right: &Hash) -> Hash {
        // In one piece, which is quicker than four.
        let mut bytes = [0; 1 + 2 * HASH_LEN];
        let parts = NODE.iter().chain(&left.0).chain(&right.0);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        self.of(&[&bytes])
    }

    /// The plain hash of the concatenation of `parts`.
    #[must_use]
    pub fn of(self, parts: &[&[u8]]) -> Hash {
        fn run<D: Digest>(parts: &[&[u8]]) -> [u8; HASH_LEN]
        where
            [u8; HASH_LEN]: From<sha2::digest::Output<D>>,
        {
            let mut digest = D::new();
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize().into()
        }
        Hash(match self {
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sm3 => run::<Sm3>(parts),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn leaves_and_nodes_have_the_prefixes_of_the_standard() {
        for hash in [TreeHash::Sha256, TreeHash::Sm3] {
            let (a, b) = (hash.leaf(b"a"), hash.leaf(b"b"));
            assert_eq!(a, hash.of(&[b"\0a"]));
            assert_eq!(hash.node(&a, &b), hash.of(&[&[1], &a.0, &b.0]));
        }
        // RFC 6962, 2.1: the hash of an empty list is that of an empty string (FIPS 180-4; GB/T 32905).
        assert!(TreeHash::Sha256.empty().to_string().starts_with("e3b0c44298fc1c14"));
        assert!(TreeHash::Sm3.empty().to_string().starts_with("1ab21d8355cfa17f"));
    }

    #[test]
    fn only_the_canonical_text_of_a_hash_is_read() {
        let hash = TreeHash::Sha256.empty();
        let text = hash.to_base64();
        assert_eq!(Hash::from_base64(&text).unwrap(), hash);
        for bad in [&text[1..], &format!("{text}="), &text.replace('=', ""), &text.replace("U=", "V="), "", "\n"] {
            assert_eq!(Hash::from_base64(bad), None, "{bad}");
        }
    }
}
