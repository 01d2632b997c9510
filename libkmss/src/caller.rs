//! Who asks.

use std::sync::Arc;

use crate::key::Keyring;
use crate::tenant::Namespace;

/// An identity that policies, quotas and the audit know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `kind:name`, for example `user:www-data` or `service:order-v1`.
    pub name: String,
    /// Roles the configuration gives it.
    pub roles: Vec<String>,
}

/// How a caller authenticated to the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    None,
    /// As a user; the default user has the name `user`.
    User(Arc<str>),
    /// As the security officer, who manages PINs and states but uses no private object.
    SecurityOfficer,
}

impl Login {
    /// The word in audit records.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::User(name) => name,
            Self::SecurityOfficer => "so",
        }
    }
}

/// One caller in one namespace, with what authentication unlocked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The identity.
    pub principal: Arc<Principal>,
    /// The namespace it works in.
    pub namespace: Arc<Namespace>,
    /// How it authenticated.
    pub login: Login,
    /// The domain keys it holds.
    pub keyring: Arc<Keyring>,
    /// The door's number for its session, for the audit.
    pub session: u64,
}

impl Caller {
    /// Whether it may use private objects: a user who authenticated, or anybody where that is not asked for. Never the
    /// security officer.
    #[must_use]
    pub fn uses_private(&self) -> bool {
        self.login != Login::SecurityOfficer && self.keyring.private.is_some()
    }
}
