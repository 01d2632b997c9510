//! The changes that people make in a key's life.

use std::fmt;

use super::{AuditMode, Description, KeyState, Purpose, RevocationReason, Rotation};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// A change that people make in a key's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It may be used.
    Enable,
    /// It protects nothing new.
    Disable,
    /// It does nothing for the time being.
    Suspend,
    /// It protects nothing new, for good.
    Archive,
    /// It is revoked.
    Revoke {
        /// Why.
        reason: RevocationReason,
        /// A sentence of it.
        why: String,
    },
    /// Its moments are others; what is absent stays as it is.
    Schedule {
        /// When it becomes active; `Some(None)` for never by itself.
        activation: Option<Option<Timestamp>>,
        /// When it is deactivated.
        deactivation: Option<Option<Timestamp>>,
    },
    /// It is destroyed after so many days.
    Delete {
        /// See [`Deletion::DAYS`](super::Deletion::DAYS).
        days: u16,
        /// A sentence of it.
        why: String,
    },
    /// It is not destroyed after all.
    Keep,
    /// It is rotated by itself, or not any more.
    Rotate(Option<Rotation>),
    /// Something else is said of it.
    Describe(Description),
    /// It has these tags and no others: policies choose keys by them.
    Tag(Vec<String>),
    /// Records of its uses are kept so.
    Audit(AuditMode),
}

impl Transition {
    /// What puts a key into `state`.
    ///
    /// # Errors
    /// [`ErrorKind::KeyState`] for states that a key is made in, or that it comes to by being destroyed.
    pub fn into_state(state: KeyState) -> Result<Self> {
        match state {
            KeyState::Active => Ok(Self::Enable),
            KeyState::Deactivated => Ok(Self::Disable),
            KeyState::Suspended => Ok(Self::Suspend),
            KeyState::Compromised => Ok(Self::Revoke { reason: RevocationReason::KeyCompromise, why: String::new() }),
            KeyState::PreActive | KeyState::PendingDeletion | KeyState::Destroyed => {
                let why = format!("nobody puts a key into the state {} by that", state.name());
                Err(Error::new(ErrorKind::KeyState, why))
            }
        }
    }

    /// The state that it puts a key into, where it is a matter of that.
    #[must_use]
    pub const fn state(&self) -> Option<KeyState> {
        match self {
            Self::Enable => Some(KeyState::Active),
            Self::Disable | Self::Archive => Some(KeyState::Deactivated),
            Self::Suspend => Some(KeyState::Suspended),
            Self::Revoke { reason, .. } => Some(reason.state()),
            Self::Delete { .. } => Some(KeyState::PendingDeletion),
            _ => None,
        }
    }

    /// Whether it is said of all versions of a key: what it is for, whose it is, and what policies choose it by.
    #[must_use]
    pub const fn is_of_all_versions(&self) -> bool {
        matches!(self, Self::Describe(_) | Self::Tag(_))
    }
}

/// In words, for the audit.
impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = |f: &mut fmt::Formatter<'_>, what: &str, moment: &Option<Option<Timestamp>>| match moment {
            None => Ok(()),
            Some(None) => write!(f, " {what} never"),
            Some(Some(at)) => write!(f, " {what} {}", at.utc()),
        };
        match self {
            Self::Enable => f.write_str("enable"),
            Self::Disable => f.write_str("disable"),
            Self::Suspend => f.write_str("suspend"),
            Self::Archive => f.write_str("archive"),
            Self::Revoke { reason, why } => write!(f, "revoke for {}: {why}", reason.name()),
            Self::Schedule { activation, deactivation } => {
                f.write_str("schedule:")?;
                moment(f, "activated", activation)?;
                moment(f, "deactivated", deactivation)
            }
            Self::Delete { days, why } => write!(f, "destroy after {days} days: {why}"),
            Self::Keep => f.write_str("do not destroy"),
            Self::Rotate(None) => f.write_str("rotate never"),
            Self::Describe(Description { owner, description, purpose, service }) => {
                f.write_str("describe:")?;
                owner.iter().try_for_each(|owner| write!(f, " owner `{owner}`"))?;
                service.iter().try_for_each(|service| write!(f, " service `{service}`"))?;
                purpose
                    .iter()
                    .try_for_each(|purpose| write!(f, " purpose {}", purpose.map_or("any", Purpose::name)))?;
                description.iter().try_for_each(|text| write!(f, " description `{text}`"))
            }
            Self::Tag(tags) => write!(f, "tags {}", tags.join(" ")),
            Self::Audit(mode) => write!(f, "audit {}", mode.name()),
            Self::Rotate(Some(rule)) => write!(f, "rotate {rule}"),
        }
    }
}
