//! Authentication: who somebody is, and which domain key that unlocks.

mod pin;
mod rewrap;

use std::sync::Arc;

use crate::caller::Login;
use crate::error::Result;
use crate::key::DomainKey;
use crate::secret::Secret;
use crate::tenant::Namespace;

pub use crate::domain::VersionInfo;
pub(crate) use pin::{Arrival, Departure};
pub use pin::{Holder, PinAuthenticator};
pub use rewrap::RewrapToken;

/// What somebody shows.
#[derive(Debug)]
pub enum Credential<'a> {
    /// A user's PIN. The default user has the name `user`.
    UserPin {
        /// The user.
        name: &'a str,
        /// The PIN.
        pin: &'a Secret,
    },
    /// The security officer's PIN.
    OfficerPin(&'a Secret),
}

/// What authentication gives.
#[derive(Debug)]
pub struct Authenticated {
    /// As whom.
    pub login: Login,
    /// The private domain key; absent for the security officer, who uses no private object.
    pub private: Option<Arc<DomainKey>>,
    /// What lets the security officer give users PINs without using their objects; absent for everybody else.
    pub rewrap: Option<Arc<RewrapToken>>,
    /// The user's roles.
    pub roles: Vec<String>,
}

/// What may be known of a credential's state without showing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CredentialState {
    /// Whether it exists.
    pub initialized: bool,
    /// Wrong attempts since the last success.
    pub failures: u32,
    /// Attempts left before it locks; 0 is locked.
    pub remaining: u32,
}

/// Checks credentials. An attempt is counted durably before it is checked.
pub trait Authenticator: Send + Sync {
    /// Checks `credential`.
    ///
    /// # Errors
    /// [`PinIncorrect`](crate::error::ErrorKind::PinIncorrect), [`PinLocked`](crate::error::ErrorKind::PinLocked),
    /// [`PinNotInitialized`](crate::error::ErrorKind::PinNotInitialized).
    fn authenticate(&self, namespace: &Namespace, credential: &Credential<'_>) -> Result<Authenticated>;
}
