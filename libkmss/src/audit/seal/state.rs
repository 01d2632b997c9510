//! What the store knows of the seal. Everything is sealed under the home's domain key, so that only whoever can open the home
//! writes it; that he cannot rewrite what is older is the epochs' merit, not the store's.
//!
//! ```text
//! audit/seal/state              size and edge of the tree, the newest checkpoint
//! audit/seal/secret             the private key of the epoch
//! audit/seal/lasting            the private key that witnesses know the log by
//! audit/seal/root               the root key's public half
//! audit/seal/epoch/<number>     certificates
//! audit/seal/segment/<segment>  how far a segment is sealed
//! audit/seal/anchor/<name>      what an anchor was told last
//! audit/seal/removed/<segment>  the record that a segment was removed
//! audit/seal/range/<number>     which records the leaves are, in the order of leaves, in pieces
//! ```

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use audit_proof::{Certificate, Edge, Hash, Lineage, Note, TreeHash, VerifierKey};

use super::super::chain::{Head, SegmentId};
use super::Anchored;
use super::removal::Removal;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::DomainKey;
use crate::random::Random;
use crate::sealed;
use crate::store::{Batch, Condition, Op, Revision, Store, StoreKey};

const STATE: &str = "audit/seal/state";
const SECRET: &str = "audit/seal/secret";
const LASTING: &str = "audit/seal/lasting";
const ROOT: &str = "audit/seal/root";
const EPOCHS: &str = "audit/seal/epoch/";
const SEGMENTS: &str = "audit/seal/segment/";
const ANCHORS: &str = "audit/seal/anchor/";
const RANGES: &str = "audit/seal/range/";
const REMOVED: &str = "audit/seal/removed/";
/// Version of the values.
const VERSION: u32 = 1;
/// Ranges in one piece.
pub(super) const PIECE: usize = 128;
/// Entries per scan.
const PAGE: usize = 256;

/// How far the tree is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::audit) struct State {
    v: u32,
    /// Records in the tree.
    pub(in crate::audit) size: u64,
    /// Roots of its complete subtrees.
    peaks: Vec<ByteArray<32>>,
    /// The newest checkpoint, of this size.
    pub(in crate::audit) checkpoint: String,
    /// When it was signed.
    pub(super) time: Timestamp,
    /// Number of the epoch whose key signs.
    pub(super) epoch: u64,
    /// When it began.
    pub(super) since: Timestamp,
    /// Pieces of ranges.
    pub(super) pieces: u64,
}

impl State {
    pub(super) fn new(edge: &Edge, checkpoint: String, time: Timestamp) -> Self {
        let mut this =
            Self { v: VERSION, size: 0, peaks: Vec::new(), checkpoint, time, epoch: 1, since: time, pieces: 0 };
        this.set_edge(edge);
        this
    }

    pub(super) fn set_edge(&mut self, edge: &Edge) {
        self.size = edge.size();
        self.peaks = edge.peaks().iter().map(|h| ByteArray::new(h.0)).collect();
    }

    /// The tree's edge; `None` where it has not the form of one.
    pub(super) fn edge(&self, hash: TreeHash) -> Option<Edge> {
        Edge::from_peaks(hash, self.size, self.peaks.iter().map(|p| Hash(p.into_array())).collect())
    }
}

/// How far a segment is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::audit) struct Position {
    /// Number of the next record to seal.
    pub(in crate::audit) next: u64,
    /// Hash of the record before it.
    pub(in crate::audit) head: Head,
    /// Length of the file up to there.
    pub(in crate::audit) len: u64,
    /// First and last of the pieces with ranges of it.
    pub(in crate::audit) pieces: (u64, u64),
}

/// Records of one segment that are leaves one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Range {
    pub(in crate::audit) segment: SegmentId,
    /// Leaf of the first.
    pub(in crate::audit) leaf: u64,
    /// Number of the first in its segment.
    pub(in crate::audit) seq: u64,
    pub(in crate::audit) count: u64,
    /// Time of the first and of the last.
    pub(in crate::audit) times: (Timestamp, Timestamp),
}

impl Range {
    /// Whether `next` goes on where this ends.
    pub(in crate::audit) fn is_continued_by(&self, next: &Self) -> bool {
        self.segment == next.segment
            && self.leaf.checked_add(self.count) == Some(next.leaf)
            && self.seq.checked_add(self.count) == Some(next.seq)
    }
}

/// A piece of the ranges as it is stored: short, because there is a range for each sealing of each segment.
#[derive(Serialize, Deserialize)]
struct Piece {
    v: u32,
    /// Leaf of the first range; each of the others goes on where the one before it ends.
    leaf: u64,
    segments: Vec<SegmentId>,
    /// Place of the segment, number of the first record, how many, time of the first, milliseconds from there to the last.
    ranges: Vec<(u32, u64, u64, u64, i64)>,
}

impl Piece {
    fn of(ranges: &[Range]) -> Self {
        let leaf = ranges.first().map_or(0, |r| r.leaf);
        let mut this = Self { v: VERSION, leaf, segments: Vec::new(), ranges: Vec::new() };
        for range in ranges {
            let place = this.segments.iter().position(|s| *s == range.segment).unwrap_or_else(|| {
                this.segments.push(range.segment.clone());
                this.segments.len() - 1
            });
            let (first, last) = (range.times.0.0, range.times.1.0);
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            this.ranges.push((
                place,
                range.seq,
                range.count,
                first,
                last.cast_signed().wrapping_sub(first.cast_signed()),
            ));
        }
        this
    }

    /// `None` where a segment is not named, or numbers are too large.
    fn ranges(self) -> Option<Vec<Range>> {
        let mut leaf = self.leaf;
        let ranges = self.ranges.into_iter().map(|(place, seq, count, first, more)| {
            let segment = self.segments.get(usize::try_from(place).ok()?)?.clone();
            seq.checked_add(count)?;
            let last = first.cast_signed().wrapping_add(more).cast_unsigned();
            let range = Range { segment, leaf, seq, count, times: (Timestamp(first), Timestamp(last)) };
            leaf = leaf.checked_add(count)?;
            Some(range)
        });
        ranges.collect()
    }
}

/// The private key of the epoch, as it is stored.
#[derive(Serialize, Deserialize)]
struct Secret {
    epoch: u64,
    /// Sealed as key material is.
    #[serde(with = "serde_bytes")]
    key: Vec<u8>,
}

/// The record of a removal, as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredRemoval {
    v: u32,
    /// Where it stands.
    segment: SegmentId,
    #[serde(with = "serde_bytes")]
    line: Vec<u8>,
}

/// Reads and prepares values of the seal.
pub(in crate::audit) struct Records<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) key: &'a DomainKey,
}

impl Records<'_> {
    fn value<T: for<'de> Deserialize<'de>>(&self, path: &StoreKey) -> Result<Option<(T, Revision)>> {
        let Some(entry) = self.store.get(path)? else { return Ok(None) };
        Ok(Some((sealed::open_value(self.key, path, &entry.value)?, entry.version)))
    }

    fn put<T: Serialize>(&self, random: &dyn Random, path: StoreKey, value: &T) -> Result<Op> {
        let sealed = sealed::seal_value(self.key, random, &path, value)?;
        Ok(Op::Put(path, sealed))
    }

    /// How far the tree is; `None` before the first sealing.
    pub(super) fn state(&self) -> Result<Option<(State, Revision)>> {
        let found: Option<(State, _)> = self.value(&state_key()?)?;
        if found.as_ref().is_some_and(|(s, _)| s.v > VERSION) {
            return Err(Error::new(ErrorKind::TooNew, "the audit was sealed by a newer kmss"));
        }
        Ok(found)
    }

    pub(super) fn put_state(&self, random: &dyn Random, state: &State) -> Result<Op> {
        self.put(random, state_key()?, state)
    }

    /// The private key of epoch `epoch`.
    pub(super) fn secret(&self, epoch: u64) -> Result<crate::secret::Secret> {
        let path = StoreKey::new(SECRET)?;
        let found: Option<(Secret, _)> = self.value(&path)?;
        let (secret, _) = found.filter(|(s, _)| s.epoch == epoch).ok_or_else(|| sealed::damaged(&path))?;
        self.key.open_material(&secret_context(epoch), &secret.key)
    }

    pub(super) fn put_secret(&self, random: &dyn Random, epoch: u64, secret: &crate::secret::Secret) -> Result<Op> {
        let (version, path) = (self.key.newest()?, StoreKey::new(SECRET)?);
        let key = version.seal_material(random, &secret_context(epoch), secret)?;
        let sealed = sealed::seal_value_under(&version, random, &path, &Secret { epoch, key })?;
        Ok(Op::Put(path, sealed))
    }

    /// What seals the private keys anew that do not lie under the newest version of the domain key.
    pub(super) fn reseal_secrets(&self, random: &dyn Random) -> Result<Vec<Batch>> {
        let version = self.key.newest()?;
        let mut batches = Vec::new();
        let mut put = |path: StoreKey, sealed: Vec<u8>, seen: Revision| {
            let conditions = vec![Condition::Version(path.clone(), seen)];
            batches.push(Batch { conditions, ops: vec![Op::Put(path, sealed)], invalidates: false });
        };
        let path = StoreKey::new(SECRET)?;
        if let Some((Secret { epoch, key }, seen)) = self.value::<Secret>(&path)?
            && let Some(key) = self.key.reseal_material(random, &secret_context(epoch), &key, &version)?
        {
            let sealed = sealed::seal_value_under(&version, random, &path, &Secret { epoch, key })?;
            put(path, sealed, seen);
        }
        let path = StoreKey::new(LASTING)?;
        if let Some((key, seen)) = self.value::<serde_bytes::ByteBuf>(&path)?
            && let Some(key) = self.key.reseal_material(random, LASTING.as_bytes(), &key, &version)?
        {
            let sealed = sealed::seal_value_under(&version, random, &path, &serde_bytes::ByteBuf::from(key))?;
            put(path, sealed, seen);
        }
        Ok(batches)
    }

    /// The private key that witnesses know the log by.
    pub(super) fn lasting(&self) -> Result<Option<crate::secret::Secret>> {
        let path = StoreKey::new(LASTING)?;
        let Some((sealed, _)) = self.value::<serde_bytes::ByteBuf>(&path)? else { return Ok(None) };
        self.key.open_material(LASTING.as_bytes(), &sealed).map(Some)
    }

    /// What stores it, where there is none yet.
    pub(super) fn put_lasting(&self, random: &dyn Random, secret: &crate::secret::Secret) -> Result<Batch> {
        let (version, path) = (self.key.newest()?, StoreKey::new(LASTING)?);
        let key = version.seal_material(random, LASTING.as_bytes(), secret)?;
        let sealed = sealed::seal_value_under(&version, random, &path, &serde_bytes::ByteBuf::from(key))?;
        let op = Op::Put(path, sealed);
        let conditions = vec![Condition::Absent(StoreKey::new(LASTING)?)];
        Ok(Batch { conditions, ops: vec![op], invalidates: false })
    }

    /// The public keys, verified; `None` before the first sealing.
    pub(super) fn lineage(&self) -> Result<Option<Lineage>> {
        let path = StoreKey::new(ROOT)?;
        let Some((root, _)) = self.value::<String>(&path)? else { return Ok(None) };
        let wrong = |e: audit_proof::ProofError| sealed::damaged(&path).with_source(e);
        let root: VerifierKey = root.parse().map_err(wrong)?;
        let mut lineage = Lineage::new(root).map_err(wrong)?;
        self.each::<String>(EPOCHS, &mut |_, note| lineage.add(Note::parse(&note).map_err(wrong)?).map_err(wrong))?;
        Ok(Some(lineage))
    }

    pub(super) fn put_root(&self, random: &dyn Random, key: &VerifierKey) -> Result<Op> {
        self.put(random, StoreKey::new(ROOT)?, &key.to_string())
    }

    pub(super) fn put_certificate(&self, random: &dyn Random, epoch: u64, note: &Note) -> Result<Op> {
        self.put(random, epoch_key(epoch)?, &note.to_string())
    }

    /// The certificate of an epoch, whose signature is not looked at.
    pub(super) fn certificate(&self, epoch: u64) -> Result<Certificate> {
        let path = epoch_key(epoch)?;
        let found = self.value::<String>(&path)?.and_then(|(note, _)| Note::parse(&note).ok());
        found.and_then(|note| Certificate::parse(note.text()).ok()).ok_or_else(|| sealed::damaged(&path))
    }

    /// How far a segment is sealed.
    pub(in crate::audit) fn position(&self, segment: &SegmentId) -> Result<Option<Position>> {
        Ok(self.value(&position_key(segment)?)?.map(|(position, _)| position))
    }

    pub(super) fn put_position(&self, random: &dyn Random, segment: &SegmentId, position: &Position) -> Result<Op> {
        self.put(random, position_key(segment)?, position)
    }

    /// What an anchor was told last.
    pub(super) fn anchored(&self, name: &str) -> Result<Option<Anchored>> {
        Ok(self.value(&anchor_key(name)?)?.map(|(anchored, _)| anchored))
    }

    pub(super) fn put_anchored(&self, random: &dyn Random, name: &str, anchored: &Anchored) -> Result<Op> {
        self.put(random, anchor_key(name)?, anchored)
    }

    /// What is recorded of the removal of a segment.
    pub(super) fn removed(&self, segment: &SegmentId) -> Result<Option<Removal>> {
        let path = removed_key(segment)?;
        let Some((stored, _)) = self.value::<StoredRemoval>(&path)? else { return Ok(None) };
        if stored.v > VERSION {
            return Err(Error::new(ErrorKind::TooNew, "a segment was removed by a newer kmss"));
        }
        Removal::parse(stored.segment, stored.line).map(Some).ok_or_else(|| sealed::damaged(&path))
    }

    pub(super) fn put_removed(&self, random: &dyn Random, removal: &Removal) -> Result<Op> {
        let stored = StoredRemoval { v: VERSION, segment: removal.name.segment.clone(), line: removal.line.clone() };
        self.put(random, removed_key(&removal.removed.segment)?, &stored)
    }

    /// A piece of the ranges.
    pub(in crate::audit) fn piece(&self, number: u64) -> Result<Vec<Range>> {
        let path = piece_key(number)?;
        let found: Option<(Piece, _)> = self.value(&path)?;
        found.and_then(|(piece, _)| piece.ranges()).ok_or_else(|| sealed::damaged(&path))
    }

    pub(super) fn put_piece(&self, random: &dyn Random, number: u64, ranges: &[Range]) -> Result<Op> {
        self.put(random, piece_key(number)?, &Piece::of(ranges))
    }

    fn each<T: for<'de> Deserialize<'de>>(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, T) -> Result<()>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.store.scan(prefix, after.as_ref(), PAGE)?;
            for (path, entry) in &page {
                let value = sealed::open_value(self.key, path, &entry.value)?;
                visit(path.as_str().strip_prefix(prefix).unwrap_or_default(), value)?;
            }
            if page.len() < PAGE {
                return Ok(());
            }
            after = page.into_iter().next_back().map(|(path, _)| path);
        }
    }
}

pub(super) fn state_key() -> Result<StoreKey> {
    StoreKey::new(STATE)
}

fn position_key(segment: &SegmentId) -> Result<StoreKey> {
    StoreKey::new(format!("{SEGMENTS}{segment}"))
}

fn removed_key(segment: &SegmentId) -> Result<StoreKey> {
    StoreKey::new(format!("{REMOVED}{segment}"))
}

/// The names of anchors are also those of folders.
pub(super) fn anchor_key(name: &str) -> Result<StoreKey> {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || !name.bytes().all(word) {
        return Err(Error::new(ErrorKind::Arguments, "an anchor is named by lower-case letters, digits and hyphens"));
    }
    StoreKey::new(format!("{ANCHORS}{name}"))
}

fn epoch_key(epoch: u64) -> Result<StoreKey> {
    StoreKey::new(format!("{EPOCHS}{epoch:020}"))
}

fn piece_key(number: u64) -> Result<StoreKey> {
    StoreKey::new(format!("{RANGES}{number:020}"))
}

fn secret_context(epoch: u64) -> Vec<u8> {
    [SECRET.as_bytes(), &epoch.to_be_bytes()].concat()
}
