//! One segment: a file that records are appended to, and the end of its chain.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::race::OnceBox;

use super::buffer::LineBuffer;
use super::chain::{Head, Line, MAX_LINE, SegmentId};
use super::encode::{self, kind};
use super::registry::{Registration, State};
use crate::clock::Timestamp;
use crate::os::{Directory, Opening, Rounds, SharedBuffer, Ticket};
use crate::suite::Suite;

/// Ends what was torn, so that not even a record that lacks but its line feed is taken for one.
pub(super) const TORN_END: &[u8] = b" torn\n";
/// How often a writer looks whether its files are still there, and longest time after which it moves what waits to the
/// segment.
const LOOK_EVERY_MS: u64 = 1000;
/// Longest torn stretch that is still recovered; beyond it a new segment is begun.
const TORN_LIMIT: usize = 1 << 20;

/// A segment that this process writes.
///
/// The file is locked (flock) for as long as the process holds it. Nothing is ever taken back: what a failed write left
/// behind stays, and the next record says so.
///
/// The first records of each second, and those that must be on the disk, go to the file at once; the others wait beside it
/// ([`super::pending`]) until a single write takes them all. Either way they are in the kernel.
pub(super) struct Segment {
    pub(super) registration: Registration,
    pub(super) file: Arc<OnDisk>,
    suite: Suite,
    /// Hash of the last record that is whole in the file.
    head: Head,
    /// Number of the next record.
    next: u64,
    /// Length of the file as far as this process knows, with what waits beside it.
    len: u64,
    /// Where records wait.
    waiting: Waiting,
    /// Records that went to the file at once since `looked`.
    at_once: u32,
    /// What waits would not survive this process: somebody deleted the file beside this one, or cut it.
    adrift: bool,
    /// What waited was destroyed.
    pub(super) lost_track: bool,
    /// Bytes after the last whole record.
    torn: Vec<u8>,
    /// Records that are in the reserve because the disk was full, or were.
    reserved: u64,
    /// Somebody deleted the file with the reserve.
    reserve_is_gone: bool,
    /// Events refused because they could not be written, since the last whole record.
    pub(super) lost: u64,
    /// The genesis record, until it is in the file.
    genesis: Option<Vec<u8>>,
    /// When it was last seen that the files are still in their directory.
    looked: Timestamp,
}

/// A segment's file, and those who wait until it is on the disk.
pub(super) struct OnDisk {
    file: File,
    rounds: Rounds,
    /// The file beside it, where records go while the disk is full.
    reserve: OnceBox<File>,
    /// Whether records are there that the file does not have.
    uses_reserve: AtomicBool,
}

impl OnDisk {
    fn new(file: File) -> Self {
        Self { file, rounds: Rounds::default(), reserve: OnceBox::new(), uses_reserve: AtomicBool::new(false) }
    }

    /// A place among those who wait, for what is in the file by now.
    pub(super) fn ask(&self) -> Ticket {
        self.rounds.ask()
    }

    /// Returns when what was in the file when the ticket was given out is on the disk. Threads that wait at one time share one
    /// `fdatasync`.
    pub(super) fn wait(&self, ticket: Ticket) -> io::Result<()> {
        self.rounds.wait(ticket, || {
            // First what may go to the file meanwhile, where it is synced before it leaves here.
            if let Some(reserve) = self.reserve.get().filter(|_| self.uses_reserve.load(Ordering::Acquire)) {
                reserve.sync_data()?;
            }
            self.file.sync_data()
        })
    }

    /// Returns when all that is in the file is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.wait(self.ask())
    }

    /// Lets another process have the file.
    pub(super) fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

/// The place beside a segment where records wait.
enum Waiting {
    /// There was no need for it yet.
    Unmade,
    /// There can be none: each record goes to the file.
    Refused,
    /// There it is.
    Buffer(SharedBuffer),
}

/// Which way a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the file.
    AtOnce,
    /// Beside it, where there is a place.
    Waits,
}

impl Segment {
    /// The segment of a registration just made; its genesis record goes out before the first other one.
    pub(super) fn new(registration: Registration, file: File, suite: Suite, genesis: Vec<u8>) -> Self {
        Self {
            head: Head::start(suite, &registration.segment),
            looked: registration.time,
            registration,
            file: Arc::new(OnDisk::new(file)),
            suite,
            next: 0,
            len: 0,
            waiting: Waiting::Unmade,
            at_once: 0,
            adrift: false,
            lost_track: false,
            torn: Vec::new(),
            reserved: 0,
            reserve_is_gone: false,
            lost: 0,
            genesis: Some(genesis),
        }
    }

    /// Goes on with a file whose end is `tail`.
    pub(super) fn continued(registration: Registration, file: File, suite: Suite, tail: Tail) -> Self {
        Self {
            looked: registration.time,
            registration,
            file: Arc::new(OnDisk::new(file)),
            suite,
            head: tail.head,
            next: tail.seq.saturating_add(1),
            len: tail.len,
            waiting: Waiting::Unmade,
            at_once: 0,
            adrift: false,
            lost_track: false,
            torn: tail.torn,
            reserved: 0,
            reserve_is_gone: false,
            lost: 0,
            genesis: None,
        }
    }

    /// Length in bytes, with what waits.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the store is to hear of this segment: it does not know the newest `every` records, nor was told within the
    /// second. 0 stands for never.
    pub(super) const fn is_anchor_due(&self, every: u64, now: Timestamp) -> bool {
        let unknown = self.next.saturating_sub(1).saturating_sub(self.registration.seq);
        every > 0 && unknown >= every && now.0.abs_diff(self.registration.time.0) >= LOOK_EVERY_MS
    }

    /// Whether a new segment is the better place: so much is torn, or the disk refused records that are in the file as far as
    /// anybody can see.
    pub(super) fn is_hopeless(&self) -> bool {
        self.torn.len() > TORN_LIMIT || (self.next == 0 && !self.torn.is_empty()) || self.file.rounds.has_failed()
    }

    /// Whether the file was deleted, or what waited beside it destroyed, so that records go nowhere. Once a second it looks,
    /// and moves to the file what waits.
    pub(super) fn is_gone(&mut self, now: Timestamp) -> bool {
        if now.0.abs_diff(self.looked.0) < LOOK_EVERY_MS {
            return self.lost_track;
        }
        (self.looked, self.at_once) = (now, 0);
        // Where there is no space, it goes on waiting.
        let _ = self.flush();
        self.adrift = matches!(&self.waiting, Waiting::Buffer(buffer) if !buffer.is_there());
        self.lost_track || self.file.file.metadata().is_ok_and(|m| m.nlink() == 0)
    }

    /// Which way the next record goes, when `limit` records a second go to the file at once.
    pub(super) fn way(&mut self, limit: u32) -> Way {
        if self.at_once < limit && self.is_flushed() {
            self.at_once += 1;
            return Way::AtOnce;
        }
        Way::Waits
    }

    /// Whether a place for records to wait is to be made, which [`Self::wait_in`] gives.
    pub(super) const fn wants_buffer(&self) -> bool {
        matches!(self.waiting, Waiting::Unmade)
    }

    /// Where records wait from now on; `None` where that cannot be.
    pub(super) fn wait_in(&mut self, buffer: Option<SharedBuffer>) {
        self.waiting = buffer.map_or(Waiting::Refused, Waiting::Buffer);
    }

    /// Whether a file beside this one was made.
    pub(super) const fn has_buffer(&self) -> bool {
        matches!(self.waiting, Waiting::Buffer(_))
    }

    /// Whether the file holds every record.
    const fn is_flushed(&self) -> bool {
        match &self.waiting {
            Waiting::Buffer(buffer) => buffer.is_empty(),
            Waiting::Unmade | Waiting::Refused => true,
        }
    }

    /// Has a place for records while the disk is full: that of the buffer, which has a reserve.
    pub(super) fn reserve_in(&mut self, buffer: Option<SharedBuffer>) {
        if let Some(file) = buffer.as_ref().and_then(|buffer| buffer.file().ok()) {
            let _ = self.file.reserve.set(Box::new(file));
        }
        self.wait_in(buffer);
    }

    /// Whether records are in the reserve.
    pub(super) fn uses_reserve(&self) -> bool {
        self.file.uses_reserve.load(Ordering::Relaxed)
    }

    /// Moves what waits to the file.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let uses_reserve = self.uses_reserve();
        let OnDisk { file, uses_reserve: flag, .. } = &*self.file;
        match &mut self.waiting {
            Waiting::Buffer(buffer) if !buffer.is_empty() => {
                // Somebody may have been told that what is in the reserve is on the disk.
                let moved = buffer.flush_and(file, || if uses_reserve { file.sync_data() } else { Ok(()) });
                if moved.is_ok() {
                    flag.store(false, Ordering::Release);
                }
                // The mapped file was cut, and what waited is gone with it.
                self.lost_track |= moved.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::EFAULT));
                moved
            }
            _ => Ok(()),
        }
    }

    /// Appends a record; `fill` begins it and formats its fields, and gives how many bytes of the line others will begin
    /// with. Either the whole record is in the kernel afterwards, or it does not count and the chain stands where it stood.
    pub(super) fn append(
        &mut self,
        buffer: &mut LineBuffer,
        way: Way,
        time: Timestamp,
        fill: impl FnOnce(&mut LineBuffer) -> usize,
    ) -> io::Result<()> {
        let result = self.prepare(buffer, time).and_then(|()| self.put(buffer, way, b"", time, fill));
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
            && let Err(e) = self.write(Way::AtOnce, &genesis, self.registration.genesis)
        {
            self.genesis = Some(genesis);
            return Err(e);
        }
        if self.uses_reserve() {
            // The first record since may be the one that finds space.
            let _ = self.flush();
        }
        let reserved = if self.uses_reserve() { 0 } else { self.reserved };
        if self.torn.is_empty() && self.lost == 0 && reserved == 0 {
            return Ok(());
        }
        let (lost, prefix) = (self.lost, if self.torn.is_empty() { b"".as_slice() } else { TORN_END });
        let torn = (!self.torn.is_empty()).then(|| {
            let len = self.torn.len().saturating_add(prefix.len());
            (len as u64, Head(self.suite.hash(&[&self.torn, prefix])))
        });
        self.put(buffer, Way::AtOnce, prefix, time, |buffer| {
            encode::recovery(buffer.begin(kind::RECOVERY), torn, lost, reserved);
            0
        })?;
        self.torn = Vec::new();
        self.lost = 0;
        self.reserved -= reserved;
        Ok(())
    }

    fn put(
        &mut self,
        buffer: &mut LineBuffer,
        way: Way,
        prefix: &[u8],
        time: Timestamp,
        fill: impl FnOnce(&mut LineBuffer) -> usize,
    ) -> io::Result<()> {
        let repeated = fill(buffer);
        let head = buffer.seal(self.suite, self.head, (self.next, time), repeated);
        if prefix.is_empty() {
            self.write(way, buffer.line(), head)
        } else {
            self.write(way, &[prefix, buffer.line()].concat(), head)
        }
    }

    fn write(&mut self, way: Way, bytes: &[u8], head: Head) -> io::Result<()> {
        let waits = match way {
            Way::Waits => self.let_wait(bytes),
            Way::AtOnce => self.flush().map(|()| false),
        };
        match waits {
            Ok(true) => {
                self.len = self.len.saturating_add(bytes.len() as u64);
                self.goes_on(head);
                Ok(())
            }
            Ok(false) => self.flush().and_then(|()| self.write_at_once(bytes, head)),
            Err(e) if self.keep(bytes) => {
                drop(e);
                self.goes_on(head);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    const fn goes_on(&mut self, head: Head) {
        self.head = head;
        self.next = self.next.saturating_add(1);
    }

    /// Puts the bytes, the rest of a record, into the reserve; false where there is none, or no room in it.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        if self.file.reserve.get().is_none() || self.reserve_is_gone || self.adrift || self.lost_track {
            return false;
        }
        let Waiting::Buffer(buffer) = &mut self.waiting else { return false };
        if !buffer.is_there() || !buffer.push_into_reserve(self.len, bytes) {
            return false;
        }
        self.len = self.len.saturating_add(bytes.len() as u64);
        self.reserved = self.reserved.saturating_add(1);
        self.file.uses_reserve.store(true, Ordering::Release);
        true
    }

    /// Puts the bytes beside the file; false where there is no place for them.
    fn let_wait(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if !self.adrift {
            let Waiting::Buffer(buffer) = &mut self.waiting else { return Ok(false) };
            if buffer.push(self.len, bytes) {
                return Ok(true);
            }
        }
        self.flush()?;
        let Waiting::Buffer(buffer) = &mut self.waiting else { return Ok(false) };
        if self.adrift || !buffer.is_there() {
            (self.waiting, self.adrift, self.reserve_is_gone) = (Waiting::Unmade, false, true);
            return Ok(false);
        }
        Ok(buffer.push(self.len, bytes))
    }

    /// One write(2). A part that went out is remembered as torn.
    fn write_at_once(&mut self, bytes: &[u8], head: Head) -> io::Result<()> {
        let written = loop {
            match (&self.file.file).write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                other => break other,
            }
        };
        let (written, error) = match written {
            Ok(written) => {
                (written, io::Error::new(io::ErrorKind::StorageFull, "only a part of the record could be written"))
            }
            Err(e) => (0, e),
        };
        self.len = self.len.saturating_add(written as u64);
        let rest = bytes.get(written..).unwrap_or_default();
        if rest.is_empty() || self.keep(rest) {
            self.goes_on(head);
            return Ok(());
        }
        if written > 0 {
            self.torn.extend_from_slice(bytes.get(..written).unwrap_or(bytes));
        }
        Err(error)
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
    /// Length of what was looked at.
    pub(super) len: u64,
    /// What stands after that record.
    pub(super) torn: Vec<u8>,
}

/// Finds the last record in the first `len` bytes; `None` when there is none within reach of the end.
pub(super) fn tail(file: &File, len: u64) -> io::Result<Option<Tail>> {
    // Nearly always the first look suffices.
    for window in [2 * MAX_LINE, TORN_LIMIT + 2 * MAX_LINE] {
        if let Some(found) = tail_within(file, len, window as u64)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn tail_within(file: &File, len: u64, window: u64) -> io::Result<Option<Tail>> {
    let from = len.saturating_sub(window);
    let mut bytes = vec![0; usize::try_from(len - from).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
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
