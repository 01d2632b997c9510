//! RSA: signatures and encryption (RFC 8017).

use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::awslc::{RawPadding, Rsa};
use super::buffer::{Buffer, Transform, Whole, front};
use super::signature::{Input, Scheme, SignatureOperation, invalid};
use super::{material, parameter, wrong_key};
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{Hash, Pss, RsaMechanism};

/// Bytes that PKCS #1 v1.5 padding needs at least.
const PKCS1_OVERHEAD: usize = 11;

/// How a ready block of data is signed.
#[derive(Clone, Copy)]
enum Encoding {
    Pkcs,
    X509,
    Pkcs1(Hash),
    Pss(Pss),
}

/// An RSA key with the way it signs.
pub(super) struct RsaScheme {
    key: Arc<Rsa>,
    encoding: Encoding,
}

/// Starts a signature (`private`) or a verification.
pub(super) fn signature(
    key: Arc<Rsa>,
    mechanism: &RsaMechanism,
    private: bool,
) -> Result<SignatureOperation<RsaScheme>> {
    if private && !key.is_private() {
        return Err(wrong_key());
    }
    let (encoding, input) = match mechanism {
        RsaMechanism::Pkcs => (Encoding::Pkcs, Input::kept(key.len().saturating_sub(PKCS1_OVERHEAD))),
        RsaMechanism::X509 => (Encoding::X509, Input::kept(key.len())),
        RsaMechanism::PkcsHash(hash) => (Encoding::Pkcs1(offered(*hash)?), Input::hashed(*hash)),
        RsaMechanism::Pss { pss, message } => {
            offered(pss.hash)?;
            offered(pss.mgf)?;
            // RFC 8017, 9.1.1: the encoded message holds hash, salt and two more bytes.
            let encoded = (key.bits() as usize).saturating_sub(1).div_ceil(8);
            if pss.salt_len > encoded.saturating_sub(pss.hash.len() + 2) {
                return Err(parameter("the salt is too long for the key"));
            }
            let input = if *message { Input::hashed(pss.hash) } else { Input::kept(pss.hash.len()) };
            (Encoding::Pss(*pss), input)
        }
        RsaMechanism::Oaep(_) | RsaMechanism::AesKeyWrap { .. } => return Err(unsupported()),
    };
    Ok(SignatureOperation::new(RsaScheme { key, encoding }, input))
}

impl Scheme for RsaScheme {
    fn len(&self) -> usize {
        self.key.len()
    }

    fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize> {
        Ok(match self.encoding {
            Encoding::Pkcs => self.key.sign_raw(RawPadding::Pkcs1, data, out)?,
            Encoding::X509 => {
                let block = padded(data, self.key.len())?;
                self.key.sign_raw(RawPadding::None, block.as_slice(), out).map_err(|_| too_large())?
            }
            Encoding::Pkcs1(hash) => self.key.sign_pkcs1(hash, data, out)?,
            Encoding::Pss(pss) => {
                hash_length(data, pss)?;
                self.key.sign_pss(pss, data, out)?
            }
        })
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        match self.encoding {
            Encoding::Pkcs => self.compare(RawPadding::Pkcs1, data, signature),
            Encoding::X509 => self.compare(RawPadding::None, padded(data, self.key.len())?.as_slice(), signature),
            Encoding::Pkcs1(hash) => self.key.verify_pkcs1(hash, data, signature).map_err(|_| invalid()),
            Encoding::Pss(pss) => {
                hash_length(data, pss)?;
                self.key.verify_pss(pss, data, signature).map_err(|_| invalid())
            }
        }
    }
}

impl RsaScheme {
    fn compare(&self, padding: RawPadding, data: &[u8], signature: &[u8]) -> Result<()> {
        let mut recovered = vec![0; self.key.len()];
        let len = self.key.recover(padding, signature, &mut recovered).map_err(|_| invalid())?;
        let same = recovered.get(..len).is_some_and(|recovered| recovered.ct_eq(data).into());
        if same { Ok(()) } else { Err(invalid()) }
    }
}

/// RSA encryption or decryption of one block.
pub(super) struct RsaCrypt {
    key: Arc<Rsa>,
    mechanism: RsaMechanism,
    decrypt: bool,
}

/// Starts an encryption or decryption.
pub(super) fn cipher(key: Arc<Rsa>, mechanism: &RsaMechanism, decrypt: bool) -> Result<Box<dyn Ciphering>> {
    Ok(Box::new(Whole::new(crypt(key, mechanism, decrypt)?)))
}

/// The computation without an operation around it.
pub(super) fn crypt(key: Arc<Rsa>, mechanism: &RsaMechanism, decrypt: bool) -> Result<RsaCrypt> {
    if decrypt && !key.is_private() {
        return Err(wrong_key());
    }
    if key.bits() < *material::RSA_BITS.start() {
        return Err(Error::new(ErrorKind::KeySize, "RSA keys below 2048 bits verify signatures and do nothing else"));
    }
    match mechanism {
        RsaMechanism::Pkcs | RsaMechanism::X509 => {}
        RsaMechanism::Oaep(oaep) => {
            offered(oaep.hash)?;
            offered(oaep.mgf)?;
            if key.len() < 2 * oaep.hash.len() + 2 {
                return Err(parameter("the hash is too long for the key"));
            }
        }
        _ => return Err(unsupported()),
    }
    Ok(RsaCrypt { key, mechanism: mechanism.clone(), decrypt })
}

impl RsaCrypt {
    /// Longest plaintext in bytes.
    pub(super) fn capacity(&self) -> usize {
        let len = self.key.len();
        match &self.mechanism {
            RsaMechanism::Oaep(oaep) => len.saturating_sub(2 * oaep.hash.len() + 2),
            RsaMechanism::X509 => len,
            _ => len.saturating_sub(PKCS1_OVERHEAD),
        }
    }

    fn encrypt(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        Ok(match &self.mechanism {
            RsaMechanism::Oaep(oaep) => self.key.encrypt_oaep(oaep, input, out)?,
            RsaMechanism::X509 => {
                let block = padded(input, self.key.len())?;
                self.key.encrypt(RawPadding::None, block.as_slice(), out).map_err(|_| too_large())?
            }
            _ => self.key.encrypt(RawPadding::Pkcs1, input, out)?,
        })
    }

    fn decrypt(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        if input.len() != self.key.len() {
            return Err(Error::new(
                ErrorKind::EncryptedDataLength,
                "the ciphertext does not have the length of the modulus",
            ));
        }
        let mut plain = Zeroizing::new(vec![0; self.key.len()]);
        // One error for every way to fail: which it was is what Bleichenbacher and Manger ask for.
        let len = match &self.mechanism {
            RsaMechanism::Oaep(oaep) => self.key.decrypt_oaep(oaep, input, &mut plain),
            RsaMechanism::X509 => self.key.decrypt(RawPadding::None, input, &mut plain),
            _ => self.key.decrypt(RawPadding::Pkcs1, input, &mut plain),
        }
        .map_err(|_| Error::new(ErrorKind::EncryptedDataInvalid, "the ciphertext does not decrypt"))?;
        let plain = plain.get(..len).unwrap_or_default();
        front(out, len)?.copy_from_slice(plain);
        Ok(len)
    }
}

impl Transform for RsaCrypt {
    fn limit(&self) -> (usize, ErrorKind) {
        if self.decrypt {
            (self.key.len(), ErrorKind::EncryptedDataLength)
        } else {
            (self.capacity(), ErrorKind::DataLength)
        }
    }

    fn output_len(&self, _input: usize) -> usize {
        if self.decrypt { self.capacity() } else { self.key.len() }
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        if self.decrypt { self.decrypt(input, out) } else { self.encrypt(input, out) }
    }
}

/// What a signature says that was made of the data itself (PKCS#11 3.2, 5.15: recovery of the data).
pub(super) struct Recovery {
    key: Arc<Rsa>,
    padding: RawPadding,
}

/// Starts the recovery of what was signed by PKCS #1 v1.5 or raw RSA.
pub(super) fn recovery(key: Arc<Rsa>, mechanism: &RsaMechanism) -> Result<Box<dyn Ciphering>> {
    let padding = match mechanism {
        RsaMechanism::Pkcs => RawPadding::Pkcs1,
        RsaMechanism::X509 => RawPadding::None,
        _ => return Err(unsupported()),
    };
    Ok(Box::new(Whole::new(Recovery { key, padding })))
}

impl Transform for Recovery {
    fn limit(&self) -> (usize, ErrorKind) {
        (self.key.len(), ErrorKind::SignatureLength)
    }

    fn output_len(&self, _input: usize) -> usize {
        match self.padding {
            RawPadding::Pkcs1 => self.key.len().saturating_sub(PKCS1_OVERHEAD),
            RawPadding::None => self.key.len(),
        }
    }

    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        if input.len() != self.key.len() {
            return Err(Error::new(ErrorKind::SignatureLength, "the signature has a wrong length"));
        }
        let mut recovered = vec![0; self.key.len()];
        let len = self.key.recover(self.padding, input, &mut recovered).map_err(|_| invalid())?;
        front(out, len)?.copy_from_slice(recovered.get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// `data` with zeros in front, `len` bytes in all.
fn padded(data: &[u8], len: usize) -> Result<Buffer> {
    let mut block = Buffer::default();
    block.push(&vec![0; len.saturating_sub(data.len())], len, ErrorKind::DataLength)?;
    block.push(data, len, ErrorKind::DataLength)?;
    Ok(block)
}

fn hash_length(data: &[u8], pss: Pss) -> Result<()> {
    if data.len() == pss.hash.len() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::DataLength, "the data does not have the length of the hash"))
}

fn offered(hash: Hash) -> Result<Hash> {
    if hash == Hash::Sm3 { Err(parameter("rsa is not offered with SM3")) } else { Ok(hash) }
}

fn too_large() -> Error {
    Error::new(ErrorKind::DataInvalid, "the data is not below the modulus")
}

fn unsupported() -> Error {
    Error::new(ErrorKind::MechanismUnsupported, "the rsa mechanism is not offered for this verb")
}
