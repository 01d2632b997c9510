//! What one policy answers. The composition of several is a [`Decision`](super::Decision).

use std::fmt;

/// The answer of one policy. A guest that fails answers `Deny`, with the failure as its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Answer {
    /// What it says.
    pub verdict: Verdict,
    /// Number of the rule that decided, as the policy counts; 0 where there is none (24 bits).
    pub rule: u32,
    /// A sentence why, where the policy gives one; empty otherwise.
    pub reason: String,
    /// What the host must enforce if this is an allow.
    pub obligations: Vec<Obligation>,
}

/// What one policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No.
    Deny,
    /// Yes, if every obligation is met.
    Allow,
    /// It does not speak of this.
    NotApplicable,
}

/// A duty that comes with an allow. A host that does not know a critical obligation denies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obligation {
    /// Write this tag into the audit record.
    AuditTag(String),
    /// Refuse data longer than this many bytes.
    MaximumData(u64),
    /// At most `count` operations within `seconds`, for the same principal and key, over all processes of the host.
    RateLimit {
        /// Operations.
        count: u32,
        /// Length of the window, at most a day.
        seconds: u32,
    },
    /// The user authenticates for this one operation.
    StepUp,
    /// `approvals` different holders of `role` have approved, none of them the requester.
    Quorum {
        /// How many.
        approvals: u8,
        /// Which role they hold, without `role:`.
        role: String,
        /// For how many seconds approvals hold for repeated operations; 0: one operation, with this very data.
        window: u32,
    },
    /// The session ends this many seconds after its login.
    SessionExpiry(u32),
    /// Tag the audit record with `notify:` and this channel.
    Notify(String),
    /// Show at most this many trailing characters of what leaves, the others masked.
    Mask(u8),
}

/// In the words of the policy language.
impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuditTag(tag) => write!(f, "audit as {tag}"),
            Self::MaximumData(bytes) => write!(f, "at most {bytes} bytes"),
            Self::RateLimit { count, seconds } => write!(f, "at most {count} per {seconds} s"),
            Self::StepUp => f.write_str("require mfa"),
            Self::Quorum { approvals, role, window: 0 } => write!(f, "require {approvals} approvals of role:{role}"),
            Self::Quorum { approvals, role, window } => {
                write!(f, "require {approvals} approvals of role:{role} within {window} s")
            }
            Self::SessionExpiry(seconds) => write!(f, "expire after {seconds} s"),
            Self::Notify(channel) => write!(f, "notify {channel}"),
            Self::Mask(shown) => write!(f, "mask all but {shown} characters"),
        }
    }
}
