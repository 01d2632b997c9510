//! Following the log of all processes from a cursor on: each segment's records in their order, segments side by side by time,
//! nothing left out and nothing twice.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use super::chain::{Form, HASH_FIELD, LINE_END, LINE_START, SegmentId};
use super::cursor::{Cursor, Position};
use super::encode::kind;
use super::lines::{Lines, Piece};
use super::listing;
use super::packed;
use super::pending::{self, Logical};
use super::record::{Entry, Record};
use super::text::decode;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read of a segment at once.
const BLOCK: usize = 64 * 1024;

/// The process that writes a segment, as its last genesis or resume record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// Its host.
    pub host: Option<String>,
    /// Its number.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: Option<u32>,
    /// Its program.
    pub executable: Option<String>,
}

impl Writer {
    /// What a record says about who writes from there on; `None` for all but a few.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let lossy = |text: &String| String::from_utf8_lossy(&decode(text).0).into_owned();
        record.exe.is_some().then(|| Self {
            host: record.host.as_ref().map(lossy),
            pid: record.pid,
            uid: record.uid.filter(|uid| *uid != u32::MAX),
            executable: record.exe.as_ref().map(lossy),
        })
    }
}

/// A record with who wrote it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The record.
    pub entry: Entry,
    /// The process that wrote it.
    pub writer: Arc<Writer>,
}

/// Something that a reader must not pass over in silence. It reads on all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Irregularity {
    /// A segment is no longer there, and its last record that was read did not close it.
    Vanished(SegmentId),
    /// What was read of a segment is no longer there as it was; all of it is read again.
    Changed(SegmentId),
    /// A record has not the number that is due.
    OutOfOrder {
        /// Where.
        segment: SegmentId,
        /// The number that was due.
        due: u64,
        /// The number that is there.
        found: u64,
    },
    /// Bytes that are no record.
    NoRecord(SegmentId),
}

/// What was read at once.
#[derive(Debug, Default)]
pub struct Stretch {
    /// Records, in the order in which they may be handed on.
    pub records: Vec<Followed>,
    /// What was noticed on the way.
    pub irregularities: Vec<Irregularity>,
    /// Whether there was more than was asked for.
    pub more: bool,
}

/// A reader that goes on where it was, also after its process ended.
#[derive(Debug)]
pub struct AuditFollower {
    dir: PathBuf,
    cursor: Cursor,
    writers: HashMap<SegmentId, Arc<Writer>>,
    /// Length of segments that were read to their end and beside which nothing waited.
    settled: HashMap<SegmentId, u64>,
}

impl AuditFollower {
    /// A reader of the segments in `dir` (the home's `audit`) from `cursor` on.
    #[must_use]
    pub fn new(dir: PathBuf, cursor: Cursor) -> Self {
        Self { dir, cursor, writers: HashMap::new(), settled: HashMap::new() }
    }

    /// Where it is: behind everything that it returned.
    #[must_use]
    pub const fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Goes back (or ahead) to `cursor`.
    pub fn rewind(&mut self, cursor: Cursor) {
        self.cursor = cursor;
        self.writers.clear();
        self.settled.clear();
    }

    /// Goes to the end of all there is.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the directory or a segment cannot be read.
    pub fn skip_to_end(&mut self) -> Result<()> {
        loop {
            let stretch = self.read(10_000, 16 << 20)?;
            if !stretch.more {
                return Ok(());
            }
        }
    }

    /// Bytes that were not read yet.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the directory or a segment cannot be read.
    pub fn lag(&self) -> Result<u64> {
        let mut lag = 0_u64;
        for (id, ..) in self.segments()?.0 {
            let len = match Logical::open(&self.dir, &id) {
                Ok(segment) => segment.len(),
                // What cannot be unpacked is not waited for.
                Err(e) if e.kind() == io::ErrorKind::NotFound || packed::is_damage(&e) => continue,
                Err(e) => return Err(storage(e)),
            };
            let from = self.cursor.segments.get(&id).map_or(0, |position| position.offset);
            lag = lag.saturating_add(len.saturating_sub(from));
        }
        Ok(lag)
    }

    /// What comes next: at most `most` records, and few more than `bytes` bytes of them.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the directory or a segment cannot be read; it then stays where it was.
    pub fn read(&mut self, most: usize, bytes: usize) -> Result<Stretch> {
        let before = self.cursor.clone();
        let read = self.read_on(most, bytes);
        if read.is_err() {
            self.rewind(before);
        }
        read
    }

    fn read_on(&mut self, most: usize, bytes: usize) -> Result<Stretch> {
        let mut stretch = Stretch::default();
        let mut heads = self.candidates(&mut stretch)?;
        let mut left = bytes;
        while let Some(Reverse((_, id, _))) = heads.peek() {
            if stretch.records.len() >= most || left == 0 {
                stretch.more = true;
                break;
            }
            let id = id.clone();
            let Some(Reverse((_, _, mut source))) = heads.pop() else { break };
            let taken = match source.state.take() {
                None => {
                    source.state = match self.open(&id, &mut stretch) {
                        Err(e) if packed::is_damage(&e) => {
                            self.pass_by(id, &source, &mut stretch);
                            continue;
                        }
                        other => other.map_err(storage)?,
                    };
                    None
                }
                Some(mut open) => {
                    let taken = open.head.take();
                    source.state = Some(open);
                    taken
                }
            };
            if let Some((entry, end)) = taken {
                left = left.saturating_sub(entry.raw.len());
                stretch.records.push(self.accept(&id, entry, end, &mut stretch.irregularities));
            }
            let Some(open) = &mut source.state else { continue };
            let next = match open.advance(&id) {
                Err(e) if packed::is_damage(&e) => {
                    self.pass_by(id, &source, &mut stretch);
                    continue;
                }
                other => other.map_err(storage)?,
            };
            match next {
                Some(time) => heads.push(Reverse((time, id, source))),
                None => {
                    if open.junk {
                        stretch.irregularities.push(Irregularity::NoRecord(id.clone()));
                    }
                    if source.bare {
                        self.settled.insert(id, source.packed.unwrap_or(open.len));
                    }
                }
            }
        }
        Ok(stretch)
    }

    /// Leaves alone what cannot be unpacked: whatever is behind it in other segments is handed on all the same, and as long as
    /// the cursor is not behind it the segment stays.
    fn pass_by(&mut self, id: SegmentId, source: &Source, stretch: &mut Stretch) {
        stretch.irregularities.push(Irregularity::NoRecord(id.clone()));
        self.settled.extend(source.packed.map(|len| (id, len)));
    }

    /// The segments of which there may be something to read, by the time of what comes next in them.
    fn candidates(&mut self, stretch: &mut Stretch) -> Result<BinaryHeap<Reverse<(u64, SegmentId, Source)>>> {
        let (segments, waiting) = self.segments()?;
        let there: HashSet<&SegmentId> = segments.iter().map(|(id, ..)| id).collect();
        let gone: Vec<_> = self.cursor.segments.keys().filter(|id| !there.contains(id)).cloned().collect();
        for id in gone {
            // It may have been compressed while the directory was read.
            if listing::look(&self.dir, &id).map_err(storage)?.is_some() {
                continue;
            }
            let closed = self.cursor.segments.remove(&id).is_some_and(|position| position.closed);
            self.settled.remove(&id);
            self.writers.remove(&id);
            if !closed {
                stretch.irregularities.push(Irregularity::Vanished(id));
            }
        }
        let mut heads = BinaryHeap::new();
        for (id, len, form) in segments {
            let bare = !waiting.contains(&id);
            let position = self.cursor.segments.get(&id);
            // A segment is closed each time its writer changes: only at its end nothing more comes. How long a compressed one
            // is, its table tells.
            let ended = |p: &Position| p.closed && p.offset == len && form == Form::Plain;
            if bare && (self.settled.get(&id) == Some(&len) || position.is_some_and(ended)) {
                continue;
            }
            let made = id.as_str().get(..13).and_then(|digits| digits.parse().ok()).unwrap_or(0);
            let time = position.map_or(made, |position| position.time.0.max(made));
            let packed = (form == Form::Packed).then_some(len);
            heads.push(Reverse((time, id, Source { bare, packed, state: None })));
        }
        Ok(heads)
    }

    /// Opens a segment where the cursor is; `None` where nothing is to be read.
    fn open(&mut self, id: &SegmentId, stretch: &mut Stretch) -> io::Result<Option<Open>> {
        let mut segment = match Logical::open(&self.dir, id) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut at = 0;
        if let Some(position) = self.cursor.segments.get(id).copied() {
            if ends_with(&mut segment, &position)? {
                at = position.offset;
            } else {
                self.cursor.segments.remove(id);
                stretch.irregularities.push(Irregularity::Changed(id.clone()));
            }
        }
        if at == segment.len() {
            return Ok(Some(Open { lines: Lines::sized(io::empty().into(), 0), at, len: at, head: None, junk: false }));
        }
        if at > 0 && !self.writers.contains_key(id) {
            let writer = last_writer(&mut segment, id, at)?;
            self.writers.insert(id.clone(), Arc::new(writer.unwrap_or_default()));
        }
        segment.seek(SeekFrom::Start(at))?;
        let len = segment.len();
        Ok(Some(Open { lines: Lines::sized(Origin::Segment(segment), BLOCK), at, len, head: None, junk: false }))
    }

    /// Takes a record as read.
    fn accept(&mut self, id: &SegmentId, entry: Entry, end: u64, irregularities: &mut Vec<Irregularity>) -> Followed {
        let record = &entry.record;
        let due = self.cursor.segments.get(id).map_or(0, |position| position.seq.saturating_add(1));
        if record.seq != due {
            irregularities.push(Irregularity::OutOfOrder { segment: id.clone(), due, found: record.seq });
        }
        let closed = record.kind == kind::CLOSE;
        let position = Position { offset: end, seq: record.seq, time: record.time, h: record.h, closed };
        self.cursor.segments.insert(id.clone(), position);
        if let Some(writer) = Writer::of(record) {
            self.writers.insert(id.clone(), Arc::new(writer));
        }
        let writer = self.writers.get(id).map(Arc::clone).unwrap_or_default();
        Followed { entry, writer }
    }

    /// The segments with the lengths of their files, and those beside which something waits.
    fn segments(&self) -> Result<(Vec<Length>, HashSet<SegmentId>)> {
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            other => other.map_err(storage)?,
        };
        let (mut segments, mut waiting) = (Vec::new(), HashSet::new());
        for entry in entries {
            let entry = entry.map_err(storage)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(id) = pending::of_file(name) {
                waiting.insert(id);
            } else if let Some((id, form)) = SegmentId::of_file(name) {
                match entry.metadata() {
                    Ok(meta) if meta.is_file() => segments.push((id, meta.len(), form)),
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(storage(e)),
                    _ => (),
                }
            }
        }
        // While it is being compressed a segment has two files.
        let packed = |form: Form| form == Form::Packed;
        segments.sort_by(|a, b| a.0.cmp(&b.0).then(packed(a.2).cmp(&packed(b.2))));
        segments.dedup_by(|a, b| a.0 == b.0);
        Ok((segments, waiting))
    }
}

/// A segment with the length of its file, and its form.
type Length = (SegmentId, u64, Form);

/// A segment on the heap. Whether it is open does not count for its place.
struct Source {
    /// Nothing waited beside it.
    bare: bool,
    /// Length of its file, where that is compressed.
    packed: Option<u64>,
    state: Option<Open>,
}

impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Source {}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Source {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// What lines come from.
enum Origin {
    Nothing,
    Segment(Logical),
}

impl From<io::Empty> for Origin {
    fn from(_: io::Empty) -> Self {
        Self::Nothing
    }
}

impl io::Read for Origin {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Nothing => Ok(0),
            Self::Segment(segment) => segment.read(out),
        }
    }
}

/// A segment that is being read.
struct Open {
    lines: Lines<Origin>,
    /// Behind the last line that was looked at.
    at: u64,
    len: u64,
    /// The record that comes next, and where it ends.
    head: Option<(Entry, u64)>,
    /// Whether lines were passed over that are no records.
    junk: bool,
}

impl Open {
    /// Looks for the next record, and gives its time.
    fn advance(&mut self, id: &SegmentId) -> io::Result<Option<u64>> {
        while let Some(piece) = self.lines.next()? {
            self.at = self.at.saturating_add(piece.len() as u64);
            match piece {
                Piece::Line(line) => match Entry::parse(id, line) {
                    Some(entry) => {
                        let time = entry.record.time.0;
                        self.head = Some((entry, self.at));
                        return Ok(Some(time));
                    }
                    None => self.junk = true,
                },
                Piece::Part(part) if part.last() == Some(&b'\n') => self.junk = true,
                // The rest of this line may still come.
                Piece::Part(_) => (),
            }
        }
        Ok(None)
    }
}

/// Whether the record that `position` is behind still stands there.
fn ends_with(segment: &mut Logical, position: &Position) -> io::Result<bool> {
    let mark = [HASH_FIELD, &position.h.hex(), LINE_END].concat();
    let Some(from) = position.offset.checked_sub(mark.len() as u64).filter(|_| position.offset <= segment.len()) else {
        return Ok(false);
    };
    segment.seek(SeekFrom::Start(from))?;
    let mut there = vec![0; mark.len()];
    segment.read_exact(&mut there)?;
    Ok(there == mark)
}

/// Who wrote a segment last before `end`.
fn last_writer(segment: &mut Logical, id: &SegmentId, end: u64) -> io::Result<Option<Writer>> {
    segment.seek(SeekFrom::Start(0))?;
    let mut lines = Lines::sized(segment.take(end), BLOCK);
    let mut last = None;
    while let Some(piece) = lines.next()? {
        let Piece::Line(line) = piece else { continue };
        if [kind::GENESIS, kind::RESUME].iter().any(|kind| begins(line, kind)) {
            last = Entry::parse(id, line).and_then(|entry| Writer::of(&entry.record)).or(last);
        }
    }
    Ok(last)
}

fn begins(line: &[u8], kind: &str) -> bool {
    line.strip_prefix(LINE_START).is_some_and(|rest| rest.starts_with(kind.as_bytes()))
}

fn storage(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "cannot read the audit segments").with_source(error)
}
