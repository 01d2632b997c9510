//! RSA (PKCS#11 3.2, 6.1); sizes in bits.

use cryptoki_sys as c;
use libkmss::mechanism::{Hash, KeyType};

use super::{CIPHER, PAIR, RECOVERY, RSA, RSA_MAKE, SIGNATURE, WRAPPING, line};
use crate::mechanisms::{Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_RSA_PKCS_KEY_PAIR_GEN, RSA_MAKE, PAIR, Shape::Generate(KeyType::Rsa)),
    row!(c::CKM_RSA_PKCS, RSA, SIGNATURE | RECOVERY | CIPHER | WRAPPING, Shape::RsaPkcs),
    row!(c::CKM_RSA_X_509, RSA, SIGNATURE | RECOVERY | CIPHER, Shape::RsaX509),
    row!(c::CKM_RSA_PKCS_OAEP, RSA_MAKE, CIPHER | WRAPPING, Shape::Oaep),
    row!(c::CKM_RSA_AES_KEY_WRAP, RSA_MAKE, WRAPPING, Shape::RsaAesKeyWrap),
    row!(c::CKM_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(None)),
    row!(c::CKM_SHA1_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha1)),
    row!(c::CKM_SHA224_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha224)),
    row!(c::CKM_SHA256_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha256)),
    row!(c::CKM_SHA384_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha384)),
    row!(c::CKM_SHA512_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha512)),
    row!(c::CKM_SHA3_224_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_224)),
    row!(c::CKM_SHA3_256_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_256)),
    row!(c::CKM_SHA3_384_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_384)),
    row!(c::CKM_SHA3_512_RSA_PKCS, RSA, SIGNATURE, Shape::RsaPkcsHash(Hash::Sha3_512)),
    row!(c::CKM_SHA1_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha1))),
    row!(c::CKM_SHA224_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha224))),
    row!(c::CKM_SHA256_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha256))),
    row!(c::CKM_SHA384_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha384))),
    row!(c::CKM_SHA512_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha512))),
    row!(c::CKM_SHA3_224_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_224))),
    row!(c::CKM_SHA3_256_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_256))),
    row!(c::CKM_SHA3_384_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_384))),
    row!(c::CKM_SHA3_512_RSA_PKCS_PSS, RSA, SIGNATURE, Shape::Pss(Some(Hash::Sha3_512))),
];
