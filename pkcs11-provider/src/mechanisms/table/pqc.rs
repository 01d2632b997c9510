//! Post-quantum algorithms (PKCS#11 3.2, 6.67 to 6.69); sizes in bytes of the public key.

use cryptoki_sys as c;
use libkmss::mechanism::{KeyType, PqcHash};

use super::{ENCAPSULATION, PAIR, SIGNATURE, Sizes, line};
use crate::mechanisms::{Given, Row, Shape};

const ML_DSA: Sizes = (1312, 2592);
const ML_KEM: Sizes = (800, 1568);
const SLH_DSA: Sizes = (32, 64);

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_ML_DSA_KEY_PAIR_GEN, ML_DSA, PAIR, Shape::Generate(KeyType::MlDsa)),
    row!(c::CKM_ML_DSA, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Message)),
    row!(c::CKM_HASH_ML_DSA, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Digest)),
    row!(c::CKM_HASH_ML_DSA_SHA224, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha224))),
    row!(c::CKM_HASH_ML_DSA_SHA256, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha256))),
    row!(c::CKM_HASH_ML_DSA_SHA384, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha384))),
    row!(c::CKM_HASH_ML_DSA_SHA512, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha512))),
    row!(c::CKM_HASH_ML_DSA_SHA3_224, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha3_224))),
    row!(c::CKM_HASH_ML_DSA_SHA3_256, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha3_256))),
    row!(c::CKM_HASH_ML_DSA_SHA3_384, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha3_384))),
    row!(c::CKM_HASH_ML_DSA_SHA3_512, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Sha3_512))),
    row!(c::CKM_HASH_ML_DSA_SHAKE128, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Shake128))),
    row!(c::CKM_HASH_ML_DSA_SHAKE256, ML_DSA, SIGNATURE, Shape::MlDsa(Given::Hashed(PqcHash::Shake256))),
    row!(c::CKM_ML_KEM_KEY_PAIR_GEN, ML_KEM, PAIR, Shape::Generate(KeyType::MlKem)),
    row!(c::CKM_ML_KEM, ML_KEM, ENCAPSULATION, Shape::MlKem),
    row!(c::CKM_SLH_DSA_KEY_PAIR_GEN, SLH_DSA, PAIR, Shape::Generate(KeyType::SlhDsa)),
    row!(c::CKM_SLH_DSA, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Message)),
    row!(c::CKM_HASH_SLH_DSA, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Digest)),
    row!(c::CKM_HASH_SLH_DSA_SHA224, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha224))),
    row!(c::CKM_HASH_SLH_DSA_SHA256, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha256))),
    row!(c::CKM_HASH_SLH_DSA_SHA384, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha384))),
    row!(c::CKM_HASH_SLH_DSA_SHA512, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha512))),
    row!(c::CKM_HASH_SLH_DSA_SHA3_224, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha3_224))),
    row!(c::CKM_HASH_SLH_DSA_SHA3_256, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha3_256))),
    row!(c::CKM_HASH_SLH_DSA_SHA3_384, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha3_384))),
    row!(c::CKM_HASH_SLH_DSA_SHA3_512, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Sha3_512))),
    row!(c::CKM_HASH_SLH_DSA_SHAKE128, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Shake128))),
    row!(c::CKM_HASH_SLH_DSA_SHAKE256, SLH_DSA, SIGNATURE, Shape::SlhDsa(Given::Hashed(PqcHash::Shake256))),
];
