//! AES (PKCS#11 3.2, 6.13); sizes in bytes.

use cryptoki_sys as c;
use libkmss::mechanism::{BlockCipher, KeyType, Segment};

use super::{AEAD, AES, CIPHER, MAC_ONCE, SIGNATURE, WRAPPING, XTS, line};
use crate::mechanisms::{Length, Mode, Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_AES_KEY_GEN, AES, c::CKF_GENERATE, Shape::Generate(KeyType::Aes)),
    row!(c::CKM_AES_ECB, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Ecb)),
    row!(c::CKM_AES_CBC, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Cbc)),
    row!(c::CKM_AES_CBC_PAD, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::CbcPad)),
    row!(c::CKM_AES_CTS, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::CbcCs1)),
    row!(c::CKM_AES_CTR, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Ctr)),
    row!(c::CKM_AES_OFB, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Ofb)),
    row!(c::CKM_AES_CFB1, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Cfb(Segment::Bit))),
    row!(c::CKM_AES_CFB8, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Cfb(Segment::Byte))),
    row!(c::CKM_AES_CFB128, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Cfb(Segment::Block))),
    row!(c::CKM_AES_GCM, AES, AEAD, Shape::Cipher(BlockCipher::Aes, Mode::Gcm)),
    row!(c::CKM_AES_CCM, AES, AEAD, Shape::Cipher(BlockCipher::Aes, Mode::Ccm)),
    row!(c::CKM_AES_XTS_KEY_GEN, XTS, c::CKF_GENERATE, Shape::Generate(KeyType::AesXts)),
    row!(c::CKM_AES_XTS, XTS, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Xts)),
    row!(c::CKM_AES_KEY_WRAP, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrap)),
    row!(c::CKM_AES_KEY_WRAP_PAD, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrapPad)),
    row!(c::CKM_AES_KEY_WRAP_KWP, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrapPad)),
    row!(c::CKM_AES_CMAC, AES, SIGNATURE, Shape::Cmac(Length::Full)),
    row!(c::CKM_AES_CMAC_GENERAL, AES, SIGNATURE, Shape::Cmac(Length::General)),
    row!(c::CKM_AES_GMAC, AES, MAC_ONCE, Shape::Gmac),
    row!(c::CKM_AES_ECB_ENCRYPT_DATA, AES, c::CKF_DERIVE, Shape::EncryptData { chained: false }),
    row!(c::CKM_AES_CBC_ENCRYPT_DATA, AES, c::CKF_DERIVE, Shape::EncryptData { chained: true }),
];
