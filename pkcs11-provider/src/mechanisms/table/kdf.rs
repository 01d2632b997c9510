//! Generic secrets (PKCS#11 3.2, 6.8; sizes in bits) and key derivation (6.62).

use cryptoki_sys as c;
use libkmss::mechanism::KeyType;

use super::{SECRET, line};
use crate::mechanisms::{Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_GENERIC_SECRET_KEY_GEN, (8, 8 * SECRET.1), c::CKF_GENERATE, Shape::Generate(KeyType::GenericSecret)),
    row!(c::CKM_HKDF_KEY_GEN, SECRET, c::CKF_GENERATE, Shape::Generate(KeyType::Hkdf)),
    row!(c::CKM_HKDF_DERIVE, SECRET, c::CKF_DERIVE, Shape::Hkdf),
];
