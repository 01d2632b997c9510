//! AES-GCM (SP 800-38D). Encryption streams; decryption gives nothing out before the tag was checked.

use std::sync::Arc;

use super::awslc::{Aead, GcmEncrypt};
use super::buffer::{Buffer, front};
use super::keys::SecretKey;
use super::parameter;
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::Gcm;

/// Longest message in bytes (SP 800-38D, 5.2.1.1: 2³⁹ − 256 bits).
const MAX: u64 = (1 << 36) - 32;

/// Starts an encryption or decryption.
pub(super) fn start(key: &Arc<SecretKey>, gcm: &Gcm, encrypt: bool) -> Result<Box<dyn Ciphering>> {
    if gcm.iv.is_empty() || !matches!(gcm.tag_len, 4 | 8 | 12..=16) {
        return Err(parameter("GCM wants an IV and a tag of 4, 8 or 12 to 16 bytes"));
    }
    Ok(if encrypt { Box::new(Sealing::new(key, gcm)) } else { Box::new(Opening::new(key, gcm)) })
}

/// An encryption under way. A message that comes in one part is sealed with the key's ready context.
struct Sealing {
    key: Arc<SecretKey>,
    gcm: Gcm,
    stream: Option<GcmEncrypt>,
    done: u64,
}

impl Sealing {
    fn new(key: &Arc<SecretKey>, gcm: &Gcm) -> Self {
        Self { key: Arc::clone(key), gcm: gcm.clone(), stream: None, done: 0 }
    }

    fn count(&mut self, len: usize) -> Result<()> {
        self.done = self.done.saturating_add(len as u64);
        if self.done > MAX { Err(Error::new(ErrorKind::DataLength, "the data is too long for GCM")) } else { Ok(()) }
    }

    fn stream(&mut self) -> Result<&mut GcmEncrypt> {
        if self.stream.is_none() {
            self.stream = Some(GcmEncrypt::new(self.key.value.expose(), &self.gcm.iv, &self.gcm.aad)?);
        }
        self.stream.as_mut().ok_or_else(|| Error::new(ErrorKind::Internal, "an encryption lost its context"))
    }
}

impl Ciphering for Sealing {
    fn update_len(&self, input: usize) -> usize {
        input
    }

    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.count(input.len())?;
        self.stream()?.update(input, front(out, input.len())?)?;
        Ok(input.len())
    }

    fn finish_len(&self, input: usize) -> usize {
        input.saturating_add(self.gcm.tag_len)
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.count(input.len())?;
        let out = front(out, self.finish_len(input.len()))?;
        let (body, tag_out) = out.split_at_mut_checked(input.len()).unwrap_or_default();
        let tag = if let Some(stream) = &mut self.stream {
            stream.update(input, body)?;
            stream.finish()?
        } else {
            let mut tag = [0; 16];
            self.key.gcm()?.seal(&self.gcm.iv, &self.gcm.aad, input, body, &mut tag)?;
            tag
        };
        tag_out.copy_from_slice(tag.get(..tag_out.len()).unwrap_or_default());
        Ok(out.len())
    }
}

/// A decryption under way: ciphertext is held until the end.
struct Opening {
    key: Arc<SecretKey>,
    gcm: Gcm,
    held: Buffer,
}

impl Opening {
    fn new(key: &Arc<SecretKey>, gcm: &Gcm) -> Self {
        Self { key: Arc::clone(key), gcm: gcm.clone(), held: Buffer::default() }
    }

    fn open(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let short = || Error::new(ErrorKind::EncryptedDataLength, "the ciphertext is shorter than its tag");
        let len = input.len().checked_sub(self.gcm.tag_len).ok_or_else(short)?;
        let (body, tag) = input.split_at_checked(len).ok_or_else(short)?;
        if body.len() as u64 > MAX {
            return Err(Error::new(ErrorKind::EncryptedDataLength, "the ciphertext is too long for GCM"));
        }
        let out = front(out, len)?;
        let (iv, aad) = (&self.gcm.iv, &self.gcm.aad);
        if tag.len() == 16 {
            self.key.gcm()?.open(iv, aad, body, tag, out)
        } else {
            Aead::new(self.key.value.expose(), tag.len())?.open(iv, aad, body, tag, out)
        }
        .map_err(|_| Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt"))?;
        Ok(len)
    }
}

impl Ciphering for Opening {
    fn update_len(&self, _input: usize) -> usize {
        0
    }

    fn update(&mut self, input: &[u8], _out: &mut [u8]) -> Result<usize> {
        self.held.push(input, usize::MAX, ErrorKind::EncryptedDataLength)?;
        Ok(0)
    }

    fn finish_len(&self, input: usize) -> usize {
        self.held.len().saturating_add(input).saturating_sub(self.gcm.tag_len)
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        if self.held.len() == 0 {
            return self.open(input, out);
        }
        let out = front(out, self.finish_len(input.len()))?;
        self.held.push(input, usize::MAX, ErrorKind::EncryptedDataLength)?;
        self.open(self.held.as_slice(), out)
    }
}
