//! Reading the log of all processes as one: the newest records, and those to come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::chain::{MAX_LINE, SegmentId};
use super::lines::{Lines, Piece};
use super::listing;
use super::pending::Logical;
use super::places::Places;
use super::record::{Entry, Filter};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// How far the times of neighbouring records may be out of order (threads, clocks that are set).
const SLACK_MS: u64 = 60_000;
/// Bytes read at once from the end of a segment.
const BLOCK: u64 = 64 * 1024;

/// Place of a record among all: time, then segment, then number; the last tells apart what repeats one of another.
type Place = (u64, SegmentId, u64, u64);

/// A reader of a log that remembers how far it came.
#[derive(Debug)]
pub struct AuditTail {
    places: Places,
    filter: Filter,
    offsets: BTreeMap<SegmentId, u64>,
}

impl AuditTail {
    /// A reader of the segments in `dir` (the home's `audit`). It begins with the first record there is.
    #[must_use]
    pub fn new(dir: PathBuf, filter: Filter) -> Self {
        Self { places: Places::of(dir), filter, offsets: BTreeMap::new() }
    }

    /// As this, and it reads the segments of these archives as well.
    #[must_use]
    pub fn with_archives(mut self, archives: Vec<PathBuf>) -> Self {
        self.places = self.places.with(archives);
        self
    }

    /// The newest `count` records that match, oldest first; [`Self::poll`] goes on behind them.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the directory or a segment cannot be read.
    pub fn last(&mut self, count: usize) -> Result<Vec<Entry>> {
        let mut newest = Newest { count, left: u64::MAX, places: BinaryHeap::new(), entries: BTreeMap::new() };
        let mut segments = self.segments()?;
        segments.sort_by_key(|(_, modified)| Reverse(*modified));
        self.offsets.clear();
        for (id, modified) in segments {
            let mut lines = self.places.open(&id).and_then(Backward::new).map_err(storage)?;
            self.offsets.insert(id.clone(), lines.end);
            if newest.is_beyond(modified) {
                continue;
            }
            while let Some(line) = lines.next().map_err(storage)? {
                let Some(entry) = Entry::parse(&id, &line) else { continue };
                if newest.is_beyond(entry.record.time.0) {
                    break;
                }
                if self.filter.matches(&entry.record) {
                    newest.add(entry);
                }
            }
        }
        Ok(newest.entries.into_values().collect())
    }

    /// The records that match and were written since the last call, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the directory or a segment cannot be read.
    pub fn poll(&mut self) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        for (id, _) in self.segments()? {
            let from = self.offsets.get(&id).copied().unwrap_or_default();
            let mut segment = self.places.open(&id).map_err(storage)?;
            if segment.len() == from {
                continue;
            }
            segment.seek(SeekFrom::Start(from)).map_err(storage)?;
            let (mut lines, mut at) = (Lines::new(segment), from);
            let mut unfinished = 0;
            while let Some(piece) = lines.next().map_err(storage)? {
                match piece {
                    Piece::Line(line) => {
                        found.extend(Entry::parse(&id, line).filter(|e| self.filter.matches(&e.record)));
                        at += unfinished + line.len() as u64;
                        unfinished = 0;
                    }
                    // The rest of this line may still come.
                    Piece::Part(part) => {
                        unfinished += part.len() as u64;
                        if part.last() == Some(&b'\n') {
                            at += std::mem::take(&mut unfinished);
                        }
                    }
                }
            }
            self.offsets.insert(id, at);
        }
        found.sort_by_cached_key(place);
        Ok(found)
    }

    /// Shows `visit` every record that matches, segment by segment, in no order of time; keeps none.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the directory or a segment cannot be read.
    pub fn visit(&self, visit: &mut dyn FnMut(&Entry)) -> Result<()> {
        self.segments()?.iter().try_for_each(|(id, _)| self.visit_segment(id, visit))
    }

    /// As [`Self::visit`], until `visit` breaks off.
    ///
    /// # Errors
    /// As [`Self::visit`].
    pub fn visit_while(&self, visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>) -> Result<()> {
        for (id, _) in self.segments()? {
            if self.visit_lines(&id, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The same of one segment.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when it cannot be read.
    pub fn visit_segment(&self, id: &SegmentId, visit: &mut dyn FnMut(&Entry)) -> Result<()> {
        let all = &mut |entry: &Entry| {
            visit(entry);
            ControlFlow::Continue(())
        };
        self.visit_lines(id, all).map(drop)
    }

    fn visit_lines(&self, id: &SegmentId, visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>) -> Result<ControlFlow<()>> {
        let mut lines = Lines::new(self.places.open(id).map_err(storage)?);
        while let Some(piece) = lines.next().map_err(storage)? {
            let Piece::Line(line) = piece else { continue };
            let entry = Entry::parse(id, line).filter(|e| self.filter.matches(&e.record));
            if entry.is_some_and(|entry| visit(&entry).is_break()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// As [`Self::visit`], of the records from `since` on; older ones are not read.
    ///
    /// # Errors
    /// As [`Self::visit`].
    pub fn visit_since(&self, since: Timestamp, visit: &mut dyn FnMut(&Entry)) -> Result<()> {
        for (id, _) in self.segments()? {
            let mut lines = self.places.open(&id).and_then(Backward::new).map_err(storage)?;
            while let Some(line) = lines.next().map_err(storage)? {
                let Some(entry) = Entry::parse(&id, &line) else { continue };
                if entry.record.time.0.saturating_add(SLACK_MS) < since.0 {
                    break;
                }
                if entry.record.time >= since && self.filter.matches(&entry.record) {
                    visit(&entry);
                }
            }
        }
        Ok(())
    }

    /// Bytes of all segments.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the directory or a segment cannot be read.
    pub fn size(&self) -> Result<u64> {
        let each = self.segments()?.into_iter();
        each.map(|(id, _)| self.places.open(&id).map(|s| s.len()).map_err(storage)).sum()
    }

    /// All records from here on as they come; looks every `interval` and never ends.
    pub fn follow(self, interval: Duration) -> impl Iterator<Item = Result<Entry>> {
        Follow { tail: self, interval, ready: VecDeque::new() }
    }

    /// The segments with the time of their last change in milliseconds.
    fn segments(&self) -> Result<Vec<(SegmentId, u64)>> {
        let since = |modified: SystemTime| modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut found = Vec::new();
        for dir in self.places.all() {
            for listed in listing::list(dir).map_err(storage)? {
                let since = listed.meta.modified().map(since).unwrap_or_default();
                found.push((listed.id, u64::try_from(since.as_millis()).unwrap_or(u64::MAX)));
            }
        }
        // In the home, and in an archive as well.
        found.sort();
        found.dedup_by(|a, b| a.0 == b.0);
        Ok(found)
    }
}

struct Follow {
    tail: AuditTail,
    interval: Duration,
    ready: VecDeque<Entry>,
}

impl Iterator for Follow {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(Ok(entry));
            }
            match self.tail.poll() {
                Ok(found) if found.is_empty() => std::thread::sleep(self.interval),
                Ok(found) => self.ready.extend(found),
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

/// The newest entries seen so far.
struct Newest {
    count: usize,
    /// Counts down.
    left: u64,
    places: BinaryHeap<Reverse<Place>>,
    entries: BTreeMap<Place, Entry>,
}

impl Newest {
    /// Whether nothing from `time` or before can be among them.
    fn is_beyond(&self, time: u64) -> bool {
        let oldest = self.places.peek().map(|Reverse((time, ..))| *time);
        self.entries.len() >= self.count && oldest.is_none_or(|oldest| time.saturating_add(SLACK_MS) < oldest)
    }

    fn add(&mut self, entry: Entry) {
        let (time, segment, seq) = place(&entry);
        // Later lines come first.
        self.left -= 1;
        let place = (time, segment, seq, self.left);
        self.places.push(Reverse(place.clone()));
        self.entries.insert(place, entry);
        while self.entries.len() > self.count {
            let Some(Reverse(oldest)) = self.places.pop() else { break };
            self.entries.remove(&oldest);
        }
    }
}

fn place(entry: &Entry) -> (u64, SegmentId, u64) {
    (entry.record.time.0, entry.segment.clone(), entry.record.seq)
}

/// Lines of a segment, last first. What stands behind the last line feed is left out.
struct Backward {
    segment: Logical,
    /// Behind the last line feed.
    end: u64,
    /// Where `pending` begins.
    from: u64,
    /// What was read and not yet returned.
    pending: Vec<u8>,
}

impl Backward {
    fn new(segment: Logical) -> io::Result<Self> {
        let len = segment.len();
        let mut this = Self { segment, end: len, from: len, pending: Vec::new() };
        loop {
            if let Some(at) = this.pending.iter().rposition(|b| *b == b'\n') {
                this.pending.truncate(at + 1);
                this.end = this.from + this.pending.len() as u64;
                return Ok(this);
            }
            this.end = this.from;
            if this.from == 0 {
                return Ok(this);
            }
            this.pending.clear();
            this.extend()?;
        }
    }

    /// The line before those returned so far, with its line feed.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let before = self.pending.len().saturating_sub(1);
            if let Some(at) = self.pending.get(..before).and_then(|b| b.iter().rposition(|b| *b == b'\n')) {
                return Ok(Some(self.pending.split_off(at + 1)));
            }
            if self.from == 0 {
                return Ok(Some(std::mem::take(&mut self.pending)).filter(|line| !line.is_empty()));
            }
            if self.pending.len() > MAX_LINE {
                // No record is that long; what is left of the line has no line feed and is no record either.
                self.pending.clear();
            }
            self.extend()?;
        }
    }

    /// Reads the block before `pending`.
    fn extend(&mut self) -> io::Result<()> {
        let len = self.from.min(BLOCK);
        self.segment.seek(SeekFrom::Start(self.from - len))?;
        let mut block = Vec::new();
        (&mut self.segment).take(len).read_to_end(&mut block)?;
        if block.len() as u64 != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        block.append(&mut self.pending);
        self.pending = block;
        self.from -= len;
        Ok(())
    }
}

fn storage(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "cannot read the audit segments").with_source(error)
}
