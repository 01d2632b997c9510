//! The chain within a segment: how each record is tied to the one before it, the first to the segment's name, and each
//! segment to the one before it (docs/audit.md).

use audit_proof::{Edge, Hash, TreeHash};
use serde::Deserialize;

use crate::lines::Line;

/// What stands before the name of a segment in what its first record is tied to.
const START: &[u8] = b"kmss/1 audit segment ";

/// What the first record of a segment says.
#[derive(Debug, Deserialize)]
pub(crate) struct Genesis {
    pub(crate) segment: String,
    pub(crate) ordinal: u64,
    pub(crate) previous: Option<Previous>,
}

/// What a segment says of the one that was the newest before it.
#[derive(Debug, Deserialize)]
pub(crate) struct Previous {
    pub(crate) segment: String,
    /// Hash of its first record.
    pub(crate) genesis: String,
    /// Its last record then, where it was closed.
    pub(crate) seq: Option<u64>,
    /// The hash of that.
    pub(crate) head: Option<String>,
}

impl Genesis {
    /// What `line` says; `None` for any other record.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        Line::split(line).filter(|record| record.is_kind("genesis"))?;
        serde_json::from_slice(line).ok()
    }
}

/// The chain as far as it was followed.
pub(crate) struct Chain {
    hash: TreeHash,
    /// Hash of the record before; `None` behind a gap.
    head: Option<Hash>,
    /// Hash of record 0.
    pub(crate) first: Option<Hash>,
    /// Whether the last record closed the segment.
    pub(crate) closed: bool,
    /// The tree of the records alone.
    tree: Edge,
    /// A record whose hash is asked for at the end.
    wanted: Option<u64>,
    pub(crate) found: Option<Hash>,
}

impl Chain {
    /// That of `segment` before its first record; the hash of record `wanted` is remembered.
    pub(crate) fn new(hash: TreeHash, segment: &str, wanted: Option<u64>) -> Self {
        let head = Some(hash.of(&[START, segment.as_bytes()]));
        Self { hash, head, first: None, closed: false, tree: Edge::new(hash), wanted, found: None }
    }

    /// Whether this record follows; behind a gap nothing tells.
    pub(crate) fn takes(&self, record: &Line<'_>) -> bool {
        self.head.is_none_or(|head| self.hash.of(&[record.body, &head.0]) == record.head)
    }

    /// Goes on to a record that follows.
    pub(crate) fn push(&mut self, record: &Line<'_>, leaf: Hash) {
        self.head = Some(record.head);
        self.closed = record.is_kind("close");
        self.tree.push(leaf);
        if record.seq == 0 {
            self.first = Some(record.head);
        }
        if self.wanted == Some(record.seq) {
            self.found = Some(record.head);
        }
    }

    /// What comes next follows nothing that is known.
    pub(crate) const fn lose(&mut self) {
        self.head = None;
    }

    /// Hashes of the first record and the last, and the root of the tree of all.
    pub(crate) fn ends(&self) -> (Option<Hash>, Option<Hash>, Hash) {
        (self.first, self.head, self.tree.root())
    }
}
