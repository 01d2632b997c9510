//! Responses: duties, and the reason, in the bytes that the host reads (docs/policy-abi.md, section 5).

use crate::rules::fail;

pub(crate) const CRITICAL: u16 = 1 << 15;
pub(crate) const AUDIT_TAG: u16 = 1;
pub(crate) const RATE_LIMIT: u16 = 2;
pub(crate) const MAXIMUM_DATA: u16 = 3;
pub(crate) const STEP_UP: u16 = 4;
pub(crate) const QUORUM: u16 = 5;
pub(crate) const SESSION_EXPIRY: u16 = 6;
pub(crate) const NOTIFY: u16 = 7;
pub(crate) const MASK: u16 = 8;
pub(crate) const REASON: u16 = 16;

/// A response as the host reads it, its total length in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded(pub(crate) &'static [u8]);

impl Encoded {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        self.0
    }
}

/// A response that is the same for every request, made at compile time in at most `N` bytes: 4, and for each entry 4 and
/// its value. It costs nothing at run time, and a module that has only such responses writes to no memory.
///
/// ```
/// use kmss_policy::{Decision, Response};
///
/// static TWO_CUSTODIANS: Response<64> = Response::new().quorum(2, "custodian", 900).audit_tag("dual-control");
///
/// let decision = Decision::allow(1).with(&TWO_CUSTODIANS);
/// # assert!(decision.response().is_some());
/// ```
///
/// Every duty is marked critical: a host that does not know it denies. What breaks the interface's limits does not
/// compile.
#[derive(Debug)]
#[repr(C, align(4))]
pub struct Response<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Response<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Response<N> {
    /// One without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }.bytes(&[4, 0, 0, 0])
    }

    const fn bytes(mut self, bytes: &[u8]) -> Self {
        let Some((_, room)) = self.bytes.split_at_mut_checked(self.length) else { fail() };
        let Some((target, _)) = room.split_at_mut_checked(bytes.len()) else { fail() };
        target.copy_from_slice(bytes);
        self.length += bytes.len();
        self
    }

    const fn entry(self, kind: u16, parts: [&[u8]; 2]) -> Self {
        let [first, second] = parts;
        let length = first.len() + second.len();
        let mut this = self.bytes(&kind.to_le_bytes());
        this = this.bytes(&(length as u16).to_le_bytes()).bytes(first).bytes(second);
        if length > 1024 || this.length > 4096 {
            fail();
        }
        let total = (this.length as u32).to_le_bytes();
        let Some((front, _)) = this.bytes.split_at_mut_checked(4) else { fail() };
        front.copy_from_slice(&total);
        this
    }

    const fn text(self, kind: u16, text: &str, most: usize) -> Self {
        if text.is_empty() || text.len() > most {
            fail();
        }
        self.entry(kind, [text.as_bytes(), &[]])
    }

    /// Write this tag, of 1 to 128 bytes, into the audit record.
    #[must_use]
    pub const fn audit_tag(self, tag: &str) -> Self {
        self.text(AUDIT_TAG | CRITICAL, tag, 128)
    }

    /// At most `count` operations within `seconds` (1 to 86,400), for the same principal and key, over all processes of
    /// the host.
    #[must_use]
    pub const fn rate_limit(self, count: u32, seconds: u32) -> Self {
        if seconds == 0 || seconds > 86_400 {
            fail();
        }
        self.entry(RATE_LIMIT | CRITICAL, [&count.to_le_bytes(), &seconds.to_le_bytes()])
    }

    /// Refuse data that is longer than this many bytes.
    #[must_use]
    pub const fn maximum_data(self, bytes: u64) -> Self {
        self.entry(MAXIMUM_DATA | CRITICAL, [&bytes.to_le_bytes(), &[]])
    }

    /// The user authenticates for this one operation.
    #[must_use]
    pub const fn step_up(self) -> Self {
        self.entry(STEP_UP | CRITICAL, [&[], &[]])
    }

    /// `approvals` (at least 1) different holders of `role` (without `role:`) have approved, none of them the requester.
    /// Approvals hold for `window` seconds of repeated operations; 0: for one operation with this very data.
    #[must_use]
    pub const fn quorum(self, approvals: u8, role: &str, window: u32) -> Self {
        if approvals == 0 || role.is_empty() || role.len() > 128 {
            fail();
        }
        let [a, b, c, d] = window.to_le_bytes();
        self.entry(QUORUM | CRITICAL, [&[approvals, 0, 0, 0, a, b, c, d], role.as_bytes()])
    }

    /// The session ends this many seconds after its login.
    #[must_use]
    pub const fn session_expiry(self, seconds: u32) -> Self {
        self.entry(SESSION_EXPIRY | CRITICAL, [&seconds.to_le_bytes(), &[]])
    }

    /// Tell this channel, a name from the configuration.
    #[must_use]
    pub const fn notify(self, channel: &str) -> Self {
        self.text(NOTIFY | CRITICAL, channel, 128)
    }

    /// Show at most this many trailing characters of what leaves.
    #[must_use]
    pub const fn mask(self, shown: u8) -> Self {
        self.entry(MASK | CRITICAL, [&[shown], &[]])
    }

    /// Why, in a sentence; at most one. A rule's reason in the table of [`rules!`](crate::rules!) says the same for less.
    #[must_use]
    pub const fn because(self, reason: &str) -> Self {
        self.text(REASON, reason, 1024)
    }
}

impl<const N: usize> From<&'static Response<N>> for Encoded {
    #[inline(always)]
    fn from(response: &'static Response<N>) -> Self {
        Self(response.bytes.get(..response.length).unwrap_or(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_its_length_and_its_entries() {
        static TAGGED: Response<32> = Response::new().audit_tag("pci").step_up().maximum_data(4096);
        let expected: &[u8] =
            &[27, 0, 0, 0, 1, 128, 3, 0, b'p', b'c', b'i', 4, 128, 0, 0, 3, 128, 8, 0, 0, 16, 0, 0, 0, 0, 0, 0];
        assert_eq!(Encoded::from(&TAGGED).bytes(), expected);
    }

    #[test]
    fn a_quorum_carries_its_window_and_its_role() {
        static TWO: Response<32> = Response::new().quorum(2, "custodian", 900);
        let expected: &[u8] = b"\x19\0\0\0\x05\x80\x11\0\x02\0\0\0\x84\x03\0\0custodian";
        assert_eq!(Encoded::from(&TWO).bytes(), expected);
    }
}
