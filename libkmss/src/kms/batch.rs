//! Many uses of keys at once, each with a result of its own.

use std::fmt;

use zeroize::Zeroizing;

use super::Kms;
use crate::backend::Signing;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{EncryptionContext, Native};
use crate::operation::{Chosen, Decrypt, DecryptMessage, Encrypt, EncryptMessage, Making, ObjectRef, Sign, Verify};
use crate::pipeline::Pipeline;

/// One of several uses.
#[derive(Clone)]
pub enum BatchItem<'a> {
    /// Signs, or computes a MAC.
    Sign {
        /// The key.
        key: ObjectRef,
        /// How.
        how: Chosen,
        /// The message, or its digest where the mechanism says so.
        message: &'a [u8],
    },
    /// Verifies a signature or MAC.
    Verify {
        /// The key.
        key: ObjectRef,
        /// How.
        how: Chosen,
        /// The message, or its digest.
        message: &'a [u8],
        /// The signature.
        signature: &'a [u8],
    },
    /// Encrypts by a mechanism.
    Encrypt {
        /// The key.
        key: ObjectRef,
        /// How.
        how: Chosen,
        /// The plaintext.
        plaintext: &'a [u8],
    },
    /// Decrypts by a mechanism.
    Decrypt {
        /// The key.
        key: ObjectRef,
        /// How.
        how: Chosen,
        /// The ciphertext.
        ciphertext: &'a [u8],
    },
    /// Encrypts in our own format.
    EncryptMessage {
        /// The key.
        key: ObjectRef,
        /// How, and with what context.
        native: Native,
        /// The plaintext.
        plaintext: &'a [u8],
    },
    /// Decrypts what is in our own format, with the key that it names.
    DecryptMessage {
        /// The ciphertext.
        ciphertext: &'a [u8],
        /// The context that it was encrypted with.
        context: EncryptionContext,
    },
}

impl BatchItem<'_> {
    /// Bytes that come in.
    fn len(&self) -> usize {
        match self {
            Self::Sign { message, .. } => message.len(),
            Self::Verify { message, signature, .. } => message.len().saturating_add(signature.len()),
            Self::Encrypt { plaintext: data, .. }
            | Self::Decrypt { ciphertext: data, .. }
            | Self::EncryptMessage { plaintext: data, .. }
            | Self::DecryptMessage { ciphertext: data, .. } => data.len(),
        }
    }
}

/// What came of one.
#[derive(Clone, PartialEq, Eq)]
pub enum BatchOutcome {
    /// The signature or MAC.
    Signature(Vec<u8>),
    /// The signature or MAC holds; where it does not, that is the item's error.
    Holds,
    /// The ciphertext.
    Ciphertext(Vec<u8>),
    /// The plaintext.
    Plaintext(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for BatchOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature(_) => "Signature(..)",
            Self::Holds => "Holds",
            Self::Ciphertext(_) => "Ciphertext(..)",
            Self::Plaintext(_) => "Plaintext(..)",
        })
    }
}

impl Kms {
    /// Most items of a batch.
    pub const BATCH_ITEMS: usize = 256;
    /// Most operations that [`Self::make_each`] takes at once. More at once are quicker: of what they write, more stands together.
    pub const MAKE_ITEMS: usize = Pipeline::TOGETHER;
    /// Most bytes of all items of a batch together.
    pub const BATCH_BYTES: usize = 64 << 20;

    /// Does one item after the other, each an operation of its own: decided, counted and recorded by itself, with a result of its own in
    /// the same order. One that fails is in nobody's way.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for too many items, and [`ErrorKind::DataLength`] for too many bytes, of which none is done then.
    pub fn batch(&self, caller: &Caller, items: &[BatchItem<'_>]) -> Result<Vec<Result<BatchOutcome>>> {
        if items.len() > Self::BATCH_ITEMS {
            return Err(Error::new(ErrorKind::Arguments, "a batch has at most 256 items"));
        }
        if items.iter().fold(0_usize, |sum, item| sum.saturating_add(item.len())) > Self::BATCH_BYTES {
            return Err(Error::new(ErrorKind::DataLength, "the items of a batch have at most 64 MiB together"));
        }
        Ok(items.iter().map(|item| self.one(caller, item)).collect())
    }

    /// Makes many keys, each an operation of its own: decided, counted and recorded by itself, with a result of its own in the same order.
    /// Those that this home keeps are made durable many at once, which is what takes the time.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for more than [`Self::MAKE_ITEMS`], of which none is made then.
    pub fn make_each<O: Making>(&self, caller: &Caller, operations: Vec<O>) -> Result<Vec<Result<O::Running>>> {
        if operations.len() > Self::MAKE_ITEMS {
            let most = format!("at most {} keys are made at once", Self::MAKE_ITEMS);
            return Err(Error::new(ErrorKind::Arguments, most));
        }
        Ok(self.pipeline.make_each(&*self.as_now(self.pipeline.moment(), caller)?, operations))
    }

    fn one(&self, caller: &Caller, item: &BatchItem<'_>) -> Result<BatchOutcome> {
        Ok(match item {
            BatchItem::Sign { key, how, message } => {
                let operation = Sign { key: key.clone(), how: how.clone() };
                let made = self.begin(caller, operation)?.finish(message, |running| signed(&mut **running, message))?;
                BatchOutcome::Signature(made)
            }
            BatchItem::Verify { key, how, message, signature } => {
                let operation = Verify { key: key.clone(), how: how.clone() };
                self.begin(caller, operation)?.finish(message, |running| {
                    running.update(message)?;
                    running.finish(signature)
                })?;
                BatchOutcome::Holds
            }
            BatchItem::Encrypt { key, how, plaintext } => {
                let operation = Encrypt { key: key.clone(), how: how.clone() };
                let mut made = self.ciphered(caller, operation, plaintext)?;
                BatchOutcome::Ciphertext(std::mem::take(&mut *made))
            }
            BatchItem::Decrypt { key, how, ciphertext } => {
                let operation = Decrypt { key: key.clone(), how: how.clone() };
                BatchOutcome::Plaintext(self.ciphered(caller, operation, ciphertext)?)
            }
            BatchItem::EncryptMessage { key, native, plaintext } => {
                let Native { algorithm, context } = native.clone();
                let operation = EncryptMessage::new(key.clone(), algorithm, context, plaintext);
                BatchOutcome::Ciphertext(self.perform(caller, operation)?)
            }
            BatchItem::DecryptMessage { ciphertext, context } => {
                BatchOutcome::Plaintext(self.perform(caller, DecryptMessage::new(ciphertext, context.clone()))?)
            }
        })
    }
}

fn signed(running: &mut dyn Signing, message: &[u8]) -> Result<Vec<u8>> {
    let mut made = vec![0; running.signature_len()];
    running.update(message)?;
    let len = running.finish(&mut made)?;
    made.truncate(len);
    Ok(made)
}
