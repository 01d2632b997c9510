//! The security officer's hold on the private domain key: enough to wrap it for a user, not to open an object with it.

use crate::secret::Secret;
use crate::suite::HASH_LEN;
use crate::tenant::NamespaceId;

/// A version of a private domain key before it is expanded.
pub(super) struct Private {
    pub(super) version: u32,
    pub(super) secret: Secret,
}

/// Proof of a security officer's login to one edition of a namespace, carrying the private domain secret sealed off.
///
/// Nothing outside [`auth`](crate::auth) can reach the secret, and nothing in it makes a
/// [`DomainKey`](crate::key::DomainKey) from this token.
pub struct RewrapToken {
    pub(super) namespace: NamespaceId,
    // Names the public domain key, so that the token dies with the edition of the namespace that it was made for.
    pub(super) edition: [u8; HASH_LEN],
    pub(super) private: Private,
}

impl std::fmt::Debug for RewrapToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RewrapToken({})", self.namespace)
    }
}
