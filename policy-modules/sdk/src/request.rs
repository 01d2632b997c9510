//! The request: a view over the bytes that the host wrote (docs/policy-abi.md, section 2). Nothing is copied.

use crate::list::{Context, List, text, word};
use crate::mechanism::Mechanism;
use crate::numbers::{Action, KeyType};
use crate::text::{Principal, Text};
use crate::time::Time;

/// Length of the fixed part in version 1.0; later ones only append.
pub(crate) const FIXED: usize = 176;

const HAS_KEY: u32 = 1 << 3;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// The request in `bytes`. `None` where they are not one of version 1, or not all of it.
    #[must_use]
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < FIXED {
            return None;
        }
        let known = word(bytes, 0) >> 16 == 1
            && word(bytes, 4) as usize == bytes.len()
            && (FIXED..=bytes.len()).contains(&(word(bytes, 68) as usize));
        known.then_some(Self { bytes })
    }

    #[inline(always)]
    fn wide(self, at: usize) -> u64 {
        u64::from(word(self.bytes, at)) | u64::from(word(self.bytes, at.wrapping_add(4))) << 32
    }

    #[inline(always)]
    fn flag(self, bit: u32) -> bool {
        word(self.bytes, 48) & bit != 0
    }

    /// What is done.
    #[must_use]
    #[inline(always)]
    pub fn action(self) -> Action {
        Action(word(self.bytes, 8))
    }

    /// How, where a mechanism is involved.
    #[must_use]
    #[inline(always)]
    pub fn mechanism(self) -> Option<Mechanism> {
        Some(word(self.bytes, 12)).filter(|number| *number != 0).map(Mechanism)
    }

    /// When.
    #[must_use]
    #[inline(always)]
    pub fn time(self) -> Time {
        Time(self.wide(16))
    }

    /// The number of this decision in its process, from 1.
    #[must_use]
    #[inline(always)]
    pub fn sequence(self) -> u64 {
        self.wide(24)
    }

    /// Decisions for the same principal, action and key on this host within the last second, this one included.
    #[must_use]
    #[inline(always)]
    pub fn last_second(self) -> u32 {
        word(self.bytes, 32)
    }

    /// The same within the last 60 seconds.
    #[must_use]
    #[inline(always)]
    pub fn last_minute(self) -> u32 {
        word(self.bytes, 36)
    }

    /// Bytes of data, where it is known how many there are.
    #[must_use]
    #[inline(always)]
    pub fn data_len(self) -> Option<u64> {
        Some(self.wide(40)).filter(|length| *length != u64::MAX)
    }

    /// Whether a person is there who can be asked.
    #[must_use]
    #[inline(always)]
    pub fn is_interactive(self) -> bool {
        self.flag(1)
    }

    /// Whether the caller authenticated for this one operation, or by more than one factor.
    #[must_use]
    #[inline(always)]
    pub fn has_mfa(self) -> bool {
        self.flag(2)
    }

    /// Whether the namespace allows only what is approved for FIPS 140-3.
    #[must_use]
    #[inline(always)]
    pub fn is_fips(self) -> bool {
        self.flag(4)
    }

    /// The numeric user of the calling process.
    #[must_use]
    #[inline(always)]
    pub fn uid(self) -> Option<u32> {
        Some(word(self.bytes, 52)).filter(|uid| *uid != u32::MAX)
    }

    /// The number of the calling process.
    #[must_use]
    #[inline(always)]
    pub fn pid(self) -> Option<u32> {
        Some(word(self.bytes, 56)).filter(|pid| *pid != 0)
    }

    /// The key, where there is one.
    #[must_use]
    #[inline(always)]
    pub fn key(self) -> Option<Key<'a>> {
        self.flag(HAS_KEY).then_some(Key { request: self })
    }

    /// The tenant.
    #[must_use]
    #[inline(always)]
    pub fn tenant(self) -> Text<'a> {
        text(self.bytes, 88)
    }

    /// Who asks.
    #[must_use]
    #[inline(always)]
    pub fn principal(self) -> Principal<'a> {
        Principal(text(self.bytes, 96))
    }

    /// The roles of who asks.
    #[must_use]
    #[inline(always)]
    pub fn roles(self) -> List<'a> {
        List::new(self.bytes, 104)
    }

    /// The namespace's name within its tenant.
    #[must_use]
    #[inline(always)]
    pub fn namespace(self) -> Text<'a> {
        text(self.bytes, 128)
    }

    /// Path of the calling program.
    #[must_use]
    #[inline(always)]
    pub fn process(self) -> Text<'a> {
        text(self.bytes, 144)
    }

    /// The caller's network address; empty where it did not come over a network.
    #[must_use]
    #[inline(always)]
    pub fn source(self) -> Text<'a> {
        text(self.bytes, 152)
    }

    /// The door's name for the caller's session.
    #[must_use]
    #[inline(always)]
    pub fn session(self) -> Text<'a> {
        text(self.bytes, 160)
    }

    /// The encryption context.
    #[must_use]
    #[inline(always)]
    pub fn context(self) -> Context<'a> {
        Context::new(self.bytes, 168)
    }
}

impl core::fmt::Debug for Request<'_> {
    #[inline(always)]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request")
            .field("action", &self.action().name())
            .field("principal", &self.principal().text())
            .field("key", &self.key().map(Key::name))
            .finish_non_exhaustive()
    }
}

/// The key of a request.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    request: Request<'a>,
}

impl<'a> Key<'a> {
    /// Its identity, 32 hexadecimal digits; empty for one that is about to exist.
    #[must_use]
    #[inline(always)]
    pub fn id(self) -> Text<'a> {
        text(self.request.bytes, 112)
    }

    /// Its name in the namespace.
    #[must_use]
    #[inline(always)]
    pub fn name(self) -> Text<'a> {
        text(self.request.bytes, 120)
    }

    /// Whether it lives only as long as its session.
    #[must_use]
    #[inline(always)]
    pub fn is_session(self) -> bool {
        self.request.flag(1 << 4)
    }

    /// Its type, where it is known already.
    #[must_use]
    #[inline(always)]
    pub fn key_type(self) -> Option<KeyType> {
        Some(word(self.request.bytes, 60)).filter(|number| *number != 0).map(KeyType)
    }

    /// Its size in bits, where it is known.
    #[must_use]
    #[inline(always)]
    pub fn bits(self) -> Option<u32> {
        Some(word(self.request.bytes, 64)).filter(|bits| *bits != 0)
    }

    /// When it was made; 0 for one that is about to exist.
    #[must_use]
    #[inline(always)]
    pub fn created(self) -> Time {
        Time(self.request.wide(72))
    }

    /// How old its primary version is, in milliseconds.
    #[must_use]
    #[inline(always)]
    pub fn version_age(self) -> u64 {
        self.request.wide(80)
    }

    /// Its tags.
    #[must_use]
    #[inline(always)]
    pub fn tags(self) -> List<'a> {
        List::new(self.request.bytes, 136)
    }
}

#[cfg(test)]
mod tests;
