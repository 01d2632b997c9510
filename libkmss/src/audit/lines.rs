//! Lines of a file that may hold anything: never more than [`MAX_LINE`] bytes of one in memory.

use std::io::{self, Read};

use super::chain::MAX_LINE;

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A line with its line feed.
    Line(&'a [u8]),
    /// A part of a line that is too long (the last part has a line feed), or the end of the file without a line feed.
    Part(&'a [u8]),
}

impl Piece<'_> {
    /// Bytes of the file it stands for.
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Line(bytes) | Self::Part(bytes) => bytes.len(),
        }
    }
}

/// Splits what it reads into pieces.
pub(super) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// Within a line that is too long.
    inside: bool,
    ended: bool,
}

const BUFFER: usize = 256 * 1024;

impl<R: Read> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self::sized(source, BUFFER)
    }

    /// One that reads `size` bytes at once, which must be no less than [`MAX_LINE`].
    pub(super) fn sized(source: R, size: usize) -> Self {
        Self { source, buffer: vec![0; size.max(MAX_LINE)], start: 0, filled: 0, inside: false, ended: false }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let (len, whole) = loop {
            let pending = self.buffer.get(self.start..self.filled).unwrap_or_default();
            let window = pending.get(..MAX_LINE).unwrap_or(pending);
            if let Some(at) = memchr(window) {
                break (at + 1, !self.inside);
            }
            if window.len() == MAX_LINE || (self.ended && !window.is_empty()) {
                break (window.len(), false);
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        };
        let piece = self.buffer.get(self.start..self.start + len).unwrap_or_default();
        self.start += len;
        self.inside = !whole && piece.last() != Some(&b'\n');
        Ok(Some(if whole { Piece::Line(piece) } else { Piece::Part(piece) }))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        let read = loop {
            match self.source.read(self.buffer.get_mut(self.filled..).unwrap_or_default()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                other => break other?,
            }
        };
        self.filled += read;
        self.ended = read == 0;
        Ok(())
    }
}

/// Where the first line feed is. (The standard library searches bytes fast in slices of `u8` only through `str`.)
fn memchr(bytes: &[u8]) -> Option<usize> {
    const LANES: usize = 32;
    let mut at = 0;
    for chunk in bytes.chunks_exact(LANES) {
        // Without an early exit, so that it becomes vector instructions.
        if chunk.iter().fold(false, |found, b| found | (*b == b'\n')) {
            break;
        }
        at += LANES;
    }
    bytes.get(at..)?.iter().position(|b| *b == b'\n').map(|found| at + found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pieces(bytes: &[u8]) -> Vec<(bool, usize)> {
        let mut lines = Lines::new(bytes);
        let mut out = Vec::new();
        while let Some(piece) = lines.next().unwrap() {
            out.push(match piece {
                Piece::Line(b) => (true, b.len()),
                Piece::Part(b) => (false, b.len()),
            });
        }
        out
    }

    #[test]
    fn lines_come_whole_and_the_rest_in_parts() {
        assert_eq!(pieces(b""), []);
        assert_eq!(pieces(b"a\n\nbc"), [(true, 2), (true, 1), (false, 2)]);
        let mut long = vec![b'x'; 2 * MAX_LINE + 5];
        long.extend_from_slice(b"\nab\n");
        assert_eq!(pieces(&long), [(false, MAX_LINE), (false, MAX_LINE), (false, 6), (true, 3)]);
        let mut exact = vec![b'x'; MAX_LINE - 1];
        exact.extend_from_slice(b"\nab\n");
        assert_eq!(pieces(&exact), [(true, MAX_LINE), (true, 3)]);
    }

    #[test]
    fn nothing_is_lost_at_the_seams_of_the_buffer() {
        let mut text = Vec::new();
        for n in 0..40_000_usize {
            text.extend(std::iter::repeat_n(b'y', n % 97));
            text.push(b'\n');
        }
        let found = pieces(&text);
        assert_eq!(found.len(), 40_000);
        assert!(found.iter().enumerate().all(|(n, p)| *p == (true, n % 97 + 1)));
    }
}
