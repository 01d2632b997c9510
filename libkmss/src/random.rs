//! The seam through which everything below the backends gets randomness.

use crate::error::Result;

/// A cryptographically secure random source. The only implementations are backends' generators.
pub trait Random: Send + Sync {
    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`](crate::error::ErrorKind::BackendUnavailable) when the generator fails; `out`
    /// must not be used then.
    fn fill(&self, out: &mut [u8]) -> Result<()>;
}
