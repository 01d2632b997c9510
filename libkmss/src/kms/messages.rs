//! Messages in our own format that go from one key to another.

use std::time::Duration;

use super::Kms;
use crate::caller::Caller;
use crate::error::Result;
use crate::mechanism::{EncryptionContext, Native};
use crate::operation::{DecryptMessage, EncryptMessage, ObjectRef};

impl Kms {
    /// Time that only goes forward.
    pub(crate) fn monotonic(&self) -> Duration {
        self.pipeline.clock.monotonic()
    }

    /// Decrypts a message that was encrypted with `context`, and encrypts it anew under another key, algorithm or context. The
    /// plaintext leaves nobody's hands here.
    ///
    /// Both are operations of their own: each is decided with its own context, and recorded, tagged `reencrypt`.
    ///
    /// # Errors
    /// As of [`DecryptMessage`] and [`EncryptMessage`].
    pub fn reencrypt_message(
        &self,
        caller: &Caller,
        ciphertext: &[u8],
        context: EncryptionContext,
        (key, native): (ObjectRef, Native),
    ) -> Result<Vec<u8>> {
        const TAG: &str = "reencrypt";
        let plaintext = self.perform(caller, DecryptMessage::new(ciphertext, context).part_of(TAG))?;
        let Native { algorithm, context } = native;
        self.perform(caller, EncryptMessage::new(key, algorithm, context, &plaintext).part_of(TAG))
    }
}
