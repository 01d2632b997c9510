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
    /// How the line begins that was finished last, where another may begin like it.
    kept: Option<Kept>,
    /// How many lines were begun anew.
    begun: u64,
}

/// What may stay of a line for the next one.
#[derive(Clone, Copy)]
struct Kept {
    /// Bytes.
    len: usize,
    /// Which of the remembered beginnings it has.
    beginning: usize,
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
        Self { line: Vec::with_capacity(2048), beginnings: [const { None }; BEGINNINGS], next: 0, kept: None, begun: 0 }
    }

    /// Begins a record; its fields are for the caller to append.
    pub(super) fn begin(&mut self, kind: &str) -> &mut Vec<u8> {
        self.kept = None;
        self.begun = self.begun.wrapping_add(1);
        self.line.clear();
        self.line.extend_from_slice(LINE_START);
        self.line.extend_from_slice(kind.as_bytes());
        self.line.push(b'"');
        &mut self.line
    }

    /// Which line this is, for [`Self::begin_again`].
    pub(super) const fn number(&self) -> u64 {
        self.begun
    }

    /// Begins a record as line `number` began, where that was the last one: what they have in common stands, and is what
    /// [`Self::seal`] is told.
    pub(super) fn begin_again(&mut self, number: u64) -> Option<(&mut Vec<u8>, usize)> {
        let Kept { len, .. } = self.kept.filter(|_| self.begun == number)?;
        self.line.truncate(len);
        Some((&mut self.line, len))
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
        let (mut hasher, taken) = self.hash_beginning(suite, repeated);
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

    /// The hash behind the whole blocks of the first `repeated` bytes, from memory where a line began so before; and how many
    /// bytes it has taken in.
    fn hash_beginning(&mut self, suite: Suite, repeated: usize) -> (Hasher, usize) {
        if let Some(known) = self.kept.and_then(|kept| self.beginnings.get(kept.beginning)?.as_ref())
            && known.suite == suite
        {
            return (known.hasher.clone(), known.bytes.len());
        }
        let mut hasher = suite.hasher();
        let len = repeated - repeated % Hasher::BLOCK;
        let Some(bytes) = self.line.get(..len).filter(|bytes| !bytes.is_empty()) else { return (hasher, 0) };
        let alike = |known: &Option<Beginning>| known.as_ref().is_some_and(|b| *b.bytes == *bytes && b.suite == suite);
        let beginning = match self.beginnings.iter().position(alike) {
            Some(place) => place,
            None => {
                hasher.update(bytes);
                let place = self.next;
                self.next = (place + 1) % BEGINNINGS;
                if let Some(beginning) = self.beginnings.get_mut(place) {
                    *beginning = Some(Beginning { bytes: bytes.into(), suite, hasher });
                }
                place
            }
        };
        self.kept = Some(Kept { len: repeated, beginning });
        let known = self.beginnings.get(beginning).and_then(Option::as_ref);
        known.map_or_else(|| (suite.hasher(), 0), |known| (known.hasher.clone(), len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_begins_as_the_last_one_did_is_chained_like_any_other() {
        let (mut buffer, mut head) = (LineBuffer::new(), Head([7; 32]));
        for seq in 0..40_u64 {
            let repeated = match buffer.begin_again(buffer.number()) {
                // Now and then something else comes between.
                Some((line, kept)) if seq % 5 > 0 => {
                    line.extend_from_slice(format!(",\"data_len\":{seq}").as_bytes());
                    kept
                }
                _ => {
                    let line = buffer.begin("event");
                    line.resize(300, b'x');
                    line.extend_from_slice(format!(",\"data_len\":{seq}").as_bytes());
                    300 * usize::from(seq % 3 > 0)
                }
            };
            let fields = buffer.line().to_vec();
            let body = [&fields[..], format!(",\"seq\":{seq},\"time\":9").as_bytes()].concat();
            let before = head;
            head = buffer.seal(Suite::Nist, before, (seq, Timestamp(9)), repeated);
            assert_eq!(head, before.follow(Suite::Nist, &body), "{seq}");
            assert!(buffer.line().starts_with(&body) && buffer.line().ends_with(b"\"}\n"), "{seq}");
            let started = [LINE_START, b"event\""].concat();
            assert!(body.starts_with(&started) || repeated == 300, "{seq}");
            let number = buffer.number();
            assert_eq!(buffer.begin_again(number).is_some(), repeated > 0, "{seq}");
            assert!(buffer.begin_again(number - 1).is_none());
        }
        buffer.begin("close");
        assert!(buffer.begin_again(buffer.number()).is_none());
    }

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
