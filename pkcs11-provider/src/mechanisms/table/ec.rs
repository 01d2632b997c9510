//! Elliptic curves (PKCS#11 3.2, 6.3); sizes in bits of the field.

use cryptoki_sys as c;
use libkmss::mechanism::{Hash, KeyType};

use super::{CURVE, EC, ECDH, EDWARDS, ENCAPSULATION, NAMED, PAIR, SIGNATURE, WRAPPING, line};
use crate::mechanisms::{Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_EC_KEY_PAIR_GEN, EC, PAIR | CURVE, Shape::Generate(KeyType::Ec)),
    row!(c::CKM_EC_EDWARDS_KEY_PAIR_GEN, EDWARDS, PAIR | NAMED, Shape::Generate(KeyType::EcEdwards)),
    row!(c::CKM_EC_MONTGOMERY_KEY_PAIR_GEN, EDWARDS, PAIR | NAMED, Shape::Generate(KeyType::EcMontgomery)),
    row!(c::CKM_ECDSA, EC, SIGNATURE | CURVE, Shape::Ecdsa(None)),
    row!(c::CKM_ECDSA_SHA1, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha1))),
    row!(c::CKM_ECDSA_SHA224, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha224))),
    row!(c::CKM_ECDSA_SHA256, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha256))),
    row!(c::CKM_ECDSA_SHA384, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha384))),
    row!(c::CKM_ECDSA_SHA512, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha512))),
    row!(c::CKM_ECDSA_SHA3_224, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_224))),
    row!(c::CKM_ECDSA_SHA3_256, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_256))),
    row!(c::CKM_ECDSA_SHA3_384, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_384))),
    row!(c::CKM_ECDSA_SHA3_512, EC, SIGNATURE | CURVE, Shape::Ecdsa(Some(Hash::Sha3_512))),
    row!(c::CKM_EDDSA, EDWARDS, SIGNATURE | NAMED, Shape::EdDsa),
    row!(c::CKM_ECDH1_DERIVE, ECDH, c::CKF_DERIVE | ENCAPSULATION | CURVE, Shape::Ecdh),
    row!(c::CKM_ECDH1_COFACTOR_DERIVE, ECDH, c::CKF_DERIVE | ENCAPSULATION | CURVE, Shape::Ecdh),
    row!(c::CKM_ECDH_AES_KEY_WRAP, ECDH, WRAPPING | CURVE, Shape::EcdhAesKeyWrap),
];
