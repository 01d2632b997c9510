//! What waits beside a segment, and both as one.
//!
//! A writer that makes many records puts them into a [`SharedBuffer`] named `<segment>.pending`, and moves them to the
//! segment when it is full, after a second, and before anything that must be on the disk. Whoever reads a segment reads
//! [`Logical`]: the file, and behind it what waits and is not in the file yet.
//!
//! What waits belongs behind a certain length of the file. Where it does not fit, somebody changed one of the two, and all of it
//! is shown behind the file, so that the verifier names what is missing or too much. After a power failure it may be of
//! another moment than the file: what an earlier boot left counts as far as its chain goes on from the file's, and no further.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::chain::{Head, Line, SegmentId};
use super::packed::{self, Unpacked};
use super::verify::open;
use super::{origin, segment};
use crate::os::{Directory, Opening, SharedBuffer, SharedBytes};
use crate::suite::Suite;

/// How the title of each file begins; the segment and the boot follow, each behind a space.
const TITLE: &str = "kmss audit pending 2";

/// Name of the file beside a segment.
pub(super) fn file_name(id: &SegmentId) -> String {
    format!("{id}.pending")
}

/// The segment whose records a file with this name holds.
pub(super) fn of_file(name: &str) -> Option<SegmentId> {
    name.strip_suffix(".pending")?.parse().ok()
}

/// Makes the file for `id`, for a writer of this `boot`.
pub(super) fn create(
    dir: &Directory,
    id: &SegmentId,
    boot: &[u8],
    reserve: usize,
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<SharedBuffer> {
    let title = [TITLE.as_bytes(), b" ", id.as_str().as_bytes(), b" ", boot, b"\n"].concat();
    SharedBuffer::create(dir, file_name(id).as_ref(), &title, reserve, prepare)
}

/// What was found beside a segment.
enum Found {
    Nothing,
    /// Something that no writer makes.
    Damaged,
    Waiting {
        base: u64,
        bytes: Vec<u8>,
        /// Whether its writer ran since the system was started.
        this_boot: bool,
    },
}

fn look(opened: io::Result<File>, id: &SegmentId) -> io::Result<Found> {
    let found = match opened.and_then(|file| SharedBytes::read(&file)) {
        Ok(None) => return Ok(Found::Nothing),
        Ok(Some(found)) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
        // A link, a FIFO, a file of another length.
        Err(_) => return Ok(Found::Damaged),
    };
    let title = found.title.strip_suffix(b"\n").and_then(|t| t.strip_prefix(TITLE.as_bytes())).unwrap_or_default();
    let mut words = title.split(|b| *b == b' ').skip(1);
    let (named, written_in) = (words.next(), words.next());
    let (true, Some(written_in)) = (named == Some(id.as_str().as_bytes()), written_in) else {
        return Ok(Found::Damaged);
    };
    let this_boot = !written_in.is_empty() && written_in == origin::boot();
    Ok(Found::Waiting { base: found.base, bytes: found.bytes, this_boot })
}

/// How what waits continues a file.
struct Joint {
    /// What is not in the file.
    rest: Vec<u8>,
    /// Whether the one is the continuation of the other, and nothing is left out.
    fits: bool,
}

/// Compares the first `len` bytes of `file` with what waits.
fn join(file: &File, len: u64, base: u64, mut bytes: Vec<u8>, this_boot: bool) -> io::Result<Joint> {
    let moved = len.checked_sub(base).map(|more| usize::try_from(more).unwrap_or(usize::MAX).min(bytes.len()));
    let agrees = match moved {
        Some(moved) => {
            let mut there = vec![0; moved];
            file.read_exact_at(&mut there, base)?;
            bytes.get(..moved) == Some(there.as_slice())
        }
        None => false,
    };
    // Where they do not agree, none of it is taken for a part of the file.
    let moved = moved.filter(|_| agrees).unwrap_or(0);
    if this_boot {
        return Ok(Joint { rest: bytes.split_off(moved), fits: agrees });
    }
    let chained = match segment::tail(file, if agrees { base } else { len })? {
        // A record may have begun in the file, which was full then.
        Some(tail) => chained(&[tail.torn.as_slice(), &bytes].concat(), tail.head).saturating_sub(tail.torn.len()),
        _ => 0,
    };
    // Whatever ends within the file is of an earlier moment than the file.
    let old = base.saturating_add(bytes.len() as u64) <= len;
    let fits = chained == bytes.len() || old;
    bytes.truncate(chained);
    Ok(Joint { rest: bytes.split_off(moved.min(chained)), fits })
}

/// How many of the bytes are records of which the first follows `head`, and each the one before.
fn chained(bytes: &[u8], head: Head) -> usize {
    let mut longest = 0;
    for suite in [Suite::Nist, Suite::Gm] {
        let (mut head, mut end) = (head, 0);
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let Some(record) = Line::split(line).filter(|l| l.follows(suite, head)) else { break };
            (head, end) = (record.head, end + line.len());
        }
        longest = longest.max(end);
    }
    longest
}

/// Moves to `file`, the segment `id`, what its writer left behind, and removes the file where it was; false where it does
/// not fit, and both stay as they are. The caller holds the lock of `file`. `closed` says that nothing may be left.
pub(super) fn complete(dir: &Directory, id: &SegmentId, mut file: &File, closed: bool) -> io::Result<bool> {
    let name = file_name(id);
    match look(dir.file(name.as_ref(), Opening::Read), id)? {
        Found::Damaged => return Ok(false),
        Found::Nothing => (),
        Found::Waiting { base, bytes, this_boot } => {
            let Joint { rest, fits } = join(file, file.metadata()?.len(), base, bytes, this_boot)?;
            if !fits || (closed && !rest.is_empty()) {
                return Ok(false);
            }
            // What a write that fails leaves out goes on waiting.
            file.write_all(&rest)?;
        }
    }
    let _ = dir.remove(name.as_ref());
    Ok(true)
}

/// A segment as it was at one moment: its file, and what waited to get there.
#[derive(Debug)]
pub(super) struct Logical {
    file: Content,
    /// Length of what is in the file at that moment, which the file need not have where it is compressed.
    file_len: u64,
    rest: Vec<u8>,
    at: u64,
    /// Beside the file stands something that no writer made.
    pub(super) damaged: bool,
}

/// What a file has of a segment.
#[derive(Debug)]
enum Content {
    Plain(File),
    Packed(Box<dyn Unpacked>),
}

impl Logical {
    /// Opens segment `id` in `dir`.
    pub(super) fn open(dir: &Path, id: &SegmentId) -> io::Result<Self> {
        // First what waits: it only ever moves to the file.
        let found = look(open(&dir.join(file_name(id))), id)?;
        let file = match open(&dir.join(id.file_name())) {
            // It is compressed before the plain file goes.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Self::unpack(dir, id, &found),
            other => other?,
        };
        let file_len = file.metadata()?.len();
        let (mut rest, mut damaged) = (Vec::new(), false);
        match found {
            Found::Nothing => (),
            Found::Damaged => damaged = true,
            Found::Waiting { base, bytes, this_boot } => {
                let joint = join(&file, file_len, base, bytes, this_boot)?;
                rest = joint.rest;
                if !joint.fits && this_boot && !ends_a_line(&file, file_len)? {
                    // Half a line would hide the first record behind it.
                    rest.insert(0, b'\n');
                }
            }
        }
        Ok(Self { file: Content::Plain(file), file_len, rest, at: 0, damaged })
    }

    /// Nobody writes to a compressed segment any more, so that nothing waits beside it.
    fn unpack(dir: &Path, id: &SegmentId, beside: &Found) -> io::Result<Self> {
        let (content, file_len) = packed::unpack(open(&dir.join(id.packed_name()))?)?;
        let damaged = !matches!(beside, Found::Nothing);
        Ok(Self { file: Content::Packed(content), file_len, rest: Vec::new(), at: 0, damaged })
    }

    /// Whether it is compressed and claims to be so much longer than the `known` length that it is not worth reading: a small
    /// file may claim to be large.
    pub(super) const fn is_bloated(&self, known: u64) -> bool {
        matches!(self.file, Content::Packed(_)) && self.len() > known.saturating_mul(2).saturating_add(1 << 20)
    }

    /// Length of all of it.
    pub(super) const fn len(&self) -> u64 {
        self.file_len.saturating_add(self.rest.len() as u64)
    }
}

fn ends_a_line(file: &File, len: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = len.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last == [b'\n'])
}

impl Read for Logical {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = match self.file_len.checked_sub(self.at) {
            Some(left) if left > 0 => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
                let out = out.get_mut(..most).unwrap_or_default();
                let read = match &mut self.file {
                    Content::Plain(file) => file.read_at(out, self.at)?,
                    Content::Packed(content) => {
                        content.seek(SeekFrom::Start(self.at))?;
                        content.read(out)?
                    }
                };
                if read == 0 && most > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                read
            }
            _ => {
                let from = usize::try_from(self.at - self.file_len).unwrap_or(usize::MAX);
                self.rest.get(from..).unwrap_or_default().read(out)?
            }
        };
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for Logical {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
