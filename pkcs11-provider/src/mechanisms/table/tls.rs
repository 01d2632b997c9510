//! TLS 1.2 (PKCS#11 3.2, 6.39.5 and 6.40); sizes in bytes.

use cryptoki_sys as c;

use super::{SECRET, SIGNATURE, Sizes, line};
use crate::mechanisms::{Row, Shape, Tls};

const MASTER: Sizes = (48, 48);

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_TLS_PRE_MASTER_KEY_GEN, MASTER, c::CKF_GENERATE, Shape::Tls(Tls::Premaster)),
    row!(c::CKM_TLS12_MASTER_KEY_DERIVE, MASTER, c::CKF_DERIVE, Shape::Tls(Tls::Master { versioned: true })),
    row!(c::CKM_TLS12_MASTER_KEY_DERIVE_DH, MASTER, c::CKF_DERIVE, Shape::Tls(Tls::Master { versioned: false })),
    row!(c::CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE, MASTER, c::CKF_DERIVE, Shape::Tls(Tls::ExtendedMaster { versioned: true })),
    row!(c::CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE_DH, MASTER, c::CKF_DERIVE, Shape::Tls(Tls::ExtendedMaster { versioned: false })),
    row!(c::CKM_TLS12_KEY_AND_MAC_DERIVE, MASTER, c::CKF_DERIVE, Shape::Tls(Tls::KeyBlock { with_ivs: true })),
    row!(c::CKM_TLS12_KEY_SAFE_DERIVE, MASTER, c::CKF_DERIVE, Shape::Tls(Tls::KeyBlock { with_ivs: false })),
    row!(c::CKM_TLS_KDF, SECRET, c::CKF_DERIVE, Shape::Tls(Tls::Export)),
    row!(c::CKM_TLS12_KDF, SECRET, c::CKF_DERIVE, Shape::Tls(Tls::Export)),
    row!(c::CKM_TLS_MAC, SECRET, SIGNATURE, Shape::Tls(Tls::Finished)),
    row!(c::CKM_TLS12_MAC, SECRET, SIGNATURE, Shape::Tls(Tls::Finished)),
];
