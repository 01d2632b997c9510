//! The seal: who holds the root key. It wraps and unwraps sealed keys, nothing else.

mod file;
mod header;
mod live;
mod migrate;
mod root;

use crate::error::Result;
use crate::secret::Secret;
use crate::suite::Suite;

pub use file::FileSeal;
pub use live::HomeSeal;
pub use migrate::{Holding, RootInfo, SealStatus};
pub(crate) use root::marker;

/// Holder of a root key (a key file, an HSM, a remote service).
pub trait Seal: Send + Sync {
    /// The suite that the seal header names; store, index and audit follow it.
    fn suite(&self) -> Suite;

    /// Identity of the root key, as the header and wrapped keys carry it.
    fn key_id(&self) -> &str;

    /// Wraps `key`; the same `context` must be given to unwrap it.
    ///
    /// # Errors
    /// [`ErrorKind::BackendUnavailable`](crate::error::ErrorKind::BackendUnavailable) when the holder cannot be reached.
    fn wrap(&self, context: &str, key: &Secret) -> Result<Vec<u8>>;

    /// Unwraps what [`Seal::wrap`] made.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::error::ErrorKind::Damaged) when it was changed, moved, or wrapped by another root.
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret>;

    /// Whether the root key that wraps now made `wrapped`; where not, it is to be wrapped anew.
    ///
    /// # Errors
    /// As [`Seal::wrap`].
    fn wraps_like(&self, _wrapped: &[u8]) -> Result<bool> {
        Ok(true)
    }
}
