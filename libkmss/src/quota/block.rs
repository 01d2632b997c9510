//! Blocks: who, or what, does nothing (or little) until an operator lets it.

use std::fmt;
use std::str::FromStr;

use super::Demand;
use crate::caller::{Caller, Login};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Action;
use crate::permit::Subject;
use crate::tenant::{Namespace, NamespaceId, ObjectId};

/// Longest name or reason in bytes.
const LONGEST: usize = 256;

/// Names a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BlockId(pub u32);

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for BlockId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| Error::new(ErrorKind::Arguments, "a block is named by eight hex digits"))
    }
}

/// Where a blocked principal is blocked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Within {
    /// In every namespace of the home.
    Everywhere,
    /// In every namespace of a tenant.
    Tenant(String),
    /// In one namespace.
    Namespace(NamespaceId),
}

/// Who or what is blocked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockTarget {
    /// Whoever is called so: `kind:name`. Does nothing that goes through the pipeline, and does not log in,
    /// but as security officer.
    Principal {
        /// The name.
        name: String,
        /// Where.
        within: Within,
    },
    /// A key by its name or its identity (32 hex digits), in all its versions and halves, with its copies and the session
    /// keys that come from it. It is found, and the security officer still manages it; nothing else happens with it.
    Key {
        /// Where it is.
        namespace: NamespaceId,
        /// Its name or identity.
        key: String,
    },
    /// Everything in a namespace, as for keys.
    Namespace {
        /// Which.
        namespace: NamespaceId,
    },
}

impl BlockTarget {
    /// The namespace it is within; `None` where it reaches beyond one.
    #[must_use]
    pub const fn namespace(&self) -> Option<NamespaceId> {
        match self {
            Self::Principal { within: Within::Namespace(namespace), .. }
            | Self::Key { namespace, .. }
            | Self::Namespace { namespace } => Some(*namespace),
            Self::Principal { .. } => None,
        }
    }

    /// It in words, with `namespace` for the name of its namespace.
    #[must_use]
    pub fn shown(&self, namespace: &str) -> String {
        match self {
            Self::Principal { name, within: Within::Everywhere } => format!("principal {name}"),
            Self::Principal { name, within: Within::Tenant(tenant) } => format!("principal {name} in tenant {tenant}"),
            Self::Principal { name, within: Within::Namespace(_) } => format!("principal {name} in {namespace}"),
            Self::Key { key, .. } => format!("key {namespace}/{key}"),
            Self::Namespace { .. } => format!("token {namespace}"),
        }
    }

    fn validate(&self) -> Result<()> {
        let fine = |text: &str| !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
        let (name, within) = match self {
            Self::Principal { name, within } if name.contains(':') => (name.as_str(), Some(within)),
            Self::Principal { name, .. } => {
                let why = format!("`{}` does not name a principal: write `kind:name`", name.escape_debug());
                return Err(Error::new(ErrorKind::Arguments, why));
            }
            Self::Key { key, .. } => (key.as_str(), None),
            Self::Namespace { .. } => return Ok(()),
        };
        let tenant = match within {
            Some(Within::Tenant(tenant)) => tenant.as_str(),
            _ => name,
        };
        if fine(name) && fine(tenant) {
            return Ok(());
        }
        let why = format!("a name of 1 to {LONGEST} bytes without control characters is wanted");
        Err(Error::new(ErrorKind::Arguments, why))
    }
}

/// A block, or a throttle.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Block {
    /// Its name.
    pub id: BlockId,
    /// Who or what.
    pub target: BlockTarget,
    /// A throttle: so many operations in any second are let through.
    pub per_second: Option<u32>,
    /// Why, for people.
    pub reason: String,
    /// Who ordered it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; without it, until an operator releases it.
    pub until: Option<Timestamp>,
}

impl Block {
    /// Refuses what cannot be meant.
    pub(super) fn validate(&self) -> Result<()> {
        self.target.validate()?;
        let bad = |why: &'static str| Err(Error::new(ErrorKind::Arguments, why));
        if self.reason.len() > LONGEST || self.reason.chars().any(char::is_control) {
            return bad("a reason has at most 256 bytes, and no control characters");
        }
        if self.per_second == Some(0) {
            return bad("a throttle lets at least one operation a second through: block instead");
        }
        if self.until.is_some_and(|until| until <= self.since) {
            return bad("the block would be over already");
        }
        Ok(())
    }

    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether nothing is added to it by `other`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let as_long = match (self.until, other.until) {
            (None, _) => true,
            (Some(mine), Some(theirs)) => mine >= theirs,
            (Some(_), None) => false,
        };
        (&self.target, self.per_second) == (&other.target, other.per_second) && as_long
    }

    /// Whether it is one for `demand`, as long as it holds.
    pub(super) fn concerns(&self, demand: &Demand<'_>) -> bool {
        let Demand { caller, action, subjects, .. } = demand;
        match &self.target {
            BlockTarget::Principal { name, within } => {
                *name == caller.principal.name && within.contains(&caller.namespace)
            }
            _ if is_left(caller, *action) => false,
            BlockTarget::Key { namespace, key } => {
                *namespace == caller.namespace.id && subjects.each().any(|subject| is_called(subject, key))
            }
            BlockTarget::Namespace { namespace } => *namespace == caller.namespace.id,
        }
    }

    /// What whoever runs into it is told.
    pub(super) fn refusal(&self) -> String {
        let what = match &self.target {
            BlockTarget::Principal { name, .. } => format!("`{name}` is blocked"),
            BlockTarget::Key { key, .. } => format!("the key `{key}` is blocked"),
            BlockTarget::Namespace { .. } => "the token is blocked".to_owned(),
        };
        let why = if self.reason.is_empty() { String::new() } else { format!(" ({})", self.reason) };
        let until = self.until.map_or_else(
            || "until an operator releases it".to_owned(),
            |until| format!("until {}", super::moment(until)),
        );
        format!("{what}{why} {until}: block {}", self.id)
    }

    /// What changes, for the audit.
    #[must_use]
    pub fn shown(&self) -> String {
        let what = self.per_second.map_or_else(|| "stopped".to_owned(), |rate| format!("{rate}/s"));
        match self.until {
            Some(until) => format!("{what} until {}", super::moment(until)),
            None => format!("{what} until released"),
        }
    }
}

impl Within {
    /// Whether `namespace` is in it.
    #[must_use]
    pub fn contains(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Tenant(tenant) => *tenant == namespace.tenant,
            Self::Namespace(id) => *id == namespace.id,
        }
    }
}

/// What may be done with a blocked key or namespace: looking at it; and the security officer manages it.
fn is_left(caller: &Caller, action: Action) -> bool {
    let manages = matches!(action, Action::Manage | Action::ChangeState | Action::Destroy);
    matches!(action, Action::Find | Action::Login) || (manages && caller.login == Login::SecurityOfficer)
}

/// Whether `subject` is the key that `named` names, one of its copies, or comes from it.
pub(super) fn is_called(subject: &Subject, named: &str) -> bool {
    let is = |id: ObjectId| named.len() == 32 && named.parse().is_ok_and(|parsed: ObjectId| parsed == id);
    match subject {
        Subject::Object(object) => {
            let by_name = object.key().is_some_and(|key| {
                key.policy_name() == named || key.origin == named || key.copy_of.iter().any(|name| name == named)
            });
            by_name || is(object.id)
        }
        Subject::New(new) => new.is_key && (new.name == named || new.origin == named),
        Subject::Namespace => false,
    }
}
