//! A segment compressed: zstd frames (RFC 8878) of one MiB each, and behind them a table of their lengths (the seekable
//! format of zstd's contrib/seekable_format, version 0.1.0), so that any place is read without what is before it. `zstd -d`
//! gives the segment back.
//!
//! Frames stand for themselves, carry checksums, and none gives more than its MiB: a file that claims more is refused before
//! it is believed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, compress_bound};

/// Bytes of the segment in each frame but the last.
pub const FRAME: usize = 1 << 20;
/// Most frames: 4 GiB, four times the largest segment.
const MAX_FRAMES: usize = 4096;
/// How hard to try. Archives are written once, in the background, and kept for years.
const LEVEL: i32 = 9;
/// Begins the frame with the table (`ZSTD_MAGIC_SKIPPABLE_START | 0xE`).
const SKIPPABLE: u32 = 0x184D_2A5E;
/// Ends it.
const SEEKABLE: u32 = 0x8F92_EAB1;
/// Bytes of a frame in the table: its length compressed and not.
const ENTRY: usize = 8;
/// Number of frames, descriptor, magic number.
const FOOTER: usize = 9;
/// What stands before the table.
const HEADER: usize = 8;

/// Compresses `source` to its end; gives how many bytes it had.
///
/// # Errors
/// Those of both sides; [`io::ErrorKind::FileTooLarge`] beyond 4 GiB.
pub fn pack(source: &mut dyn Read, out: &mut dyn Write) -> io::Result<u64> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    let mut table = Vec::new();
    let (mut frames, mut len) = (0_usize, 0_u64);
    let mut plain = Vec::with_capacity(FRAME);
    loop {
        plain.clear();
        Read::take(&mut *source, FRAME as u64).read_to_end(&mut plain)?;
        if plain.is_empty() {
            break;
        }
        frames += 1;
        if frames > MAX_FRAMES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let packed = compressor.compress(&plain)?;
        out.write_all(&packed)?;
        for number in [packed.len(), plain.len()] {
            table.extend_from_slice(&u32::try_from(number).map_err(io::Error::other)?.to_le_bytes());
        }
        len += plain.len() as u64;
    }
    let size = u32::try_from(table.len() + FOOTER).map_err(io::Error::other)?;
    let count = u32::try_from(frames).map_err(io::Error::other)?;
    let (head, foot) = ([SKIPPABLE, size].map(u32::to_le_bytes).concat(), SEEKABLE.to_le_bytes());
    out.write_all(&[&head, &table[..], &count.to_le_bytes(), &[0], &foot].concat())?;
    Ok(len)
}

/// Where a frame lies in the file.
#[derive(Clone, Copy)]
struct Frame {
    at: u64,
    packed: usize,
    plain: usize,
}

/// A compressed segment that is read like the segment.
///
/// What is not what [`pack`] writes is an error of kind [`io::ErrorKind::InvalidData`].
pub struct Packed {
    file: File,
    frames: Vec<Frame>,
    len: u64,
    at: u64,
    /// The frame that `open` has.
    held: Option<usize>,
    open: Vec<u8>,
}

impl Packed {
    /// Opens a compressed segment.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for a file without a sound table, and those of the file.
    pub fn open(file: File) -> io::Result<Self> {
        let total = file.metadata()?.len();
        let mut footer = [0; FOOTER];
        let footer_at = total.checked_sub(FOOTER as u64).ok_or_else(|| damaged("it is too short"))?;
        file.read_exact_at(&mut footer, footer_at)?;
        let [a, b, c, d, descriptor, magic @ ..] = footer;
        let count = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if u32::from_le_bytes(magic) != SEEKABLE || descriptor != 0 || count > MAX_FRAMES {
            return Err(damaged("its end is cut off, or it is no compressed segment"));
        }
        let mut table = vec![0; HEADER + count * ENTRY];
        let table_at = footer_at.checked_sub(table.len() as u64).ok_or_else(|| damaged("its table is cut off"))?;
        file.read_exact_at(&mut table, table_at)?;
        let size = u32::try_from(count * ENTRY + FOOTER).map_err(io::Error::other)?;
        let rest = table.strip_prefix(&[SKIPPABLE, size].map(u32::to_le_bytes).concat()[..]);
        let (entries, _) = rest.ok_or_else(|| damaged("its table is not sound"))?.as_chunks::<ENTRY>();
        let mut frames = Vec::with_capacity(count);
        let (mut at, mut len) = (0_u64, 0_u64);
        for (number, entry) in entries.iter().enumerate() {
            let [a, b, c, d, plain @ ..] = *entry;
            let packed = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            let plain = usize::try_from(u32::from_le_bytes(plain)).unwrap_or(usize::MAX);
            let last = number + 1 == count;
            let sound = packed <= compress_bound(FRAME) && (plain == FRAME || (last && (1..FRAME).contains(&plain)));
            if !sound {
                return Err(damaged("its table is not sound"));
            }
            frames.push(Frame { at, packed, plain });
            (at, len) = (at + packed as u64, len + plain as u64);
        }
        if at != table_at {
            return Err(damaged("its frames are not as long as its table says"));
        }
        Ok(Self { file, frames, len, at: 0, held: None, open: Vec::new() })
    }

    /// Bytes of the segment.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the segment has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn hold(&mut self, number: usize) -> io::Result<()> {
        if self.held == Some(number) {
            return Ok(());
        }
        self.held = None;
        let frame = *self.frames.get(number).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut packed = vec![0; frame.packed];
        self.file.read_exact_at(&mut packed, frame.at)?;
        // Whatever the frame says of itself, no more than this is written.
        let open = Decompressor::new()?.decompress(&packed, frame.plain);
        self.open = open.map_err(|_| damaged("a frame cannot be unpacked"))?;
        if self.open.len() != frame.plain {
            return Err(damaged("a frame is shorter than its table says"));
        }
        self.held = Some(number);
        Ok(())
    }
}

impl Read for Packed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.len || out.is_empty() {
            return Ok(0);
        }
        let number = usize::try_from(self.at / FRAME as u64).map_err(io::Error::other)?;
        self.hold(number)?;
        let from = usize::try_from(self.at % FRAME as u64).map_err(io::Error::other)?;
        let read = self.open.get(from..).unwrap_or_default().read(out)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Packed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("len", &self.len).field("at", &self.at).finish_non_exhaustive()
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the compressed segment is damaged: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn text(len: usize) -> Vec<u8> {
        (0..).flat_map(|n: u64| format!("{{\"kind\":\"event\",\"seq\":{n}}}\n").into_bytes()).take(len).collect()
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(pack(&mut &*plain, &mut out).unwrap(), plain.len() as u64);
        out
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Packed::open(file(bytes))?.read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn what_is_packed_is_read_as_it_was_from_any_place() {
        for len in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 77] {
            let plain = text(len);
            let bytes = packed(&plain);
            assert_eq!(unpacked(&bytes).unwrap(), plain);
            // Any program that knows zstd gives the same.
            assert_eq!(zstd::decode_all(&bytes[..]).unwrap(), plain);
            let mut open = Packed::open(file(&bytes)).unwrap();
            assert_eq!((open.len(), open.is_empty()), (len as u64, len == 0));
            for at in [0, len / 3, len / 2, len.saturating_sub(5), len, len + 9] {
                open.seek(SeekFrom::Start(at as u64)).unwrap();
                let mut some = vec![0; 1000];
                let read = open.read(&mut some).unwrap();
                assert_eq!(&some[..read], plain.get(at..(at + read).min(len)).unwrap_or_default());
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_refused_or_reads_the_same() {
        let plain = text(FRAME + 5000);
        let bytes = packed(&plain);
        for len in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            assert_eq!(unpacked(&bytes[..len]).unwrap_err().kind(), io::ErrorKind::InvalidData, "{len}");
        }
        for at in (0..bytes.len()).step_by(61) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            match unpacked(&changed) {
                Ok(same) => assert_eq!(same, plain, "{at}"),
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::InvalidData, "{at}"),
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_and_gives_no_more_than_a_frame() {
        // A gigabyte of nothing in one frame, with a table that says it is a MiB.
        let mut frame = Compressor::new(3).unwrap().compress(&vec![0; 64 << 20]).unwrap();
        let len = u32::try_from(frame.len()).unwrap();
        let table = |plain: u32| {
            let head = [SKIPPABLE, 17, len, plain, 1].map(u32::to_le_bytes).concat();
            [&head[..], &[0], &SEEKABLE.to_le_bytes()].concat()
        };
        let bomb = [&frame[..], &table(1 << 20)].concat();
        assert_eq!(unpacked(&bomb).unwrap_err().kind(), io::ErrorKind::InvalidData);
        // A table that admits it, and one of more frames than there may be.
        let honest = [&frame[..], &table(64 << 20)].concat();
        assert_eq!(unpacked(&honest).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let many = [u32::MAX.to_le_bytes().as_slice(), &[0], &SEEKABLE.to_le_bytes()].concat();
        frame.extend_from_slice(&many);
        assert_eq!(unpacked(&frame).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
