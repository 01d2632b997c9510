//! Generic secrets (PKCS#11 3.2, 6.8; sizes in bits) and key derivation (6.37, 6.42, 6.43, 6.62).

use cryptoki_sys as c;
use libkmss::mechanism::KeyType;

use super::{SECRET, line};
use crate::mechanisms::{Into, Rounds, Row, Shape, Splice};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_GENERIC_SECRET_KEY_GEN, (8, 8 * SECRET.1), c::CKF_GENERATE, Shape::Generate(KeyType::GenericSecret)),
    row!(c::CKM_HKDF_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hkdf)),
    row!(c::CKM_HKDF_DERIVE, SECRET, c::CKF_DERIVE, Shape::Hkdf(Into::Key)),
    row!(c::CKM_HKDF_DATA, SECRET, c::CKF_DERIVE, Shape::Hkdf(Into::Data)),
    row!(c::CKM_SP800_108_COUNTER_KDF, (8, 8 * SECRET.1), c::CKF_DERIVE, Shape::Kbkdf(Rounds::Counter)),
    row!(c::CKM_SP800_108_FEEDBACK_KDF, (8, 8 * SECRET.1), c::CKF_DERIVE, Shape::Kbkdf(Rounds::Feedback)),
    row!(c::CKM_SP800_108_DOUBLE_PIPELINE_KDF, (8, 8 * SECRET.1), c::CKF_DERIVE, Shape::Kbkdf(Rounds::DoublePipeline)),
    row!(c::CKM_PKCS5_PBKD2, SECRET, c::CKF_GENERATE, Shape::Pbkdf2),
    row!(c::CKM_CONCATENATE_BASE_AND_KEY, SECRET, c::CKF_DERIVE, Shape::Splice(Splice::Key)),
    row!(c::CKM_CONCATENATE_BASE_AND_DATA, SECRET, c::CKF_DERIVE, Shape::Splice(Splice::Append)),
    row!(c::CKM_CONCATENATE_DATA_AND_BASE, SECRET, c::CKF_DERIVE, Shape::Splice(Splice::Prepend)),
    row!(c::CKM_XOR_BASE_AND_DATA, SECRET, c::CKF_DERIVE, Shape::Splice(Splice::Xor)),
    row!(c::CKM_EXTRACT_KEY_FROM_KEY, SECRET, c::CKF_DERIVE, Shape::Splice(Splice::Extract)),
    row!(c::CKM_PUB_KEY_FROM_PRIV_KEY, (0, 0), c::CKF_DERIVE, Shape::PublicKey),
];
