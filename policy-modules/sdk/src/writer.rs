//! Responses that are put together for one request.

use crate::response::{
    AUDIT_TAG, CRITICAL, Encoded, MASK, MAXIMUM_DATA, NOTIFY, QUORUM, RATE_LIMIT, REASON, SESSION_EXPIRY, STEP_UP,
};

/// The longest response.
pub(crate) const LONGEST: usize = 4096;

/// Writes a response. What does not fit, or breaks a limit of the interface, ends the decision in a trap: a deny.
///
/// ```
/// use kmss_policy::{Decision, Request, Writer};
///
/// fn decide(request: Request) -> Decision {
///     let limit = if request.tenant().starts_with("free-") { 10 } else { 1000 };
///     Decision::allow(1).with(Writer::take().rate_limit(limit, 60).finish())
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Writer {
    buffer: &'static mut [u8; LONGEST],
    length: usize,
}

impl Writer {
    /// The module's one writer. Taking it twice in one decision ends in a trap.
    pub fn take() -> Self {
        #[cfg(target_arch = "wasm32")]
        let buffer = crate::guest::response_buffer();
        #[cfg(not(target_arch = "wasm32"))]
        let buffer = Box::leak(Box::new([0; LONGEST]));
        Self { buffer, length: 4 }
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        let room = self.buffer.get_mut(self.length..).and_then(|room| room.get_mut(..bytes.len()));
        let Some(target) = room else { crate::malformed() };
        target.copy_from_slice(bytes);
        self.length += bytes.len();
        self
    }

    fn entry(self, kind: u16, value: &[u8]) -> Self {
        let Ok(length) = u16::try_from(value.len()) else { crate::malformed() };
        self.bytes(&kind.to_le_bytes()).bytes(&length.to_le_bytes()).bytes(value)
    }

    fn text(self, kind: u16, text: &[u8], most: usize) -> Self {
        if text.is_empty() || text.len() > most {
            crate::malformed();
        }
        self.entry(kind, text)
    }

    /// Write this tag, of 1 to 128 bytes, into the audit record.
    pub fn audit_tag(self, tag: impl AsRef<[u8]>) -> Self {
        self.text(AUDIT_TAG | CRITICAL, tag.as_ref(), 128)
    }

    /// At most `count` operations within `seconds` (1 to 86,400).
    pub fn rate_limit(self, count: u32, seconds: u32) -> Self {
        let [a, b, c, d] = count.to_le_bytes();
        let [e, f, g, h] = seconds.to_le_bytes();
        self.entry(RATE_LIMIT | CRITICAL, &[a, b, c, d, e, f, g, h])
    }

    /// Refuse data that is longer than this many bytes.
    pub fn maximum_data(self, bytes: u64) -> Self {
        self.entry(MAXIMUM_DATA | CRITICAL, &bytes.to_le_bytes())
    }

    /// The user authenticates for this one operation.
    pub fn step_up(self) -> Self {
        self.entry(STEP_UP | CRITICAL, &[])
    }

    /// `approvals` different holders of `role` have approved, none of them the requester; see
    /// [`Response::quorum`](crate::Response::quorum).
    pub fn quorum(self, approvals: u8, role: &str, window: u32) -> Self {
        if role.is_empty() || role.len() > 128 {
            crate::malformed();
        }
        let Ok(length) = u16::try_from(role.len() + 8) else { crate::malformed() };
        let [a, b, c, d] = window.to_le_bytes();
        self.bytes(&(QUORUM | CRITICAL).to_le_bytes())
            .bytes(&length.to_le_bytes())
            .bytes(&[approvals, 0, 0, 0, a, b, c, d])
            .bytes(role.as_bytes())
    }

    /// The session ends this many seconds after its login.
    pub fn session_expiry(self, seconds: u32) -> Self {
        self.entry(SESSION_EXPIRY | CRITICAL, &seconds.to_le_bytes())
    }

    /// Tell this channel, a name from the configuration.
    pub fn notify(self, channel: impl AsRef<[u8]>) -> Self {
        self.text(NOTIFY | CRITICAL, channel.as_ref(), 128)
    }

    /// Show at most this many trailing characters of what leaves.
    pub fn mask(self, shown: u8) -> Self {
        self.entry(MASK | CRITICAL, &[shown])
    }

    /// Why, in a sentence; at most one.
    pub fn because(self, reason: impl AsRef<[u8]>) -> Self {
        self.text(REASON, reason.as_ref(), 1024)
    }

    /// An entry of a type that this crate does not know yet. Where `critical`, a host that does not know it either denies.
    pub fn other(self, kind: u16, critical: bool, value: &[u8]) -> Self {
        self.entry(if critical { kind | CRITICAL } else { kind & !CRITICAL }, value)
    }

    /// The response, for [`Decision::with`](crate::Decision::with).
    #[must_use]
    pub fn finish(self) -> Encoded {
        let Some(front) = self.buffer.first_chunk_mut() else { crate::malformed() };
        *front = (self.length as u32).to_le_bytes();
        Encoded(self.buffer.get(..self.length).unwrap_or(&[]))
    }
}

impl AsRef<[u8]> for crate::Text<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Response;

    #[test]
    fn a_writer_writes_what_the_compiler_would() {
        static MADE: Response<512> = Response::new()
            .audit_tag("tag")
            .rate_limit(10, 60)
            .maximum_data(1 << 40)
            .step_up()
            .quorum(3, "custodian", 900)
            .session_expiry(3600)
            .notify("security")
            .mask(4)
            .because("since it is so");
        let written = Writer::take()
            .audit_tag("tag")
            .rate_limit(10, 60)
            .maximum_data(1 << 40)
            .step_up()
            .quorum(3, "custodian", 900)
            .session_expiry(3600)
            .notify("security")
            .mask(4)
            .because("since it is so");
        assert_eq!(written.finish(), Encoded::from(&MADE));
    }

    #[test]
    #[should_panic(expected = "a deny")]
    fn what_does_not_fit_denies() {
        let mut writer = Writer::take();
        for _ in 0..5 {
            writer = writer.because([b'x'; 1024]);
        }
    }
}
