//! Parameters of ciphers and MACs (PKCS#11 3.2, 6.13 to 6.30).

use cryptoki_sys::{CK_AES_CTR_PARAMS, CK_GCM_PARAMS, CK_ULONG};
use libkmss::mechanism::{CipherMode, Ctr, Gcm};

use super::{INVALID, MAX_BUFFER, Parameter, Plain, bounded};
use crate::mechanisms::{Length, Mode};
use crate::rv::Result;

const DEFAULT_KW_IV: [u8; 8] = [0xA6; 8];
pub(super) const DEFAULT_KWP_IV: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];

impl Parameter {
    pub(super) fn cipher(&self, mode: Mode) -> Result<CipherMode> {
        let iv = || self.bytes()?.try_into().map_err(|_| INVALID);
        Ok(match mode {
            Mode::Ecb => self.absent(CipherMode::Ecb)?,
            Mode::Cbc => CipherMode::Cbc { iv: iv()? },
            Mode::CbcPad => CipherMode::CbcPad { iv: iv()? },
            Mode::Ctr => self.ctr()?,
            Mode::Gcm => self.gcm()?,
            Mode::KeyWrap if self.len == 0 => CipherMode::KeyWrap { iv: DEFAULT_KW_IV },
            Mode::KeyWrap => CipherMode::KeyWrap { iv: self.bytes()?.try_into().map_err(|_| INVALID)? },
            Mode::KeyWrapPad if self.len == 0 || self.bytes()? == DEFAULT_KWP_IV => CipherMode::KeyWrapPad,
            Mode::KeyWrapPad => return Err(INVALID),
        })
    }

    fn ctr(&self) -> Result<CipherMode> {
        let p: CK_AES_CTR_PARAMS = self.structure()?;
        let counter_bits = u32::try_from(p.ulCounterBits).map_err(|_| INVALID)?;
        if !(1..=128).contains(&counter_bits) {
            return Err(INVALID);
        }
        Ok(CipherMode::Ctr(Ctr { counter_bits, block: p.cb }))
    }

    /// CK_GCM_PARAMS (PKCS#11 3.2, 6.13.3). `ulIvLen` alone says how long the nonce is: `ulIvBits` is not to be used, and
    /// some clients (pkcs11js) leave it unset.
    fn gcm(&self) -> Result<CipherMode> {
        let p: CK_GCM_PARAMS = self.structure()?;
        let iv_len = bounded(p.ulIvLen, 256)?;
        let tag_bits = bounded(p.ulTagBits, 128)?;
        let tag_fits = matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128);
        if iv_len == 0 || !tag_fits {
            return Err(INVALID);
        }
        let aad = self.buffer(p.pAAD, bounded(p.ulAADLen, MAX_BUFFER)?)?;
        Ok(CipherMode::Gcm(Gcm { iv: self.buffer(p.pIv, iv_len)?, aad, tag_len: tag_bits / 8 }))
    }

    pub(super) fn mac_length(&self, length: Length, full: usize) -> Result<usize> {
        match length {
            Length::Full => self.absent(full),
            Length::General => {
                let len = bounded(self.structure::<CK_ULONG>()?, full)?;
                if len == 0 { Err(INVALID) } else { Ok(len) }
            }
        }
    }
}

impl Plain for CK_ULONG {}
impl Plain for CK_AES_CTR_PARAMS {}
impl Plain for CK_GCM_PARAMS {}
