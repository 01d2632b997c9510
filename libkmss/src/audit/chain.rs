//! The chain: how a record's line is tied to the one before it.
//!
//! A line is `{"kind":"…",…,"seq":N,"time":T,"h":"<64 hex digits>"}` and a line feed. `h` is the suite's hash over the line's
//! bytes up to (not including) `,"h":`, followed by the previous record's hash. Before the first record stands [`Head::start`].
//!
//! What repeats from record to record stands first, what is different in each comes last: where a line begins, its hash need
//! not be computed anew.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::suite::{HASH_LEN, Suite};

/// Longest line, line feed included. The limits on fields keep every record below it.
pub const MAX_LINE: usize = 32 * 1024;

/// What stands between a record's last field and its hash.
pub(super) const HASH_FIELD: &[u8] = b",\"h\":\"";
/// What follows the hash.
pub(super) const LINE_END: &[u8] = b"\"}\n";
/// How every record begins.
pub(super) const LINE_START: &[u8] = b"{\"kind\":\"";
/// What stands before a record's number, the last but two of its fields.
pub(super) const SEQ_FIELD: &[u8] = b",\"seq\":";
/// What stands before its time.
pub(super) const TIME_FIELD: &[u8] = b",\"time\":";

/// The hash of a record, which stands for everything up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head(pub [u8; HASH_LEN]);

impl Head {
    /// What the first record of segment `id` is chained to.
    #[must_use]
    pub fn start(suite: Suite, id: &SegmentId) -> Self {
        Self(suite.hash(&[b"kmss/1 audit segment ", id.as_str().as_bytes()]))
    }

    /// The hash of a record with the given `body` after `self`.
    #[must_use]
    pub fn follow(self, suite: Suite, body: &[u8]) -> Self {
        Self(suite.hash(&[body, &self.0]))
    }

    /// Hex digits, lower case.
    pub(super) fn hex(&self) -> [u8; 2 * HASH_LEN] {
        let mut out = [0; 2 * HASH_LEN];
        for (pair, byte) in out.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = hex_pair(byte);
        }
        out
    }

    fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut head = [0; HASH_LEN];
        if digits.len() != 2 * HASH_LEN {
            return None;
        }
        for (byte, pair) in head.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = *pair else { return None };
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        Some(Self(head))
    }
}

/// Both hex digits of a byte.
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    // Without a branch, so that it becomes vector instructions.
    let digit = |n: u8| n + b'0' + u8::from(n > 9) * (b'a' - b'9' - 1);
    [digit(byte >> 4), digit(byte & 15)]
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::from_hex(s.as_bytes()).ok_or_else(|| Error::new(ErrorKind::Damaged, "a chain hash is 64 hex digits"))
    }
}

impl serde::Serialize for Head {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Head {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a segment lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it was written.
    Plain,
    /// Compressed, and written no more.
    Packed,
}

/// Name of a segment: when it was made (13 digits, ms) and 16 random hex digits. Names sort by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(String);

impl SegmentId {
    const DIGITS: usize = 13;
    const LEN: usize = Self::DIGITS + 1 + 16;
    const SUFFIX: &'static str = ".jsonl";
    const PACKED: &'static str = audit_proof::archive::PACKED;

    /// A name from its parts.
    #[must_use]
    pub fn new(millis: u64, random: [u8; 8]) -> Self {
        let millis = millis.min(9_999_999_999_999);
        Self(format!("{millis:013}-{:016x}", u64::from_be_bytes(random)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.0.get(..Self::DIGITS).and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }

    /// Name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}{}", self.0, Self::SUFFIX)
    }

    /// Name of its file when it is compressed.
    #[must_use]
    pub fn packed_name(&self) -> String {
        format!("{}{}", self.0, Self::PACKED)
    }

    /// The segment whose file has this name, and whether the file is compressed.
    #[must_use]
    pub fn of_file(name: &str) -> Option<(Self, Form)> {
        let plain = name.strip_suffix(Self::SUFFIX).map(|id| (id, Form::Plain));
        let (id, form) = plain.or_else(|| Some((name.strip_suffix(Self::PACKED)?, Form::Packed)))?;
        Some((id.parse().ok()?, form))
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SegmentId {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let fits = |(at, byte): (usize, u8)| match at {
            0..Self::DIGITS => byte.is_ascii_digit(),
            Self::DIGITS => byte == b'-',
            _ => nibble(byte).is_some(),
        };
        if s.len() == Self::LEN && s.bytes().enumerate().all(fits) {
            return Ok(Self(s.to_owned()));
        }
        Err(Error::new(ErrorKind::Damaged, "a segment name is 13 digits, a hyphen and 16 hex digits"))
    }
}

impl serde::Serialize for SegmentId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for SegmentId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The parts of a line that the chain is about. The rest of the body is not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Everything up to the hash.
    pub(super) body: &'a [u8],
    /// The record's number in its segment.
    pub(super) seq: u64,
    /// When, as the record says.
    pub(super) time: Timestamp,
    /// The hash it claims.
    pub(super) head: Head,
}

impl<'a> Line<'a> {
    /// Splits a line that ends with a line feed. `None` for anything that has not the shape of a record.
    #[must_use]
    pub(super) fn split(line: &'a [u8]) -> Option<Self> {
        let (rest, digits) = line.strip_suffix(LINE_END)?.split_last_chunk::<{ 2 * HASH_LEN }>()?;
        let body = rest.strip_suffix(HASH_FIELD)?;
        let (rest, time) = split_number(body.strip_prefix(LINE_START)?, TIME_FIELD)?;
        let (_, seq) = split_number(rest, SEQ_FIELD)?;
        Some(Self { body, seq, time: Timestamp(time), head: Head::from_hex(digits)? })
    }

    /// Whether this record follows the one whose hash is `previous`.
    #[must_use]
    pub(super) fn follows(&self, suite: Suite, previous: Head) -> bool {
        previous.follow(suite, self.body) == self.head
    }

    /// Whether it is a record of this kind.
    #[must_use]
    pub(super) fn is_kind(&self, kind: &str) -> bool {
        let found = self.body.strip_prefix(LINE_START).and_then(|rest| rest.strip_prefix(kind.as_bytes()));
        found.is_some_and(|rest| rest.starts_with(b"\""))
    }
}

/// Takes the number at the end of `bytes` off, and the `name` before it.
fn split_number<'a>(bytes: &'a [u8], name: &[u8]) -> Option<(&'a [u8], u64)> {
    let digits = bytes.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (rest, digits) = bytes.split_at_checked(bytes.len() - digits)?;
    Some((rest.strip_suffix(name)?, std::str::from_utf8(digits).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_segment_name_is_nothing_but_its_digits() {
        let id = SegmentId::new(1_760_000_000_000, [0xab; 8]);
        assert_eq!(SegmentId::of_file(&id.file_name()).unwrap(), (id.clone(), Form::Plain));
        assert_eq!(SegmentId::of_file(&id.packed_name()).unwrap(), (id.clone(), Form::Packed));
        assert_eq!(SegmentId::of_file(&format!("{id}.zst")), None);
        for bad in
            ["../../../../etc/passwd0000000", "1760000000000-ABABABABABABABAB", "", "1760000000000_abababababababab"]
        {
            assert!(bad.parse::<SegmentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_without_the_shape_of_a_record_is_not_split() {
        let hash = "0".repeat(64);
        let good = format!("{{\"kind\":\"event\",\"x\":1,\"seq\":12,\"time\":34,\"h\":\"{hash}\"}}\n");
        let line = Line::split(good.as_bytes()).unwrap();
        assert_eq!((line.seq, line.time, line.head), (12, Timestamp(34), Head([0; 32])));
        assert!(line.is_kind("event") && !line.is_kind("even") && !line.is_kind("events"));
        for bad in [
            String::new(),
            "\n".to_owned(),
            good.trim_end().to_owned(),
            good.replace("12", "99999999999999999999"),
            good.replace("12", ""),
            good.replace("12", "-1"),
            good.replace("34", "+34"),
            good.replace("34", "99999999999999999999"),
            good.replace(",\"time\":34", ""),
            good.replace("kind", "kid"),
            good.replacen('{', "{{", 1),
            good.replace('0', "G"),
            good.replace("\"h\"", "\"g\""),
        ] {
            assert_eq!(Line::split(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn both_suites_tie_a_record_to_its_predecessor_and_its_segment() {
        let (a, b) = (SegmentId::new(1, [1; 8]), SegmentId::new(1, [2; 8]));
        for suite in [Suite::Nist, Suite::Gm] {
            assert_ne!(Head::start(suite, &a), Head::start(suite, &b));
            let head = Head::start(suite, &a).follow(suite, b"x");
            assert_ne!(head, Head::start(suite, &b).follow(suite, b"x"));
            assert_eq!(head.to_string().parse::<Head>().unwrap(), head);
            assert_eq!(head.hex().as_slice(), head.to_string().as_bytes());
        }
    }
}
