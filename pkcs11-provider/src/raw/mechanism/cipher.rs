//! Parameters of ciphers and MACs (PKCS#11 3.2, 6.13 to 6.30).

use std::mem::size_of;

use cryptoki_sys::{
    CK_AES_CBC_ENCRYPT_DATA_PARAMS, CK_AES_CTR_PARAMS, CK_CCM_PARAMS, CK_GCM_PARAMS, CK_KEY_DERIVATION_STRING_DATA,
    CK_SALSA20_CHACHA20_POLY1305_PARAMS, CK_ULONG,
};
use libkmss::backend::Verb;
use libkmss::mechanism::{
    BlockCipher, Ccm, ChaCha20Poly1305, CipherMode, Ctr, Gcm, KdfMechanism, MacMechanism, Mechanism,
};

use super::{INVALID, MAX_BUFFER, Parameter, Plain, bounded, u64_of};
use crate::mechanisms::{Length, Mode};
use crate::rv::Result;

const DEFAULT_KW_IV: [u8; 8] = [0xA6; 8];
/// Most data that becomes a key: as much as a key can have.
const MAX_DERIVED: usize = 1 << 16;
pub(super) const DEFAULT_KWP_IV: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];

impl Parameter {
    pub(super) fn cipher(&self, mode: Mode, verb: Verb) -> Result<CipherMode> {
        let iv = || self.bytes()?.try_into().map_err(|_| INVALID);
        Ok(match mode {
            Mode::Ecb => self.absent(CipherMode::Ecb)?,
            Mode::Cbc => CipherMode::Cbc { iv: iv()? },
            Mode::CbcPad => CipherMode::CbcPad { iv: iv()? },
            Mode::Ctr => self.ctr()?,
            Mode::CbcCs1 => CipherMode::CbcCs1 { iv: iv()? },
            Mode::Ofb => CipherMode::Ofb { iv: iv()? },
            Mode::Cfb(segment) => CipherMode::Cfb { segment, iv: iv()? },
            Mode::Gcm => CipherMode::Gcm(self.gcm()?),
            Mode::Ccm => self.ccm(verb)?,
            Mode::Xts => CipherMode::Xts { tweak: iv()? },
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

    /// CK_GCM_PARAMS (PKCS#11 3.2, 6.13). `ulIvLen` alone says how long the nonce is: `ulIvBits` is not to be used, and
    /// some clients (pkcs11js) leave it unset.
    fn gcm(&self) -> Result<Gcm> {
        let p: CK_GCM_PARAMS = self.structure()?;
        let iv_len = bounded(p.ulIvLen, 256)?;
        let tag_bits = bounded(p.ulTagBits, 128)?;
        let tag_fits = matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128);
        if iv_len == 0 || !tag_fits {
            return Err(INVALID);
        }
        let aad = self.buffer(p.pAAD, bounded(p.ulAADLen, MAX_BUFFER)?)?;
        Ok(Gcm { iv: self.borrowed(p.pIv, iv_len)?.into(), aad, tag_len: tag_bits / 8 })
    }

    /// CK_CCM_PARAMS. The announced length is that of the plaintext; of a key to be wrapped, which the caller need not
    /// know, 0 announces none.
    fn ccm(&self, verb: Verb) -> Result<CipherMode> {
        let p: CK_CCM_PARAMS = self.structure()?;
        let nonce_len = bounded(p.ulNonceLen, 13)?;
        let tag_len = bounded(p.ulMACLen, 16)?;
        if nonce_len < 7 || !matches!(tag_len, 4 | 6 | 8 | 10 | 12 | 14 | 16) {
            return Err(INVALID);
        }
        let wraps = matches!(verb, Verb::Wrap | Verb::Unwrap);
        let data_len = Some(u64_of(p.ulDataLen)).filter(|len| !wraps || *len != 0);
        let aad = self.buffer(p.pAAD, bounded(p.ulAADLen, MAX_BUFFER)?)?;
        Ok(CipherMode::Ccm(Ccm { nonce: self.buffer(p.pNonce, nonce_len)?, aad, tag_len, data_len }))
    }

    /// CK_SALSA20_CHACHA20_POLY1305_PARAMS. The nonce has 12 bytes; the standard counts it in bits, callers in bytes too.
    pub(super) fn chacha(&self) -> Result<Mechanism> {
        let p: CK_SALSA20_CHACHA20_POLY1305_PARAMS = self.structure()?;
        if !matches!(p.ulNonceLen, 12 | 96) {
            return Err(INVALID);
        }
        let nonce = self.buffer(p.pNonce, 12)?.try_into().map_err(|_| INVALID)?;
        let aad = self.buffer(p.pAAD, bounded(p.ulAADLen, MAX_BUFFER)?)?;
        Ok(Mechanism::ChaCha20Poly1305(ChaCha20Poly1305 { nonce, aad }))
    }

    /// The initialisation vector, or CK_GCM_PARAMS with another tag length than 16 bytes and without associated data,
    /// which is the message here.
    pub(super) fn gmac(&self) -> Result<Mechanism> {
        let (iv, len) = if self.len == size_of::<CK_GCM_PARAMS>() {
            let Gcm { iv, aad, tag_len } = self.gcm()?;
            if !aad.is_empty() {
                return Err(INVALID);
            }
            (iv.to_vec(), tag_len)
        } else {
            if !(1..=256).contains(&self.len) {
                return Err(INVALID);
            }
            (self.bytes()?, 16)
        };
        Ok(Mechanism::Mac(MacMechanism::Gmac { iv, len }))
    }

    /// CK_KEY_DERIVATION_STRING_DATA, or CK_AES_CBC_ENCRYPT_DATA_PARAMS (PKCS#11 3.2, 6.44).
    pub(super) fn encrypt_data(&self, chained: bool) -> Result<Mechanism> {
        let (iv, at, len) = if chained {
            let p: CK_AES_CBC_ENCRYPT_DATA_PARAMS = self.structure()?;
            (Some(p.iv), p.pData, p.length)
        } else {
            let p: CK_KEY_DERIVATION_STRING_DATA = self.structure()?;
            (None, p.pData, p.ulLen)
        };
        let data = self.buffer(at, bounded(len, MAX_DERIVED)?)?;
        if data.is_empty() || !data.len().is_multiple_of(BlockCipher::BLOCK) {
            return Err(INVALID);
        }
        Ok(Mechanism::Kdf(KdfMechanism::EncryptData { cipher: BlockCipher::Aes, iv, data }))
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
impl Plain for CK_CCM_PARAMS {}
impl Plain for CK_SALSA20_CHACHA20_POLY1305_PARAMS {}
impl Plain for CK_KEY_DERIVATION_STRING_DATA {}
impl Plain for CK_AES_CBC_ENCRYPT_DATA_PARAMS {}
