//! Reads what is new in a segment, and takes nothing that its writer did not write there.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use audit_proof::{Hash, TreeHash};
use serde::Deserialize;

use super::super::chain::{Head, Line, SegmentId};
use super::super::check::Genesis;
use super::super::encode::{VERSION, kind};
use super::super::lines::{Lines, Piece};
use super::super::registry::Registration;
use super::super::report::{Finding, Found};
use super::state::Position;
use crate::clock::Timestamp;
use crate::suite::Suite;

/// Most bytes of a torn stretch that wait for the record that accounts for them.
const TORN_LIMIT: usize = 4 << 20;

/// What is new in a segment, up to where it contradicts itself.
pub(super) struct Fresh {
    /// Hashes of the records as leaves.
    pub(super) leaves: Vec<Hash>,
    /// Where they end.
    pub(super) next: u64,
    pub(super) head: Head,
    pub(super) len: u64,
    /// Times of the first and last.
    pub(super) times: Option<(Timestamp, Timestamp)>,
    /// What cannot be sealed.
    pub(super) wrong: Option<Finding>,
    /// There is more.
    pub(super) more: bool,
}

#[derive(Deserialize)]
struct Recovery {
    torn_len: Option<u64>,
    torn: Option<Head>,
}

/// Follows `file`, the segment of `known`, from `from` on, for at most `limit` records.
pub(super) fn follow(
    mut file: &File,
    (suite, hash): (Suite, TreeHash),
    known: &Registration,
    from: Option<&Position>,
    limit: usize,
) -> io::Result<Fresh> {
    let (next, head, len) = from.map_or_else(
        || (0, Head::start(suite, &known.segment), 0),
        |position| (position.next, position.head, position.len),
    );
    let mut fresh = Fresh { leaves: Vec::new(), next, head, len, times: None, wrong: None, more: false };
    let file_len = file.metadata()?.len();
    if file_len < len {
        fresh.wrong = Some(Finding::records(Found::Truncated, next.saturating_sub(1), next.saturating_sub(1), None));
        return Ok(fresh);
    }
    file.seek(SeekFrom::Start(len))?;
    let mut lines = Lines::new(file);
    let mut torn: Vec<u8> = Vec::new();
    while let Some(piece) = lines.next()? {
        let (bytes, line) = match piece {
            Piece::Line(bytes) => (bytes, Line::split(bytes)),
            Piece::Part(bytes) => (bytes, None),
        };
        let Some(line) = line.filter(|l| l.seq == fresh.next && l.follows(suite, fresh.head)) else {
            // The remains of a failed write, if the next record says so.
            torn.extend_from_slice(bytes);
            if torn.len() > TORN_LIMIT {
                fresh.wrong = Some(Finding::records(Found::Inserted, fresh.next, fresh.next, None));
                return Ok(fresh);
            }
            continue;
        };
        if fresh.leaves.len() >= limit {
            fresh.more = true;
            return Ok(fresh);
        }
        if let Some(found) = contradiction(bytes, &line, suite, known, &torn) {
            fresh.wrong = Some(Finding::records(found, line.seq, line.seq, None));
            return Ok(fresh);
        }
        let data = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        fresh.leaves.push(hash.leaf(data));
        fresh.len += torn.len() as u64 + bytes.len() as u64;
        torn.clear();
        (fresh.next, fresh.head) = (fresh.next.saturating_add(1), line.head);
        let first = fresh.times.map_or(line.time, |(first, _)| first);
        fresh.times = Some((first, line.time));
    }
    // A line that is whole and follows nothing: nobody writes behind it any more.
    if torn.split_inclusive(|b| *b == b'\n').any(|l| Line::split(l).is_some()) {
        fresh.wrong = Some(Finding::records(Found::Edited, fresh.next, fresh.next, None));
    }
    Ok(fresh)
}

/// What speaks against a record that follows from the one before it.
fn contradiction(bytes: &[u8], line: &Line<'_>, suite: Suite, known: &Registration, torn: &[u8]) -> Option<Found> {
    if (line.seq == known.seq && line.head != known.head) || (line.seq == 0 && line.head != known.genesis) {
        return Some(Found::Rewritten);
    }
    if line.seq == 0 || line.is_kind(kind::GENESIS) {
        let ours = |g: &Genesis| g.segment == known.segment && g.v <= VERSION && g.ordinal == known.ordinal;
        if line.seq != 0 || !Genesis::parse(bytes).is_some_and(|g| ours(&g)) {
            return Some(Found::Genesis);
        }
    }
    if torn.is_empty() {
        return None;
    }
    let accounts = line.is_kind(kind::RECOVERY)
        && serde_json::from_slice::<Recovery>(bytes)
            .is_ok_and(|r| r.torn_len == Some(torn.len() as u64) && r.torn == Some(Head(suite.hash(&[torn]))));
    (!accounts).then_some(Found::TornChanged)
}

/// Names a segment that cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Contradiction {
    /// The segment.
    pub segment: SegmentId,
    /// Why.
    pub finding: Finding,
}
