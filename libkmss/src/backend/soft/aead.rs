//! Authenticated encryption: AES-GCM (SP 800-38D), AES-CCM (SP 800-38C), ChaCha20-Poly1305 (RFC 8439) and SM4-GCM.
//! GCM and ChaCha20-Poly1305 encrypt in parts; everything else waits for the whole message, and decryption gives nothing
//! out before the tag was checked.

use std::sync::Arc;

use super::awslc::{Aead, AeadEncrypt, AeadKind, ccm_open, ccm_seal};
use super::buffer::{Buffer, MAX_HELD, front};
use super::keys::SecretKey;
use super::{parameter, sm4, wrong_key};
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{BlockCipher, Ccm, ChaCha20Poly1305, Gcm, KeyType, Nonce};

/// Length of whole tags.
const TAG: usize = 16;

/// Longest message of GCM in bytes (SP 800-38D, 5.2.1.1: 2³⁹ − 256 bits).
const GCM_MAX: u64 = (1 << 36) - 32;
/// Longest message of ChaCha20-Poly1305 in bytes (RFC 8439, 2.8).
const CHACHA_MAX: u64 = (1 << 38) - 64;
/// Longest message of CCM in bytes that aws-lc takes in its one piece.
const CCM_MAX: u64 = i32::MAX as u64 - 64;

/// Starts an operation in Galois/Counter Mode.
pub(super) fn gcm(key: &Arc<SecretKey>, block: BlockCipher, gcm: &Gcm, encrypt: bool) -> Result<Box<dyn Ciphering>> {
    let cipher = match block {
        BlockCipher::Aes => Cipher::AesGcm,
        BlockCipher::Sm4 => Cipher::Sm4Gcm,
    };
    let fits = match cipher {
        Cipher::Sm4Gcm => gcm.iv.len() == 12 && (12..=TAG).contains(&gcm.tag_len),
        _ => !gcm.iv.is_empty() && matches!(gcm.tag_len, 4 | 8 | 12..=TAG),
    };
    if !fits {
        return Err(parameter("the IV or the tag has a length that GCM is not offered with"));
    }
    let (nonce, aad) = (gcm.iv.clone(), gcm.aad.clone());
    Ok(Message { key: Arc::clone(key), cipher, nonce, aad, tag_len: gcm.tag_len, data_len: None }.start(encrypt))
}

/// Starts an operation in CCM.
pub(super) fn ccm(key: &Arc<SecretKey>, ccm: &Ccm, encrypt: bool) -> Result<Box<dyn Ciphering>> {
    let tag_fits = ccm.tag_len.is_multiple_of(2) && (4..=TAG).contains(&ccm.tag_len);
    if !tag_fits || !(7..=13).contains(&ccm.nonce.len()) {
        return Err(parameter("CCM wants a nonce of 7 to 13 bytes and a tag of 4, 6, … 16 bytes"));
    }
    let message = Message {
        key: Arc::clone(key),
        cipher: Cipher::AesCcm,
        nonce: ccm.nonce.as_slice().into(),
        aad: ccm.aad.clone(),
        tag_len: ccm.tag_len,
        data_len: ccm.data_len,
    };
    if ccm.data_len.is_some_and(|len| len > message.longest()) {
        return Err(parameter("the nonce of CCM leaves no room for a message of this length"));
    }
    Ok(message.start(encrypt))
}

/// Starts an operation with ChaCha20-Poly1305.
pub(super) fn chacha(key: &Arc<SecretKey>, chacha: &ChaCha20Poly1305, encrypt: bool) -> Result<Box<dyn Ciphering>> {
    if key.key_type != KeyType::ChaCha20 {
        return Err(wrong_key());
    }
    let (nonce, aad) = (chacha.nonce.as_slice().into(), chacha.aad.clone());
    let message = Message { key: Arc::clone(key), cipher: Cipher::ChaCha, nonce, aad, tag_len: TAG, data_len: None };
    Ok(message.start(encrypt))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cipher {
    AesGcm,
    AesCcm,
    ChaCha,
    Sm4Gcm,
}

/// One message: everything but its text.
struct Message {
    key: Arc<SecretKey>,
    cipher: Cipher,
    nonce: Nonce,
    aad: Vec<u8>,
    tag_len: usize,
    /// The length that was announced.
    data_len: Option<u64>,
}

impl Message {
    fn start(self, encrypt: bool) -> Box<dyn Ciphering> {
        if encrypt { Box::new(Sealing::new(self)) } else { Box::new(Opening::new(self)) }
    }

    /// Longest text in bytes.
    fn longest(&self) -> u64 {
        match self.cipher {
            Cipher::AesGcm | Cipher::Sm4Gcm => GCM_MAX,
            Cipher::ChaCha => CHACHA_MAX,
            // The length field has what the nonce leaves of 15 bytes.
            Cipher::AesCcm if self.nonce.len() > 11 => (1_u64 << (8 * (15 - self.nonce.len()))) - 1,
            Cipher::AesCcm => CCM_MAX,
        }
    }

    /// Whether parts of the text can be encrypted before the rest is known.
    const fn stream(&self) -> Option<AeadKind> {
        match self.cipher {
            Cipher::AesGcm => Some(AeadKind::AesGcm),
            Cipher::ChaCha => Some(AeadKind::ChaCha20Poly1305),
            Cipher::AesCcm | Cipher::Sm4Gcm => None,
        }
    }

    fn check_length(&self, len: u64, kind: ErrorKind) -> Result<()> {
        if len > self.longest() || self.data_len.is_some_and(|announced| announced != len) {
            return Err(Error::new(kind, "the message is too long for the mechanism, or not as long as announced"));
        }
        Ok(())
    }

    /// Encrypts to `out`, of the same length, and writes the tag to `tag`, of the tag's length.
    fn seal(&self, input: &[u8], out: &mut [u8], tag: &mut [u8]) -> Result<()> {
        let value = self.key.value.expose();
        let aead = match self.cipher {
            Cipher::AesGcm => self.key.gcm()?,
            Cipher::ChaCha => self.key.chacha()?,
            Cipher::AesCcm => return Ok(ccm_seal(value, &self.nonce, &self.aad, input, out, tag)?),
            Cipher::Sm4Gcm => return sm4::gcm_seal(value, &self.nonce, &self.aad, input, out, tag),
        };
        if tag.len() == TAG {
            return Ok(aead.seal(&self.nonce, &self.aad, input, out, tag)?);
        }
        let mut whole = [0; TAG];
        aead.seal(&self.nonce, &self.aad, input, out, &mut whole)?;
        tag.copy_from_slice(whole.get(..tag.len()).unwrap_or_default());
        Ok(())
    }

    /// Decrypts to `out`, of the same length, which is wiped where the tag is wrong.
    fn open(&self, input: &[u8], tag: &[u8], out: &mut [u8]) -> Result<()> {
        let value = self.key.value.expose();
        let (nonce, aad) = (&*self.nonce, self.aad.as_slice());
        match self.cipher {
            Cipher::AesGcm if tag.len() == TAG => self.key.gcm()?.open(nonce, aad, input, tag, out),
            Cipher::AesGcm => Aead::new(AeadKind::AesGcm, value, tag.len())?.open(nonce, aad, input, tag, out),
            Cipher::ChaCha => self.key.chacha()?.open(nonce, aad, input, tag, out),
            Cipher::AesCcm => ccm_open(value, nonce, aad, input, tag, out),
            Cipher::Sm4Gcm => return sm4::gcm_open(value, nonce, aad, input, tag, out),
        }
        .map_err(|_| Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt"))
    }
}

/// An encryption under way. A message that comes in one part is sealed with the key's ready context.
struct Sealing {
    message: Message,
    stream: Option<AeadEncrypt>,
    held: Buffer,
    done: u64,
}

impl Sealing {
    fn new(message: Message) -> Self {
        Self { message, stream: None, held: Buffer::default(), done: 0 }
    }

    fn count(&mut self, len: usize) -> Result<()> {
        self.done = self.done.saturating_add(len as u64);
        let most = self.message.data_len.unwrap_or(u64::MAX).min(self.message.longest());
        if self.done > most {
            return Err(Error::new(ErrorKind::DataLength, "the message is too long for the mechanism"));
        }
        Ok(())
    }

    /// Encrypts the last part to `body`, of the length of what is held and `input`.
    fn end(&mut self, input: &[u8], body: &mut [u8], tag: &mut [u8]) -> Result<()> {
        self.count(input.len())?;
        self.message.check_length(self.done, ErrorKind::DataLength)?;
        if let Some(stream) = &mut self.stream {
            stream.update(input, body)?;
            tag.copy_from_slice(stream.finish()?.get(..tag.len()).unwrap_or_default());
            return Ok(());
        }
        if self.held.len() == 0 {
            return self.message.seal(input, body, tag);
        }
        self.held.push(input, MAX_HELD, ErrorKind::DataLength)?;
        self.message.seal(self.held.as_slice(), body, tag)
    }
}

impl Ciphering for Sealing {
    fn update_len(&self, input: usize) -> usize {
        if self.message.stream().is_some() { input } else { 0 }
    }

    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.count(input.len())?;
        let Some(kind) = self.message.stream() else {
            self.held.push(input, MAX_HELD, ErrorKind::DataLength)?;
            return Ok(0);
        };
        if self.stream.is_none() {
            let Message { key, nonce, aad, .. } = &self.message;
            self.stream = Some(AeadEncrypt::new(kind, key.value.expose(), nonce, aad)?);
        }
        if let Some(stream) = &mut self.stream {
            stream.update(input, front(out, input.len())?)?;
        }
        Ok(input.len())
    }

    fn finish_len(&self, input: usize) -> usize {
        self.apart_len(input).saturating_add(self.message.tag_len)
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let (text, all) = (self.apart_len(input.len()), self.finish_len(input.len()));
        let (body, tag) = front(out, all)?.split_at_mut_checked(text).ok_or_else(broken)?;
        self.end(input, body, tag)?;
        Ok(all)
    }

    fn apart_len(&self, input: usize) -> usize {
        self.held.len().saturating_add(input)
    }

    fn finish_apart(&mut self, input: &[u8], out: &mut [u8], tag: &mut [u8]) -> Result<usize> {
        if tag.len() != self.message.tag_len {
            return Err(parameter("the tag does not have the length that was agreed"));
        }
        let len = self.apart_len(input.len());
        self.end(input, front(out, len)?, tag)?;
        Ok(len)
    }
}

/// A decryption under way: ciphertext is held until the end.
struct Opening {
    message: Message,
    held: Buffer,
}

impl Opening {
    fn new(message: Message) -> Self {
        Self { message, held: Buffer::default() }
    }

    fn open(&self, body: &[u8], tag: &[u8], out: &mut [u8]) -> Result<usize> {
        self.message.check_length(body.len() as u64, ErrorKind::EncryptedDataLength)?;
        self.message.open(body, tag, front(out, body.len())?)?;
        Ok(body.len())
    }

    /// Opens ciphertext with its tag behind it.
    fn open_joined(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let short = || Error::new(ErrorKind::EncryptedDataLength, "the ciphertext is shorter than its tag");
        let len = input.len().checked_sub(self.message.tag_len).ok_or_else(short)?;
        let (body, tag) = input.split_at_checked(len).ok_or_else(short)?;
        self.open(body, tag, out)
    }

    fn hold(&mut self, input: &[u8]) -> Result<()> {
        self.held.push(input, MAX_HELD, ErrorKind::EncryptedDataLength)
    }
}

impl Ciphering for Opening {
    fn update_len(&self, _input: usize) -> usize {
        0
    }

    fn update(&mut self, input: &[u8], _out: &mut [u8]) -> Result<usize> {
        self.hold(input)?;
        Ok(0)
    }

    fn finish_len(&self, input: usize) -> usize {
        self.apart_len(input).saturating_sub(self.message.tag_len)
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        if self.held.len() == 0 {
            return self.open_joined(input, out);
        }
        let out = front(out, self.finish_len(input.len()))?;
        self.hold(input)?;
        self.open_joined(self.held.as_slice(), out)
    }

    fn apart_len(&self, input: usize) -> usize {
        self.held.len().saturating_add(input)
    }

    fn finish_apart(&mut self, input: &[u8], out: &mut [u8], tag: &mut [u8]) -> Result<usize> {
        if tag.len() != self.message.tag_len {
            return Err(parameter("the tag does not have the length that was agreed"));
        }
        let out = front(out, self.apart_len(input.len()))?;
        if self.held.len() == 0 {
            return self.open(input, tag, out);
        }
        self.hold(input)?;
        self.open(self.held.as_slice(), tag, out)
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "an encryption lost count of its bytes")
}
