//! Encryption and decryption with a key in the device.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::mechanism::{For, unsupported, with};
use super::place::Place;
use super::route::Route;
use crate::backend::Ciphering;
use crate::backend::soft::buffer::{Buffer, MAX_HELD};
use crate::device::{Effort, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{BlockCipher, CipherMode, KeyType, Mechanism};

/// An encryption or decryption under way. The device is called at its end, once: nothing unchecked is released, and it may
/// be asked again where its answer was lost before it did anything.
pub(super) struct Cipher {
    pub(super) route: Route,
    pub(super) place: Place,
    pub(super) mechanism: Mechanism,
    pub(super) key_type: KeyType,
    /// Length of the modulus in bytes, of an RSA key.
    pub(super) unit: usize,
    pub(super) encrypt: bool,
    /// Shared with a call of the device, which may be given up.
    pub(super) data: Arc<Buffer>,
}

impl Cipher {
    /// Length of the tag, where the mode has one.
    const fn tag_len(&self) -> Option<usize> {
        match &self.mechanism {
            Mechanism::Cipher(_, CipherMode::Gcm(gcm)) => Some(gcm.tag_len),
            _ => None,
        }
    }

    /// Upper bound of the output.
    fn bound(&self, input: usize) -> usize {
        let input = input.saturating_add(self.data.len());
        match &self.mechanism {
            Mechanism::Cipher(_, CipherMode::CbcPad { .. }) if self.encrypt => {
                (input / BlockCipher::BLOCK + 1).saturating_mul(BlockCipher::BLOCK)
            }
            Mechanism::Cipher(..) => match (self.tag_len(), self.encrypt) {
                (Some(tag), true) => input.saturating_add(tag),
                (Some(tag), false) => input.saturating_sub(tag),
                (None, _) => input,
            },
            _ => self.unit,
        }
    }

    fn too_long(&self) -> ErrorKind {
        if self.encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength }
    }

    fn add(&mut self, input: &[u8]) -> Result<()> {
        let most = if matches!(self.mechanism, Mechanism::Cipher(..)) { MAX_HELD } else { self.unit };
        let kind = self.too_long();
        let given_up = || Error::new(ErrorKind::OperationInactive, "the operation has ended");
        Arc::get_mut(&mut self.data).ok_or_else(given_up)?.push(input, most, kind)
    }

    /// What stands in the way of lengths, told before the device is asked: devices say all kinds of things of them.
    fn check(&self) -> Result<()> {
        let (len, block) = (self.data.len(), BlockCipher::BLOCK);
        let fits = match &self.mechanism {
            Mechanism::Cipher(_, CipherMode::Ecb | CipherMode::Cbc { .. }) => len.is_multiple_of(block),
            Mechanism::Cipher(_, CipherMode::CbcPad { .. }) if !self.encrypt => len > 0 && len.is_multiple_of(block),
            Mechanism::Cipher(_, CipherMode::Gcm(gcm)) if !self.encrypt => len >= gcm.tag_len,
            Mechanism::Rsa(_) if !self.encrypt => len == self.unit,
            _ => true,
        };
        if fits {
            return Ok(());
        }
        Err(Error::new(self.too_long(), "the data does not have a length that the mechanism takes"))
    }

    fn run(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.check()?;
        if self.data.len() == 0
            && !matches!(self.mechanism, Mechanism::Cipher(_, CipherMode::CbcPad { .. } | CipherMode::Gcm(_)))
        {
            return Ok(Zeroizing::default());
        }
        let (place, data) = (self.place.clone(), Arc::clone(&self.data));
        let (mechanism, key_type, encrypt) = (self.mechanism.clone(), self.key_type, self.encrypt);
        let used = if encrypt { Use::Other } else { Use::Decrypt };
        let made = self.route.call(used, Effort::Data(data.len()), &[&self.place], move |device, lent| {
            with(&mechanism, key_type, For::Data, |mechanism| {
                let (key, data) = (place.handle(device, lent)?, data.as_slice());
                lent.ask(|session| {
                    if encrypt { session.encrypt(mechanism, key, data) } else { session.decrypt(mechanism, key, data) }
                })
                .map(Zeroizing::new)
            })
        });
        made.map_err(|error| match error.kind() {
            // One error for every way to be wrong.
            ErrorKind::DataInvalid | ErrorKind::DataLength if !self.encrypt => {
                Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt")
            }
            _ => error,
        })
    }
}

impl Ciphering for Cipher {
    fn update_len(&self, _: usize) -> usize {
        0
    }

    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.add(input)?;
        Ok(0)
    }

    fn finish_len(&self, input: usize) -> usize {
        self.bound(input)
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.add(input)?;
        copy(&self.run()?, out)
    }

    fn apart_len(&self, input: usize) -> usize {
        match self.tag_len() {
            Some(_) => self.data.len().saturating_add(input),
            None => self.bound(input),
        }
    }

    fn finish_apart(&mut self, input: &[u8], out: &mut [u8], tag: &mut [u8]) -> Result<usize> {
        let len = self.tag_len().ok_or_else(unsupported)?;
        if tag.len() != len {
            return Err(Error::new(ErrorKind::MechanismParameter, "the tag does not have its length"));
        }
        self.add(input)?;
        if !self.encrypt {
            self.add(tag)?;
            return copy(&self.run()?, out);
        }
        let made = self.run()?;
        let short = || Error::new(ErrorKind::BackendUnavailable, "the HSM made a ciphertext without its tag");
        let (text, made_tag) = made.split_at_checked(made.len().saturating_sub(len)).ok_or_else(short)?;
        if made_tag.len() != len {
            return Err(short());
        }
        tag.copy_from_slice(made_tag);
        copy(text, out)
    }
}

fn copy(from: &[u8], out: &mut [u8]) -> Result<usize> {
    let too_small = || Error::new(ErrorKind::BufferTooSmall, "the output does not fit");
    out.get_mut(..from.len()).ok_or_else(too_small)?.copy_from_slice(from);
    Ok(from.len())
}
