//! ChaCha20-Poly1305 (RFC 8439); sizes in bytes.

use cryptoki_sys as c;
use libkmss::mechanism::KeyType;

use super::{AEAD, CHACHA, line};
use crate::mechanisms::{Row, Shape};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row!(c::CKM_CHACHA20_KEY_GEN, CHACHA, c::CKF_GENERATE, Shape::Generate(KeyType::ChaCha20)),
    row!(c::CKM_CHACHA20_POLY1305, CHACHA, AEAD, Shape::ChaCha20Poly1305),
];
