//! SM2, SM3, SM4 under vendor numbers; SM2 in bits, the others in bytes.

use cryptoki_sys as c;
use libkmss::mechanism::{BlockCipher, Hash, KeyType};

use super::{CIPHER, CURVE, NO_KEY, PAIR, SECRET, SIGNATURE, SM2, SM4, WRAPPING, line};
use crate::mechanisms::vendor as v;
use crate::mechanisms::{Length, Mode, Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(v::CKM_SM2_KEY_PAIR_GEN, SM2, PAIR | CURVE, Shape::Generate(KeyType::Sm2)),
    row!(v::CKM_SM2, SM2, SIGNATURE | CURVE, Shape::Sm2Digest),
    row!(v::CKM_SM2_SM3, SM2, SIGNATURE | CURVE, Shape::Sm2Message),
    row!(v::CKM_SM2_SM3_DER, SM2, SIGNATURE | CURVE, Shape::Sm2MessageDer),
    row!(v::CKM_SM2_ENCRYPT, SM2, CIPHER | CURVE, Shape::Sm2Encrypt),
    row!(v::CKM_SM3, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sm3)),
    row!(v::CKM_SM3_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sm3, Length::Full)),
    row!(v::CKM_SM3_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sm3, Length::General)),
    row!(v::CKM_SM3_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sm3))),
    row!(v::CKM_SM4_KEY_GEN, SM4, c::CKF_GENERATE, Shape::Generate(KeyType::Sm4)),
    row!(v::CKM_SM4_ECB, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::Ecb)),
    row!(v::CKM_SM4_CBC, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::Cbc)),
    row!(v::CKM_SM4_CBC_PAD, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::CbcPad)),
    row!(v::CKM_SM4_CTR, SM4, CIPHER, Shape::Cipher(BlockCipher::Sm4, Mode::Ctr)),
    row!(v::CKM_SM4_GCM, SM4, CIPHER | WRAPPING, Shape::Cipher(BlockCipher::Sm4, Mode::Gcm)),
];
