//! Lines of a segment, as far as a leaf is told from what is none.

use std::io::{self, BufRead, BufReader, Read};

use audit_proof::{HASH_LEN, Hash, TreeHash};
use serde::Deserialize;

/// Longest line, line feed included.
pub(crate) const MAX_LINE: usize = 32 * 1024;
/// How every record begins.
const START: &[u8] = b"{\"kind\":\"";
/// Ends what was torn.
const TORN_END: &[u8] = b" torn\n";
/// Most bytes of a torn stretch that wait for the record that accounts for them.
const TORN_LIMIT: usize = 4 << 20;

/// Lines one after the other, and no more than one of them in memory.
pub(crate) struct Lines<R> {
    source: BufReader<R>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(256 * 1024, source), line: Vec::new() }
    }

    /// The next line with its line feed, or a part of one that is too long or not finished.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let read = self.source.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut self.line)?;
        Ok((read > 0).then_some(self.line.as_slice()))
    }
}

/// The parts of a record's line that the chain is about.
pub(crate) struct Line<'a> {
    /// Everything up to the hash.
    pub(crate) body: &'a [u8],
    /// The record's number in its segment.
    pub(crate) seq: u64,
    /// The hash it claims.
    pub(crate) head: Hash,
}

impl<'a> Line<'a> {
    /// The parts of a line with its line feed; `None` for anything that has not the form of a record.
    pub(crate) fn split(line: &'a [u8]) -> Option<Self> {
        let (rest, digits) = line.strip_suffix(b"\"}\n")?.split_last_chunk::<{ 2 * HASH_LEN }>()?;
        let body = rest.strip_suffix(b",\"h\":\"")?;
        let rest = number(body.strip_prefix(START)?, b",\"time\":")?.0;
        let (_, seq) = number(rest, b",\"seq\":")?;
        Some(Self { body, seq, head: head(digits)? })
    }

    /// Whether it is a record of this kind.
    pub(crate) fn is_kind(&self, kind: &str) -> bool {
        let found = self.body.strip_prefix(START).and_then(|rest| rest.strip_prefix(kind.as_bytes()));
        found.is_some_and(|rest| rest.starts_with(b"\""))
    }
}

fn head(digits: &[u8; 2 * HASH_LEN]) -> Option<Hash> {
    let mut hash = Hash::default();
    for (byte, pair) in hash.0.iter_mut().zip(digits.as_chunks::<2>().0) {
        let digit = |d: u8| match d {
            b'0'..=b'9' => Some(d - b'0'),
            b'a'..=b'f' => Some(d - b'a' + 10),
            _ => None,
        };
        let [high, low] = *pair;
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(hash)
}

fn number<'a>(bytes: &'a [u8], name: &[u8]) -> Option<(&'a [u8], u64)> {
    let digits = bytes.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (rest, digits) = bytes.split_at_checked(bytes.len() - digits)?;
    Some((rest.strip_suffix(name)?, std::str::from_utf8(digits).ok()?.parse().ok()?))
}

/// What a failed write left behind, until a record says so.
#[derive(Default)]
pub(crate) struct Torn {
    bytes: Vec<u8>,
    too_much: bool,
}

#[derive(Deserialize)]
struct Recovery {
    torn_len: Option<u64>,
    torn: Option<String>,
}

impl Torn {
    /// Whether a line can be of that kind; it then waits.
    pub(crate) fn take(&mut self, line: &[u8]) -> bool {
        let torn = line.ends_with(TORN_END) || line.last() != Some(&b'\n');
        if torn && self.bytes.len() + line.len() <= TORN_LIMIT {
            self.bytes.extend_from_slice(line);
        } else if torn {
            self.too_much = true;
        }
        torn
    }

    /// Whether `record`, a genuine one that follows, accounts for what waits. Then nothing waits any more.
    pub(crate) fn settle(&mut self, hash: TreeHash, record: &[u8]) -> bool {
        if self.bytes.is_empty() && !self.too_much {
            return true;
        }
        let Self { bytes, too_much } = std::mem::take(self);
        let told =
            record.starts_with(b"{\"kind\":\"recovery\"").then(|| serde_json::from_slice::<Recovery>(record).ok());
        let of: Hash = hash.of(&[&bytes]);
        told.flatten().is_some_and(|told| {
            !too_much && told.torn_len == Some(bytes.len() as u64) && told.torn == Some(of.to_string())
        })
    }

    /// Whether something waits that nothing accounted for.
    pub(crate) const fn is_left(&self) -> bool {
        self.too_much || !self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_without_the_form_of_a_record_is_not_split() {
        let hash = "0a".repeat(32);
        let line = format!("{{\"kind\":\"event\",\"seq\":12,\"time\":34,\"h\":\"{hash}\"}}\n");
        let found = Line::split(line.as_bytes()).unwrap();
        assert_eq!((found.seq, found.head), (12, Hash([10; 32])));
        assert!(found.is_kind("event") && !found.is_kind("even") && found.body.ends_with(b"34"));
        for bad in [line.trim_end(), "\n", "", &line.replace("0a", "0A"), &line.replace("kind", "kid")] {
            assert!(Line::split(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_was_torn_needs_a_record_that_says_so() {
        let hash = TreeHash::Sha256;
        let mut torn = Torn::default();
        assert!(torn.settle(hash, b"{}"));
        assert!(!torn.take(b"{\"kind\":\"event\"}\n"));
        assert!(torn.take(b"{\"kind\":\"eve torn\n") && torn.is_left());
        let told =
            format!("{{\"kind\":\"recovery\",\"torn_len\":18,\"torn\":\"{}\"}}", hash.of(&[b"{\"kind\":\"eve torn\n"]));
        assert!(torn.settle(hash, told.as_bytes()) && !torn.is_left());
        assert!(torn.take(b"{\"kind\":\"evi torn\n") && !torn.settle(hash, told.as_bytes()));
    }

    #[test]
    fn lines_are_never_longer_than_a_record_may_be() {
        let text = [&vec![b'x'; MAX_LINE + 7][..], b"\na\n"].concat();
        let mut lines = Lines::new(&text[..]);
        let mut lens = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            lens.push(line.len());
        }
        assert_eq!(lens, [MAX_LINE, 8, 2]);
    }
}
