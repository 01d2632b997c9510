//! HMAC (FIPS 198-1), CMAC (SP 800-38B) and GMAC (SP 800-38D).

use std::sync::Arc;

use cmac::Cmac as CmacOf;
use hmac::{HmacReset, KeyInit, Mac};
use sm3::Sm3;
use sm4::Sm4;
use subtle::ConstantTimeEq;

use super::awslc::{AeadEncrypt, AeadKind, Cmac, Hmac};
use super::buffer::front;
use super::keys::SecretKey;
use super::spare::Lent;
use super::{parameter, wrong_key};
use crate::backend::{Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{BlockCipher, Hash, KeyType, MacMechanism};

/// Longest MAC in bytes.
const MAX: usize = 64;

enum State {
    Hmac(Lent<Hmac>),
    HmacSm3(Box<HmacReset<Sm3>>),
    Cmac(Lent<Cmac>),
    CmacSm4(Box<CmacOf<Sm4>>),
    Gmac(AeadEncrypt),
}

/// A MAC under way, to be made or checked.
pub(super) struct MacOperation {
    state: State,
    len: usize,
}

impl MacOperation {
    /// Starts a MAC under `key`.
    pub(super) fn new(key: &Arc<SecretKey>, mechanism: &MacMechanism) -> Result<Self> {
        let longest = match mechanism {
            MacMechanism::Hmac { hash, .. } => hash.len(),
            MacMechanism::Cmac { .. } | MacMechanism::Gmac { .. } => Cmac::LEN,
        };
        let fits = match mechanism {
            MacMechanism::Gmac { iv, len } => !iv.is_empty() && matches!(len, 4 | 8 | 12..=Cmac::LEN),
            _ => (1..=longest).contains(&mechanism.len()),
        };
        if !fits {
            return Err(parameter("the MAC has a length that its function does not yield, or no IV"));
        }
        let state = match mechanism {
            MacMechanism::Hmac { hash, .. } => {
                let hash = *hash;
                let fits = match key.key_type {
                    KeyType::Hmac(own) => own == hash,
                    other => other == KeyType::GenericSecret,
                };
                if !fits {
                    return Err(wrong_key());
                }
                match hash {
                    Hash::Sm3 => State::HmacSm3(Box::new(hmac_sm3(key.value.expose())?)),
                    nist => State::Hmac(key.hmac(nist)?),
                }
            }
            MacMechanism::Cmac { cipher: BlockCipher::Aes, .. } => {
                if key.key_type != KeyType::Aes {
                    return Err(wrong_key());
                }
                State::Cmac(key.cmac()?)
            }
            MacMechanism::Gmac { iv, .. } => {
                if key.key_type != KeyType::Aes {
                    return Err(wrong_key());
                }
                State::Gmac(AeadEncrypt::new(AeadKind::AesGcm, key.value.expose(), iv, &[])?)
            }
            MacMechanism::Cmac { cipher: BlockCipher::Sm4, .. } => {
                if key.key_type != KeyType::Sm4 {
                    return Err(wrong_key());
                }
                let keyed = CmacOf::new_from_slice(key.value.expose());
                State::CmacSm4(Box::new(keyed.map_err(|_| Error::new(ErrorKind::KeySize, "an SM4 key has 16 bytes"))?))
            }
        };
        Ok(Self { state, len: mechanism.len() })
    }

    fn add(&mut self, data: &[u8]) -> Result<()> {
        match &mut self.state {
            State::Hmac(hmac) => hmac.get()?.update(data)?,
            State::HmacSm3(hmac) => hmac.update(data),
            State::Cmac(cmac) => cmac.get()?.update(data)?,
            State::CmacSm4(cmac) => cmac.update(data),
            State::Gmac(gmac) => gmac.authenticate(data)?,
        }
        Ok(())
    }

    /// The whole MAC, zeros behind it.
    fn end(&mut self) -> Result<[u8; MAX]> {
        let mut mac = [0; MAX];
        match &mut self.state {
            State::Hmac(hmac) => {
                hmac.get()?.finish(&mut mac)?;
            }
            State::HmacSm3(hmac) => {
                let bytes = hmac.finalize_reset().into_bytes();
                front(&mut mac, bytes.len())?.copy_from_slice(&bytes);
            }
            State::Cmac(cmac) => front(&mut mac, Cmac::LEN)?.copy_from_slice(&cmac.get()?.finish()?),
            State::CmacSm4(cmac) => front(&mut mac, Cmac::LEN)?.copy_from_slice(&cmac.finalize_reset().into_bytes()),
            State::Gmac(gmac) => front(&mut mac, Cmac::LEN)?.copy_from_slice(&gmac.finish()?),
        }
        Ok(mac)
    }
}

impl Signing for MacOperation {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn signature_len(&self) -> usize {
        self.len
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let out = front(out, self.len)?;
        out.copy_from_slice(self.end()?.get(..self.len).unwrap_or_default());
        Ok(self.len)
    }
}

impl Verifying for MacOperation {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        if signature.len() != self.len {
            return Err(Error::new(ErrorKind::SignatureLength, "the MAC has a wrong length"));
        }
        let mac = self.end()?;
        let same = mac.get(..self.len).unwrap_or_default().ct_eq(signature);
        if same.into() { Ok(()) } else { Err(Error::new(ErrorKind::SignatureInvalid, "the MAC does not verify")) }
    }
}

fn hmac_sm3(key: &[u8]) -> Result<HmacReset<Sm3>> {
    KeyInit::new_from_slice(key).map_err(|_| Error::new(ErrorKind::Internal, "hmac refused its key"))
}
