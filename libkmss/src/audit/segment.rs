//! One segment: a file that records are appended to, and the end of its chain.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::chain::{Head, Line, MAX_LINE, SegmentId};
use super::encode::{self, LineBuffer, kind};
use super::registry::{Registration, State};
use crate::clock::Timestamp;
use crate::os::{Directory, Opening};
use crate::suite::Suite;

/// Ends what was torn, so that not even a record that lacks but its line feed is taken for one.
pub(super) const TORN_END: &[u8] = b" torn\n";
/// How often a writer looks whether its file is still there.
const LOOK_EVERY_MS: u64 = 1000;
/// Longest torn stretch that is still recovered; beyond it a new segment is begun.
const TORN_LIMIT: usize = 1 << 20;

/// A segment that this process writes.
///
/// The file is locked (flock) for as long as the process holds it. Nothing is ever taken back: what a failed write left
/// behind stays, and the next record says so.
pub(super) struct Segment {
    pub(super) registration: Registration,
    pub(super) file: Arc<File>,
    suite: Suite,
    /// Hash of the last record that is whole in the file.
    head: Head,
    /// Number of the next record.
    next: u64,
    /// Length of the file as far as this process knows.
    len: u64,
    /// Bytes after the last whole record.
    torn: Vec<u8>,
    /// Events refused because they could not be written, since the last whole record.
    pub(super) lost: u64,
    /// The genesis record, until it is in the file.
    genesis: Option<Vec<u8>>,
    /// When it was last seen that the file is still in its directory.
    looked: Timestamp,
}

impl Segment {
    /// The segment of a registration just made; its genesis record goes out before the first other one.
    pub(super) fn new(registration: Registration, file: File, suite: Suite, genesis: Vec<u8>) -> Self {
        Self {
            head: Head::start(suite, &registration.segment),
            looked: registration.time,
            registration,
            file: Arc::new(file),
            suite,
            next: 0,
            len: 0,
            torn: Vec::new(),
            lost: 0,
            genesis: Some(genesis),
        }
    }

    /// Goes on with a file whose end is `tail`.
    pub(super) fn continued(registration: Registration, file: File, suite: Suite, tail: Tail) -> Self {
        Self {
            looked: registration.time,
            registration,
            file: Arc::new(file),
            suite,
            head: tail.head,
            next: tail.seq.saturating_add(1),
            len: tail.len,
            torn: tail.torn,
            lost: 0,
            genesis: None,
        }
    }

    /// Length of the file in bytes.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Records since the store last heard of this segment.
    pub(super) const fn unanchored(&self) -> u64 {
        self.next.saturating_sub(1).saturating_sub(self.registration.seq)
    }

    /// Whether so much is torn that a new segment is the better place.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.torn.len() > TORN_LIMIT || (self.next == 0 && !self.torn.is_empty())
    }

    /// Whether the file was deleted, so that records go nowhere. Looks once a second.
    pub(super) fn is_deleted(&mut self, now: Timestamp) -> bool {
        if now.0.abs_diff(self.looked.0) < LOOK_EVERY_MS {
            return false;
        }
        self.looked = now;
        self.file.metadata().is_ok_and(|m| m.nlink() == 0)
    }

    /// Appends a record; `fill` formats its fields. Either the whole record is in the kernel afterwards, or it does not
    /// count and the chain stands where it stood.
    pub(super) fn append(
        &mut self,
        buffer: &mut LineBuffer,
        time: Timestamp,
        kind: &str,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        let result = self.prepare(buffer, time).and_then(|()| self.put(buffer, b"", time, kind, fill));
        if result.is_err() {
            self.lost = self.lost.saturating_add(1);
        }
        result
    }

    /// The registration as it should read now.
    pub(super) fn registered(&self, state: State, time: Timestamp) -> Registration {
        let (seq, head, len) = match self.next.checked_sub(1) {
            Some(seq) => (seq, self.head, self.len),
            None => (0, self.registration.genesis, self.registration.len),
        };
        Registration { state, seq, head, len, time, ..self.registration.clone() }
    }

    /// Writes what must stand before the next record: genesis, or what went wrong.
    fn prepare(&mut self, buffer: &mut LineBuffer, time: Timestamp) -> io::Result<()> {
        if let Some(genesis) = self.genesis.take()
            && let Err(e) = self.write(&genesis, self.registration.genesis)
        {
            self.genesis = Some(genesis);
            return Err(e);
        }
        if self.torn.is_empty() && self.lost == 0 {
            return Ok(());
        }
        let (lost, prefix) = (self.lost, if self.torn.is_empty() { b"".as_slice() } else { TORN_END });
        let torn = (!self.torn.is_empty()).then(|| {
            let len = self.torn.len().saturating_add(prefix.len());
            (len as u64, Head(self.suite.hash(&[&self.torn, prefix])))
        });
        self.put(buffer, prefix, time, kind::RECOVERY, |out| encode::recovery(out, torn, lost))?;
        self.torn = Vec::new();
        self.lost = 0;
        Ok(())
    }

    fn put(
        &mut self,
        buffer: &mut LineBuffer,
        prefix: &[u8],
        time: Timestamp,
        kind: &str,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        fill(buffer.begin(self.head, self.next, time, kind));
        let head = buffer.seal(self.suite);
        if prefix.is_empty() {
            self.write(buffer.line(), head)
        } else {
            self.write(&[prefix, buffer.line()].concat(), head)
        }
    }

    /// One write(2). A part that went out is remembered as torn.
    fn write(&mut self, bytes: &[u8], head: Head) -> io::Result<()> {
        let written = loop {
            match (&*self.file).write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                other => break other?,
            }
        };
        self.len = self.len.saturating_add(written as u64);
        if written == bytes.len() {
            self.head = head;
            self.next = self.next.saturating_add(1);
            return Ok(());
        }
        self.torn.extend_from_slice(bytes.get(..written).unwrap_or(bytes));
        Err(io::Error::new(io::ErrorKind::StorageFull, "only a part of the record could be written"))
    }
}

/// Makes the file of a new segment, locked by this process.
pub(super) fn create(dir: &Directory, segment: &SegmentId) -> io::Result<File> {
    let file = dir.file(segment.file_name().as_ref(), Opening::NewLog)?;
    file.try_lock()?;
    Ok(file)
}

/// Opens the file of an existing segment; `None` when another process writes it.
pub(super) fn reopen(dir: &Directory, segment: &SegmentId) -> io::Result<Option<File>> {
    let file = dir.file(segment.file_name().as_ref(), Opening::Log)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(e),
    }
}

/// Whether the record that the store knows of still stands where it stood when the store was told.
pub(super) fn stands(mut file: &File, known: &Registration) -> io::Result<bool> {
    let from = known.len.saturating_sub(MAX_LINE as u64);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(known.len - from).read_to_end(&mut bytes)?;
    let before = bytes.split_last().map_or(&[][..], |(_, before)| before);
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |feed| feed + 1);
    let line = bytes.get(start..).and_then(Line::split);
    Ok(line.is_some_and(|l| (l.seq, l.head) == (known.seq, known.head)) && from + bytes.len() as u64 == known.len)
}

/// The end of an existing segment.
pub(super) struct Tail {
    /// Number and hash of the last record that is whole.
    pub(super) seq: u64,
    pub(super) head: Head,
    /// Length of the file.
    pub(super) len: u64,
    /// What stands after that record.
    pub(super) torn: Vec<u8>,
}

/// Finds the last record; `None` when there is none within reach of the end.
pub(super) fn tail(file: &File) -> io::Result<Option<Tail>> {
    // Nearly always the first look suffices.
    for window in [2 * MAX_LINE, TORN_LIMIT + 2 * MAX_LINE] {
        if let Some(found) = tail_within(file, window as u64)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn tail_within(mut file: &File, window: u64) -> io::Result<Option<Tail>> {
    let len = file.metadata()?.len();
    let from = len.saturating_sub(window);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(len - from).read_to_end(&mut bytes)?;
    let feed_before = |end: usize| bytes.get(..end).and_then(|b| b.iter().rposition(|b| *b == b'\n'));
    let mut end = bytes.len();
    while let Some(feed) = feed_before(end) {
        // Without a line feed before it the line is whole only if the file begins here.
        let Some(start) = feed_before(feed).map(|at| at + 1).or((from == 0).then_some(0)) else { break };
        if let Some(line) = bytes.get(start..=feed).and_then(Line::split) {
            let torn = bytes.get(feed + 1..).unwrap_or_default().to_vec();
            return Ok(Some(Tail { seq: line.seq, head: line.head, len, torn }));
        }
        end = feed;
    }
    Ok(None)
}
