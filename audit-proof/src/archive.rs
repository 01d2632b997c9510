//! What an archive of the audit says of itself: a manifest, and for each segment which leaves its records are.
//!
//! Nothing here is signed, and nothing is believed: a leaf is proven by its tile and the checkpoint, and that it is the record
//! which is due in its segment by the chain of records from the segment's name on. What is missing before the first segment
//! and behind the last is for whoever knows the log, or the manifest's hash, to say.

use serde::{Deserialize, Serialize};

/// Version of the files.
pub const VERSION: u32 = 1;
/// The manifest's name in the folder.
pub const MANIFEST: &str = "manifest.json";
/// The file with the public keys.
pub const KEYS: &str = "keys";
/// The folder with checkpoint and tiles, as a home has it.
pub const LOG: &str = "log";
/// How names of compressed segments end.
pub const PACKED: &str = ".jsonl.zst";
/// How names of the files end that say which leaves the records of a segment are.
pub const INDEX: &str = ".leaves.json";

/// Longest list of leaves in bytes: some 600,000 stretches, of which a segment has one for each time it was sealed.
pub const MAX_INDEX: u64 = 16 << 20;

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the file.
    pub v: u32,
    /// Name of the log.
    pub origin: String,
    /// Its root key.
    pub key: String,
    /// Records that were sealed when the archive was written last.
    pub size: u64,
    /// The segments, by name.
    pub segments: Vec<Archived>,
}

/// A segment of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// Its name.
    pub segment: String,
    /// Its number among all of the home.
    pub ordinal: u64,
    /// Bytes of the compressed file.
    pub file_bytes: u64,
    /// SHA-256 of the compressed file, in hex digits.
    pub file_sha256: String,
    /// SHA-256 of the file with the leaves.
    pub leaves_sha256: String,
    /// Bytes of the segment.
    pub bytes: u64,
    /// Its records.
    pub records: u64,
    /// Time of the first, in milliseconds since 1970-01-01T00:00:00Z.
    pub first: u64,
    /// Time of the last.
    pub last: u64,
    /// Hash of the first record.
    pub genesis: String,
    /// Hash of the last.
    pub head: String,
    /// Root of the tree of the segment's records alone (RFC 6962, 2.1), in hex digits.
    pub tree: String,
}

/// Which leaves the records of a segment are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaves {
    /// Version of the file.
    pub v: u32,
    /// The segment.
    pub segment: String,
    /// The checkpoint whose tree the tiles of the archive belong to: a signed note.
    pub checkpoint: String,
    /// Stretches: the first leaf, the number of its record in the segment, and how many there are.
    pub ranges: Vec<(u64, u64, u64)>,
}

impl Leaves {
    /// Whether the stretches are all records of a segment of `records` in their order, and leaves of a tree of `size`.
    #[must_use]
    pub fn are_sound(&self, records: u64, size: u64) -> bool {
        let mut next = 0_u64;
        let mut leaf = 0_u64;
        for (first, seq, count) in &self.ranges {
            let end = first.checked_add(*count).filter(|end| *end <= size && *first >= leaf);
            let (Some(end), true, true) = (end, *seq == next, *count > 0) else { return false };
            (next, leaf) = (next.saturating_add(*count), end);
        }
        next == records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_must_be_all_records_in_their_order() {
        let of = |ranges: &[(u64, u64, u64)]| Leaves {
            v: VERSION,
            segment: String::new(),
            checkpoint: String::new(),
            ranges: ranges.to_vec(),
        };
        assert!(of(&[(3, 0, 2), (7, 2, 1)]).are_sound(3, 8));
        for bad in [
            &[(3, 0, 2), (4, 2, 1)][..],
            &[(3, 0, 2), (7, 3, 1)],
            &[(3, 0, 2), (8, 2, 1)],
            &[(3, 1, 2), (7, 3, 1)],
            &[(3, 0, 2)],
            &[(3, 0, 0), (3, 0, 3)],
            &[(u64::MAX, 0, 3)],
        ] {
            assert!(!of(bad).are_sound(3, 8), "{bad:?}");
        }
    }
}
