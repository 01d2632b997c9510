//! A guest's response (docs/policy-abi.md, section 5). Guests are hostile: every length is checked, every text is looked at.

use crate::policy::Obligation;

/// Longest response in bytes.
pub const MAX_RESPONSE: usize = 4096;
/// Longest tag, role or channel in bytes.
pub const MAX_TEXT: usize = 128;
/// Longest reason in bytes.
pub const MAX_REASON: usize = 1024;
/// Most entries of a response.
pub(crate) const MAX_ENTRIES: usize = 64;
/// Longest window of a rate limit: a day.
const MAX_WINDOW: u32 = 86_400;
/// The bit of a type that says: who does not know this must deny.
const CRITICAL: u16 = 1 << 15;

/// Why a response denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not within the guest's memory, or shorter or longer than a response can be.
    #[error("its response lies outside of its memory, or has an impossible length")]
    Bounds,
    /// The entries do not fill it exactly.
    #[error("its response is malformed")]
    Malformed,
    /// There are too many entries.
    #[error("its response has more than 64 entries")]
    TooMany,
    /// The value of an entry of this type is not acceptable.
    #[error("its response has an unacceptable value of type {0}")]
    Value(u16),
    /// A duty of this type, which this host cannot enforce.
    #[error("it demands a duty of type {0}, which this KMSS does not know")]
    Unknown(u16),
    /// A second reason.
    #[error("its response has two reasons")]
    TwoReasons,
}

/// One duty in numbers and texts that were not yet looked at. Both interfaces make obligations through it, so that their
/// limits are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Duty<'a> {
    AuditTag(&'a str),
    RateLimit { count: u32, seconds: u32 },
    MaximumData(u64),
    StepUp,
    Quorum { approvals: u8, role: &'a str, window: u32 },
    SessionExpiry(u32),
    Notify(&'a str),
    Mask(u8),
}

impl Duty<'_> {
    /// The obligation, where all is within its limits.
    pub(crate) fn check(self) -> Option<Obligation> {
        let name = |text: &str| plain_text(text, MAX_TEXT).map(str::to_owned);
        Some(match self {
            Self::AuditTag(tag) => Obligation::AuditTag(name(tag)?),
            Self::RateLimit { count, seconds } if (1..=MAX_WINDOW).contains(&seconds) => {
                Obligation::RateLimit { count, seconds }
            }
            Self::RateLimit { .. } | Self::Quorum { approvals: 0, .. } => return None,
            Self::MaximumData(bytes) => Obligation::MaximumData(bytes),
            Self::StepUp => Obligation::StepUp,
            Self::Quorum { approvals, role, window } => Obligation::Quorum { approvals, role: name(role)?, window },
            Self::SessionExpiry(seconds) => Obligation::SessionExpiry(seconds),
            Self::Notify(channel) => Obligation::Notify(name(channel)?),
            Self::Mask(characters) => Obligation::Mask(characters),
        })
    }
}

/// `text` if it is not empty, not too long, and harmless in a log.
pub(crate) fn plain_text(text: &str, longest: usize) -> Option<&str> {
    (!text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control)).then_some(text)
}

/// The reason (empty where there is none) and the duties of the response at `pointer` in a guest's memory. Pointer 0 means
/// that there is no response.
///
/// # Errors
/// Whatever is not as the specification says.
pub fn decode(memory: &[u8], pointer: u32) -> Result<(String, Vec<Obligation>), ResponseError> {
    let (mut reason, mut obligations) = (String::new(), Vec::new());
    if pointer == 0 {
        return Ok((reason, obligations));
    }
    let mut rest = entries(memory, pointer).ok_or(ResponseError::Bounds)?;
    let mut count = 0;
    while !rest.is_empty() {
        let (kind, value, behind) = entry(rest).ok_or(ResponseError::Malformed)?;
        rest = behind;
        count += 1;
        if count > MAX_ENTRIES {
            return Err(ResponseError::TooMany);
        }
        let number = kind & !CRITICAL;
        if number == REASON {
            if !reason.is_empty() {
                return Err(ResponseError::TwoReasons);
            }
            let text = std::str::from_utf8(value).ok().and_then(|text| plain_text(text, MAX_REASON));
            text.ok_or(ResponseError::Value(number))?.clone_into(&mut reason);
        } else if (AUDIT_TAG..=MASK).contains(&number) {
            let duty = duty(number, value).and_then(Duty::check);
            obligations.push(duty.ok_or(ResponseError::Value(number))?);
        } else if kind & CRITICAL != 0 {
            return Err(ResponseError::Unknown(number));
        }
    }
    Ok((reason, obligations))
}

const AUDIT_TAG: u16 = 1;
const RATE_LIMIT: u16 = 2;
const MAXIMUM_DATA: u16 = 3;
const STEP_UP: u16 = 4;
const QUORUM: u16 = 5;
const SESSION_EXPIRY: u16 = 6;
const NOTIFY: u16 = 7;
const MASK: u16 = 8;
const REASON: u16 = 16;

/// What stands behind the total length.
fn entries(memory: &[u8], pointer: u32) -> Option<&[u8]> {
    let response = memory.get(usize::try_from(pointer).ok()?..)?;
    let (total, behind) = number(response)?;
    let total = usize::try_from(total).ok().filter(|total| (4..=MAX_RESPONSE).contains(total))?;
    behind.get(..total - 4)
}

/// Type and value of the first entry, and what follows it.
fn entry(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (kind, bytes) = bytes.split_first_chunk()?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let (value, rest) = bytes.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((u16::from_le_bytes(*kind), value, rest))
}

fn duty(kind: u16, value: &[u8]) -> Option<Duty<'_>> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    Some(match kind {
        AUDIT_TAG => Duty::AuditTag(text(value)?),
        RATE_LIMIT => {
            let (count, rest) = number(value)?;
            Duty::RateLimit { count, seconds: u32::from_le_bytes(rest.try_into().ok()?) }
        }
        MAXIMUM_DATA => Duty::MaximumData(u64::from_le_bytes(value.try_into().ok()?)),
        STEP_UP if value.is_empty() => Duty::StepUp,
        QUORUM => {
            let (approvals, rest) = number(value)?;
            let (window, role) = number(rest)?;
            Duty::Quorum { approvals: u8::try_from(approvals).ok()?, role: text(role)?, window }
        }
        SESSION_EXPIRY => Duty::SessionExpiry(u32::from_le_bytes(value.try_into().ok()?)),
        NOTIFY => Duty::Notify(text(value)?),
        MASK => match value {
            [characters] => Duty::Mask(*characters),
            _ => return None,
        },
        _ => return None,
    })
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
