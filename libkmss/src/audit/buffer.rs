//! One line under construction, in a buffer that is used again and again, and the hashes of how lines begin.

use super::chain::{HASH_FIELD, Head, LINE_END, LINE_START, SEQ_FIELD, TIME_FIELD};
use super::text::push_number;
use crate::clock::Timestamp;
use crate::suite::{Hasher, Suite};

/// A line under construction.
pub(super) struct LineBuffer {
    line: Vec<u8>,
    beginnings: [Option<Beginning>; BEGINNINGS],
    /// The place that is given away next.
    next: usize,
}

/// Beginnings of lines that are remembered: of so many keys the uses may take turns.
const BEGINNINGS: usize = 4;

/// Whole blocks of the hash with which lines begin, and what the hash is behind them.
struct Beginning {
    bytes: Box<[u8]>,
    suite: Suite,
    hasher: Hasher,
}

impl LineBuffer {
    pub(super) fn new() -> Self {
        Self { line: Vec::with_capacity(2048), beginnings: [const { None }; BEGINNINGS], next: 0 }
    }

    /// Begins a record; its fields are for the caller to append.
    pub(super) fn begin(&mut self, kind: &str) -> &mut Vec<u8> {
        self.line.clear();
        self.line.extend_from_slice(LINE_START);
        self.line.extend_from_slice(kind.as_bytes());
        self.line.push(b'"');
        &mut self.line
    }

    /// Ends record number `seq`, of `time`, with its hash, which is returned; `previous` is that of the record before. Another
    /// line is expected to begin with the first `repeated` bytes of this one (0 for none).
    pub(super) fn seal(
        &mut self,
        suite: Suite,
        previous: Head,
        (seq, time): (u64, Timestamp),
        repeated: usize,
    ) -> Head {
        self.line.extend_from_slice(SEQ_FIELD);
        push_number(&mut self.line, seq);
        self.line.extend_from_slice(TIME_FIELD);
        push_number(&mut self.line, time.0);
        let (mut hasher, taken) = self.hash_beginning(suite, repeated - repeated % Hasher::BLOCK);
        hasher.update(self.line.get(taken..).unwrap_or_default());
        hasher.update(&previous.0);
        let head = Head(hasher.finish());
        self.line.extend_from_slice(HASH_FIELD);
        self.line.extend_from_slice(&head.hex());
        self.line.extend_from_slice(LINE_END);
        head
    }

    /// The finished line.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The hash behind the first `len` bytes, from memory where a line began so before; and how many bytes it has taken in.
    fn hash_beginning(&mut self, suite: Suite, len: usize) -> (Hasher, usize) {
        let mut hasher = suite.hasher();
        let Some(bytes) = self.line.get(..len).filter(|bytes| !bytes.is_empty()) else { return (hasher, 0) };
        if let Some(known) = self.beginnings.iter().flatten().find(|b| *b.bytes == *bytes && b.suite == suite) {
            return (known.hasher.clone(), len);
        }
        hasher.update(bytes);
        if let Some(place) = self.beginnings.get_mut(self.next % BEGINNINGS) {
            *place = Some(Beginning { bytes: bytes.into(), suite, hasher: hasher.clone() });
        }
        self.next = self.next.wrapping_add(1);
        (hasher, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_beginning_gives_the_hash_of_the_whole_line() {
        let (mut buffer, mut head, mut seq) = (LineBuffer::new(), Head([7; 32]), 0);
        // More beginnings than there are places, in turns and in a row, of lengths around the blocks.
        for round in 0..40 {
            for (key, suite) in [(0, Suite::Nist), (round % 7, Suite::Gm), (round % 7, Suite::Nist), (6, Suite::Nist)] {
                let line = buffer.begin("event");
                line.resize(100 + 30 * key, b'a' + u8::try_from(key).unwrap_or_default());
                let repeated = line.len();
                line.extend_from_slice(format!(",\"data_len\":{round}").as_bytes());
                let body = [buffer.line(), format!(",\"seq\":{seq},\"time\":{round}").as_bytes()].concat();
                let before = head;
                head = buffer.seal(suite, before, (seq, Timestamp(round as u64)), repeated);
                assert_eq!(head, before.follow(suite, &body), "{round} {key}");
                seq += 1;
            }
        }
    }
}
