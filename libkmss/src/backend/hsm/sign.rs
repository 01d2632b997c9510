//! Signatures and MACs with a key in the device.

use subtle::ConstantTimeEq;

use super::mechanism::{Input, Signer};
use super::place::Place;
use super::route::Route;
use crate::backend::soft::buffer::{Buffer, MAX_HELD};
use crate::backend::{Digesting, Signing, Verifying};
use crate::device::{Effort, Use};
use crate::error::{Error, ErrorKind, Result};

/// A signature or MAC under way. The device is called at its end, once, so that it may be asked again where its answer was
/// lost before it did anything, and another one in its place: a second signature does no harm.
pub(super) struct Signature {
    pub(super) route: Route,
    pub(super) place: Place,
    pub(super) signer: Signer,
    pub(super) input: Input,
    /// What hashes the message, where the device gets a digest.
    pub(super) digest: Option<Box<dyn Digesting>>,
    /// Length of modulus or order in bytes.
    pub(super) unit: usize,
    /// Length of the signature.
    pub(super) len: usize,
    /// Whether it is shortened to that.
    pub(super) shortened: bool,
    pub(super) data: Buffer,
}

impl Signature {
    /// Another one like it, of a message that is not hashed here, with nothing in it yet.
    pub(super) fn anew(&self) -> Self {
        Self {
            route: self.route.clone(),
            place: self.place.clone(),
            signer: self.signer,
            input: self.input,
            digest: None,
            unit: self.unit,
            len: self.len,
            shortened: self.shortened,
            data: Buffer::default(),
        }
    }

    fn add(&mut self, data: &[u8]) -> Result<()> {
        if let Some(digest) = &mut self.digest {
            return digest.update(data);
        }
        let most = match self.input {
            Input::Message => MAX_HELD,
            Input::Exactly(len) => len,
            Input::Padded(less) => self.unit.saturating_sub(less),
            // Any digest there is.
            Input::Truncated => 1024,
            _ => self.unit,
        };
        self.data.push(data, most, ErrorKind::DataLength)
    }

    /// What the device gets.
    fn message(&mut self) -> Result<Vec<u8>> {
        if let Some(digest) = &mut self.digest {
            let mut out = vec![0; digest.digest_len()];
            let len = digest.finish(&[], &mut out)?;
            out.truncate(len);
            if let Input::DigestInfo(hash) = self.input {
                let mut info = hash.digest_info().unwrap_or_default();
                info.extend_from_slice(&out);
                return Ok(info);
            }
            let most = if self.signer == Signer::Ecdsa { self.unit } else { len };
            out.truncate(most);
            return Ok(out);
        }
        let data = self.data.as_slice();
        Ok(match self.input {
            Input::Exactly(len) if data.len() != len => {
                return Err(Error::new(ErrorKind::DataLength, "the data does not have the length of the hash"));
            }
            Input::Filled => {
                let mut filled = vec![0; self.unit.saturating_sub(data.len())];
                filled.extend_from_slice(data);
                filled
            }
            Input::Truncated => data.get(..self.unit.min(data.len())).unwrap_or_default().to_vec(),
            _ => data.to_vec(),
        })
    }

    fn compute(&mut self) -> Result<Vec<u8>> {
        let message = zeroize::Zeroizing::new(self.message()?);
        let (place, signer) = (self.place.clone(), self.signer);
        let effort = Effort::Data(message.len());
        let mut made = self.route.call(Use::Other, effort, &[&self.place], move |device, lent| {
            let (mechanism, key) = (signer.theirs()?, place.handle(device, lent)?);
            lent.ask(|session| session.sign(&mechanism, key, &message))
        })?;
        if self.shortened {
            made.truncate(self.len);
        }
        if made.len() != self.len {
            return Err(Error::new(ErrorKind::BackendUnavailable, "the HSM made a signature of a wrong length"));
        }
        Ok(made)
    }
}

impl Signing for Signature {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn signature_len(&self) -> usize {
        self.len
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let made = self.compute()?;
        let too_small = || Error::new(ErrorKind::BufferTooSmall, "the signature does not fit");
        out.get_mut(..made.len()).ok_or_else(too_small)?.copy_from_slice(&made);
        Ok(made.len())
    }
}

/// The check of a MAC, with a key that never leaves the device.
impl Verifying for Signature {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        if signature.len() != self.len {
            return Err(Error::new(ErrorKind::SignatureLength, "the MAC does not have its length"));
        }
        let wrong = || Error::new(ErrorKind::SignatureInvalid, "the MAC does not verify");
        if self.shortened {
            // Only whole ones are verified there.
            let made = self.compute()?;
            return if made.ct_eq(signature).into() { Ok(()) } else { Err(wrong()) };
        }
        let message = zeroize::Zeroizing::new(self.message()?);
        let (place, signer, signature) = (self.place.clone(), self.signer, signature.to_vec());
        let effort = Effort::Data(message.len());
        self.route.call(Use::Verify, effort, &[&self.place], move |device, lent| {
            let (mechanism, key) = (signer.theirs()?, place.handle(device, lent)?);
            lent.ask(|session| session.verify(&mechanism, key, &message, &signature))
        })
    }
}
