//! Encryption contexts in audit records: their names as they are, of their values a mark that tells whether two are equal.

use crate::error::Result;
use crate::secret::Secret;
use crate::suite::{MacKey, Suite};
use crate::tenant::NamespaceId;

/// The key that marks the values of one namespace.
#[derive(Debug)]
pub struct ContextKey(MacKey);

impl ContextKey {
    /// The key of `namespace`, from the secret of the home.
    pub(super) fn new(secret: &Secret, namespace: NamespaceId) -> Result<Self> {
        let mac = Suite::Nist.mac(secret, &[b"kmss context key", &[0], &namespace.0])?;
        Ok(Self(MacKey::new(Suite::Nist, &Secret::copy_of(&mac))?))
    }

    /// The mark of a value: 16 bytes of HMAC-SHA-256 over name, zero byte and value.
    #[must_use]
    pub fn mark(&self, name: &str, value: &str) -> [u8; 16] {
        let mac = self.0.mac(&[name.as_bytes(), &[0], value.as_bytes()]);
        mac.first_chunk().copied().unwrap_or_default()
    }
}
