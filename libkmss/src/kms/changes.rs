//! Where the store stands, for those who mirror a part of it.

use super::Kms;
use crate::error::Result;
use crate::store::Revision;

impl Kms {
    /// The newest revision of the store.
    ///
    /// # Errors
    /// Those of the store.
    pub fn revision(&self) -> Result<Revision> {
        self.catalog().revision()
    }
}
