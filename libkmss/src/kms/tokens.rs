//! Tokens of the vault under keys that were rotated.

use zeroize::Zeroizing;

use super::Kms;
use crate::caller::Caller;
use crate::error::Result;
use crate::operation::Detokenize;

impl Kms {
    /// Gets the value of a token back by the version of the key that sealed it: the one that is asked, or another. That version
    /// is what is decided on, as every use of it is.
    ///
    /// # Errors
    /// Those of [`Detokenize`].
    pub fn detokenize(&self, caller: &Caller, operation: Detokenize) -> Result<Zeroizing<String>> {
        let operation = operation.by_its_version(&self.pipeline.hall, caller, self.now())?;
        self.perform(caller, operation)
    }
}
