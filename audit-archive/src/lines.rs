//! Lines of a segment, as far as a leaf is told from what is none.

use std::io::{self, BufRead, BufReader, Read};

use audit_proof::{Hash, TreeHash};
use serde::Deserialize;

/// Longest line, line feed included.
pub(crate) const MAX_LINE: usize = 32 * 1024;
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

/// The record's number, where a line has the form of a record.
pub(crate) fn seq(line: &[u8]) -> Option<u64> {
    let (rest, _) = line.strip_suffix(b"\"}\n")?.split_last_chunk::<64>()?;
    let rest = number(rest.strip_suffix(b",\"h\":\"")?, b",\"time\":")?.0;
    number(rest, b",\"seq\":").map(|(_, seq)| seq)
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
    fn the_number_of_a_record_is_found_and_nothing_else_has_one() {
        let hash = "0".repeat(64);
        let line = format!("{{\"kind\":\"event\",\"seq\":12,\"time\":34,\"h\":\"{hash}\"}}\n");
        assert_eq!(seq(line.as_bytes()), Some(12));
        assert_eq!(seq(line.trim_end().as_bytes()), None);
        assert_eq!(seq(b"\n"), None);
        assert_eq!(seq(b""), None);
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
