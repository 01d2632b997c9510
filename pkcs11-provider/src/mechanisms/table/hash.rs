//! Digests, HMAC and its keys (PKCS#11 3.2, 6.20 to 6.30); key sizes in bytes.

use cryptoki_sys as c;
use libkmss::mechanism::{Hash, KeyType};

use super::{NO_KEY, SECRET, SIGNATURE, line};
use crate::mechanisms::{Length, Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_SHA_1, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha1)),
    row!(c::CKM_SHA224, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha224)),
    row!(c::CKM_SHA256, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha256)),
    row!(c::CKM_SHA384, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha384)),
    row!(c::CKM_SHA512, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha512)),
    row!(c::CKM_SHA512_224, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha512_224)),
    row!(c::CKM_SHA512_256, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha512_256)),
    row!(c::CKM_SHA3_224, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_224)),
    row!(c::CKM_SHA3_256, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_256)),
    row!(c::CKM_SHA3_384, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_384)),
    row!(c::CKM_SHA3_512, NO_KEY, c::CKF_DIGEST, Shape::Digest(Hash::Sha3_512)),
    row!(c::CKM_SHA_1_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha1, Length::Full)),
    row!(c::CKM_SHA_1_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha1, Length::General)),
    row!(c::CKM_SHA224_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha224, Length::Full)),
    row!(c::CKM_SHA224_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha224, Length::General)),
    row!(c::CKM_SHA256_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha256, Length::Full)),
    row!(c::CKM_SHA256_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha256, Length::General)),
    row!(c::CKM_SHA384_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha384, Length::Full)),
    row!(c::CKM_SHA384_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha384, Length::General)),
    row!(c::CKM_SHA512_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512, Length::Full)),
    row!(c::CKM_SHA512_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512, Length::General)),
    row!(c::CKM_SHA512_224_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512_224, Length::Full)),
    row!(c::CKM_SHA512_224_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512_224, Length::General)),
    row!(c::CKM_SHA512_256_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512_256, Length::Full)),
    row!(c::CKM_SHA512_256_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha512_256, Length::General)),
    row!(c::CKM_SHA3_224_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_224, Length::Full)),
    row!(c::CKM_SHA3_224_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_224, Length::General)),
    row!(c::CKM_SHA3_256_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_256, Length::Full)),
    row!(c::CKM_SHA3_256_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_256, Length::General)),
    row!(c::CKM_SHA3_384_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_384, Length::Full)),
    row!(c::CKM_SHA3_384_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_384, Length::General)),
    row!(c::CKM_SHA3_512_HMAC, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_512, Length::Full)),
    row!(c::CKM_SHA3_512_HMAC_GENERAL, SECRET, SIGNATURE, Shape::Hmac(Hash::Sha3_512, Length::General)),
    row!(c::CKM_SHA_1_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha1))),
    row!(c::CKM_SHA224_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha224))),
    row!(c::CKM_SHA256_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha256))),
    row!(c::CKM_SHA384_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha384))),
    row!(c::CKM_SHA512_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha512))),
    row!(c::CKM_SHA512_224_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha512_224))),
    row!(c::CKM_SHA512_256_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha512_256))),
    row!(c::CKM_SHA3_224_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_224))),
    row!(c::CKM_SHA3_256_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_256))),
    row!(c::CKM_SHA3_384_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_384))),
    row!(c::CKM_SHA3_512_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hmac(Hash::Sha3_512))),
];
