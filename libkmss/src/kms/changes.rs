//! Where the store stands, for those who mirror a part of it.

use std::time::Duration;

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

    /// Waits until something was stored after `since`, or `timeout` passed; returns the newest revision.
    ///
    /// # Errors
    /// Those of the store.
    pub fn wait(&self, since: Revision, timeout: Duration) -> Result<Revision> {
        self.store.wait(since, timeout)
    }
}
