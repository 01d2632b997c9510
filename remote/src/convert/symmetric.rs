//! Mechanisms of block ciphers, ChaCha20-Poly1305 and MACs.

use libkmss::error::{Error, Result};
use libkmss::mechanism::{BlockCipher, Ccm, ChaCha20Poly1305, CipherMode, Ctr, Ff1, Gcm, Hash, MacMechanism};

use super::{Numbered, exactly, parameter, required, size, small};
use crate::proto::{self, NoParameters, cipher_mechanism, mac_mechanism};

impl From<(BlockCipher, &CipherMode)> for proto::CipherMechanism {
    fn from((cipher, mode): (BlockCipher, &CipherMode)) -> Self {
        use cipher_mechanism::Mode;
        let mode = match mode {
            CipherMode::Ecb => Mode::Ecb(NoParameters {}),
            CipherMode::Cbc { iv } => Mode::CbcIv(iv.to_vec()),
            CipherMode::CbcPad { iv } => Mode::CbcPadIv(iv.to_vec()),
            CipherMode::CbcCs1 { iv } => Mode::CbcCs1Iv(iv.to_vec()),
            CipherMode::Ctr(ctr) => Mode::Ctr(proto::Ctr { counter_bits: ctr.counter_bits, block: ctr.block.to_vec() }),
            CipherMode::Ofb { iv } => Mode::OfbIv(iv.to_vec()),
            CipherMode::Cfb { segment, iv } => Mode::Cfb(proto::Cfb { segment: segment.number(), iv: iv.to_vec() }),
            CipherMode::Gcm(gcm) => {
                Mode::Gcm(proto::Gcm { iv: gcm.iv.to_vec(), aad: gcm.aad.clone(), tag_len: small(gcm.tag_len) })
            }
            CipherMode::Ccm(ccm) => Mode::Ccm(proto::Ccm {
                nonce: ccm.nonce.clone(),
                aad: ccm.aad.clone(),
                tag_len: small(ccm.tag_len),
                data_len: ccm.data_len,
            }),
            CipherMode::Xts { tweak } => Mode::XtsTweak(tweak.to_vec()),
            CipherMode::KeyWrap { iv } => Mode::KeyWrapIv(iv.to_vec()),
            CipherMode::KeyWrapPad => Mode::KeyWrapPad(NoParameters {}),
        };
        Self { cipher: cipher.number(), mode: Some(mode) }
    }
}

impl TryFrom<proto::CipherMechanism> for (BlockCipher, CipherMode) {
    type Error = Error;

    fn try_from(mechanism: proto::CipherMechanism) -> Result<Self> {
        use cipher_mechanism::Mode;
        let mode = match required(mechanism.mode)? {
            Mode::Ecb(NoParameters {}) => CipherMode::Ecb,
            Mode::CbcIv(iv) => CipherMode::Cbc { iv: exactly(&iv)? },
            Mode::CbcPadIv(iv) => CipherMode::CbcPad { iv: exactly(&iv)? },
            Mode::CbcCs1Iv(iv) => CipherMode::CbcCs1 { iv: exactly(&iv)? },
            Mode::Ctr(ctr) if (1..=128).contains(&ctr.counter_bits) => {
                CipherMode::Ctr(Ctr { counter_bits: ctr.counter_bits, block: exactly(&ctr.block)? })
            }
            Mode::Ctr(_) => return Err(parameter("a counter has 1 to 128 bits")),
            Mode::OfbIv(iv) => CipherMode::Ofb { iv: exactly(&iv)? },
            Mode::Cfb(cfb) => CipherMode::Cfb { segment: Numbered::of(cfb.segment)?, iv: exactly(&cfb.iv)? },
            Mode::Gcm(gcm) => CipherMode::Gcm(gcm.try_into()?),
            Mode::Ccm(ccm) => CipherMode::Ccm(ccm.try_into()?),
            Mode::XtsTweak(tweak) => CipherMode::Xts { tweak: exactly(&tweak)? },
            Mode::KeyWrapIv(iv) => CipherMode::KeyWrap { iv: exactly(&iv)? },
            Mode::KeyWrapPad(NoParameters {}) => CipherMode::KeyWrapPad,
        };
        Ok((Numbered::of(mechanism.cipher)?, mode))
    }
}

impl TryFrom<proto::Gcm> for Gcm {
    type Error = Error;

    fn try_from(gcm: proto::Gcm) -> Result<Self> {
        if !(1..=256).contains(&gcm.iv.len()) {
            return Err(parameter("an initialisation vector of GCM has 1 to 256 bytes"));
        }
        Ok(Self { iv: gcm.iv.into(), aad: gcm.aad, tag_len: gcm_tag(gcm.tag_len)? })
    }
}

/// SP 800-38D, 5.2.1.2.
fn gcm_tag(len: u32) -> Result<usize> {
    match len {
        4 | 8 | 12..=16 => Ok(size(len)),
        _ => Err(parameter("a tag of GCM has 4, 8, or 12 to 16 bytes")),
    }
}

impl TryFrom<proto::Ccm> for Ccm {
    type Error = Error;

    /// SP 800-38C, A.1.
    fn try_from(ccm: proto::Ccm) -> Result<Self> {
        let tag = (4..=16).contains(&ccm.tag_len) && ccm.tag_len.is_multiple_of(2);
        if !tag || !(7..=13).contains(&ccm.nonce.len()) {
            return Err(parameter("a nonce of CCM has 7 to 13 bytes, its tag 4, 6, 8, 10, 12, 14 or 16"));
        }
        Ok(Self { nonce: ccm.nonce, aad: ccm.aad, tag_len: size(ccm.tag_len), data_len: ccm.data_len })
    }
}

impl From<&ChaCha20Poly1305> for proto::ChaCha20Poly1305 {
    fn from(parameters: &ChaCha20Poly1305) -> Self {
        Self { nonce: parameters.nonce.to_vec(), aad: parameters.aad.clone() }
    }
}

impl TryFrom<proto::ChaCha20Poly1305> for ChaCha20Poly1305 {
    type Error = Error;

    fn try_from(parameters: proto::ChaCha20Poly1305) -> Result<Self> {
        Ok(Self { nonce: exactly(&parameters.nonce)?, aad: parameters.aad })
    }
}

impl From<&MacMechanism> for proto::MacMechanism {
    fn from(mechanism: &MacMechanism) -> Self {
        use mac_mechanism::Kind;
        let kind = match mechanism {
            MacMechanism::Hmac { hash, .. } => Kind::Hmac(hash.number()),
            MacMechanism::Cmac { cipher, .. } => Kind::Cmac(cipher.number()),
            MacMechanism::Gmac { iv, .. } => Kind::GmacIv(iv.clone()),
        };
        Self { kind: Some(kind), len: small(mechanism.len()) }
    }
}

impl TryFrom<proto::MacMechanism> for MacMechanism {
    type Error = Error;

    fn try_from(mechanism: proto::MacMechanism) -> Result<Self> {
        use mac_mechanism::Kind;
        let len = size(mechanism.len);
        let short = || Err(parameter("the length of the MAC is none that it can have"));
        Ok(match required(mechanism.kind)? {
            Kind::Hmac(hash) => match <Hash as Numbered>::of(hash)? {
                hash if (1..=hash.len()).contains(&len) => Self::Hmac { hash, len },
                _ => return short(),
            },
            Kind::Cmac(cipher) if (1..=BlockCipher::BLOCK).contains(&len) => {
                Self::Cmac { cipher: Numbered::of(cipher)?, len }
            }
            Kind::Cmac(_) => return short(),
            Kind::GmacIv(iv) if (1..=256).contains(&iv.len()) => Self::Gmac { iv, len: gcm_tag(mechanism.len)? },
            Kind::GmacIv(_) => return Err(parameter("an initialisation vector of GMAC has 1 to 256 bytes")),
        })
    }
}

impl From<&Ff1> for proto::Ff1 {
    fn from(ff1: &Ff1) -> Self {
        let (cipher, format) = (ff1.cipher.number(), ff1.format.to_string());
        let (masked, key_version) = (ff1.is_masked(), ff1.version().unwrap_or_default());
        Self { cipher, format, tweak: ff1.tweak().to_vec(), masked, key_version }
    }
}

impl TryFrom<proto::Ff1> for Ff1 {
    type Error = Error;

    fn try_from(ff1: proto::Ff1) -> Result<Self> {
        let how = Self::new(Numbered::of(ff1.cipher)?, ff1.format.parse()?, ff1.tweak)?;
        let how = if ff1.key_version == 0 { how } else { how.by_version(ff1.key_version) };
        Ok(if ff1.masked { how.masked() } else { how })
    }
}
