//! The sink of a process: one segment, and more where threads meet, opened at the first record, left behind by forked
//! children.

use std::cell::Cell;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::buffer::LineBuffer;
use super::chain::{Head, SegmentId};
use super::encode::{self, Predecessor, kind};
use super::known::Known;
use super::origin::{self, Origin};
use super::pending;
use super::registry::{self, State};
use super::seal::Sealer;
use super::segment::{self, OnDisk, Segment, Way};
use super::{AuditEvent, AuditNote, AuditOptions, AuditRemoval, AuditSink, AuditSummary, Outcome};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::os::{Directory, Guard, Hooks, Lock, Rank, SharedBuffer, Ticket};
use crate::random::Random;
use crate::store::Store;
use crate::suite::Suite;

/// Gives a new file or directory of the home its owner, group and mode.
pub type Ownership = dyn Fn(&File) -> Result<()> + Send + Sync;

/// Writes hash-chained segments of JSON Lines (docs/audit.md) into a directory, one per process and more where its threads would wait for each other.
///
/// A record is in the kernel when its call returns, by a `write(2)` of its own or in a shared page; what has an effect, and
/// wrong PINs, also wait for the disk. When a record cannot be written the operation is refused, and the chain goes on where it
/// stood.
pub struct SegmentSink {
    dir: PathBuf,
    ownership: Arc<Ownership>,
    suite: Suite,
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    options: AuditOptions,
    writers: [Lock<Writer>; WRITERS],
    sealer: Option<Arc<Sealer>>,
}

/// Most segments that a process writes at once: threads that meet at one go on in another.
const WRITERS: usize = 4;

thread_local! {
    /// Which writer this thread used last.
    static PREFERRED: Cell<usize> = const { Cell::new(0) };
}

/// What changes with each record. A forked child starts from nothing; the parent's segment is not its own.
struct Writer {
    segment: Option<Segment>,
    /// A file that was made and could not be registered.
    prepared: Option<(SegmentId, File)>,
    buffer: LineBuffer,
    known: Known,
    /// Events refused while there was no segment to say so in.
    lost: u64,
}

impl Writer {
    fn new() -> Self {
        Self { segment: None, prepared: None, buffer: LineBuffer::new(), known: Known::default(), lost: 0 }
    }
}

/// A file to wait for, and a place among those who do.
type Wanted = (Arc<OnDisk>, Ticket);

/// How many segments of other processes are looked at before a new one is made.
const CANDIDATES: usize = 64;
/// How often another name is tried for a new segment.
const NAMES: u32 = 8;

impl SegmentSink {
    /// A sink that writes into `dir` (made when it is missing); nothing happens before the first record.
    ///
    /// `ownership` is applied to everything made. `store` hears of each segment before its first record and of its head
    /// when it ends, so that the verifier misses what vanished.
    pub fn new(
        dir: PathBuf,
        ownership: Arc<Ownership>,
        suite: Suite,
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
        options: AuditOptions,
    ) -> Self {
        let writers = std::array::from_fn(|_| {
            let hooks = Hooks { child: |writer: &mut Writer| *writer = Writer::new(), ..Hooks::default() };
            Lock::with_hooks(Rank::Audit, Writer::new(), hooks)
        });
        Self { dir, ownership, suite, store, random, clock, options, writers, sealer: None }
    }

    /// As this, and where a process opens its first segment and nobody sealed the log for long, it does.
    #[must_use]
    pub fn with_sealer(mut self, sealer: Arc<Sealer>) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// A writer for this thread alone: the one it used last, where that is free. A process with one thread has one segment.
    /// Who will wait for the disk meets the others who do at the first one, so that they wait together.
    fn writer(&self, wait: bool) -> Guard<'_, Writer> {
        if wait {
            let [first, ..] = &self.writers;
            return first.lock();
        }
        let preferred = PREFERRED.try_with(Cell::get).unwrap_or(0);
        let (before, from) = self.writers.split_at_checked(preferred % WRITERS).unwrap_or((&[], &self.writers));
        for (step, writer) in from.iter().chain(before).enumerate() {
            if let Some(free) = writer.try_lock() {
                if step > 0 {
                    let _ = PREFERRED.try_with(|number| number.set((preferred + step) % WRITERS));
                }
                return free;
            }
        }
        let [first, ..] = &self.writers;
        from.first().unwrap_or(first).lock()
    }

    /// Ends the segments there are: a closing record, on the disk, and its head in the store. A later record opens
    /// another one (or continues one of these).
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`]; a segment is then left open, as if the process had been killed.
    pub fn close(&self) -> Result<()> {
        let mut result = Ok(());
        for writer in &self.writers {
            let mut writer = writer.lock();
            let Writer { segment, prepared, buffer, .. } = &mut *writer;
            *prepared = None;
            if let Some(segment) = segment.take() {
                result = result.and(self.end(segment, buffer).map_err(unavailable));
            }
        }
        result
    }

    fn end(&self, mut segment: Segment, buffer: &mut LineBuffer) -> Result<()> {
        segment.flush().map_err(storage)?;
        let now = self.clock.now();
        let fill = |buffer: &mut LineBuffer| {
            buffer.begin(kind::CLOSE);
            0
        };
        segment.append(buffer, Way::AtOnce, now, fill).map_err(storage)?;
        // It may have found no place but the reserve.
        segment.flush().map_err(storage)?;
        segment.file.sync().map_err(storage)?;
        self.forget_buffer(&segment);
        let reusable = self.options.resume && segment.len() < self.options.segment_bytes;
        registry::close(&*self.store, &segment.registered(State::Closed, now), reusable)?;
        // A descriptor that a child took along (between fork and exec) would keep the lock otherwise.
        segment.file.unlock().map_err(storage)
    }

    /// Removes the file beside a segment, in which nothing waits.
    fn forget_buffer(&self, segment: &Segment) {
        if segment.has_buffer() {
            let name = pending::file_name(&segment.registration.segment);
            // What stays says that nothing waits, and the next writer removes it.
            let _ = Directory::open(&self.dir).and_then(|dir| dir.remove(name.as_ref()));
        }
    }

    /// A place where records of a segment wait; `None` where the system offers none.
    fn buffer(&self, segment: &SegmentId) -> Option<SharedBuffer> {
        let prepare = |file: &File| (self.ownership)(file).map_err(io::Error::other);
        Directory::open(&self.dir)
            .and_then(|dir| pending::create(&dir, segment, &origin::boot(), self.reserve(), prepare))
            .ok()
    }

    /// Whether a segment is to end because of its age.
    fn is_old(&self, id: &SegmentId, now: Timestamp) -> bool {
        let age = self.options.segment_age;
        !age.is_zero() && u128::from(now.0.saturating_sub(id.millis())) >= age.as_millis()
    }

    fn reserve(&self) -> usize {
        usize::try_from(self.options.emergency_bytes).unwrap_or_default()
    }

    /// Appends one record and gives the file to wait for and a place there, where `wait` says so, and whether a segment was opened
    /// for it. The record itself is in the kernel; `seen` is shown where, and its line.
    fn append(
        &self,
        time: Timestamp,
        fill: impl FnOnce(&mut LineBuffer, &mut Known) -> usize,
        wait: bool,
        seen: impl FnOnce(&SegmentId, &[u8]),
    ) -> Result<(Option<Wanted>, bool)> {
        let mut writer = self.writer(wait);
        let Writer { segment, prepared, buffer, known, lost } = &mut *writer;
        // The verifier names what was deleted; what comes is written where it can be read.
        if let Some(mut gone) = segment.take_if(|s| s.is_gone(time)) {
            *lost = lost.saturating_add(gone.lost);
            // Something else may stand under its name: only the store can still say what was written.
            self.anchor(&mut gone).inspect_err(|_| *lost = lost.saturating_add(1))?;
            self.forget_buffer(&gone);
        }
        if let Some(left) = segment.take_if(|s| s.is_hopeless()) {
            *lost = lost.saturating_add(left.lost);
        }
        let ends = |s: &Segment| s.len() >= self.options.segment_bytes || self.is_old(&s.registration.segment, time);
        if let Some(full) = segment.take_if(|s| ends(s) && !s.uses_reserve()) {
            self.end(full, buffer)?;
        }
        let opens = segment.is_none();
        let current = match segment {
            Some(current) => current,
            None => match self.open(prepared, buffer) {
                Ok(mut opened) => {
                    if self.reserve() > 0 && opened.wants_buffer() {
                        let place = self.buffer(&opened.registration.segment);
                        opened.reserve_in(place);
                    }
                    opened.lost = std::mem::take(lost);
                    segment.insert(opened)
                }
                Err(e) => {
                    *lost = lost.saturating_add(1);
                    return Err(e);
                }
            },
        };
        let way = if wait { Way::AtOnce } else { current.way(self.options.at_once) };
        if way == Way::Waits && current.wants_buffer() {
            current.wait_in(self.buffer(&current.registration.segment));
        }
        current.append(buffer, way, time, |buffer| fill(buffer, known)).map_err(storage)?;
        seen(&current.registration.segment, buffer.line());
        if current.is_anchor_due(self.options.anchor_every, time) && !current.uses_reserve() {
            self.anchor(current)?;
        }
        Ok((wait.then(|| (Arc::clone(&current.file), current.file.ask())), opens))
    }

    fn write(
        &self,
        time: Timestamp,
        fill: impl FnOnce(&mut LineBuffer, &mut Known) -> usize,
        wait: bool,
    ) -> Result<()> {
        self.write_seen(time, fill, wait, |_, _| ())
    }

    fn write_seen(
        &self,
        time: Timestamp,
        fill: impl FnOnce(&mut LineBuffer, &mut Known) -> usize,
        wait: bool,
        seen: impl FnOnce(&SegmentId, &[u8]),
    ) -> Result<()> {
        self.on_disk(self.append(time, fill, wait, seen))
    }

    /// Returns when what was appended is on the disk, where that is wanted: outside the lock, so that other operations go on.
    fn on_disk(&self, appended: Result<(Option<Wanted>, bool)>) -> Result<()> {
        let (wanted, opened) = appended.map_err(unavailable)?;
        if let Some((file, ticket)) = wanted {
            file.wait(ticket).map_err(|e| unavailable(storage(e)))?;
        }
        if opened && let Some(sealer) = &self.sealer {
            sealer.seal_for_others();
        }
        Ok(())
    }

    /// Tells the store how far the segment is. The disk comes first: the store must never know more than it, but where
    /// what it should hold was destroyed.
    fn anchor(&self, segment: &mut Segment) -> Result<()> {
        if !segment.lost_track {
            segment.flush().map_err(storage)?;
        }
        segment.file.sync().map_err(storage)?;
        let registration = segment.registered(State::Open, self.clock.now());
        match registry::anchor(&*self.store, &registration) {
            // A store that is busy hears of a later record.
            Err(e) if e.kind().is_transient() => (),
            // It is as full as the log, which has a reserve.
            Err(e) if e.kind() == ErrorKind::Storage && self.reserve() > 0 => (),
            other => other?,
        }
        segment.registration = registration;
        Ok(())
    }

    fn open(&self, prepared: &mut Option<(SegmentId, File)>, buffer: &mut LineBuffer) -> Result<Segment> {
        let origin = Origin::current(&*self.random)?;
        if prepared.is_none()
            && self.options.resume
            && let Some(segment) = self.resume(&origin, buffer)?
        {
            return Ok(segment);
        }
        let (id, file) = match prepared.take() {
            Some(made) => made,
            None => self.create()?,
        };
        let now = self.clock.now();
        let mut line = Vec::new();
        let mut genesis = |ordinal, previous: Option<&Predecessor>| {
            encode::genesis(buffer.begin(kind::GENESIS), &id, ordinal, self.suite, &origin, previous);
            let head = buffer.seal(self.suite, Head::start(self.suite, &id), (0, now), 0);
            line = buffer.line().to_vec();
            (head, line.len() as u64)
        };
        match registry::register(&*self.store, &id, origin.uid, now, &mut genesis) {
            Ok(registration) => Ok(Segment::new(registration, file, self.suite, line)),
            Err(e) => {
                if e.kind() != ErrorKind::AlreadyExists {
                    *prepared = Some((id, file));
                }
                Err(e)
            }
        }
    }

    /// The file of a new segment. It is in its directory for good before the store hears of it.
    fn create(&self) -> Result<(SegmentId, File)> {
        let dir = self.directory()?;
        let mut last = None;
        for _ in 0..NAMES {
            let mut random = [0; 8];
            self.random.fill(&mut random)?;
            let id = SegmentId::new(self.clock.now().0, random);
            match segment::create(&dir, &id) {
                Ok(file) => {
                    (self.ownership)(&file)?;
                    dir.sync().map_err(storage)?;
                    return Ok((id, file));
                }
                Err(e) => last = Some(e),
            }
        }
        Err(storage(last.unwrap_or_else(|| io::ErrorKind::Other.into())))
    }

    /// The directory, held open: who may write to the home could put a link in its place, and a writer with more rights
    /// would make files wherever that leads.
    fn directory(&self) -> Result<Directory> {
        let made = match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
            other => other.map(|()| true).map_err(storage)?,
        };
        let dir = Directory::open(&self.dir).map_err(|e| {
            Error::new(ErrorKind::HomeUnsafe, "the audit directory of the home is no directory").with_source(e)
        })?;
        if made {
            (self.ownership)(dir.as_file())?;
            if let Some(parent) = self.dir.parent().filter(|p| *p != Path::new("")) {
                File::open(parent).and_then(|p| p.sync_all()).map_err(storage)?;
            }
        }
        Ok(dir)
    }

    /// Goes on with a segment that a process of this user closed, or left when it was killed.
    fn resume(&self, origin: &Origin, buffer: &mut LineBuffer) -> Result<Option<Segment>> {
        if origin.uid == Origin::UNKNOWN_UID {
            return Ok(None);
        }
        for state in [State::Closed, State::Open] {
            for id in registry::candidates(&*self.store, state, origin.uid, CANDIDATES)? {
                if let Some(mut segment) = self.take_over(&id, origin.uid)? {
                    let fill = |buffer: &mut LineBuffer| {
                        encode::resume(buffer.begin(kind::RESUME), origin);
                        0
                    };
                    segment.append(buffer, Way::AtOnce, self.clock.now(), fill).map_err(storage)?;
                    return Ok(Some(segment));
                }
            }
        }
        Ok(None)
    }

    /// Closes a segment that a killed process of this user left open; false where it is not such a one.
    pub(super) fn close_left(&self, id: &SegmentId) -> Result<bool> {
        let origin = Origin::current(&*self.random)?;
        let known = registry::read(&*self.store, id)?;
        if known.is_none_or(|(known, _)| known.state != State::Open || known.uid != origin.uid) {
            return Ok(false);
        }
        let Some(mut segment) = self.take_over(id, origin.uid)? else { return Ok(false) };
        let mut buffer = LineBuffer::new();
        let fill = |buffer: &mut LineBuffer| {
            encode::resume(buffer.begin(kind::RESUME), &origin);
            0
        };
        segment.append(&mut buffer, Way::AtOnce, self.clock.now(), fill).map_err(storage)?;
        self.end(segment, &mut buffer).map(|()| true)
    }

    /// `None` when the segment is in use, or cannot be continued.
    fn take_over(&self, id: &SegmentId, uid: u32) -> Result<Option<Segment>> {
        let retire = || registry::retire(&*self.store, uid, id).map(|()| None);
        let Ok(dir) = Directory::open(&self.dir) else { return retire() };
        let Ok(file) = segment::reopen(&dir, id) else { return retire() };
        let Some(file) = file else { return Ok(None) };
        // Under the file's lock: whoever wrote it before has told the store what it had to tell.
        let (found, entry) = match registry::read(&*self.store, id) {
            Ok(Some(found)) => found,
            Ok(None) => return retire(),
            // The verifier names it; it must not keep everybody from recording what they do.
            Err(e) if e.kind() == ErrorKind::Damaged => return retire(),
            Err(e) => return Err(e),
        };
        // What this process tells the store later replaces what the store knows now: a file that contradicts it is left
        // to the verifier as it is, and so is one that does not fit what waits beside it.
        if !segment::stands(&file, &found).unwrap_or(false) {
            return retire();
        }
        match pending::complete(&dir, id, &file, found.state == State::Closed) {
            Ok(true) => (),
            Ok(false) => return retire(),
            // There may be space, or leave, another time.
            Err(_) => return Ok(None),
        }
        let Ok(Some(tail)) = file.metadata().and_then(|meta| segment::tail(&file, meta.len())) else { return retire() };
        let as_registered = match found.state {
            State::Closed => (tail.seq, tail.len) == (found.seq, found.len) && tail.torn.is_empty(),
            State::Open => tail.seq >= found.seq,
        };
        let ends = tail.len >= self.options.segment_bytes || self.is_old(id, self.clock.now());
        if !as_registered || found.uid != uid || ends || found.retired {
            return retire();
        }
        let now = registry::Registration { state: State::Open, time: self.clock.now(), ..found.clone() };
        if !registry::claim(&*self.store, &found, &entry, &now)? {
            return Ok(None);
        }
        Ok(Some(Segment::continued(now, file, self.suite, tail)))
    }
}

impl SegmentSink {
    /// Records what is about no operation. Alarms wait for the disk.
    ///
    /// # Errors
    /// [`ErrorKind::AuditUnavailable`].
    pub fn note(&self, note: &AuditNote<'_>) -> Result<()> {
        let fill = |buffer: &mut LineBuffer, _: &mut Known| {
            note.push(buffer.begin(note.kind()));
            0
        };
        self.write(self.clock.now(), fill, matches!(note, AuditNote::Alarm(_)))
    }

    /// Records that a segment is about to be removed: on the disk, with where that stands and the line.
    pub(super) fn note_removal(&self, removal: &AuditRemoval) -> Result<(SegmentId, Vec<u8>)> {
        let fill = |buffer: &mut LineBuffer, _: &mut Known| {
            removal.push(buffer.begin(kind::REMOVAL));
            0
        };
        let mut stands = None;
        let seen = |segment: &SegmentId, line: &[u8]| stands = Some((segment.clone(), line.to_vec()));
        self.write_seen(self.clock.now(), fill, true, seen)?;
        stands.ok_or_else(|| Error::new(ErrorKind::Internal, "a record was written and not seen"))
    }
}

impl AuditSink for SegmentSink {
    fn wants(&self, action: Action, outcome: Outcome, tags: &[String]) -> bool {
        self.options.wants(action, outcome, tags)
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<()> {
        if !self.options.wants(event.action, event.outcome, event.tags) {
            return Ok(());
        }
        let wait = self.options.waits_for_disk(event);
        self.write(event.time, |buffer, known| known.event(buffer, event), wait)
    }

    fn record_each(&self, events: &[AuditEvent<'_>]) -> Vec<Result<()>> {
        let append = |event: &AuditEvent<'_>| {
            if !self.options.wants(event.action, event.outcome, event.tags) {
                return Ok((None, false));
            }
            let wait = self.options.waits_for_disk(event);
            self.append(event.time, |buffer, known| known.event(buffer, event), wait, |_, _| ())
        };
        let appended: Vec<_> = events.iter().map(append).collect();
        // The last one first: what came before it in a file is on the disk with it.
        let mut ends: Vec<_> = appended.into_iter().rev().map(|one| self.on_disk(one)).collect();
        ends.reverse();
        ends
    }

    fn summarizes(&self) -> bool {
        !self.options.session
    }

    fn summarize(&self, summary: &AuditSummary<'_>) -> Result<()> {
        let fill =
            |buffer: &mut LineBuffer, known: &mut Known| encode::summary(buffer.begin(kind::SUMMARY), known, summary);
        self.write(summary.time, fill, self.options.sync_all)
    }
}

impl Drop for SegmentSink {
    fn drop(&mut self) {
        // What cannot be closed stays open, which the verifier tells apart.
        let _ = self.close();
    }
}

impl std::fmt::Debug for SegmentSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentSink").field("dir", &self.dir).field("suite", &self.suite).finish_non_exhaustive()
    }
}

fn storage(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "cannot write the audit segment").with_source(error)
}

fn unavailable(cause: Error) -> Error {
    Error::new(
        ErrorKind::AuditUnavailable,
        "the operation was refused because its audit record could not be written; check space and permissions of the home",
    )
    .with_source(cause)
}
