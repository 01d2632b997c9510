//! Diffie-Hellman over a prime field (PKCS#11 3.2, 6.4); sizes in bits of the prime.

use cryptoki_sys as c;
use libkmss::mechanism::KeyType;

use super::{PAIR, Sizes, line};
use crate::mechanisms::{Row, Shape};

const DH: Sizes = (2048, 8192);

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_DH_PKCS_KEY_PAIR_GEN, DH, PAIR, Shape::Generate(KeyType::Dh)),
    row!(c::CKM_DH_PKCS_DERIVE, DH, c::CKF_DERIVE, Shape::Dh),
];
