//! AES (PKCS#11 3.2, 6.13); sizes in bytes.

use cryptoki_sys as c;
use libkmss::mechanism::{BlockCipher, KeyType};

use super::{AES, CIPHER, SIGNATURE, WRAPPING, line};
use crate::mechanisms::{Length, Mode, Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_AES_KEY_GEN, AES, c::CKF_GENERATE, Shape::Generate(KeyType::Aes)),
    row!(c::CKM_AES_ECB, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Ecb)),
    row!(c::CKM_AES_CBC, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Cbc)),
    row!(c::CKM_AES_CBC_PAD, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::CbcPad)),
    row!(c::CKM_AES_CTR, AES, CIPHER, Shape::Cipher(BlockCipher::Aes, Mode::Ctr)),
    row!(c::CKM_AES_GCM, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::Gcm)),
    row!(c::CKM_AES_KEY_WRAP, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrap)),
    row!(c::CKM_AES_KEY_WRAP_PAD, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrapPad)),
    row!(c::CKM_AES_KEY_WRAP_KWP, AES, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Aes, Mode::KeyWrapPad)),
    row!(c::CKM_AES_CMAC, AES, SIGNATURE, Shape::Cmac(Length::Full)),
    row!(c::CKM_AES_CMAC_GENERAL, AES, SIGNATURE, Shape::Cmac(Length::General)),
];
