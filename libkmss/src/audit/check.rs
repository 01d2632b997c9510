//! Follows the chain through one segment and names what was done to it.
//!
//! A line that does not follow from the last good record is a *stray*. What comes later tells what it is: a record whose
//! successor fits it marks a record that was changed, or the end of a gap; one that fits into a gap was moved; the bytes
//! that a recovery record hashes are what a failed write left.

use serde::Deserialize;

use super::chain::{Head, Line, SegmentId};
use super::encode::{VERSION, kind};
use super::lines::Piece;
use super::report::{Finding, Found, SegmentReport};
use super::segment::TORN_END;
use crate::suite::Suite;

/// Most strays kept, and their bytes; beyond that the oldest count as inserted.
const STRAYS: usize = 1024;
const STRAY_BYTES: usize = 4 << 20;
/// Most strays that one line is compared with.
const COMPARED: usize = 8;
/// How many hashes are remembered to tell repetitions from inventions.
const REMEMBERED: usize = 1 << 16;

/// What is known of a segment from elsewhere: hashes of some of its records.
pub(super) type Anchors = Vec<(u64, Head)>;

/// The fields of a genesis record that are checked.
#[derive(Debug, Deserialize)]
pub(super) struct Genesis {
    pub(super) v: u32,
    pub(super) segment: SegmentId,
    pub(super) ordinal: u64,
    suite: Suite,
    pub(super) previous: Option<Previous>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Previous {
    pub(super) segment: SegmentId,
    pub(super) genesis: Head,
    pub(super) seq: Option<u64>,
    pub(super) head: Option<Head>,
}

impl Genesis {
    /// Parses a genesis record; `None` for anything else.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        Line::split(line).filter(|l| l.seq == 0 && l.is_kind(kind::GENESIS))?;
        serde_json::from_slice(line).ok()
    }
}

#[derive(Deserialize)]
struct Recovery {
    torn_len: Option<u64>,
    torn: Option<Head>,
    lost: u64,
}

/// A line that did not follow when it was read.
struct Stray {
    bytes: Vec<u8>,
    /// Number and hash, where it has the shape of a record.
    record: Option<(u64, Head)>,
    /// Line of the file.
    number: u64,
}

/// Records that are missing; `anchor` is the hash of the one before the first.
struct Gap {
    first: u64,
    last: u64,
    anchor: Head,
}

/// How a segment ended.
pub(super) struct End {
    /// The last record is a closing one.
    pub(super) closed: bool,
    /// An unfinished record follows the last one.
    pub(super) torn: bool,
    /// Number of the last record, if there is any.
    pub(super) last: Option<u64>,
    /// Written by a newer version, so that nothing can be said.
    pub(super) too_new: bool,
}

/// The state of a walk through a segment.
pub(super) struct Checker<'a> {
    suite: Suite,
    anchors: &'a [(u64, Head)],
    report: &'a mut SegmentReport,
    good: Head,
    next: u64,
    lines: u64,
    strays: Vec<Stray>,
    stray_bytes: usize,
    /// Strays from here on came after the last good record, without a break.
    held_from: usize,
    gaps: Vec<Gap>,
    remembered: Vec<u64>,
    /// Within a line that is too long.
    inside: bool,
    closed: bool,
    too_new: bool,
}

impl<'a> Checker<'a> {
    /// A walk through the segment of `report`, which collects the findings.
    pub(super) fn new(suite: Suite, anchors: &'a [(u64, Head)], report: &'a mut SegmentReport) -> Self {
        Self {
            suite,
            anchors,
            good: Head::start(suite, &report.segment),
            report,
            next: 0,
            lines: 0,
            strays: Vec::new(),
            stray_bytes: 0,
            held_from: 0,
            gaps: Vec::new(),
            remembered: vec![0; REMEMBERED],
            inside: false,
            closed: false,
            too_new: false,
        }
    }

    /// Records found so far.
    pub(super) const fn records(&self) -> u64 {
        self.report.records
    }

    /// Takes the next piece of the file.
    pub(super) fn take(&mut self, piece: Piece<'_>) {
        let bytes = match piece {
            Piece::Line(bytes) => bytes,
            Piece::Part(bytes) => return self.part(bytes),
        };
        self.lines += 1;
        let Some(line) = Line::split(bytes) else { return self.stray(bytes) };
        if line.follows(self.suite, self.good) {
            self.accept(bytes, &line);
        } else if let Some(at) = self.predecessor(&line) {
            self.resynchronize(at);
            self.accept(bytes, &line);
        } else if !self.fill_gap(&line) {
            self.stray(bytes);
        }
    }

    /// Judges what is left over.
    pub(super) fn finish(mut self) -> End {
        let torn = self.take_torn_tail();
        self.judge_tail();
        self.judge_strays();
        for gap in std::mem::take(&mut self.gaps) {
            self.report.add(Finding::records(Found::Removed, gap.first, gap.last, None));
        }
        let last = self.next.checked_sub(1);
        if let Some(known) = self.anchors.iter().map(|(seq, _)| *seq).max()
            && known >= self.next
            && !(self.next == 0 && known == 0)
        {
            self.report.add(Finding::records(Found::Truncated, self.next, known, None));
        }
        End { closed: self.closed, torn, last, too_new: self.too_new }
    }

    /// A record that follows from `good`.
    fn accept(&mut self, bytes: &[u8], line: &Line<'_>) {
        if line.seq != self.next {
            self.report.add(Finding::records(Found::Edited, line.seq, line.seq, Some(self.lines)));
        }
        if line.is_kind(kind::RECOVERY) {
            self.recovered(bytes, line.seq);
        }
        self.adopt(line);
        let first = self.report.records == 1;
        if line.is_kind(kind::GENESIS) {
            self.genesis(bytes, line.seq);
        } else if first && line.seq == 0 {
            self.report.add(Finding::records(Found::Genesis, 0, 0, Some(self.lines)));
        }
        self.report.writers += u64::from(line.is_kind(kind::GENESIS) || line.is_kind(kind::RESUME));
        self.closed = line.is_kind(kind::CLOSE);
        self.held_from = self.strays.len();
    }

    /// Makes a record the last good one.
    fn adopt(&mut self, line: &Line<'_>) {
        self.good = line.head;
        self.next = line.seq.saturating_add(1);
        self.settle(line);
        self.report.first.get_or_insert(line.time);
        self.report.last = Some(line.time);
    }

    /// Counts a record that is part of the log, and compares it with what is known from elsewhere.
    fn settle(&mut self, line: &Line<'_>) {
        self.report.records += 1;
        if let Some(slot) = self.remembered.get_mut(slot(line.seq)) {
            *slot = short(line.head);
        }
        if self.anchors.iter().any(|(seq, head)| *seq == line.seq && *head != line.head) {
            self.report.add(Finding::records(Found::Rewritten, line.seq, line.seq, Some(self.lines)));
        }
    }

    fn genesis(&mut self, bytes: &[u8], seq: u64) {
        let number = Some(self.lines);
        match Genesis::parse(bytes) {
            Some(g) if g.v > VERSION => self.too_new = true,
            Some(g) if seq == 0 && g.segment == self.report.segment && g.suite == self.suite => {
                let known = *self.report.ordinal.get_or_insert(g.ordinal);
                if known != g.ordinal {
                    self.report.add(Finding::records(Found::Genesis, 0, 0, number));
                }
            }
            _ => self.report.add(Finding::records(Found::Genesis, seq, seq, number)),
        }
    }

    /// A recovery record accounts for the strays before it, if they are the bytes it hashes.
    fn recovered(&mut self, bytes: &[u8], seq: u64) {
        let remains: Vec<u8> = self.strays.iter().skip(self.held_from).flat_map(|s| s.bytes.iter().copied()).collect();
        let as_described = serde_json::from_slice::<Recovery>(bytes).is_ok_and(|r| {
            self.report.lost = self.report.lost.saturating_add(r.lost);
            match (r.torn_len, r.torn) {
                (Some(len), Some(hash)) => len == remains.len() as u64 && Head(self.suite.hash(&[&remains])) == hash,
                _ => remains.is_empty(),
            }
        });
        if as_described {
            self.stray_bytes -= remains.len();
            self.strays.truncate(self.held_from);
            self.report.recoveries += 1;
        } else {
            self.report.add(Finding::records(Found::TornChanged, seq, seq, Some(self.lines)));
        }
    }

    /// The stray that `line` follows.
    fn predecessor(&self, line: &Line<'_>) -> Option<usize> {
        if line.seq < self.next {
            return None;
        }
        let before = |s: &Stray| s.record.filter(|(seq, _)| seq.checked_add(1) == Some(line.seq));
        let candidates = self.strays.iter().enumerate().rev().filter_map(|(at, s)| Some((at, before(s)?.1)));
        candidates.take(COMPARED).find(|(_, head)| line.follows(self.suite, *head)).map(|(at, _)| at)
    }

    /// Goes on behind the stray at `at`, whose successor was found.
    fn resynchronize(&mut self, at: usize) {
        let stray = self.strays.remove(at);
        self.stray_bytes -= stray.bytes.len();
        let Some(line) = Line::split(&stray.bytes) else { return };
        let number = Some(stray.number);
        if line.seq > self.next {
            // A neighbour under the number before it, which it does not follow, means that both were changed.
            let before = |s: &Stray| s.record.is_some_and(|(seq, _)| seq.checked_add(1) == Some(line.seq));
            if self.strays.iter().any(before) {
                self.report.add(Finding::records(Found::Edited, line.seq, line.seq, number));
            }
            self.open_gap(line.seq - 1);
        } else if line.follows(self.suite, self.good) {
            self.report.add(Finding::records(Found::Reordered, line.seq, line.seq, number));
        } else {
            self.report.add(Finding::records(Found::Edited, line.seq, line.seq, number));
        }
        self.adopt(&line);
    }

    /// Notes that the records from `next` to `last` are missing, unless strays fit there.
    fn open_gap(&mut self, last: u64) {
        let mut gap = Gap { first: self.next, last, anchor: self.good };
        while gap.first <= gap.last {
            let fits = |s: &Stray| {
                s.record.is_some_and(|(seq, _)| seq == gap.first)
                    && Line::split(&s.bytes).is_some_and(|l| l.follows(self.suite, gap.anchor))
            };
            let Some(at) = self.strays.iter().position(fits) else { break };
            let stray = self.strays.remove(at);
            self.stray_bytes -= stray.bytes.len();
            let Some(line) = Line::split(&stray.bytes) else { break };
            (gap.first, gap.anchor) = (gap.first.saturating_add(1), line.head);
            self.settle(&line);
            self.report.add(Finding::records(Found::Reordered, line.seq, line.seq, Some(stray.number)));
        }
        if gap.first <= gap.last && self.gaps.len() < STRAYS {
            self.gaps.push(gap);
        }
    }

    /// Whether the record is the first that some gap misses.
    fn fill_gap(&mut self, line: &Line<'_>) -> bool {
        let suite = self.suite;
        let fits = |gap: &Gap| gap.first == line.seq && line.follows(suite, gap.anchor);
        let Some(at) = self.gaps.iter().take(COMPARED).position(fits) else { return false };
        if let Some(gap) = self.gaps.get_mut(at) {
            (gap.first, gap.anchor) = (gap.first.saturating_add(1), line.head);
            if gap.first > gap.last {
                self.gaps.remove(at);
            }
        }
        self.settle(line);
        self.report.add(Finding::records(Found::Reordered, line.seq, line.seq, Some(self.lines)));
        true
    }

    /// A part of a line that is too long, or the end of the file.
    fn part(&mut self, bytes: &[u8]) {
        if !self.inside {
            self.lines += 1;
        }
        match self.strays.last_mut().filter(|_| self.inside) {
            Some(stray) => {
                // Longer than any record, so that it is none whatever its end looks like.
                stray.bytes.extend_from_slice(bytes);
                stray.record = None;
                self.stray_bytes += bytes.len();
                self.bound_strays();
            }
            None => self.stray(bytes),
        }
        self.inside = bytes.last() != Some(&b'\n');
    }

    fn stray(&mut self, bytes: &[u8]) {
        let record = Line::split(bytes).map(|l| (l.seq, l.head));
        self.strays.push(Stray { bytes: bytes.to_vec(), record, number: self.lines });
        self.stray_bytes += bytes.len();
        self.bound_strays();
    }

    fn bound_strays(&mut self) {
        while self.strays.len() > STRAYS || self.stray_bytes > STRAY_BYTES {
            let oldest = self.strays.remove(0);
            self.stray_bytes -= oldest.bytes.len();
            self.held_from = self.held_from.saturating_sub(1);
            self.judge(&oldest);
        }
    }

    /// Takes the unfinished record at the end off the strays, with remains of failed writes before it.
    fn take_torn_tail(&mut self) -> bool {
        let is_torn = |s: &Stray| s.bytes.last() != Some(&b'\n') || s.bytes.ends_with(TORN_END);
        let held = self.strays.get(self.held_from..).unwrap_or_default();
        let torn = held.last().is_some_and(|s| s.bytes.last() != Some(&b'\n')) && held.iter().all(is_torn);
        if torn {
            self.strays.truncate(self.held_from);
        }
        torn
    }

    /// Strays behind the last good record have no successor to speak for them.
    fn judge_tail(&mut self) {
        let mut at = 0;
        while let Some(stray) = self.strays.get(at) {
            if stray.record.is_none_or(|(seq, _)| seq < self.next) {
                at += 1;
                continue;
            }
            let stray = self.strays.remove(at);
            let Some(line) = Line::split(&stray.bytes) else { continue };
            if line.seq > self.next {
                self.open_gap(line.seq - 1);
            } else {
                let moved = line.follows(self.suite, self.good);
                let found = if moved { Found::Reordered } else { Found::Edited };
                self.report.add(Finding::records(found, line.seq, line.seq, Some(stray.number)));
            }
            self.adopt(&line);
            self.closed = line.is_kind(kind::CLOSE);
            at = 0;
        }
    }

    fn judge_strays(&mut self) {
        for stray in std::mem::take(&mut self.strays) {
            self.judge(&stray);
        }
    }

    fn judge(&mut self, stray: &Stray) {
        let number = Some(stray.number);
        let Some((seq, head)) = stray.record else {
            return self.report.add(Finding { line: number, ..Finding::whole(Found::Inserted) });
        };
        let gap = self.gaps.iter().position(|g| (g.first..=g.last).contains(&seq));
        let found = if let Some(at) = gap {
            if self.gaps.len() < STRAYS {
                let gap = self.gaps.remove(at);
                if gap.first < seq {
                    self.gaps.push(Gap { last: seq - 1, ..gap });
                }
                if seq < gap.last {
                    self.gaps.push(Gap { first: seq.saturating_add(1), last: gap.last, anchor: head });
                }
            }
            Found::Edited
        } else if seq < self.next && self.remembered.get(slot(seq)) == Some(&short(head)) {
            Found::Duplicated
        } else {
            Found::Inserted
        };
        self.report.add(Finding::records(found, seq, seq, number));
    }
}

fn slot(seq: u64) -> usize {
    usize::try_from(seq % REMEMBERED as u64).unwrap_or_default()
}

fn short(head: Head) -> u64 {
    head.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
